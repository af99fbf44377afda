//! From a message's position to its places: user logs and conversation logs are ordered by position, so a binary search finds
//! an entry without an index.

use crate::conversation::Conversation;
use crate::id::{ConversationSeq, Position, Seq, UserNo};
use crate::outcome::StateError;
use crate::state::{ConversationLogRow, ConversationRow, State, StateExt, UserHeadRow, UserLogRow};

/// The entry of `user` that was delivered by the record at `position`.
pub fn user_entry<S: State>(
    state: &S,
    user: UserNo,
    position: Position,
) -> Result<Option<(Seq, UserLogRow)>, StateError> {
    let Some(head) = state.row::<UserHeadRow>(user)? else {
        return Ok(None);
    };
    let (mut low, mut high) = (head.floor.0, head.head.0 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let row: UserLogRow = present(state.row((user, Seq(middle)))?, "user_log")?;
        if row.position == position {
            return Ok(Some((Seq(middle), row)));
        }
        if row.position < position {
            low = middle + 1
        } else {
            high = middle
        }
    }
    Ok(None)
}

/// The place of the message at `position` in its conversation.
pub fn conversation_entry<S: State>(
    state: &S,
    conversation: Conversation,
    position: Position,
) -> Result<Option<(ConversationSeq, ConversationLogRow)>, StateError> {
    let Some(end) = state.row::<ConversationRow>(conversation)? else {
        return Ok(None);
    };
    let (mut low, mut high) = (1, end.head.0 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let row: ConversationLogRow = present(
            state.row((conversation, ConversationSeq(middle)))?,
            "conversation_log",
        )?;
        if row.position == position {
            return Ok(Some((ConversationSeq(middle), row)));
        }
        if row.position < position {
            low = middle + 1
        } else {
            high = middle
        }
    }
    Ok(None)
}

/// Between floor and head every entry exists.
fn present<R>(row: Option<R>, family: &'static str) -> Result<R, StateError> {
    row.ok_or_else(|| StateError::Corrupt {
        family,
        reason: "an entry below the head is missing".to_owned(),
    })
}
