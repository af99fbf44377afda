//! `decide` for what users do to their conversations. What depends on messages that are not there any more is found out here,
//! by looking at rows, and stands in the fact: `apply` then needs no look.

use super::super::gaps;
use super::super::limits::{MAX_PASSED, MAX_REMOVED};
use super::bare;
use crate::command::Deed;
use crate::conversation::Conversation;
use crate::fact::{ConversationSettings, Counted, Fact, RemovedMessage};
use crate::id::{ConversationSeq, UserNo};
use crate::outcome::{Outcome, Refusal, StateError};
use crate::rules::{Decision, Reply};
use crate::state::{ConversationRow, MembershipRow, Numbered, RemovedRow, Scan, StateExt};

/// OpenIM knows 0, 1 and 2.
const MAX_RECEIVE_OPTION: u8 = 2;

pub fn tend<'a, S: Scan>(
    state: &S,
    user: UserNo,
    conversation: Conversation,
    deed: &Deed,
) -> Result<Decision<'a>, StateError> {
    let Some(end) = state.row::<ConversationRow>(conversation)? else {
        return Ok(Decision::Refused(Refusal::UnknownConversation));
    };
    if !conversation.has_reader(user) {
        return Ok(Decision::Refused(Refusal::UnknownConversation));
    }
    let membership = state
        .row::<MembershipRow>((user, conversation))?
        .unwrap_or_default();
    let tended = Tended {
        state,
        user,
        conversation,
        end,
        membership,
    };
    match deed {
        Deed::Read { up_to } => tended.read(*up_to),
        Deed::Set {
            pinned,
            receive_option,
            hidden,
        } => Ok(tended.set(*pinned, *receive_option, *hidden)),
        Deed::Remove { messages } => tended.remove(messages),
        Deed::Clear { up_to } => tended.clear(*up_to),
    }
}

/// A conversation as its reader finds it.
struct Tended<'s, S> {
    state: &'s S,
    user: UserNo,
    conversation: Conversation,
    end: ConversationRow,
    membership: MembershipRow,
}

/// Where a reading ends.
struct Passed {
    read: ConversationSeq,
    counted: u64,
    removed: u64,
}

