//! `apply` for messages: the end of a conversation, and entries at the ends of user logs.

use super::super::counted_on;
use super::super::gaps;
use super::super::limits::{CHAIN_MARK_EVERY, MAX_TIME_AHEAD_MS};
use super::status::Change;
use super::{fanout, timer};
use crate::conversation::Conversation;
use crate::fact::{Audience, MessagePosted, MessageSent, Options};
use crate::hash;
use crate::id::{ControlSeq, ConversationSeq, Epoch, Hash, Position, Seq, Time, UserNo};
use crate::outcome::{Sent, StateError};
use crate::record::Record;
use crate::rules::{Applied, Changed, Delivered};
use crate::state::{
    CollapseRow, ControlLogRow, ConversationLogRow, ConversationRow, DedupRow, EntryKind, Family,
    MembershipRow, Numbered, Overlay, SettingsKey, SettingsRow, State, StateExt, Table,
    UserConversationRow, UserHeadRow, UserLogRow, VersionRow,
};

/// What the entries of one record have in common.
pub struct Passage {
    /// The record that delivers.
    pub position: Position,
    /// The message's record, where that is another one.
    pub message: Option<Position>,
    /// The time of the message's record, or of the one that released it.
    pub time: Time,
    /// The time of the record that delivers.
    pub delivered: Time,
    /// Leaf of the record that delivers.
    pub leaf: Hash,
    /// Leaf of the message's record.
    pub message_leaf: Hash,
}

impl Passage {
    fn of(record: &Record, leaf: &Hash) -> Self {
        Self {
            position: record.position,
            message: None,
            time: record.time,
            delivered: record.time,
            leaf: *leaf,
            message_leaf: *leaf,
        }
    }
}

pub fn sent<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    message: &MessageSent,
    leaf: &Hash,
) -> Result<Applied, StateError> {
    if let Some(key) = message.key {
        let position = record.position;
        state.append(key, &DedupRow { position });
    }
    let newcomer = Newcomer {
        conversation: message.conversation,
        sender: message.sender,
        receiver: message.conversation.other(message.sender),
        notification_type: message.notification_type,
        options_off: message.options_off,
        collapse: message.terms.and_then(|terms| terms.collapse),
        is_new: message.new_receiver,
    };
    if let Some(terms) = message.terms {
        timer::set(state, record.position, terms, record.time);
    }
    let mut applied = Applied::default();
    let (entry, sent, read) = newcomer.enter(state, &Passage::of(record, leaf))?;
    applied.add(sent);
    applied.changed.extend(read);
    if message.echo {
        let echoed = deliver(state, message.sender, entry, leaf, leaf)?;
        applied.delivered.push(echoed);
    }
    Ok(applied)
}

pub fn posted<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    message: &MessagePosted,
    leaf: &Hash,
) -> Result<Applied, StateError> {
    let position = record.position;
    if let Some(terms) = message.terms {
        timer::set(state, position, terms, record.time);
    }
    let mut applied = Applied::default();
    let Audience::Listed { new, .. } = &message.audience else {
        if let Some(key) = message.key {
            state.append(MessagePosted::task_dedup(key), &DedupRow { position });
        }
        fanout::start(state, record, message)?;
        return Ok(applied);
    };
    let passage = Passage::of(record, leaf);
    read_ahead(state, message, message.listed())?;
    let mut new = new.iter().peekable();
    for (place, receiver) in message.listed().enumerate() {
        if let Some(key) = message.key {
            let key = MessagePosted::dedup(key, message.kind, receiver);
            state.append(key, &DedupRow { position });
        }
        let is_new = new.next_if(|new| usize::from(**new) == place).is_some();
        let newcomer = Newcomer::of_posted(message, receiver, is_new);
        let (_, sent, read) = newcomer.enter(state, &passage)?;
        applied.add(sent);
        applied.changed.extend(read);
    }
    Ok(applied)
}

