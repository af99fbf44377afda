//! The hot table: the small rows that every send and pull asks for, in memory, shared by the writer and the readers, and all
//! changed rows that the next flush will write.
//!
//! A row that changes stays here, *dirty*, until a flush has written it; the databases therefore hold rows of updated families
//! exactly as of the last flush. Clean rows are a cache and make room by second chance. Dirty rows are bounded by the recovery
//! budget, which forces a flush.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;
use waybill_core::state::{FAMILIES, Family, Key, Value};

/// Shards of the table: enough that a reader seldom meets the writer, few enough to stay small.
const SHARDS: usize = 64;

/// How many rows of a shard are worked on while it is locked.
const AT_A_TIME: usize = 64;

/// Fewer rows than this are not sorted by shard.
const FEW: usize = 16;

/// How many rows are given a second chance before one more row is let in regardless.
const MOST_CHANCES: usize = 8;

/// What the table says of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hit {
    /// It has this value.
    Row(Value),
    /// It was deleted.
    Deleted,
    /// Nothing: ask the database, and hand back what it says with [`HotTable::remember`].
    Miss(Ticket),
}

/// Shows that nothing was dropped from a shard between a miss and what is remembered after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// A dirty row as a flush takes it.
#[derive(Clone, Debug)]
pub struct DirtyRow {
    /// Its family.
    pub family: Family,
    /// Its key.
    pub key: Key,
    /// Its value; `None` when it was deleted.
    pub value: Option<Value>,
    change: u64,
}

/// A value as the table holds it. Nearly all rows are small and lie beside their key: a look-up then touches no second place in
/// memory, which is most of what it costs.
enum Held {
    /// The row was deleted, or is known not to be there.
    Nothing,
    /// A value of so many bytes.
    Small(u8, [u8; SMALL_BYTES]),
    /// A larger one.
    Large(Value),
}

/// Room for a head with its chain hash, which is the largest of the rows that every message changes.
const SMALL_BYTES: usize = 47;

impl From<Option<Value>> for Held {
    fn from(value: Option<Value>) -> Self {
        match value {
            None => Self::Nothing,
            Some(value) if value.len() <= SMALL_BYTES => {
                let mut bytes = [0; SMALL_BYTES];
                bytes[..value.len()].copy_from_slice(&value);
                Self::Small(value.len() as u8, bytes)
            }
            Some(value) => Self::Large(value),
        }
    }
}

impl Held {
    fn value(&self) -> Option<Value> {
        match self {
            Self::Nothing => None,
            Self::Small(len, bytes) => Some(bytes[..usize::from(*len)].to_vec()),
            Self::Large(value) => Some(value.clone()),
        }
    }

    fn is_something(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

struct Row {
    value: Held,
    /// Which change of the table made it what it is; 0 for a clean row.
    change: u64,
    used: AtomicBool,
    /// Whether its name stands in the queue. It stands there once at most: a row that is flushed again and again would else
    /// crowd out the others, and use up its own second chances.
    queued: bool,
}

#[derive(Default)]
struct Shard {
    rows: HashMap<(Family, Key), Row, FixedState>,
    /// Clean rows in the order in which they came; may name rows that are gone or dirty again.
    queue: VecDeque<(Family, Key)>,
    /// Rows that became dirty since the last flush began.
    dirty: Vec<(Family, Key)>,
    /// Counts the times that rows were dropped.
    drops: u64,
}

impl Shard {
    /// Brings rows near before they are worked on one by one. Most are far away in memory: the processor waits for several at the
    /// same time here, while there it would wait for one after the other.
    fn touch<'a>(&self, names: impl Iterator<Item = (Family, &'a Key)>) {
        let there = names.filter(|(family, key)| self.rows.contains_key(&(*family, **key)));
        black_box(there.count());
    }

    fn hit(&self, row: Option<&Row>) -> Hit {
        match row {
            None => Hit::Miss(Ticket(self.drops)),
            Some(row) => {
                if !row.used.load(Ordering::Relaxed) {
                    row.used.store(true, Ordering::Relaxed);
                }
                row.value.value().map_or(Hit::Deleted, Hit::Row)
            }
        }
    }
}

/// One hasher for all shards, with a start of its own per process.
#[derive(Clone)]
struct FixedState(RandomState);

impl Default for FixedState {
    fn default() -> Self {
        static STATE: std::sync::OnceLock<RandomState> = std::sync::OnceLock::new();
        Self(STATE.get_or_init(RandomState::new).clone())
    }
}

impl BuildHasher for FixedState {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.0.hash_one(0_u8))
    }
}

/// Multiplicative hashing: keys are numbers that the server gave and keyed hashes, which nobody outside can choose.
struct KeyHasher(u64);

impl std::hash::Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.mix(u64::from_ne_bytes(*chunk));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_ne_bytes(last));
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl KeyHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

/// What is to be done in each shard: [`AT_A_TIME`] rows at most, since it is locked meanwhile.
fn parts(places: &[(usize, usize)]) -> impl Iterator<Item = (usize, &[(usize, usize)])> {
    let shards = places.chunk_by(|(one, _), (other, _)| one == other);
    let parts = shards.flat_map(|shard| shard.chunks(AT_A_TIME));
    parts.map(|part| (part[0].0, part))
}

