//! Rows of one family as a stream: a thread walks the store and hands over chunks. Knows nothing of what rows mean.

use crossbeam_channel::{Receiver, Sender, bounded};
use waybill_core::state::{Family, Key, MapState};
use waybill_log::StoreError;
use waybill_log::rocks::RocksViews;
use waybill_log::store::Views;

/// Bytes of a chunk, about.
const CHUNK_BYTES: usize = 128 * 1024;

/// Chunks that wait for the one who reads.
const CHUNKS_AHEAD: usize = 4;

/// Something that has rows in families, in ascending order.
pub(crate) trait Rows: Sync {
    fn walk(&self, family: Family, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError>;
}

impl Rows for RocksViews {
    fn walk(&self, family: Family, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        Views::walk(self, family, visit)
    }
}

impl Rows for MapState {
    fn walk(&self, family: Family, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let Some(first) = Key::from_slice(&[]) else {
            return Ok(());
        };
        for ((of, key), value) in self.rows.range((family, first)..) {
            if *of != family {
                break;
            }
            visit(key.as_slice(), value);
        }
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// Where the key and the value of each row end.
    ends: Vec<(usize, usize)>,
}

/// The reading end.
pub(crate) struct Stream {
    chunks: Receiver<Chunk>,
    chunk: Chunk,
    at: usize,
    start: usize,
}

/// The two ends of a stream.
pub(crate) fn stream() -> (Sender<Chunk>, Receiver<Chunk>) {
    bounded(CHUNKS_AHEAD)
}

/// Walks a family and hands over the rows that `keep` keeps. Ends early when nobody reads.
///
/// # Errors
/// When the store fails.
pub(crate) fn produce(
    rows: &dyn Rows,
    family: Family,
    to: &Sender<Chunk>,
    keep: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StoreError> {
    let mut chunk = Chunk::default();
    let mut heard = true;
    rows.walk(family, &mut |key, value| {
        if !heard || !keep(key, value) {
            return;
        }
        chunk.bytes.extend_from_slice(key);
        let end = chunk.bytes.len();
        chunk.bytes.extend_from_slice(value);
        chunk.ends.push((end, chunk.bytes.len()));
        if chunk.bytes.len() >= CHUNK_BYTES {
            heard = to.send(std::mem::take(&mut chunk)).is_ok();
        }
    })?;
    if heard && !chunk.ends.is_empty() {
        // Nobody reads: nothing is lost.
        drop(to.send(chunk));
    }
    Ok(())
}

impl Stream {
    /// Waits for the first chunk.
    pub fn new(chunks: Receiver<Chunk>) -> Self {
        let mut stream = Self {
            chunks,
            chunk: Chunk::default(),
            at: 0,
            start: 0,
        };
        stream.refill();
        stream
    }

    fn refill(&mut self) {
        (self.at, self.start) = (0, 0);
        self.chunk = self.chunks.recv().unwrap_or_default();
    }

    /// The row at hand: key and value. `None` at the end.
    pub fn row(&self) -> Option<(&[u8], &[u8])> {
        let (key_end, end) = self.chunk.ends.get(self.at)?;
        Some((
            &self.chunk.bytes[self.start..*key_end],
            &self.chunk.bytes[*key_end..*end],
        ))
    }

    /// Goes on to the next row.
    pub fn advance(&mut self) {
        if let Some((_, end)) = self.chunk.ends.get(self.at) {
            (self.at, self.start) = (self.at + 1, *end);
            if self.at == self.chunk.ends.len() {
                self.refill();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_core::id::Position;
    use waybill_core::state::{Effect, RowKey};

    #[test]
    fn a_stream_gives_all_rows_of_its_family_in_order() {
        let mut state = MapState::default();
        let long = vec![7; CHUNK_BYTES / 3];
        for position in 0..20 {
            let key = Position(position).key();
            state.apply([
                Effect::Put(Family::Erased, key, long.clone()),
                Effect::Put(Family::Dedup, key, vec![1]),
            ]);
        }
        let (sender, receiver) = stream();
        std::thread::scope(|scope| {
            let state = &state;
            scope.spawn(move || {
                let mut even = |key: &[u8], _: &[u8]| key[7].is_multiple_of(2);
                produce(state, Family::Erased, &sender, &mut even).expect("walks");
            });
            let mut stream = Stream::new(receiver);
            for position in (0..20_u64).step_by(2) {
                let row = stream.row().expect("a row");
                assert_eq!(row, (&position.to_be_bytes()[..], &long[..]));
                stream.advance();
            }
            assert_eq!(stream.row(), None);
            stream.advance();
            assert_eq!(stream.row(), None);
        });
    }
}
