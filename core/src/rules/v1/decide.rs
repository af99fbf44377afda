//! `decide`: what facts a command makes, if any. Reads state, changes nothing.

use std::borrow::Cow;

mod audience;
mod change;
mod collapse;
mod directory;
mod fanout;
mod recall;
mod restore;
mod send;
mod status;
mod tend;
mod timer;
mod trim;
mod users;

pub use fanout::Fanned;
use users::{Users, last_user, policy_in_force};

use super::counted_on;
use super::limits::MAX_ENDED;
use crate::body::SealedBody;
use crate::command::{Ask, Unknown, UserRef};
use crate::fact::{Fact, Revoked, Withdrawal};
use crate::id::{KeyedHash, Position, Time, UserNo};
use crate::outcome::{Outcome, Refusal, StateError};
use crate::rules::{Decision, Draft, Reply, Tail, is_known};
use crate::state::{DevicesRow, ErasedRow, Family, Scan, StateExt, TokenCutRow, TokenRow};

/// The rules version of this folder.
const VERSION: u32 = 1;

pub fn decide<'a, S: Scan>(
    state: &S,
    tail: &Tail,
    time: Time,
    ask: &'a Ask,
) -> Result<Decision<'a>, StateError> {
    match (ask, tail.position) {
        (Ask::Found { epoch, rules }, Position(0)) => {
            return Ok(facts([Draft {
                fact: Fact::Genesis {
                    epoch: *epoch,
                    rules: *rules,
                },
                body: None,
            }]));
        }
        (Ask::Found { .. }, _) => return Ok(Decision::Refused(Refusal::AlreadyFounded)),
        (_, Position(0)) => return Ok(Decision::Refused(Refusal::NotFounded)),
        _ => {}
    }
    match ask {
        // `Found` was answered above.
        Ask::Found { .. } => Ok(Decision::Refused(Refusal::AlreadyFounded)),
        Ask::ChangeRules { rules } if *rules > VERSION && is_known(*rules) => {
            Ok(facts([bare(Fact::RulesChanged { rules: *rules })]))
        }
        Ask::ChangeRules { .. } => Ok(Decision::Refused(Refusal::BadRules)),
        Ask::ChangePolicy(policy) if *policy == policy_in_force(state)? => {
            Ok(Decision::Known(Outcome::Done))
        }
        Ask::ChangePolicy(policy) => Ok(facts([bare(Fact::PolicyChanged(*policy))])),
        Ask::Register { user, profile } => directory::register(state, user, profile),
        Ask::IssueToken {
            user,
            unknown,
            platform,
            token,
            expires,
            ends,
        } => {
            let issued = Issued {
                platform: *platform,
                token: *token,
                expires: *expires,
            };
            issue(state, user, *unknown, issued, ends)
        }
        Ask::RevokeTokens { user, which } => revoke(state, *user, *which),
        Ask::Send(send) => send::send(state, time, send),
        Ask::Post(post) => send::post(state, time, post),
        Ask::SeeDevice {
            user,
            id,
            platform,
            body,
        } => see_device(state, *user, *id, *platform, body),
        Ask::Reach { cursors } => status::reach(state, cursors),
        Ask::Erase { position } => erase(state, *position),
        Ask::Tend {
            user,
            conversation,
            deed,
        } => tend::tend(state, *user, *conversation, deed),
        Ask::Recall { message, receiver } => {
            recall::withdraw(state, *message, *receiver, Withdrawal::Recalled)
        }
        Ask::BeginAudience { name, body } => audience::begin(state, *name, body),
        Ask::FillAudience {
            audience,
            line,
            users,
            opening,
        } => audience::fill(state, *audience, *line, users, *opening),
        Ask::CommitAudience { audience } => audience::commit(state, *audience),
        Ask::FanoutNext {
            message,
            from,
            most,
        } => fanout::next(state, *message, *from, usize::from(*most).max(1)),
        Ask::UpdateProfile {
            user,
            base,
            profile,
        } => directory::update(state, *user, *base, profile),
        Ask::Unregister { user } => directory::unregister(state, *user),
        Ask::TrimLog { user, floor } => trim::trim(state, *user, *floor),
        Ask::Expire { message } => timer::expire(state, time, *message),
        Ask::Release { message } => timer::release(state, time, *message),
        Ask::Change {
            message,
            receiver,
            part,
            body,
        } => change::change(state, tail, *message, *receiver, *part, body),
        Ask::Mark {
            user,
            message,
            mark,
        } => status::mark(state, *user, *message, *mark),
        Ask::Track { account, on } => status::track(state, account, *on),
        Ask::Restore { epoch, last, gap } => restore::restore(state, tail, *epoch, *last, *gap),
        Ask::NoteOnline {
            sender,
            audience,
            commitment,
        } => status::told_online(state, sender, *audience, *commitment),
    }
}

