//! `apply` for changes of messages that were sent.

use super::super::search::present;
use super::deliver::{deliver, entry};
use super::fanout;
use crate::fact::{ChangedPlace, Fact, Part};
use crate::id::{Hash, Position};
use crate::outcome::StateError;
use crate::record::Record;
use crate::rules::Delivered;
use crate::state::{
    ChangesRow, ConversationLogRow, EntryKind, Family, Overlay, State, StateExt, UserLogRow,
};

pub fn apply<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    leaf: &Hash,
) -> Result<Vec<Delivered>, StateError> {
    let position = record.position;
    let mut delivered = Vec::new();
    match &record.fact {
        Fact::MessageChanged {
            part, echo, places, ..
        } => {
            for place in places {
                let entry = note(state, position, (position, *part), place)?;
                delivered.push(deliver(state, place.receiver, entry, leaf, leaf)?);
                if *echo {
                    let sender = place.conversation.other(place.receiver);
                    delivered.push(deliver(state, sender, entry, leaf, leaf)?);
                }
            }
        }
        Fact::ChangeTold {
            message,
            change,
            places,
            next,
        } => {
            let part = fanout::part_under_way(state, *message, *change)?;
            for place in places {
                let entry = note(state, position, (*change, part), place)?;
                delivered.push(deliver(state, place.receiver, entry, leaf, leaf)?);
            }
            fanout::step(state, *message, *next, 0)?;
        }
        _ => {}
    }
    Ok(delivered)
}

/// Notes at a place that the body of the record `change` holds there, and gives the entry that tells of it.
fn note<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    (change, part): (Position, Part),
    place: &ChangedPlace,
) -> Result<UserLogRow, StateError> {
    let key = (place.conversation, place.conversation_seq);
    let mut changes = state.row::<ChangesRow>(key)?.unwrap_or_default();
    match part {
        Part::Content => changes.content = Some(change),
        Part::StatusLine => changes.status_line = Some(change),
    }
    state.put(key, &changes);
    let row = state.row::<ConversationLogRow>(key)?;
    let mut row = present(row, Family::ConversationLog.name())?;
    row.changed_by = Some(position);
    state.put(key, &row);
    Ok(entry(position, EntryKind::Changed, place.conversation_seq))
}
