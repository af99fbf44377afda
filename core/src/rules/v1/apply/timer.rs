//! `apply` for what is due at a time.

use crate::fact::Terms;
use crate::id::{Position, Time};
use crate::state::{Overlay, State, TimerKind, TimerRow};

/// A message whose record has this time must be withdrawn later, and perhaps begin later.
pub fn set<S: State>(state: &mut Overlay<S>, position: Position, terms: Terms, time: Time) {
    if let Some(expires) = terms.expires {
        let due = TimerKind::Expire;
        state.append((expires, position), &TimerRow { position, due });
    }
    if let Some(start) = waits_until(Some(terms), time) {
        let due = TimerKind::Release;
        state.append((start, position), &TimerRow { position, due });
    }
}

/// Until when a message with these terms waits, whose record has this time.
pub fn waits_until(terms: Option<Terms>, time: Time) -> Option<Time> {
    let start = terms.and_then(|terms| terms.not_before);
    start.filter(|start| *start > time)
}

/// A message no longer waits.
pub fn clear_release<S: State>(state: &mut Overlay<S>, message: Position, terms: Option<Terms>) {
    if let Some(start) = terms.and_then(|terms| terms.not_before) {
        state.delete::<TimerRow>((start, message));
    }
}

/// Nothing more is due of a message that was withdrawn.
pub fn clear<S: State>(state: &mut Overlay<S>, message: Position, terms: Option<Terms>) {
    clear_release(state, message, terms);
    if let Some(expires) = terms.and_then(|terms| terms.expires) {
        state.delete::<TimerRow>((expires, message));
    }
}
