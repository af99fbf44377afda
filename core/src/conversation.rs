//! What a conversation is, and the one name each has.

use serde::{Deserialize, Serialize};

use crate::fact::ConversationKind;
use crate::id::UserNo;

/// A conversation, named by its parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Conversation {
    /// A single chat. `low` is the smaller user number, so that both directions name one conversation; a user may write to
    /// himself.
    Single {
        /// The smaller of the two user numbers.
        low: UserNo,
        /// The larger of the two user numbers.
        high: UserNo,
    },
    /// A notification session: everything that one sending account notifies one receiver of.
    Notification {
        /// The sending account.
        account: UserNo,
        /// The receiver, who alone reads it.
        receiver: UserNo,
    },
}

impl Conversation {
    /// The single chat of two users.
    #[must_use]
    pub fn single(one: UserNo, other: UserNo) -> Self {
        Self::Single {
            low: one.min(other),
            high: one.max(other),
        }
    }

    /// The key of the conversation in the views: kind (1 single chat, 2 notification session), then two user numbers, each
    /// as u64 big-endian.
    #[must_use]
    pub fn key(&self) -> [u8; 17] {
        let (kind, first, second) = match self {
            Self::Single { low, high } => (1, low, high),
            Self::Notification { account, receiver } => (2, account, receiver),
        };
        let mut key = [0; 17];
        key[0] = kind;
        key[1..9].copy_from_slice(&first.0.to_be_bytes());
        key[9..].copy_from_slice(&second.0.to_be_bytes());
        key
    }

    /// The conversation that has this key, or `None` when it is no key of one.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (kind, rest) = key.split_first()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let first = UserNo(u64::from_be_bytes(*first));
        let second = UserNo(u64::from_be_bytes(rest.try_into().ok()?));
        match kind {
            1 if first <= second => Some(Self::Single {
                low: first,
                high: second,
            }),
            2 => Some(Self::Notification {
                account: first,
                receiver: second,
            }),
            _ => None,
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ConversationKind {
        match self {
            Self::Single { .. } => ConversationKind::Single,
            Self::Notification { .. } => ConversationKind::Notification,
        }
    }

    /// Whether the user's log may speak of it. A sending account is no reader of its notification sessions, but may have echoes
    /// of what it sent.
    #[must_use]
    pub fn has_party(&self, user: UserNo) -> bool {
        match self {
            Self::Single { low, high } => *low == user || *high == user,
            Self::Notification { account, receiver } => *account == user || *receiver == user,
        }
    }

    /// Whether the user reads it: has unread messages, and settings for it.
    #[must_use]
    pub fn has_reader(&self, user: UserNo) -> bool {
        match self {
            Self::Single { .. } => self.has_party(user),
            Self::Notification { receiver, .. } => *receiver == user,
        }
    }

    /// Those who read it, each once.
    pub fn readers(&self) -> impl Iterator<Item = UserNo> + use<> {
        let (first, second) = match *self {
            Self::Single { low, high } => (low, (low != high).then_some(high)),
            Self::Notification { receiver, .. } => (receiver, None),
        };
        std::iter::once(first).chain(second)
    }

    /// The party of a two-party conversation that is not `sender`.
    #[must_use]
    pub fn other(&self, sender: UserNo) -> UserNo {
        match self {
            Self::Single { low, high } if *low == sender => *high,
            Self::Single { low, .. } => *low,
            Self::Notification { account, receiver } if *account == sender => *receiver,
            Self::Notification { account, .. } => *account,
        }
    }
}
