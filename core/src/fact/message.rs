//! A message as its record has it: numbers, types and keyed hashes only, with its options and terms.

use serde::{Deserialize, Serialize};

use super::conversation::ConversationKind;
use super::packed::unpack_users;
use crate::conversation::Conversation;
use crate::id::{AudienceNo, Digest, KeyedHash, Time, UserNo};

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
    /// Its terms, if it has any.
    pub terms: Option<Terms>,
}

/// The skeleton of a message to several users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePosted {
    /// Who it says it is from. The record's `by` is who acted.
    pub sender: UserNo,
    /// In which kind of conversation each receiver gets it.
    pub kind: ConversationKind,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// The notice's `notificationType`, 0 for anything else.
    pub notification_type: i32,
    /// Which options are switched off.
    pub options_off: Options,
    /// Keyed hash of (sender, key), when the caller gave a key: the first half of the dedup key of each receiver.
    pub key: Option<[u8; 8]>,
    /// Digest of the caller's request.
    pub digest: Digest,
    /// Who gets it.
    pub audience: Audience,
    /// Its terms, if it has any.
    pub terms: Option<Terms>,
}

impl MessagePosted {
    /// Those who get it with the message's own record, ascending. A sum beyond the range of numbers ends the list.
    pub fn listed(&self) -> impl Iterator<Item = UserNo> + Clone + '_ {
        let receivers: &[u64] = match &self.audience {
            Audience::Listed { receivers, .. } => receivers,
            Audience::Members { .. } | Audience::Registered { .. } | Audience::Seen { .. } => &[],
        };
        unpack_users(receivers)
    }

    /// Whether its receivers get it with records that follow its own.
    #[must_use]
    pub fn is_fanned_out(&self) -> bool {
        !matches!(self.audience, Audience::Listed { .. })
    }

    /// The dedup key of a message that is fanned out: the hash of (sender, key), and 3.
    #[must_use]
    pub fn task_dedup(key: [u8; 8]) -> KeyedHash {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&key);
        bytes[8] = 3;
        KeyedHash(bytes)
    }

    /// The dedup key of one receiver: the hash of (sender, key), the kind of conversation, and the user's number in 7 bytes.
    #[must_use]
    pub fn dedup(key: [u8; 8], kind: ConversationKind, receiver: UserNo) -> KeyedHash {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&key);
        bytes[8..].copy_from_slice(&receiver.0.to_be_bytes());
        bytes[8] = match kind {
            ConversationKind::Single => 1,
            ConversationKind::Notification => 2,
        };
        KeyedHash(bytes)
    }
}

/// Who gets a message to several users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// These, with this record.
    Listed {
        /// Ascending, each written as the difference to the one before; at most
        /// [`MAX_LISTED`](crate::limits::MAX_LISTED).
        receivers: Vec<u64>,
        /// Which of them were never seen before, as places in `receivers`, ascending.
        new: Vec<u16>,
    },
    /// The members of an audience, with records that follow.
    Members {
        /// Which.
        audience: AudienceNo,
        /// How many they are.
        count: u64,
    },
    /// Everybody who is registered when the message is sent, with records that follow.
    Registered {
        /// The last user number given.
        last: UserNo,
    },
    /// Everybody who was ever seen, with records that follow.
    Seen {
        /// The last user number given.
        last: UserNo,
    },
}

/// A set of message options, as bits. On the wire of OpenIM an absent option is on, so the set holds those that are off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options(pub u16);

impl Options {
    /// Names and bits, in the order of the bits.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("history", Self::HISTORY),
        ("persistent", Self::PERSISTENT),
        ("offlinePush", Self::OFFLINE_PUSH),
        ("unreadCount", Self::UNREAD_COUNT),
        ("conversationUpdate", Self::CONVERSATION_UPDATE),
        ("senderSync", Self::SENDER_SYNC),
        ("notPrivate", Self(1 << 6)),
        ("senderConversationUpdate", Self::SENDER_CONVERSATION_UPDATE),
        ("senderNotificationPush", Self(1 << 8)),
    ];

    /// Whether a message with these options off counts as unread until it is read.
    #[must_use]
    pub fn counts_as_unread(self) -> bool {
        !self.contains(Self::UNREAD_COUNT)
    }

    /// The option that keeps a message in its receiver's history.
    pub const HISTORY: Self = Self(1);
    /// The option that has a message archived.
    pub const PERSISTENT: Self = Self(1 << 1);
    /// The option that lets a message be pushed to who is offline.
    pub const OFFLINE_PUSH: Self = Self(1 << 2);
    /// The option that lets a message count as unread.
    pub const UNREAD_COUNT: Self = Self(1 << 3);
    /// The option that lets a message move its conversation in the receiver's list.
    pub const CONVERSATION_UPDATE: Self = Self(1 << 4);
    /// The option that gives the sender's other devices a copy.
    pub const SENDER_SYNC: Self = Self(1 << 5);
    /// The option that lets a message move its conversation in the sender's list.
    pub const SENDER_CONVERSATION_UPDATE: Self = Self(1 << 7);

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
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// When a message may be delivered and how long it counts, where the caller said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Keyed hash of (sender, collapse key): a later message with it takes this one's place in the receiver's conversation.
    pub collapse: Option<[u8; 8]>,
    /// When the message is withdrawn.
    pub expires: Option<Time>,
    /// Before when it is delivered to nobody; only of a message that is fanned out.
    pub not_before: Option<Time>,
}
