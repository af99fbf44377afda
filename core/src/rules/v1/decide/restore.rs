//! `decide` for restores.

use super::super::gaps::restores;
use super::super::limits::{MAX_RESTORE_GAP, MAX_RESTORES};
use super::{bare, facts};
use crate::fact::Fact;
use crate::id::{Epoch, Position};
use crate::outcome::{Refusal, StateError};
use crate::rules::{Decision, Tail, epochs};
use crate::state::Scan;

/// Goes on with the ledger as another history.
pub fn restore<'a, S: Scan>(
    state: &S,
    tail: &Tail,
    epoch: Epoch,
    last: Position,
    gap: u64,
) -> Result<Decision<'a>, StateError> {
    let Some(epochs) = epochs(state)? else {
        return Ok(Decision::Refused(Refusal::NotFounded));
    };
    let from = epochs.current();
    let refusal = if tail.position != last {
        Refusal::Stale
    } else if epoch.number() <= from.number() {
        Refusal::BadEpoch
    } else if !(1..=MAX_RESTORE_GAP).contains(&gap) {
        Refusal::BadSetting
    } else if restores(state)?.len() >= MAX_RESTORES {
        Refusal::TooLarge
    } else {
        return Ok(facts([bare(Fact::Restored { epoch, from, gap })]));
    };
    Ok(Decision::Refused(refusal))
}
