//! `apply` for fan-outs.

use super::super::search::{present, running};
use super::deliver::{Newcomer, Passage, read_ahead};
use super::timer;
use crate::fact::{Fact, MessagePosted, Part, Terms, Withdrawal, unpack_users};
use crate::hash;
use crate::id::{Hash, Position, UserNo};
use crate::outcome::StateError;
use crate::record::Record;
use crate::rules::{Applied, Delivered};
use crate::state::{
    EarlyRow, Errand, Family, FanoutChunkRow, FanoutRow, Overlay, Running, SettingsKey,
    SettingsRow, State, StateExt,
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
        let (posted, message_leaf) = posted(state, position, self.message)?;
        let mut row = row(state, self.message)?;
        let passage = Passage {
            position,
            message: Some(self.message),
            time: row.since_time,
            delivered: record.time,
            leaf: *leaf,
            message_leaf,
        };
        read_ahead(state, &posted, unpack_users(self.receivers))?;
        let mut applied = Applied::default();
        let mut last = None;
        for receiver in unpack_users(self.receivers) {
            // Whom the server had not seen is in no fan-out: it goes to those who were seen before it began.
            let newcomer = Newcomer::of_posted(&posted, receiver, false);
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
                row.done = true;
                stop(state, self.message)?;
            }
        }
        state.put(self.message, &row);
        Ok(applied)
    }
}

/// The message to many at `message` that the record at `position` speaks of, with the leaf of its record.
fn posted<S: State>(
    state: &S,
    position: Position,
    message: Position,
) -> Result<(MessagePosted, Hash), StateError> {
    let no_message = StateError::Impossible {
        position,
        reason: "it speaks of a message that no earlier record is",
    };
    let Some(bytes) = state.record(message)?.filter(|_| message < position) else {
        return Err(no_message);
    };
    let record = Record::decode(message, &bytes).map_err(|error| StateError::Record {
        position: message,
        error,
    })?;
    match record.fact {
        Fact::MessagePosted(posted) => Ok((posted, hash::leaf(&bytes))),
        _ => Err(no_message),
    }
}

fn row<S: State>(state: &S, message: Position) -> Result<FanoutRow, StateError> {
    present(state.row(message)?, Family::Fanouts.name())
}

/// A message that is to be fanned out.
pub fn start<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    posted: &MessagePosted,
) -> Result<(), StateError> {
    let row = FanoutRow {
        next: UserNo(1),
        ..FanoutRow::default()
    };
    if timer::waits_until(posted.terms, record.time).is_some() {
        state.put(record.position, &row);
        return Ok(());
    }
    run(state, record, record.position, posted, row)
}

/// A message that has waited for its time begins to be fanned out.
pub fn released<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    whose: Position,
) -> Result<(), StateError> {
    let (posted, _) = posted(state, record.position, whose)?;
    timer::clear_release(state, whose, posted.terms);
    let row = row(state, whose)?;
    run(state, record, whose, &posted, row)
}

/// Receivers of a message are served from this record on.
fn run<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    message: Position,
    posted: &MessagePosted,
    row: FanoutRow,
) -> Result<(), StateError> {
    let row = FanoutRow {
        since: record.position,
        since_time: record.time,
        ..row
    };
    state.put(message, &row);
    serve(state, message, posted, record.position, Errand::Deliver)
}

/// The receivers of a message are served this errand instead of what they were served. What its sender has sent is in the order
/// of `since`.
fn serve<S: State>(
    state: &mut Overlay<S>,
    message: Position,
    posted: &MessagePosted,
    since: Position,
    errand: Errand,
) -> Result<(), StateError> {
    let mut running = running(state)?;
    running.retain(|running| running.message != message);
    let place = running.partition_point(|running| running.since < since);
    running.insert(
        place,
        Running {
            message,
            sender: posted.sender,
            kind: posted.kind,
            since,
            errand,
        },
    );
    state.put(SettingsKey::Running, &SettingsRow::Running(running));
    Ok(())
}

fn stop<S: State>(state: &mut Overlay<S>, message: Position) -> Result<(), StateError> {
    let mut running = running(state)?;
    running.retain(|running| running.message != message);
    state.put(SettingsKey::Running, &SettingsRow::Running(running));
    Ok(())
}

/// A message that was fanned out, or still is or waits for it, is withdrawn from the first receiver on.
pub fn recalled<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    whose: Position,
    why: Withdrawal,
) -> Result<(), StateError> {
    let mut row = row(state, whose)?;
    row.cut = Some(if row.done { UserNo(0) } else { row.next });
    row.withdrawn = Some(position);
    let terms = follow(state, position, whose, row, Errand::Withdraw(why))?;
    timer::clear(state, whose, terms);
    Ok(())
}

/// A message that was fanned out is changed, from the first receiver on.
pub fn changed<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    whose: Position,
    part: Part,
) -> Result<(), StateError> {
    let row = row(state, whose)?;
    let change = position;
    follow(state, position, whose, row, Errand::Change { change, part })?;
    Ok(())
}

/// From the first receiver on, those who have the message are served this errand instead of what they were served. It keeps its
/// place among what its sender has sent. Gives the message's terms.
fn follow<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    whose: Position,
    mut row: FanoutRow,
    errand: Errand,
) -> Result<Option<Terms>, StateError> {
    let (posted, _) = posted(state, position, whose)?;
    row.next = UserNo(1);
    state.put(whose, &row);
    serve(state, whose, &posted, row.since.max(whose), errand)?;
    Ok(posted.terms)
}

/// What of the message the change is about whose steps are under way.
pub fn part_under_way<S: State>(
    state: &S,
    message: Position,
    change: Position,
) -> Result<Part, StateError> {
    let running = running(state)?;
    let part = running.iter().find_map(|running| match running.errand {
        Errand::Change { change: of, part } if running.message == message && of == change => {
            Some(part)
        }
        _ => None,
    });
    part.ok_or(StateError::Impossible {
        position: change,
        reason: "a step of a change is told that is not under way",
    })
}

/// A step of a change or of a withdrawal is done; `recalled` were told in it that the message was withdrawn.
pub fn step<S: State>(
    state: &mut Overlay<S>,
    message: Position,
    next: UserNo,
    recalled: usize,
) -> Result<(), StateError> {
    let mut row = row(state, message)?;
    row.next = next;
    row.recalled = row.recalled.saturating_add(recalled as u64);
    state.put(message, &row);
    if next.0 == 0 {
        stop(state, message)?;
    }
    Ok(())
}
