//! What a conversation is, and the one name each has.

use serde::{Deserialize, Serialize};

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
