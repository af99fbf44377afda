//! Users, keys and bodies that tests are made of, each named by a small number.

use waybill_core::body::{Body, Message, Profile};
use waybill_core::command::UserRef;
use waybill_core::hash::{Domain, HashKey};
use waybill_core::id::{Digest, Epoch, KeyedHash, Opening};

/// The secret of the tests.
pub fn hash_key() -> HashKey {
    HashKey::new(&[0x5a; 32])
}

/// The history of the tests.
pub fn epoch() -> Epoch {
    Epoch::new(1, *b"a-test-history")
}

/// An opening that is used once: `number` differs from command to command, `use_` within one.
pub fn opening(number: u64, use_: u8) -> Opening {
    let mut bytes = [use_; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Opening(bytes)
}

/// What user `index` is called outside.
pub fn user_id(index: u8) -> String {
    format!("user-{index}")
}

/// A reference to user `index` in command `number`.
pub fn user(index: u8, number: u64, use_: u8) -> UserRef {
    let id = user_id(index);
    UserRef {
        hash: hash_key().hash(Domain::User, &[id.as_bytes()]),
        id,
        opening: opening(number, use_),
    }
}

/// The keyed hash of token `index`.
pub fn token(index: u8) -> KeyedHash {
    hash_key().hash(Domain::Token, &[&[index]])
}

/// The keyed hash of a device's id.
pub fn device(index: u8) -> KeyedHash {
    hash_key().hash(Domain::Device, &[device_id(index).as_bytes()])
}

/// What device `index` calls itself.
pub fn device_id(index: u8) -> String {
    format!("device-{index}")
}

/// The dedup key of a send.
pub fn dedup(sender: u8, receiver: u8, notification: bool, key: u8) -> KeyedHash {
    let (sender, receiver) = (user_id(sender), user_id(receiver));
    let conversation: [&[u8]; 2] = [&[if notification { 4 } else { 1 }], receiver.as_bytes()];
    hash_key().dedup(&sender, &format!("key-{key}"), &conversation)
}

/// The digest of a request that differs from others by `request` alone.
pub fn digest(request: u8) -> Digest {
    hash_key().digest(&[b"request", &[request]])
}

/// A profile of user `index`.
pub fn profile(index: u8) -> Body {
    Body::Profile(Profile {
        nickname: format!("name of {index}"),
        face_url: String::new(),
        rest: "{}".to_owned(),
    })
}

/// A message of which command `number` says something.
pub fn message(number: u64) -> Body {
    Body::Message(Message {
        content: format!("{{\"text\":\"message {number}\"}}"),
        operation_id: "test".to_owned(),
        ..Message::default()
    })
}
