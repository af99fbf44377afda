//! The rows of the views. Values are encoded by [`codec`]; a row of an appended family begins with the position of the record
//! that wrote it.

use serde::{Deserialize, Serialize};

use super::Value;
use super::family::Family;
use super::key::RowKey;
use crate::body::Profile;
use crate::codec;
use crate::conversation::Conversation;
use crate::fact::{ConversationKind, Part, Withdrawal};
use crate::id::{
    AudienceNo, ControlSeq, ConversationSeq, DeviceNo, Epoch, Hash, KeyedHash, Position, Seq,
    StatusNo, Time, UserNo,
};
use crate::outcome::StateError;
use crate::policy::Policy;

/// A typed row of one family.
pub trait Row: Serialize + for<'a> Deserialize<'a> {
    /// Where rows of this type live.
    const FAMILY: Family;
    /// What names one.
    type Key: RowKey;

    /// The stored bytes.
    fn encode(&self) -> Value {
        codec::encode(self)
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// When they are not what [`Row::encode`] writes.
    fn decode(value: &[u8]) -> Result<Self, StateError> {
        codec::decode(value).map_err(|error| StateError::Corrupt {
            family: Self::FAMILY.name(),
            reason: error.to_string(),
        })
    }
}

macro_rules! row {
    ($name:ident, $family:ident, $key:ty) => {
        impl Row for $name {
            const FAMILY: Family = Family::$family;
            type Key = $key;
        }
    };
}

/// Which setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SettingsKey {
    /// [`SettingsRow::Genesis`].
    Genesis = 1,
    /// [`SettingsRow::Rules`].
    Rules = 2,
    /// [`SettingsRow::Policy`].
    Policy = 3,
    /// [`SettingsRow::Users`].
    Users = 4,
    /// [`SettingsRow::Running`].
    Running = 5,
    /// [`SettingsRow::Audiences`].
    Audiences = 6,
    /// [`SettingsRow::Tracked`].
    Tracked = 7,
}

impl RowKey for SettingsKey {
    fn key(&self) -> super::Key {
        (*self as u8).key()
    }
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettingsRow {
    /// The identity of this history.
    Genesis(Epoch),
    /// The rules version in force.
    Rules(u32),
    /// The switches in force.
    Policy(Policy),
    /// The last user number given.
    Users(UserNo),
    /// The fan-outs under way, and withdrawals and changes of such; ascending by `since`, at most
    /// [`MAX_RUNNING`](crate::limits::MAX_RUNNING).
    Running(Vec<Running>),
    /// The last audience number given.
    Audiences(AudienceNo),
    /// How many accounts are tracked.
    Tracked(u64),
}

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
row!(SettingsRow, Settings, SettingsKey);

/// The number behind a user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIdRow {
    /// The `UserSeen` record.
    pub position: Position,
    /// The number.
    pub user: UserNo,
}
row!(UserIdRow, UserIds, KeyedHash);

/// The id behind a user number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// The `UserSeen` record, whose body it is from.
    pub position: Position,
    /// The id.
    pub id: String,
}
row!(UserRow, Users, UserNo);

/// That a user is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationRow {
    /// The `UserRegistered` record.
    pub position: Position,
    /// The records at which the registration ended and began again, in turn; at most
    /// [`MAX_TURNS`](crate::limits::MAX_TURNS).
    pub turns: Vec<Position>,
}

impl RegistrationRow {
    /// Of a user who is registered for the first time.
    #[must_use]
    pub fn new(position: Position) -> Self {
        Self {
            position,
            turns: Vec::new(),
        }
    }

    /// Whether the user is registered now.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.turns.len().is_multiple_of(2)
    }

    /// Whether the user was registered when the record at `position` was written.
    #[must_use]
    pub fn stood_at(&self, position: Position) -> bool {
        let turns = self.turns.iter().take_while(|turn| **turn < position);
        self.position < position && turns.count().is_multiple_of(2)
    }
}
row!(RegistrationRow, Registrations, UserNo);

/// What is known of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRow {
    /// The record whose body it is from.
    pub position: Position,
    /// The profile.
    pub profile: Profile,
}
row!(ProfileRow, Profiles, UserNo);

