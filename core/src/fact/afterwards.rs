//! What becomes of a message after it was sent, and where: it is withdrawn, changed, opened or confirmed.

use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;
use crate::id::{ConversationSeq, UserNo};

/// Why a message is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Withdrawal {
    /// Somebody recalled it.
    Recalled,
    /// A later message of the same collapse key took its place.
    Superseded,
    /// Its time was over.
    Expired,
}

/// Where a message is recalled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecalledPlace {
    /// In which conversation it is.
    pub conversation: Conversation,
    /// Its place there.
    pub conversation_seq: ConversationSeq,
    /// The receiver.
    pub receiver: UserNo,
    /// Whether the receiver had not read it, and it counted.
    pub counted: bool,
}

/// What of a message is changed after it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// What it says.
    Content,
    /// The business status line shown with it.
    StatusLine,
}

/// Where a message is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedPlace {
    /// In which conversation it is.
    pub conversation: Conversation,
    /// Its place there.
    pub conversation_seq: ConversationSeq,
    /// The receiver.
    pub receiver: UserNo,
}

/// What a receiver says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// It was opened.
    Opened,
    /// It was confirmed, and so was opened too.
    Confirmed,
}
