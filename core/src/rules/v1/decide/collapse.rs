//! `decide` for collapse keys: a message takes the place of the earlier one with its key in the same conversation, which is
//! withdrawn with it.

use std::collections::BTreeMap;

use super::super::gaps;
use super::super::search::{ConversationEntry, present};
use super::recall::Recalled;
use crate::conversation::Conversation;
use crate::fact::{Fact, Options, RecalledPlace, Terms, Withdrawal};
use crate::id::{ConversationSeq, Position, UserNo};
use crate::outcome::StateError;
use crate::state::{
    CollapseRow, ConversationLogRow, ConversationRow, Family, Numbered, Scan, StateExt,
};

/// Messages that arrive in conversations one after the other with the facts of one command: each must know where those before
/// it will stand, though nothing is written yet.
pub struct Arrivals<'s, S> {
    pub state: &'s S,
    /// How many arrive in a conversation, so far.
    arriving: BTreeMap<Conversation, u64>,
    /// The newest among them with a collapse key.
    newest: BTreeMap<(Conversation, [u8; 8]), Standing>,
}

/// Where a message will stand.
#[derive(Clone, Copy)]
struct Standing {
    message: Position,
    conversation_seq: ConversationSeq,
    counted: bool,
}

/// A message that gives way.
struct Superseded {
    message: Position,
    echo: bool,
    place: RecalledPlace,
}

impl<'s, S: Scan> Arrivals<'s, S> {
    pub fn new(state: &'s S) -> Self {
        Self {
            state,
            arriving: BTreeMap::new(),
            newest: BTreeMap::new(),
        }
    }

    /// The message that the command is about arrives in these conversations, after all others: what it takes the place of.
    pub fn arrive_last(
        &mut self,
        terms: Option<Terms>,
        conversations: &[(Conversation, UserNo)],
    ) -> Result<Vec<Fact>, StateError> {
        match terms.and_then(|terms| terms.collapse) {
            None => Ok(Vec::new()),
            // Nothing in this command comes after it and could ask for its position.
            Some(_) => self.arrive(Position(0), terms, Options::default(), conversations),
        }
    }

    /// A message with these terms arrives in these conversations, each with its receiver: what it takes the place of.
    pub fn arrive(
        &mut self,
        message: Position,
        terms: Option<Terms>,
        options_off: Options,
        conversations: &[(Conversation, UserNo)],
    ) -> Result<Vec<Fact>, StateError> {
        let collapse = terms.and_then(|terms| terms.collapse);
        let mut withdrawn: BTreeMap<Position, (bool, Vec<RecalledPlace>)> = BTreeMap::new();
        for (conversation, receiver) in conversations {
            let arriving = self.arriving.entry(*conversation).or_default();
            *arriving += 1;
            let ahead = *arriving;
            let Some(collapse) = collapse else { continue };
            let key = (*conversation, collapse);
            if let Some(superseded) = self.superseded(key, *receiver)? {
                let of_message = withdrawn.entry(superseded.message).or_default();
                of_message.0 = superseded.echo;
                of_message.1.push(superseded.place);
            }
            let end = self.state.row::<ConversationRow>(*conversation)?;
            let head = end.map_or(0, |end| end.head.0);
            let log = Numbered::Conversation(*conversation);
            let head = head.saturating_add(gaps::before_next(self.state, log, head)?);
            let standing = Standing {
                message,
                conversation_seq: ConversationSeq(head.saturating_add(ahead)),
                counted: options_off.counts_as_unread(),
            };
            self.newest.insert(key, standing);
        }
        let facts = withdrawn.into_iter().map(|(message, (echo, mut places))| {
            places.sort_unstable_by_key(|place| place.conversation);
            Fact::MessageRecalled {
                message,
                why: Withdrawal::Superseded,
                echo,
                places,
                next: None,
            }
        });
        Ok(facts.collect())
    }

    /// The message that has the key in the conversation so far, unless it was withdrawn.
    fn superseded(
        &self,
        key: (Conversation, [u8; 8]),
        receiver: UserNo,
    ) -> Result<Option<Superseded>, StateError> {
        let conversation = key.0;
        if let Some(standing) = self.newest.get(&key) {
            return Ok(Some(Superseded {
                message: standing.message,
                // What arrives before its turn is fanned out, and such messages are not echoed.
                echo: false,
                place: RecalledPlace {
                    conversation,
                    conversation_seq: standing.conversation_seq,
                    receiver,
                    counted: standing.counted,
                },
            }));
        }
        let Some(holder) = self.state.row::<CollapseRow>(key)? else {
            return Ok(None);
        };
        let seq = holder.conversation_seq;
        let row: Option<ConversationLogRow> = self.state.row((conversation, seq))?;
        let entry: ConversationEntry = (seq, present(row, Family::ConversationLog.name())?);
        let message = entry.1.message_position();
        let record = self.state.decoded_record(message)?;
        let recalled = record.and_then(|record| Recalled::of_fact(&record.fact));
        let recalled = recalled.ok_or_else(|| StateError::Corrupt {
            family: Family::ConversationLog.name(),
            reason: "it names a record that is no message".to_owned(),
        })?;
        let place = recalled.place_at(self.state, conversation, receiver, &entry)?;
        Ok(place.map(|place| Superseded {
            message,
            echo: recalled.echo,
            place,
        }))
    }
}
