//! The views as the writer and the readers see them: the database under the hot table.

use std::sync::Arc;

use waybill_core::id::Position;
use waybill_core::outcome::StateError;
use waybill_core::state::{Effect, Family, Key, Row, RowKey, Scan, State, Value};

use crate::error::StoreError;
use crate::hot::{DirtyRow, Hit, HotTable};
use crate::store::{Applied, Ledger, Mark, Views};
use waybill_core::versions::VIEWS_VERSION;

/// Rows that a flush writes at a time, so that the writer's own writes to the views wait for little.
const FLUSH_SLICE_ROWS: usize = 512;

/// Rows that are read at a time at least, if so many are wanted at all: many that are deleted may lie before the next.
const RANGE_ROWS: usize = 64;

/// Both stores, and the hot table over the views.
pub struct ViewStore {
    ledger: Arc<dyn Ledger>,
    views: Arc<dyn Views>,
    hot: HotTable,
}

impl ViewStore {
    /// Puts an empty hot table of about `hot_rows` rows over the stores.
    pub fn new(ledger: Arc<dyn Ledger>, views: Arc<dyn Views>, hot_rows: usize) -> Self {
        Self {
            ledger,
            views,
            hot: HotTable::new(hot_rows),
        }
    }

    /// The ledger beneath.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// The database beneath.
    #[must_use]
    pub fn views(&self) -> &Arc<dyn Views> {
        &self.views
    }

    /// The hot table.
    #[must_use]
    pub fn hot(&self) -> &HotTable {
        &self.hot
    }

    /// Makes the changes of a batch, which come sorted by family and key: appended rows go to the database, changed rows stay in the hot table until a flush. The
    /// rows that lead to others (heads) become visible last.
    ///
    /// # Errors
    /// When the database fails.
    pub fn commit(&self, effects: Vec<Effect>) -> Result<usize, StoreError> {
        let mut bytes = 0;
        let (mut appended, mut changed) = (
            Vec::with_capacity(effects.len()),
            Vec::with_capacity(effects.len()),
        );
        for effect in effects {
            match &effect {
                Effect::Append(_, key, value) | Effect::Put(_, key, value) => {
                    bytes += key.as_slice().len() + value.len();
                }
                Effect::Delete(_, key) => bytes += key.as_slice().len(),
            }
            match effect {
                Effect::Append(..) => appended.push(effect),
                Effect::Put(family, key, value) => changed.push((family, key, Some(value))),
                Effect::Delete(family, key) => changed.push((family, key, None)),
            }
        }
        if !appended.is_empty() {
            self.views.write(&appended, None)?;
        }
        for effect in appended {
            if let Effect::Append(family, key, value) = effect
                && family.info().cached
            {
                self.hot.appended(family, &key, value);
            }
        }
        for rows in changed.chunk_by_mut(|(one, ..), (other, ..)| one == other) {
            let family = rows[0].0;
            let rows = rows.iter_mut();
            let rows = rows.map(|(_, key, value)| (*key, value.take())).collect();
            self.hot.change_many(family, rows);
        }
        Ok(bytes)
    }

    /// Writes rows that were dirty when exactly `applied` was applied, and makes the views durable.
    ///
    /// # Errors
    /// When the database fails.
    pub fn flush(
        &self,
        rows: &[DirtyRow],
        before: Option<Applied>,
        applied: Applied,
    ) -> Result<(), StoreError> {
        let mut effects: Vec<Effect> = rows
            .iter()
            .map(|row| match &row.value {
                Some(value) => Effect::Put(row.family, row.key, value.clone()),
                None => Effect::Delete(row.family, row.key),
            })
            .collect();
        effects.sort_unstable_by(|one, other| one.place().cmp(&other.place()));
        let mut slices = effects.chunks(FLUSH_SLICE_ROWS).peekable();
        while let Some(slice) = slices.next() {
            if slices.peek().is_some() {
                let mark = Mark {
                    version: VIEWS_VERSION,
                    applied: before,
                    whole: false,
                };
                self.views.write(slice, Some(&mark))?;
            } else {
                self.views.write(slice, Some(&whole(applied)))?;
            }
        }
        if effects.is_empty() {
            self.views.write(&[], Some(&whole(applied)))?;
        }
        self.views.flush()?;
        self.hot.flushed(rows);
        Ok(())
    }

