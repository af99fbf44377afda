//! Walks the bytes of one write-ahead log from the first batch to the first damage, and then looks for
//! a batch behind the damage. Reads one block at a time and keeps nothing else. Knows nothing of
//! directories, of other logs, or of what the batches mean.

use super::fragment::{BLOCK, Flaw, Fragment, HEADER, Kind};
use super::{Damage, MAX_SEQUENCE};
use std::io::{self, Read};

/// Bytes at the start of a batch: sequence number of its first entry (u64 LE), number of entries (u32 LE).
const BATCH_HEADER: usize = 12;

/// A batch found behind damage counts only if its sequence number is at most so far above the last
/// intact one. No log holds as many entries; it spares most checksums over what only looks like a batch.
const SEQUENCE_WINDOW: u64 = 1 << 40;

/// What the walk has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// See [`super::WalScan`].
    pub batches: u64,
    /// See [`super::WalScan`].
    pub first_sequence: Option<u64>,
    /// See [`super::WalScan`].
    pub last_sequence: Option<u64>,
    /// See [`super::WalScan`].
    pub end_of_intact: u64,
    /// See [`super::WalScan`].
    pub damage: Option<Damage>,
}

/// Walks the log that `source` yields. `log_number` is the low half of the log's number, if known: it
/// tells recyclable fragments of this log from those of the log whose file it took over.
///
/// # Errors
/// Those of `source`; `Unsupported` if the log is compressed.
pub fn walk(source: impl Read, log_number: Option<u32>) -> io::Result<Walked> {
    let blocks = Blocks {
        source,
        block: Vec::with_capacity(BLOCK),
        start: 0,
        at: 0,
    };
    let mut walk = Walk {
        blocks,
        log_number,
        zeros_from: None,
        open: None,
        recycled: None,
        found: Walked::default(),
    };
    if let Some((offset, what)) = walk.until_damage()? {
        let later_batch_at = walk.later_batch()?;
        walk.found.damage = Some(Damage {
            offset,
            what,
            later_batch_at,
        });
    }
    Ok(walk.found)
}

/// The block under the reading head.
struct Blocks<R> {
    source: R,
    /// The block: 32 KiB, shorter only at the end of the file.
    block: Vec<u8>,
    /// Offset of the block in the file.
    start: u64,
    /// The reading head, in the block.
    at: usize,
}

impl<R: Read> Blocks<R> {
    /// Goes to the next block; false at the end of the file.
    fn next(&mut self) -> io::Result<bool> {
        self.start += self.block.len() as u64;
        self.block.clear();
        self.at = 0;
        self.source
            .by_ref()
            .take(BLOCK as u64)
            .read_to_end(&mut self.block)?;
        Ok(!self.block.is_empty())
    }

    /// The reading head, in the file.
    fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// What the block holds from the reading head on.
    fn rest(&self) -> &[u8] {
        self.block.get(self.at..).unwrap_or_default()
    }

    /// Whether no fragment can begin at the reading head, because too little of the block is left.
    /// What is left of a whole block is filler, which nobody reads.
    fn at_end(&self) -> bool {
        self.rest().len() < HEADER
    }

    /// Whether the file ends inside a fragment's header. Zeros may be space that was set aside.
    fn cut_in_header(&self) -> bool {
        self.at_end() && self.block.len() < BLOCK && !is_zero(self.rest())
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0)
}

/// A batch of which the last part has not been read yet.
struct Open {
    /// Where its first fragment begins in the file.
    start: u64,
    header: [u8; BATCH_HEADER],
    /// How much of `header` has been read.
    filled: usize,
}

impl Open {
    fn new(start: u64) -> Self {
        Open {
            start,
            header: [0; BATCH_HEADER],
            filled: 0,
        }
    }

    fn add(&mut self, payload: &[u8]) {
        let n = payload.len().min(BATCH_HEADER - self.filled);
        self.header[self.filled..self.filled + n].copy_from_slice(&payload[..n]);
        self.filled += n;
    }

