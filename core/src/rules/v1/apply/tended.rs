//! `apply` for what users do to their conversations, and for recalls.

use super::super::search::present;
use super::deliver::{deliver, entry};
use super::status::Change;
use super::timer;
use crate::conversation::Conversation;
use crate::fact::{ConversationSettings, Counted, Fact, RecalledPlace, RemovedMessage, Withdrawal};
use crate::id::{ConversationSeq, Hash, Position, UserNo};
use crate::outcome::StateError;
use crate::record::Record;
use crate::rules::{Applied, Delivered};
use crate::state::{
    ConversationLogRow, EntryKind, Family, MembershipRow, Overlay, RemovedRow, State, StateExt,
    Table, VersionRow,
};

pub fn apply<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    leaf: &Hash,
) -> Result<Applied, StateError> {
    let position = record.position;
    let (delivered, change) = match &record.fact {
        Fact::ConversationRead {
            user,
            conversation,
            up_to,
            counted,
            removed,
            told,
        } => {
            let mut before = ConversationSeq(0);
            change(state, *user, *conversation, |row| {
                before = row.read;
                row.read = *up_to;
                row.read_counted = *counted;
                row.removed = *removed;
            })?;
            let entry = entry(position, EntryKind::Read, *up_to);
            let mut delivered = vec![deliver(state, *user, entry, leaf, leaf)?];
            if *told {
                delivered.push(deliver(
                    state,
                    conversation.other(*user),
                    entry,
                    leaf,
                    leaf,
                )?);
            }
            (
                delivered,
                Some(Change::read(*user, *conversation, before, *up_to)),
            )
        }
        Fact::ConversationSet {
            user,
            conversation,
            settings,
        } => {
            let delivered = set(state, position, *user, *conversation, settings, leaf)?;
            (delivered, None)
        }
        Fact::MessagesRemoved {
            user,
            conversation,
            messages,
        } => {
            let delivered = remove(state, position, *user, *conversation, messages, leaf)?;
            (delivered, None)
        }
        Fact::ConversationCleared {
            user,
            conversation,
            cleared,
            read,
            counted,
            removed,
        } => {
            let mut before = ConversationSeq(0);
            change(state, *user, *conversation, |row| {
                before = row.read;
                row.cleared = *cleared;
                row.read = *read;
                row.read_counted = *counted;
                row.removed = *removed;
            })?;
            let entry = entry(position, EntryKind::Cleared, *cleared);
            let delivered = vec![deliver(state, *user, entry, leaf, leaf)?];
            let told = (*read > before).then(|| Change::read(*user, *conversation, before, *read));
            (delivered, told)
        }
        Fact::MessageRecalled {
            message,
            why,
            echo,
            places,
            next,
        } => {
            if *why == Withdrawal::Expired && next.is_none() {
                let record = state.decoded_record(*message)?;
                timer::clear(
                    state,
                    *message,
                    record.and_then(|record| record.fact.terms()),
                );
            }
            let mut delivered = Vec::with_capacity(places.len());
            for place in places {
                recall(state, position, place, leaf, *echo, &mut delivered)?;
            }
            if let Some(next) = next {
                super::fanout::step(state, *message, *next, places.len())?;
            }
            (delivered, None)
        }
        _ => (Vec::new(), None),
    };
    let mut applied = Applied {
        delivered,
        ..Applied::default()
    };
    if let Some(change) = change {
        applied
            .changed
            .extend(change.tell(state, position, record.time)?);
    }
    Ok(applied)
}

fn change<S: State>(
    state: &mut Overlay<S>,
    user: UserNo,
    conversation: Conversation,
    change: impl FnOnce(&mut MembershipRow),
) -> Result<(), StateError> {
    let mut row = state
        .row::<MembershipRow>((user, conversation))?
        .unwrap_or_default();
    change(&mut row);
    state.put((user, conversation), &row);
    Ok(())
}

fn set<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    user: UserNo,
    conversation: Conversation,
    settings: &ConversationSettings,
    leaf: &Hash,
) -> Result<Vec<Delivered>, StateError> {
    change(state, user, conversation, |row| {
        row.pinned = settings.pinned;
        row.receive_option = settings.receive_option;
        row.hidden_at = settings.hidden_at;
    })?;
    state.put((user, Table::Conversations), &VersionRow { position });
    let entry = entry(position, EntryKind::Settings, settings.hidden_at);
    Ok(vec![deliver(state, user, entry, leaf, leaf)?])
}

fn remove<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    user: UserNo,
    conversation: Conversation,
    messages: &[RemovedMessage],
    leaf: &Hash,
) -> Result<Vec<Delivered>, StateError> {
    let mut taken = 0;
    for message in messages {
        let key = (user, conversation, message.conversation_seq);
        let row = RemovedRow {
            position,
            counted: message.counted != Counted::Not,
            by_user: true,
        };
        match message.counted {
            // The recall has written a row.
            Counted::Before => state.put(key, &row),
            Counted::Not => state.append(key, &row),
            Counted::Now => {
                taken += 1;
                state.append(key, &row);
            }
        }
    }
    if taken > 0 {
        change(state, user, conversation, |row| {
            row.removed = row.removed.saturating_add(taken);
        })?;
    }
    let last = messages.last().map(|message| message.conversation_seq);
    let entry = entry(position, EntryKind::Removed, last.unwrap_or_default());
    Ok(vec![deliver(state, user, entry, leaf, leaf)?])
}

fn recall<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    place: &RecalledPlace,
    leaf: &Hash,
    echo: bool,
    delivered: &mut Vec<Delivered>,
) -> Result<(), StateError> {
    let RecalledPlace {
        conversation,
        conversation_seq,
        receiver,
        counted,
    } = *place;
    let row = state.row::<ConversationLogRow>((conversation, conversation_seq))?;
    let mut row = present(row, Family::ConversationLog.name())?;
    row.recalled_by = Some(position);
    row.changed_by = Some(position);
    state.put((conversation, conversation_seq), &row);
    if counted {
        let row = RemovedRow {
            position,
            counted,
            by_user: false,
        };
        state.append((receiver, conversation, conversation_seq), &row);
        change(state, receiver, conversation, |row| {
            row.removed = row.removed.saturating_add(1);
        })?;
    }
    let entry = entry(position, EntryKind::Recalled, conversation_seq);
    delivered.push(deliver(state, receiver, entry, leaf, leaf)?);
    if echo {
        let sender = conversation.other(receiver);
        delivered.push(deliver(state, sender, entry, leaf, leaf)?);
    }
    Ok(())
}
