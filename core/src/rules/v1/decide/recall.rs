//! `decide` for withdrawals: recalls, and messages whose time is over.

use super::super::limits::MAX_RUNNING;
use super::super::search::{self, ConversationEntry, delivering, running};
use super::bare;
use super::fanout::Fanned;
use crate::conversation::Conversation;
use crate::fact::{ChangedPlace, Fact, MessagePosted, Options, RecalledPlace, Withdrawal};
use crate::id::{Position, UserNo};
use crate::outcome::{Outcome, Refusal, StateError};
use crate::rules::{Decision, Reply};
use crate::state::{MembershipRow, RemovedRow, Scan, StateExt};

/// What of a message matters to its recall.
pub struct Recalled {
    options_off: Options,
    /// Whether its sender has an entry too.
    pub echo: bool,
}

/// Withdraws a message from all its receivers, or from one.
pub fn withdraw<'a, S: Scan>(
    state: &S,
    message: Position,
    receiver: Option<UserNo>,
    why: Withdrawal,
) -> Result<Decision<'a>, StateError> {
    let (recalled, chosen) = match targets(state, message, receiver)? {
        Targets::Of(recalled, chosen) => (recalled, chosen),
        Targets::FannedOut => return cut(state, message, why),
        Targets::No(refusal) => return Ok(Decision::Refused(refusal)),
    };
    let mut places = Vec::with_capacity(chosen.len());
    for target in chosen {
        places.extend(recalled.place(state, &target)?);
    }
    Ok(withdrawn_from(message, recalled.echo, places, why))
}

/// Where a receiver has a message, or should have it.
pub struct Target {
    pub conversation: Conversation,
    pub receiver: UserNo,
    /// The record that delivered it.
    pub delivered_by: Position,
}

/// For whom something is done to a message.
pub enum Targets {
    /// For these, at once.
    Of(Recalled, Vec<Target>),
    /// For all receivers of a message that is fanned out: step by step.
    FannedOut,
    /// For nobody.
    No(Refusal),
}

/// Those who have the message at `message`, or the one of them who is named.
pub fn targets<S: Scan>(
    state: &S,
    message: Position,
    receiver: Option<UserNo>,
) -> Result<Targets, StateError> {
    const UNKNOWN: Targets = Targets::No(Refusal::UnknownMessage);
    let Some(record) = state.decoded_record(message)? else {
        return Ok(UNKNOWN);
    };
    let target = |conversation, receiver| Target {
        conversation,
        receiver,
        delivered_by: message,
    };
    let recalled = Recalled::of_fact(&record.fact);
    let mut all = match (&record.fact, receiver) {
        (Fact::MessageSent(sent), _) => {
            let to = sent.conversation.other(sent.sender);
            vec![target(sent.conversation, to)]
        }
        (Fact::MessagePosted(posted), None) if posted.is_fanned_out() => {
            return Ok(Targets::FannedOut);
        }
        (Fact::MessagePosted(posted), Some(to)) if posted.is_fanned_out() => {
            match fanned_out_to(state, message, to)? {
                Ok(target) => vec![target],
                Err(refusal) => return Ok(Targets::No(refusal)),
            }
        }
        (Fact::MessagePosted(posted), _) => {
            let to = posted.listed();
            to.map(|to| target(posted.kind.between(posted.sender, to), to))
                .collect()
        }
        _ => return Ok(UNKNOWN),
    };
    if let Some(receiver) = receiver {
        all.retain(|target| target.receiver == receiver);
    }
    match recalled {
        Some(recalled) if !all.is_empty() => Ok(Targets::Of(recalled, all)),
        _ => Ok(UNKNOWN),
    }
}

fn withdrawn_from<'a>(
    message: Position,
    echo: bool,
    mut places: Vec<RecalledPlace>,
    why: Withdrawal,
) -> Decision<'a> {
    places.sort_unstable_by_key(|place| place.conversation);
    let receivers = u32::try_from(places.len()).unwrap_or(u32::MAX);
    let outcome = Outcome::Recalled { receivers };
    // That a message has expired is noted even if nobody has it any more, so that its timer goes.
    if places.is_empty() && why != Withdrawal::Expired {
        return Decision::Known(outcome);
    }
    let fact = Fact::MessageRecalled {
        message,
        why,
        echo,
        places,
        next: None,
    };
    Decision::Facts(vec![bare(fact)], Reply::Given(outcome))
}

