//! What becomes of messages: marks, and the status logs of tracked accounts.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::fact::ConversationKind;
use crate::id::{ConversationSeq, Position, StatusNo, Time, UserNo};
use crate::state::family::Family;

/// What a receiver has said of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRow {
    /// The record that said the first of it.
    pub position: Position,
    /// When it was opened.
    pub opened: Time,
    /// When it was confirmed.
    pub confirmed: Option<Time>,
}
row!(MarkRow, Marks, (Position, UserNo));

/// An account whose messages are tracked, or were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// Whether they are now.
    pub tracked: bool,
    /// The last number of its status log.
    pub last: StatusNo,
}
row!(AccountRow, Accounts, UserNo);

/// What a message of an account has become for a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum StatusState {
    /// A device of the receiver has stored it.
    Delivered = 1,
    /// The receiver has read it.
    Read = 2,
    /// The receiver has opened it.
    Opened = 3,
    /// The receiver has confirmed it.
    Confirmed = 4,
}

/// A change in an account's status log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRow {
    /// The record that made it.
    pub position: Position,
    /// The time of that record.
    pub time: Time,
    /// For whom.
    pub receiver: UserNo,
    /// In which kind of conversation of the account and the receiver.
    pub kind: ConversationKind,
    /// What the messages are now.
    pub state: StatusState,
    /// Delivered and read: up to where. Opened and confirmed: the place of the message.
    pub conversation_seq: ConversationSeq,
    /// Opened and confirmed: the message's record.
    pub message: Option<Position>,
}
row!(StatusRow, StatusLog, (UserNo, StatusNo));

/// Names a change by what it is about, so that the first at or after a message's place tells since when the message is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusPlace {
    /// The account.
    pub account: UserNo,
    /// For whom.
    pub receiver: UserNo,
    /// In which kind of conversation.
    pub kind: ConversationKind,
    /// [`StatusState::Delivered`] or [`StatusState::Read`].
    pub state: StatusState,
    /// Up to where.
    pub up_to: ConversationSeq,
}

/// When messages up to a place became so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusTimeRow {
    /// The record that made it so.
    pub position: Position,
    /// The time of that record.
    pub time: Time,
    /// The first place that became so.
    pub first: ConversationSeq,
}
row!(StatusTimeRow, StatusTimes, StatusPlace);