/// The devices of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesRow {
    /// The last device number given; numbers are never given twice.
    pub last: DeviceNo,
    /// At most [`MAX_DEVICES_PER_USER`](crate::limits::MAX_DEVICES_PER_USER), ascending by number.
    pub devices: Vec<DeviceRow>,
    /// How far the furthest device that the user ever had has stored the log: what is up to here is delivered.
    pub furthest: Seq,
}
row!(DevicesRow, Devices, UserNo);

/// One device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Its number.
    pub device: DeviceNo,
    /// Keyed hash of its id.
    pub id: KeyedHash,
    /// Platform number.
    pub platform: u8,
    /// How far it has stored its user's log.
    pub reached: Seq,
    /// The record that last said anything of it.
    pub heard: Position,
}

/// A device's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNameRow {
    /// The `DeviceSeen` record, whose body it is from.
    pub position: Position,
    /// The id.
    pub id: String,
}
row!(DeviceNameRow, DeviceNames, (UserNo, DeviceNo));

/// An issued token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// The `TokenIssued` record.
    pub position: Position,
    /// Whose.
    pub user: UserNo,
    /// Platform number.
    pub platform: u8,
    /// Its end.
    pub expires: Time,
    /// The record that revoked it alone, if any. See also [`TokenCutRow`].
    pub revoked: Option<Position>,
}
row!(TokenRow, Tokens, KeyedHash);

/// Before which positions the tokens of a user are revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCutRow {
    /// Tokens issued before this are revoked.
    pub all: Position,
    /// Tokens of the platform issued before this are revoked. Ascending by platform; at most 256.
    pub platforms: Vec<(u8, Position)>,
}
row!(TokenCutRow, TokenCuts, UserNo);

impl TokenCutRow {
    /// Whether this cut revokes the token.
    #[must_use]
    pub fn revokes(&self, token: &TokenRow) -> bool {
        let platform = self
            .platforms
            .iter()
            .find(|(platform, _)| *platform == token.platform);
        token.position < self.all || platform.is_some_and(|(_, cut)| token.position < *cut)
    }
}

/// The ends of a user log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserHeadRow {
    /// The last seq.
    pub head: Seq,
    /// The first seq still present.
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
    /// As in [`UserLogRow`].
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

/// An entry of a user's log that is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlLogRow {
    /// The record that delivers it.
    pub position: Position,
    /// Its place in the user's log.
    pub seq: Seq,
}
row!(ControlLogRow, ControlLog, (UserNo, ControlSeq));

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
}
row!(FanoutRow, Fanouts, Position);

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

/// What changed a message after it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesRow {
    /// The record whose body has the content in force.
    pub content: Option<Position>,
    /// The record whose body has the business status line in force.
    pub status_line: Option<Position>,
}
row!(ChangesRow, Changes, (Conversation, ConversationSeq));

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

/// One generation of an audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceRow {
    /// The record that began it.
    pub begun: Position,
    /// Who began it.
    pub by: UserNo,
    /// Keyed hash of its name.
    pub name: KeyedHash,
    /// Lines of its list used up so far.
    pub lines: u64,
    /// Its members.
    pub members: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// The record that completed it.
    pub complete: Option<Position>,
}
row!(AudienceRow, Audiences, AudienceNo);

/// What the name of an audience stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceNameRow {
    /// Its newest complete generation.
    pub audience: AudienceNo,
}
row!(AudienceNameRow, AudienceNames, KeyedHash);

/// That a user is in an audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceMemberRow {
    /// The record that said so.
    pub position: Position,
}
row!(AudienceMemberRow, AudienceMembers, (AudienceNo, UserNo));

/// Lines of an audience's list that were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRow {
    /// The record whose body names them.
    pub position: Position,
    /// How many.
    pub count: u32,
}
row!(RefusedRow, Refused, (AudienceNo, Position));

/// The message sent with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupRow {
    /// Its record.
    pub position: Position,
}
row!(DedupRow, Dedup, KeyedHash);

/// That a body was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedRow {
    /// The `BodyErased` record.
    pub position: Position,
}
row!(ErasedRow, Erased, Position);

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
