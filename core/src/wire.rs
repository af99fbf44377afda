//! The native wire protocol `waybill/1`: what its frames are and how they are written as bytes. `docs/protocol.md` describes
//! every byte. This module knows no socket and no stream: bytes go in, frames come out, and the other way round.
//!
//! A released frame never changes: a new field is a new kind. A peer skips kinds that it does not know, by their length.

mod code;
mod entry;
mod frame;
mod frames;
mod hello;
mod kind;
mod limits;
mod list;
mod log;
mod online;
mod send;

pub use code::{CODES, Code, CodeInfo};
pub use entry::{
    CHANGED, CLEARED, Entry, MARKED, MESSAGE, MessageEntry, NoteEntry, Place, READ, RECALLED,
    REMOVED, SETTINGS, SKIPPED, Settings,
};
pub use frame::{Frame, FrameError, FrameReader, HEADER_BYTES, write};
pub use frames::{ClientFrame, ServerFrame};
pub use hello::{Bye, Capabilities, Device, Failure, Hello, Limits, Refused, Welcome};
pub use kind::{Kind, Payload};
pub use limits::*;
pub use log::{Acknowledge, Acknowledged, Page, PageHead, PageWriter, Pull, Tail, TailOpened};
pub use online::{LiveConnection, Online, Presence, UserPresence, WatchPresence};
pub use send::{BatchSent, Outgoing, Send, SendBatch, Sent, SentMessage};

/// The name of this protocol in the TLS handshake. Another version has another name.
pub const ALPN: &[u8] = b"waybill/1";

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
