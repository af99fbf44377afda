//! What can go wrong between a client and its server.

use std::fmt::Display;

use waybill_core::codec::CodecError;
use waybill_core::wire::{Code, Failure, FrameError};

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server refused the request.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(Failure),
    /// The server ended the connection. A send without an answer may have been done: ask again with the same key.
    #[error("the server ended the connection: {code}: {reason}")]
    Ended {
        /// Why.
        code: Code,
        /// The same for people.
        reason: String,
        /// How long the server asks to wait before connecting again, in milliseconds; 0 when it has no opinion.
        retry_after_ms: u32,
    },
    /// The connection is gone. A send without an answer may have been done: ask again with the same key.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The server said something that it may not say.
    #[error("the server does not keep to the protocol: {0}")]
    Protocol(String),
    /// The request is larger than a frame may be.
    #[error("the request is too large: {0}")]
    TooLarge(#[from] FrameError),
    /// The client cannot be set up.
    #[error("cannot set up a connection: {0}")]
    Setup(String),
}

impl Error {
    /// An error of setting up.
    pub fn setup(reason: impl Display) -> Self {
        Self::Setup(reason.to_string())
    }

    /// The server's reason, where it gave one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(failure) => Some(failure.code),
            Self::Ended { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the server was reached and wants to be asked again later: another way to it would hear the same.
    pub(crate) fn is_later(&self) -> bool {
        match self {
            Self::Refused(failure) => failure.retryable,
            Self::Ended { .. } => true,
            _ => false,
        }
    }

    /// How long the server asks to wait before trying again, in milliseconds; 0 when it has no opinion.
    #[must_use]
    pub fn retry_after_ms(&self) -> u64 {
        match self {
            Self::Refused(failure) => failure.retry_after_ms.into(),
            Self::Ended { retry_after_ms, .. } => (*retry_after_ms).into(),
            _ => 0,
        }
    }
}

impl From<CodecError> for Error {
    fn from(error: CodecError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<quinn::ConnectionError> for Error {
    fn from(error: quinn::ConnectionError) -> Self {
        match error {
            quinn::ConnectionError::ApplicationClosed(close) => {
                let code = u16::try_from(close.error_code.into_inner()).unwrap_or(u16::MAX);
                Self::Ended {
                    code: Code(code),
                    reason: String::from_utf8_lossy(&close.reason).into_owned(),
                    retry_after_ms: 0,
                }
            }
            other => Self::Lost(other.to_string()),
        }
    }
}
