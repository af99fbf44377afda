//! Places that logs have left out after a restore.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::conversation::Conversation;
use crate::id::{Position, UserNo};
use crate::state::family::Family;

/// A log whose places are numbered one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// A user's log.
    User(UserNo),
    /// An account's status log.
    Status(UserNo),
    /// A conversation.
    Conversation(Conversation),
}

/// The places that a log left out when it went on after a restore: the lost history may have given them out. There is a row only of
/// a log that did go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRow {
    /// The record with which the log went on.
    pub position: Position,
    /// The first place left out.
    pub first: u64,
    /// How many were.
    pub count: u64,
    /// What is counted beside the places, as it stood before the first of them: in a conversation the messages that count as unread
    /// until they are read, in a user's log the entries that are no messages. Else 0.
    pub before: u64,
}
row!(GapRow, Gaps, (Numbered, Position));

impl GapRow {
    /// The last place left out.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    /// How many of the places from `from` to `to`, both included, were left out.
    #[must_use]
    pub fn among(&self, from: u64, to: u64) -> u64 {
        let (first, last) = (self.first.max(from), self.last().min(to));
        last.saturating_add(1).saturating_sub(first)
    }

    /// Whether this place was left out.
    #[must_use]
    pub fn holds(&self, place: u64) -> bool {
        (self.first..=self.last()).contains(&place)
    }
}
