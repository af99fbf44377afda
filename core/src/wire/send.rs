//! Sending: one message, or many in one frame, and what became of them.

use serde::{Deserialize, Serialize};

use super::frame::{FrameError, write_with};
use super::hello::Failure;
use super::kind::{Kind, Payload};
use super::limits::{MAX_BATCH, MAX_CLIENT_FRAME, MAX_SERVER_FRAME};
use super::list;
use crate::body::OfflinePush;
use crate::codec::{self, CodecError};
use crate::fact::Options;
use crate::id::{Seq, Time};

/// A message on its way to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Who it is from; empty for the caller. Only business roles may name another.
    pub sender: String,
    /// Who gets it.
    pub receiver: String,
    /// 0 lets the content type decide (1400 is a notification, anything else a single chat), 1 a single chat, 2 a
    /// notification.
    pub conversation_kind: u8,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// The sender's id of the message; empty for none.
    pub client_msg_id: String,
    /// What makes a retry a retry; empty to let `client_msg_id` be the key, and with neither each send is a new message.
    pub key: String,
    /// The caller's trace id; may be empty.
    pub operation_id: String,
    /// The sender's name to show; may be empty.
    pub sender_nickname: String,
    /// The sender's picture to show; may be empty.
    pub sender_face_url: String,
    /// The platform the sender claims.
    pub sender_platform: i32,
    /// Options that are switched off.
    pub options_off: Options,
    /// The sender's own time for the message.
    pub created: Option<Time>,
    /// What a push shows.
    pub offline_push: Option<OfflinePush>,
    /// What is said: the JSON text of an object.
    #[serde(with = "codec::raw")]
    pub content: Vec<u8>,
}

/// Sends one message. Answered by [`Sent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// The client's number for this request; not 0.
    pub request: u64,
    /// The message.
    pub message: Outgoing,
}

/// Sends many messages. Each is a send of its own: some may be done and others refused. Answered by [`BatchSent`] when all
/// are decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendBatch {
    /// The client's number for this request; not 0.
    pub request: u64,
    /// The messages: 1 to [`MAX_BATCH`].
    pub messages: Vec<Outgoing>,
}

/// What became of a message: it is on disk, and in the receiver's log exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMessage {
    /// The server's id of the message: the 16 bytes behind its 32 hexadecimal digits.
    pub server_msg_id: [u8; 16],
    /// The sender's id of the message, or the one derived for it.
    pub client_msg_id: String,
    /// The time shown on it.
    pub time: Time,
    /// Its place in the receiver's log: for business roles, when already assigned.
    pub seq: Option<Seq>,
    /// The receiver was never seen before: for business roles.
    pub new_receiver: bool,
    /// This is the answer to an earlier send with the same key, given again.
    pub repeated: bool,
}

/// The answer to [`Send`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Which request.
    pub request: u64,
    /// What became of it.
    pub message: SentMessage,
}

/// The answer to [`SendBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSent {
    /// Which request.
    pub request: u64,
    /// What became of each message, in the order of the request.
    pub answers: Vec<Result<SentMessage, Failure>>,
}

impl SendBatch {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is malformed or has more than [`MAX_BATCH`] messages.
    pub fn read(payload: &[u8]) -> Result<Self, CodecError> {
        let (request, rest) = codec::decode_prefix(payload)?;
        let messages = list::read(rest, MAX_BATCH, "SendBatch")?;
        Ok(Self { request, messages })
    }

    /// Appends the frame.
    ///
    /// # Errors
    /// When it would be longer than a frame may be.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        write_with(Kind::SendBatch as u8, MAX_CLIENT_FRAME, out, |out| {
            codec::encode_into(&self.request, out);
            list::write(&self.messages, out);
        })
    }
}

impl BatchSent {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is malformed or has more than [`MAX_BATCH`] answers.
    pub fn read(payload: &[u8]) -> Result<Self, CodecError> {
        let (request, rest) = codec::decode_prefix(payload)?;
        let answers = list::read(rest, MAX_BATCH, "BatchSent")?;
        Ok(Self { request, answers })
    }

    /// Appends the frame.
    ///
    /// # Errors
    /// When it would be longer than a frame may be; with at most [`MAX_BATCH`] answers it never is.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        write_with(Kind::BatchSent as u8, MAX_SERVER_FRAME, out, |out| {
            codec::encode_into(&self.request, out);
            list::write(&self.answers, out);
        })
    }
}

impl Payload for Send {
    const KIND: Kind = Kind::Send;
}

impl Payload for Sent {
    const KIND: Kind = Kind::Sent;
}
