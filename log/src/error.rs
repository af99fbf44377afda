//! What can go wrong below the domain, by who has to act: the operator, the caller, or nobody any more.

use std::path::PathBuf;

use waybill_core::id::Position;
use waybill_core::outcome::StateError;

/// A store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk or the database under a store failed. After a failed write or sync nothing is known of what is on disk:
    /// the writer stops.
    #[error("{store}: {reason}")]
    Failed {
        /// Which store.
        store: &'static str,
        /// What the database says.
        reason: String,
    },
    /// What is on disk cannot be what this program wrote. Nothing is served from it.
    #[error("{store} is corrupt at {place}: {reason}")]
    Corrupt {
        /// Which store.
        store: &'static str,
        /// Where: a file and offset, or a position.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn corrupt(
        store: &'static str,
        place: impl ToString,
        reason: impl ToString,
    ) -> Self {
        Self::Corrupt {
            store,
            place: place.to_string(),
            reason: reason.to_string(),
        }
    }
}

impl From<StoreError> for StateError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "{path} is in use by another process; stop that first, or give this one a directory of its own"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A newer program has written it.
    #[error(
        "{path} has ledger format {found}; this program knows formats up to {known}: use a Waybill that knows format {found}"
    )]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this program knows.
        known: u32,
    },
    /// It is no data directory of Waybill, and not empty either.
    #[error("{path} is not empty and holds no Waybill ledger: {reason}")]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// What is odd about it.
        reason: String,
    },
    /// The ledger ends before something that was answered.
    #[error(
        "the ledger ends at position {last}, but {witness} shows that position {expected} was answered: records are missing. \
         Restore the directory from a backup; nothing is served from it"
    )]
    Truncated {
        /// The last record found.
        last: Position,
        /// The record that must be there.
        expected: Position,
        /// What shows it.
        witness: &'static str,
    },
    /// The ledger holds another record where one was answered.
    #[error(
        "record {position} is not the one that {witness} has seen: the ledger was changed or exchanged. \
         Restore the directory from a backup; nothing is served from it"
    )]
    Replaced {
        /// The record.
        position: Position,
        /// What shows it.
        witness: &'static str,
    },
    /// A store failed or is corrupt.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record or row is not what this program would have written.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// Why a command got no answer of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriterError {
    /// The writer has as much waiting as it may hold. Nothing was done; try again later.
    #[error("too much work is waiting; try again later")]
    Busy,
    /// The deadline passed before the command was decided. Nothing was done.
    #[error("the deadline passed before the command was taken; nothing was done")]
    Expired,
    /// The writer has stopped. The command may or may not have been done: ask again with the same key.
    #[error("the server stopped while the command was under way; ask again with the same key")]
    Stopped,
}
