//! The kinds of conversation that two users can have, and what a user does to one: settings, and messages deleted.

use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;
use crate::id::{ConversationSeq, UserNo};

/// The kinds of conversation that one sender and one receiver can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConversationKind {
    /// A single chat (OpenIM's sessionType 1).
    Single,
    /// The notification session of the sending account (OpenIM's sessionType 4).
    Notification,
}

impl ConversationKind {
    /// The conversation of this kind that a sender and a receiver have.
    #[must_use]
    pub fn between(self, sender: UserNo, receiver: UserNo) -> Conversation {
        match self {
            Self::Single => Conversation::single(sender, receiver),
            Self::Notification => Conversation::Notification {
                account: sender,
                receiver,
            },
        }
    }
}

/// What a user has set for a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationSettings {
    /// Whether it stands before the others in the user's list.
    pub pinned: bool,
    /// OpenIM's `recvMsgOpt`: 0 received and announced, 1 not received, 2 received without being announced.
    pub receive_option: u8,
    /// The head when the user hid it from the list: a later message shows it again. 0 when it is not hidden.
    pub hidden_at: ConversationSeq,
}

/// A message that its receiver has deleted for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedMessage {
    /// Its place in the conversation.
    pub conversation_seq: ConversationSeq,
    /// What that does to the number of unread messages.
    pub counted: Counted,
}

/// What the removal of a message does to the number of unread messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    /// Nothing: it was read, or never counted.
    Not,
    /// It was taken out before, when it was recalled.
    Before,
    /// It is taken out now.
    Now,
}
