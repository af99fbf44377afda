//! How a connection begins and ends, and how a request is refused.

use serde::{Deserialize, Serialize};

use super::code::Code;
use super::kind::{Kind, Payload};
use super::limits::MAX_REASON_BYTES;
use crate::id::{Epoch, Seq, Time};

/// Who is speaking. The first frame of the control stream.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The token, as over HTTP.
    pub token: String,
    /// The device; an empty id for a caller that has none and keeps no cursor.
    pub device: Device,
    /// Name and version of the client's software, for the operator's eyes.
    pub software: String,
    /// What the client can do beyond this version of the protocol.
    pub capabilities: Capabilities,
}

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello")
            .field("token", &"(secret)")
            .field("device", &self.device)
            .field("software", &self.software)
            .field("capabilities", &self.capabilities)
            .finish()
    }
}

/// A device, as it names itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its id among the devices of its user: 1 to 64 bytes without control characters, or empty for none.
    pub id: String,
    /// A name for people, such as the model of a phone; may be empty.
    pub name: String,
    /// Platform number as OpenIM counts them (1 IOS … 8 admin), 0 when unknown.
    pub platform: u8,
}

/// What a side can do beyond the first version of the protocol, as bits. Unknown bits are ignored; a kind of frame that needs
/// a bit is sent only to a peer that has set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);
    /// Of a server: it takes a hello and pulls in early data (0-RTT).
    pub const EARLY_PULL: Self = Self(1);
    /// Of a client: it takes what is told to live connections only ([`Online`](super::Online)). Of a server: it knows
    /// [`WatchPresence`](super::WatchPresence), and tells clients that have set this bit.
    pub const ONLINE: Self = Self(2);

    /// These and those.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The server knows who is speaking. The answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The identity of the server's history; a client whose log is of another one begins anew.
    pub epoch: Epoch,
    /// Whose token it was.
    pub user: String,
    /// The last seq of that user's log; 0 when it is empty.
    pub head: Seq,
    /// The first seq still present.
    pub floor: Seq,
    /// The server's clock.
    pub time: Time,
    /// What the server takes.
    pub limits: Limits,
    /// What the server can do beyond this version of the protocol.
    pub capabilities: Capabilities,
}

/// What a server takes on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest frame (kind and payload), in bytes.
    pub frame_bytes: u32,
    /// Sends without an answer; beyond it the server stops reading until it has answered.
    pub sends_in_flight: u32,
    /// Sends in one batch.
    pub batch: u32,
    /// Pulls without an answer.
    pub pulls_in_flight: u32,
    /// Entries in one page.
    pub page_entries: u32,
    /// Tails at one time.
    pub tails: u32,
    /// The connection is closed when nothing was heard for so long, in milliseconds.
    pub idle_ms: u32,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The reason.
    pub code: Code,
    /// The same request may succeed later.
    pub retryable: bool,
    /// How long to wait before that, in milliseconds; 0 when the server has no opinion.
    pub retry_after_ms: u32,
    /// What is wrong and what to do, for people; at most [`MAX_REASON_BYTES`].
    pub message: String,
}

impl Failure {
    /// A failure for this reason; a text that is too long is cut.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            retryable: code.info().is_some_and(|info| info.retryable),
            retry_after_ms: 0,
            message: cut(message.into()),
        }
    }

    /// The same, with how long to wait before trying again.
    #[must_use]
    pub fn retry_after_ms(mut self, wait: u32) -> Self {
        self.retry_after_ms = wait;
        self
    }
}

/// A request was refused, or failed. An answer to any request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which request; 0 for the hello.
    pub request: u64,
    /// Why.
    pub failure: Failure,
}

/// The connection ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// The reason.
    pub code: Code,
    /// How long to wait before connecting again, in milliseconds; 0 when the server has no opinion.
    pub retry_after_ms: u32,
    /// The same for people; at most [`MAX_REASON_BYTES`].
    pub reason: String,
}

impl Bye {
    /// A goodbye for this reason; a text that is too long is cut.
    #[must_use]
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self {
            code,
            retry_after_ms: 0,
            reason: cut(reason.into()),
        }
    }
}

/// The text, cut to [`MAX_REASON_BYTES`] between two characters.
fn cut(mut text: String) -> String {
    let mut end = MAX_REASON_BYTES.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

impl Payload for Hello {
    const KIND: Kind = Kind::Hello;
}

impl Payload for Welcome {
    const KIND: Kind = Kind::Welcome;
}

impl Payload for Refused {
    const KIND: Kind = Kind::Refused;
}

impl Payload for Bye {
    const KIND: Kind = Kind::Bye;
}
