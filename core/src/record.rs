//! One entry of the ledger: where, when, who, what, and a commitment to what was said. `docs/formats.md`, "Records".

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::fact::Fact;
use crate::id::{Hash, Position, Time, UserNo};
use crate::limits::MAX_RECORD_BYTES;
use crate::versions::LEDGER_FORMAT;

/// Through which door a command came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Surface {
    /// The server itself, or its operator on the command line.
    Server,
    /// `/v1` over HTTP.
    NativeHttp,
    /// `waybill/1` over QUIC.
    NativeQuic,
    /// OpenIM's v2 HTTP API.
    OpenImV2,
    /// OpenIM's v3 HTTP API, and its gateway for clients.
    OpenImV3,
}

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Format of the rest: [`LEDGER_FORMAT`]. Always the first byte.
    version: u8,
    /// The record's own place, so that records cannot change places unnoticed.
    pub position: Position,
    /// When the writer took the command; never less than in the record before.
    pub time: Time,
    /// Who acted; 0 for the server itself.
    pub by: UserNo,
    /// Through which door.
    pub surface: Surface,
    /// What happened.
    pub fact: Fact,
    /// Commitment to the body, when the fact has one.
    pub commitment: Option<Hash>,
}

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes do not decode.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// They were written by a program this one does not know.
    #[error("record format {found} is unknown to this program, which knows format {LEDGER_FORMAT}")]
    Version {
        /// The version byte found.
        found: u8,
    },
    /// No record is so long.
    #[error("{len} bytes are more than a record may have")]
    TooLong {
        /// How many bytes were found.
        len: usize,
    },
    /// The record says that it belongs elsewhere.
    #[error("the record stored at position {stored} says that it is record {claimed}")]
    Misplaced {
        /// The key it was found under.
        stored: Position,
        /// What it says itself.
        claimed: Position,
    },
    /// The bytes decode to a record that this program would have written otherwise.
    #[error("the record is not in canonical form")]
    NotCanonical,
}

/// The version byte of records written by this program.
const VERSION: u8 = LEDGER_FORMAT as u8;

impl Record {
    /// Makes a record in the newest format.
    #[must_use]
    pub fn new(
        position: Position,
        time: Time,
        by: UserNo,
        surface: Surface,
        fact: Fact,
        commitment: Option<Hash>,
    ) -> Self {
        Self {
            version: VERSION,
            position,
            time,
            by,
            surface,
            fact,
            commitment,
        }
    }

    /// The bytes for the ledger, or `None` when they would be more than [`MAX_RECORD_BYTES`].
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let bytes = codec::encode(self);
        (bytes.len() <= MAX_RECORD_BYTES).then_some(bytes)
    }

    /// Decodes the record stored at `position`.
    ///
    /// # Errors
    /// When the bytes are no record of a known format, too long, or a record of another position.
    pub fn decode(position: Position, bytes: &[u8]) -> Result<Self, RecordError> {
        if let Some(&found) = bytes.first()
            && found != VERSION
        {
            return Err(RecordError::Version { found });
        }
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong { len: bytes.len() });
        }
        let record: Self = codec::decode(bytes)?;
        if record.position != position {
            return Err(RecordError::Misplaced {
                stored: position,
                claimed: record.position,
            });
        }
        Ok(record)
    }

    /// Decodes as [`Record::decode`] and also checks that encoding again gives the same bytes.
    ///
    /// # Errors
    /// As `decode`, and when the bytes are another form of the same record.
    pub fn decode_canonical(position: Position, bytes: &[u8]) -> Result<Self, RecordError> {
        let record = Self::decode(position, bytes)?;
        if codec::encode(&record) == bytes {
            Ok(record)
        } else {
            Err(RecordError::NotCanonical)
        }
    }
}