/// See the module.
pub struct HotTable {
    shards: Vec<RwLock<Shard>>,
    hasher: FixedState,
    clean_rows_per_shard: usize,
    /// Rows present, by family: a family without rows here needs no look.
    present: [AtomicUsize; FAMILIES.len()],
    /// How many changes there were. Only the writer makes any.
    changes: AtomicU64,
    /// Rows that became dirty since the last flush began.
    dirty: AtomicUsize,
    /// How often rows have begun to leave because the database has them.
    flushes: AtomicU64,
}

impl HotTable {
    /// A table that keeps at most about `clean_rows` clean rows, at least one in each shard.
    #[must_use]
    pub fn new(clean_rows: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: FixedState::default(),
            clean_rows_per_shard: (clean_rows / SHARDS).max(1),
            present: std::array::from_fn(|_| AtomicUsize::new(0)),
            changes: AtomicU64::new(0),
            dirty: AtomicUsize::new(0),
            flushes: AtomicU64::new(0),
        }
    }

    /// How often rows have begun to leave the table because the database has them by now. What was read from the database while this
    /// stood still is at most covered by rows that are still here.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::SeqCst)
    }

    fn shard(&self, family: Family, key: &Key) -> &RwLock<Shard> {
        &self.shards[self.shard_number(family, key)]
    }

    fn shard_number(&self, family: Family, key: &Key) -> usize {
        // The map takes the highest bits for its tags and the lowest for its slots: the shard must come from between.
        let hash = self.hasher.hash_one((family, *key));
        (hash >> 40) as usize % SHARDS
    }

    /// The shards of listed rows with their places in the list, sorted: for [`parts`].
    fn by_shard<'a>(&self, names: impl Iterator<Item = (Family, &'a Key)>) -> Vec<(usize, usize)> {
        let places = names.enumerate();
        let mut places: Vec<_> = places
            .map(|(place, (family, key))| (self.shard_number(family, key), place))
            .collect();
        places.sort_unstable();
        places
    }

    /// Whether rows of the family are here at all.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        self.present[family.index()].load(Ordering::Acquire) > 0
    }

    /// Looks a row up.
    #[must_use]
    pub fn get(&self, family: Family, key: &Key) -> Hit {
        let shard = self.shard(family, key).read();
        shard.hit(shard.rows.get(&(family, *key)))
    }

    /// Looks many rows of a family up; each as [`HotTable::get`], though not all at one moment.
    #[must_use]
    pub fn get_many(&self, family: Family, keys: &[Key]) -> Vec<Hit> {
        if keys.len() < FEW {
            return keys.iter().map(|key| self.get(family, key)).collect();
        }
        let mut hits = vec![Hit::Deleted; keys.len()];
        let places = self.by_shard(keys.iter().map(|key| (family, key)));
        for (shard, part) in parts(&places) {
            let shard = self.shards[shard].read();
            let names = part.iter().map(|(_, place)| (family, &keys[*place]));
            shard.touch(names);
            for (_, place) in part {
                hits[*place] = shard.hit(shard.rows.get(&(family, keys[*place])));
            }
        }
        hits
    }

    /// Keeps a row as the database has it. A row that is here already, or a shard that has dropped rows since the miss (so that
    /// the value may be older than one that came and went), is left alone.
    pub fn remember(&self, family: Family, key: &Key, value: &Value, ticket: Ticket) {
        let mut shard = self.shard(family, key).write();
        if shard.drops == ticket.0 && !shard.rows.contains_key(&(family, *key)) {
            self.insert_clean(&mut shard, family, key, Some(value.clone()));
        }
    }

    /// Keeps the knowledge that the database has no such row, on the same terms.
    pub fn remember_absent(&self, family: Family, key: &Key, ticket: Ticket) {
        let mut shard = self.shard(family, key).write();
        if shard.drops == ticket.0 && !shard.rows.contains_key(&(family, *key)) {
            self.insert_clean(&mut shard, family, key, None);
        }
    }

    /// Keeps a row that has just been appended to the database.
    pub fn appended(&self, family: Family, key: &Key, value: Value) {
        let mut shard = self.shard(family, key).write();
        match shard.rows.get_mut(&(family, *key)) {
            None => self.insert_clean(&mut shard, family, key, Some(value)),
            Some(row) if row.change == 0 && !row.value.is_something() => {
                row.value = Some(value).into()
            }
            Some(_) => {}
        }
    }

    fn insert_clean(&self, shard: &mut Shard, family: Family, key: &Key, value: Option<Value>) {
        self.make_room(shard);
        shard.rows.insert(
            (family, *key),
            Row {
                value: value.into(),
                change: 0,
                used: AtomicBool::new(false),
                queued: true,
            },
        );
        shard.queue.push_back((family, *key));
        self.present[family.index()].fetch_add(1, Ordering::Release);
    }

    fn make_room(&self, shard: &mut Shard) {
        let mut chances = 0;
        while shard.queue.len() >= self.clean_rows_per_shard {
            let Some(oldest) = shard.queue.pop_front() else {
                return;
            };
            match shard.rows.get_mut(&oldest) {
                None => {}
                // Dirty again: it comes back into the queue when a flush has written it.
                Some(row) if row.change != 0 => row.queued = false,
                Some(row) if chances < MOST_CHANCES && row.used.swap(false, Ordering::Relaxed) => {
                    chances += 1;
                    shard.queue.push_back(oldest);
                }
                Some(_) => {
                    shard.rows.remove(&oldest);
                    shard.drops += 1;
                    self.present[oldest.0.index()].fetch_sub(1, Ordering::Release);
                }
            }
        }
    }

    /// Changes a row; `None` deletes it. Only the writer calls this.
    pub fn change(&self, family: Family, key: &Key, value: Option<Value>) {
        let mut shard = self.shard(family, key).write();
        self.change_in(&mut shard, family, key, value);
    }

    /// Changes many rows of a family, in no order that a reader could rely on. Only the writer calls this.
    pub fn change_many(&self, family: Family, mut rows: Vec<(Key, Option<Value>)>) {
        if rows.len() < FEW {
            for (key, value) in rows {
                self.change(family, &key, value);
            }
            return;
        }
        let places = self.by_shard(rows.iter().map(|(key, _)| (family, key)));
        for (shard, part) in parts(&places) {
            let mut shard = self.shards[shard].write();
            let names = part.iter().map(|(_, place)| (family, &rows[*place].0));
            shard.touch(names);
            for (_, place) in part {
                let (key, value) = &mut rows[*place];
                self.change_in(&mut shard, family, key, value.take());
            }
        }
    }

    fn change_in(&self, shard: &mut Shard, family: Family, key: &Key, value: Option<Value>) {
        let change = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        let was_dirty = match shard.rows.get_mut(&(family, *key)) {
            Some(row) => {
                let was_dirty = row.change != 0;
                row.value = value.into();
                row.change = change;
                row.used.store(true, Ordering::Relaxed);
                was_dirty
            }
            None => {
                let row = Row {
                    value: value.into(),
                    change,
                    used: AtomicBool::new(true),
                    queued: false,
                };
                shard.rows.insert((family, *key), row);
                self.present[family.index()].fetch_add(1, Ordering::Release);
                false
            }
        };
        if !was_dirty {
            self.note_dirty(shard, (family, *key));
        }
    }

    fn note_dirty(&self, shard: &mut Shard, name: (Family, Key)) {
        shard.dirty.push(name);
        self.dirty.fetch_add(1, Ordering::Relaxed);
    }

    /// How many rows became dirty since the last flush began.
    #[must_use]
    pub fn dirty_rows(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    /// All dirty rows as they are now, for a flush. They stay dirty until [`HotTable::flushed`]. Called by whoever makes changes, between
    /// two of them.
    #[must_use]
    pub fn dirty(&self) -> Vec<DirtyRow> {
        let mut rows = Vec::with_capacity(self.dirty_rows());
        for shard in &self.shards {
            let mut names = std::mem::take(&mut shard.write().dirty);
            self.dirty.fetch_sub(names.len(), Ordering::Relaxed);
            for names in names.chunks(AT_A_TIME) {
                let shard = shard.read();
                shard.touch(names.iter().map(|(family, key)| (*family, key)));
                for (family, key) in names {
                    if let Some(row) = shard.rows.get(&(*family, *key)) {
                        rows.push(DirtyRow {
                            family: *family,
                            key: *key,
                            value: row.value.value(),
                            change: row.change,
                        });
                    }
                }
            }
            // The room is given back: by the next flush there will be about as many, and new memory costs more than it seems.
            // Of one flush that was much larger than others it is not kept.
            let room = 2 * names.len();
            names.clear();
            names.shrink_to(room);
            let mut shard = shard.write();
            names.append(&mut shard.dirty);
            shard.dirty = names;
        }
        rows
    }

    /// Marks rows clean that have not changed since the flush took them; those that have are dirty for the next flush.
    pub fn flushed(&self, rows: &[DirtyRow]) {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        let places = self.by_shard(rows.iter().map(|row| (row.family, &row.key)));
        for (shard, part) in parts(&places) {
            let mut shard = self.shards[shard].write();
            let flushed = part.iter().map(|(_, place)| &rows[*place]);
            shard.touch(flushed.clone().map(|row| (row.family, &row.key)));
            for row in flushed {
                self.flushed_in(&mut shard, row);
            }
        }
    }

    fn flushed_in(&self, shard: &mut Shard, flushed: &DirtyRow) {
        let name = (flushed.family, flushed.key);
        let Some(row) = shard.rows.get_mut(&name) else {
            return;
        };
        if row.change != flushed.change {
            return self.note_dirty(shard, name);
        }
        row.change = 0;
        if row.value.is_something() && flushed.family.info().cached {
            if !row.queued {
                row.queued = true;
                self.make_room(shard);
                shard.queue.push_back(name);
            }
        } else {
            shard.rows.remove(&name);
            shard.drops += 1;
            self.present[flushed.family.index()].fetch_sub(1, Ordering::Release);
        }
    }
}
