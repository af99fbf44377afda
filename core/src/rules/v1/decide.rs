//! `decide`: what facts a command makes, if any. Reads state, changes nothing.

use std::borrow::Cow;

use super::limits::MAX_REACHED;
use super::{counted_on, search};
use crate::body::SealedBody;
use crate::command::{Ask, ConversationKind, Send, Unknown, UserRef};
use crate::conversation::Conversation;
use crate::fact::{Fact, MessageSent, Revoked, pack_cursors};
use crate::id::{DeviceNo, Digest, KeyedHash, Position, Seq, Time, UserNo};
use crate::outcome::{Outcome, Refusal, Sent, StateError};
use crate::policy::{Policy, UnknownReceiver};
use crate::rules::{Decision, Draft, Tail, is_known};
use crate::state::{
    DedupRow, DevicesRow, ErasedRow, Family, RegistrationRow, SettingsKey, SettingsRow, State,
    StateExt, TokenCutRow, TokenRow, UserHeadRow, UserIdRow,
};

/// The rules version of this folder.
const VERSION: u32 = 1;

pub fn decide<'a, S: State>(
    state: &S,
    tail: &Tail,
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
        Ask::Register { user, profile } => register(state, user, profile),
        Ask::IssueToken {
            user,
            unknown,
            platform,
            token,
            expires,
        } => issue(state, user, *unknown, *platform, *token, *expires),
        Ask::RevokeTokens { user, which } => revoke(state, *user, *which),
        Ask::Send(send) => decide_send(state, send),
        Ask::SeeDevice {
            user,
            id,
            platform,
            body,
        } => see_device(state, *user, *id, *platform, body),
        Ask::Reach { cursors } => reach(state, cursors),
        Ask::Erase { position } => erase(state, *position),
    }
}

fn facts<'a, const N: usize>(drafts: [Draft<'a>; N]) -> Decision<'a> {
    Decision::Facts(drafts.into(), None)
}

fn bare<'a>(fact: Fact) -> Draft<'a> {
    Draft { fact, body: None }
}

fn policy_in_force<S: State>(state: &S) -> Result<Policy, StateError> {
    match state.row(SettingsKey::Policy)? {
        Some(SettingsRow::Policy(policy)) => Ok(policy),
        _ => Ok(Policy::default()),
    }
}

fn last_user<S: State>(state: &S) -> Result<UserNo, StateError> {
    match state.row(SettingsKey::Users)? {
        Some(SettingsRow::Users(last)) => Ok(last),
        _ => Ok(UserNo(0)),
    }
}

/// Finds users by their references, and gives numbers to those never seen.
struct Users<'s, S> {
    state: &'s S,
    seen: Vec<(KeyedHash, UserNo)>,
}

impl<'s, S: State> Users<'s, S> {
    fn new(state: &'s S) -> Self {
        Self {
            state,
            seen: Vec::new(),
        }
    }

    fn find(&self, user: &UserRef) -> Result<Option<UserNo>, StateError> {
        if let Some((_, number)) = self.seen.iter().find(|(hash, _)| *hash == user.hash) {
            return Ok(Some(*number));
        }
        Ok(self.state.row::<UserIdRow>(user.hash)?.map(|row| row.user))
    }

    /// The user's number, and whether it is given just now.
    fn find_or_see(
        &mut self,
        user: &UserRef,
        drafts: &mut Vec<Draft<'_>>,
    ) -> Result<(UserNo, bool), StateError> {
        if let Some(number) = self.find(user)? {
            return Ok((number, false));
        }
        let last = match self.seen.last() {
            Some((_, number)) => *number,
            None => last_user(self.state)?,
        };
        let number = counted_on(last.checked_next(), Family::Settings.name())?;
        self.seen.push((user.hash, number));
        drafts.push(Draft {
            fact: Fact::UserSeen {
                user: number,
                id: user.hash,
            },
            body: Some(Cow::Owned(user.seal())),
        });
        Ok((number, true))
    }
}

fn register<'a, S: State>(
    state: &S,
    user: &UserRef,
    profile: &'a SealedBody,
) -> Result<Decision<'a>, StateError> {
    let mut drafts = Vec::with_capacity(2);
    let (number, new) = Users::new(state).find_or_see(user, &mut drafts)?;
    if !new && state.row::<RegistrationRow>(number)?.is_some() {
        return Ok(Decision::Refused(Refusal::AlreadyRegistered));
    }
    drafts.push(Draft {
        fact: Fact::UserRegistered { user: number },
        body: Some(Cow::Borrowed(profile)),
    });
    Ok(Decision::Facts(
        drafts,
        Some(Outcome::User { user: number, new }),
    ))
}

fn issue<'a, S: State>(
    state: &S,
    user: &UserRef,
    unknown: Unknown,
    platform: u8,
    token: KeyedHash,
    expires: Time,
) -> Result<Decision<'a>, StateError> {
    let mut drafts = Vec::with_capacity(2);
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
    drafts.push(bare(Fact::TokenIssued {
        user: number,
        platform,
        token,
        expires,
    }));
    Ok(Decision::Facts(
        drafts,
        Some(Outcome::User { user: number, new }),
    ))
}