/// Withdraws a message that is fanned out: nobody gets it from now on, and those who have it are told step by step.
fn cut<'a, S: Scan>(
    state: &S,
    message: Position,
    why: Withdrawal,
) -> Result<Decision<'a>, StateError> {
    let fanned = Fanned::of(state, message)?;
    let outcome = Outcome::Recalled { receivers: 0 };
    if fanned.row.cut.is_some() {
        return Ok(Decision::Known(outcome));
    }
    let running = running(state)?;
    let runs = running.iter().any(|running| running.message == message);
    if !runs && running.len() >= MAX_RUNNING {
        return Ok(Decision::Refused(Refusal::TooManyRunning));
    }
    let fact = Fact::FanoutRecalled { message, why };
    Ok(Decision::Facts(vec![bare(fact)], Reply::Given(outcome)))
}

/// Where one receiver has a message that is fanned out.
fn fanned_out_to<S: Scan>(
    state: &S,
    message: Position,
    receiver: UserNo,
) -> Result<Result<Target, Refusal>, StateError> {
    let fanned = Fanned::of(state, message)?;
    if fanned.is_owed(state, receiver)? {
        return Ok(Err(Refusal::Underway));
    }
    let conversation = fanned.posted.kind.between(fanned.posted.sender, receiver);
    let Some(delivered_by) = delivering(state, message, receiver)? else {
        return Ok(Err(Refusal::UnknownMessage));
    };
    // A chunk's record names its first and last receiver; not everybody between them is one.
    if search::conversation_entry(state, conversation, delivered_by)?.is_none() {
        return Ok(Err(Refusal::UnknownMessage));
    }
    Ok(Ok(Target {
        conversation,
        receiver,
        delivered_by,
    }))
}

impl Recalled {
    pub fn of(posted: &MessagePosted) -> Self {
        Self {
            options_off: posted.options_off,
            echo: false,
        }
    }

    /// As [`Recalled::of`], of any message; `None` of what is none.
    pub fn of_fact(fact: &Fact) -> Option<Self> {
        match fact {
            Fact::MessageSent(sent) => Some(Self {
                options_off: sent.options_off,
                echo: sent.echo,
            }),
            Fact::MessagePosted(posted) => Some(Self::of(posted)),
            _ => None,
        }
    }

    /// Where a message is to be withdrawn from one receiver; `None` when it was before.
    pub fn place<S: Scan>(
        &self,
        state: &S,
        target: &Target,
    ) -> Result<Option<RecalledPlace>, StateError> {
        let entry = target.entry(state)?;
        self.place_at(state, target.conversation, target.receiver, &entry)
    }

    /// As [`Recalled::place`], of the message that stands there.
    pub fn place_at<S: Scan>(
        &self,
        state: &S,
        conversation: Conversation,
        receiver: UserNo,
        entry: &ConversationEntry,
    ) -> Result<Option<RecalledPlace>, StateError> {
        let (conversation_seq, row) = *entry;
        if row.recalled_by.is_some() {
            return Ok(None);
        }
        let read = state
            .row::<MembershipRow>((receiver, conversation))?
            .unwrap_or_default()
            .read;
        let counted = self.options_off.counts_as_unread()
            && conversation_seq > read
            && state
                .row::<RemovedRow>((receiver, conversation, conversation_seq))?
                .is_none();
        Ok(Some(RecalledPlace {
            conversation,
            conversation_seq,
            receiver,
            counted,
        }))
    }
}

impl Target {
    /// Where the message is to be changed; `None` when it was withdrawn there.
    pub fn changed<S: Scan>(&self, state: &S) -> Result<Option<ChangedPlace>, StateError> {
        let (conversation_seq, row) = self.entry(state)?;
        Ok(row.recalled_by.is_none().then_some(ChangedPlace {
            conversation: self.conversation,
            conversation_seq,
            receiver: self.receiver,
        }))
    }

    /// The message's place and row in the conversation.
    pub fn entry<S: Scan>(&self, state: &S) -> Result<ConversationEntry, StateError> {
        let found = search::conversation_entry(state, self.conversation, self.delivered_by)?;
        found.ok_or(StateError::Impossible {
            position: self.delivered_by,
            reason: "it is a message that is in no conversation",
        })
    }
}