    /// Rows of one family within `[from, to)`, ascending, at most `limit`.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub fn range<R: Row>(
        &self,
        from: &R::Key,
        to: &R::Key,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, R)>, StateError> {
        let (from, to) = (from.key(), to.key());
        self.raw_range(from.as_slice(), to.as_slice(), limit)
    }

    /// As [`ViewStore::range`], with keys as bytes.
    ///
    /// # Errors
    /// When the database fails or a row is corrupt.
    pub fn raw_range<R: Row>(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, R)>, StateError> {
        let rows = self.range_of(R::FAMILY, from, to, limit)?;
        rows.into_iter()
            .map(|(key, value)| Ok((key, R::decode(&value)?)))
            .collect()
    }

    fn range_of(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Value)>, StateError> {
        if !self.hot.has(family) {
            return Ok(self.views.range(family, from, to, limit)?);
        }
        let mut rows = Vec::new();
        let mut from = from.to_vec();
        loop {
            let wanted = (limit - rows.len()).max(RANGE_ROWS.min(limit));
            let flushes = self.hot.flushes();
            let found = self.views.range(family, &from, to, wanted)?;
            let last = found.last().filter(|_| found.len() == wanted);
            let last = last.map(|(key, _)| key.clone());
            let current = found.into_iter();
            let current: Vec<_> = current
                .filter_map(|row| self.current(family, row))
                .collect();
            // A row that a flush has just taken from the hot table is in the database, but not yet when it was read.
            if self.hot.flushes() != flushes {
                continue;
            }
            rows.extend(current);
            // Rows that the next flush deletes are not there any more: others follow in their place.
            match last {
                Some(last) if rows.len() < limit => {
                    from = last;
                    from.push(0);
                }
                _ => {
                    rows.truncate(limit);
                    return Ok(rows);
                }
            }
        }
    }

    /// A row of the database as it is now; `None` when it was deleted since.
    fn current(&self, family: Family, (key, value): (Vec<u8>, Value)) -> Option<(Vec<u8>, Value)> {
        let hit = Key::from_slice(&key).map(|key| self.hot.get(family, &key));
        match hit {
            Some(Hit::Deleted) => None,
            Some(Hit::Row(changed)) => Some((key, changed)),
            Some(Hit::Miss(_)) | None => Some((key, value)),
        }
    }
}

/// Whether rows of the family are asked for again and again where there are none: of accounts without devices, say. A head or a
/// conversation that is not there is about to be written, and remembering that it was not would only push out another row.
fn is_often_absent(family: Family) -> bool {
    matches!(
        family,
        Family::Settings | Family::Devices | Family::TokenCuts | Family::Memberships
    )
}

fn whole(applied: Applied) -> Mark {
    Mark {
        version: VIEWS_VERSION,
        applied: Some(applied),
        whole: true,
    }
}

impl State for ViewStore {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StateError> {
        let cached = family.info().cached;
        let ticket = if cached || self.hot.has(family) {
            match self.hot.get(family, key) {
                Hit::Row(value) => return Ok(Some(value)),
                Hit::Deleted => return Ok(None),
                Hit::Miss(ticket) => Some(ticket),
            }
        } else {
            None
        };
        let value = self.views.get(family, key)?;
        match (ticket, &value) {
            (Some(ticket), Some(value)) if cached => self.hot.remember(family, key, value, ticket),
            (Some(ticket), None) if is_often_absent(family) => {
                self.hot.remember_absent(family, key, ticket);
            }
            _ => {}
        }
        Ok(value)
    }

    fn get_many(&self, family: Family, keys: &[Key]) -> Result<Vec<Option<Value>>, StateError> {
        if !self.hot.has(family) {
            return Ok(self.views.get_many(family, keys)?);
        }
        let mut values = Vec::with_capacity(keys.len());
        let (mut missed, mut places) = (Vec::new(), Vec::new());
        for (place, hit) in self.hot.get_many(family, keys).into_iter().enumerate() {
            values.push(match hit {
                Hit::Row(value) => Some(value),
                Hit::Deleted => None,
                Hit::Miss(_) => {
                    missed.push(keys[place]);
                    places.push(place);
                    None
                }
            });
        }
        if !missed.is_empty() {
            let found = self.views.get_many(family, &missed)?;
            for (place, value) in places.into_iter().zip(found) {
                values[place] = value;
            }
        }
        Ok(values)
    }

    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.ledger.record(position)?)
    }
}

impl Scan for ViewStore {
    fn scan(
        &self,
        family: Family,
        from: &Key,
        to: &Key,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, StateError> {
        let rows = self.range_of(family, from.as_slice(), to.as_slice(), limit)?;
        let known = |(key, value): (Vec<u8>, Value)| Some((Key::from_slice(&key)?, value));
        Ok(rows.into_iter().filter_map(known).collect())
    }
}
