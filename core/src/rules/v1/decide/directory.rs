//! `decide` for the directory: who is registered, with which profile.

use std::borrow::Cow;

use super::super::limits::MAX_TURNS;
use super::users::Users;
use super::{bare, facts};
use crate::body::SealedBody;
use crate::command::UserRef;
use crate::fact::{Fact, Revoked};
use crate::id::{Position, UserNo};
use crate::outcome::{Outcome, Refusal, StateError};
use crate::rules::{Decision, Draft, Reply};
use crate::state::{ErasedRow, ProfileRow, RegistrationRow, Scan, StateExt};

/// Registers a user, for the first time or again.
pub fn register<'a, S: Scan>(
    state: &S,
    user: &UserRef,
    profile: &'a SealedBody,
) -> Result<Decision<'a>, StateError> {
    let mut drafts = Vec::with_capacity(2);
    let (number, new) = Users::new(state).find_or_see(user, &mut drafts)?;
    let before = if new {
        None
    } else {
        state.row::<RegistrationRow>(number)?
    };
    let fact = match before {
        None => Fact::UserRegistered { user: number },
        Some(row) if row.stands() => return Ok(Decision::Refused(Refusal::AlreadyRegistered)),
        Some(row) => Fact::UserRegisteredAgain {
            user: number,
            turns: kept(row.turns),
        },
    };
    drafts.push(Draft {
        fact,
        body: Some(Cow::Borrowed(profile)),
    });
    Ok(Decision::Facts(
        drafts,
        Reply::Given(Outcome::User { user: number, new }),
    ))
}

/// Puts another profile in the place of the one whose record is `base`, and erases that one: what somebody was called once is
/// not kept.
pub fn update<'a, S: Scan>(
    state: &S,
    user: UserNo,
    base: Option<Position>,
    profile: &'a SealedBody,
) -> Result<Decision<'a>, StateError> {
    if !is_registered(state, user)? {
        return Ok(Decision::Refused(Refusal::UnknownUser));
    }
    let before = profile_of(state, user)?;
    if before != base {
        return Ok(Decision::Refused(Refusal::Stale));
    }
    let mut drafts = vec![Draft {
        fact: Fact::UserUpdated { user },
        body: Some(Cow::Borrowed(profile)),
    }];
    drafts.extend(erasure(state, before)?);
    Ok(Decision::Facts(drafts, Reply::Given(Outcome::Done)))
}

/// Ends a registration: no token of the user is worth anything any more, and the profile is erased. The number and the log stay.
pub fn unregister<'a, S: Scan>(state: &S, user: UserNo) -> Result<Decision<'a>, StateError> {
    let row = state.row::<RegistrationRow>(user)?;
    let Some(row) = row.filter(RegistrationRow::stands) else {
        return Ok(Decision::Refused(Refusal::UnknownUser));
    };
    let [tokens, ended] = [
        Fact::TokensRevoked {
            user,
            which: Revoked::All,
        },
        Fact::UserUnregistered {
            user,
            turns: kept(row.turns),
        },
    ]
    .map(bare);
    match erasure(state, profile_of(state, user)?)? {
        Some(erasure) => Ok(facts([tokens, ended, erasure])),
        None => Ok(facts([tokens, ended])),
    }
}

fn is_registered<S: Scan>(state: &S, user: UserNo) -> Result<bool, StateError> {
    let row = state.row::<RegistrationRow>(user)?;
    Ok(row.is_some_and(|row| row.stands()))
}

/// The record whose body is the user's profile.
fn profile_of<S: Scan>(state: &S, user: UserNo) -> Result<Option<Position>, StateError> {
    Ok(state.row::<ProfileRow>(user)?.map(|row| row.position))
}

fn erasure<'a, S: Scan>(
    state: &S,
    body: Option<Position>,
) -> Result<Option<Draft<'a>>, StateError> {
    let Some(position) = body else {
        return Ok(None);
    };
    let gone = state.row::<ErasedRow>(position)?.is_some();
    Ok((!gone).then(|| bare(Fact::BodyErased { position })))
}

/// The turns to keep, with room for one more: of very many the earliest time without a registration is forgotten, as if the
/// user had been registered all along.
fn kept(mut turns: Vec<Position>) -> Vec<Position> {
    if turns.len() >= MAX_TURNS {
        turns.drain(..2);
    }
    turns
}
