//! Numbers and short byte strings that must not be mixed up: positions, seqs, user and device numbers, times, epochs, hashes.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl $name {
            /// The value after this one; at the end of the range, which no honest count reaches, the same again.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The value after this one, or `None` at the end of the range.
            #[must_use]
            pub fn checked_next(self) -> Option<Self> {
                self.0.checked_add(1).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A record's place in the ledger: dense, from 1. Zero means "before the first record".
    Position, u64
);
number!(
    /// A place in a user's log: dense, from 1. Zero means "before the first entry".
    Seq, u64
);
number!(
    /// A place in a conversation: dense, from 1, shared by the conversation's members.
    ConversationSeq, u64
);
number!(
    /// A place among the entries of a user's log that are no messages: dense, from 1.
    ControlSeq, u64
);
number!(
    /// An audience's number: dense, from 1. Each generation of a named audience has its own.
    AudienceNo, u64
);
number!(
    /// A user's number, given at first sight: dense, from 1. Zero stands for the server itself.
    UserNo, u64
);
number!(
    /// A device's number among the devices of its user: from 1, never given twice.
    DeviceNo, u32
);
number!(
    /// A place in an account's status log: dense, from 1. Zero means "before the first change".
    StatusNo, u64
);
number!(
    /// Milliseconds since the Unix epoch.
    Time, u64
);

macro_rules! bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

bytes!(
    /// The identity of a ledger's history: a 16-bit number in big-endian order, which rises with every restore, and 14 random bytes.
    /// Shown to clients as 32 hexadecimal digits.
    Epoch, 16
);
bytes!(
    /// A 128-bit hash under a secret that is not in the ledger: stands in records for something a caller said.
    KeyedHash, 16
);
bytes!(
    /// The 128-bit random value that makes a body's commitment hiding. Kept beside the body and erased with it.
    Opening, 16
);
bytes!(
    /// A SHA-256 value: a commitment, a leaf, a link of a chain, a state hash.
    Hash, 32
);
bytes!(
    /// The first 8 bytes of a keyed hash over a caller's request: tells a retry from another request with the same key.
    Digest, 8
);

impl Epoch {
    /// Builds the epoch with this number; `random` must come from a good source.
    #[must_use]
    pub fn new(number: u16, random: [u8; 14]) -> Self {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        bytes[2..].copy_from_slice(&random);
        Self(bytes)
    }

    /// 1 for the history with which a ledger began, and more with every restore.
    #[must_use]
    pub fn number(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }
}

impl Hash {
    /// The value of "nothing yet": 32 zero bytes.
    pub const ZERO: Self = Self([0; 32]);
}

/// Why a text is no identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It has no characters.
    #[error("is empty")]
    Empty,
    /// It is longer than [`MAX_ID_BYTES`](crate::limits::MAX_ID_BYTES).
    #[error("is longer than 64 bytes")]
    TooLong,
    /// It holds a control character.
    #[error("holds a control character")]
    Control,
}

/// Checks a user id, device id, clientMsgID or idempotency key: 1 to 64 bytes of UTF-8 without control characters.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_id(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        Err(IdError::Empty)
    } else if text.len() > crate::limits::MAX_ID_BYTES {
        Err(IdError::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(IdError::Control)
    } else {
        Ok(())
    }
}
