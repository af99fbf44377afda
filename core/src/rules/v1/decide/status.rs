//! `decide` for what becomes of messages: cursors of devices, marks of receivers, and which accounts are told. Which messages a
//! cursor passes is found out here, by walking the user's log, and stands in the fact: `apply` then needs no walk.

use std::collections::BTreeMap;

use super::super::gaps;
use super::super::limits::{MAX_PACKED_BYTES, MAX_REACHED, MAX_WALKED};
use super::super::search::{conversation_entry, delivering};
use super::bare;
use super::users::Users;
use crate::command::UserRef;
use crate::fact::{ConversationKind, Fact, Mark, Passed, pack_cursors, pack_passed};
use crate::id::{ConversationSeq, DeviceNo, Hash, Position, Seq, UserNo};
use crate::outcome::{Outcome, Refusal, StateError};
use crate::rules::{Decision, Reply};
use crate::state::{
    AccountRow, DevicesRow, EntryKind, FanoutRow, MarkRow, Numbered, Scan, SettingsKey,
    SettingsRow, StateExt, UserHeadRow, UserLogRow,
};

/// Keeps the cursors that say something new: of known devices, beyond what is known, not beyond the head.
pub fn reach<'a, S: Scan>(
    state: &S,
    cursors: &[(UserNo, DeviceNo, Seq)],
) -> Result<Decision<'a>, StateError> {
    if cursors.len() > MAX_REACHED {
        return Ok(Decision::Refused(Refusal::TooLarge));
    }
    let mut sorted = cursors.to_vec();
    sorted.sort_unstable();
    let mut walk = Walk::new(state)?;
    let mut news: Vec<(UserNo, DeviceNo, Seq)> = Vec::with_capacity(sorted.len());
    for of_user in sorted.chunk_by(|one, other| one.0 == other.0) {
        let Some((user, _, _)) = of_user.first() else {
            continue;
        };
        let Some(row) = state.row::<DevicesRow>(*user)? else {
            continue;
        };
        let end = state.row::<UserHeadRow>(*user)?;
        if walk.is_full(news.len()) {
            walk.short = true;
            break;
        }
        let first = news.len();
        for (user, device, seq) in of_user {
            let Some(known) = row.devices.iter().find(|known| known.device == *device) else {
                continue;
            };
            if *seq <= known.reached || *seq > end.map_or(Seq(0), |end| end.head) {
                continue;
            }
            // Of several cursors of one device the furthest comes last, and stays.
            news.pop_if(|last| (last.0, last.1) == (*user, *device));
            news.push((*user, *device, *seq));
        }
        let furthest = news[first..].iter().map(|(_, _, seq)| *seq).max();
        let Some(furthest) = furthest.filter(|furthest| *furthest > row.furthest) else {
            continue;
        };
        let floor = end.map_or(Seq(1), |end| end.floor);
        let walked = walk.go(*user, row.furthest, floor, furthest)?;
        if walked < furthest {
            for (_, _, seq) in &mut news[first..] {
                *seq = walked.min(*seq);
            }
            let before = |device| row.devices.iter().find(|known| known.device == device);
            let mut own = news.split_off(first);
            own.retain(|(_, device, seq)| {
                before(*device).is_some_and(|known| *seq > known.reached)
            });
            news.append(&mut own);
        }
    }
    let outcome = if walk.short {
        Outcome::ReachedPartly
    } else {
        Outcome::Done
    };
    if news.is_empty() {
        return Ok(Decision::Known(outcome));
    }
    let fact = Fact::Reached {
        cursors: pack_cursors(&news),
        passed: pack_passed(&walk.passed),
    };
    Ok(Decision::Facts(vec![bare(fact)], Reply::Given(outcome)))
}

/// Goes along user logs and finds messages of tracked accounts.
struct Walk<'s, S> {
    state: &'s S,
    /// How many entries may still be looked at; `None` when no account is tracked, so that none need be.
    left: Option<usize>,
    /// Whether there was more to look at.
    short: bool,
    /// Whether an account is tracked.
    tracked: BTreeMap<UserNo, bool>,
    /// Of a message's record: its sender and the kind of conversation. A message to many is met in many logs.
    known: BTreeMap<Position, Option<(UserNo, ConversationKind)>>,
    passed: Vec<Passed>,
}

impl<'s, S: Scan> Walk<'s, S> {
    fn new(state: &'s S) -> Result<Self, StateError> {
        let tracked = match state.row(SettingsKey::Tracked)? {
            Some(SettingsRow::Tracked(count)) => count,
            _ => 0,
        };
        Ok(Self {
            state,
            left: (tracked > 0).then_some(MAX_WALKED),
            short: false,
            tracked: BTreeMap::new(),
            known: BTreeMap::new(),
            passed: Vec::new(),
        })
    }

