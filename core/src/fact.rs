//! What happened, as data. Only `decide` makes facts. A released variant never changes and never moves: a new field is a new
//! variant at the end (bincode writes a variant by its place in this list).

use serde::{Deserialize, Serialize};

use crate::conversation::Conversation;
use crate::id::{DeviceNo, Digest, Epoch, KeyedHash, Position, Seq, Time, UserNo};
use crate::policy::Policy;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// The ledger begins. Always record 1, and only there.
    Genesis {
        /// The identity of this history.
        epoch: Epoch,
        /// The rules version in force from here.
        rules: u32,
    },
    /// Another rules version is in force from the next record on.
    RulesChanged {
        /// The new version.
        rules: u32,
    },
    /// The switches that `decide` consults are these from the next record on.
    PolicyChanged(Policy),
    /// A user was named for the first time and got a number. Body: the id.
    UserSeen {
        /// The number given.
        user: UserNo,
        /// Keyed hash of the id.
        id: KeyedHash,
    },
    /// A user was registered. Body: the profile.
    UserRegistered {
        /// Who.
        user: UserNo,
    },
    /// A device of a user was named for the first time, or again after it had made room for others. Body: the device's id.
    DeviceSeen {
        /// Whose.
        user: UserNo,
        /// The number given.
        device: DeviceNo,
        /// Keyed hash of the device's id.
        id: KeyedHash,
        /// Platform number as OpenIM counts them (1 IOS … 8 admin), 0 when unknown.
        platform: u8,
    },
    /// A token was issued. No body.
    TokenIssued {
        /// For whom.
        user: UserNo,
        /// Platform number as OpenIM counts them.
        platform: u8,
        /// Keyed hash of the token's text.
        token: KeyedHash,
        /// From when it is no longer valid.
        expires: Time,
    },
    /// Tokens were revoked. No body.
    TokensRevoked {
        /// Whose.
        user: UserNo,
        /// Which of them.
        which: Revoked,
    },
    /// A message was sent to one conversation. Body: the message.
    MessageSent(MessageSent),
    /// Devices have stored their users' logs up to these seqs. No body.
    Reached {
        /// Ascending by (user, device); the user number is written as the difference to the entry before.
        cursors: Vec<PackedCursor>,
    },
    /// The body of an earlier record was erased, with its opening. No body.
    BodyErased {
        /// Whose body.
        position: Position,
    },
}

impl Fact {
    /// Whether a record with this fact commits to a body.
    #[must_use]
    pub fn has_body(&self) -> bool {
        matches!(
            self,
            Self::UserSeen { .. }
                | Self::UserRegistered { .. }
                | Self::DeviceSeen { .. }
                | Self::MessageSent(_)
        )
    }
}

/// Which tokens of a user a revocation concerns: always only those issued before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Revoked {
    /// One token.
    One(KeyedHash),
    /// All tokens of one platform.
    Platform(u8),
    /// All tokens.
    All,
}

/// The skeleton of a message: numbers, types and keyed hashes only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSent {
    /// Where it was sent; names the receiver.
    pub conversation: Conversation,
    /// Who it says it is from. The record's `by` is who acted.
    pub sender: UserNo,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// The notice's `notificationType`, 0 for anything else.
    pub notification_type: i32,
    /// Which options are switched off.
    pub options_off: Options,
    /// Whether the sender's own log gets an entry too.
    pub echo: bool,
    /// Whether the receiver was never seen before.
    pub new_receiver: bool,
    /// Keyed hash of (sender, key, conversation), when the caller gave a key.
    pub key: Option<KeyedHash>,
    /// Digest of the caller's request.
    pub digest: Digest,
}

/// A set of message options, as bits. On the wire of OpenIM an absent option is on, so the set holds those that are off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options(pub u16);

impl Options {
    /// Names and bits, in the order of the bits.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("history", Self(1)),
        ("persistent", Self(1 << 1)),
        ("offlinePush", Self(1 << 2)),
        ("unreadCount", Self(1 << 3)),
        ("conversationUpdate", Self(1 << 4)),
        ("senderSync", Self(1 << 5)),
        ("notPrivate", Self(1 << 6)),
        ("senderConversationUpdate", Self(1 << 7)),
        ("senderNotificationPush", Self(1 << 8)),
    ];

    /// Looks up an option by the name OpenIM gives it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, bit)| *bit)
    }

    /// Whether all options of `other` are in this set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// This set with those of `other`.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One cursor in a packed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedCursor {
    /// This cursor's user number less that of the cursor before (of 0 for the first).
    pub user_step: u64,
    /// Which of the user's devices.
    pub device: DeviceNo,
    /// Up to where it has stored the log.
    pub seq: Seq,
}

/// Packs cursors that are sorted by (user, device).
#[must_use]
pub fn pack_cursors(sorted: &[(UserNo, DeviceNo, Seq)]) -> Vec<PackedCursor> {
    let mut before = 0;
    sorted
        .iter()
        .map(|(user, device, seq)| {
            let user_step = user.0 - before;
            before = user.0;
            PackedCursor {
                user_step,
                device: *device,
                seq: *seq,
            }
        })
        .collect()
}

/// The cursors of a packed list, with their users' numbers. A sum beyond the range of numbers ends the list.
pub fn unpack_cursors(
    packed: &[PackedCursor],
) -> impl Iterator<Item = (UserNo, DeviceNo, Seq)> + '_ {
    packed.iter().scan(0_u64, |user, cursor| {
        *user = user.checked_add(cursor.user_step)?;
        Some((UserNo(*user), cursor.device, cursor.seq))
    })
}
