//! A batch in the making: the rows and records that its commands have produced so far, over the state beneath.

#[expect(
    clippy::disallowed_types,
    reason = "with a fixed hasher, and sorted before it is walked"
)]
use std::collections::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasherDefault, Hasher};

use super::family::Family;
use super::key::{Key, RowKey};
use super::row::Row;
use super::{Scan, State, Value};
use crate::id::Position;
use crate::outcome::StateError;

/// A change of one row. All are plain puts and deletes, so that doing one twice is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A row of an appended family is written for the first time.
    Append(Family, Key, Value),
    /// A row is written, over an earlier one if there is one.
    Put(Family, Key, Value),
    /// A row is removed, if it is there.
    Delete(Family, Key),
}

impl Effect {
    /// Which row it changes.
    #[must_use]
    pub fn place(&self) -> (Family, &Key) {
        let (Self::Append(family, key, _) | Self::Put(family, key, _) | Self::Delete(family, key)) =
            self;
        (*family, key)
    }
}

/// A multiplicative hasher with a fixed start. Keys are numbers that the server gave and keyed hashes, so nobody outside can
/// choose them to collide; and a fixed start keeps this crate free of randomness.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.write_u64(u64::from_be_bytes(*chunk));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_be_bytes(last));
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        // Both halves of the product: the map takes its slots from the lowest bits, and keys may differ in the highest only.
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "with a fixed hasher, and sorted before it is walked"
)]
type Rows = HashMap<(Family, Key), Slot, BuildHasherDefault<KeyHasher>>;
#[expect(
    clippy::disallowed_types,
    reason = "with a fixed hasher, and sorted before it is walked"
)]
type Records = HashMap<u64, Vec<u8>, BuildHasherDefault<KeyHasher>>;
#[expect(
    clippy::disallowed_types,
    reason = "with a fixed hasher, and never walked"
)]
type Ahead = HashMap<(Family, Key), Option<Value>, BuildHasherDefault<KeyHasher>>;

/// What a batch has made of a row.
struct Slot {
    /// Its value; `None` when it was removed.
    value: Option<Value>,
    /// Whether the batch wrote it for the first time.
    appended: bool,
}

/// A state with a batch's changes on top. The maps are looked up, and walked only to be sorted.
pub struct Overlay<S> {
    base: S,
    rows: Rows,
    /// Rows of the state beneath that were read before they were asked for, and that some are not there. The state beneath
    /// changes by this batch alone.
    ahead: Ahead,
    /// The keys in `rows` of families that are scanned.
    scanned: BTreeSet<(Family, Key)>,
    records: Records,
}

impl<S: State> Overlay<S> {
    /// Starts an empty batch over `base`.
    pub fn new(base: S) -> Self {
        Self {
            base,
            rows: Rows::default(),
            ahead: Ahead::default(),
            scanned: BTreeSet::new(),
            records: Records::default(),
        }
    }

    /// The changes so far, one for each row, ascending by family and key. The rows are no longer readable here: they belong to
    /// the state beneath from now on.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.scanned.clear();
        self.ahead.clear();
        let mut effects: Vec<Effect> = self
            .rows
            .drain()
            .map(|(place, slot)| slot.effect(place))
            .collect();
        effects.sort_unstable_by(|one, other| one.place().cmp(&other.place()));
        effects
    }

    /// Reads many rows at once that will be asked for one by one. It changes nothing but the time that this takes.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read_ahead<R: Row>(
        &mut self,
        keys: impl Iterator<Item = R::Key>,
    ) -> Result<(), StateError> {
        let unknown = |key: &Key| {
            let place = (R::FAMILY, *key);
            !self.rows.contains_key(&place) && !self.ahead.contains_key(&place)
        };
        let keys: Vec<Key> = keys.map(|key| key.key()).filter(unknown).collect();
        let values = self.base.get_many(R::FAMILY, &keys)?;
        let places = keys.into_iter().map(|key| (R::FAMILY, key));
        self.ahead.extend(places.zip(values));
        Ok(())
    }

    /// Makes a record of this batch readable.
    pub fn insert_record(&mut self, position: Position, bytes: Vec<u8>) {
        self.records.insert(position.0, bytes);
    }

    /// Writes a row that was not there before.
    pub fn append<R: Row>(&mut self, key: R::Key, row: &R) {
        let slot = Slot {
            value: Some(row.encode()),
            appended: true,
        };
        self.note(R::FAMILY, key.key());
        self.rows.insert((R::FAMILY, key.key()), slot);
    }

    fn note(&mut self, family: Family, key: Key) {
        if family.info().scanned {
            self.scanned.insert((family, key));
        }
    }

    /// Writes a row.
    pub fn put<R: Row>(&mut self, key: R::Key, row: &R) {
        self.change(R::FAMILY, key.key(), Some(row.encode()));
    }

    /// Removes a row.
    pub fn delete<R: Row>(&mut self, key: R::Key) {
        self.change(R::FAMILY, key.key(), None);
    }

    fn change(&mut self, family: Family, key: Key, value: Option<Value>) {
        self.note(family, key);
        let slot = self.rows.entry((family, key)).or_insert(Slot {
            value: None,
            appended: false,
        });
        slot.value = value;
    }
}

impl Slot {
    fn effect(self, (family, key): (Family, Key)) -> Effect {
        match (self.value, self.appended) {
            (Some(value), true) => Effect::Append(family, key, value),
            (Some(value), false) => Effect::Put(family, key, value),
            (None, _) => Effect::Delete(family, key),
        }
    }
}

impl<S: State> State for Overlay<S> {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StateError> {
        let place = (family, *key);
        if let Some(slot) = self.rows.get(&place) {
            return Ok(slot.value.clone());
        }
        match self.ahead.get(&place) {
            Some(value) => Ok(value.clone()),
            None => self.base.get(family, key),
        }
    }

    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StateError> {
        match self.records.get(&position.0) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => self.base.record(position),
        }
    }
}

impl<S: Scan> Scan for Overlay<S> {
    fn scan(
        &self,
        family: Family,
        from: &Key,
        to: &Key,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, StateError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let own = self.scanned.range((family, *from)..(family, *to));
        let own: Vec<Key> = own.map(|(_, key)| *key).collect();
        // Each row of the batch may stand in the place of one beneath, which then was asked for in vain.
        let beneath = self
            .base
            .scan(family, from, to, limit.saturating_add(own.len()))?;
        let mut merged: BTreeMap<Key, Value> = beneath.into_iter().collect();
        for key in own {
            match self.get(family, &key)? {
                Some(value) => merged.insert(key, value),
                None => merged.remove(&key),
            };
        }
        Ok(merged.into_iter().take(limit).collect())
    }
}
