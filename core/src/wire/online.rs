//! What is told to live connections only: messages that are kept nowhere, and who comes and goes.

use serde::{Deserialize, Serialize};

use super::entry::MessageEntry;
use super::frame::{FrameError, write_with};
use super::kind::{Kind, Payload};
use super::limits::{MAX_SERVER_FRAME, MAX_WATCHED_USERS};
use super::list;
use crate::codec::{self, CodecError};
use crate::id::Time;

/// A message for those who are online. It has no seq, and is neither kept nor told again. Sent to clients that have set
/// [`Capabilities::ONLINE`](super::Capabilities::ONLINE): as a datagram, which has the kind and the payload and no length, where it fits
/// into one, else on the control stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Online {
    /// The time shown.
    pub time: Time,
    /// The message; its conversation seq is 0.
    pub message: MessageEntry,
}

/// Asks who of these users is online, now and whenever that changes. Answered by [`Presence`], again and again. Another one takes the
/// place of the one before; one without users ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchPresence {
    /// The client's number for this request; not 0.
    pub request: u64,
    /// Whom: at most [`MAX_WATCHED_USERS`].
    pub users: Vec<String>,
}

/// Who is online: at first of all that are watched, then of those who have come or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The number of the request.
    pub request: u64,
    /// Each as it is now.
    pub users: Vec<UserPresence>,
}

/// The live connections of a user; none: the user is not online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPresence {
    /// The user.
    pub user: String,
    /// Their connections.
    pub connections: Vec<LiveConnection>,
}

/// One live connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveConnection {
    /// The device, or empty for none.
    pub device: String,
    /// Platform number of its token, or 0.
    pub platform: u8,
    /// How it came: `quic`, `websocket`, `sse`, `long_poll`, `openim`; others may come.
    pub transport: String,
}

impl Payload for Online {
    const KIND: Kind = Kind::Online;
}

impl WatchPresence {
    /// Reads a payload.
    ///
    /// # Errors
    /// When it is not one.
    pub fn read(payload: &[u8]) -> Result<Self, CodecError> {
        let (request, rest) = codec::decode_prefix(payload)?;
        let users = list::read(rest, MAX_WATCHED_USERS, "WatchPresence")?;
        Ok(Self { request, users })
    }

    /// Appends the frame.
    ///
    /// # Errors
    /// When it would be longer than a frame may be.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        write_with(Kind::WatchPresence as u8, MAX_SERVER_FRAME, out, |out| {
            codec::encode_into(&self.request, out);
            list::write(&self.users, out);
        })
    }
}

impl Presence {
    /// Reads a payload.
    ///
    /// # Errors
    /// When it is not one.
    pub fn read(payload: &[u8]) -> Result<Self, CodecError> {
        let (request, rest) = codec::decode_prefix(payload)?;
        let users = list::read(rest, MAX_WATCHED_USERS, "Presence")?;
        Ok(Self { request, users })
    }

    /// Appends the frame.
    ///
    /// # Errors
    /// When it would be longer than a frame may be.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        write_with(Kind::Presence as u8, MAX_SERVER_FRAME, out, |out| {
            codec::encode_into(&self.request, out);
            list::write(&self.users, out);
        })
    }
}
