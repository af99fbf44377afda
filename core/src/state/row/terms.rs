//! The terms of messages: what is due at a time, and which message is the newest of a collapse key.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::conversation::Conversation;
use crate::id::{ConversationSeq, Position, Time};
use crate::state::family::Family;

/// That something is to happen to a message at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerRow {
    /// The message's record.
    pub position: Position,
    /// What.
    pub due: TimerKind,
}
row!(TimerRow, Timers, (Time, Position));

/// What is due at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimerKind {
    /// The message begins to be fanned out.
    Release,
    /// The message is withdrawn.
    Expire,
}

/// The newest message of a collapse key in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollapseRow {
    /// Its place there.
    pub conversation_seq: ConversationSeq,
}
row!(CollapseRow, Collapses, (Conversation, [u8; 8]));
