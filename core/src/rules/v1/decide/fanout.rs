//! `decide` for fan-outs: the next chunk, what is owed before a later message, the steps of a withdrawal or a change.

use super::super::limits::{MAX_CHUNK, MAX_RECALLED};
use super::super::search::{delivering, present, running};
use super::bare;
use super::collapse::Arrivals;
use super::recall::{Recalled, Target};
use crate::conversation::Conversation;
use crate::fact::{Audience, ConversationKind, Fact, MessagePosted, Withdrawal, pack_users};
use crate::id::{Position, UserNo};
use crate::outcome::{Outcome, Refusal, StateError};
use crate::rules::{Decision, Reply};
use crate::state::{
    AudienceMemberRow, EarlyRow, Errand, Family, FanoutRow, RegistrationRow, Running, Scan,
    StateExt,
};

/// A message that is fanned out, as its record and its row have it.
pub struct Fanned {
    pub position: Position,
    pub posted: MessagePosted,
    pub row: FanoutRow,
}

impl Fanned {
    pub fn of<S: Scan>(state: &S, position: Position) -> Result<Self, StateError> {
        let record = state.decoded_record(position)?;
        match record.map(|record| record.fact) {
            Some(Fact::MessagePosted(posted)) if posted.is_fanned_out() => Ok(Self {
                position,
                posted,
                row: present(state.row(position)?, Family::Fanouts.name())?,
            }),
            _ => Err(StateError::Corrupt {
                family: Family::Settings.name(),
                reason: "a fan-out is under way of what is no such message".to_owned(),
            }),
        }
    }

    /// Whether the user gets the message and has not got it yet.
    pub fn is_owed<S: Scan>(&self, state: &S, user: UserNo) -> Result<bool, StateError> {
        let row = &self.row;
        // Once everybody has it, `next` counts the steps of what follows.
        if row.since.0 == 0 || row.done || row.cut.is_some() || user < row.next {
            return Ok(false);
        }
        Ok(self.has(state, user)? && !self.got_early(state, user)?)
    }

    /// Whether the user is among the receivers.
    fn has<S: Scan>(&self, state: &S, user: UserNo) -> Result<bool, StateError> {
        if user == self.posted.sender {
            return Ok(false);
        }
        match self.posted.audience {
            Audience::Listed { .. } => Ok(false),
            Audience::Members { audience, .. } => {
                Ok(state.row::<AudienceMemberRow>((audience, user))?.is_some())
            }
            Audience::Registered { .. } => Ok(state
                .row::<RegistrationRow>(user)?
                .is_some_and(|row| row.stood_at(self.position))),
            Audience::Seen { last } => Ok(user <= last),
        }
    }

    pub fn got_early<S: Scan>(&self, state: &S, user: UserNo) -> Result<bool, StateError> {
        Ok(self.row.early > 0 && state.row::<EarlyRow>((self.position, user))?.is_some())
    }

