//! Messages beside their places: found again by key, changed, erased.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::conversation::Conversation;
use crate::id::{ConversationSeq, KeyedHash, Position};
use crate::state::family::Family;

/// The message sent with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupRow {
    /// Its record.
    pub position: Position,
}
row!(DedupRow, Dedup, KeyedHash);

/// What changed a message after it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesRow {
    /// The record whose body has the content in force.
    pub content: Option<Position>,
    /// The record whose body has the business status line in force.
    pub status_line: Option<Position>,
}
row!(ChangesRow, Changes, (Conversation, ConversationSeq));

/// That a body was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedRow {
    /// The `BodyErased` record.
    pub position: Position,
}
row!(ErasedRow, Erased, Position);
