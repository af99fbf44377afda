//! Reading a log: pulls, pages, tails, and the cursor that a device reports.

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::frame::{FrameError, write_with};
use super::kind::{Kind, Payload};
use super::limits::{MAX_PAGE_ENTRIES, MAX_SERVER_FRAME, PAGE_BYTES};
use super::list;
use crate::codec::{self, CodecError};
use crate::id::{Epoch, Seq};

/// Asks for the entries after a seq. Answered by a [`Page`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// The client's number for this request; not 0.
    pub request: u64,
    /// Whose log; empty for the caller's own.
    pub user: String,
    /// The last seq that the caller has.
    pub after: Seq,
    /// Most entries wanted: 1 to [`MAX_PAGE_ENTRIES`].
    pub limit: u32,
}

/// Asks for a stream that brings the entries after a seq, now and as they come. Answered by a stream that begins with
/// [`TailOpened`] and goes on with [`Page`]s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// The client's number for this request; not 0.
    pub request: u64,
    /// Whose log; empty for the caller's own.
    pub user: String,
    /// The last seq that the caller has.
    pub after: Seq,
}

/// The first frame of a tail stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailOpened {
    /// The tail's request.
    pub request: u64,
    /// The identity of the history.
    pub epoch: Epoch,
    /// The first seq still present.
    pub floor: Seq,
    /// The last seq.
    pub head: Seq,
}

/// The device has stored its user's log up to here. Answered by [`Acknowledged`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledge {
    /// The client's number for this request; not 0.
    pub request: u64,
    /// The last seq stored.
    pub seq: Seq,
}

/// The server has taken note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Which request.
    pub request: u64,
    /// The device's cursor now: never less than an earlier one.
    pub seq: Seq,
}

/// What stands before the entries of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageHead {
    /// Which pull or tail.
    pub request: u64,
    /// The identity of the history.
    pub epoch: Epoch,
    /// The first seq still present.
    pub floor: Seq,
    /// The last seq.
    pub head: Seq,
    /// The log goes on after the last entry of this page.
    pub more: bool,
}

/// Entries of a log, without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What stands before them.
    pub head: PageHead,
    /// The entries, ascending by seq, each one more than the one before.
    pub entries: Vec<Entry>,
}

impl Page {
    /// Reads the payload of a page.
    ///
    /// # Errors
    /// When it is malformed or has more than [`MAX_PAGE_ENTRIES`] entries.
    pub fn read(payload: &[u8]) -> Result<Self, CodecError> {
        let (head, rest) = codec::decode_prefix(payload)?;
        let entries = list::read(rest, MAX_PAGE_ENTRIES as usize, "Page")?;
        Ok(Self { head, entries })
    }

    /// Appends the frame.
    ///
    /// # Errors
    /// When it would be longer than a frame may be. A page made by [`PageWriter`] never is.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        write_with(Kind::Page as u8, MAX_SERVER_FRAME, out, |out| {
            codec::encode_into(&self.head, out);
            list::write(&self.entries, out);
        })
    }
}

/// Collects entries until a page is full.
#[derive(Debug)]
pub struct PageWriter {
    most: usize,
    entries: Vec<u8>,
    count: u32,
    last: Option<Seq>,
}

impl PageWriter {
    /// An empty page for at most `most` bytes of entries; more than [`PAGE_BYTES`] counts as that.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most: most.min(PAGE_BYTES),
            entries: Vec::new(),
            count: 0,
            last: None,
        }
    }

    /// Takes an entry, unless the page is full: then the entry belongs to the next page. An empty page takes any entry.
    #[must_use]
    pub fn push(&mut self, entry: &Entry) -> bool {
        let before = self.entries.len();
        if self.count >= MAX_PAGE_ENTRIES {
            return false;
        }
        codec::encode_into(entry, &mut self.entries);
        if self.entries.len() > self.most && self.count > 0 {
            self.entries.truncate(before);
            return false;
        }
        self.count += 1;
        self.last = Some(entry.seq);
        true
    }

    /// The seq of the last entry taken.
    #[must_use]
    pub fn last(&self) -> Option<Seq> {
        self.last
    }

    /// Appends the frame.
    ///
    /// # Errors
    /// When a single entry is longer than a frame; no entry of this server is.
    pub fn finish(self, head: &PageHead, out: &mut Vec<u8>) -> Result<(), FrameError> {
        write_with(Kind::Page as u8, MAX_SERVER_FRAME, out, |out| {
            codec::encode_into(head, out);
            codec::encode_into(&u64::from(self.count), out);
            out.extend_from_slice(&self.entries);
        })
    }
}

impl Payload for Pull {
    const KIND: Kind = Kind::Pull;
}

impl Payload for Tail {
    const KIND: Kind = Kind::Tail;
}

impl Payload for TailOpened {
    const KIND: Kind = Kind::TailOpened;
}

impl Payload for Acknowledge {
    const KIND: Kind = Kind::Acknowledge;
}

impl Payload for Acknowledged {
    const KIND: Kind = Kind::Acknowledged;
}