    /// Walks the log of a user from after `from` to `to`, and says how far it came.
    fn go(&mut self, user: UserNo, from: Seq, floor: Seq, to: Seq) -> Result<Seq, StateError> {
        let Some(left) = self.left else {
            return Ok(to);
        };
        // What lies below the floor is not shown any more, and nobody asks what became of it.
        let from = from.0.max(floor.0.saturating_sub(1));
        // The first and the last place of each.
        let mut found: BTreeMap<_, (ConversationSeq, ConversationSeq)> = BTreeMap::new();
        let (mut end, mut looked_at) = (from, 0);
        while end < to.0 && looked_at < left {
            end = end.saturating_add(1);
            let row = self.state.row::<UserLogRow>((user, Seq(end)))?;
            if row.is_none()
                && let Some(gap) = gaps::around(self.state, Numbered::User(user), end)?
            {
                // Nobody has ever seen these places: they are passed at once.
                end = gap.row.last().min(to.0);
                continue;
            }
            looked_at += 1;
            let Some(row) = row.filter(|row| row.kind == EntryKind::Message) else {
                continue;
            };
            if let Some((sender, kind)) = self.message(row.message_position())?
                && sender != user
                && self.is_tracked(sender)?
            {
                let places = found.entry((sender, kind));
                places
                    .or_insert((row.conversation_seq, row.conversation_seq))
                    .1 = row.conversation_seq;
            }
        }
        self.left = Some(left.saturating_sub(looked_at));
        self.short |= end < to.0;
        let passed = found
            .into_iter()
            .map(|((account, kind), (first, up_to))| Passed {
                receiver: user,
                account,
                kind,
                first,
                up_to,
            });
        self.passed.extend(passed);
        Ok(Seq(end.min(to.0)))
    }

    /// Whether the record has so many cursors and passed messages that another user's might not fit. Numbers below 2³² take 5
    /// bytes: a cursor has three of them, a passed message four, and one user's walk finds at most one per entry.
    fn is_full(&self, cursors: usize) -> bool {
        self.left.is_some() && cursors * 15 + self.passed.len() * 21 > MAX_PACKED_BYTES
    }

    fn message(
        &mut self,
        position: Position,
    ) -> Result<Option<(UserNo, ConversationKind)>, StateError> {
        if let Some(known) = self.known.get(&position) {
            return Ok(*known);
        }
        let record = self.state.decoded_record(position)?;
        let found = record.and_then(|record| sender_of(&record.fact));
        self.known.insert(position, found);
        Ok(found)
    }

    fn is_tracked(&mut self, account: UserNo) -> Result<bool, StateError> {
        if let Some(known) = self.tracked.get(&account) {
            return Ok(*known);
        }
        let row = self.state.row::<AccountRow>(account)?;
        let tracked = row.is_some_and(|row| row.tracked);
        self.tracked.insert(account, tracked);
        Ok(tracked)
    }
}

fn sender_of(fact: &Fact) -> Option<(UserNo, ConversationKind)> {
    match fact {
        Fact::MessageSent(sent) => Some((sent.sender, sent.conversation.kind())),
        Fact::MessagePosted(posted) => Some((posted.sender, posted.kind)),
        _ => None,
    }
}

/// A receiver opens or confirms a message that they have.
pub fn mark<'a, S: Scan>(
    state: &S,
    user: UserNo,
    message: Position,
    mark: Mark,
) -> Result<Decision<'a>, StateError> {
    let unknown = Ok(Decision::Refused(Refusal::UnknownMessage));
    let Some(record) = state.decoded_record(message)? else {
        return unknown;
    };
    let conversation = match &record.fact {
        Fact::MessageSent(sent) if sent.conversation.other(sent.sender) == user => {
            sent.conversation
        }
        Fact::MessagePosted(posted) => posted.kind.between(posted.sender, user),
        _ => return unknown,
    };
    let Some(position) = delivering(state, message, user)? else {
        return unknown;
    };
    // In the receiver's conversation with the sender there is a message of that record only if it went to this receiver.
    let Some((conversation_seq, row)) = conversation_entry(state, conversation, position)? else {
        return unknown;
    };
    let is_cut = state
        .row::<FanoutRow>(message)?
        .is_some_and(|row| row.cut.is_some());
    if is_cut || row.recalled_by.is_some() {
        return Ok(Decision::Refused(Refusal::Withdrawn));
    }
    let before = state.row::<MarkRow>((message, user))?;
    let confirmed = before.is_some_and(|row| row.confirmed.is_some());
    if confirmed || (before.is_some() && mark == Mark::Opened) {
        return Ok(Decision::Known(Outcome::Marked { confirmed }));
    }
    let fact = Fact::Marked {
        user,
        message,
        conversation,
        conversation_seq,
        mark,
        first: before.is_none(),
    };
    let confirmed = mark == Mark::Confirmed;
    let reply = Reply::Given(Outcome::Marked { confirmed });
    Ok(Decision::Facts(vec![bare(fact)], reply))
}

/// An account is told from now on, or no longer, what becomes of its messages.
pub fn track<'a, S: Scan>(
    state: &S,
    account: &UserRef,
    on: bool,
) -> Result<Decision<'a>, StateError> {
    let mut drafts = Vec::with_capacity(2);
    let mut users = Users::new(state);
    let known = users.find(account)?;
    let now = match known {
        Some(number) => state.row::<AccountRow>(number)?.unwrap_or_default().tracked,
        None => false,
    };
    if now == on {
        return Ok(Decision::Known(Outcome::Done));
    }
    let (account, _) = users.find_or_see(account, &mut drafts)?;
    drafts.push(bare(Fact::AccountTracked { account, on }));
    Ok(Decision::Facts(drafts, Reply::Given(Outcome::Done)))
}

/// Notes that a message was told to live connections. It changes nothing but the ledger.
pub fn told_online<'a, S: Scan>(
    state: &S,
    sender: &UserRef,
    audience: u32,
    commitment: Hash,
) -> Result<Decision<'a>, StateError> {
    let mut drafts = Vec::with_capacity(2);
    let (sender, _) = Users::new(state).find_or_see(sender, &mut drafts)?;
    drafts.push(bare(Fact::OnlineTold {
        sender,
        audience,
        commitment,
    }));
    Ok(Decision::Facts(drafts, Reply::Given(Outcome::Done)))
}
