//! The views that a fold makes for itself: in memory while the ledger is small, else in a throw-away database under a cache of
//! bounded size. On purpose it shares nothing with the server's hot table, so that an error there cannot hide here.

use std::cell::RefCell;

use tempfile::TempDir;
use waybill_core::id::Position;
use waybill_core::outcome::StateError;
use waybill_core::state::{Effect, Family, Key, MapState, State, Value, Writing};
use waybill_log::StoreError;
use waybill_log::rocks::{Memory, RocksLedger, RocksViews};
use waybill_log::store::{Ledger, Views};

use super::pending::{Generations, Pending};
use super::rows::Rows;

/// The views that the fold has made so far. Used by one thread until they are finished.
pub(crate) struct Scratch<'a> {
    ledger: &'a RocksLedger,
    held: Held,
}

enum Held {
    Memory(RefCell<MapState>),
    Disk(Box<Disk>),
}

/// Finished views, for comparing.
pub(crate) enum Folded {
    Memory(MapState),
    /// The directory is removed with its last user.
    Disk {
        views: RocksViews,
        _dir: TempDir,
    },
}

impl Folded {
    pub fn rows(&self) -> &dyn Rows {
        match self {
            Self::Memory(rows) => rows,
            Self::Disk { views, .. } => views,
        }
    }
}

impl<'a> Scratch<'a> {
    pub fn in_memory(ledger: &'a RocksLedger) -> Self {
        Self {
            ledger,
            held: Held::Memory(RefCell::default()),
        }
    }

    /// Makes a database in `dir`, and keeps rows in about `cache_bytes` of memory.
    ///
    /// # Errors
    /// When the database cannot be made.
    pub fn on_disk(
        ledger: &'a RocksLedger,
        dir: TempDir,
        memory: &Memory,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        let disk = Disk {
            views: RocksViews::open_for_bulk(&dir.path().join("views"), memory)?,
            memory: memory.clone(),
            pending: RefCell::new(Pending::new(cache_bytes / 2)),
            changed: RefCell::new(Generations::new(cache_bytes / 2)),
            dir,
        };
        Ok(Self {
            ledger,
            held: Held::Disk(Box::new(disk)),
        })
    }

    /// Makes changes.
    ///
    /// # Errors
    /// When the database fails.
    pub fn commit(&self, effects: Vec<Effect>) -> Result<(), StoreError> {
        match &self.held {
            Held::Memory(state) => {
                state.borrow_mut().apply(effects);
                Ok(())
            }
            Held::Disk(disk) => disk.commit(effects),
        }
    }

    /// # Errors
    /// When the database fails.
    pub fn finish(self) -> Result<Folded, StoreError> {
        match self.held {
            Held::Memory(state) => Ok(Folded::Memory(state.into_inner())),
            Held::Disk(disk) => {
                let Disk {
                    views,
                    memory,
                    pending,
                    changed,
                    dir,
                } = *disk;
                views.ingest(pending.into_inner().sorted(), &memory)?;
                let mut changed = changed.into_inner();
                for _generation in 0..2 {
                    views.ingest(changed.leaving(), &memory)?;
                    changed.turn();
                }
                Ok(Folded::Disk { views, _dir: dir })
            }
        }
    }
}

impl State for Scratch<'_> {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StateError> {
        match &self.held {
            Held::Memory(state) => state.borrow().get(family, key),
            Held::Disk(disk) => Ok(disk.get(family, key)?),
        }
    }

    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.ledger.record(position)?)
    }
}

/// Rows of appended families are seldom asked for: they wait in a list and go to the database in bulk. Rows of updated families
/// are asked for again and again.
struct Disk {
    views: RocksViews,
    memory: Memory,
    pending: RefCell<Pending>,
    changed: RefCell<Generations>,
    dir: TempDir,
}

impl Disk {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StoreError> {
        let name = (family, *key);
        if family.info().writing == Writing::Appended {
            return match self.pending.borrow_mut().get(&name) {
                Some(value) => Ok(value),
                None => self.views.get(family, key),
            };
        }
        let mut changed = self.changed.borrow_mut();
        if let Some(value) = changed.get(&name) {
            return Ok(value);
        }
        let value = self.views.get(family, key)?;
        changed.remember(name, value.clone());
        Ok(value)
    }

    fn commit(&self, effects: Vec<Effect>) -> Result<(), StoreError> {
        let mut pending = self.pending.borrow_mut();
        let mut changed = self.changed.borrow_mut();
        for effect in effects {
            let (name, value) = match effect {
                Effect::Append(family, key, value) | Effect::Put(family, key, value) => {
                    ((family, key), Some(value))
                }
                Effect::Delete(family, key) => ((family, key), None),
            };
            match name.0.info().writing {
                Writing::Appended => pending.push(name, value),
                Writing::Updated => changed.change(name, value),
            }
        }
        if pending.is_full() {
            self.views.ingest(pending.sorted(), &self.memory)?;
            pending.clear();
        }
        if changed.is_full() {
            self.views.ingest(changed.leaving(), &self.memory)?;
            changed.turn();
        }
        Ok(())
    }
}
