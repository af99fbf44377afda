//! What can go wrong with a store.

use std::path::PathBuf;

/// Why a store could not be opened, read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has the file open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The file is of a newer program.
    #[error("{} is of version {found}; this program knows versions up to {known}", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The file is an SQLite database, but no store of this library.
    #[error("{} is not a store of messages", .0.display())]
    Foreign(PathBuf),
    /// The file belongs to another user or device.
    #[error("{} belongs to user {user:?}, device {device:?}", path.display())]
    OtherOwner {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        user: String,
        /// Of which device.
        device: String,
    },
    /// As many outgoing messages wait, or were refused and not discarded, as the store takes.
    #[error("{0} outgoing messages wait or were refused: discard some, or try again later")]
    OutboxFull(u32),
    /// The key already stands for another outgoing message.
    #[error("the key {0:?} stands for another message that waits to be sent")]
    KeyTaken(String),
    /// Entries do not follow the last one stored.
    #[error("entry {found} does not follow entry {last}")]
    Gap {
        /// The last one stored.
        last: u64,
        /// The first that came.
        found: u64,
    },
    /// A value in the store, or one to be stored, is not what it should be.
    #[error("the store holds, or was given, a value that is not possible: {0}")]
    Value(String),
    /// SQLite failed: the disk is full, broken, or not writable.
    #[error("the store failed: {0}")]
    Sqlite(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error.to_string())
    }
}
