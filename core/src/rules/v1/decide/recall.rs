//! `decide` for recalls.

use super::super::limits::MAX_RUNNING;
use super::super::search::{self, delivering, running};
use super::bare;
use super::fanout::Fanned;
use crate::conversation::Conversation;
use crate::fact::{Fact, MessagePosted, Options, RecalledPlace};
use crate::id::{Position, UserNo};
use crate::outcome::{Outcome, Refusal, StateError};
use crate::rules::{Decision, Reply};
use crate::state::{MembershipRow, RemovedRow, Scan, StateExt};

/// What of a message matters to its recall.
pub struct Recalled {
    options_off: Options,
}

pub fn recall<'a, S: Scan>(
    state: &S,
    message: Position,
    receiver: Option<UserNo>,
) -> Result<Decision<'a>, StateError> {
    let unknown = || Ok(Decision::Refused(Refusal::UnknownMessage));
    let Some(record) = state.decoded_record(message)? else {
        return unknown();
    };
    let (conversations, recalled, echo) = match &record.fact {
        Fact::MessageSent(sent) => {
            let to = sent.conversation.other(sent.sender);
            let recalled = Recalled {
                options_off: sent.options_off,
            };
            (vec![(sent.conversation, to)], recalled, sent.echo)
        }
        Fact::MessagePosted(posted) if posted.is_fanned_out() => {
            return match receiver {
                None => cut(state, message),
                Some(receiver) => recall_from(state, message, receiver),
            };
        }
        Fact::MessagePosted(posted) => {
            let places = posted
                .listed()
                .map(|to| (posted.kind.between(posted.sender, to), to));
            (places.collect(), Recalled::of(posted), false)
        }
        _ => return unknown(),
    };
    let mut named = conversations.into_iter();
    let chosen: Vec<_> = match receiver {
        None => named.collect(),
        Some(receiver) => named.find(|(_, to)| *to == receiver).into_iter().collect(),
    };
    if chosen.is_empty() {
        return unknown();
    }
    let mut places = Vec::with_capacity(chosen.len());
    for (conversation, to) in chosen {
        places.extend(recalled.place(state, message, conversation, to)?);
    }
    Ok(recalled_from(message, echo, places))
}

fn recalled_from<'a>(
    message: Position,
    echo: bool,
    mut places: Vec<RecalledPlace>,
) -> Decision<'a> {
    places.sort_unstable_by_key(|place| place.conversation);
    let receivers = u32::try_from(places.len()).unwrap_or(u32::MAX);
    let outcome = Outcome::Recalled { receivers };
    if places.is_empty() {
        return Decision::Known(outcome);
    }
    let fact = Fact::MessageRecalled {
        message,
        echo,
        places,
        next: None,
    };
    Decision::Facts(vec![bare(fact)], Reply::Given(outcome))
}

/// Recalls a message that is fanned out: nobody gets it from now on, and those who have it are told step by step.
fn cut<'a, S: Scan>(state: &S, message: Position) -> Result<Decision<'a>, StateError> {
    let fanned = Fanned::of(state, message)?;
    let outcome = Outcome::Recalled { receivers: 0 };
    if fanned.row.cut.is_some() {
        return Ok(Decision::Known(outcome));
    }
    let running = running(state)?;
    if fanned.row.next.0 == 0 && running.len() >= MAX_RUNNING {
        return Ok(Decision::Refused(Refusal::TooManyRunning));
    }
    let fact = Fact::FanoutRecalled { message };
    Ok(Decision::Facts(vec![bare(fact)], Reply::Given(outcome)))
}

/// Recalls a message that is fanned out from one of those who have it.
fn recall_from<'a, S: Scan>(
    state: &S,
    message: Position,
    receiver: UserNo,
) -> Result<Decision<'a>, StateError> {
    let fanned = Fanned::of(state, message)?;
    if fanned.is_owed(state, receiver)? {
        return Ok(Decision::Refused(Refusal::Underway));
    }
    let conversation = fanned.posted.kind.between(fanned.posted.sender, receiver);
    let Some(position) = delivering(state, message, receiver)? else {
        return Ok(Decision::Refused(Refusal::UnknownMessage));
    };
    // A chunk's record names its first and last receiver; not everybody between them is one.
    if search::conversation_entry(state, conversation, position)?.is_none() {
        return Ok(Decision::Refused(Refusal::UnknownMessage));
    }
    let recalled = Recalled::of(&fanned.posted);
    let place = recalled.place(state, position, conversation, receiver)?;
    Ok(recalled_from(message, false, place.into_iter().collect()))
}

impl Recalled {
    pub fn of(posted: &MessagePosted) -> Self {
        Self {
            options_off: posted.options_off,
        }
    }

    /// Where the message that the record at `position` delivered is to be recalled from one receiver; `None` when it was
    /// recalled before.
    pub fn place<S: Scan>(
        &self,
        state: &S,
        position: Position,
        conversation: Conversation,
        receiver: UserNo,
    ) -> Result<Option<RecalledPlace>, StateError> {
        let found = search::conversation_entry(state, conversation, position)?;
        let Some((conversation_seq, row)) = found else {
            return Err(StateError::Impossible {
                position,
                reason: "it is a message that is in no conversation",
            });
        };
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
