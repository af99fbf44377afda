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
                let freed = stored.body.as_ref().map_or(0, Vec::len);
                let without = Stored {
                    record: stored.record.clone(),
                    body: None,
                };
                *stored = Arc::new(without);
                inner.bytes -= freed;
            }
        }
        while inner.bytes > self.max_bytes {
            let Some(oldest) = inner.records.pop_front() else {
                break;
            };
            inner.bytes -= size(&oldest);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(position: u64, body: Option<usize>) -> NewRecord {
        NewRecord {
            position: Position(position),
            bytes: vec![position as u8; 10],
            body: body.map(|len| vec![1; len]),
        }
    }

    fn held(ring: &Ring, positions: std::ops::RangeInclusive<u64>) -> Vec<u64> {
        let asked: Vec<Position> = positions.map(Position).collect();
        let found = ring.read(&asked).into_iter().zip(asked);
        found
            .filter_map(|(stored, position)| stored.map(|_| position.0))
            .collect()
    }

    /// What `count` records without a body and `body` bytes occupy.
    fn room(count: usize, body: usize) -> usize {
        count * (OVERHEAD_BYTES + 10) + body
    }

    #[test]
    fn it_keeps_the_newest_records_within_its_bytes() {
        let ring = Ring::new(room(3, 100));
        ring.push((1..=3).map(|n| record(n, None)).collect(), &[]);
        assert_eq!(held(&ring, 0..=4), [1, 2, 3]);
        ring.push(vec![record(4, Some(100))], &[]);
        assert_eq!(held(&ring, 0..=5), [2, 3, 4]);
        ring.push(vec![record(5, Some(1))], &[]);
        assert_eq!(held(&ring, 0..=6), [4, 5]);
        let found = ring.read(&[Position(5), Position(3), Position(4)]);
        let bodies: Vec<_> = found
            .iter()
            .map(|stored| {
                stored
                    .as_ref()
                    .map(|stored| stored.body.as_ref().map(Vec::len))
            })
            .collect();
        assert_eq!(
            bodies,
            [Some(Some(1)), None, Some(Some(100))],
            "in the order asked for"
        );
        // Larger than the whole ring.
        ring.push(vec![record(6, Some(1000))], &[]);
        assert_eq!(held(&ring, 0..=7), [0; 0]);
        ring.push(vec![record(7, None)], &[]);
        assert_eq!(held(&ring, 0..=8), [7]);
    }

    #[test]
    fn it_starts_again_where_positions_are_not_dense() {
        let ring = Ring::new(room(10, 0));
        ring.push(vec![record(5, None), record(6, None)], &[]);
        ring.push(vec![record(9, None)], &[]);
        assert_eq!(held(&ring, 0..=10), [9]);
        assert_eq!(ring.inner.read().bytes, room(1, 0));
    }

    #[test]
    fn erased_bodies_are_forgotten_and_their_room_is_free() {
        let ring = Ring::new(room(4, 300));
        for n in 0..1000 {
            ring.push(vec![record(n, Some(100))], &[]);
            ring.push(
                Vec::new(),
                &[Position(n), Position(n), Position(n + 5), Position(0)],
            );
        }
        // Before each erasure the newest still has its body: 4 others find room beside it.
        assert_eq!(held(&ring, 0..=1000), [995, 996, 997, 998, 999]);
        assert_eq!(ring.inner.read().bytes, room(5, 0));
    }
}
