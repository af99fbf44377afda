//! `decide` for changes of messages that were sent.

use std::borrow::Cow;

use super::super::limits::MAX_RUNNING;
use super::super::search::running;
use super::fanout::Fanned;
use super::recall::{Targets, targets};
use crate::body::SealedBody;
use crate::fact::{ChangedPlace, Fact, Part};
use crate::id::{Position, UserNo};
use crate::outcome::{Outcome, Refusal, StateError};
use crate::rules::{Decision, Draft, Reply, Tail};
use crate::state::Scan;

pub fn change<'a, S: Scan>(
    state: &S,
    tail: &Tail,
    message: Position,
    receiver: Option<UserNo>,
    part: Part,
    body: &'a SealedBody,
) -> Result<Decision<'a>, StateError> {
    let (fact, receivers) = match targets(state, message, receiver)? {
        Targets::No(refusal) => return Ok(Decision::Refused(refusal)),
        Targets::FannedOut => match objection(state, message)? {
            Some(refusal) => return Ok(Decision::Refused(refusal)),
            None => (Fact::FanoutChanged { message, part }, 0),
        },
        Targets::Of(recalled, targets) => {
            let mut places = Vec::with_capacity(targets.len());
            for target in targets {
                places.extend(target.changed(state)?);
            }
            if places.is_empty() {
                return Ok(Decision::Refused(Refusal::Withdrawn));
            }
            places.sort_unstable_by_key(|place: &ChangedPlace| place.conversation);
            let receivers = u32::try_from(places.len()).unwrap_or(u32::MAX);
            let fact = Fact::MessageChanged {
                message,
                part,
                echo: recalled.echo,
                places,
            };
            (fact, receivers)
        }
    };
    let draft = Draft {
        fact,
        body: Some(Cow::Borrowed(body)),
    };
    let outcome = Outcome::Changed {
        position: tail.position.next(),
        receivers,
    };
    Ok(Decision::Facts(vec![draft], Reply::Given(outcome)))
}

/// Why a message that is fanned out cannot be changed for all now: the steps of only one thing at a time are counted.
fn objection<S: Scan>(state: &S, message: Position) -> Result<Option<Refusal>, StateError> {
    let fanned = Fanned::of(state, message)?;
    let running = running(state)?;
    let runs = running.iter().any(|running| running.message == message);
    Ok(if fanned.row.cut.is_some() {
        Some(Refusal::Withdrawn)
    } else if runs || !fanned.row.done {
        Some(Refusal::Underway)
    } else if running.len() >= MAX_RUNNING {
        Some(Refusal::TooManyRunning)
    } else {
        None
    })
}
