//! The logs of users: their ends, and what stands in them.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::id::{ControlSeq, ConversationSeq, Hash, Position, Seq, UserNo};
use crate::state::family::Family;

/// The ends of a user log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserHeadRow {
    /// The last seq.
    pub head: Seq,
    /// The first seq that is still shown. The entries before it stay.
    pub floor: Seq,
    /// How many entries are no messages.
    pub control: ControlSeq,
    /// Chain hash after the entry at `head`.
    pub chain: Hash,
}
row!(UserHeadRow, UserHeads, UserNo);

/// What an entry tells a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A message.
    Message,
    /// A conversation was read up to a conversation seq: by the log's owner, or by the other party of a single chat.
    Read,
    /// The log's owner has changed settings of a conversation.
    Settings,
    /// A message was withdrawn: recalled, superseded or expired.
    Recalled,
    /// The log's owner has deleted messages for themselves.
    Removed,
    /// The log's owner has deleted everything up to a conversation seq for themselves.
    Cleared,
    /// A message was changed.
    Changed,
    /// The log's owner has opened or confirmed a message.
    Marked,
    /// Nothing: the place was left out after a restore. No row says so; see [`GapRow`](super::GapRow).
    Skipped,
}

impl EntryKind {
    /// The kind as it stands in chain hashes and on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::Read => 2,
            Self::Settings => 3,
            Self::Recalled => 4,
            Self::Removed => 5,
            Self::Cleared => 6,
            Self::Changed => 8,
            Self::Marked => 7,
            Self::Skipped => 9,
        }
    }
}

/// One entry of a user log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLogRow {
    /// The record that delivers it.
    pub position: Position,
    /// What it tells.
    pub kind: EntryKind,
    /// The message's record, where that is another one.
    pub message: Option<Position>,
    /// Its place in the conversation; of what is no message, the place that it speaks of (0 for none in particular).
    pub conversation_seq: ConversationSeq,
    /// By how many milliseconds the shown time is ahead of the message's record time.
    pub ahead_ms: u16,
    /// The chain hash after this entry, at every 64th.
    pub mark: Option<Hash>,
}
row!(UserLogRow, UserLog, (UserNo, Seq));

impl UserLogRow {
    /// The message's record.
    #[must_use]
    pub fn message_position(&self) -> Position {
        self.message.unwrap_or(self.position)
    }
}

/// An entry of a user's log that is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlLogRow {
    /// The record that delivers it.
    pub position: Position,
    /// Its place in the user's log.
    pub seq: Seq,
}
row!(ControlLogRow, ControlLog, (UserNo, ControlSeq));
