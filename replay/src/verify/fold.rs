//! A fresh fold of the ledger up to a position, with nothing but the rules of the domain. Knows nothing of the views that it
//! will be compared with.

use waybill_core::id::Position;
use waybill_core::outcome::StateError;
use waybill_core::record::Record;
use waybill_core::rules::{self, Tail};
use waybill_core::state::Overlay;
use waybill_log::StoreError;
use waybill_log::rocks::RocksLedger;
use waybill_log::store::{Bodies, Ledger};

use super::Error;
use super::finding::{Class, Findings, Place};
use super::scratch::{Folded, Scratch};
use crate::progress::Progress;

/// Records that are applied in one overlay.
const CHUNK_RECORDS: u64 = 256;

/// What came of a fold.
pub(crate) struct Outcome {
    /// The last record folded.
    pub tail: Tail,
    /// Entries that went into user logs.
    pub entries: u64,
    /// The views; `None` when the ledger could not be folded to the end.
    pub views: Option<Folded>,
}

/// Folds records 1 to `last`.
///
/// # Errors
/// When a disk fails; a ledger that cannot be folded is a finding.
pub(crate) fn fold(
    ledger: &RocksLedger,
    scratch: Scratch<'_>,
    last: Position,
    findings: &mut Findings,
    progress: &mut dyn Progress,
) -> Result<Outcome, Error> {
    let mut fold = Fold {
        ledger,
        scratch: &scratch,
        overlay: Overlay::new(&scratch),
        tail: Tail::EMPTY,
        entries: 0,
    };
    let mut failure = None;
    if last.0 > 0 {
        let walked = ledger.walk(Position(1), Bodies::Without, &mut |position, bytes, _| {
            if position > last {
                return false;
            }
            if let Err(error) = fold.step(position, bytes) {
                failure = Some((position, error));
                return false;
            }
            if position.0.is_multiple_of(CHUNK_RECORDS) {
                if let Err(error) = fold.commit() {
                    failure = Some((position, StateError::from(error)));
                    return false;
                }
                progress.reached(position.0);
            }
            position < last
        });
        if let (Err(error), None) = (walked, &failure) {
            failure = Some((fold.tail.position, StateError::from(error)));
        }
    }
    fold.commit()?;
    let (tail, entries) = (fold.tail, fold.entries);
    let views = match failure {
        None if tail.position == last => Some(scratch.finish()?),
        None => {
            findings.add(
                Class::FoldStopped,
                Place::record(tail.position.0 + 1),
                || format!("there is no record, and the fold goes to {last}"),
            );
            None
        }
        Some((position, error)) => {
            let place = Place::record(position.0);
            let what = damage(error)?;
            findings.add(Class::FoldStopped, place, || what);
            None
        }
    };
    Ok(Outcome {
        tail,
        entries,
        views,
    })
}

/// What is wrong with the ledger, unless it is the disk that failed.
fn damage(error: StateError) -> Result<String, Error> {
    match error {
        StateError::Store(source) => match source.downcast::<StoreError>() {
            Ok(store) => match *store {
                damage @ StoreError::Corrupt { .. } => Ok(damage.to_string()),
                failure => Err(failure.into()),
            },
            Err(source) => Err(StoreError::Failed {
                store: "ledger",
                reason: source.to_string(),
            }
            .into()),
        },
        other => Ok(other.to_string()),
    }
}

struct Fold<'a> {
    ledger: &'a RocksLedger,
    scratch: &'a Scratch<'a>,
    overlay: Overlay<&'a Scratch<'a>>,
    tail: Tail,
    entries: u64,
}

impl Fold<'_> {
    fn step(&mut self, position: Position, bytes: &[u8]) -> Result<(), StateError> {
        let record = Record::decode(position, bytes)
            .map_err(|error| StateError::Record { position, error })?;
        let body = if rules::needs_body(&record.fact) {
            let mut stored = self.ledger.read(&[position])?;
            stored.pop().and_then(|stored| stored.body)
        } else {
            None
        };
        let applied = rules::fold(
            &mut self.overlay,
            &mut self.tail,
            &record,
            bytes,
            body.as_deref(),
        )?;
        self.entries += applied.delivered.len() as u64;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let effects = self.overlay.take_effects();
        self.overlay = Overlay::new(self.scratch);
        self.scratch.commit(effects)
    }
}
