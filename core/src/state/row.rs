//! The rows of the views. Values are encoded by [`codec`]; a row of an appended family begins with the position of the record
//! that wrote it.

use serde::{Deserialize, Serialize};

use super::Value;
use super::family::Family;
use super::key::RowKey;
use crate::body::Profile;
use crate::codec;
use crate::conversation::Conversation;
use crate::id::{ConversationSeq, DeviceNo, Epoch, Hash, KeyedHash, Position, Seq, Time, UserNo};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationRow {
    /// The `UserRegistered` record.
    pub position: Position,
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
    /// Chain hash after the entry at `head`.
    pub chain: Hash,
}
row!(UserHeadRow, UserHeads, UserNo);

/// What an entry tells a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A message.
    Message,
}

impl EntryKind {
    /// The kind as it stands in chain hashes and on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Message => 1,
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
    /// Its place in the conversation.
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
    /// The last message's record.
    pub last: Position,
    /// The time shown on the last message.
    pub last_time: Time,
}
row!(ConversationRow, Conversations, Conversation);

/// One message of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationLogRow {
    /// The message's record.
    pub position: Position,
    /// As in [`UserLogRow`].
    pub ahead_ms: u16,
    /// The record that erased it, if any.
    pub changed_by: Option<Position>,
}
row!(
    ConversationLogRow,
    ConversationLog,
    (Conversation, ConversationSeq)
);

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
