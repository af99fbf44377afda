//! The stores in RocksDB: the only part of the product that names it.

mod ledger;
mod options;
mod views;
pub mod wal;

pub use ledger::RocksLedger;
pub use options::Memory;
pub use views::RocksViews;

use std::path::Path;

use crate::error::StoreError;

/// How a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To write and read; creates it when it is not there.
    Write,
    /// To read what is there; changes nothing on disk.
    Read,
}

/// Refuses to open for reading what is not there, which would else be begun.
fn must_be_there(store: &'static str, path: &Path) -> Result<(), StoreError> {
    if path.join("CURRENT").exists() {
        return Ok(());
    }
    Err(StoreError::Failed {
        store,
        reason: format!("there is no database at {}", path.display()),
    })
}

/// What RocksDB says when it cannot open a database. Files that are missing or not what they should be are damage, whatever
/// RocksDB calls it; everything else lies elsewhere (no space, no permission, in use).
fn not_opened(store: &'static str) -> impl Fn(rocksdb::Error) -> StoreError {
    use rocksdb::ErrorKind::{Corruption, IOError, InvalidArgument, NotSupported};
    move |error| match error.kind() {
        Corruption | InvalidArgument | NotSupported => damaged(store, error),
        IOError if error.as_ref().contains("No such file") => damaged(store, error),
        _ => failed(store)(error),
    }
}

fn damaged(store: &'static str, error: rocksdb::Error) -> StoreError {
    StoreError::corrupt(store, "the place RocksDB names", error.into_string())
}

fn failed(store: &'static str) -> impl Fn(rocksdb::Error) -> StoreError {
    move |error| match error.kind() {
        rocksdb::ErrorKind::Corruption => damaged(store, error),
        _ => StoreError::Failed {
            store,
            reason: error.into_string(),
        },
    }
}
