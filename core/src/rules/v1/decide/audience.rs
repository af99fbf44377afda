//! `decide` for audiences: lists of users that are sent to again and again, filled piece by piece.

use std::borrow::Cow;

use super::super::counted_on;
use super::super::limits::MAX_FILLED;
use super::bare;
use super::users::{Users, policy_in_force};
use crate::body::{Body, SealedBody};
use crate::command::UserRef;
use crate::fact::{Fact, pack_users};
use crate::id::{AudienceNo, KeyedHash, Opening};
use crate::outcome::{Outcome, Refusal, StateError};
use crate::policy::UnknownReceiver;
use crate::rules::{Decision, Draft, Reply};
use crate::state::{
    AudienceMemberRow, AudienceRow, Family, Scan, SettingsKey, SettingsRow, StateExt,
};

pub fn begin<'a, S: Scan>(
    state: &S,
    name: KeyedHash,
    body: &'a SealedBody,
) -> Result<Decision<'a>, StateError> {
    let last = match state.row(SettingsKey::Audiences)? {
        Some(SettingsRow::Audiences(last)) => last,
        _ => AudienceNo(0),
    };
    let audience = counted_on(last.checked_next(), Family::Settings.name())?;
    let draft = Draft {
        fact: Fact::AudienceBegun { audience, name },
        body: Some(Cow::Borrowed(body)),
    };
    Ok(Decision::Facts(
        vec![draft],
        Reply::Given(Outcome::Audience { audience }),
    ))
}

/// Takes the next lines of an audience's list. Who is named again, here or before, is passed over; who may not be taken in is
/// noted as refused.
pub fn fill<'a, S: Scan>(
    state: &S,
    audience: AudienceNo,
    line: u64,
    lines: &[UserRef],
    opening: Opening,
) -> Result<Decision<'a>, StateError> {
    let Some(row) = state.row::<AudienceRow>(audience)? else {
        return Ok(Decision::Refused(Refusal::UnknownAudience));
    };
    if row.complete.is_some() {
        return Ok(Decision::Refused(Refusal::AudienceState));
    }
    if lines.is_empty() || lines.len() > MAX_FILLED {
        return Ok(Decision::Refused(Refusal::TooLarge));
    }
    if row.lines != line {
        return Ok(Decision::Refused(Refusal::Stale));
    }
    let refuses = policy_in_force(state)?.unknown_receiver == UnknownReceiver::Refuse;
    let mut drafts = Vec::with_capacity(2);
    let mut users = Users::new(state);
    let (mut members, mut refused) = (Vec::with_capacity(lines.len()), Vec::new());
    for user in lines {
        if refuses && users.find(user)?.is_none() {
            refused.push(user.id.clone());
            continue;
        }
        let (number, new) = users.find_or_see(user, &mut drafts)?;
        if new
            || state
                .row::<AudienceMemberRow>((audience, number))?
                .is_none()
        {
            members.push(number);
        }
    }
    members.sort_unstable();
    members.dedup();
    let outcome = Outcome::Filled {
        lines: row.lines.saturating_add(lines.len() as u64),
        members: row.members.saturating_add(members.len() as u64),
        refused: row.refused.saturating_add(refused.len() as u64),
    };
    drafts.push(bare(Fact::AudienceFilled {
        audience,
        // At most MAX_FILLED, which fits.
        lines: u32::try_from(lines.len()).unwrap_or(u32::MAX),
        members: pack_users(&members),
    }));
    if !refused.is_empty() {
        let count = u32::try_from(refused.len()).unwrap_or(u32::MAX);
        drafts.push(Draft {
            fact: Fact::ReceiversRefused { audience, count },
            body: Some(Cow::Owned(Body::Refused { ids: refused }.seal(opening))),
        });
    }
    Ok(Decision::Facts(drafts, Reply::Given(outcome)))
}

pub fn commit<'a, S: Scan>(state: &S, audience: AudienceNo) -> Result<Decision<'a>, StateError> {
    match state.row::<AudienceRow>(audience)? {
        None => Ok(Decision::Refused(Refusal::UnknownAudience)),
        Some(row) if row.complete.is_some() => Ok(Decision::Known(Outcome::Done)),
        Some(_) => Ok(Decision::Facts(
            vec![bare(Fact::AudienceCommitted { audience })],
            Reply::Given(Outcome::Done),
        )),
    }
}
