//! The contract of the two stores. RocksDB and the in-memory twin both keep it (`tests/contract/` runs the same tests over
//! both), so everything above is tested without RocksDB too.

use std::path::Path;

use waybill_core::id::{Epoch, Hash, Position};
use waybill_core::rules::NewRecord;
use waybill_core::state::{Effect, Family, Key, Value};

use crate::error::StoreError;

/// What one ledger position holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The record's bytes.
    pub record: Option<Vec<u8>>,
    /// `opening ‖ body`, when the record has a body that was not erased.
    pub body: Option<Vec<u8>>,
}

impl Stored {
    /// Bytes of both.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.record.as_ref().map_or(0, Vec::len) + self.body.as_ref().map_or(0, Vec::len)
    }
}

/// Whether a batch must be on disk when [`Ledger::append`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Synced to disk.
    Sync,
    /// Handed to the operating system only: where the command source is durable itself, and in the tests that show that
    /// skipping the sync loses something.
    None,
}

/// Whether a walk over the ledger fetches bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// Records and bodies.
    With,
    /// Records only; the body is always `None`.
    Without,
}

/// Called with each position, its record and its body; false ends the walk.
pub type Visit<'a> = dyn FnMut(Position, &[u8], Option<&[u8]>) -> bool + 'a;

/// The one append-only, totally ordered sequence of records of a partition.
///
/// One thread appends; any number read. A batch is atomic: after a crash all of it is there, or nothing of it. After `append`
/// has returned with [`Durability::Sync`], it survives a power cut.
pub trait Ledger: Send + Sync + 'static {
    /// Appends `records`, whose positions follow the last one densely, and then deletes the bodies at `erased`.
    ///
    /// # Errors
    /// When it is unknown whether the batch is on disk. The ledger may not be appended to again.
    fn append(
        &self,
        records: &[NewRecord],
        erased: &[Position],
        durability: Durability,
    ) -> Result<(), StoreError>;

    /// The last position and its record.
    ///
    /// # Errors
    /// When the store fails.
    fn last(&self) -> Result<Option<(Position, Vec<u8>)>, StoreError>;

    /// The bytes of one record.
    ///
    /// # Errors
    /// When the store fails.
    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StoreError>;

    /// What several positions hold, in the order asked for.
    ///
    /// # Errors
    /// When the store fails.
    fn read(&self, positions: &[Position]) -> Result<Vec<Stored>, StoreError>;

    /// Walks all records from `from` upwards, with their bodies if asked for, until the end or until `visit` returns false.
    /// Keys that are not dense are passed on as they are: it is the caller who judges.
    ///
    /// # Errors
    /// When the store fails.
    fn walk(&self, from: Position, bodies: Bodies, visit: &mut Visit<'_>)
    -> Result<(), StoreError>;

    /// Positions that have a body but no record, which no program of ours leaves behind; at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    fn stray_bodies(&self, limit: usize) -> Result<Vec<Position>, StoreError>;

    /// Copies the whole store, as of now, to a directory that does not exist yet.
    ///
    /// # Errors
    /// When the store fails, or keeps nothing on disk.
    fn snapshot(&self, to: &Path) -> Result<(), StoreError>;

    /// Rewrites everything into its final, smallest form. Takes long.
    ///
    /// # Errors
    /// When the store fails.
    fn compact(&self) -> Result<(), StoreError>;
}

/// Up to where the views have applied the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The history that was applied.
    pub epoch: Epoch,
    /// The last record applied; 0 for none.
    pub position: Position,
    /// Its leaf hash.
    pub leaf: Hash,
}

/// What the views say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Layout of the rows.
    pub version: u32,
    /// Rows of updated families are as of here, exactly; appended rows may be further.
    pub applied: Option<Applied>,
    /// Whether that is so. It is not while the rows of a flush are being written.
    pub whole: bool,
}

/// The views: rows by family. Nothing is durable before [`Views::flush`]; what a crash then leaves is the state of all families
/// at one moment between two writes, no older than the last flush that returned.
pub trait Views: Send + Sync + 'static {
    /// One row.
    ///
    /// # Errors
    /// When the store fails.
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StoreError>;

    /// Several rows of a family, in the order asked for.
    ///
    /// # Errors
    /// When the store fails.
    fn get_many(&self, family: Family, keys: &[Key]) -> Result<Vec<Option<Value>>, StoreError> {
        keys.iter().map(|key| self.get(family, key)).collect()
    }

    /// Rows of a family from `from` up to but not including `to`, ascending, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    fn range(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Value)>, StoreError>;

    /// Walks all rows of a family in ascending order.
    ///
    /// # Errors
    /// When the store fails.
    fn walk(&self, family: Family, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError>;

    /// Makes these changes, and writes `mark` with them if given.
    ///
    /// # Errors
    /// When the store fails. The views may not be written to again.
    fn write(&self, effects: &[Effect], mark: Option<&Mark>) -> Result<(), StoreError>;

    /// What the views say of themselves; `None` when nothing was ever written.
    ///
    /// # Errors
    /// When the store fails, or the mark is malformed.
    fn mark(&self) -> Result<Option<Mark>, StoreError>;

    /// Makes everything written so far durable, all families at one moment.
    ///
    /// # Errors
    /// When it is unknown what is on disk.
    fn flush(&self) -> Result<(), StoreError>;

    /// Copies the whole store, as of now, to a directory that does not exist yet.
    ///
    /// # Errors
    /// When the store fails, or keeps nothing on disk.
    fn snapshot(&self, to: &Path) -> Result<(), StoreError>;

    /// Rewrites everything into its final, smallest form. Takes long.
    ///
    /// # Errors
    /// When the store fails.
    fn compact(&self) -> Result<(), StoreError>;
}