    /// As [`Fanned::receivers`] for readers; of a message to a list, the list.
    pub fn receivers_of<T: Scan>(
        state: &T,
        position: Position,
        from: UserNo,
        limit: usize,
    ) -> Result<Option<(Vec<UserNo>, UserNo)>, StateError> {
        let listed = |mut users: Vec<UserNo>| {
            users.retain(|user| *user >= from);
            let next = users.get(limit).copied().unwrap_or_default();
            users.truncate(limit);
            Ok(Some((users, next)))
        };
        match state.decoded_record(position)?.map(|record| record.fact) {
            Some(Fact::MessageSent(sent)) => listed(vec![sent.conversation.other(sent.sender)]),
            Some(Fact::MessagePosted(posted)) if !posted.is_fanned_out() => {
                listed(posted.listed().collect())
            }
            Some(Fact::MessagePosted(_)) => {
                let fanned = Self::of(state, position)?;
                fanned.receivers(state, from, limit).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The receivers from `from` on, looking at no more than `limit` rows, and with whom to go on; 0 when all were looked at.
    fn receivers<S: Scan>(
        &self,
        state: &S,
        from: UserNo,
        limit: usize,
    ) -> Result<(Vec<UserNo>, UserNo), StateError> {
        const END: UserNo = UserNo(u64::MAX);
        let mut users: Vec<UserNo> = Vec::new();
        let mut looked_at: Option<UserNo> = None;
        let mut count = 0;
        match self.posted.audience {
            Audience::Listed { .. } => {}
            Audience::Members { audience, .. } => {
                let (from, to) = ((audience, from), (audience, END));
                for (key, _) in state.rows::<AudienceMemberRow>(&from, &to, limit)? {
                    let user = UserNo(key.last_number());
                    users.push(user);
                    looked_at = Some(user);
                    count += 1;
                }
            }
            Audience::Registered { last } => {
                let to = last.next();
                for (key, row) in state.rows::<RegistrationRow>(&from, &to, limit)? {
                    let user = UserNo(key.last_number());
                    if row.stood_at(self.position) {
                        users.push(user);
                    }
                    looked_at = Some(user);
                    count += 1;
                }
            }
            Audience::Seen { last } => {
                let numbers = (from.0.max(1)..=last.0).take(limit);
                users.extend(numbers.map(UserNo));
                looked_at = users.last().copied();
                count = users.len();
            }
        }
        users.retain(|user| *user != self.posted.sender);
        let next = match looked_at {
            Some(user) if count == limit => user.checked_next().unwrap_or_default(),
            _ => UserNo(0),
        };
        Ok((users, next))
    }

    /// Some of those who have the message, in an errand that follows its delivery; and with whom to go on.
    fn holders<S: Scan>(
        &self,
        state: &S,
        most: usize,
    ) -> Result<(Vec<Target>, UserNo), StateError> {
        let cut = self.row.cut.unwrap_or_default();
        let has_it = |user: UserNo| cut.0 == 0 || user < cut;
        let (users, mut next) = self.receivers(state, self.row.next, most.min(MAX_RECALLED))?;
        if self.row.early == 0 && !has_it(next) {
            next = UserNo(0);
        }
        let mut holders = Vec::with_capacity(users.len());
        for user in users {
            if !has_it(user) && !self.got_early(state, user)? {
                continue;
            }
            if let Some(delivered_by) = delivering(state, self.position, user)? {
                holders.push(Target {
                    conversation: self.posted.kind.between(self.posted.sender, user),
                    receiver: user,
                    delivered_by,
                });
            }
        }
        holders.sort_unstable_by_key(|holder| holder.conversation);
        Ok((holders, next))
    }
}

/// The next chunk of a fan-out, or the next step of its recall. Of one sender the earliest goes first, so that its receivers
/// get what it sent in the order in which it was sent.
pub fn next<'a, S: Scan>(
    state: &S,
    message: Position,
    from: UserNo,
    most: usize,
) -> Result<Decision<'a>, StateError> {
    let running = running(state)?;
    let Some(own) = running.iter().find(|running| running.message == message) else {
        return Ok(Decision::Refused(Refusal::Stale));
    };
    let first = running.iter().find(|running| running.sender == own.sender);
    if first.is_some_and(|first| first.message != message) {
        return Ok(Decision::Refused(Refusal::Stale));
    }
    let fanned = Fanned::of(state, message)?;
    if fanned.row.next != from {
        return Ok(Decision::Refused(Refusal::Stale));
    }
    let mut facts = Vec::with_capacity(1);
    let (fact, next, served) = match own.errand {
        Errand::Withdraw(why) => withdrawal_step(state, &fanned, why, most)?,
        Errand::Change { change, .. } => change_step(state, &fanned, change, most)?,
        Errand::Deliver => {
            let (users, next) = fanned.receivers(state, from, most.min(MAX_CHUNK))?;
            let mut receivers = Vec::with_capacity(users.len());
            for user in users {
                if !fanned.got_early(state, user)? {
                    receivers.push(user);
                }
            }
            // Two who send to each other in single chats: what the other sent before must come before.
            let posted = &fanned.posted;
            let conversations: Vec<_> = receivers
                .iter()
                .map(|receiver| (posted.kind.between(posted.sender, *receiver), *receiver))
                .collect();
            let mut arrivals = Arrivals::new(state);
            facts = owed(&mut arrivals, &conversations, own.since)?;
            facts.extend(arrivals.arrive_last(posted.terms, &conversations)?);
            let fact = Fact::Delivered {
                message,
                receivers: pack_users(&receivers),
                next,
                early: false,
            };
            (fact, next, receivers.len())
        }
    };
    let outcome = Outcome::Progress {
        next,
        served: u32::try_from(served).unwrap_or(u32::MAX),
    };
    facts.push(fact);
    let drafts = facts.into_iter().map(bare).collect();
    Ok(Decision::Facts(drafts, Reply::Given(outcome)))
}

/// Some of those who have the message are told that it was changed.
fn change_step<S: Scan>(
    state: &S,
    fanned: &Fanned,
    change: Position,
    most: usize,
) -> Result<(Fact, UserNo, usize), StateError> {
    let (holders, next) = fanned.holders(state, most)?;
    let mut places = Vec::with_capacity(holders.len());
    for holder in holders {
        places.extend(holder.changed(state)?);
    }
    let served = places.len();
    let fact = Fact::ChangeTold {
        message: fanned.position,
        change,
        places,
        next,
    };
    Ok((fact, next, served))
}

/// Some of those who have the message are told that it was withdrawn.
fn withdrawal_step<S: Scan>(
    state: &S,
    fanned: &Fanned,
    why: Withdrawal,
    most: usize,
) -> Result<(Fact, UserNo, usize), StateError> {
    let (holders, next) = fanned.holders(state, most)?;
    let recalled = Recalled::of(&fanned.posted);
    let mut places = Vec::with_capacity(holders.len());
    for holder in holders {
        places.extend(recalled.place(state, &holder)?);
    }
    let served = places.len();
    let fact = Fact::MessageRecalled {
        message: fanned.position,
        why,
        echo: false,
        places,
        next: Some(next),
    };
    Ok((fact, next, served))
}

/// What the receivers of a message in these conversations are owed from fan-outs that have been under way since before the
/// position `before`: they get it first, so that nothing later overtakes it.
pub fn owed<S: Scan>(
    arrivals: &mut Arrivals<'_, S>,
    conversations: &[(Conversation, UserNo)],
    before: Position,
) -> Result<Vec<Fact>, StateError> {
    let state = arrivals.state;
    let mut facts = Vec::new();
    for running in running(state)? {
        if running.errand != Errand::Deliver || running.since >= before {
            continue;
        }
        let mut candidates: Vec<UserNo> = conversations
            .iter()
            .filter_map(|(conversation, _)| receiver_from(&running, *conversation))
            .collect();
        if candidates.is_empty() {
            continue;
        }
        candidates.sort_unstable();
        candidates.dedup();
        let fanned = Fanned::of(state, running.message)?;
        let mut receivers = Vec::new();
        for user in candidates {
            if fanned.is_owed(state, user)? {
                receivers.push(user);
            }
        }
        if !receivers.is_empty() {
            let posted = &fanned.posted;
            let arriving: Vec<_> = receivers
                .iter()
                .map(|user| (posted.kind.between(posted.sender, *user), *user))
                .collect();
            facts.extend(arrivals.arrive(
                running.message,
                posted.terms,
                posted.options_off,
                &arriving,
            )?);
            facts.push(Fact::Delivered {
                message: running.message,
                receivers: pack_users(&receivers),
                next: UserNo(0),
                early: true,
            });
        }
    }
    Ok(facts)
}

/// Who would get a fan-out's message in this conversation.
fn receiver_from(running: &Running, conversation: Conversation) -> Option<UserNo> {
    match (running.kind, conversation) {
        (ConversationKind::Notification, Conversation::Notification { account, receiver })
            if account == running.sender =>
        {
            Some(receiver)
        }
        (ConversationKind::Single, Conversation::Single { .. })
            if conversation.has_party(running.sender) =>
        {
            Some(conversation.other(running.sender))
        }
        _ => None,
    }
}
