//! State in a map: what tests, models and small folds use.

use std::collections::BTreeMap;

use super::family::{Contents, FAMILIES, Family};
use super::key::Key;
use super::overlay::Effect;
use super::state_hash::StateHasher;
use super::{Scan, State, Value};
use crate::id::{Hash, Position};
use crate::outcome::StateError;

/// Rows and records in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapState {
    /// The rows.
    pub rows: BTreeMap<(Family, Key), Value>,
    /// The records, by position.
    pub records: BTreeMap<u64, Vec<u8>>,
}

impl MapState {
    /// Makes the changes of a batch.
    pub fn apply(&mut self, effects: impl IntoIterator<Item = Effect>) {
        for effect in effects {
            match effect {
                Effect::Append(family, key, value) | Effect::Put(family, key, value) => {
                    self.rows.insert((family, key), value);
                }
                Effect::Delete(family, key) => {
                    self.rows.remove(&(family, key));
                }
            }
        }
    }

    /// The state hash of the folded rows.
    #[must_use]
    pub fn state_hash(&self) -> Hash {
        let mut hasher = StateHasher::new();
        for ((family, key), value) in &self.rows {
            hasher.row(*family, key.as_slice(), value);
        }
        hasher.finish()
    }

    /// The joined rows alone.
    #[must_use]
    pub fn joined(&self) -> Vec<(&'static str, Key, Value)> {
        let joined = |family: &Family| FAMILIES[family.index()].contents == Contents::Joined;
        let rows = self.rows.iter().filter(|((family, _), _)| joined(family));
        rows.map(|((family, key), value)| (family.name(), *key, value.clone()))
            .collect()
    }
}

impl State for MapState {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StateError> {
        Ok(self.rows.get(&(family, *key)).cloned())
    }

    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.records.get(&position.0).cloned())
    }
}

impl Scan for MapState {
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
        let rows = self.rows.range((family, *from)..(family, *to)).take(limit);
        Ok(rows
            .map(|((_, key), value)| (*key, value.clone()))
            .collect())
    }
}
