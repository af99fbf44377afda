//! A batch in the making: the rows and records that its commands have produced so far, over the state beneath.

#[expect(
    clippy::disallowed_types,
    reason = "with a fixed hasher, and only ever looked up"
)]
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::family::Family;
use super::key::{Key, RowKey};
use super::row::Row;
use super::{State, Value};
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
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "with a fixed hasher, and only ever looked up"
)]
type Rows = HashMap<(Family, Key), Option<Value>, BuildHasherDefault<KeyHasher>>;
#[expect(
    clippy::disallowed_types,
    reason = "with a fixed hasher, and only ever looked up"
)]
type Records = HashMap<u64, Vec<u8>, BuildHasherDefault<KeyHasher>>;

/// A state with a batch's changes on top. The maps are only ever looked up, never walked.
pub struct Overlay<S> {
    base: S,
    rows: Rows,
    records: Records,
    effects: Vec<Effect>,
}

impl<S: State> Overlay<S> {
    /// Starts an empty batch over `base`.
    pub fn new(base: S) -> Self {
        Self {
            base,
            rows: Rows::default(),
            records: Records::default(),
            effects: Vec::new(),
        }
    }

    /// The changes so far, in the order in which they were made; leaves the rows readable.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Makes a record of this batch readable.
    pub fn insert_record(&mut self, position: Position, bytes: Vec<u8>) {
        self.records.insert(position.0, bytes);
    }

    /// Writes a row that was not there before.
    pub fn append<R: Row>(&mut self, key: R::Key, row: &R) {
        let (key, value) = (key.key(), row.encode());
        self.rows.insert((R::FAMILY, key), Some(value.clone()));
        self.effects.push(Effect::Append(R::FAMILY, key, value));
    }

    /// Writes a row.
    pub fn put<R: Row>(&mut self, key: R::Key, row: &R) {
        let (key, value) = (key.key(), row.encode());
        self.rows.insert((R::FAMILY, key), Some(value.clone()));
        self.effects.push(Effect::Put(R::FAMILY, key, value));
    }

    /// Removes a row.
    pub fn delete<R: Row>(&mut self, key: R::Key) {
        let key = key.key();
        self.rows.insert((R::FAMILY, key), None);
        self.effects.push(Effect::Delete(R::FAMILY, key));
    }
}

impl<S: State> State for Overlay<S> {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StateError> {
        match self.rows.get(&(family, *key)) {
            Some(row) => Ok(row.clone()),
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
