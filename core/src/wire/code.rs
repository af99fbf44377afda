//! The numbered reasons for a refusal or a goodbye. A number is never given to another reason.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request was refused, or why a connection ends: up to 99 as in the table of errors that all surfaces share, from
/// 100 what only frames and connections know. It stands in [`Refused`](super::Refused), in [`Bye`](super::Bye) and as
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
    CLOSED = 0, false;

    /// There is nothing at this address. HTTP only.
    NO_ROUTE = 1, false;
    /// This address does not take this method. HTTP only.
    METHOD_NOT_ALLOWED = 2, false;
    /// The request is too large.
    BODY_TOO_LARGE = 3, false;
    /// The body of the request did not come in time. HTTP only.
    BODY_TIMEOUT = 4, false;
    /// The body is of another media type, or compressed. HTTP only.
    UNSUPPORTED_ENCODING = 5, false;
    /// The request cannot be read.
    MALFORMED = 6, false;
    /// A field of the request is missing or wrong; the text says which.
    INVALID_FIELD = 7, false;
    /// An id has 1 to 64 bytes and no control characters.
    INVALID_ID = 8, false;
    /// Messages of this contentType cannot be sent.
    UNKNOWN_CONTENT_TYPE = 9, false;
    /// The content does not have the shape of its contentType.
    CONTENT_SHAPE = 10, false;
    /// The content breaks a rule of its contentType.
    CONTENT_RULES = 11, false;
    /// The content is too large.
    CONTENT_TOO_LARGE = 12, false;
    /// The request names no receiver.
    NO_RECEIVER = 13, false;
    /// There is no such kind of conversation.
    UNKNOWN_SESSION_TYPE = 14, false;
    /// There is no such group.
    UNKNOWN_GROUP = 15, false;
    /// This server does not offer that.
    NOT_OFFERED = 16, false;
    /// There is no token.
    NO_TOKEN = 20, false;
    /// The token is no token.
    TOKEN_MALFORMED = 21, false;
    /// The token has expired.
    TOKEN_EXPIRED = 22, false;
    /// The token is not valid yet.
    TOKEN_NOT_YET_VALID = 23, false;
    /// The token was not issued by this server.
    TOKEN_UNKNOWN = 24, false;
    /// The token was revoked.
    TOKEN_REVOKED = 25, false;
    /// The token cannot be checked now.
    TOKEN_STATE_UNAVAILABLE = 26, true;
    /// The caller may not do this.
    FORBIDDEN = 27, false;
    /// The secret is wrong. HTTP only.
    WRONG_SECRET = 28, false;
    /// The key was used before, for another request.
    KEY_REUSED = 30, false;
    /// The receiver was never seen here, and such are refused.
    UNKNOWN_RECEIVER = 31, false;
    /// There is no such user.
    UNKNOWN_USER = 32, false;
    /// The user is registered already.
    ALREADY_REGISTERED = 33, false;
    /// There is no such message.
    UNKNOWN_MESSAGE = 34, false;
    /// Entries after this seq are no longer there; the text says where the log begins.
    TOO_OLD = 35, false;
    /// The seq is beyond the end of the log: the caller's log is of another history, or the caller is mistaken.
    AHEAD = 36, false;
    /// The caller's log is of another history.
    OTHER_EPOCH = 37, false;
    /// The user has no such conversation.
    UNKNOWN_CONVERSATION = 38, false;
    /// The conversation seq is none of the conversation.
    BEYOND_CONVERSATION = 39, false;
    /// The server has too much to do; nothing was done.
    BUSY = 40, true;
    /// The server is stopping; nothing was done.
    STOPPING = 41, true;
    /// The user, the address or the server has as many connections as it may have.
    TOO_MANY_CONNECTIONS = 42, true;
    /// Whether it was done is not known; ask again with the same key.
    OUTCOME_UNKNOWN = 43, true;
    /// There is no such audience.
    UNKNOWN_AUDIENCE = 44, false;
    /// The audience is complete, or is not.
    AUDIENCE_STATE = 45, false;
    /// Something has moved on since the request was made.
    STALE = 46, false;
    /// Too many messages to many receivers are on their way; nothing was done.
    TOO_MANY_RUNNING = 47, true;
    /// The message has not reached the receiver yet.
    UNDERWAY = 48, false;
    /// There is no such task.
    UNKNOWN_TASK = 49, false;
    /// The server failed.
    INTERNAL = 50, false;
    /// The message was recalled.
    MESSAGE_RECALLED = 51, false;
    /// The time at which the message was to be withdrawn has passed.
    EXPIRED = 52, false;
    /// The message was to wait too long, or until after its own end.
    TOO_FAR_AHEAD = 53, false;
    /// The page that asks comes from an origin that is not allowed. HTTP, WebSocket and server-sent events only.
    FOREIGN_ORIGIN = 54, false;
    /// The ticket was used, has run out, or was never given.
    TICKET_UNKNOWN = 55, false;
    /// The sender sends, or the receiver gets, more messages than one may; nothing was done.
    RATE_LIMITED = 56, true;

    /// A frame is empty, or its payload is not what its kind says. Ends the connection.
    MALFORMED_FRAME = 100, false;
    /// A frame is longer than the bound. Ends the connection.
    FRAME_TOO_LONG = 101, false;
    /// The first frame was not a hello. Ends the connection.
    HELLO_EXPECTED = 102, false;
    /// A second hello came. Ends the connection.
    HELLO_REPEATED = 103, false;
    /// A frame came that only the other side may send. Ends the connection.
    UNEXPECTED_FRAME = 104, false;
    /// Handshake and hello were not complete in time. Ends the connection.
    HELLO_TIMEOUT = 105, true;
    /// The request came in early data (0-RTT), which may be a replay; ask again once the handshake is complete.
    EARLY_DATA = 106, true;
    /// As many pulls wait on this connection as may.
    TOO_MANY_PULLS = 107, true;
    /// As many tails are open on this connection as may be.
    TOO_MANY_TAILS = 108, true;
    /// The control stream ended within a frame, or was reset. Ends the connection.
    STREAM_BROKEN = 109, true;
    /// The hello named no device, so there is none whose cursor could move.
    NO_DEVICE = 110, false;
    /// The same device has connected anew. Ends the connection.
    SUPERSEDED = 111, false;
    /// The peer has taken nothing for too long. Ends the connection.
    TOO_SLOW = 112, true;
    /// The peer has given no sign of life for too long. Ends the connection.
    SILENT = 113, true;
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
