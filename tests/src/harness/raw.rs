//! Connections on which a test says what it likes: bytes over TCP, and frames of `waybill/1` that no client would send.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, Endpoint, RecvStream, SendStream};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use waybill_core::wire::{self, FrameReader, MAX_SERVER_FRAME, Payload, ServerFrame};

use super::http::{Response, connect, read_response};
use super::{PATIENCE, Server};

/// A TCP connection.
pub struct Raw(BufReader<TcpStream>);

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Raw {
        Raw(BufReader::new(connect(address).expect("a listener")))
    }

    /// Says something. The other side may have closed already.
    ///
    /// # Errors
    /// When it has.
    pub fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Waits for an answer.
    ///
    /// # Errors
    /// When the connection ends without one.
    pub fn answer(&mut self) -> io::Result<Response> {
        read_response(&mut self.0)
    }

    /// Waits until the other side closes, and returns what it said before.
    ///
    /// # Panics
    /// When it leaves the connection open.
    #[must_use]
    pub fn until_closed(mut self) -> Vec<u8> {
        let mut said = Vec::new();
        match self.0.read_to_end(&mut said) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                panic!("the server leaves the connection open: {error}")
            }
            _ => said,
        }
    }
}

/// A QUIC connection without anything of the protocol.
pub struct RawQuic {
    runtime: Runtime,
    connection: quinn::Connection,
    to: SendStream,
    from: RecvStream,
    frames: FrameReader,
    unread: Vec<u8>,
}

impl RawQuic {
    /// Connects to a server with the name of a protocol, and opens the control stream.
    ///
    /// # Errors
    /// When the server does not take the connection.
    pub fn connect(server: &Server, protocol: &[u8]) -> Result<RawQuic, ConnectionError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let config = client_config(server, protocol);
        let address = server.quic();
        let opened: Result<_, ConnectionError> = runtime.block_on(async move {
            let mut endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
            endpoint.set_default_client_config(config);
            let connection = endpoint
                .connect(address, "localhost")
                .expect("a way")
                .await?;
            let (to, from) = connection.open_bi().await?;
            Ok((connection, to, from))
        });
        let (connection, to, from) = opened?;
        let frames = FrameReader::new(MAX_SERVER_FRAME);
        Ok(RawQuic {
            runtime,
            connection,
            to,
            from,
            frames,
            unread: Vec::new(),
        })
    }

    /// Writes bytes to the control stream. The server may have closed it already.
    pub fn say(&mut self, bytes: &[u8]) {
        // A server that has closed says why; that is asked for later.
        let _ = self.runtime.block_on(self.to.write_all(bytes));
    }

    /// Writes a frame.
    ///
    /// # Panics
    /// When it is longer than any frame may be.
    pub fn say_frame<P: Payload>(&mut self, payload: &P) {
        let mut bytes = Vec::new();
        wire::write(payload, MAX_SERVER_FRAME, &mut bytes).expect("it fits");
        self.say(&bytes);
    }

    /// Sends a datagram, once the handshake is complete.
    ///
    /// # Errors
    /// When the server takes none, or it does not fit the path.
    pub fn datagram(&self, bytes: Vec<u8>) -> Result<(), quinn::SendDatagramError> {
        self.connection.send_datagram(bytes.into())
    }

    /// Ends the control stream.
    pub fn finish(&mut self) {
        // It may have been closed by the server.
        let _ = self.to.finish();
    }

    /// The next frame of the server, or `None` when it has said its last.
    ///
    /// # Panics
    /// When nothing comes, or it is no frame.
    pub fn next_frame(&mut self) -> Option<ServerFrame> {
        loop {
            let mut input = &self.unread[..];
            let frame = self.frames.next(&mut input).expect("a frame");
            let frame = frame.map(|frame| ServerFrame::read(&frame).expect("a known frame"));
            self.unread.drain(..self.unread.len() - input.len());
            if frame.is_some() {
                return frame;
            }
            let mut piece = vec![0; 64 * 1024];
            let reading = self.from.read(&mut piece);
            let read = self
                .runtime
                .block_on(async { timeout(PATIENCE, reading).await });
            match read.expect("the server says nothing") {
                Ok(Some(read)) => self.unread.extend_from_slice(&piece[..read]),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Waits until the server closes the connection; the code and the text that it gives for it.
    ///
    /// # Panics
    /// When it does not, or not with a reason of the protocol.
    #[must_use]
    pub fn closed(&self) -> (u64, String) {
        let closing = self.connection.closed();
        let closed = self
            .runtime
            .block_on(async { timeout(PATIENCE, closing).await });
        match closed.expect("the server does not close") {
            ConnectionError::ApplicationClosed(close) => {
                let reason = String::from_utf8_lossy(&close.reason).into_owned();
                (close.error_code.into_inner(), reason)
            }
            other => panic!("the connection ended in another way: {other}"),
        }
    }
}

impl Drop for RawQuic {
    fn drop(&mut self) {
        self.connection.close(0_u32.into(), b"");
        // So that the server hears it.
        std::mem::replace(&mut self.runtime, spare()).shutdown_timeout(Duration::from_millis(100));
    }
}

fn spare() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

/// Trusts the server's own certificate as it lies among its secrets.
fn client_config(server: &Server, protocol: &[u8]) -> quinn::ClientConfig {
    let certificate = super::quic::certificate(&server.secret("quic.pem"));
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(certificate))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![protocol.to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS 1.3")))
}
