//! The views in RocksDB: a family for each of the domain's, no write-ahead log, one atomic flush for all.

mod bulk;

use std::path::Path;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, Direction, FlushOptions, IteratorMode, ReadOptions,
    WriteBatch, WriteOptions,
};
use waybill_core::id::{Epoch, Hash, Position};
use waybill_core::state::{Effect, FAMILIES, Family, Key, Value};

use super::options::Memory;
use super::{Access, failed, must_be_there, not_opened};
use crate::error::StoreError;
use crate::store::{Applied, Mark, Views};

const STORE: &str = "views";
/// Holds the mark alone. RocksDB always has this family.
const DEFAULT: &str = "default";
const MARK_KEY: &[u8] = b"mark";
/// Version u32, whole u8, then epoch 16, position u64, leaf 32 when anything is applied; big-endian.
const MARK_BYTES: usize = 4 + 1 + 16 + 8 + 32;

/// An effect in a batch, about: type, family, lengths, key and a short value.
const EFFECT_BYTES: usize = 64;

/// See the module.
pub struct RocksViews {
    db: DB,
}

impl RocksViews {
    /// Opens the database.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is damaged, or files of it are missing; [`StoreError::Failed`] when it cannot be opened for
    /// a reason that lies elsewhere.
    pub fn open(path: &Path, memory: &Memory, access: Access) -> Result<Self, StoreError> {
        let mut options = memory.views();
        let families = FAMILIES
            .iter()
            .map(|info| ColumnFamilyDescriptor::new(info.name, memory.views_family(info)));
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

    /// Whether the database at `path` has other families than this program, so that it cannot be opened: it has another
    /// version.
    #[must_use]
    pub fn has_other_families(path: &Path) -> bool {
        let Ok(mut found) = DB::list_cf(&rocksdb::Options::default(), path) else {
            return false;
        };
        found.retain(|name| name != DEFAULT);
        found
            .iter()
            .any(|name| !FAMILIES.iter().any(|info| info.name == name))
    }

    /// Rows whose keys lie close together, found by one walk past them: where most are not there, that costs next to nothing.
    fn run(
        &self,
        family: Family,
        keys: &[Key],
        to: &[u8],
    ) -> Result<Vec<Option<Value>>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to);
        let mut rows = self
            .db
            .raw_iterator_cf_opt(self.family(family.name())?, options);
        rows.seek(keys.first().map_or(&[][..], Key::as_slice));
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            while rows.key().is_some_and(|at| at < key.as_slice()) {
                rows.next();
            }
            let found = rows.item().filter(|(at, _)| *at == key.as_slice());
            values.push(found.map(|(_, value)| value.to_vec()));
        }
        rows.status().map_err(failed(STORE))?;
        Ok(values)
    }

    fn family(&self, name: &'static str) -> Result<&ColumnFamily, StoreError> {
        let missing = || StoreError::corrupt(STORE, name, "the column family is missing");
        self.db.cf_handle(name).ok_or_else(missing)
    }
}

impl Views for RocksViews {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StoreError> {
        self.db
            .get_cf(self.family(family.name())?, key.as_slice())
            .map_err(failed(STORE))
    }

    fn get_many(&self, family: Family, keys: &[Key]) -> Result<Vec<Option<Value>>, StoreError> {
        if let Some(to) = end_of_run(keys) {
            return self.run(family, keys, &to);
        }
        let names = keys.iter().map(Key::as_slice);
        let found =
            self.db
                .batched_multi_get_cf(self.family(family.name())?, names, keys.is_sorted());
        found
            .into_iter()
            .map(|value| Ok(value.map_err(failed(STORE))?.map(|value| value.to_vec())))
            .collect()
    }

