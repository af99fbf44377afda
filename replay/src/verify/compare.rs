//! The views of a directory beside those of a fresh fold, row by row, family by family. Knows nothing of how either was made.

use std::thread;

use waybill_core::codec;
use waybill_core::id::{Hash, Position};
use waybill_core::state::{Contents, FAMILIES, Family, FamilyInfo, StateHasher, Writing};
use waybill_log::StoreError;

use super::Error;
use super::describe;
use super::erasures::Erasures;
use super::finding::{Class, Findings, Place};
use super::rows::{self, Rows, Stream};
use crate::progress::Progress;

/// Rows after which the one who watches is told.
const TELL_EVERY: u64 = 64 * 1024;

/// What the views of the directory are compared as of.
#[derive(Clone, Copy)]
pub(crate) struct AsOf<'a> {
    /// What the views say they have applied.
    pub applied: Position,
    /// The end of the ledger.
    pub last: Position,
    /// Which bodies are gone by now.
    pub erasures: &'a Erasures,
}

/// What a comparison came to.
pub(crate) struct Compared {
    /// Rows of the views that were compared.
    pub rows: u64,
    /// State hash of the fold.
    pub ledger: Hash,
    /// State hash of the views.
    pub views: Hash,
}

impl AsOf<'_> {
    /// Whether a row of the views is to be looked at. A row is passed over
    ///
    /// * when it is of an appended family and was written by a record behind the mark: such rows may run ahead, and are written
    ///   again when the server starts; one of a record behind the ledger's end is no such row;
    /// * when it is joined from a body that a record behind the mark has erased: the body is gone, the row goes with that record.
    pub fn includes(&self, info: &FamilyInfo, value: &[u8]) -> bool {
        let joined = info.contents == Contents::Joined;
        if info.writing == Writing::Updated && !joined {
            return true;
        }
        let Ok((position, _)) = codec::decode_prefix::<Position>(value) else {
            return true;
        };
        let ahead =
            info.writing == Writing::Appended && position > self.applied && position <= self.last;
        let going = joined && self.erasures.erased_after(position.0, self.applied.0);
        !ahead && !going
    }
}

/// Compares all families.
///
/// # Errors
/// When a disk fails; damage of the views is a finding.
pub(crate) fn compare(
    ledger: &dyn Rows,
    views: &dyn Rows,
    as_of: AsOf<'_>,
    findings: &mut Findings,
    progress: &mut dyn Progress,
) -> Result<Compared, Error> {
    let (mut ledger_hash, mut views_hash) = (StateHasher::new(), StateHasher::new());
    let mut compared = 0;
    for info in &FAMILIES {
        let (ledger_to, ledger_from) = rows::stream();
        let (views_to, views_from) = rows::stream();
        let (ledger_hash, views_hash) = (&mut ledger_hash, &mut views_hash);
        let (from_ledger, from_views) = thread::scope(|scope| {
            let fold = scope.spawn(move || {
                rows::produce(ledger, info.family, &ledger_to, &mut |key, value| {
                    ledger_hash.row(info.family, key, value);
                    true
                })
            });
            let live = scope.spawn(move || {
                rows::produce(views, info.family, &views_to, &mut |key, value| {
                    let included = as_of.includes(info, value);
                    if included {
                        views_hash.row(info.family, key, value);
                    }
                    included
                })
            });
            let streams = (Stream::new(ledger_from), Stream::new(views_from));
            compare_family(info.family, streams, findings, &mut |rows| {
                compared += rows;
                progress.reached(compared);
            });
            let join = |worker: thread::ScopedJoinHandle<'_, Result<(), StoreError>>| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            (join(fold), join(live))
        });
        from_ledger?;
        views_readable(info.family, from_views, findings)?;
    }
    Ok(Compared {
        rows: compared,
        ledger: ledger_hash.finish(),
        views: views_hash.finish(),
    })
}

/// Makes damage of the views a finding, and passes other failures on.
pub(crate) fn views_readable(
    family: Family,
    walked: Result<(), StoreError>,
    findings: &mut Findings,
) -> Result<(), Error> {
    match walked {
        Ok(()) => Ok(()),
        Err(error @ StoreError::Corrupt { .. }) => {
            let place = Place::Views {
                family: family.name().to_owned(),
            };
            findings.add(Class::ViewsUnreadable, place, || error.to_string());
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn compare_family(
    family: Family,
    (mut ledger, mut views): (Stream, Stream),
    findings: &mut Findings,
    count: &mut dyn FnMut(u64),
) {
    let mut seen = 0;
    loop {
        let (ours, theirs) = (ledger.row(), views.row());
        let order = match (ours, theirs) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((ours, _)), Some((theirs, _))) => ours.cmp(theirs),
        };
        match (order, ours, theirs) {
            (std::cmp::Ordering::Less, Some((key, value)), _) => {
                findings.add(Class::RowMissing, describe::row(family, key), || {
                    describe::shown(family, value, "there is no such row; the ledger gives")
                });
            }
            (std::cmp::Ordering::Greater, _, Some((key, value))) => {
                findings.add(Class::RowUnexpected, describe::row(family, key), || {
                    describe::shown(family, value, "the ledger gives no such row; it has")
                });
            }
            (_, Some((key, ours)), Some((_, theirs))) if ours != theirs => {
                findings.add(Class::RowDiffers, describe::row(family, key), || {
                    describe::difference(family, theirs, ours)
                });
            }
            _ => {}
        }
        if order.is_le() {
            ledger.advance();
        }
        if order.is_ge() {
            views.advance();
            seen += 1;
            if seen == TELL_EVERY {
                count(std::mem::take(&mut seen));
            }
        }
    }
    count(seen);
}
