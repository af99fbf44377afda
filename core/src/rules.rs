//! The rules: how commands become facts (`decide`) and how records become views (`apply`). A released rules version is frozen
//! in a folder of its own; which one is in force is state, switched by a fact.
//!
//! [`take`] is the whole write path of the domain, [`fold`] the whole replay path; both end in the same `apply`.

use std::borrow::Cow;

use crate::body::{self, Body, SealedBody};
use crate::codec;
use crate::command::{Ask, Stamped};
use crate::conversation::Conversation;
use crate::epochs::Epochs;
use crate::fact::Fact;
use crate::hash;
use crate::id::{ControlSeq, ConversationSeq, Hash, Position, Seq, StatusNo, Time, UserNo};
use crate::limits::MAX_BODY_BYTES;
use crate::outcome::{Answer, Outcome, Refusal, Sent, StateError};
use crate::record::Record;
use crate::state::{
    ConversationLogRow, GapRow, Numbered, Overlay, Scan, SettingsKey, SettingsRow, State, StateExt,
    UserLogRow,
};
use crate::versions::RULES_VERSION;

pub(crate) mod v1;

/// The last record: what the next one follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Its place; 0 before the first record.
    pub position: Position,
    /// Its time.
    pub time: Time,
    /// Its leaf hash.
    pub leaf: Hash,
}

impl Tail {
    /// The tail of an empty ledger.
    pub const EMPTY: Self = Self {
        position: Position(0),
        time: Time(0),
        leaf: Hash::ZERO,
    };
}

/// A record that a command has added to the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Its place.
    pub position: Position,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The stored value of its body (`opening ‖ body`), if it has one.
    pub body: Option<Vec<u8>>,
}

/// That a user's log has a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Whose log.
    pub user: UserNo,
    /// The new head.
    pub seq: Seq,
}

/// That an account's status log has a new change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Whose log.
    pub account: UserNo,
    /// Its new end.
    pub last: StatusNo,
}

/// What one command did to the ledger and the views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The answer, to be given when everything before it is durable.
    pub answer: Answer,
    /// New records, ascending.
    pub records: Vec<NewRecord>,
    /// Positions whose bodies are to be deleted in the same batch, after `records` are written.
    pub erased: Vec<Position>,
    /// Logs that have grown.
    pub delivered: Vec<Delivered>,
    /// Status logs that have grown.
    pub changed: Vec<Changed>,
}

/// What one record did to the views.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Logs that have grown.
    pub delivered: Vec<Delivered>,
    /// Status logs that have grown.
    pub changed: Vec<Changed>,
    /// Where a message came to stand, for each receiver whom its own record serves, ascending by their numbers.
    pub sent: Vec<Sent>,
    /// Whose body goes away.
    pub erased: Option<Position>,
}

/// A fact to become a record, with its body.
struct Draft<'a> {
    fact: Fact,
    body: Option<Cow<'a, SealedBody>>,
}

/// What `decide` makes of a command.
enum Decision<'a> {
    /// These facts, and how their outcome is told.
    Facts(Vec<Draft<'a>>, Reply),
    /// Nothing changes, and this is the outcome.
    Known(Outcome),
    /// Nothing changes.
    Refused(Refusal),
}

/// The outcome of facts.
enum Reply {
    /// This.
    Given(Outcome),
    /// Where the message among them came to stand.
    Sent,
    /// The same for each receiver, in this order.
    Posted(Vec<Settled>),
    /// That the last of them is the message of a fan-out.
    Begun,
}

/// What became of a message to several users for one of them.
enum Settled {
    /// This, before anything was written.
    Now(Result<Sent, Refusal>),
    /// Where the message comes to stand for this receiver.
    By(UserNo),
}

impl Settled {
    fn now(self) -> Option<Result<Sent, Refusal>> {
        match self {
            Self::Now(result) => Some(result),
            Self::By(_) => None,
        }
    }
}

impl Reply {
    fn outcome(self, sent: &[Sent], tail: &Tail) -> Outcome {
        let of = |user| {
            let found = sent.binary_search_by_key(&user, |sent| sent.receiver);
            found.ok().map(|at| sent[at].clone())
        };
        match self {
            Self::Given(outcome) => outcome,
            Self::Sent => sent.first().cloned().map_or(Outcome::Done, Outcome::Sent),
            Self::Begun => Outcome::Begun {
                position: tail.position,
                time: tail.time,
                repeated: false,
            },
            Self::Posted(settled) => {
                let results = settled.into_iter().filter_map(|settled| match settled {
                    Settled::Now(result) => Some(result),
                    Settled::By(user) => of(user).map(Ok),
                });
                Outcome::Posted(results.collect())
            }
        }
    }
}

