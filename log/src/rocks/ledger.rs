//! The ledger in RocksDB: two families over one write-ahead log, one synced batch a commit.

mod audit;

use std::path::Path;
use std::thread;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, IteratorMode, ReadOptions, WriteBatch, WriteOptions,
};
use tracing::warn;
use waybill_core::id::Position;
use waybill_core::rules::NewRecord;

use super::options::{Memory, Squeeze};
use super::wal::{self, Verdict};
use super::{Access, failed, must_be_there, not_opened};
use crate::error::StoreError;
use crate::store::{Bodies, Durability, Ledger, Stored, Visit};

const STORE: &str = "ledger";
/// Position u64 big-endian → record.
const RECORDS: &str = "records";
/// Position u64 big-endian → `opening ‖ body`.
const BODIES: &str = "bodies";

/// What a batch adds to the value of a put: type, family, lengths and a key.
const PUT_BYTES: usize = 32;

/// Fewest positions whose records and bodies are read side by side: it costs a thread, as long as a few blocks take to read.
const READ_APART: usize = 32;

/// What several positions hold in one family.
type Found = Result<Vec<Option<Vec<u8>>>, StoreError>;

/// See the module.
pub struct RocksLedger {
    db: DB,
}

impl RocksLedger {
    /// Opens the database.
    ///
    /// A log whose last batch is torn, as a power cut during an unanswered write leaves it, is cut there, with a warning. Damage
    /// before that is refused. Whether the last *answered* batch is there, the caller must check: see
    /// [`witness`](crate::witness). What is cut off is kept beside the log until [`wal::forget_torn`].
    ///
    /// # Errors
    /// When the database is damaged or cannot be opened.
    pub fn open(path: &Path, memory: &Memory, access: Access) -> Result<Self, StoreError> {
        check_begun(path)?;
        check_logs(path, access)?;
        let mut options = memory.ledger();
        let families = [(RECORDS, Squeeze::RECORDS), (BODIES, Squeeze::BODIES)];
        let families = families.map(|(name, squeeze)| {
            ColumnFamilyDescriptor::new(name, memory.ledger_family(squeeze))
        });
        let db = match access {
            Access::Write => DB::open_cf_descriptors(&options, path, families),
            Access::Read => {
                must_be_there(STORE, path)?;
                Memory::leave_no_trace(&mut options);
                DB::open_cf_descriptors_read_only(&options, path, families, false)
            }
        };
        Ok(Self {
            db: db.map_err(not_opened(STORE))?,
        })
    }

    fn family(&self, name: &'static str) -> Result<&ColumnFamily, StoreError> {
        let missing = || StoreError::corrupt(STORE, name, "the column family is missing");
        self.db.cf_handle(name).ok_or_else(missing)
    }

    fn get(&self, family: &'static str, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        self.db
            .get_cf(self.family(family)?, position.0.to_be_bytes())
            .map_err(failed(STORE))
    }

    /// Records and bodies of these positions. Of many, which lie in as many blocks, the bodies are read on a thread of their own.
    fn both(&self, positions: &[Position]) -> (Found, Found) {
        if positions.len() < READ_APART {
            return (
                self.get_many(RECORDS, positions),
                self.get_many(BODIES, positions),
            );
        }
        thread::scope(|scope| {
            let read = || self.get_many(BODIES, positions);
            let bodies = thread::Builder::new().spawn_scoped(scope, read);
            let records = self.get_many(RECORDS, positions);
            let panicked = |_| {
                Err(StoreError::Failed {
                    store: STORE,
                    reason: "reading bodies has panicked".to_owned(),
                })
            };
            let bodies = match bodies {
                Ok(bodies) => bodies.join().unwrap_or_else(panicked),
                // The system has no more threads.
                Err(_) => self.get_many(BODIES, positions),
            };
            (records, bodies)
        })
    }

    fn get_many(&self, family: &'static str, positions: &[Position]) -> Found {
        let keys: Vec<[u8; 8]> = positions
            .iter()
            .map(|position| position.0.to_be_bytes())
            .collect();
        let sorted = positions.is_sorted();
        let found = self
            .db
            .batched_multi_get_cf(self.family(family)?, &keys, sorted);
        found
            .into_iter()
            .map(|value| Ok(value.map_err(failed(STORE))?.map(|value| value.to_vec())))
            .collect()
    }
}

/// Refuses a directory that has lost its `CURRENT` file: RocksDB would begin a new database in it and remove the tables of the
/// old one.
fn check_begun(path: &Path) -> Result<(), StoreError> {
    let current = path.join("CURRENT");
    if current.exists() || !path.exists() {
        return Ok(());
    }
    let io = |error: std::io::Error| StoreError::Failed {
        store: STORE,
        reason: format!("{}: {error}", path.display()),
    };
    for entry in path.read_dir().map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        // Logs are begun after `CURRENT` is written, tables later still.
        if name.as_encoded_bytes().ends_with(b".sst") || name.as_encoded_bytes().ends_with(b".log")
        {
            let reason = format!("it is missing, and there is a {}", name.display());
            return Err(StoreError::corrupt(STORE, current.display(), reason));
        }
    }
    Ok(())
}

