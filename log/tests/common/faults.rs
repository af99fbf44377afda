//! The in-memory stores, failing when they are told to: at the n-th write, before it, half way or after it, and with flushes that
//! nobody asked for, as RocksDB makes them when its buffers are full.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use waybill_core::id::Position;
use waybill_core::rules::NewRecord;
use waybill_core::state::{Effect, Family, Key, Value};
use waybill_log::StoreError;
use waybill_log::memory::{MemoryLedger, MemoryViews};
use waybill_log::store::{Bodies, Durability, Ledger, Mark, Stored, Views, Visit};

/// How the machine stops at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Nothing of the write is there.
    Before,
    /// The write reached the operating system, and not the disk.
    Unsynced,
    /// The write is on disk, and nobody learns of it.
    After,
}

/// When the machine stops. After that every call fails.
#[derive(Debug)]
pub struct Faults {
    /// Writes until then.
    left: AtomicI64,
    crash: Crash,
    dead: AtomicBool,
    /// Every so many writes the views flush by themselves; 0 for never.
    flush_every: u64,
    writes: AtomicU64,
}

const NEVER: i64 = i64::MAX;

enum Then {
    Go,
    Stop(Crash),
    Dead,
}

impl Faults {
    pub fn new(crash: Crash, flush_every: u64) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicI64::new(NEVER),
            crash,
            dead: AtomicBool::new(false),
            flush_every,
            writes: AtomicU64::new(0),
        })
    }

    /// Stops at the n-th write from now; 0 is the next.
    pub fn stop_at(&self, writes: i64) {
        self.left.store(writes, Ordering::SeqCst);
    }

    /// Stops now.
    pub fn stop(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Writes so far.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    fn write(&self) -> Then {
        if self.is_dead() {
            return Then::Dead;
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            0 => {
                self.stop();
                Then::Stop(self.crash)
            }
            _ => Then::Go,
        }
    }

    fn read(&self) -> Result<(), StoreError> {
        if self.is_dead() { Err(dead()) } else { Ok(()) }
    }
}

fn dead() -> StoreError {
    StoreError::Failed {
        store: "machine",
        reason: "it has stopped".to_owned(),
    }
}

pub struct FaultyLedger(pub Arc<MemoryLedger>, pub Arc<Faults>);
pub struct FaultyViews(pub Arc<MemoryViews>, pub Arc<Faults>);

impl Ledger for FaultyLedger {
    fn append(
        &self,
        records: &[NewRecord],
        erased: &[Position],
        durability: Durability,
    ) -> Result<(), StoreError> {
        match self.1.write() {
            Then::Go => return self.0.append(records, erased, durability),
            Then::Dead | Then::Stop(Crash::Before) => {}
            Then::Stop(Crash::Unsynced) => self.0.append(records, erased, Durability::None)?,
            Then::Stop(Crash::After) => self.0.append(records, erased, durability)?,
        }
        Err(dead())
    }

    fn last(&self) -> Result<Option<(Position, Vec<u8>)>, StoreError> {
        self.1.read()?;
        self.0.last()
    }

    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        self.1.read()?;
        self.0.record(position)
    }

    fn read(&self, positions: &[Position]) -> Result<Vec<Stored>, StoreError> {
        self.1.read()?;
        self.0.read(positions)
    }

    fn walk(
        &self,
        from: Position,
        bodies: Bodies,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.1.read()?;
        self.0.walk(from, bodies, visit)
    }

    fn stray_bodies(&self, limit: usize) -> Result<Vec<Position>, StoreError> {
        self.1.read()?;
        self.0.stray_bodies(limit)
    }

    fn snapshot(&self, to: &Path) -> Result<(), StoreError> {
        self.0.snapshot(to)
    }

    fn compact(&self) -> Result<(), StoreError> {
        self.0.compact()
    }
}

impl Views for FaultyViews {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StoreError> {
        self.1.read()?;
        self.0.get(family, key)
    }

    fn range(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Value)>, StoreError> {
        self.1.read()?;
        self.0.range(family, from, to, limit)
    }

    fn walk(&self, family: Family, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        self.1.read()?;
        self.0.walk(family, visit)
    }

    fn write(&self, effects: &[Effect], mark: Option<&Mark>) -> Result<(), StoreError> {
        match self.1.write() {
            Then::Go => {
                self.0.write(effects, mark)?;
                let every = self.1.flush_every;
                if every != 0 && self.1.writes().is_multiple_of(every) {
                    self.0.flush()?;
                }
                return Ok(());
            }
            Then::Dead | Then::Stop(Crash::Before) => {}
            Then::Stop(Crash::Unsynced) => self.0.write(effects, mark)?,
            Then::Stop(Crash::After) => {
                self.0.write(effects, mark)?;
                self.0.flush()?;
            }
        }
        Err(dead())
    }

    fn mark(&self) -> Result<Option<Mark>, StoreError> {
        self.1.read()?;
        self.0.mark()
    }

    fn flush(&self) -> Result<(), StoreError> {
        match self.1.write() {
            Then::Go => return self.0.flush(),
            Then::Dead | Then::Stop(Crash::Before | Crash::Unsynced) => {}
            Then::Stop(Crash::After) => self.0.flush()?,
        }
        Err(dead())
    }

    fn snapshot(&self, to: &Path) -> Result<(), StoreError> {
        self.0.snapshot(to)
    }

    fn compact(&self) -> Result<(), StoreError> {
        self.0.compact()
    }
}
