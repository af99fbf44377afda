//! A peer that says what it likes.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use waybill_core::id::Seq;
use waybill_core::wire::{
    ALPN, Capabilities, Code, Device, FrameReader, Hello, MAX_CLIENT_FRAME, MAX_SERVER_FRAME,
    Payload, Pull, Send, ServerFrame, write,
};
use waybill_gateway::quic::Certificate;

use crate::server::message;

/// An endpoint that trusts one certificate and remembers sessions.
pub fn endpoint(certificate: &Certificate, alpn: &[u8]) -> Endpoint {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let leaf: CertificateDer<'static> = certificate.chain[0].clone();
    roots.add(leaf).unwrap();
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls.enable_early_data = true;
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    endpoint.set_default_client_config(config);
    endpoint
}

pub fn frame<P: Payload>(payload: &P) -> Vec<u8> {
    let mut out = Vec::new();
    write(payload, MAX_CLIENT_FRAME, &mut out).unwrap();
    out
}

pub fn hello(user: &str) -> Vec<u8> {
    frame(&Hello {
        token: format!("token-of-{user}"),
        device: Device::default(),
        software: String::new(),
        capabilities: Capabilities::NONE,
    })
}

pub fn pull(request: u64) -> Vec<u8> {
    frame(&Pull {
        request,
        user: String::new(),
        after: Seq(0),
        limit: 1_000,
    })
}

pub fn send(request: u64, to: &str) -> Vec<u8> {
    frame(&Send {
        request,
        message: message(to, "", "{}"),
    })
}

/// A frame with any kind and payload.
pub fn any(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32 + 1;
    [&length.to_le_bytes()[..], &[kind], payload].concat()
}

/// A connection with its control stream.
pub struct Peer {
    pub connection: Connection,
    pub to: SendStream,
    pub ears: Ears,
    _endpoint: Endpoint,
}

/// The hearing half of a stream.
pub struct Ears {
    pub from: RecvStream,
    reader: FrameReader,
    piece: Bytes,
}

impl Ears {
    pub fn new(from: RecvStream) -> Self {
        Self {
            from,
            reader: FrameReader::new(MAX_SERVER_FRAME),
            piece: Bytes::new(),
        }
    }

    /// The next frame, or `None` at the end of the stream or the connection.
    pub async fn hear(&mut self) -> Option<ServerFrame> {
        loop {
            let mut input = &self.piece[..];
            let before = input.len();
            let frame = self.reader.next(&mut input).unwrap();
            let frame = frame.map(|frame| ServerFrame::read(&frame).unwrap());
            let used = before - input.len();
            self.piece = self.piece.slice(used..);
            if frame.is_some() {
                return frame;
            }
            self.piece = self.from.read_chunk(1 << 20, true).await.ok()??.bytes;
        }
    }
}

impl Peer {
    pub async fn connect(certificate: &Certificate, server: SocketAddr) -> Self {
        let endpoint = endpoint(certificate, ALPN);
        let connection = endpoint
            .connect(server, "localhost")
            .unwrap()
            .await
            .unwrap();
        Self::on(endpoint, connection).await
    }

    pub async fn on(endpoint: Endpoint, connection: Connection) -> Self {
        let (to, from) = connection.open_bi().await.unwrap();
        Self {
            connection,
            to,
            ears: Ears::new(from),
            _endpoint: endpoint,
        }
    }

    /// Connects and is welcomed.
    pub async fn welcomed(certificate: &Certificate, server: SocketAddr, user: &str) -> Self {
        let mut peer = Self::connect(certificate, server).await;
        peer.say(&hello(user)).await;
        assert!(matches!(peer.hear().await, Some(ServerFrame::Welcome(_))));
        peer
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        self.to.write_all(bytes).await.unwrap();
    }

    /// The next frame, or `None` at the end of the stream or the connection.
    pub async fn hear(&mut self) -> Option<ServerFrame> {
        self.ears.hear().await
    }

    /// Hears until the end and says which codes the goodbye and the close had.
    pub async fn end(&mut self) -> (Option<Code>, Option<Code>) {
        let mut bye = None;
        while let Some(frame) = self.hear().await {
            if let ServerFrame::Bye(it) = frame {
                bye = Some(it.code);
            }
        }
        let close = match self.connection.closed().await {
            ConnectionError::ApplicationClosed(close) => {
                Some(Code(close.error_code.into_inner() as u16))
            }
            _ => None,
        };
        (bye, close)
    }
}
