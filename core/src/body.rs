//! What the caller said, whole: the erasable part of a record. Stored beside it as `opening ‖ body`; the record holds only the
//! commitment. A released variant never changes and never moves.

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::hash;
use crate::id::{Hash, Opening, Time};

/// The body of a record, by kind of fact.
#[expect(
    clippy::large_enum_variant,
    reason = "bodies are made and dropped one by one, and nearly all are messages"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Of `UserSeen`: the user's id.
    User {
        /// As the caller wrote it.
        id: String,
    },
    /// Of `UserRegistered`.
    Profile(Profile),
    /// Of `DeviceSeen`: the device's id.
    Device {
        /// As the device named itself.
        id: String,
    },
    /// Of `MessageSent` and `MessagePosted`.
    Message(Message),
    /// Of `AudienceBegun`: the audience's name.
    Audience {
        /// As the caller wrote it.
        name: String,
    },
    /// Of `ReceiversRefused`: who was not taken in.
    Refused {
        /// As the caller wrote them.
        ids: Vec<String>,
    },
    /// Of `MessageChanged` and `FanoutChanged`: what the message says from now on, or what is shown with it.
    Change(Change),
}

/// A change of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The new `content` object, byte for byte.
    Content(String),
    /// The new business status line; an empty text takes it away.
    StatusLine(StatusLine),
}

/// What a business system says of the business behind a notice ("approved").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusLine {
    /// Shown text.
    pub text: String,
    /// Shown colour, as `#rrggbb`, or empty.
    pub color: String,
}

/// What a registration says of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Shown name.
    pub nickname: String,
    /// Link to a picture.
    pub face_url: String,
    /// Everything else that was said, as the JSON object that said it, or empty.
    pub rest: String,
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The caller's clientMsgID; empty when there was none, and then one is derived from the position.
    pub client_msg_id: String,
    /// The caller's idempotency key where it differs from the clientMsgID; else empty.
    pub key: String,
    /// The caller's trace id.
    pub operation_id: String,
    /// Sender's name as the caller gave it.
    pub sender_nickname: String,
    /// Sender's picture as the caller gave it.
    pub sender_face_url: String,
    /// Platform the sender claims.
    pub sender_platform: i32,
    /// The `content` object, byte for byte.
    pub content: String,
    /// What a push should show.
    pub offline_push: Option<OfflinePush>,
    /// The caller's own time for the message; content, never used to order.
    pub created: Option<Time>,
    /// Where the request came from.
    pub address: String,
}

/// OpenIM's `offlinePushInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflinePush {
    /// Title of the push.
    pub title: String,
    /// Text of the push.
    pub desc: String,
    /// Extension, passed through.
    pub ex: String,
    /// Sound on iOS.
    pub ios_push_sound: String,
    /// Whether it counts in the badge on iOS.
    pub ios_badge_count: bool,
}

/// A body ready for the ledger: encoded, with its opening and commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedBody {
    /// The random opening.
    pub opening: Opening,
    /// `SHA-256(opening ‖ bytes)`.
    pub commitment: Hash,
    /// The encoded [`Body`].
    #[serde(with = "codec::raw")]
    pub bytes: Vec<u8>,
}

impl Body {
    /// Encodes the body and commits to it under `opening`, which must be random and used once.
    #[must_use]
    pub fn seal(&self, opening: Opening) -> SealedBody {
        let bytes = codec::encode(self);
        SealedBody {
            opening,
            commitment: hash::commitment(&opening, &bytes),
            bytes,
        }
    }
}

impl SealedBody {
    /// The value stored in the ledger: `opening ‖ body`.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.bytes.len());
        out.extend_from_slice(&self.opening.0);
        out.extend_from_slice(&self.bytes);
        out
    }
}

/// The commitment that a stored value (`opening ‖ body`) opens, or `None` when it is too short to hold an opening.
#[must_use]
pub fn commitment_of_stored(stored: &[u8]) -> Option<Hash> {
    let (opening, body) = stored.split_first_chunk::<16>()?;
    Some(hash::commitment(&Opening(*opening), body))
}

/// Decodes a stored value (`opening ‖ body`).
///
/// # Errors
/// When it is too short for an opening or its body is malformed.
pub fn decode_stored(stored: &[u8]) -> Result<Body, CodecError> {
    let body = stored.get(16..).ok_or_else(|| CodecError::Malformed {
        what: "Body",
        reason: "shorter than an opening".to_owned(),
    })?;
    codec::decode(body)
}