/// Takes one command: decides, writes the records it makes and applies them to `state`, and moves `tail`.
///
/// # Errors
/// When the state cannot be read. The batch is then worthless: neither `state` nor `tail` may be used again.
pub fn take<S: Scan>(
    state: &mut Overlay<S>,
    tail: &mut Tail,
    stamped: &Stamped,
) -> Result<Step, StateError> {
    let command = &stamped.command;
    let time = stamped.time.max(tail.time);
    let mut step = Step {
        answer: Ok(Outcome::Done),
        records: Vec::new(),
        erased: Vec::new(),
        delivered: Vec::new(),
        changed: Vec::new(),
    };
    let decision = match (rules_in_force(state, &command.ask)?, tail.position) {
        (1, _) => v1::decide(state, tail, time, &command.ask)?,
        (_, Position(0)) => Decision::Refused(match &command.ask {
            Ask::Found { .. } => Refusal::BadRules,
            _ => Refusal::NotFounded,
        }),
        (found, position) => return Err(unknown_rules(position.next(), found)),
    };
    let (drafts, reply) = match decision {
        Decision::Facts(drafts, reply) => (drafts, reply),
        Decision::Known(outcome) => {
            step.answer = Ok(outcome);
            return Ok(step);
        }
        Decision::Refused(refusal) => {
            step.answer = Err(refusal);
            return Ok(step);
        }
    };
    let mut records = Vec::with_capacity(drafts.len());
    let mut last = tail.position;
    for draft in drafts {
        let position = last.next();
        let size = draft.body.as_ref().map_or(0, |body| body.bytes.len());
        let commitment = draft.body.as_ref().map(|body| body.commitment);
        let record = Record::new(
            position,
            time,
            command.by,
            command.surface,
            draft.fact,
            commitment,
        );
        // What no reader would decode must never be written.
        let (Some(bytes), 0..=MAX_BODY_BYTES) = (record.encode(), size) else {
            step.answer = Err(Refusal::TooLarge);
            return Ok(step);
        };
        if let Some(body) = &draft.body
            && v1::is_joined(&record.fact)
            && !codec::decode::<Body>(&body.bytes)
                .is_ok_and(|body| v1::may_join(&record.fact, &body))
        {
            step.answer = Err(Refusal::BadBody);
            return Ok(step);
        }
        records.push((record, bytes, draft.body));
        last = position;
    }
    let mut sent = Vec::new();
    for (record, bytes, body) in records {
        let stored = body.map(|body| body.stored());
        let applied = fold(state, tail, &record, &bytes, stored.as_deref())?;
        sent.extend(applied.sent);
        step.delivered.extend(applied.delivered);
        step.changed.extend(applied.changed);
        step.erased.extend(applied.erased);
        step.records.push(NewRecord {
            position: record.position,
            bytes,
            body: stored,
        });
    }
    step.answer = Ok(reply.outcome(&sent, tail));
    Ok(step)
}

/// Applies one record of the ledger to `state` and moves `tail`: what recovery, a rebuild and an auditor do. `stored` is the
/// value of its body (`opening ‖ body`), when that still exists.
///
/// # Errors
/// When the state cannot be read, or the record cannot follow the ones before it.
pub fn fold<S: State>(
    state: &mut Overlay<S>,
    tail: &mut Tail,
    record: &Record,
    bytes: &[u8],
    stored: Option<&[u8]>,
) -> Result<Applied, StateError> {
    let position = record.position;
    let impossible = |reason| StateError::Impossible { position, reason };
    if Some(position) != tail.position.checked_next() {
        return Err(impossible("the position before it is missing"));
    }
    if record.time < tail.time {
        return Err(impossible("it is older than the record before it"));
    }
    if (position.0 == 1) != matches!(record.fact, Fact::Genesis { .. }) {
        return Err(impossible(
            "a ledger begins with one genesis, and only there",
        ));
    }
    if record.commitment.is_some() != record.fact.has_body() {
        return Err(impossible(
            "it has a commitment and no body can belong to it, or the other way round",
        ));
    }
    let leaf = hash::leaf(bytes);
    state.insert_record(position, bytes.to_vec());
    let rules = match &record.fact {
        Fact::Genesis { rules, .. } => *rules,
        _ => stored_rules(state)?,
    };
    let applied = match rules {
        1 => v1::apply(state, record, &leaf)?,
        found => return Err(unknown_rules(position, found)),
    };
    if record.commitment.is_some() && v1::is_joined(&record.fact) {
        let body = stored.map(body::decode_stored).transpose();
        let body = body.map_err(|error| StateError::Corrupt {
            family: "bodies",
            reason: error.to_string(),
        })?;
        v1::join(state, record, body.as_ref())?;
    }
    *tail = Tail {
        position,
        time: record.time,
        leaf,
    };
    Ok(applied)
}

/// Whether [`fold`] reads the body of a record with this fact: bodies of all others need not be fetched.
#[must_use]
pub fn needs_body(fact: &Fact) -> bool {
    v1::is_joined(fact)
}

