//! The views that a fold makes for itself: in memory while the ledger is small, else in a throw-away database under a cache of
//! bounded size. On purpose it shares nothing with the server's hot table, so that an error there cannot hide here.

use std::cell::RefCell;

use hashbrown::HashMap;
use tempfile::TempDir;
use waybill_core::id::Position;
use waybill_core::outcome::StateError;
use waybill_core::state::{Effect, Family, Key, MapState, State, Value, Writing};
use waybill_log::StoreError;
use waybill_log::rocks::{Access, Memory, RocksLedger, RocksViews};
use waybill_log::store::{Ledger, Views};

use super::rows::Rows;

/// Bytes that a cached row occupies with its map slot, about.
const CACHED_ROW_BYTES: usize = 160;

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

    /// Makes a database in `dir`, and keeps changed rows in about `cache_bytes` of memory.
    ///
    /// # Errors
    /// When the database cannot be made.
    pub fn on_disk(
        ledger: &'a RocksLedger,
        dir: TempDir,
        memory: &Memory,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        let views = RocksViews::open(&dir.path().join("views"), memory, Access::Write)?;
        let disk = Disk {
            views,
            cache: RefCell::default(),
            rows_per_generation: (cache_bytes / 2 / CACHED_ROW_BYTES).max(1),
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
                    views, cache, dir, ..
                } = *disk;
                let cache = cache.into_inner();
                write_changed(&views, cache.old)?;
                write_changed(&views, cache.young)?;
                Ok(Folded::Disk { views, _dir: dir })
            }
        }
    }
}

impl State for Scratch<'_> {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StateError> {
        match &self.held {
            Held::Memory(state) => state.borrow().get(family, key),
            Held::Disk(disk) => disk.get(family, key),
        }
    }

    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.ledger.record(position)?)
    }
}

/// Rows of appended families go straight to the database, where they are seldom asked for again. Rows of updated families stay
/// in two generations of a cache: what is used moves to the young one, and what is still in the old one when the young one is
/// full is written and dropped.
struct Disk {
    views: RocksViews,
    cache: RefCell<Cache>,
    rows_per_generation: usize,
    dir: TempDir,
}

type Generation = HashMap<(Family, Key), Cached>;

#[derive(Default)]
struct Cache {
    young: Generation,
    old: Generation,
}

struct Cached {
    value: Option<Value>,
    changed: bool,
}

impl Disk {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StateError> {
        if family.info().writing == Writing::Appended {
            return Ok(self.views.get(family, key)?);
        }
        let name = (family, *key);
        let mut cache = self.cache.borrow_mut();
        if let Some(cached) = cache.young.get(&name) {
            return Ok(cached.value.clone());
        }
        let cached = match cache.old.remove(&name) {
            Some(cached) => cached,
            None => Cached {
                value: self.views.get(family, key)?,
                changed: false,
            },
        };
        let value = cached.value.clone();
        cache.young.insert(name, cached);
        Ok(value)
    }

    fn commit(&self, effects: Vec<Effect>) -> Result<(), StoreError> {
        let mut appended = Vec::with_capacity(effects.len());
        let mut cache = self.cache.borrow_mut();
        for effect in effects {
            let (Effect::Append(family, ..) | Effect::Put(family, ..) | Effect::Delete(family, ..)) =
                &effect;
            if family.info().writing == Writing::Appended {
                appended.push(effect);
                continue;
            }
            let (name, value) = match effect {
                Effect::Append(family, key, value) | Effect::Put(family, key, value) => {
                    ((family, key), Some(value))
                }
                Effect::Delete(family, key) => ((family, key), None),
            };
            cache.old.remove(&name);
            let changed = true;
            cache.young.insert(name, Cached { value, changed });
        }
        write(&self.views, appended)?;
        if cache.young.len() >= self.rows_per_generation {
            let cache = &mut *cache;
            let dropped = std::mem::replace(&mut cache.old, std::mem::take(&mut cache.young));
            write_changed(&self.views, dropped)?;
        }
        Ok(())
    }
}

fn write_changed(views: &RocksViews, rows: Generation) -> Result<(), StoreError> {
    let changed = rows.into_iter().filter(|(_, row)| row.changed);
    let effects = changed.map(|((family, key), row)| match row.value {
        Some(value) => Effect::Put(family, key, value),
        None => Effect::Delete(family, key),
    });
    write(views, effects.collect())
}

/// Rows written at a time.
const WRITE_ROWS: usize = 8 * 1024;

fn write(views: &RocksViews, mut effects: Vec<Effect>) -> Result<(), StoreError> {
    // Neighbours go in faster one after the other. The sort is stable: of two changes of one row the later one counts.
    effects.sort_by(|one, other| place(one).cmp(&place(other)));
    for effects in effects.chunks(WRITE_ROWS) {
        views.write(effects, None)?;
    }
    Ok(())
}

fn place(effect: &Effect) -> (Family, &Key) {
    match effect {
        Effect::Append(family, key, _)
        | Effect::Put(family, key, _)
        | Effect::Delete(family, key) => (*family, key),
    }
}