    fn range(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Value)>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to);
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = self
            .db
            .iterator_cf_opt(self.family(family.name())?, options, mode)
            .take(limit);
        rows.map(|row| {
            row.map(|(key, value)| (key.into_vec(), value.into_vec()))
                .map_err(failed(STORE))
        })
        .collect()
    }

    fn walk(&self, family: Family, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let mut options = ReadOptions::default();
        options.set_readahead_size(1 << 20);
        options.fill_cache(false);
        let mut rows = self
            .db
            .raw_iterator_cf_opt(self.family(family.name())?, options);
        rows.seek_to_first();
        while let Some((key, value)) = rows.item() {
            visit(key, value);
            rows.next();
        }
        rows.status().map_err(failed(STORE))
    }

    fn write(&self, effects: &[Effect], mark: Option<&Mark>) -> Result<(), StoreError> {
        let mut batch = WriteBatch::with_capacity_bytes(effects.len() * EFFECT_BYTES);
        // Looked up once each: effects come sorted by family.
        let mut last: Option<(Family, &ColumnFamily)> = None;
        for effect in effects {
            let (Effect::Append(family, ..) | Effect::Put(family, ..) | Effect::Delete(family, ..)) =
                effect;
            let handle = match last {
                Some((known, handle)) if known == *family => handle,
                _ => self.family(family.name())?,
            };
            last = Some((*family, handle));
            match effect {
                Effect::Append(_, key, value) | Effect::Put(_, key, value) => {
                    batch.put_cf(handle, key.as_slice(), value)
                }
                Effect::Delete(_, key) => batch.delete_cf(handle, key.as_slice()),
            }
        }
        if let Some(mark) = mark {
            batch.put_cf(self.family(DEFAULT)?, MARK_KEY, encode_mark(mark));
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch, &options).map_err(failed(STORE))
    }

    fn mark(&self) -> Result<Option<Mark>, StoreError> {
        let value = self
            .db
            .get_cf(self.family(DEFAULT)?, MARK_KEY)
            .map_err(failed(STORE))?;
        let malformed = || StoreError::corrupt(STORE, "mark", "it is not what this program writes");
        value
            .map(|value| decode_mark(&value).ok_or_else(malformed))
            .transpose()
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut families = vec![self.family(DEFAULT)?];
        for info in &FAMILIES {
            families.push(self.family(info.name)?);
        }
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db
            .flush_cfs_opt(&families, &options)
            .map_err(failed(STORE))
    }

    fn snapshot(&self, to: &Path) -> Result<(), StoreError> {
        let checkpoint = Checkpoint::new(&self.db).map_err(failed(STORE))?;
        checkpoint.create_checkpoint(to).map_err(failed(STORE))
    }

    fn compact(&self) -> Result<(), StoreError> {
        for info in &FAMILIES {
            super::ledger::compact(&self.db, self.family(info.name)?);
        }
        Ok(())
    }
}

/// How far apart keys may lie on average for a walk past all between them to be cheaper than a look-up of each.
const MOST_BETWEEN: u64 = 4;

/// Fewest rows for which a walk is begun.
const FEWEST_IN_A_RUN: usize = 8;

/// The end of the range in which these keys lie close together: they ascend, and differ in the number at their end alone. `None`
/// when they do not.
fn end_of_run(keys: &[Key]) -> Option<Vec<u8>> {
    let (first, last) = (keys.first()?, keys.last()?);
    let (of_first, _) = first.as_slice().split_last_chunk::<8>()?;
    let (of_last, _) = last.as_slice().split_last_chunk::<8>()?;
    let span = last.last_number().checked_sub(first.last_number())?;
    let close = span / MOST_BETWEEN <= keys.len() as u64;
    let is_run = keys.len() >= FEWEST_IN_A_RUN && of_first == of_last && close;
    if !is_run || !keys.is_sorted() {
        return None;
    }
    let mut end = last.as_slice().to_vec();
    end.push(0);
    Some(end)
}

fn encode_mark(mark: &Mark) -> Vec<u8> {
    let mut out = Vec::with_capacity(MARK_BYTES);
    out.extend_from_slice(&mark.version.to_be_bytes());
    out.push(u8::from(mark.whole));
    if let Some(applied) = &mark.applied {
        out.extend_from_slice(&applied.epoch.0);
        out.extend_from_slice(&applied.position.0.to_be_bytes());
        out.extend_from_slice(&applied.leaf.0);
    }
    out
}

fn decode_mark(bytes: &[u8]) -> Option<Mark> {
    let (version, rest) = bytes.split_first_chunk::<4>()?;
    let ([whole], rest) = rest.split_first_chunk::<1>()?;
    let applied = match rest.split_first_chunk::<16>() {
        None if rest.is_empty() => None,
        None => return None,
        Some((epoch, rest)) => {
            let (position, leaf) = rest.split_first_chunk::<8>()?;
            let leaf = leaf.try_into().ok()?;
            Some(Applied {
                epoch: Epoch(*epoch),
                position: Position(u64::from_be_bytes(*position)),
                leaf: Hash(leaf),
            })
        }
    };
    Some(Mark {
        version: u32::from_be_bytes(*version),
        applied,
        whole: *whole == 1,
    })
}
