//! Keeping a store in step with a server: [`machine`] decides, [`run`] does.

mod backoff;
mod check;
mod links;
mod machine;
mod outgoing;
mod reading;
mod reports;
pub(crate) mod run;
mod sender;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use waybill_core::id::{Epoch, Seq};
use waybill_core::wire::Code;

use crate::error::Error;
use crate::log_entry::LogEntry;

pub(crate) use words::Reached;

/// Entries of a log, as they come from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Of which history.
    pub epoch: Epoch,
    /// The last entry that the server has.
    pub head: Seq,
    /// The entries, without a gap.
    pub entries: Vec<LogEntry>,
}

/// When things are done.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Longest wait before the first reconnection; the next ones wait up to twice as long each.
    pub backoff: Duration,
    /// Longest wait of all.
    pub backoff_most: Duration,
    /// A connection that has held so long is a good one: the next loss begins with the shortest wait again.
    pub stable: Duration,
    /// How often a better transport than the one in use is tried.
    pub better: Duration,
    /// What is stored is acknowledged after so long at the latest.
    pub acknowledge_after: Duration,
    /// And as soon as so many entries wait for it.
    pub acknowledge_entries: u64,
    /// Messages sent and not answered at a time.
    pub sends: usize,
    /// Entries that the store may hold that were not forgotten; at that many reading stops.
    pub room: Option<u64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            backoff: Duration::from_millis(500),
            backoff_most: Duration::from_secs(60),
            stable: Duration::from_secs(10),
            better: Duration::from_secs(300),
            acknowledge_after: Duration::from_millis(1_000),
            acknowledge_entries: 256,
            sends: 32,
            room: None,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Why synchronisation has ended for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The program closed the client.
    #[error("the client was closed")]
    Closed,
    /// The server does not take the token: it has expired, was revoked, or was never good. Open a client with a new one.
    #[error("the server does not take the token: {0}")]
    Token(Error),
    /// The token may not read this user's log.
    #[error("the token may not read this log: {0}")]
    Forbidden(Error),
    /// The same device has connected from elsewhere: two programs use one device id.
    #[error("the same device has connected from elsewhere")]
    Superseded,
    /// The user has logged in on another device, and the server takes one only. The token is revoked.
    #[error("the user has logged in elsewhere")]
    LoggedInElsewhere,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

impl End {
    /// Whether an error means that trying again is of no use.
    fn of(error: &Error) -> Option<Self> {
        match error.code()? {
            Code::NO_TOKEN
            | Code::TOKEN_MALFORMED
            | Code::TOKEN_EXPIRED
            | Code::TOKEN_NOT_YET_VALID
            | Code::TOKEN_UNKNOWN
            | Code::TOKEN_REVOKED => Some(Self::Token(error.clone())),
            Code::FORBIDDEN => Some(Self::Forbidden(error.clone())),
            Code::LOGGED_IN_ELSEWHERE => Some(Self::LoggedInElsewhere),
            Code::SUPERSEDED => Some(Self::Superseded),
            _ => None,
        }
    }
}
