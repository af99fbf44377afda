//! `serverMsgID`: 32 hexadecimal digits, the AES-128 encryption of (epoch, partition, position, ordinal). It is looked up
//! without an index and tells nobody how many messages there are.

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::id::Position;

/// What a server message id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRef {
    /// Number of the epoch in which it was given.
    pub epoch: u16,
    /// Partition that gave it.
    pub partition: u16,
    /// The message's record. Zero marks a message that is not stored.
    pub position: Position,
    /// 0 for the message to a single receiver, [`CLIENT_ORDINAL`] for its derived clientMsgID. Of a message to several: the
    /// receiver's user number, below [`TASK_ORDINAL`]; the same with [`CLIENT_BIT`] for the clientMsgID; [`TASK_ORDINAL`] for
    /// the whole.
    pub ordinal: u32,
}

/// The ordinal that marks a clientMsgID derived for a message whose caller gave none.
pub const CLIENT_ORDINAL: u32 = u32::MAX;

/// The ordinal of a message to several receivers as a whole: of a task.
pub const TASK_ORDINAL: u32 = 0x7fff_ffff;

/// Set in the ordinal of the clientMsgID that one receiver of a message to several sees.
pub const CLIENT_BIT: u32 = 0x8000_0000;

/// The key of the message ids. It belongs to the backup set and never changes within an epoch.
#[derive(Clone)]
pub struct MessageIdKey(Aes128);

impl MessageIdKey {
    /// Takes the 16 secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; 16]) -> Self {
        Self(Aes128::new(&(*secret).into()))
    }

    /// The id: 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn id(&self, message: &MessageRef) -> String {
        let mut block = [0_u8; 16];
        block[..2].copy_from_slice(&message.epoch.to_be_bytes());
        block[2..4].copy_from_slice(&message.partition.to_be_bytes());
        block[4..12].copy_from_slice(&message.position.0.to_be_bytes());
        block[12..].copy_from_slice(&message.ordinal.to_be_bytes());
        let mut block = block.into();
        self.0.encrypt_block(&mut block);
        hex(block.as_ref())
    }

    /// What an id stands for, or `None` when the text is not 32 hexadecimal digits. Any 32 digits decrypt to something: the
    /// caller must compare epoch and partition and look the position up.
    #[must_use]
    pub fn open(&self, id: &str) -> Option<MessageRef> {
        let mut block = unhex(id)?.into();
        self.0.decrypt_block(&mut block);
        let bytes: [u8; 16] = block.into();
        let (epoch, rest) = bytes.split_first_chunk::<2>()?;
        let (partition, rest) = rest.split_first_chunk::<2>()?;
        let (position, rest) = rest.split_first_chunk::<8>()?;
        let (ordinal, _) = rest.split_first_chunk::<4>()?;
        Some(MessageRef {
            epoch: u16::from_be_bytes(*epoch),
            partition: u16::from_be_bytes(*partition),
            position: Position(u64::from_be_bytes(*position)),
            ordinal: u32::from_be_bytes(*ordinal),
        })
    }
}

impl std::fmt::Debug for MessageIdKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessageIdKey(secret)")
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 32 {
        return None;
    }
    let mut out = [0; 16];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_opens_to_what_it_was_made_of() {
        let key = MessageIdKey::new(&[7; 16]);
        let message = MessageRef {
            epoch: 3,
            partition: 1,
            position: Position(1 << 40),
            ordinal: 9,
        };
        let id = key.id(&message);
        assert_eq!(id.len(), 32);
        assert_eq!(key.open(&id), Some(message));
        assert_eq!(key.open(&id.to_uppercase()), Some(message));
        assert_ne!(MessageIdKey::new(&[8; 16]).open(&id), Some(message));
        assert_eq!(key.open("zz"), None);
        assert_eq!(key.open(&"g".repeat(32)), None);
    }
}
