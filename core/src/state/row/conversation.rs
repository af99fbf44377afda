//! Conversations: their ends and messages, and what a user has of them.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::conversation::Conversation;
use crate::id::{ConversationSeq, Position, Time, UserNo};
use crate::state::family::Family;

/// The end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationRow {
    /// The last conversation seq.
    pub head: ConversationSeq,
    /// How many of its messages count as unread until they are read.
    pub counted: u64,
    /// The record of the last message.
    pub last: Position,
    /// The time shown on the last message.
    pub last_time: Time,
}
row!(ConversationRow, Conversations, Conversation);

/// One message of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationLogRow {
    /// The record that delivers it.
    pub position: Position,
    /// The message's record, where that is another one.
    pub message: Option<Position>,
    /// As in [`UserLogRow`](super::UserLogRow).
    pub ahead_ms: u16,
    /// The notice's `notificationType`, 0 for anything else.
    pub notification_type: i32,
    /// How many messages up to this one, itself included, count as unread until they are read.
    pub counted: u64,
    /// The record that withdrew it, if any.
    pub recalled_by: Option<Position>,
    /// The record that last changed it: withdrew it, or changed what [`ChangesRow`] speaks of.
    pub changed_by: Option<Position>,
}
row!(
    ConversationLogRow,
    ConversationLog,
    (Conversation, ConversationSeq)
);

impl ConversationLogRow {
    /// The message's record.
    #[must_use]
    pub fn message_position(&self) -> Position {
        self.message.unwrap_or(self.position)
    }
}

/// What changed a message after it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesRow {
    /// The record whose body has the content in force.
    pub content: Option<Position>,
    /// The record whose body has the business status line in force.
    pub status_line: Option<Position>,
}
row!(ChangesRow, Changes, (Conversation, ConversationSeq));

/// What a user has read of a conversation, and set for it. Without a row: nothing, and nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipRow {
    /// Up to where the user has read.
    pub read: ConversationSeq,
    /// How many messages up to there count as unread until they are read.
    pub read_counted: u64,
    /// How many of the counted messages above `read` are not there any more for this user.
    pub removed: u64,
    /// Up to where the user has deleted everything; 0 for nothing.
    pub cleared: ConversationSeq,
    /// The last message that the user may see, once they have left; messages of single chats and notification sessions have
    /// no such end.
    pub until: Option<ConversationSeq>,
    /// Whether it stands before the others in the user's list.
    pub pinned: bool,
    /// OpenIM's `recvMsgOpt`: 0 received and announced, 1 not received, 2 received without being announced.
    pub receive_option: u8,
    /// The head when the user hid it from the list: a later message shows it again. 0 when it is not hidden.
    pub hidden_at: ConversationSeq,
}
row!(MembershipRow, Memberships, (UserNo, Conversation));

impl MembershipRow {
    /// How many messages the user has not read, of a conversation that ends so.
    #[must_use]
    pub fn unread(&self, end: &ConversationRow) -> u64 {
        end.counted
            .saturating_sub(self.read_counted)
            .saturating_sub(self.removed)
    }
}

/// That a user has a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserConversationRow {
    /// The record that began it.
    pub position: Position,
}
row!(
    UserConversationRow,
    UserConversations,
    (UserNo, Conversation)
);

/// That a message is not there any more for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedRow {
    /// The record that last said so.
    pub position: Position,
    /// Whether it was unread and counted when it went, so that it is among [`MembershipRow::removed`] until it is read past.
    pub counted: bool,
    /// Whether the user has deleted it; else it was recalled.
    pub by_user: bool,
}
row!(RemovedRow, Removed, (UserNo, Conversation, ConversationSeq));

/// What has versions of its own, per user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// Which conversations there are, and what the user has set for them.
    Conversations = 1,
}

/// When a table of a user was last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRow {
    /// The record that changed it.
    pub position: Position,
}
row!(VersionRow, Versions, (UserNo, Table));