    /// The sequence number of the first entry and the number of entries.
    fn decode(&self) -> Option<(u64, u32)> {
        let (sequence, count) = self.header.split_first_chunk()?;
        (self.filled == BATCH_HEADER).then_some((
            u64::from_le_bytes(*sequence),
            u32::from_le_bytes(*count.first_chunk()?),
        ))
    }
}

/// What stands at the reading head.
enum Next {
    Fragment(Fragment),
    Flaw(Flaw),
    EndOfLog,
}

struct Walk<R> {
    blocks: Blocks<R>,
    log_number: Option<u32>,
    /// Where the zeros begin that fill the file up to the reading head.
    zeros_from: Option<u64>,
    open: Option<Open>,
    /// Whether the log began with a recyclable fragment.
    recycled: Option<bool>,
    found: Walked,
}

impl<R: Read> Walk<R> {
    /// Reads batch after batch up to the first damage, and leaves the reading head there.
    fn until_damage(&mut self) -> io::Result<Option<(u64, Flaw)>> {
        loop {
            let next = self.next()?;
            let (position, zeros) = (self.blocks.position(), self.zeros_from);
            let fragment = match next {
                Next::EndOfLog => {
                    let missing_from = zeros.unwrap_or(position);
                    return Ok(self
                        .open
                        .is_some()
                        .then_some((missing_from, Flaw::Truncated)));
                }
                Next::Fragment(fragment) if zeros.is_none() || self.is_padding(&fragment) => {
                    fragment
                }
                Next::Flaw(flaw) if zeros.is_none() => return Ok(Some((position, flaw))),
                // Zeros are where a log ends, but this one goes on behind them.
                _ => return Ok(Some((zeros.unwrap_or(position), Flaw::BadType))),
            };
            self.zeros_from = None;
            if fragment.log_number.is_some() && self.recycled == Some(false) {
                return Ok(Some((position, Flaw::BadType)));
            }
            if !self.is_own(&fragment) {
                // The rest is what the file held before this log took it over.
                return Ok(self.open.is_some().then_some((position, Flaw::Truncated)));
            }
            self.recycled.get_or_insert(fragment.log_number.is_some());
            if let Some(damage) = self.take(&fragment)? {
                return Ok(Some(damage));
            }
            self.blocks.at = fragment.end;
        }
    }

    /// Goes to the next fragment, over filler and zeros.
    fn next(&mut self) -> io::Result<Next> {
        loop {
            if self.blocks.cut_in_header() {
                return Ok(Next::Flaw(Flaw::Truncated));
            }
            if self.blocks.at_end() {
                if !self.blocks.next()? {
                    return Ok(Next::EndOfLog);
                }
                continue;
            }
            if is_zero(self.blocks.rest()) {
                self.zeros_from.get_or_insert(self.blocks.position());
                self.blocks.at = self.blocks.block.len();
                continue;
            }
            return Ok(match Fragment::read(&self.blocks.block, self.blocks.at) {
                Ok(fragment) => Next::Fragment(fragment),
                Err(flaw) => Next::Flaw(flaw),
            });
        }
    }

    /// Whether the zeros before `fragment` are those which the writer puts before a note that would
    /// not have fitted into the block before.
    fn is_padding(&self, fragment: &Fragment) -> bool {
        fragment.kind == Kind::Note
            && self.open.is_none()
            && self.zeros_from.is_some_and(|zeros| {
                self.blocks.position() - zeros < fragment.end.saturating_sub(self.blocks.at) as u64
            })
    }

