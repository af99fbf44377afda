//! The third part of the naive model: what users do to their conversations, and recalls. It looks through all messages whenever
//! it wants to know a number.

use waybill_core::command::Deed;
use waybill_core::conversation::Conversation;
use waybill_core::fact::{
    ConversationSettings, Counted, Fact, RecalledPlace, RemovedMessage, Withdrawal,
};
use waybill_core::id::{ConversationSeq, Position, UserNo};
use waybill_core::outcome::{Answer, Outcome, Refusal};
use waybill_core::rules::Delivered;

use super::model::{Body, Gone, Model, Reader, Talk};

/// What goes into a log for each deed.
const READ: u8 = 2;
const SETTINGS: u8 = 3;
const RECALLED: u8 = 4;
const REMOVED: u8 = 5;
const CLEARED: u8 = 6;

/// Counted messages up to a place.
pub fn counted(talk: &Talk, up_to: u64) -> u64 {
    let passed = talk.messages.iter().take(up_to as usize);
    passed.filter(|said| said.counts).count() as u64
}

/// Counted messages above what is read that are not there any more.
pub fn removed(talk: &Talk, user: u64) -> u64 {
    let above = counted(talk, talk.messages.len() as u64) - counted(talk, talk.readers[&user].read);
    above - talk.unread(user).len() as u64
}

impl Model {
    pub(super) fn tend(
        &mut self,
        user: u64,
        conversation: Conversation,
        deed: &Deed,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) -> Answer {
        let Some(at) = self
            .talks
            .iter()
            .position(|talk| talk.name == conversation && talk.readers.contains_key(&user))
        else {
            return Err(Refusal::UnknownConversation);
        };
        let head = self.talks[at].messages.len() as u64;
        match deed {
            Deed::Read { up_to } => self.read(at, user, up_to.0, next, facts, delivered),
            Deed::Set {
                pinned,
                receive_option,
                hidden,
            } => {
                if receive_option.is_some_and(|option| option > 2) {
                    return Err(Refusal::BadSetting);
                }
                let reader = self.reader(at, user);
                let before = settings(reader);
                reader.pinned = pinned.unwrap_or(reader.pinned);
                reader.receive_option = receive_option.unwrap_or(reader.receive_option);
                if let Some(hidden) = hidden {
                    reader.hidden_at = if *hidden { head } else { 0 };
                }
                let settings = settings(reader);
                if settings == before {
                    return Ok(Outcome::Done);
                }
                reader.touched = true;
                reader.set_by = next;
                let user_no = UserNo(user);
                let fact = Fact::ConversationSet {
                    user: user_no,
                    conversation,
                    settings,
                };
                facts.push((fact, None));
                self.note(user, (SETTINGS, settings.hidden_at.0, 0), next, delivered);
                Ok(Outcome::Done)
            }
            Deed::Remove { messages } => self.remove(at, user, messages, next, facts, delivered),
            Deed::Clear { up_to } => self.clear(at, user, up_to.0, next, facts, delivered),
        }
    }

    fn reader(&mut self, talk: usize, user: u64) -> &mut Reader {
        self.talks[talk].readers.get_mut(&user).unwrap()
    }

    fn outcome(&self, talk: usize, user: u64, up_to: u64) -> Answer {
        Ok(Outcome::Read {
            up_to: ConversationSeq(up_to),
            unread: self.talks[talk].unread(user).len() as u64,
        })
    }

    fn read(
        &mut self,
        at: usize,
        user: u64,
        up_to: u64,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) -> Answer {
        let talk = &self.talks[at];
        let other = talk.other(user);
        if up_to == 0 || up_to > talk.messages.len() as u64 {
            return Err(Refusal::BeyondConversation);
        }
        let read = talk.readers[&user].read;
        if up_to <= read {
            return self.outcome(at, user, read);
        }
        let reader = self.reader(at, user);
        reader.touched = true;
        reader.read = up_to;
        let name = self.talks[at].name;
        self.tell_read(next, name, user, (read, up_to));
        let talk = &self.talks[at];
        let chat = matches!(talk.name, Conversation::Single { .. });
        let fact = Fact::ConversationRead {
            user: UserNo(user),
            conversation: talk.name,
            up_to: ConversationSeq(up_to),
            counted: counted(talk, up_to),
            removed: removed(talk, user),
            told: chat && other != user && !self.person(other).unwrap().devices.is_empty(),
        };
        self.note(user, (READ, up_to, 0), next, delivered);
        if let Fact::ConversationRead { told: true, .. } = fact {
            self.note(other, (READ, up_to, 0), next, delivered);
        }
        facts.push((fact, None));
        self.outcome(at, user, up_to)
    }

