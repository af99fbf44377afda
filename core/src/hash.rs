//! The hashes of the product, each with its domain: commitments, leaves, chains, keyed hashes. `docs/formats.md`, "Hashes".

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

use crate::id::{Digest, Epoch, Hash, KeyedHash, Opening, Seq, UserNo};

/// Prefix of the first link of a user log's chain.
const CHAIN_TAG: &[u8] = b"waybill/log/1";

/// `SHA-256(opening ‖ body)`: binds a record to its body, and hides the body while the opening is secret or erased.
#[must_use]
pub fn commitment(opening: &Opening, body: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(opening.0);
    hasher.update(body);
    Hash(hasher.finalize().into())
}

/// The leaf hash of a record as RFC 6962 §2.1 defines it: `SHA-256(0x00 ‖ record)`.
#[must_use]
pub fn leaf(record: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(record);
    Hash(hasher.finalize().into())
}

/// The chain hash of an empty user log: `SHA-256("waybill/log/1" ‖ epoch ‖ user number as u64 big-endian)`.
#[must_use]
pub fn chain_start(epoch: &Epoch, user: UserNo) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(CHAIN_TAG);
    hasher.update(epoch.0);
    hasher.update(user.0.to_be_bytes());
    Hash(hasher.finalize().into())
}

/// The next link: `SHA-256(previous ‖ seq as u64 big-endian ‖ kind ‖ leaf of the delivering record ‖ leaf of the message's
/// record)`.
#[must_use]
pub fn chain_link(previous: &Hash, seq: Seq, kind: u8, delivering: &Hash, message: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(previous.0);
    hasher.update(seq.0.to_be_bytes());
    hasher.update([kind]);
    hasher.update(delivering.0);
    hasher.update(message.0);
    Hash(hasher.finalize().into())
}

/// What a keyed hash is about. The byte is part of the hashed text, so that hashes of different domains never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Domain {
    /// A user. Parts: the user's id.
    User = 1,
    /// A device. Parts: its user's id, its own id.
    Device = 2,
    /// A token. Parts: its text.
    Token = 3,
    /// The first half of a dedup key. Parts: the sender's id, the caller's key.
    Key = 4,
    /// The second half of a dedup key: a conversation as its callers name it. Parts: one byte (OpenIM's sessionType:
    /// 1 single chat, 4 notification), the receiver's id.
    Conversation = 5,
    /// A caller's whole request. Parts: what the surface says.
    Request = 6,
    /// An audience. Parts: its name.
    Audience = 7,
}

/// The secret under which keyed hashes are made. It belongs to the backup set and is never in the ledger.
#[derive(Clone)]
pub struct HashKey {
    mac: Hmac<Sha256>,
}

impl HashKey {
    /// Takes the 32 secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        // HMAC fills a short key up with zeros to a block of the hash (RFC 2104 §2).
        let mut block = [0; 64];
        block[..32].copy_from_slice(secret);
        Self {
            mac: <Hmac<Sha256> as KeyInit>::new(&block.into()),
        }
    }

    /// The first 16 bytes of `HMAC-SHA-256(secret, domain ‖ for each part: length as u64 big-endian ‖ part)`.
    #[must_use]
    pub fn hash(&self, domain: Domain, parts: &[&[u8]]) -> KeyedHash {
        KeyedHash(self.prefix(domain, parts))
    }

    /// The 16-byte dedup key: 8 bytes for (sender, caller's key), then 8 bytes for the conversation, so that all messages of
    /// one sender and key stand together.
    #[must_use]
    pub fn dedup(&self, sender: &str, key: &str, conversation: &[&[u8]]) -> KeyedHash {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.dedup_prefix(sender, key));
        bytes[8..].copy_from_slice(&self.prefix::<8>(Domain::Conversation, conversation));
        KeyedHash(bytes)
    }

    /// The part of a dedup key that all messages of this sender and key share.
    #[must_use]
    pub fn dedup_prefix(&self, sender: &str, key: &str) -> [u8; 8] {
        self.prefix(Domain::Key, &[sender.as_bytes(), key.as_bytes()])
    }

    /// The digest of a caller's request.
    #[must_use]
    pub fn digest(&self, request: &[&[u8]]) -> Digest {
        Digest(self.prefix(Domain::Request, request))
    }

    fn prefix<const LEN: usize>(&self, domain: Domain, parts: &[&[u8]]) -> [u8; LEN] {
        let mut mac = self.mac.clone();
        mac.update(&[domain as u8]);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let full = mac.finalize().into_bytes();
        let mut out = [0; LEN];
        out.copy_from_slice(&full[..LEN]);
        out
    }
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(secret)")
    }
}
