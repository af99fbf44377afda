//! From what was read to the frame of a page.

use waybill_core::id::Seq;
use waybill_core::wire::{Code, Failure, MAX_PAGE_ENTRIES, PageHead, PageWriter};

use super::service::Slice;

/// A page, encoded.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The frame.
    pub frame: Vec<u8>,
    /// The last entry's seq; `None` for an empty page.
    pub last: Option<Seq>,
}

/// Puts entries into a page until it holds about `bytes`; the rest is left for the next one.
pub(super) fn encode(request: u64, slice: &Slice, bytes: usize) -> Result<Encoded, Failure> {
    let mut page = PageWriter::new(bytes);
    let taken = slice
        .entries
        .iter()
        .take_while(|entry| page.push(entry))
        .count();
    let head = PageHead {
        request,
        epoch: slice.epoch,
        floor: slice.floor,
        head: slice.head,
        more: slice.more || taken < slice.entries.len(),
    };
    let last = page.last();
    let mut frame = Vec::new();
    page.finish(&head, &mut frame)
        .map_err(|_| Failure::new(Code::INTERNAL, "an entry is larger than a frame may be"))?;
    Ok(Encoded { frame, last })
}

/// Refuses a limit that no page can have.
pub(super) fn check_limit(limit: u32) -> Result<(), Failure> {
    if (1..=MAX_PAGE_ENTRIES).contains(&limit) {
        Ok(())
    } else {
        let text = format!("limit is {limit}; it must be from 1 to {MAX_PAGE_ENTRIES}");
        Err(Failure::new(Code::INVALID_FIELD, text))
    }
}
