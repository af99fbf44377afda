//! One fragment ("physical record") of a RocksDB write-ahead log, inside the block that holds it.
//! Format: `db/log_format.h` and `db/log_writer.cc` of RocksDB 11.8. Knows nothing of files, of the
//! fragments before and after, or of what the payload means.
//!
//! A fragment is `masked CRC-32C: u32 LE ‖ length: u16 LE ‖ type: u8 ‖ payload`; recyclable types have
//! the low half of the log's number (u32 LE) before the payload. The checksum covers everything from
//! the type byte on. A fragment never crosses the end of its block.

use super::crc32c;
use std::fmt;

/// Bytes in a block. Only the last block of a file may be shorter.
pub const BLOCK: usize = 32 * 1024;

/// Bytes before the payload of an ordinary fragment. Fewer than these at the end of a block are filler.
pub const HEADER: usize = 7;

/// Bytes before the payload of a recyclable fragment.
const RECYCLABLE_HEADER: usize = HEADER + 4;

/// Where the type byte stands in the header: the checksum begins here.
const TYPE_AT: usize = 6;

/// Unknown types with this bit set are to be skipped (`kRecordTypeSafeIgnoreMask`).
const IGNORABLE: u8 = 1 << 7;

/// What is wrong with a log at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The checksum does not match the bytes that it covers.
    BadChecksum,
    /// The fragment would cross the end of its block, or the batch is shorter than its own header.
    BadLength,
    /// A type that this format does not know; or zeros where a fragment belongs, and data after them.
    BadType,
    /// The file ends inside a fragment or before the last fragment of a batch.
    Truncated,
    /// An intact fragment that does not fit: a later part of a batch without its first part, or
    /// another batch before the last part of this one.
    UnexpectedFragment,
    /// An intact batch whose sequence number is not above that of the batch before it.
    BadSequence,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::BadChecksum => "checksum mismatch",
            Flaw::BadLength => "impossible length",
            Flaw::BadType => "unknown record type",
            Flaw::Truncated => "cut short",
            Flaw::UnexpectedFragment => "part of a batch out of place",
            Flaw::BadSequence => "sequence number out of order",
        })
    }
}

/// What a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole batch.
    Full,
    /// The first part of a batch.
    First,
    /// Neither the first nor the last part of a batch.
    Middle,
    /// The last part of a batch.
    Last,
    /// Says that all later payloads are compressed.
    Compression,
    /// Sizes of user-defined timestamps, or what the log before this one held: not a batch. The writer
    /// may fill the rest of a block with zeros so that such a fragment is not split.
    Note,
    /// Of a type to be skipped by readers that do not know it.
    Ignorable,
    /// Of a type that this format does not know.
    Unknown,
}

impl Kind {
    fn of(kind: u8) -> Self {
        match kind {
            1 | 5 => Kind::Full,
            2 | 6 => Kind::First,
            3 | 7 => Kind::Middle,
            4 | 8 => Kind::Last,
            9 => Kind::Compression,
            10 | 11 | 130 | 131 => Kind::Note,
            other if other & IGNORABLE != 0 => Kind::Ignorable,
            _ => Kind::Unknown,
        }
    }
}

/// A fragment that fits into its block. Whether its bytes are right, [`Fragment::is_intact`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// What it is.
    pub kind: Kind,
    /// The low half of the number of the log that it was written to; recyclable types only.
    pub log_number: Option<u32>,
    /// Offset in the block just past it.
    pub end: usize,
    at: usize,
    payload_at: usize,
}

impl Fragment {
    /// Reads the header at `at`, without the checksum. `block` is the whole block, or what the file
    /// holds of it.
    ///
    /// # Errors
    /// [`Flaw::Truncated`] and [`Flaw::BadLength`], as they say.
    pub fn locate(block: &[u8], at: usize) -> Result<Self, Flaw> {
        let Some(&[_, _, _, _, low, high, kind]) = block.get(at..).and_then(<[u8]>::first_chunk)
        else {
            return Err(if at + HEADER > BLOCK {
                Flaw::BadLength
            } else {
                Flaw::Truncated
            });
        };
        let recyclable = matches!(kind, 5..=8 | 11 | 131);
        let payload_at = at
            + if recyclable {
                RECYCLABLE_HEADER
            } else {
                HEADER
            };
        let end = payload_at + usize::from(u16::from_le_bytes([low, high]));
        if end > BLOCK {
            return Err(Flaw::BadLength);
        }
        if end > block.len() {
            return Err(Flaw::Truncated);
        }
        let log_number = block[at + HEADER..payload_at]
            .first_chunk()
            .map(|n| u32::from_le_bytes(*n));
        Ok(Fragment {
            kind: Kind::of(kind),
            log_number,
            end,
            at,
            payload_at,
        })
    }

    /// Reads the fragment at `at` and checks it.
    ///
    /// # Errors
    /// As [`Fragment::locate`]; [`Flaw::BadChecksum`]; [`Flaw::BadType`] if the header is all zero.
    pub fn read(block: &[u8], at: usize) -> Result<Self, Flaw> {
        let fragment = Self::locate(block, at)?;
        if fragment.is_intact(block) {
            Ok(fragment)
        } else if block[at..at + HEADER].iter().all(|b| *b == 0) {
            Err(Flaw::BadType)
        } else {
            Err(Flaw::BadChecksum)
        }
    }

    /// Whether the checksum matches.
    pub fn is_intact(&self, block: &[u8]) -> bool {
        let stored = block[self.at..]
            .first_chunk()
            .map(|crc| u32::from_le_bytes(*crc));
        stored == Some(crc32c::masked(&block[self.at + TYPE_AT..self.end]))
    }

    /// What it carries.
    pub fn payload<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        &block[self.payload_at..self.end]
    }
}