impl Applied {
    fn add(&mut self, sent: Sent) {
        self.delivered.extend(sent.seq.map(|seq| Delivered {
            user: sent.receiver,
            seq,
        }));
        self.sent.push(sent);
    }
}

/// A message on its way into a conversation.
pub struct Newcomer {
    pub conversation: Conversation,
    pub sender: UserNo,
    pub receiver: UserNo,
    pub notification_type: i32,
    pub options_off: Options,
    /// Hash of its collapse key, if it has one.
    pub collapse: Option<[u8; 8]>,
    /// Whether the receiver was never seen before.
    pub is_new: bool,
}

impl Newcomer {
    /// A message to many, as one of its receivers gets it.
    pub fn of_posted(posted: &MessagePosted, receiver: UserNo, is_new: bool) -> Self {
        Self {
            conversation: posted.kind.between(posted.sender, receiver),
            sender: posted.sender,
            receiver,
            notification_type: posted.notification_type,
            options_off: posted.options_off,
            collapse: posted.terms.and_then(|terms| terms.collapse),
            is_new,
        }
    }

    /// Puts the message at the end of its conversation and of the receiver's log, and gives the entry and its place; and what it
    /// says of messages that its sender has thereby read.
    pub fn enter<S: State>(
        &self,
        state: &mut Overlay<S>,
        passage: &Passage,
    ) -> Result<(UserLogRow, Sent, Option<Changed>), StateError> {
        let position = passage.position;
        let conversation = self.conversation;
        let before = state.row::<ConversationRow>(conversation)?;
        if before.is_none() {
            begin(state, position, conversation);
        }
        let (head, counted, after) = before.map_or((ConversationSeq(0), 0, 0), |row| {
            (row.head, row.counted, row.last_time.0.saturating_add(1))
        });
        let ahead_ms = u16::try_from(after.saturating_sub(passage.time.0))
            .map_or(MAX_TIME_AHEAD_MS, |ahead| ahead.min(MAX_TIME_AHEAD_MS));
        let time = Time(passage.time.0.saturating_add(u64::from(ahead_ms)));
        let log = Numbered::Conversation(conversation);
        let left_out = gaps::leave_out(state, log, position, head.0, counted)?;
        let place = ConversationSeq(head.0.saturating_add(left_out));
        let conversation_seq = counted_on(place.checked_next(), Family::Conversations.name())?;
        // Never more than there are messages, so it ends no earlier than the seq.
        let counted = counted.saturating_add(u64::from(self.options_off.counts_as_unread()));
        let message = passage.message.unwrap_or(position);
        let end = ConversationRow {
            head: conversation_seq,
            counted,
            last: message,
            last_time: time,
        };
        state.put(conversation, &end);
        let row = ConversationLogRow {
            position,
            message: passage.message,
            ahead_ms,
            notification_type: self.notification_type,
            counted,
            recalled_by: None,
            changed_by: None,
        };
        state.append((conversation, conversation_seq), &row);
        if let Some(collapse) = self.collapse {
            state.put((conversation, collapse), &CollapseRow { conversation_seq });
        }
        let mut read = None;
        if let Conversation::Single { .. } = conversation {
            read = read_by_sender(state, self.sender, conversation, (head, &end), passage)?;
        }
        let entry = UserLogRow {
            position,
            kind: EntryKind::Message,
            message: passage.message,
            conversation_seq,
            ahead_ms,
            mark: None,
        };
        let delivered = deliver(
            state,
            self.receiver,
            entry,
            &passage.leaf,
            &passage.message_leaf,
        )?;
        let sent = Sent {
            position: message,
            time,
            conversation_seq,
            receiver: self.receiver,
            seq: Some(delivered.seq),
            new_receiver: self.is_new,
            repeated: false,
        };
        Ok((entry, sent, read))
    }
}