/// The entry of `user` that the record at `position` delivered, by binary search.
///
/// # Errors
/// When the state cannot be read.
pub fn find_user_entry<S: State>(
    state: &S,
    user: UserNo,
    position: Position,
) -> Result<Option<(Seq, UserLogRow)>, StateError> {
    v1::find_user_entry(state, user, position)
}

/// The epochs of the ledger; `None` before it has begun.
///
/// # Errors
/// When the state cannot be read.
pub fn epochs<S: State>(state: &S) -> Result<Option<Epochs>, StateError> {
    let first = match state.row(SettingsKey::Genesis)? {
        Some(SettingsRow::Genesis(first)) => first,
        _ => return Ok(None),
    };
    Ok(Some(Epochs::new(first, v1::gaps::restores(state)?)))
}

/// All places that a log has left out after restores, the last ones first.
///
/// # Errors
/// When the state cannot be read.
pub fn gaps<S: State>(state: &S, log: Numbered) -> Result<Vec<GapRow>, StateError> {
    v1::gaps::all(state, log)
}

/// The places of a log that a restore left out together with this one, which is at or before the log's head; `None` when it was not
/// left out.
///
/// # Errors
/// When the state cannot be read.
pub fn gap_around<S: State>(
    state: &S,
    log: Numbered,
    place: u64,
) -> Result<Option<GapRow>, StateError> {
    let gap = v1::gaps::around(state, log, place)?;
    Ok(gap.map(|gap| gap.row))
}

/// The entry at a place of a user's log, from 1 to its head: the one that is stored, or that a restore left the place out.
///
/// # Errors
/// When the state cannot be read, and when there is neither.
pub fn user_log_row<S: State>(state: &S, user: UserNo, seq: Seq) -> Result<UserLogRow, StateError> {
    v1::gaps::user_log_row(state, user, seq)
}

/// What stands at a place of a conversation, from 1 to its head: the message that is stored, or that a restore left the place out.
///
/// # Errors
/// When the state cannot be read, and when there is neither.
pub fn conversation_log_row<S: State>(
    state: &S,
    conversation: Conversation,
    seq: ConversationSeq,
) -> Result<ConversationLogRow, StateError> {
    v1::gaps::conversation_log_row(state, conversation, seq)
}

/// The entry of a user's log that has this number among those that are no messages, if a restore left its place out.
///
/// # Errors
/// When the state cannot be read.
pub fn control_left_out<S: State>(
    state: &S,
    user: UserNo,
    control: ControlSeq,
) -> Result<Option<(Seq, UserLogRow)>, StateError> {
    v1::gaps::control_entry(state, user, control)
}

/// The record that delivered the message at `message` to `user`, if one has: the message's own, or one of those that fan it
/// out. It is what [`find_user_entry`] looks for.
///
/// # Errors
/// When the state cannot be read.
pub fn delivering<S: Scan>(
    state: &S,
    message: Position,
    user: UserNo,
) -> Result<Option<Position>, StateError> {
    v1::delivering(state, message, user)
}

/// The receivers of the message at `position` whose numbers are `from` or more, ascending, and with whom to go on; 0 when that
/// was all. Looks at no more than `limit` of those who may be receivers, so it may give fewer, also none, before the end.
/// `None` when there is no such message.
///
/// # Errors
/// When the state cannot be read.
pub fn receivers<S: Scan>(
    state: &S,
    position: Position,
    from: UserNo,
    limit: usize,
) -> Result<Option<(Vec<UserNo>, UserNo)>, StateError> {
    v1::Fanned::receivers_of(state, position, from, limit)
}

/// Checks that the next command can be decided: that this program has the rules in force. To be asked before a ledger is
/// served, because it may have been written to by a newer program.
///
/// # Errors
/// [`StateError::UnknownRules`] when it has not; and when the state cannot be read.
pub fn check_in_force<S: State>(state: &S, tail: &Tail) -> Result<(), StateError> {
    let found = stored_rules(state)?;
    if tail.position.0 == 0 || is_known(found) {
        return Ok(());
    }
    Err(unknown_rules(tail.position.next(), found))
}

fn unknown_rules(position: Position, found: u32) -> StateError {
    StateError::UnknownRules {
        position,
        found,
        known: RULES_VERSION,
    }
}

/// Whether this program has such rules.
fn is_known(rules: u32) -> bool {
    (1..=RULES_VERSION).contains(&rules)
}

/// The rules version that decides this command.
fn rules_in_force<S: State>(state: &S, ask: &Ask) -> Result<u32, StateError> {
    match (stored_rules(state)?, ask) {
        (0, Ask::Found { rules, .. }) if is_known(*rules) => Ok(*rules),
        (rules, _) => Ok(rules),
    }
}

fn stored_rules<S: State>(state: &S) -> Result<u32, StateError> {
    match state.row(SettingsKey::Rules)? {
        Some(SettingsRow::Rules(rules)) => Ok(rules),
        _ => Ok(0),
    }
}
