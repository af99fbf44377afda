//! The places that logs leave out after a restore. No log is touched by the restore itself: each leaves them out when it next goes on,
//! and a row then says so. Whoever reads a place of a log, also to search it, finds there what these functions give.

use super::search::present;
use crate::conversation::Conversation;
use crate::epochs::Restore;
use crate::id::{ControlSeq, ConversationSeq, Position, Seq, UserNo};
use crate::outcome::StateError;
use crate::state::{
    ConversationLogRow, EntryKind, Family, GapRow, Numbered, Overlay, SettingsKey, SettingsRow,
    State, StateExt, UserLogRow,
};

/// A place that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The record of the last restore before the log went on.
    pub restored: Position,
    /// The places that were left out together.
    pub row: GapRow,
}

pub fn restores<S: State>(state: &S) -> Result<Vec<Restore>, StateError> {
    match state.row(SettingsKey::Restores)? {
        Some(SettingsRow::Restores(restores)) => Ok(restores),
        _ => Ok(Vec::new()),
    }
}

/// How many places a log that ends at `head` will leave out before its next one, and because of which restore.
fn due<S: State>(
    state: &S,
    log: Numbered,
    head: u64,
) -> Result<Option<(Position, u64)>, StateError> {
    let restores = restores(state)?;
    let mut count = 0_u64;
    for restore in restores.iter().rev() {
        // A row of what lies behind the head was left by a run that went further than this one has come.
        let row = state.row::<GapRow>((log, restore.position))?;
        if row.is_some_and(|row| row.first <= head) {
            break;
        }
        count = count.saturating_add(restore.gap);
    }
    let last = restores.last().filter(|_| count > 0);
    Ok(last.map(|last| (last.position, count)))
}

/// How many places a log that ends at `head` will leave out before its next one.
pub fn before_next<S: State>(state: &S, log: Numbered, head: u64) -> Result<u64, StateError> {
    Ok(due(state, log, head)?.map_or(0, |(_, count)| count))
}

/// The log, which ends at `head`, goes on with the record at `position`: how many places it leaves out, which is noted. `before` is
/// what the row keeps.
pub fn leave_out<S: State>(
    state: &mut Overlay<S>,
    log: Numbered,
    position: Position,
    head: u64,
    before: u64,
) -> Result<u64, StateError> {
    let Some((restored, count)) = due(state, log, head)? else {
        return Ok(0);
    };
    let row = GapRow {
        position,
        first: head.saturating_add(1),
        count,
        before,
    };
    state.append((log, restored), &row);
    Ok(count)
}

/// The gap that a place of a log, at or before its head, lies in.
pub fn around<S: State>(state: &S, log: Numbered, place: u64) -> Result<Option<Gap>, StateError> {
    find(state, log, |row| row.holds(place))
}

/// The gap of a log for which this holds.
fn find<S: State>(
    state: &S,
    log: Numbered,
    wanted: impl Fn(&GapRow) -> bool,
) -> Result<Option<Gap>, StateError> {
    for restore in restores(state)?.iter().rev() {
        let row = state.row::<GapRow>((log, restore.position))?;
        if let Some(row) = row.filter(|row| wanted(row)) {
            return Ok(Some(Gap {
                restored: restore.position,
                row,
            }));
        }
    }
    Ok(None)
}

/// The gaps of a log, the last first.
pub fn all<S: State>(state: &S, log: Numbered) -> Result<Vec<GapRow>, StateError> {
    let mut gaps = Vec::new();
    for restore in restores(state)?.iter().rev() {
        gaps.extend(state.row::<GapRow>((log, restore.position))?);
    }
    Ok(gaps)
}

impl Gap {
    /// What stands in its places, in a user's log.
    pub fn entry(&self) -> UserLogRow {
        UserLogRow {
            position: self.restored,
            kind: EntryKind::Skipped,
            message: None,
            conversation_seq: ConversationSeq(0),
            ahead_ms: 0,
            mark: None,
        }
    }
}

/// The entry of a user's log that has this number among those that are no messages, if a restore left it out.
pub fn control_entry<S: State>(
    state: &S,
    user: UserNo,
    control: ControlSeq,
) -> Result<Option<(Seq, UserLogRow)>, StateError> {
    let after = |row: &GapRow| control.0.checked_sub(row.before.saturating_add(1));
    let gap = find(state, Numbered::User(user), |row| {
        after(row).is_some_and(|after| after < row.count)
    })?;
    Ok(gap.and_then(|gap| {
        Some((
            Seq(gap.row.first.saturating_add(after(&gap.row)?)),
            gap.entry(),
        ))
    }))
}

/// The entry at a place of a user's log, at or before its head.
pub fn user_log_row<S: State>(state: &S, user: UserNo, seq: Seq) -> Result<UserLogRow, StateError> {
    if let Some(row) = state.row::<UserLogRow>((user, seq))? {
        return Ok(row);
    }
    let gap = around(state, Numbered::User(user), seq.0)?;
    present(gap.map(|gap| gap.entry()), Family::UserLog.name())
}

/// What stands at a place of a conversation, at or before its head.
pub fn conversation_log_row<S: State>(
    state: &S,
    conversation: Conversation,
    seq: ConversationSeq,
) -> Result<ConversationLogRow, StateError> {
    if let Some(row) = state.row::<ConversationLogRow>((conversation, seq))? {
        return Ok(row);
    }
    let gap = around(state, Numbered::Conversation(conversation), seq.0)?;
    let row = gap.map(|gap| ConversationLogRow {
        position: gap.restored,
        message: None,
        ahead_ms: 0,
        notification_type: 0,
        counted: gap.row.before,
        recalled_by: None,
        changed_by: None,
    });
    present(row, Family::ConversationLog.name())
}