impl<S: Scan> Tended<'_, S> {
    fn is_a_place(&self, seq: ConversationSeq) -> bool {
        seq.0 > 0 && seq <= self.end.head
    }

    /// Whether nothing ever stood there.
    fn is_left_out(&self, seq: ConversationSeq) -> Result<bool, StateError> {
        let log = Numbered::Conversation(self.conversation);
        Ok(gaps::around(self.state, log, seq.0)?.is_some())
    }

    fn outcome(&self, up_to: ConversationSeq, counted: u64, removed: u64) -> Outcome {
        let unread = MembershipRow {
            read_counted: counted,
            removed,
            ..self.membership
        };
        Outcome::Read {
            up_to,
            unread: unread.unread(&self.end),
        }
    }

    fn read<'a>(&self, up_to: ConversationSeq) -> Result<Decision<'a>, StateError> {
        let now = self.membership;
        if !self.is_a_place(up_to) {
            return Ok(Decision::Refused(Refusal::BeyondConversation));
        }
        if up_to <= now.read {
            let outcome = self.outcome(now.read, now.read_counted, now.removed);
            return Ok(Decision::Known(outcome));
        }
        let Passed {
            read,
            counted,
            removed,
        } = self.passed(up_to)?;
        let told = match self.conversation {
            Conversation::Single { low, high } if low != high => {
                super::users::has_devices(self.state, self.conversation.other(self.user))?
            }
            _ => false,
        };
        let fact = Fact::ConversationRead {
            user: self.user,
            conversation: self.conversation,
            up_to: read,
            counted,
            removed,
            told,
        };
        let outcome = self.outcome(read, counted, removed);
        Ok(Decision::Facts(vec![bare(fact)], Reply::Given(outcome)))
    }

    fn set<'a>(
        &self,
        pinned: Option<bool>,
        receive_option: Option<u8>,
        hidden: Option<bool>,
    ) -> Decision<'a> {
        let now = ConversationSettings {
            pinned: self.membership.pinned,
            receive_option: self.membership.receive_option,
            hidden_at: self.membership.hidden_at,
        };
        let settings = ConversationSettings {
            pinned: pinned.unwrap_or(now.pinned),
            receive_option: receive_option.unwrap_or(now.receive_option),
            hidden_at: match hidden {
                None => now.hidden_at,
                Some(true) => self.end.head,
                Some(false) => ConversationSeq(0),
            },
        };
        if settings.receive_option > MAX_RECEIVE_OPTION {
            return Decision::Refused(Refusal::BadSetting);
        }
        if settings == now {
            return Decision::Known(Outcome::Done);
        }
        let fact = Fact::ConversationSet {
            user: self.user,
            conversation: self.conversation,
            settings,
        };
        Decision::Facts(vec![bare(fact)], Reply::Given(Outcome::Done))
    }

    fn remove<'a>(&self, messages: &[ConversationSeq]) -> Result<Decision<'a>, StateError> {
        let mut sorted = messages.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() > MAX_REMOVED {
            return Ok(Decision::Refused(Refusal::TooLarge));
        }
        if !sorted.iter().all(|seq| self.is_a_place(*seq)) {
            return Ok(Decision::Refused(Refusal::BeyondConversation));
        }
        let mut messages = Vec::with_capacity(sorted.len());
        for conversation_seq in sorted {
            if conversation_seq <= self.membership.cleared || self.is_left_out(conversation_seq)? {
                continue;
            }
            let key = (self.user, self.conversation, conversation_seq);
            let counted = match self.state.row::<RemovedRow>(key)? {
                Some(row) if row.by_user => continue,
                Some(row) if row.counted => Counted::Before,
                Some(_) => Counted::Not,
                None if conversation_seq > self.membership.read
                    && self.counts(conversation_seq)? =>
                {
                    Counted::Now
                }
                None => Counted::Not,
            };
            messages.push(RemovedMessage {
                conversation_seq,
                counted,
            });
        }
        if messages.is_empty() {
            return Ok(Decision::Known(Outcome::Done));
        }
        let fact = Fact::MessagesRemoved {
            user: self.user,
            conversation: self.conversation,
            messages,
        };
        Ok(Decision::Facts(
            vec![bare(fact)],
            Reply::Given(Outcome::Done),
        ))
    }

    fn clear<'a>(&self, up_to: ConversationSeq) -> Result<Decision<'a>, StateError> {
        let now = self.membership;
        if !self.is_a_place(up_to) {
            return Ok(Decision::Refused(Refusal::BeyondConversation));
        }
        if up_to <= now.cleared {
            let outcome = self.outcome(now.cleared, now.read_counted, now.removed);
            return Ok(Decision::Known(outcome));
        }
        let (cleared, passed) = if up_to > now.read {
            let passed = self.passed(up_to)?;
            (passed.read, passed)
        } else {
            let passed = Passed {
                read: now.read,
                counted: now.read_counted,
                removed: now.removed,
            };
            (up_to, passed)
        };
        let fact = Fact::ConversationCleared {
            user: self.user,
            conversation: self.conversation,
            cleared,
            read: passed.read,
            counted: passed.counted,
            removed: passed.removed,
        };
        let outcome = self.outcome(cleared, passed.counted, passed.removed);
        Ok(Decision::Facts(vec![bare(fact)], Reply::Given(outcome)))
    }

    /// What a reading up to a place beyond `read` comes to. It ends earlier where it would pass very many removed messages.
    fn passed(&self, up_to: ConversationSeq) -> Result<Passed, StateError> {
        let (mut read, mut removed) = (up_to, 0);
        if self.membership.removed > 0 && up_to < self.end.head {
            let key = |seq| (self.user, self.conversation, seq);
            let rows = self.state.rows::<RemovedRow>(
                &key(self.membership.read.next()),
                &key(up_to.next()),
                MAX_PASSED,
            )?;
            if rows.len() == MAX_PASSED
                && let Some((key, _)) = rows.last()
            {
                read = ConversationSeq(key.last_number());
            }
            let passed = rows.iter().filter(|(_, row)| row.counted).count() as u64;
            removed = self.membership.removed.saturating_sub(passed);
        }
        Ok(Passed {
            read,
            counted: self.counted_at(read)?,
            removed,
        })
    }

    /// How many messages up to a place count as unread until they are read.
    fn counted_at(&self, seq: ConversationSeq) -> Result<u64, StateError> {
        if seq.0 == 0 {
            return Ok(0);
        }
        if seq == self.end.head {
            return Ok(self.end.counted);
        }
        Ok(gaps::conversation_log_row(self.state, self.conversation, seq)?.counted)
    }

    fn counts(&self, seq: ConversationSeq) -> Result<bool, StateError> {
        let before = ConversationSeq(seq.0.saturating_sub(1));
        Ok(self.counted_at(seq)? > self.counted_at(before)?)
    }
}