fn revoke<'a, S: State>(
    state: &S,
    user: UserNo,
    which: Revoked,
) -> Result<Decision<'a>, StateError> {
    if user.0 == 0 || user > last_user(state)? {
        return Ok(Decision::Refused(Refusal::UnknownUser));
    }
    if let Revoked::One(token) = which {
        let cuts = state.row::<TokenCutRow>(user)?.unwrap_or_default();
        match state.row::<TokenRow>(token)? {
            Some(row) if row.user == user && row.revoked.is_none() && !cuts.revokes(&row) => {}
            _ => return Ok(Decision::Known(Outcome::Done)),
        }
    }
    Ok(facts([bare(Fact::TokensRevoked { user, which })]))
}

fn decide_send<'a, S: State>(state: &S, send: &'a Send) -> Result<Decision<'a>, StateError> {
    if let Some(key) = send.key
        && let Some(first) = state.row::<DedupRow>(key)?
    {
        return repeat(state, first.position, &send.digest);
    }
    let mut drafts = Vec::with_capacity(1);
    let mut users = Users::new(state);
    let (sender, _) = users.find_or_see(&send.sender, &mut drafts)?;
    let (receiver, new_receiver) = users.find_or_see(&send.receiver, &mut drafts)?;
    if new_receiver && policy_in_force(state)?.unknown_receiver == UnknownReceiver::Refuse {
        return Ok(Decision::Refused(Refusal::UnknownReceiver));
    }
    let conversation = match send.kind {
        ConversationKind::Single => Conversation::single(sender, receiver),
        ConversationKind::Notification => Conversation::Notification {
            account: sender,
            receiver,
        },
    };
    let echo = sender != receiver && (!send.account || has_devices(state, sender)?);
    let fact = Fact::MessageSent(MessageSent {
        conversation,
        sender,
        content_type: send.content_type,
        notification_type: send.notification_type,
        options_off: send.options_off,
        echo,
        new_receiver,
        key: send.key,
        digest: send.digest,
    });
    drafts.push(Draft {
        fact,
        body: Some(Cow::Borrowed(&send.body)),
    });
    Ok(Decision::Facts(drafts, None))
}

fn has_devices<S: State>(state: &S, user: UserNo) -> Result<bool, StateError> {
    Ok(state
        .row::<DevicesRow>(user)?
        .is_some_and(|row| !row.devices.is_empty()))
}

/// The first answer again, if the request is the same; else a refusal.
fn repeat<'a, S: State>(
    state: &S,
    position: Position,
    digest: &Digest,
) -> Result<Decision<'a>, StateError> {
    let corrupt = |reason: &str| StateError::Corrupt {
        family: "dedup",
        reason: reason.to_owned(),
    };
    let record = state
        .decoded_record(position)?
        .ok_or_else(|| corrupt("it names a record that does not exist"))?;
    let Fact::MessageSent(message) = record.fact else {
        return Err(corrupt("it names a record that is no message"));
    };
    if message.digest != *digest {
        return Ok(Decision::Refused(Refusal::KeyReused));
    }
    let receiver = message.conversation.other(message.sender);
    let place = search::conversation_entry(state, message.conversation, position)?;
    let (conversation_seq, entry) =
        place.ok_or_else(|| corrupt("it names a message that is in no conversation"))?;
    Ok(Decision::Known(Outcome::Sent(Sent {
        position,
        time: Time(record.time.0.saturating_add(u64::from(entry.ahead_ms))),
        conversation_seq,
        receiver,
        seq: search::user_entry(state, receiver, position)?.map(|(seq, _)| seq),
        new_receiver: message.new_receiver,
        repeated: true,
    })))
}

fn see_device<'a, S: State>(
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
        Some(Outcome::Device { device }),
    ))
}

/// Keeps the cursors that say something new: of known devices, beyond what is known, not beyond the head.
fn reach<'a, S: State>(
    state: &S,
    cursors: &[(UserNo, DeviceNo, Seq)],
) -> Result<Decision<'a>, StateError> {
    if cursors.len() > MAX_REACHED {
        return Ok(Decision::Refused(Refusal::TooLarge));
    }
    let mut sorted = cursors.to_vec();
    sorted.sort_unstable();
    let mut news: Vec<(UserNo, DeviceNo, Seq)> = Vec::with_capacity(sorted.len());
    for (user, device, seq) in sorted {
        let Some(row) = state.row::<DevicesRow>(user)? else {
            continue;
        };
        let Some(known) = row.devices.iter().find(|known| known.device == device) else {
            continue;
        };
        let head = state
            .row::<UserHeadRow>(user)?
            .map_or(Seq(0), |row| row.head);
        if seq <= known.reached || seq > head {
            continue;
        }
        // Of several cursors of one device the furthest comes last, and stays.
        news.pop_if(|(of, which, _)| (*of, *which) == (user, device));
        news.push((user, device, seq));
    }
    if news.is_empty() {
        return Ok(Decision::Known(Outcome::Done));
    }
    Ok(facts([bare(Fact::Reached {
        cursors: pack_cursors(&news),
    })]))
}

fn erase<'a, S: State>(state: &S, position: Position) -> Result<Decision<'a>, StateError> {
    match state.decoded_record(position)? {
        Some(record) if record.commitment.is_some() => {}
        _ => return Ok(Decision::Refused(Refusal::NothingToErase)),
    }
    if state.row::<ErasedRow>(position)?.is_some() {
        return Ok(Decision::Known(Outcome::Done));
    }
    Ok(facts([bare(Fact::BodyErased { position })]))
}