    /// Takes an intact fragment as the next part of the log; the damage, if it does not fit.
    fn take(&mut self, fragment: &Fragment) -> io::Result<Option<(u64, Flaw)>> {
        let position = self.blocks.position();
        let fits = match fragment.kind {
            Kind::Middle | Kind::Last => self.open.is_some(),
            _ => self.open.is_none(),
        };
        match fragment.kind {
            Kind::Unknown => return Ok(Some((position, Flaw::BadType))),
            _ if !fits => return Ok(Some((position, Flaw::UnexpectedFragment))),
            Kind::Note | Kind::Ignorable => return Ok(None),
            Kind::Compression => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "the write-ahead log is compressed, and such logs cannot be checked",
                ));
            }
            Kind::Full | Kind::First | Kind::Middle | Kind::Last => {}
        }
        let mut batch = self.open.take().unwrap_or_else(|| Open::new(position));
        batch.add(fragment.payload(&self.blocks.block));
        if matches!(fragment.kind, Kind::First | Kind::Middle) {
            self.open = Some(batch);
            return Ok(None);
        }
        Ok(self
            .close(&batch, self.blocks.start + fragment.end as u64)
            .err())
    }

    /// Counts a batch whose last fragment ends at `end`.
    fn close(&mut self, batch: &Open, end: u64) -> Result<(), (u64, Flaw)> {
        let (sequence, count) = batch.decode().ok_or((batch.start, Flaw::BadLength))?;
        let last = sequence.saturating_add(u64::from(count)).saturating_sub(1);
        if last > MAX_SEQUENCE
            || self
                .found
                .last_sequence
                .is_some_and(|before| sequence <= before)
        {
            return Err((batch.start, Flaw::BadSequence));
        }
        self.found.batches += 1;
        self.found.first_sequence.get_or_insert(sequence);
        self.found.last_sequence = Some(last);
        self.found.end_of_intact = end;
        Ok(())
    }

    /// Looks for a sign, from the damage at the reading head on, that the damaged batch was not the last
    /// one; where it stands. In a block, fragments are followed from one to the next as long as that
    /// goes. From where it does not, every offset is tried: the length that led there may be the damage.
    fn later_batch(&mut self) -> io::Result<Option<u64>> {
        // Whether the last part of the damaged batch, or of one after it, has been passed.
        let mut ended = false;
        loop {
            let mut chained = true;
            while !self.blocks.at_end() {
                if chained && is_zero(self.blocks.rest()) {
                    break;
                }
                let (block, at) = (&self.blocks.block, self.blocks.at);
                let fragment = Fragment::locate(block, at).ok();
                let batch = fragment.filter(|f| self.looks_like_batch(f) && f.is_intact(block));
                if ended || batch.is_some() {
                    return Ok(Some(self.blocks.position()));
                }
                match fragment.filter(|f| chained && f.is_intact(block)) {
                    Some(passed) if !self.is_own(&passed) => return Ok(None),
                    Some(passed) => {
                        ended = passed.kind == Kind::Last;
                        self.blocks.at = passed.end;
                    }
                    None => {
                        chained = false;
                        self.blocks.at += 1;
                    }
                }
            }
            if ended && self.blocks.cut_in_header() {
                return Ok(Some(self.blocks.position()));
            }
            if !self.blocks.next()? {
                return Ok(None);
            }
        }
    }

    /// Whether `fragment` was written to this log, and not to the one whose file it took over.
    fn is_own(&self, fragment: &Fragment) -> bool {
        match (fragment.log_number, self.log_number) {
            (Some(number), Some(own)) => number == own,
            (Some(_), None) | (None, _) => true,
        }
    }

    /// Whether `fragment` begins a batch that could stand in this log behind the damage, if it is intact.
    fn looks_like_batch(&self, fragment: &Fragment) -> bool {
        let payload = fragment.payload(&self.blocks.block);
        let shaped = match fragment.kind {
            Kind::Full => payload.len() >= BATCH_HEADER,
            // It is split because the block ended.
            Kind::First => fragment.end == BLOCK,
            _ => false,
        };
        // A first part of a few bytes, at the very end of a block, does not show its number.
        let follows = match (payload.first_chunk(), self.found.last_sequence) {
            (None, _) => true,
            (Some(bytes), None) => u64::from_le_bytes(*bytes) <= MAX_SEQUENCE,
            (Some(bytes), Some(last)) => u64::from_le_bytes(*bytes)
                .checked_sub(last)
                .is_some_and(|ahead| (1..=SEQUENCE_WINDOW).contains(&ahead)),
        };
        shaped && follows && self.is_own(fragment)
    }
}
