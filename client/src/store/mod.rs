//! What a device keeps: its user's log with the cursor, and the messages that wait to be sent. One SQLite file for each user and
//! device. Entries and cursor are written in one transaction, so that a process that is killed at any moment has each entry
//! exactly once. It knows no server and no connection; it blocks, so it lives on a thread of its own ([`thread`]).

mod error;
mod history;
mod outbox;
mod schema;
#[cfg(test)]
mod tests;
pub(crate) mod thread;

use std::path::Path;

use rusqlite::Connection;
use waybill_core::id::{Epoch, Seq};

pub use error::StoreError;
pub use history::Snapshot;
pub use outbox::{OUTBOX_MESSAGES, Waiting};
pub use schema::VERSION;

use crate::log_entry::LogEntry;

/// Most entries read at a time.
pub const READ_ENTRIES: u32 = 1_000;

/// Most conversations kept of a snapshot.
pub const SNAPSHOT_CONVERSATIONS: u32 = 10_000;

/// Largest seq or time that a store holds: the integers of SQLite have a sign.
pub(crate) const LARGEST: u64 = i64::MAX.cast_unsigned();

/// Where synchronisation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Which history is being fetched; `None` before the first contact with a server.
    pub epoch: Option<Epoch>,
    /// The last entry of it that is stored.
    pub cursor: Seq,
    /// The last entry that was forgotten.
    pub forgotten: Seq,
    /// Whether this history is not shown yet, because it is less complete than the one it replaces.
    pub building: bool,
    /// How many histories were shown before the one that is shown now.
    pub generation: u64,
}

/// A hole in the log: the server no longer had these entries when this device came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last entry before it.
    pub after: Seq,
    /// The last entry that is missing.
    pub until: Seq,
}

/// See the module.
pub struct Store {
    connection: Connection,
    position: Position,
    /// The cursor of the history that is shown.
    shown: Seq,
}

impl Store {
    /// Opens a file, and makes it where there is none. It is locked for as long as the store lives.
    ///
    /// # Errors
    /// When the file is in use, is not a store, is of a newer program or of another user or device, or cannot be written.
    pub fn open(path: &Path, user: &str, device: &str) -> Result<Self, StoreError> {
        Self::of(schema::open(Some(path), user, device)?)
    }

    /// A store in memory, which is gone with the process.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn in_memory(user: &str, device: &str) -> Result<Self, StoreError> {
        Self::of(schema::open(None, user, device)?)
    }

    fn of(connection: Connection) -> Result<Self, StoreError> {
        connection.set_prepared_statement_cache_capacity(32);
        let (position, shown) = history::position(&connection)?;
        Ok(Self {
            connection,
            position,
            shown,
        })
    }

    /// Where synchronisation stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The last entry of the history that is shown.
    #[must_use]
    pub fn shown(&self) -> Seq {
        self.shown
    }

    /// The entries after a seq, ascending: at most `limit`, and at most [`READ_ENTRIES`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn entries(&self, after: Seq, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, kind, time, json FROM entries WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let rows = statement.query_map(
            (signed(after.0).unwrap_or(i64::MAX), limit.min(READ_ENTRIES)),
            |row| {
                Ok(LogEntry::stored(
                    row.get::<_, i64>(0)?.cast_unsigned(),
                    row.get(1)?,
                    row.get::<_, i64>(2)?.cast_unsigned(),
                    row.get(3)?,
                ))
            },
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The holes of the log, ascending.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn gaps(&self) -> Result<Vec<Gap>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT after, until FROM gaps ORDER BY after LIMIT 10000")?;
        let rows = statement.query_map([], |row| {
            Ok(Gap {
                after: Seq(row.get::<_, i64>(0)?.cast_unsigned()),
                until: Seq(row.get::<_, i64>(1)?.cast_unsigned()),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The conversations of the last snapshot that was taken, as JSON, in the server's order. They are as of that snapshot:
    /// entries after it change them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn conversations(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT json FROM conversations ORDER BY place LIMIT ?1")?;
        let rows = statement.query_map([SNAPSHOT_CONVERSATIONS], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Which transport worked last, as a number of the caller's.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn transport(&self) -> Result<u8, StoreError> {
        let number = self
            .connection
            .query_row("SELECT transport FROM meta", [], |row| row.get::<_, i64>(0))?;
        Ok(u8::try_from(number).unwrap_or_default())
    }

    /// Remembers which transport works.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_transport(&self, number: u8) -> Result<(), StoreError> {
        self.connection
            .execute("UPDATE meta SET transport = ?1", [number])?;
        Ok(())
    }

    /// Returns when everything written so far has reached the disk. What is acknowledged to a server is secured first: it
    /// may then count on it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn secure(&self) -> Result<(), StoreError> {
        self.durably(|connection| {
            connection.execute("UPDATE meta SET secured = secured + 1", [])?;
            Ok(())
        })
    }

    /// Runs one commit that is on the disk when it returns.
    fn durably<T>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        schema::durable(&self.connection, true)?;
        let written = write(&self.connection);
        schema::durable(&self.connection, false)?;
        written
    }
}

/// A number as SQLite has it.
fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Value(format!("{number}")))
}
