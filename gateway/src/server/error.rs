//! Why the server does not start, or did not end well.

use std::io;
use std::net::SocketAddr;

use waybill_log::{Fatal, OpenError};

use crate::error::Error;
use crate::quic::{BindError, CertificateError};
use crate::secrets::SecretsError;
use crate::tls::TlsError;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// A secret cannot be had.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificate of QUIC cannot be had.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// QUIC cannot be listened on.
    #[error(transparent)]
    Quic(#[from] BindError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The log is open but cannot be prepared.
    #[error("{what}: {error}")]
    Prepare {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: Error,
    },
    /// Opening the log ended in a panic; the log line says where.
    #[error("opening the log failed; the message above says where")]
    Panicked,
}

impl StartError {
    pub(super) fn address(address: SocketAddr) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Address { address, error }
    }

    pub(super) fn prepare(what: &'static str) -> impl FnOnce(Error) -> Self {
        move |error| Self::Prepare { what, error }
    }
}

/// Why the server did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log failed: the disk is full or broken, or what it holds is corrupt.
    #[error("the log has failed: {0}")]
    Log(#[source] Fatal),
    /// The writer ended in a panic.
    #[error("the writer failed; the message above says where")]
    Panicked,
}
