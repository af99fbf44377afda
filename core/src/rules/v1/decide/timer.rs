//! `decide` for what is due at a time: messages that begin to be delivered, and messages whose time is over.

use super::super::limits::{MAX_RUNNING, MAX_WAIT_MS};
use super::super::search::running;
use super::{bare, facts, recall};
use crate::fact::{Fact, Terms, Withdrawal};
use crate::id::{Position, Time};
use crate::outcome::{Refusal, StateError};
use crate::rules::Decision;
use crate::state::{Scan, StateExt, TimerKind, TimerRow};

/// Why a message with these terms cannot be sent now, if so.
pub fn objection(terms: Option<Terms>, now: Time, fanned_out: bool) -> Option<Refusal> {
    let Terms {
        expires,
        not_before,
        ..
    } = terms?;
    if expires.is_some_and(|expires| expires <= now) {
        return Some(Refusal::Expired);
    }
    let start = not_before?;
    let too_late = expires.is_some_and(|expires| expires <= start);
    let too_far = start.0.saturating_sub(now.0) > MAX_WAIT_MS;
    (!fanned_out || too_late || too_far).then_some(Refusal::TooFarAhead)
}

/// Withdraws a message whose time is over.
pub fn expire<'a, S: Scan>(
    state: &S,
    now: Time,
    message: Position,
) -> Result<Decision<'a>, StateError> {
    if is_due(state, now, message, TimerKind::Expire)? {
        recall::withdraw(state, message, None, Withdrawal::Expired)
    } else {
        Ok(Decision::Refused(Refusal::Stale))
    }
}

/// Begins to fan out a message that has waited for its time.
pub fn release<'a, S: Scan>(
    state: &S,
    now: Time,
    message: Position,
) -> Result<Decision<'a>, StateError> {
    if !is_due(state, now, message, TimerKind::Release)? {
        return Ok(Decision::Refused(Refusal::Stale));
    }
    if running(state)?.len() >= MAX_RUNNING {
        return Ok(Decision::Refused(Refusal::TooManyRunning));
    }
    Ok(facts([bare(Fact::FanoutReleased { message })]))
}

/// Whether this is due of the message now, and was not done before.
fn is_due<S: Scan>(
    state: &S,
    now: Time,
    message: Position,
    kind: TimerKind,
) -> Result<bool, StateError> {
    let record = state.decoded_record(message)?;
    let terms = record.and_then(|record| record.fact.terms());
    let time = terms.and_then(|terms| match kind {
        TimerKind::Release => terms.not_before,
        TimerKind::Expire => terms.expires,
    });
    match time {
        Some(time) if time <= now => {
            let row = state.row::<TimerRow>((time, message))?;
            Ok(row.is_some_and(|row| row.due == kind))
        }
        _ => Ok(false),
    }
}
