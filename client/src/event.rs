//! What a client tells the program.

use std::time::Duration;

use waybill_core::id::Seq;

use crate::error::Error;
use crate::link::Transport;
use crate::message::Sent;
use crate::store::StoreError;
use crate::sync::End;

/// Something that has happened. Whatever an event speaks of is in the store already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Connected.
    Online(Transport),
    /// Not connected. The client tries again by itself.
    Offline {
        /// Why.
        error: Error,
        /// When it tries again.
        retry_in: Duration,
    },
    /// Entries were stored.
    Stored {
        /// They come after this one.
        after: Seq,
        /// This is the last of them.
        until: Seq,
    },
    /// The server no longer had these entries: they will not come. The conversations are those of a snapshot as of `until`.
    Missing {
        /// The last entry before the hole.
        after: Seq,
        /// The last one that is missing.
        until: Seq,
    },
    /// The server's log is of another history, because it was restored from a backup or is another server. The store now has
    /// that one, as far as here, in the place of the old one: read everything again.
    NewHistory {
        /// Its last entry so far.
        until: Seq,
    },
    /// A message was sent, and has left the outbox. Told at most once of each: not when the client is killed just then.
    Sent(Sent),
    /// The server will not have a message. It stays in the outbox, with the reason, until it is discarded.
    Refused {
        /// Its key.
        key: String,
        /// Why.
        error: Error,
    },
    /// The listener was too slow: so many events were passed over. The store has what they spoke of.
    Missed(u64),
    /// Nothing more will happen.
    Ended(End),
}

/// Why a message was not sent, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The server will not have it. It stays in the outbox, with the reason, until it is discarded.
    #[error(transparent)]
    Refused(Error),
    /// It could not be put into the outbox.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no random numbers for a key.
    #[error("no key could be made: {0}")]
    NoKey(String),
    /// The client has ended. A message that was in the outbox is still there and is sent by the next client on this store.
    #[error("{0}")]
    Ended(End),
}
