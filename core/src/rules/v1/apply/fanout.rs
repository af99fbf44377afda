//! `apply` for fan-outs.

use super::super::search::{present, running};
use super::deliver::{Newcomer, Passage};
use crate::fact::{Fact, MessagePosted, unpack_users};
use crate::hash;
use crate::id::{Hash, Position, UserNo};
use crate::outcome::StateError;
use crate::record::Record;
use crate::rules::{Applied, Delivered};
use crate::state::{
    EarlyRow, Family, FanoutChunkRow, FanoutRow, Overlay, Running, SettingsKey, SettingsRow, State,
    StateExt,
};

/// Some receivers of a message.
pub struct Chunk<'a> {
    pub message: Position,
    pub receivers: &'a [u64],
    pub next: UserNo,
    pub early: bool,
}

impl Chunk<'_> {
    pub fn deliver<S: State>(
        &self,
        state: &mut Overlay<S>,
        record: &Record,
        leaf: &Hash,
    ) -> Result<Applied, StateError> {
        let position = record.position;
        let (message, message_leaf) = message(state, position, self.message)?;
        let Fact::MessagePosted(posted) = &message.fact else {
            return Err(no_message(position));
        };
        let passage = Passage {
            position,
            message: Some(self.message),
            time: message.time,
            delivered: record.time,
            leaf: *leaf,
            message_leaf,
        };
        let mut applied = Applied::default();
        let mut last = None;
        for receiver in unpack_users(self.receivers) {
            // Whom the server had not seen is in no fan-out: it goes to those who were seen before it began.
            let newcomer = Newcomer::of_posted(posted, receiver, false);
            let (_, sent, read) = newcomer.enter(state, &passage)?;
            applied.changed.extend(read);
            applied.delivered.extend(sent.seq.map(|seq| Delivered {
                user: receiver,
                seq,
            }));
            if self.early {
                state.append((self.message, receiver), &EarlyRow { position });
            }
            last = Some(receiver);
        }
        let mut row = row(state, self.message)?;
        let count = applied.delivered.len() as u64;
        row.delivered = row.delivered.saturating_add(count);
        if self.early {
            row.early = row.early.saturating_add(count);
        } else {
            row.next = self.next;
            if let Some(last) = last {
                state.append((self.message, last), &FanoutChunkRow { position });
            }
            if self.next.0 == 0 {
                stop(state, self.message)?;
            }
        }
        state.put(self.message, &row);
        Ok(applied)
    }
}

/// The record of the message that another delivers, with its leaf.
fn message<S: State>(
    state: &S,
    position: Position,
    message: Position,
) -> Result<(Record, Hash), StateError> {
    let bytes = state.record(message)?.filter(|_| message < position);
    let bytes = bytes.ok_or_else(|| no_message(position))?;
    let record = Record::decode(message, &bytes).map_err(|error| StateError::Record {
        position: message,
        error,
    })?;
    Ok((record, hash::leaf(&bytes)))
}

fn no_message(position: Position) -> StateError {
    StateError::Impossible {
        position,
        reason: "it speaks of a message that no earlier record is",
    }
}

fn row<S: State>(state: &S, message: Position) -> Result<FanoutRow, StateError> {
    present(state.row(message)?, Family::Fanouts.name())
}

/// A message that is to be fanned out.
pub fn start<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    posted: &MessagePosted,
) -> Result<(), StateError> {
    let row = FanoutRow {
        next: UserNo(1),
        ..FanoutRow::default()
    };
    state.put(position, &row);
    let mut running = running(state)?;
    running.push(Running {
        message: position,
        sender: posted.sender,
        kind: posted.kind,
        recall: false,
    });
    state.put(SettingsKey::Running, &SettingsRow::Running(running));
    Ok(())
}

fn stop<S: State>(state: &mut Overlay<S>, message: Position) -> Result<(), StateError> {
    let mut running = running(state)?;
    running.retain(|running| running.message != message);
    state.put(SettingsKey::Running, &SettingsRow::Running(running));
    Ok(())
}

/// A message that was fanned out, or still is, is recalled from the first receiver on.
pub fn recalled<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    whose: Position,
) -> Result<(), StateError> {
    let (record, _) = message(state, position, whose)?;
    let Fact::MessagePosted(posted) = &record.fact else {
        return Err(no_message(position));
    };
    let mut row = row(state, whose)?;
    row.cut = Some(row.next);
    row.next = UserNo(1);
    state.put(whose, &row);
    let mut running = running(state)?;
    running.retain(|running| running.message != whose);
    let place = running.partition_point(|running| running.message < whose);
    running.insert(
        place,
        Running {
            message: whose,
            sender: posted.sender,
            kind: posted.kind,
            recall: true,
        },
    );
    state.put(SettingsKey::Running, &SettingsRow::Running(running));
    Ok(())
}

/// A step of the recall is done.
pub fn step_recalled<S: State>(
    state: &mut Overlay<S>,
    message: Position,
    next: UserNo,
    served: usize,
) -> Result<(), StateError> {
    let mut row = row(state, message)?;
    row.next = next;
    row.recalled = row.recalled.saturating_add(served as u64);
    state.put(message, &row);
    if next.0 == 0 {
        stop(state, message)?;
    }
    Ok(())
}
