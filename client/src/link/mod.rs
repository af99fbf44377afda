//! Transports: ways to a server, and the links that they make. A way knows its address and token; nothing here decides when to
//! connect, or what to store.

pub(crate) mod http;
mod json;
pub(crate) mod poll;
pub(crate) mod quic;
pub(crate) mod socket;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use waybill_core::id::Seq;
use waybill_core::wire::{Code, Outgoing};

use crate::error::Error;
use crate::message::Sent;
use crate::store::Snapshot;
use crate::sync::{Batch, Reached};

/// Longest time to make a connection, from its first packet to the server's answer to who we are.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);

/// Longest wait for the answer to a request.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

/// Batches that a link reads ahead of the store.
pub(crate) const READ_AHEAD: usize = 4;

/// Entries asked for at a time.
pub(crate) const PAGE: u32 = 1_000;

/// Something under way.
pub(crate) type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A transport that this library speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// `waybill/1` over QUIC.
    Quic,
    /// JSON over a WebSocket.
    WebSocket,
    /// Long poll over HTTP.
    LongPoll,
}

impl Transport {
    /// Its number in a store.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Quic => 1,
            Self::WebSocket => 2,
            Self::LongPoll => 3,
        }
    }
}

/// A way to a server.
pub(crate) trait Way: Send + Sync {
    /// Connects; `after` is the last entry that is stored, so that the next ones may come with the first answer.
    fn connect(&self, after: Seq) -> Doing<Result<Opened, Error>>;

    /// The network has changed.
    fn moved(&self) {}
}

/// A link that was made, and what the server said of the log.
pub(crate) struct Opened {
    /// The link.
    pub link: Arc<dyn Link>,
    /// The log.
    pub reached: Reached,
}

/// A connection. A request on one that is gone fails with [`Error::Lost`] or [`Error::Ended`].
pub(crate) trait Link: Send + Sync {
    /// The entries after a seq, now and as they come, until the receiver is dropped or an error has come. Asked once.
    fn follow(&self, after: Seq) -> mpsc::Receiver<Result<Batch, Error>>;

    /// Sends a message. Messages are sent in the order in which the futures are polled for the first time.
    fn send(&self, message: Outgoing) -> Doing<Result<Sent, Error>>;

    /// Reports what is stored.
    fn acknowledge(&self, seq: Seq) -> Doing<Result<(), Error>>;

    /// Says goodbye.
    fn close(&self) -> Doing<()>;
}

/// Where snapshots come from.
pub(crate) trait Snapshots: Send + Sync {
    /// Takes one.
    fn take(&self) -> Doing<Result<Snapshot, Error>>;
}

/// Entries that came with the first answer of a server, for whoever follows the log from right before them.
struct First(Mutex<Option<Batch>>);

impl First {
    fn new(batch: Option<Batch>) -> Self {
        Self(Mutex::new(batch))
    }

    /// Takes them, where they are the ones after a seq.
    fn take(&self, after: Seq) -> Option<Batch> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.filter(|first| first.entries.first().map(|it| it.seq) == Some(after.next()))
    }
}

/// Whether a log cannot be read from where it was asked for, because it begins later, ends before, or is another one.
fn is_elsewhere(code: Code) -> bool {
    matches!(code, Code::TOO_OLD | Code::AHEAD | Code::OTHER_EPOCH)
}

/// No answer in time.
fn silent(what: &str) -> Error {
    Error::Lost(format!("no answer over {what}"))
}
