//! Row keys: fixed-width big-endian, built without allocating.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::row::{Numbered, StatusPlace, Table};
use crate::conversation::Conversation;
use crate::fact::ConversationKind;
use crate::id::{
    AudienceNo, ControlSeq, ConversationSeq, DeviceNo, KeyedHash, Position, Seq, StatusNo, Time,
    UserNo,
};

/// Longest key of any family.
const MAX_KEY_BYTES: usize = 33;

/// The bytes of a row's key. Those behind its end are zero, so that keys are compared without a look at their lengths first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    bytes: [u8; MAX_KEY_BYTES],
    len: u8,
}

impl Key {
    /// Takes over the bytes of a key, or `None` when they are longer than any key is.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self {
            len: u8::try_from(bytes.len()).ok()?,
            bytes: [0; MAX_KEY_BYTES],
        };
        key.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(key)
    }

    fn of<const N: usize>(parts: [&[u8]; N]) -> Self {
        let mut key = Self {
            len: 0,
            bytes: [0; MAX_KEY_BYTES],
        };
        for part in parts {
            let at = usize::from(key.len);
            key.bytes[at..at + part.len()].copy_from_slice(part);
            key.len += part.len() as u8;
        }
        key
    }

    /// The last 8 bytes as a number: what a key ends with that names something by a number. 0 for a shorter key.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        let last = self.as_slice().last_chunk::<8>();
        last.map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// The first 8 bytes as a number: what a key begins with that is ordered by a number. 0 for a shorter key.
    #[must_use]
    pub fn first_number(&self) -> u64 {
        let first = self.as_slice().first_chunk::<8>();
        first.map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // As of their bytes: where these are alike, zeros behind the end included, the shorter one is the beginning of the other.
        let (own, own_rest) = self.bytes.as_chunks::<8>();
        let (others, other_rest) = other.bytes.as_chunks::<8>();
        for (own, other) in own.iter().zip(others) {
            let order = u64::from_be_bytes(*own).cmp(&u64::from_be_bytes(*other));
            if order.is_ne() {
                return order;
            }
        }
        (own_rest, self.len).cmp(&(other_rest, other.len))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_slice());
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(")?;
        self.as_slice()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// What names a row within its family.
pub trait RowKey: Copy {
    /// The key's bytes.
    fn key(&self) -> Key;
}

impl RowKey for UserNo {
    fn key(&self) -> Key {
        Key::of([&self.0.to_be_bytes()])
    }
}

impl RowKey for Position {
    fn key(&self) -> Key {
        Key::of([&self.0.to_be_bytes()])
    }
}

impl RowKey for KeyedHash {
    fn key(&self) -> Key {
        Key::of([&self.0])
    }
}

impl RowKey for Conversation {
    fn key(&self) -> Key {
        Key::of([&Conversation::key(self)])
    }
}

impl RowKey for (UserNo, Seq) {
    fn key(&self) -> Key {
        Key::of([&self.0.0.to_be_bytes(), &self.1.0.to_be_bytes()])
    }
}

impl RowKey for (UserNo, DeviceNo) {
    fn key(&self) -> Key {
        Key::of([&self.0.0.to_be_bytes(), &self.1.0.to_be_bytes()])
    }
}

impl RowKey for (Conversation, ConversationSeq) {
    fn key(&self) -> Key {
        Key::of([&self.0.key(), &self.1.0.to_be_bytes()])
    }
}

impl RowKey for (UserNo, Conversation) {
    fn key(&self) -> Key {
        Key::of([&self.0.0.to_be_bytes(), &self.1.key()])
    }
}

impl RowKey for (UserNo, Conversation, ConversationSeq) {
    fn key(&self) -> Key {
        Key::of([
            &self.0.0.to_be_bytes(),
            &self.1.key(),
            &self.2.0.to_be_bytes(),
        ])
    }
}

impl RowKey for (UserNo, ControlSeq) {
    fn key(&self) -> Key {
        Key::of([&self.0.0.to_be_bytes(), &self.1.0.to_be_bytes()])
    }
}

impl RowKey for AudienceNo {
    fn key(&self) -> Key {
        Key::of([&self.0.to_be_bytes()])
    }
}

impl RowKey for (AudienceNo, UserNo) {
    fn key(&self) -> Key {
        Key::of([&self.0.0.to_be_bytes(), &self.1.0.to_be_bytes()])
    }
}

impl RowKey for (AudienceNo, Position) {
    fn key(&self) -> Key {
        Key::of([&self.0.0.to_be_bytes(), &self.1.0.to_be_bytes()])
    }
}

impl RowKey for (Position, UserNo) {
    fn key(&self) -> Key {
        Key::of([&self.0.0.to_be_bytes(), &self.1.0.to_be_bytes()])
    }
}

impl RowKey for (Time, Position) {
    fn key(&self) -> Key {
        Key::of([&self.0.0.to_be_bytes(), &self.1.0.to_be_bytes()])
    }
}

impl RowKey for (Conversation, [u8; 8]) {
    fn key(&self) -> Key {
        Key::of([&self.0.key(), &self.1])
    }
}

impl RowKey for (UserNo, Table) {
    fn key(&self) -> Key {
        Key::of([&self.0.0.to_be_bytes(), &[self.1 as u8]])
    }
}

impl RowKey for (UserNo, StatusNo) {
    fn key(&self) -> Key {
        Key::of([&self.0.0.to_be_bytes(), &self.1.0.to_be_bytes()])
    }
}

impl RowKey for (Numbered, Position) {
    fn key(&self) -> Key {
        let position = self.1.0.to_be_bytes();
        match self.0 {
            Numbered::User(user) => Key::of([&[1], &user.0.to_be_bytes(), &position]),
            Numbered::Status(account) => Key::of([&[2], &account.0.to_be_bytes(), &position]),
            Numbered::Conversation(conversation) => Key::of([&[3], &conversation.key(), &position]),
        }
    }
}

impl RowKey for StatusPlace {
    fn key(&self) -> Key {
        let kind = match self.kind {
            ConversationKind::Single => 1,
            ConversationKind::Notification => 2,
        };
        Key::of([
            &self.account.0.to_be_bytes(),
            &self.receiver.0.to_be_bytes(),
            &[kind, self.state as u8],
            &self.up_to.0.to_be_bytes(),
        ])
    }
}

impl RowKey for u8 {
    fn key(&self) -> Key {
        Key::of([&[*self]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_and_equal_as_their_bytes_are() {
        let digits = [0_u8, 1, 127, 128, 255];
        let mut texts = vec![Vec::new()];
        for len in [1, 7, 8, 9, 16, 24, 25, 32, MAX_KEY_BYTES] {
            for digit in digits {
                texts.push(vec![digit; len]);
                // Alike up to the last byte.
                texts.push([vec![9; len - 1], vec![digit]].concat());
            }
        }
        for one in &texts {
            for other in &texts {
                let (key, other_key) = (Key::from_slice(one), Key::from_slice(other));
                assert_eq!(key.cmp(&other_key), one.cmp(other), "{one:?} {other:?}");
                assert_eq!(key == other_key, one == other, "{one:?} {other:?}");
            }
        }
        assert_eq!(Key::from_slice(&[0; MAX_KEY_BYTES + 1]), None);
    }
}
