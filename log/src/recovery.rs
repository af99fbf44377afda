//! From what is on disk to a state that may be served: is the ledger whole, do the views belong to it, what must be applied
//! again.

use waybill_core::fact::Fact;
use waybill_core::hash;
use waybill_core::id::{Epoch, Position};
use waybill_core::outcome::StateError;
use waybill_core::record::Record;
use waybill_core::rules::{self, Tail};
use waybill_core::state::{Overlay, SettingsKey, SettingsRow, StateExt};
use waybill_core::versions::VIEWS_VERSION;

use crate::error::{OpenError, StoreError};
use crate::store::{Applied, Bodies, Ledger, Mark};
use crate::view_store::ViewStore;
use crate::witness::Seen;

/// Records that are applied in one overlay.
const CHUNK_RECORDS: usize = 1024;

/// Records after which a long catch-up makes its work durable, so that it need not begin again, and memory stays flat.
const FLUSH_EVERY_RECORDS: u64 = 200_000;

/// Told how far a catch-up has come: position reached, position aimed at.
pub type Progress<'a> = dyn FnMut(Position, Position) + 'a;

/// The last record of the ledger; [`Tail::EMPTY`] when there is none.
pub fn ledger_tail(ledger: &dyn Ledger) -> Result<Tail, OpenError> {
    match ledger.last()? {
        None => Ok(Tail::EMPTY),
        Some((position, bytes)) => Ok(decode(position, &bytes)?.1),
    }
}

fn decode(position: Position, bytes: &[u8]) -> Result<(Record, Tail), StateError> {
    let record =
        Record::decode(position, bytes).map_err(|error| StateError::Record { position, error })?;
    let tail = Tail {
        position,
        time: record.time,
        leaf: hash::leaf(bytes),
    };
    Ok((record, tail))
}

/// Refuses a ledger that ends before the record that the witness file names, or has another one in its place.
pub fn check_witness(ledger: &dyn Ledger, last: &Tail, seen: Seen) -> Result<(), OpenError> {
    match seen {
        Seen::Nothing => Ok(()),
        Seen::Record(answered) => check_applied(ledger, last, &answered, "the tail file"),
        Seen::Damaged => Err(OpenError::Store(StoreError::corrupt(
            "the tail file",
            "both slots",
            "neither is what this program writes; if you know the ledger to be whole, remove the file and start again",
        ))),
    }
}

fn check_applied(
    ledger: &dyn Ledger,
    last: &Tail,
    answered: &Applied,
    witness: &'static str,
) -> Result<(), OpenError> {
    if answered.position > last.position {
        return Err(OpenError::Truncated {
            last: last.position,
            expected: answered.position,
            witness,
        });
    }
    let replaced = |position| OpenError::Replaced { position, witness };
    // Two histories may hold the same record at the same place, but not the same genesis.
    if ledger_epoch(ledger)? != Some(answered.epoch) {
        return Err(replaced(Position(1)));
    }
    match ledger.record(answered.position)? {
        Some(bytes) if hash::leaf(&bytes) == answered.leaf => Ok(()),
        _ => Err(replaced(answered.position)),
    }
}

/// The identity of the history, from the ledger.
fn ledger_epoch(ledger: &dyn Ledger) -> Result<Option<Epoch>, OpenError> {
    let first = Position(1);
    let Some(bytes) = ledger.record(first)? else {
        return Ok(None);
    };
    match decode(first, &bytes)?.0.fact {
        Fact::Genesis { epoch, .. } => Ok(Some(epoch)),
        _ => Ok(None),
    }
}

/// What is to be done with the views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are as of this record, and the ledger goes on from there.
    CatchUp(Tail, Option<Applied>),
    /// They cannot be used, for this reason.
    Rebuild(String),
}