/// Looks at the write-ahead logs before RocksDB does, which takes some damage for the end of a log and drops what follows, and
/// loops for ever over some other. A torn last batch is cut off here, so that RocksDB never meets it.
fn check_logs(path: &Path, access: Access) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    let io = |error: std::io::Error| StoreError::Failed {
        store: STORE,
        reason: format!("its write-ahead log: {error}"),
    };
    match wal::verdict(path).map_err(io)? {
        Verdict::Intact { .. } => Ok(()),
        Verdict::TornTail {
            file,
            offset,
            lost_bytes,
            ..
        } if access == Access::Write => {
            warn!(
                file = %file.display(), offset, lost_bytes,
                "the last batch of the ledger is torn, as a write that was under way leaves it, and is cut off"
            );
            wal::cut_torn(&file, offset).map_err(io)
        }
        Verdict::TornTail { file, offset, .. } => {
            let place = format!("{}, offset {offset}", file.display());
            Err(StoreError::corrupt(
                STORE,
                place,
                "the last, unanswered batch is torn; start the server once to have it cut off",
            ))
        }
        Verdict::Corrupt {
            file, offset, what, ..
        } => {
            let place = format!("{}, offset {offset}", file.display());
            Err(StoreError::corrupt(
                STORE,
                place,
                format!("{what}; answered records lie behind it"),
            ))
        }
    }
}

fn position(key: &[u8]) -> Result<Position, StoreError> {
    let bytes: [u8; 8] = key
        .try_into()
        .map_err(|_| StoreError::corrupt(STORE, "a key", "it is no position"))?;
    Ok(Position(u64::from_be_bytes(bytes)))
}

impl Ledger for RocksLedger {
    fn append(
        &self,
        records: &[NewRecord],
        erased: &[Position],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let (record_family, body_family) = (self.family(RECORDS)?, self.family(BODIES)?);
        let body_bytes = |record: &NewRecord| record.body.as_ref().map_or(0, Vec::len);
        let bytes: usize = records
            .iter()
            .map(|record| record.bytes.len() + body_bytes(record))
            .sum();
        let mut batch =
            WriteBatch::with_capacity_bytes(bytes + (2 * records.len() + erased.len()) * PUT_BYTES);
        for record in records {
            let key = record.position.0.to_be_bytes();
            batch.put_cf(record_family, key, &record.bytes);
            if let Some(body) = &record.body {
                batch.put_cf(body_family, key, body);
            }
        }
        for position in erased {
            batch.delete_cf(body_family, position.0.to_be_bytes());
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Sync);
        self.db.write_opt(batch, &options).map_err(failed(STORE))
    }

    fn last(&self) -> Result<Option<(Position, Vec<u8>)>, StoreError> {
        match self
            .db
            .iterator_cf(self.family(RECORDS)?, IteratorMode::End)
            .next()
        {
            None => Ok(None),
            Some(item) => {
                let (key, value) = item.map_err(failed(STORE))?;
                Ok(Some((position(&key)?, value.into_vec())))
            }
        }
    }

    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(RECORDS, position)
    }

    fn read(&self, positions: &[Position]) -> Result<Vec<Stored>, StoreError> {
        let (records, bodies) = self.both(positions);
        Ok(records?
            .into_iter()
            .zip(bodies?)
            .map(|(record, body)| Stored { record, body })
            .collect())
    }

    fn walk(
        &self,
        from: Position,
        bodies: Bodies,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let iterate = |family: &'static str| -> Result<_, StoreError> {
            let mut options = ReadOptions::default();
            options.set_readahead_size(1 << 20);
            // A walk must not push out of the cache what pulls need.
            options.fill_cache(false);
            let mut iterator = self.db.raw_iterator_cf_opt(self.family(family)?, options);
            iterator.seek(from.0.to_be_bytes());
            Ok(iterator)
        };
        let mut records = iterate(RECORDS)?;
        let mut stored = match bodies {
            Bodies::With => Some(iterate(BODIES)?),
            Bodies::Without => None,
        };
        while let Some((key, record)) = records.item() {
            let mut body = None;
            if let Some(stored) = &mut stored {
                while stored.key().is_some_and(|at| at < key) {
                    stored.next();
                }
                body = stored
                    .item()
                    .filter(|(at, _)| *at == key)
                    .map(|(_, value)| value);
            }
            if !visit(position(key)?, record, body) {
                return Ok(());
            }
            records.next();
        }
        if let Some(stored) = stored {
            stored.status().map_err(failed(STORE))?;
        }
        records.status().map_err(failed(STORE))
    }

    fn stray_bodies(&self, limit: usize) -> Result<Vec<Position>, StoreError> {
        let mut records = self.db.raw_iterator_cf(self.family(RECORDS)?);
        let mut bodies = self.db.raw_iterator_cf(self.family(BODIES)?);
        records.seek_to_first();
        bodies.seek_to_first();
        let mut stray = Vec::new();
        while let Some(key) = bodies.key()
            && stray.len() < limit
        {
            while records.key().is_some_and(|at| at < key) {
                records.next();
            }
            if records.key() != Some(key) {
                stray.push(position(key)?);
            }
            bodies.next();
        }
        bodies
            .status()
            .and_then(|()| records.status())
            .map_err(failed(STORE))?;
        Ok(stray)
    }

    fn snapshot(&self, to: &Path) -> Result<(), StoreError> {
        let checkpoint = Checkpoint::new(&self.db).map_err(failed(STORE))?;
        checkpoint.create_checkpoint(to).map_err(failed(STORE))
    }

    fn compact(&self) -> Result<(), StoreError> {
        for family in [RECORDS, BODIES] {
            compact(&self.db, self.family(family)?);
        }
        Ok(())
    }
}

/// Rewrites a family down to its last level, that too.
pub(super) fn compact(db: &DB, family: &ColumnFamily) {
    let mut options = rocksdb::CompactOptions::default();
    options.set_bottommost_level_compaction(rocksdb::BottommostLevelCompaction::Force);
    db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
}
