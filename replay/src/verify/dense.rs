//! Logs that are dense between a floor and a head, but for places that a restore left out: walks a family of heads, one of entries and
//! the gaps side by side, and says what is there, missing, or too much. Knows nothing of what entries hold.

use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::thread;

use waybill_core::state::{Family, FamilyInfo, GapRow, Row as _};
use waybill_log::StoreError;

use super::Error;
use super::compare::{AsOf, views_readable};
use super::finding::Findings;
use super::rows::{self, Rows, Stream};
use crate::progress::Progress;

/// Entries after which the one who watches is told.
const TELL_EVERY: u64 = 64 * 1024;

/// Why an entry is not one of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    /// The log has no head, and so no entries.
    NoHead,
    /// It lies before the floor.
    BelowFloor,
    /// It lies behind the head.
    BeyondHead,
}

/// The two families of one kind of log.
#[derive(Clone, Copy)]
pub(crate) struct Families {
    /// Owner → head.
    pub heads: Family,
    /// Owner, seq as u64 big-endian → entry.
    pub entries: Family,
    /// With what the keys of their gaps begin, before the owner.
    pub gaps: u8,
}

/// Told of logs one after the other, by owner.
pub(crate) trait Visitor {
    /// The key of a log's head, decoded. `None` when it is no such key.
    fn owner(&self, key: &[u8]) -> Option<()>;

    /// A log begins: floor to head, as its head's row says; `None` when that cannot be read.
    fn begin(&mut self, owner: &[u8], head: &[u8]) -> Result<Option<RangeInclusive<u64>>, Error>;

    /// The next entry.
    fn entry(&mut self, owner: &[u8], seq: u64, value: &[u8]) -> Result<(), Error>;

    /// Entries that must be there.
    fn missing(&mut self, owner: &[u8], seqs: RangeInclusive<u64>);

    /// An entry that must not be there.
    fn stray(&mut self, owner: &[u8], seq: u64, why: Stray);

    /// The log that has begun ends.
    fn end(&mut self, owner: &[u8]);

    /// Where findings go.
    fn findings(&mut self) -> &mut Findings;
}

/// Walks all logs of a kind. Returns how many entries there were.
///
/// # Errors
/// When a disk fails, or the visitor.
pub(crate) fn walk(
    views: &dyn Rows,
    families: Families,
    as_of: AsOf<'_>,
    visitor: &mut dyn Visitor,
    progress: &mut dyn Progress,
) -> Result<u64, Error> {
    let (heads_to, heads_from) = rows::stream();
    let (entries_to, entries_from) = rows::stream();
    let (gaps_to, gaps_from) = rows::stream();
    let all = |_: &[u8]| true;
    let of_kind = move |key: &[u8]| key.first() == Some(&families.gaps);
    let (walked, heads, entries, gaps) = thread::scope(|scope| {
        let heads = scope.spawn(move || produce(views, families.heads, as_of, &heads_to, all));
        let entries =
            scope.spawn(move || produce(views, families.entries, as_of, &entries_to, all));
        let gaps = scope.spawn(move || produce(views, Family::Gaps, as_of, &gaps_to, of_kind));
        let walked = Walk {
            heads: Stream::new(heads_from),
            entries: Stream::new(entries_from),
            gaps: Stream::new(gaps_from),
            seen: 0,
        }
        .run(visitor, progress);
        let join = |worker: thread::ScopedJoinHandle<'_, Result<(), StoreError>>| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        (walked, join(heads), join(entries), join(gaps))
    });
    views_readable(families.heads, heads, visitor.findings())?;
    views_readable(families.entries, entries, visitor.findings())?;
    views_readable(Family::Gaps, gaps, visitor.findings())?;
    walked
}

