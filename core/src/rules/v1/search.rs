//! What `decide` and `apply` both look for. From a message's position to its places: user logs and conversation logs are ordered
//! by position, so a binary search finds an entry without an index.

use std::cmp::Ordering;

use super::gaps;
use crate::conversation::Conversation;
use crate::fact::Fact;
use crate::id::{ConversationSeq, Position, Seq, UserNo};
use crate::outcome::StateError;
use crate::state::{
    ConversationLogRow, ConversationRow, EarlyRow, FanoutChunkRow, Running, Scan, SettingsKey,
    SettingsRow, State, StateExt, UserHeadRow, UserLogRow,
};

/// The entry of `user` that was delivered by the record at `position`.
pub fn user_entry<S: State>(
    state: &S,
    user: UserNo,
    position: Position,
) -> Result<Option<(Seq, UserLogRow)>, StateError> {
    let Some(head) = state.row::<UserHeadRow>(user)? else {
        return Ok(None);
    };
    // Entries before the floor are not shown, and are there.
    search(1, head.head.0, position, |seq| {
        let row = gaps::user_log_row(state, user, Seq(seq))?;
        Ok((row.position, (Seq(seq), row)))
    })
}

/// A message's place in its conversation, and the row there.
pub type ConversationEntry = (ConversationSeq, ConversationLogRow);

/// The place of the message at `position` in its conversation.
pub fn conversation_entry<S: State>(
    state: &S,
    conversation: Conversation,
    position: Position,
) -> Result<Option<ConversationEntry>, StateError> {
    let Some(end) = state.row::<ConversationRow>(conversation)? else {
        return Ok(None);
    };
    search(1, end.head.0, position, |seq| {
        let seq = ConversationSeq(seq);
        let row = gaps::conversation_log_row(state, conversation, seq)?;
        Ok((row.position, (seq, row)))
    })
}

/// The record that delivered the message at `message` to `user`, if one can have: of a chunk that spans the user's number it is
/// the user's log that tells whether the user is in it.
pub fn delivering<S: Scan>(
    state: &S,
    message: Position,
    user: UserNo,
) -> Result<Option<Position>, StateError> {
    match state.decoded_record(message)?.map(|record| record.fact) {
        Some(Fact::MessagePosted(posted)) if posted.is_fanned_out() => {}
        Some(Fact::MessageSent(_) | Fact::MessagePosted(_)) => return Ok(Some(message)),
        _ => return Ok(None),
    }
    if let Some(early) = state.row::<EarlyRow>((message, user))? {
        return Ok(Some(early.position));
    }
    let (from, to) = ((message, user), (message, UserNo(u64::MAX)));
    let chunks = state.rows::<FanoutChunkRow>(&from, &to, 1)?;
    Ok(chunks.first().map(|(_, chunk)| chunk.position))
}

/// The fan-outs under way, and the recalls of such, ascending by their messages.
pub fn running<S: State>(state: &S) -> Result<Vec<Running>, StateError> {
    match state.row(SettingsKey::Running)? {
        Some(SettingsRow::Running(running)) => Ok(running),
        _ => Ok(Vec::new()),
    }
}

/// Looks for `position` among the places `first` to `last`, both included, whose positions ascend.
fn search<R>(
    first: u64,
    last: u64,
    position: Position,
    at: impl Fn(u64) -> Result<(Position, R), StateError>,
) -> Result<Option<R>, StateError> {
    let (mut low, mut high) = (first, last);
    while low <= high {
        let middle = low + (high - low) / 2;
        let (found, row) = at(middle)?;
        match found.cmp(&position) {
            Ordering::Equal => return Ok(Some(row)),
            Ordering::Less if middle < last => low = middle + 1,
            Ordering::Greater if middle > first => high = middle - 1,
            _ => break,
        }
    }
    Ok(None)
}

/// From the first to the head every entry exists, also below the floor; but for those that a restore left out.
pub fn present<R>(row: Option<R>, family: &'static str) -> Result<R, StateError> {
    row.ok_or_else(|| StateError::Corrupt {
        family,
        reason: "an entry below the head is missing".to_owned(),
    })
}