fn facts<'a, const N: usize>(drafts: [Draft<'a>; N]) -> Decision<'a> {
    Decision::Facts(drafts.into(), Reply::Given(Outcome::Done))
}

pub(super) fn bare<'a>(fact: Fact) -> Draft<'a> {
    Draft { fact, body: None }
}

/// A token to be issued.
struct Issued {
    platform: u8,
    token: KeyedHash,
    expires: Time,
}

fn issue<'a, S: Scan>(
    state: &S,
    user: &UserRef,
    unknown: Unknown,
    issued: Issued,
    ends: &[Revoked],
) -> Result<Decision<'a>, StateError> {
    if ends.len() > MAX_ENDED {
        return Ok(Decision::Refused(Refusal::TooLarge));
    }
    let Issued {
        platform,
        token,
        expires,
    } = issued;
    let mut drafts = Vec::with_capacity(2 + ends.len());
    let mut users = Users::new(state);
    let known = users.find(user)?;
    if let Some(row) = state.row::<TokenRow>(token)? {
        // The same text again: the caller asked twice, and the token stays as it is, revoked or not. A text names one user,
        // so nobody else can have it.
        return Ok(if known == Some(row.user) {
            Decision::Known(Outcome::User {
                user: row.user,
                new: false,
            })
        } else {
            Decision::Refused(Refusal::KeyReused)
        });
    }
    let (number, new) = match (known, unknown) {
        (Some(number), _) => (number, false),
        (None, Unknown::See) => users.find_or_see(user, &mut drafts)?,
        (None, Unknown::Refuse) => return Ok(Decision::Refused(Refusal::UnknownUser)),
    };
    // A user who becomes known by this has no others.
    for which in ends.iter().filter(|_| known.is_some()) {
        if revokes(state, number, *which)? {
            let which = *which;
            let user = number;
            drafts.push(bare(Fact::TokensRevoked { user, which }));
        }
    }
    drafts.push(bare(Fact::TokenIssued {
        user: number,
        platform,
        token,
        expires,
    }));
    Ok(Decision::Facts(
        drafts,
        Reply::Given(Outcome::User { user: number, new }),
    ))
}

fn revoke<'a, S: Scan>(
    state: &S,
    user: UserNo,
    which: Revoked,
) -> Result<Decision<'a>, StateError> {
    if user.0 == 0 || user > last_user(state)? {
        return Ok(Decision::Refused(Refusal::UnknownUser));
    }
    if !revokes(state, user, which)? {
        return Ok(Decision::Known(Outcome::Done));
    }
    Ok(facts([bare(Fact::TokensRevoked { user, which })]))
}

/// Whether there may be something to revoke.
fn revokes<S: Scan>(state: &S, user: UserNo, which: Revoked) -> Result<bool, StateError> {
    let Revoked::One(token) = which else {
        return Ok(true);
    };
    let cuts = state.row::<TokenCutRow>(user)?.unwrap_or_default();
    let row = state.row::<TokenRow>(token)?;
    Ok(row.is_some_and(|row| row.user == user && row.revoked.is_none() && !cuts.revokes(&row)))
}

fn see_device<'a, S: Scan>(
    state: &S,
    user: UserNo,
    id: KeyedHash,
    platform: u8,
    body: &'a SealedBody,
) -> Result<Decision<'a>, StateError> {
    if user.0 == 0 || user > last_user(state)? {
        return Ok(Decision::Refused(Refusal::UnknownUser));
    }
    let row = state.row::<DevicesRow>(user)?.unwrap_or_default();
    if let Some(known) = row.devices.iter().find(|device| device.id == id) {
        return Ok(Decision::Known(Outcome::Device {
            device: known.device,
        }));
    }
    let device = counted_on(row.last.checked_next(), Family::Devices.name())?;
    let draft = Draft {
        fact: Fact::DeviceSeen {
            user,
            device,
            id,
            platform,
        },
        body: Some(Cow::Borrowed(body)),
    };
    Ok(Decision::Facts(
        vec![draft],
        Reply::Given(Outcome::Device { device }),
    ))
}

fn erase<'a, S: Scan>(state: &S, position: Position) -> Result<Decision<'a>, StateError> {
    match state.decoded_record(position)? {
        Some(record) if record.commitment.is_some() => {}
        _ => return Ok(Decision::Refused(Refusal::NothingToErase)),
    }
    if state.row::<ErasedRow>(position)?.is_some() {
        return Ok(Decision::Known(Outcome::Done));
    }
    Ok(facts([bare(Fact::BodyErased { position })]))
}