/// Reads what a message to many asks for of each of its receivers.
pub fn read_ahead<S: State>(
    state: &mut Overlay<S>,
    posted: &MessagePosted,
    receivers: impl Iterator<Item = UserNo> + Clone,
) -> Result<(), StateError> {
    let conversations = receivers
        .clone()
        .map(|receiver| posted.kind.between(posted.sender, receiver));
    state.read_ahead::<ConversationRow>(conversations)?;
    state.read_ahead::<UserHeadRow>(receivers)
}

/// A conversation comes into its readers' lists.
fn begin<S: State>(state: &mut Overlay<S>, position: Position, conversation: Conversation) {
    for user in conversation.readers() {
        state.append((user, conversation), &UserConversationRow { position });
        state.put((user, Table::Conversations), &VersionRow { position });
    }
}

/// Who writes in a chat has read what stands there: up to the place `earlier`, and the message itself at the end.
fn read_by_sender<S: State>(
    state: &mut Overlay<S>,
    sender: UserNo,
    conversation: Conversation,
    (earlier, end): (ConversationSeq, &ConversationRow),
    passage: &Passage,
) -> Result<Option<Changed>, StateError> {
    let before = state
        .row::<MembershipRow>((sender, conversation))?
        .unwrap_or_default();
    let membership = MembershipRow {
        read: end.head,
        read_counted: end.counted,
        removed: 0,
        ..before
    };
    state.put((sender, conversation), &membership);
    if before.read >= earlier {
        return Ok(None);
    }
    let change = Change::read(sender, conversation, before.read, earlier);
    change.tell(state, passage.position, passage.delivered)
}

/// An entry of the record at `position` that is no message, and speaks of this place of a conversation.
pub fn entry(position: Position, kind: EntryKind, conversation_seq: ConversationSeq) -> UserLogRow {
    UserLogRow {
        position,
        kind,
        message: None,
        conversation_seq,
        ahead_ms: 0,
        mark: None,
    }
}

/// Puts an entry at the end of a user's log, with the leaf of the record that delivers it, and of the record that it tells of.
pub fn deliver<S: State>(
    state: &mut Overlay<S>,
    user: UserNo,
    mut entry: UserLogRow,
    leaf: &Hash,
    message_leaf: &Hash,
) -> Result<Delivered, StateError> {
    let end = match state.row::<UserHeadRow>(user)? {
        Some(end) => end,
        None => UserHeadRow {
            head: Seq(0),
            floor: Seq(1),
            control: ControlSeq(0),
            chain: hash::chain_start(&epoch(state, entry.position)?, user),
        },
    };
    let log = Numbered::User(user);
    let left_out = gaps::leave_out(state, log, entry.position, end.head.0, end.control.0)?;
    let place = Seq(end.head.0.saturating_add(left_out));
    let seq = counted_on(place.checked_next(), Family::UserHeads.name())?;
    // A place that was left out is an entry that is no message.
    let mut control = ControlSeq(end.control.0.saturating_add(left_out));
    if entry.kind != EntryKind::Message {
        control = counted_on(control.checked_next(), Family::UserHeads.name())?;
        let position = entry.position;
        state.append((user, control), &ControlLogRow { position, seq });
    }
    let chain = hash::chain_link(&end.chain, seq, entry.kind.number(), leaf, message_leaf);
    entry.mark = seq.0.is_multiple_of(CHAIN_MARK_EVERY).then_some(chain);
    state.append((user, seq), &entry);
    state.put(
        user,
        &UserHeadRow {
            head: seq,
            floor: end.floor,
            control,
            chain,
        },
    );
    Ok(Delivered { user, seq })
}

fn epoch<S: State>(state: &S, position: Position) -> Result<Epoch, StateError> {
    match state.row(SettingsKey::Genesis)? {
        Some(SettingsRow::Genesis(epoch)) => Ok(epoch),
        _ => Err(StateError::Impossible {
            position,
            reason: "there is no genesis",
        }),
    }
}
