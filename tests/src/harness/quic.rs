//! The product's own client over QUIC, for callers that block, and many of them on one connection.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use waybill_client::{
    Connection, Connector, Error, Fingerprint, Identity, Outgoing, Page, SentMessage, Tail, Trust,
};
use waybill_core::id::Seq;

use super::{PATIENCE, Server};

/// The device that this client says it is.
pub(super) const DEVICE: &str = "harness";

/// The platform that this client says it is: 7, Linux.
const PLATFORM: u8 = 7;

/// A connection. It lives on a thread of its own.
pub struct Quic {
    runtime: Option<Runtime>,
    connection: Connection,
}

impl Quic {
    /// Connects to a server with a token.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    ///
    /// # Panics
    /// When there is no thread or socket to be had.
    pub fn connect(server: &Server, token: &str) -> Result<Quic, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let pin = pin(server);
        let identity = Identity::new(token).device(DEVICE, PLATFORM);
        let connection = runtime.block_on(async {
            let connector = Connector::new(Trust::Pinned(pin))?;
            let connecting = connector.connect(server.quic(), "localhost", &identity);
            timeout(PATIENCE, connecting).await.map_err(|_| silent())?
        })?;
        Ok(Quic {
            runtime: Some(runtime),
            connection,
        })
    }

    /// Whose connection it is.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.connection.welcome().user
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When it is refused or the connection is gone.
    pub fn send(&self, message: Outgoing) -> Result<SentMessage, Error> {
        self.wait(self.connection.send(message))
    }

    /// Pulls a page.
    ///
    /// # Errors
    /// As [`Quic::send`].
    pub fn pull(&self, user: &str, after: u64, limit: u32) -> Result<Page, Error> {
        self.wait(self.connection.pull(user, Seq(after), limit))
    }

    /// Says how far this device has stored its log.
    ///
    /// # Errors
    /// As [`Quic::send`].
    pub fn acknowledge(&self, seq: u64) -> Result<u64, Error> {
        self.wait(self.connection.acknowledge(Seq(seq)))
            .map(|seq| seq.0)
    }

    /// Follows a log.
    ///
    /// # Errors
    /// As [`Quic::send`].
    pub fn tail(&self, user: &str, after: u64) -> Result<Tail, Error> {
        self.wait(self.connection.tail(user, Seq(after)))
    }

    /// The next page of a tail.
    ///
    /// # Errors
    /// As [`Quic::send`].
    pub fn next(&self, tail: &mut Tail) -> Result<Page, Error> {
        self.wait(tail.next())
    }

    /// Waits until the connection is gone and says why.
    #[must_use]
    pub fn closed(&self) -> Error {
        self.wait(async { Ok(self.connection.closed().await) })
            .unwrap_or_else(|error| error)
    }

    /// Gives up: whoever waits for an answer hears that the connection is lost. A killed server says nothing over UDP.
    pub fn give_up(&self) {
        self.connection.quic().close(0_u32.into(), b"");
    }

    fn wait<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let runtime = self
            .runtime
            .as_ref()
            .expect("it is there until it is dropped");
        runtime.block_on(async { timeout(PATIENCE, answer).await.map_err(|_| silent())? })
    }
}

fn silent() -> Error {
    Error::Lost("the server says nothing".to_owned())
}

impl Drop for Quic {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Quic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quic").field("user", &self.user()).finish()
    }
}

/// What a client of this server pins.
#[must_use]
pub fn pin(server: &Server) -> Fingerprint {
    Fingerprint(Sha256::digest(certificate(&server.secret("quic.pem"))).into())
}

/// The first certificate of a PEM text, in DER.
pub(super) fn certificate(pem: &str) -> Vec<u8> {
    let begin = "-----BEGIN CERTIFICATE-----";
    let inner = pem
        .split_once(begin)
        .and_then(|(_, rest)| rest.split_once("-----END"));
    let (inner, _) = inner.expect("a certificate");
    let digits: String = inner.split_whitespace().collect();
    STANDARD.decode(digits).expect("a certificate")
}
