//! The numbered reasons for a refusal or a goodbye. A number is never given to another reason.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request was refused, or why a connection ends. It stands in [`Refused`](super::Refused), in [`Bye`](super::Bye) and as
/// the application error code of QUIC. A peer may know codes that this program does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Code(pub u16);

/// What is said of a code.
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// The code.
    pub code: Code,
    /// Its name in the documentation.
    pub name: &'static str,
    /// Whether the same request may succeed later, unchanged.
    pub retryable: bool,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $retryable:literal;)+) => {
        impl Code {
            $($(#[doc = $doc])+ pub const $name: Self = Self($number);)+
        }

        /// Every code that this program knows, ascending.
        pub const CODES: &[CodeInfo] = &[
            $(CodeInfo { code: Code::$name, name: stringify!($name), retryable: $retryable },)+
        ];
    };
}

codes! {
    /// The connection ends because one side wanted it to.
    CLOSED = 0, true;
    /// A frame's payload is not what its kind says, or a frame is empty. Ends the connection.
    MALFORMED_FRAME = 1, false;
    /// A frame is longer than the bound. Ends the connection.
    FRAME_TOO_LONG = 2, false;
    /// The first frame was not a hello. Ends the connection.
    HELLO_EXPECTED = 3, false;
    /// A second hello came. Ends the connection.
    HELLO_REPEATED = 4, false;
    /// A kind of frame came that only the other side may send. Ends the connection.
    UNEXPECTED_FRAME = 5, false;
    /// No hello came in time. Ends the connection.
    HELLO_TIMEOUT = 6, true;
    /// The request came in early data (0-RTT), which may be a replay; ask again now that the handshake is complete.
    EARLY_DATA = 7, true;
    /// Too many pulls wait on this connection.
    TOO_MANY_PULLS = 8, true;
    /// Too many tails are open on this connection.
    TOO_MANY_TAILS = 9, true;
    /// The control stream ended in the middle of a frame, or was reset. Ends the connection.
    STREAM_BROKEN = 10, true;

    /// The token is missing, malformed, forged, or of another server.
    BAD_TOKEN = 100, false;
    /// The token has expired.
    TOKEN_EXPIRED = 101, false;
    /// The token was revoked.
    TOKEN_REVOKED = 102, false;
    /// The token is good, but not for this.
    NOT_ALLOWED = 103, false;
    /// The user, the address or the server has as many connections as it may have.
    TOO_MANY_CONNECTIONS = 104, true;
    /// Another connection took this one's place, or an operator closed it.
    KICKED = 105, false;

    /// A field of the request is not what it may be; the text says which.
    BAD_REQUEST = 200, false;
    /// The key was used before, for another request.
    KEY_REUSED = 201, false;
    /// The receiver was never seen here, and such are refused.
    UNKNOWN_RECEIVER = 202, false;
    /// The user is not known here.
    UNKNOWN_USER = 203, false;
    /// The content or the whole request is too large.
    TOO_LARGE = 204, false;
    /// The log no longer has the entries after this seq; the text says where it begins.
    BELOW_FLOOR = 205, false;
    /// The log does not reach this seq: it is of another history, or the caller is mistaken.
    BEYOND_HEAD = 206, false;
    /// The hello named no device, so there is none whose cursor could move.
    NO_DEVICE = 207, false;

    /// The server failed; nothing is known of the request's outcome beyond what the text says.
    INTERNAL = 300, true;
    /// The server has more work than it takes; nothing was done.
    OVERLOADED = 301, true;
    /// Whether the send was done is unknown; ask again with the same key.
    OUTCOME_UNKNOWN = 302, true;
    /// The server is stopping; connect again.
    SHUTTING_DOWN = 303, true;
    /// The server does not take this now; nothing was done.
    UNAVAILABLE = 304, true;
}

impl Code {
    /// What this program knows of it.
    #[must_use]
    pub fn info(self) -> Option<&'static CodeInfo> {
        CODES.iter().find(|info| info.code == self)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info() {
            Some(info) => write!(f, "{} ({})", info.name, self.0),
            None => write!(f, "unknown code {}", self.0),
        }
    }
}
