//! `decide` for messages: to one receiver, and to a list of them.

use std::borrow::Cow;

use super::super::limits::{MAX_LISTED, MAX_RUNNING};
use super::super::search::{self, running};
use super::bare;
use super::collapse::Arrivals;
use super::fanout::owed;
use super::timer::objection;
use super::users::{Users, has_devices, policy_in_force};
use crate::command::{Post, Send, To, UserRef};
use crate::conversation::Conversation;
use crate::fact::{Audience, Fact, MessagePosted, MessageSent, Terms, pack_users};
use crate::id::{Digest, Position, Time, UserNo};
use crate::outcome::{Outcome, Refusal, Sent, StateError};
use crate::policy::UnknownReceiver;
use crate::rules::{Decision, Draft, Reply, Settled};
use crate::state::{AudienceRow, DedupRow, Family, Scan, StateExt};

/// Everything that is under way began before what is decided now.
const NOW: Position = Position(u64::MAX);

pub fn send<'a, S: Scan>(state: &S, now: Time, send: &'a Send) -> Result<Decision<'a>, StateError> {
    if let Some(key) = send.key
        && let Some(first) = state.row::<DedupRow>(key)?
    {
        return Ok(match repeat(state, first.position, &send.digest, None)? {
            Ok(sent) => Decision::Known(Outcome::Sent(sent)),
            Err(refusal) => Decision::Refused(refusal),
        });
    }
    if let Some(refusal) = objection(send.terms, now, false) {
        return Ok(Decision::Refused(refusal));
    }
    let mut drafts = Vec::with_capacity(1);
    let mut users = Users::new(state);
    let (sender, _) = users.find_or_see(&send.sender, &mut drafts)?;
    let (receiver, new_receiver) = users.find_or_see(&send.receiver, &mut drafts)?;
    if new_receiver && policy_in_force(state)?.unknown_receiver == UnknownReceiver::Refuse {
        return Ok(Decision::Refused(Refusal::UnknownReceiver));
    }
    let conversation = send.kind.between(sender, receiver);
    drafts.extend(before(state, send.terms, &[(conversation, receiver)])?);
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
        terms: send.terms,
    });
    drafts.push(Draft {
        fact,
        body: Some(Cow::Borrowed(&send.body)),
    });
    Ok(Decision::Facts(drafts, Reply::Sent))
}

/// What comes before a message in these conversations, each with its receiver: what is owed there, and the withdrawal of what it
/// takes the place of.
fn before<'a, S: Scan>(
    state: &S,
    terms: Option<Terms>,
    conversations: &[(Conversation, UserNo)],
) -> Result<Vec<Draft<'a>>, StateError> {
    let mut arrivals = Arrivals::new(state);
    let mut facts = owed(&mut arrivals, conversations, NOW)?;
    facts.extend(arrivals.arrive_last(terms, conversations)?);
    Ok(facts.into_iter().map(bare).collect())
}

/// A message to several users.
pub fn post<'a, S: Scan>(state: &S, now: Time, post: &'a Post) -> Result<Decision<'a>, StateError> {
    match &post.to {
        To::Users(receivers) => post_listed(state, now, post, receivers),
        To::Audience(_) | To::Registered | To::Seen => post_fanned(state, now, post),
    }
}

/// A message that will be fanned out. Its receivers are settled by its position, and get it with records that follow.
fn post_fanned<'a, S: Scan>(
    state: &S,
    now: Time,
    post: &'a Post,
) -> Result<Decision<'a>, StateError> {
    if let Some(key) = post.key
        && let Some(first) = state.row::<DedupRow>(MessagePosted::task_dedup(key))?
    {
        return begun_before(state, first.position, &post.digest);
    }
    if let Some(refusal) = objection(post.terms, now, true) {
        return Ok(Decision::Refused(refusal));
    }
    if running(state)?.len() >= MAX_RUNNING {
        return Ok(Decision::Refused(Refusal::TooManyRunning));
    }
    let mut drafts = Vec::with_capacity(1);
    let mut users = Users::new(state);
    let (sender, _) = users.find_or_see(&post.sender, &mut drafts)?;
    let last = users.last()?;
    let audience = match &post.to {
        To::Users(_) | To::Registered => Audience::Registered { last },
        To::Seen => Audience::Seen { last },
        To::Audience(audience) => match state.row::<AudienceRow>(*audience)? {
            None => return Ok(Decision::Refused(Refusal::UnknownAudience)),
            Some(row) if row.complete.is_none() => {
                return Ok(Decision::Refused(Refusal::AudienceState));
            }
            Some(row) => Audience::Members {
                audience: *audience,
                count: row.members,
            },
        },
    };
    drafts.push(draft(post, sender, audience));
    Ok(Decision::Facts(drafts, Reply::Begun))
}

fn begun_before<'a, S: Scan>(
    state: &S,
    position: Position,
    digest: &Digest,
) -> Result<Decision<'a>, StateError> {
    let record = state.decoded_record(position)?;
    match record.as_ref().map(|record| (record, &record.fact)) {
        Some((record, Fact::MessagePosted(message))) if message.digest == *digest => {
            Ok(Decision::Known(Outcome::Begun {
                position,
                time: record.time,
                repeated: true,
            }))
        }
        Some((_, Fact::MessagePosted(_))) => Ok(Decision::Refused(Refusal::KeyReused)),
        _ => Err(StateError::Corrupt {
            family: Family::Dedup.name(),
            reason: "it names a record that is no such message".to_owned(),
        }),
    }
}

