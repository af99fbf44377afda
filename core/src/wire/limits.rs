//! The bounds of the wire, each with its reason. A peer that goes beyond one is refused before anything is allocated for it.

use crate::limits::MAX_CONTENT_BYTES;

/// Longest frame from client to server (kind and payload), in bytes: a batch of sends.
pub const MAX_CLIENT_FRAME: usize = 1024 * 1024;

/// Longest frame from server to client (kind and payload), in bytes: a page and its last entry.
pub const MAX_SERVER_FRAME: usize = 1024 * 1024;

/// Longest frame that a server takes before it knows who is speaking, in bytes: a token and some names.
pub const MAX_HELLO_FRAME: usize = 16 * 1024;

/// A page ends before the entry that would bring its entries above this many bytes, unless that entry is its first.
pub const PAGE_BYTES: usize = 512 * 1024;

/// Most entries in one page.
pub const MAX_PAGE_ENTRIES: u32 = 1_000;

/// Most sends in one batch.
pub const MAX_BATCH: usize = 1_024;

/// Longest text of an error or of a goodbye, in bytes.
pub const MAX_REASON_BYTES: usize = 256;

/// Frames beyond this many bytes of buffered beginnings give their memory back when they are done.
pub(super) const KEPT_BUFFER_BYTES: usize = 4 * 1024;

// A page holds less than `PAGE_BYTES`, or one entry; either way a frame has room for it.
const _: () = assert!(PAGE_BYTES + 1024 < MAX_SERVER_FRAME);
const _: () = assert!(4 * MAX_CONTENT_BYTES < MAX_CLIENT_FRAME);

/// Users whose coming and going one connection may watch.
pub const MAX_WATCHED_USERS: usize = 256;
