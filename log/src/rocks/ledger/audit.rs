//! A walk for auditors, who look at everything that is there: bodies without records too.

use rocksdb::{DBRawIterator, ReadOptions};
use waybill_core::id::Position;

use super::{BODIES, RECORDS, RocksLedger, STORE, failed, position};
use crate::error::StoreError;

/// Called with each position that holds a record, a body or both; false ends the walk.
pub type VisitAll<'a> = dyn FnMut(Position, Option<&[u8]>, Option<&[u8]>) -> bool + 'a;

impl RocksLedger {
    /// Walks all positions from `from` up to but not including `to` (to the end, if that is `None`), ascending, until `visit`
    /// returns false. Keys that are not dense are passed on as they are.
    ///
    /// # Errors
    /// When the store fails or is damaged.
    pub fn walk_all(
        &self,
        from: Position,
        to: Option<Position>,
        visit: &mut VisitAll<'_>,
    ) -> Result<(), StoreError> {
        let mut records = self.seek(RECORDS, from, to)?;
        let mut bodies = self.seek(BODIES, from, to)?;
        loop {
            let (key, record, body) = match (records.item(), bodies.item()) {
                (None, None) => break,
                (Some((key, record)), None) => (key, Some(record), None),
                (None, Some((key, body))) => (key, None, Some(body)),
                (Some((key, record)), Some((at, body))) => match key.cmp(at) {
                    std::cmp::Ordering::Less => (key, Some(record), None),
                    std::cmp::Ordering::Equal => (key, Some(record), Some(body)),
                    std::cmp::Ordering::Greater => (at, None, Some(body)),
                },
            };
            let (has_record, has_body) = (record.is_some(), body.is_some());
            if !visit(position(key)?, record, body) {
                return Ok(());
            }
            if has_record {
                records.next();
            }
            if has_body {
                bodies.next();
            }
        }
        let status = records.status().and_then(|()| bodies.status());
        status.map_err(failed(STORE))
    }

    fn seek(
        &self,
        family: &'static str,
        from: Position,
        to: Option<Position>,
    ) -> Result<DBRawIterator<'_>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_readahead_size(1 << 20);
        options.fill_cache(false);
        if let Some(to) = to {
            options.set_iterate_upper_bound(to.0.to_be_bytes());
        }
        let mut iterator = self.db.raw_iterator_cf_opt(self.family(family)?, options);
        iterator.seek(from.0.to_be_bytes());
        Ok(iterator)
    }
}