fn draft<'a>(post: &'a Post, sender: UserNo, audience: Audience) -> Draft<'a> {
    Draft {
        fact: Fact::MessagePosted(MessagePosted {
            sender,
            kind: post.kind,
            content_type: post.content_type,
            notification_type: post.notification_type,
            options_off: post.options_off,
            key: post.key,
            digest: post.digest,
            audience,
            terms: post.terms,
        }),
        body: Some(Cow::Borrowed(&post.body)),
    }
}

/// A message to a list. Each receiver is decided for itself: who is refused does not keep the message from the others, and who
/// has it already, by the same key, keeps the place that it has.
fn post_listed<'a, S: Scan>(
    state: &S,
    now: Time,
    post: &'a Post,
    receivers: &[UserRef],
) -> Result<Decision<'a>, StateError> {
    if receivers.is_empty() || receivers.len() > MAX_LISTED {
        return Ok(Decision::Refused(Refusal::TooLarge));
    }
    let mut named: Vec<_> = receivers.iter().map(|user| user.hash).collect();
    named.sort_unstable();
    if named.windows(2).any(|pair| pair[0] == pair[1]) {
        return Ok(Decision::Refused(Refusal::NamedTwice));
    }
    let refuses = policy_in_force(state)?.unknown_receiver == UnknownReceiver::Refuse;
    let mut drafts = Vec::with_capacity(1);
    let mut users = Users::new(state);
    let (sender, _) = users.find_or_see(&post.sender, &mut drafts)?;
    let mut settled = Vec::with_capacity(receivers.len());
    let mut awaited = Vec::with_capacity(receivers.len());
    for user in receivers {
        if refuses && users.find(user)?.is_none() {
            settled.push(Settled::Now(Err(Refusal::UnknownReceiver)));
            continue;
        }
        let (receiver, new) = users.find_or_see(user, &mut drafts)?;
        let key = post
            .key
            .map(|key| MessagePosted::dedup(key, post.kind, receiver));
        if let Some(key) = key
            && let Some(first) = state.row::<DedupRow>(key)?
        {
            let known = repeat(state, first.position, &post.digest, Some(receiver))?;
            settled.push(Settled::Now(known));
        } else {
            settled.push(Settled::By(receiver));
            awaited.push((receiver, new));
        }
    }
    if awaited.is_empty() {
        let known = settled.into_iter().filter_map(Settled::now);
        return Ok(Decision::Known(Outcome::Posted(known.collect())));
    }
    if let Some(refusal) = objection(post.terms, now, false) {
        return Ok(Decision::Refused(refusal));
    }
    awaited.sort_unstable();
    let receivers: Vec<UserNo> = awaited.iter().map(|(receiver, _)| *receiver).collect();
    let new = awaited.iter().zip(0_u16..).filter(|((_, new), _)| *new);
    let audience = Audience::Listed {
        receivers: pack_users(&receivers),
        new: new.map(|(_, place)| place).collect(),
    };
    let conversations: Vec<_> = receivers
        .iter()
        .map(|receiver| (post.kind.between(sender, *receiver), *receiver))
        .collect();
    drafts.extend(before(state, post.terms, &conversations)?);
    drafts.push(draft(post, sender, audience));
    Ok(Decision::Facts(drafts, Reply::Posted(settled)))
}

/// The first answer again, if the request is the same; else a refusal. A message to several is asked for by one of its
/// receivers.
fn repeat<S: Scan>(
    state: &S,
    position: Position,
    digest: &Digest,
    receiver: Option<UserNo>,
) -> Result<Result<Sent, Refusal>, StateError> {
    let corrupt = |reason: &str| StateError::Corrupt {
        family: "dedup",
        reason: reason.to_owned(),
    };
    let record = state
        .decoded_record(position)?
        .ok_or_else(|| corrupt("it names a record that does not exist"))?;
    let (conversation, receiver, first, new_receiver) = match (&record.fact, receiver) {
        (Fact::MessageSent(message), None) => {
            let receiver = message.conversation.other(message.sender);
            let digest = message.digest;
            (message.conversation, receiver, digest, message.new_receiver)
        }
        (Fact::MessagePosted(message), Some(receiver)) => {
            let conversation = message.kind.between(message.sender, receiver);
            let place = message.listed().position(|user| user == receiver);
            let new = match &message.audience {
                Audience::Listed { new, .. } => {
                    place.is_some_and(|at| new.iter().any(|new| usize::from(*new) == at))
                }
                _ => false,
            };
            (conversation, receiver, message.digest, new)
        }
        _ => return Err(corrupt("it names a record that is no such message")),
    };
    if first != *digest {
        return Ok(Err(Refusal::KeyReused));
    }
    let place = search::conversation_entry(state, conversation, position)?;
    let (conversation_seq, entry) =
        place.ok_or_else(|| corrupt("it names a message that is in no conversation"))?;
    Ok(Ok(Sent {
        position,
        time: Time(record.time.0.saturating_add(u64::from(entry.ahead_ms))),
        conversation_seq,
        receiver,
        seq: search::user_entry(state, receiver, position)?.map(|(seq, _)| seq),
        new_receiver,
        repeated: true,
    }))
}
