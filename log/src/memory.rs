//! The in-memory twin of the stores: the same contract without a disk, with power cuts on demand. Tests of everything above run
//! on it.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::Mutex;
use waybill_core::id::Position;
use waybill_core::rules::NewRecord;
use waybill_core::state::{Effect, Family, Key, Value};

use crate::error::StoreError;
use crate::store::{Bodies, Durability, Ledger, Mark, Stored, Views, Visit};

/// A ledger in memory.
#[derive(Default)]
pub struct MemoryLedger {
    inner: Mutex<LedgerInner>,
}

#[derive(Default)]
struct LedgerInner {
    now: LedgerRows,
    synced: LedgerRows,
    fail_appends: bool,
    /// Whether `now` holds batches that `synced` does not.
    unsynced: bool,
}

#[derive(Clone, Default)]
struct LedgerRows {
    records: BTreeMap<u64, Vec<u8>>,
    bodies: BTreeMap<u64, Vec<u8>>,
}

impl LedgerRows {
    fn append(&mut self, records: &[NewRecord], erased: &[Position]) {
        for record in records {
            self.records.insert(record.position.0, record.bytes.clone());
            self.bodies
                .extend(record.body.clone().map(|body| (record.position.0, body)));
        }
        for position in erased {
            self.bodies.remove(&position.0);
        }
    }
}

impl MemoryLedger {
    /// Forgets what was not synced, as a power cut does.
    pub fn cut(&self) {
        let mut inner = self.inner.lock();
        inner.now = inner.synced.clone();
    }

    /// Makes every append from now on fail after it has written half, as a dying disk does.
    pub fn fail_appends(&self) {
        self.inner.lock().fail_appends = true;
    }

    /// Puts other bytes in the place of a record or body, or removes them.
    pub fn tamper(&self, position: Position, change: impl FnOnce(&mut Stored)) {
        let mut inner = self.inner.lock();
        let rows = &mut inner.now;
        let mut stored = Stored {
            record: rows.records.remove(&position.0),
            body: rows.bodies.remove(&position.0),
        };
        change(&mut stored);
        rows.records
            .extend(stored.record.map(|bytes| (position.0, bytes)));
        rows.bodies
            .extend(stored.body.map(|bytes| (position.0, bytes)));
        inner.synced = inner.now.clone();
    }
}

impl Ledger for MemoryLedger {
    fn append(
        &self,
        records: &[NewRecord],
        erased: &[Position],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        let failing = inner.fail_appends;
        inner.now.append(records, erased);
        if failing {
            return Err(StoreError::Failed {
                store: "ledger",
                reason: "it was told to fail".to_owned(),
            });
        }
        match durability {
            Durability::Sync if inner.unsynced => {
                inner.synced = inner.now.clone();
                inner.unsynced = false;
            }
            Durability::Sync => inner.synced.append(records, erased),
            Durability::None => inner.unsynced = true,
        }
        Ok(())
    }

    fn last(&self) -> Result<Option<(Position, Vec<u8>)>, StoreError> {
        let inner = self.inner.lock();
        Ok(inner
            .now
            .records
            .last_key_value()
            .map(|(position, bytes)| (Position(*position), bytes.clone())))
    }

    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.inner.lock().now.records.get(&position.0).cloned())
    }

    fn read(&self, positions: &[Position]) -> Result<Vec<Stored>, StoreError> {
        let inner = self.inner.lock();
        let stored = |position: &Position| Stored {
            record: inner.now.records.get(&position.0).cloned(),
            body: inner.now.bodies.get(&position.0).cloned(),
        };
        Ok(positions.iter().map(stored).collect())
    }

    fn walk(
        &self,
        from: Position,
        bodies: Bodies,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let rows = self.inner.lock().now.clone();
        for (position, record) in rows.records.range(from.0..) {
            let body = rows.bodies.get(position).filter(|_| bodies == Bodies::With);
            if !visit(Position(*position), record, body.map(Vec::as_slice)) {
                break;
            }
        }
        Ok(())
    }

    fn stray_bodies(&self, limit: usize) -> Result<Vec<Position>, StoreError> {
        let inner = self.inner.lock();
        let stray = inner
            .now
            .bodies
            .keys()
            .filter(|position| !inner.now.records.contains_key(position));
        Ok(stray
            .take(limit)
            .map(|position| Position(*position))
            .collect())
    }

    fn snapshot(&self, _to: &Path) -> Result<(), StoreError> {
        Err(StoreError::Failed {
            store: "ledger",
            reason: "it keeps nothing on disk".to_owned(),
        })
    }

    fn compact(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Views in memory.
#[derive(Default)]
pub struct MemoryViews {
    inner: Mutex<ViewsInner>,
}

#[derive(Default)]
struct ViewsInner {
    now: ViewRows,
    flushed: ViewRows,
}

#[derive(Clone, Default)]
struct ViewRows {
    rows: BTreeMap<(Family, Key), Value>,
    mark: Option<Mark>,
}

impl MemoryViews {
    /// Forgets what was not flushed, as any end of the process does.
    pub fn cut(&self) {
        let mut inner = self.inner.lock();
        inner.now = inner.flushed.clone();
    }

    /// Puts another value in the place of a row, or removes it.
    pub fn tamper(&self, family: Family, key: &Key, change: impl FnOnce(&mut Option<Value>)) {
        let mut inner = self.inner.lock();
        let mut value = inner.now.rows.remove(&(family, *key));
        change(&mut value);
        inner
            .now
            .rows
            .extend(value.map(|value| ((family, *key), value)));
        inner.flushed = inner.now.clone();
    }
}

impl Views for MemoryViews {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StoreError> {
        Ok(self.inner.lock().now.rows.get(&(family, *key)).cloned())
    }

    fn range(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Value)>, StoreError> {
        let (Some(from), Some(to)) = (Key::from_slice(from), Key::from_slice(to)) else {
            return Ok(Vec::new());
        };
        if from >= to {
            return Ok(Vec::new());
        }
        let inner = self.inner.lock();
        let rows = inner
            .now
            .rows
            .range((family, from)..(family, to))
            .take(limit);
        Ok(rows
            .map(|((_, key), value)| (key.as_slice().to_vec(), value.clone()))
            .collect())
    }

    fn walk(&self, family: Family, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let rows = self.inner.lock().now.rows.clone();
        for ((_, key), value) in rows.iter().filter(|((of, _), _)| *of == family) {
            visit(key.as_slice(), value);
        }
        Ok(())
    }

    fn write(&self, effects: &[Effect], mark: Option<&Mark>) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        for effect in effects {
            match effect {
                Effect::Append(family, key, value) | Effect::Put(family, key, value) => {
                    inner.now.rows.insert((*family, *key), value.clone());
                }
                Effect::Delete(family, key) => {
                    inner.now.rows.remove(&(*family, *key));
                }
            }
        }
        if let Some(mark) = mark {
            inner.now.mark = Some(*mark);
        }
        Ok(())
    }

    fn mark(&self) -> Result<Option<Mark>, StoreError> {
        Ok(self.inner.lock().now.mark)
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        inner.flushed = inner.now.clone();
        Ok(())
    }

    fn snapshot(&self, _to: &Path) -> Result<(), StoreError> {
        Err(StoreError::Failed {
            store: "views",
            reason: "they keep nothing on disk".to_owned(),
        })
    }

    fn compact(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
