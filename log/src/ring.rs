//! The ring of recent records: what devices that are nearly up to date ask for, without a look into the database.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;
use waybill_core::id::Position;
use waybill_core::rules::NewRecord;

use crate::store::Stored;

/// Recent records, dense, bounded by bytes.
pub struct Ring {
    max_bytes: usize,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Position of the front.
    first: u64,
    records: VecDeque<Arc<Stored>>,
    bytes: usize,
}

/// What one record occupies besides its bytes, about.
const OVERHEAD_BYTES: usize = 96;

fn size(stored: &Stored) -> usize {
    OVERHEAD_BYTES
        + stored.record.as_ref().map_or(0, Vec::len)
        + stored.body.as_ref().map_or(0, Vec::len)
}

impl Ring {
    /// An empty ring of at most `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            inner: RwLock::default(),
        }
    }

    /// Takes in the records of a durable batch and forgets bodies that it erased.
    pub fn push(&self, records: Vec<NewRecord>, erased: &[Position]) {
        let mut inner = self.inner.write();
        for record in records {
            let next = inner.first + inner.records.len() as u64;
            if record.position.0 != next {
                *inner = Inner {
                    first: record.position.0,
                    ..Inner::default()
                };
            }
            let stored = Arc::new(Stored {
                record: Some(record.bytes),
                body: record.body,
            });
            inner.bytes += size(&stored);
            inner.records.push_back(stored);
        }
        for position in erased {
            let Some(at) = position.0.checked_sub(inner.first) else {
                continue;
            };
            if let Some(stored) = inner.records.get_mut(at as usize) {
                let without = Stored {
                    record: stored.record.clone(),
                    body: None,
                };
                *stored = Arc::new(without);
            }
        }
        while inner.bytes > self.max_bytes {
            let Some(oldest) = inner.records.pop_front() else {
                break;
            };
            // A body that was erased in place makes this count a little high; never low.
            inner.bytes = inner.bytes.saturating_sub(size(&oldest));
            inner.first += 1;
        }
    }

    /// What several positions hold, where the ring still has them.
    #[must_use]
    pub fn read(&self, positions: &[Position]) -> Vec<Option<Arc<Stored>>> {
        let inner = self.inner.read();
        let get = |position: &Position| {
            let at = position.0.checked_sub(inner.first)?;
            inner.records.get(usize::try_from(at).ok()?).cloned()
        };
        positions.iter().map(get).collect()
    }
}