/// Judges views by their mark. Views that are ahead of the ledger show that the ledger has lost records: that is refused.
pub fn judge(ledger: &dyn Ledger, last: &Tail, mark: Option<Mark>) -> Result<Verdict, OpenError> {
    let Some(mark) = mark else {
        return Ok(Verdict::CatchUp(Tail::EMPTY, None));
    };
    if mark.version != VIEWS_VERSION {
        return Ok(Verdict::Rebuild(format!(
            "they have version {}, this program writes {VIEWS_VERSION}",
            mark.version
        )));
    }
    if let Some(applied) = mark.applied
        && applied.position > last.position
    {
        let witness = "what the views have applied";
        return Err(OpenError::Truncated {
            last: last.position,
            expected: applied.position,
            witness,
        });
    }
    let Some(applied) = mark.applied.filter(|_| mark.whole) else {
        return Ok(Verdict::Rebuild(
            "the process ended in the middle of a flush".to_owned(),
        ));
    };
    if applied.position.0 == 0 {
        return Ok(Verdict::Rebuild("they have applied nothing".to_owned()));
    }
    let Some(bytes) = ledger.record(applied.position)? else {
        return Err(OpenError::Store(StoreError::corrupt(
            "ledger",
            applied.position,
            "the record is missing",
        )));
    };
    if hash::leaf(&bytes) != applied.leaf {
        return Ok(Verdict::Rebuild(format!(
            "they have applied another record {} than the ledger has",
            applied.position
        )));
    }
    if ledger_epoch(ledger)? != Some(applied.epoch) {
        return Ok(Verdict::Rebuild(
            "they belong to another history than the ledger".to_owned(),
        ));
    }
    let (_, tail) = decode(applied.position, &bytes)?;
    Ok(Verdict::CatchUp(tail, Some(applied)))
}

/// Applies the ledger to the views from after `from` to its end. Returns the end, and what is durably applied.
pub fn catch_up(
    store: &ViewStore,
    from: Tail,
    applied: Option<Applied>,
    last: Position,
    progress: &mut Progress<'_>,
) -> Result<(Tail, Option<Applied>), OpenError> {
    let (mut tail, mut applied) = (from, applied);
    let mut unflushed = 0;
    while tail.position < last {
        let before = tail.position;
        tail = apply_chunk(store, tail)?;
        progress(tail.position, last);
        unflushed += tail.position.0 - before.0;
        if unflushed >= FLUSH_EVERY_RECORDS {
            applied = flush(store, applied, &tail)?;
            unflushed = 0;
        }
    }
    Ok((tail, applied))
}

/// Flushes everything that is dirty as of `tail`.
pub fn flush(
    store: &ViewStore,
    before: Option<Applied>,
    tail: &Tail,
) -> Result<Option<Applied>, OpenError> {
    let Some(epoch) = stored_epoch(store)? else {
        return Ok(before);
    };
    let applied = Applied {
        epoch,
        position: tail.position,
        leaf: tail.leaf,
    };
    store.flush(&store.hot().dirty(), before, applied)?;
    Ok(Some(applied))
}

fn apply_chunk(store: &ViewStore, from: Tail) -> Result<Tail, OpenError> {
    let mut tail = from;
    let mut overlay = Overlay::new(store);
    let mut left = CHUNK_RECORDS;
    let mut failure = None;
    let ledger = store.ledger();
    ledger.walk(
        from.position.next(),
        Bodies::Without,
        &mut |position, bytes, _| {
            if let Err(error) = apply_one(&mut overlay, &mut tail, &**ledger, position, bytes) {
                failure = Some(error);
                return false;
            }
            left -= 1;
            left > 0
        },
    )?;
    if let Some(error) = failure {
        return Err(error);
    }
    if left == CHUNK_RECORDS {
        return Err(OpenError::Store(StoreError::corrupt(
            "ledger",
            from.position.next(),
            "the record is missing",
        )));
    }
    store.commit(overlay.take_effects())?;
    Ok(tail)
}

fn apply_one(
    overlay: &mut Overlay<&ViewStore>,
    tail: &mut Tail,
    ledger: &dyn Ledger,
    position: Position,
    bytes: &[u8],
) -> Result<(), OpenError> {
    let (record, _) = decode(position, bytes)?;
    let body = match rules::needs_body(&record.fact) {
        true => ledger
            .read(&[position])?
            .pop()
            .and_then(|stored| stored.body),
        false => None,
    };
    rules::fold(overlay, tail, &record, bytes, body.as_deref())?;
    Ok(())
}

/// The identity of the history, from the views.
pub fn stored_epoch(store: &ViewStore) -> Result<Option<Epoch>, StateError> {
    match store.row(SettingsKey::Genesis)? {
        Some(SettingsRow::Genesis(epoch)) => Ok(Some(epoch)),
        _ => Ok(None),
    }
}
