//! The tables of a store, how a file is opened, and how durable what is written is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::error::StoreError;

/// The version of the tables. An older one is brought up to it, a newer one is refused.
pub const VERSION: i64 = 1;

/// Marks the file as a store of this library: "wayb".
const APPLICATION_ID: i64 = 0x7761_7962;

/// How long a file that another process has open is waited for: one that was just killed may still be going.
const BUSY: Duration = Duration::from_millis(2_000);

/// Pages of the write-ahead log before SQLite moves them into the file.
const CHECKPOINT_PAGES: u32 = 1_000;

/// Version 1. `entries` with its cursor in `meta` is the user's log as far as this device has it. The tables that begin with
/// `next_` take a log of another history, until that is as complete as the old one and takes its place.
const TABLES: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    user TEXT NOT NULL,
    device TEXT NOT NULL,
    epoch BLOB,
    cursor INTEGER NOT NULL DEFAULT 0,
    forgotten INTEGER NOT NULL DEFAULT 0,
    next_epoch BLOB,
    next_cursor INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0,
    secured INTEGER NOT NULL DEFAULT 0,
    transport INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    made INTEGER NOT NULL,
    message BLOB NOT NULL,
    refusal TEXT
);
";

/// The tables of one history. `{}` is empty or `next_`.
const HISTORY: &str = "
CREATE TABLE {}entries (
    seq INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    time INTEGER NOT NULL,
    json TEXT NOT NULL
);
CREATE TABLE {}gaps (after INTEGER PRIMARY KEY, until INTEGER NOT NULL);
CREATE TABLE {}conversations (place INTEGER PRIMARY KEY, json TEXT NOT NULL);
";

/// The names in [`HISTORY`].
const OF_A_HISTORY: [&str; 3] = ["entries", "gaps", "conversations"];

/// Opens a file, or a store in memory, and makes the tables where they are missing.
pub(super) fn open(
    path: Option<&Path>,
    user: &str,
    device: &str,
) -> Result<Connection, StoreError> {
    let shown = path.map_or_else(|| PathBuf::from(":memory:"), Path::to_owned);
    let mut connection = match path {
        Some(path) => Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?,
        None => Connection::open_in_memory()?,
    };
    connection.busy_timeout(BUSY)?;
    let in_use = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::InUse(shown.clone())
        }
        Some(ErrorCode::NotADatabase) => StoreError::Foreign(shown.clone()),
        _ => error.into(),
    };
    // One process at a time: the lock is taken with the first write and kept. The system gives it back when a process dies.
    connection
        .pragma_update(None, "locking_mode", "EXCLUSIVE")
        .map_err(in_use)?;
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(in_use)?;
    check_kind(&connection, &shown, found)?;
    connection
        .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
        .map_err(in_use)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    durable(&connection, false)?;
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(in_use)?;
    if found == 0 {
        transaction.execute_batch(TABLES)?;
        create_history(&transaction, "")?;
        create_history(&transaction, "next_")?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    let owner: Option<(String, String)> = transaction
        .query_row("SELECT user, device FROM meta", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match owner {
        None => {
            transaction.execute(
                "INSERT INTO meta (id, user, device) VALUES (1, ?1, ?2)",
                (user, device),
            )?;
        }
        Some((of, on)) if of == user && on == device => {}
        Some((user, device)) => {
            return Err(StoreError::OtherOwner {
                path: shown,
                user,
                device,
            });
        }
    }
    transaction.commit()?;
    Ok(connection)
}

fn check_kind(connection: &Connection, path: &Path, found: i64) -> Result<(), StoreError> {
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (tables > 0 || found != 0) {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    if found > VERSION {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    Ok(())
}

fn create_history(connection: &Connection, prefix: &str) -> Result<(), StoreError> {
    Ok(connection.execute_batch(&HISTORY.replace("{}", prefix))?)
}

/// Empties the next history.
pub(super) fn clear_next(connection: &Connection) -> Result<(), StoreError> {
    for name in OF_A_HISTORY {
        connection.execute_batch(&format!("DELETE FROM next_{name}"))?;
    }
    Ok(())
}

/// Puts the next history in the place of the one shown.
pub(super) fn swap(connection: &Connection) -> Result<(), StoreError> {
    for name in OF_A_HISTORY {
        connection.execute_batch(&format!(
            "DROP TABLE {name}; ALTER TABLE next_{name} RENAME TO {name};"
        ))?;
    }
    create_history(connection, "next_")
}

/// What the next commits mean. A commit survives the end of the process in any case. One that is `durable` is on the disk when
/// it returns, with everything written before it, and survives a power cut; one that is not may be undone by a power cut,
/// always as a whole and together with those after it.
pub(super) fn durable(connection: &Connection, durable: bool) -> Result<(), StoreError> {
    let level = if durable { "FULL" } else { "NORMAL" };
    Ok(connection.pragma_update(None, "synchronous", level)?)
}
