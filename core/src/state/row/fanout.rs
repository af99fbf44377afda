//! Fan-outs: which are under way, how far each has come, and which record delivered to whom.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::fact::{ConversationKind, Part, Withdrawal};
use crate::id::{Position, Time, UserNo};
use crate::state::family::Family;

/// A message whose receivers are being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its record.
    pub message: Position,
    /// Its sender.
    pub sender: UserNo,
    /// In which kind of conversation its receivers get it.
    pub kind: ConversationKind,
    /// The record since which it runs: the message's own, or the one that released it. Receivers get the messages of one sender
    /// in the order of these.
    pub since: Position,
    /// What its receivers are served.
    pub errand: Errand,
}

/// What the receivers of a message that is fanned out are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Errand {
    /// They get it.
    Deliver,
    /// They are told that it was withdrawn.
    Withdraw(Withdrawal),
    /// They are told of the change in this record.
    Change {
        /// The record.
        change: Position,
        /// What of the message.
        part: Part,
    },
}

/// How far a message is fanned out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanoutRow {
    /// The first user number not looked at yet; 0 when all were.
    pub next: UserNo,
    /// How many receivers have it.
    pub delivered: u64,
    /// How many of them got it before their turn.
    pub early: u64,
    /// Where it stood when the message was recalled: those before, and those who got it early, have it. 0 when all were looked
    /// at.
    pub cut: Option<UserNo>,
    /// How many of those who have it were told that it was withdrawn.
    pub recalled: u64,
    /// The record since which it is fanned out: its own, or the one that released it. 0 while it waits for its time.
    pub since: Position,
    /// The time of that record.
    pub since_time: Time,
    /// Whether all receivers have it; `next` then counts the steps of what follows.
    pub done: bool,
    /// The record that withdrew it as a whole.
    pub withdrawn: Option<Position>,
}
row!(FanoutRow, Fanouts, Position);

/// A record that delivers a message to some of its receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanoutChunkRow {
    /// The record.
    pub position: Position,
}
row!(FanoutChunkRow, FanoutChunks, (Position, UserNo));

/// That a receiver got a message before their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyRow {
    /// The record that delivered it.
    pub position: Position,
}
row!(EarlyRow, Early, (Position, UserNo));