    fn remove(
        &mut self,
        at: usize,
        user: u64,
        messages: &[ConversationSeq],
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) -> Answer {
        let mut sorted: Vec<u64> = messages.iter().map(|seq| seq.0).collect();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() > 256 {
            return Err(Refusal::TooLarge);
        }
        let head = self.talks[at].messages.len() as u64;
        if sorted.iter().any(|seq| *seq == 0 || *seq > head) {
            return Err(Refusal::BeyondConversation);
        }
        let mut messages = Vec::new();
        for seq in sorted {
            if self.talks[at].messages[seq as usize - 1].hole {
                continue;
            }
            let unread = self.talks[at].unread(user).contains(&seq);
            let reader = self.reader(at, user);
            if seq <= reader.cleared || reader.gone.get(&seq).is_some_and(|gone| gone.by_reader) {
                continue;
            }
            let before = reader.gone.get(&seq).is_some_and(|gone| gone.was_unread);
            let gone = Gone {
                by: next,
                was_unread: unread || before,
                by_reader: true,
            };
            reader.gone.insert(seq, gone);
            reader.touched |= unread;
            messages.push(RemovedMessage {
                conversation_seq: ConversationSeq(seq),
                counted: match (unread, before) {
                    (true, _) => Counted::Now,
                    (false, true) => Counted::Before,
                    (false, false) => Counted::Not,
                },
            });
        }
        let Some(last) = messages.last().map(|message| message.conversation_seq.0) else {
            return Ok(Outcome::Done);
        };
        let fact = Fact::MessagesRemoved {
            user: UserNo(user),
            conversation: self.talks[at].name,
            messages,
        };
        facts.push((fact, None));
        self.note(user, (REMOVED, last, 0), next, delivered);
        Ok(Outcome::Done)
    }

    fn clear(
        &mut self,
        at: usize,
        user: u64,
        up_to: u64,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) -> Answer {
        if up_to == 0 || up_to > self.talks[at].messages.len() as u64 {
            return Err(Refusal::BeyondConversation);
        }
        let reader = self.reader(at, user);
        if up_to <= reader.cleared {
            let cleared = reader.cleared;
            return self.outcome(at, user, cleared);
        }
        reader.touched = true;
        reader.cleared = up_to;
        let before = reader.read;
        reader.read = before.max(up_to);
        let read = reader.read;
        let name = self.talks[at].name;
        self.tell_read(next, name, user, (before, read));
        let talk = &self.talks[at];
        let fact = Fact::ConversationCleared {
            user: UserNo(user),
            conversation: talk.name,
            cleared: ConversationSeq(up_to),
            read: ConversationSeq(read),
            counted: counted(talk, read),
            removed: removed(talk, user),
        };
        facts.push((fact, None));
        self.note(user, (CLEARED, up_to, 0), next, delivered);
        self.outcome(at, user, up_to)
    }

    pub(super) fn recall(
        &mut self,
        message: u64,
        receiver: Option<u64>,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) -> Answer {
        let line = message
            .checked_sub(1)
            .and_then(|at| self.ledger.get(at as usize));
        let (sender, echo) = match line.map(|line| &line.fact) {
            Some(Fact::MessageSent(sent)) => (sent.sender.0, sent.echo),
            Some(Fact::MessagePosted(posted)) if posted.is_fanned_out() => {
                return self.recall_wide(message, receiver, next, facts, delivered);
            }
            Some(Fact::MessagePosted(posted)) => (posted.sender.0, false),
            _ => return Err(Refusal::UnknownMessage),
        };
        let mut found = Vec::new();
        for (at, talk) in self.talks.iter().enumerate() {
            for (seq, said) in (1_u64..).zip(&talk.messages) {
                let to = talk.other(sender);
                if said.position == message && receiver.is_none_or(|receiver| receiver == to) {
                    found.push((talk.name, at, seq, to, said.recalled_by.is_some()));
                }
            }
        }
        if found.is_empty() {
            return Err(Refusal::UnknownMessage);
        }
        found.retain(|(.., recalled)| !recalled);
        found.sort_unstable();
        let mut places = Vec::new();
        for (_, at, seq, to, _) in found {
            places.extend(self.recall_at(at, seq, to, next, delivered));
            if echo {
                self.note(sender, (RECALLED, seq, 0), next, delivered);
            }
        }
        let receivers = places.len() as u32;
        if receivers > 0 {
            let fact = Fact::MessageRecalled {
                why: Withdrawal::Recalled,
                message: Position(message),
                echo,
                places,
                next: None,
            };
            facts.push((fact, None));
        }
        Ok(Outcome::Recalled { receivers })
    }
}

impl Model {
    /// Recalls one message from its receiver, unless it was recalled before.
    pub(super) fn recall_at(
        &mut self,
        at: usize,
        seq: u64,
        to: u64,
        position: u64,
        delivered: &mut Vec<Delivered>,
    ) -> Option<RecalledPlace> {
        let counted = self.talks[at].unread(to).contains(&seq);
        let conversation = self.talks[at].name;
        let said = &mut self.talks[at].messages[seq as usize - 1];
        if said.recalled_by.is_some() {
            return None;
        }
        said.recalled_by = Some(position);
        said.changed_by = Some(position);
        if counted {
            let gone = Gone {
                by: position,
                was_unread: true,
                by_reader: false,
            };
            let reader = self.reader(at, to);
            reader.gone.insert(seq, gone);
            reader.touched = true;
        }
        self.note(to, (RECALLED, seq, 0), position, delivered);
        Some(RecalledPlace {
            conversation,
            conversation_seq: ConversationSeq(seq),
            receiver: UserNo(to),
            counted,
        })
    }
}

fn settings(reader: &Reader) -> ConversationSettings {
    ConversationSettings {
        pinned: reader.pinned,
        receive_option: reader.receive_option,
        hidden_at: ConversationSeq(reader.hidden_at),
    }
}