fn produce(
    views: &dyn Rows,
    family: Family,
    as_of: AsOf<'_>,
    to: &crossbeam_channel::Sender<rows::Chunk>,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<(), StoreError> {
    let info: &FamilyInfo = family.info();
    rows::produce(views, family, to, &mut |key, value| {
        wanted(key) && as_of.includes(info, value)
    })
}

struct Walk {
    heads: Stream,
    entries: Stream,
    gaps: Stream,
    seen: u64,
}

impl Walk {
    fn run(mut self, visitor: &mut dyn Visitor, progress: &mut dyn Progress) -> Result<u64, Error> {
        while let Some((owner, head)) = self.heads.row() {
            if visitor.owner(owner).is_some() {
                let owner = owner.to_vec();
                let span = visitor.begin(&owner, head)?;
                self.log(&owner, span, visitor, progress)?;
            }
            self.heads.advance();
        }
        while let Some((owner, seq, _)) = self.entry() {
            visitor.stray(owner, seq, Stray::NoHead);
            self.next(progress);
        }
        Ok(self.seen)
    }

    /// The entry at hand; passes over keys that are none, which the comparison of rows finds.
    fn entry(&mut self) -> Option<(&[u8], u64, &[u8])> {
        while let Some((key, _)) = self.entries.row()
            && key.len() < 8
        {
            self.entries.advance();
        }
        let (key, value) = self.entries.row()?;
        let (owner, seq) = key.split_last_chunk::<8>()?;
        Some((owner, u64::from_be_bytes(*seq), value))
    }

    fn next(&mut self, progress: &mut dyn Progress) {
        self.entries.advance();
        self.seen += 1;
        if self.seen.is_multiple_of(TELL_EVERY) {
            progress.reached(self.seen);
        }
    }

    /// What the log of this owner has left out, ascending. Rows that are none the comparison of rows finds.
    fn gaps_of(&mut self, owner: &[u8]) -> Vec<GapRow> {
        let mut gaps = Vec::new();
        while let Some((key, value)) = self.gaps.row() {
            let of = key.get(1..).and_then(|rest| rest.split_last_chunk::<8>());
            match of.map(|(of, _)| of.cmp(owner)) {
                Some(Ordering::Greater) => break,
                Some(Ordering::Equal) => gaps.extend(GapRow::decode(value)),
                Some(Ordering::Less) | None => {}
            }
            self.gaps.advance();
        }
        gaps
    }

    fn log(
        &mut self,
        owner: &[u8],
        span: Option<RangeInclusive<u64>>,
        visitor: &mut dyn Visitor,
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let gaps = self.gaps_of(owner);
        let mut expected = span.as_ref().map_or(0, |span| *span.start());
        while let Some((of, seq, value)) = self.entry()
            && of <= owner
        {
            match &span {
                _ if of < owner => visitor.stray(of, seq, Stray::NoHead),
                // The head cannot be read, which has been said.
                None => {}
                Some(span) if seq < *span.start() => visitor.stray(of, seq, Stray::BelowFloor),
                Some(span) if seq > *span.end() => visitor.stray(of, seq, Stray::BeyondHead),
                Some(_) => {
                    for seqs in missing(&gaps, expected, seq) {
                        visitor.missing(of, seqs);
                    }
                    visitor.entry(of, seq, value)?;
                    expected = seq.saturating_add(1);
                }
            }
            self.next(progress);
        }
        if let Some(span) = &span {
            for seqs in missing(&gaps, expected, span.end().saturating_add(1)) {
                visitor.missing(owner, seqs);
            }
            visitor.end(owner);
        }
        Ok(())
    }
}

/// Of the places from `from` to before `to`, none of which has an entry, those that were not left out.
fn missing(gaps: &[GapRow], from: u64, to: u64) -> Vec<RangeInclusive<u64>> {
    let mut missing = Vec::new();
    let mut from = from;
    for gap in gaps {
        if gap.among(from, to.saturating_sub(1)) == 0 {
            continue;
        }
        if from < gap.first {
            missing.push(from..=gap.first - 1);
        }
        from = gap.last().saturating_add(1);
    }
    if from < to {
        missing.push(from..=to - 1);
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_core::id::Position;

    #[test]
    fn what_was_left_out_is_not_missing() {
        let gap = |first, count| GapRow {
            position: Position(1),
            first,
            count,
            before: 0,
        };
        let gaps = [gap(3, 4), gap(10, 2)];
        for (from, to, expected) in [
            (1, 1, vec![]),
            (1, 3, vec![1..=2]),
            (3, 7, vec![]),
            (2, 8, vec![2..=2, 7..=7]),
            (1, 20, vec![1..=2, 7..=9, 12..=19]),
            (5, 6, vec![]),
            (12, 13, vec![12..=12]),
        ] {
            assert_eq!(missing(&gaps, from, to), expected, "{from} to {to}");
        }
        assert_eq!(missing(&[], 4, 6), [4..=5]);
    }
}
