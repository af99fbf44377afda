//! From an address to a connection: TLS, QUIC, hello and welcome, with a pull in the first flight where the server is known.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::udp::UdpSocketState;
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, TokioRuntime, TransportConfig, VarInt,
};
use waybill_core::id::Seq;
use waybill_core::wire::{
    self, ALPN, Capabilities, Device, Hello, MAX_HELLO_FRAME, Page, Pull, ServerFrame, Welcome,
};

use crate::connection::Connection;
use crate::error::Error;
use crate::frames::{Control, Frames, write_error};
use crate::trust::{Trust, tls};

/// Nothing heard for so long means that the connection is gone.
const IDLE: Duration = Duration::from_secs(30);

/// How often something is sent, so that address translators on the way do not forget the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Bytes that a server may send on one stream before they are read.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The same for a whole connection.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// Bytes written and not acknowledged by the server.
const SEND_WINDOW: u64 = 2 * 1024 * 1024;

/// Streams that a server may open: tails.
const SERVER_STREAMS: u32 = 8;

/// Bytes that the kernel may hold for the socket in each direction, where it allows so many.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The number of a pull in the first flight. Later requests count from 1 again, when this one has its answer.
const FIRST_PULL: u64 = 1;

/// Who connects.
#[derive(Clone, Debug)]
pub struct Identity {
    token: String,
    device: Device,
    software: String,
}

impl Identity {
    /// The owner of a token, without a device.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            device: Device::default(),
            software: concat!("waybill-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// On this device, of this platform as OpenIM numbers them.
    #[must_use]
    pub fn device(mut self, id: impl Into<String>, platform: u8) -> Self {
        self.device = Device {
            id: id.into(),
            platform,
            ..self.device
        };
        self
    }

    fn hello(&self) -> Hello {
        Hello {
            token: self.token.clone(),
            device: self.device.clone(),
            software: self.software.clone(),
            capabilities: Capabilities::NONE,
        }
    }
}

/// A pull to be sent with the hello.
#[derive(Clone, Debug)]
pub struct PullFirst {
    /// Whose log; empty for the caller's own.
    pub user: String,
    /// From after this seq.
    pub after: Seq,
    /// Most entries.
    pub limit: u32,
}

/// Makes connections from one socket. It remembers servers, so that a second connection can begin with a pull in its first
/// packets.
pub struct Connector {
    endpoint: Endpoint,
    config: ClientConfig,
}

impl Connector {
    /// Opens a socket. Must be called within a runtime.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn new(trust: Trust) -> Result<Self, Error> {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        // Where there is no IPv6, IPv4 alone will do.
        Self::on(any, trust.clone()).or_else(|_| Self::on(([0, 0, 0, 0], 0).into(), trust))
    }

    /// Opens a socket on an address of one's own.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn on(address: SocketAddr, trust: Trust) -> Result<Self, Error> {
        let socket = UdpSocket::bind(address).map_err(Error::setup)?;
        enlarge_buffers(&socket);
        let config = EndpointConfig::default();
        let endpoint =
            Endpoint::new(config, None, socket, Arc::new(TokioRuntime)).map_err(Error::setup)?;
        Ok(Self {
            endpoint,
            config: client_config(trust)?,
        })
    }

    /// Connects and says hello.
    ///
    /// # Errors
    /// When the server cannot be reached, is not the one that is trusted, or refuses.
    pub async fn connect(
        &self,
        server: SocketAddr,
        name: &str,
        identity: &Identity,
    ) -> Result<Connection, Error> {
        let quic = self.begin(server, name)?.await?;
        let (control, welcome, _) = greet(&quic, identity, None).await?;
        Ok(Connection::new(
            self.endpoint.clone(),
            quic,
            control,
            welcome,
        ))
    }

    /// Connects and pulls, in one flight where the server is remembered. The last value says whether the pull went as early
    /// data.
    ///
    /// # Errors
    /// As [`Self::connect`], and when the pull is refused.
    pub async fn connect_pulling(
        &self,
        server: SocketAddr,
        name: &str,
        identity: &Identity,
        pull: &PullFirst,
    ) -> Result<(Connection, Page, bool), Error> {
        let (quic, early) = match self.begin(server, name)?.into_0rtt() {
            Ok((quic, accepted)) => {
                let greeted = greet(&quic, identity, Some(pull)).await;
                if accepted.await {
                    return self.welcomed(quic, greeted?, true);
                }
                // The server has forgotten this client: what was sent early counts as not sent.
                if let Some(error) = quic.close_reason() {
                    return Err(error.into());
                }
                (quic, false)
            }
            Err(connecting) => (connecting.await?, false),
        };
        let greeted = greet(&quic, identity, Some(pull)).await?;
        self.welcomed(quic, greeted, early)
    }

    fn begin(&self, server: SocketAddr, name: &str) -> Result<quinn::Connecting, Error> {
        let own = self.endpoint.local_addr().map_err(Error::setup)?;
        // A socket of both families speaks of IPv4 in the words of IPv6.
        let server = match server {
            SocketAddr::V4(v4) if own.is_ipv6() => {
                SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()))
            }
            other => other,
        };
        self.endpoint
            .connect_with(self.config.clone(), server, name)
            .map_err(Error::setup)
    }

    fn welcomed(
        &self,
        quic: quinn::Connection,
        (control, welcome, page): Greeted,
        early: bool,
    ) -> Result<(Connection, Page, bool), Error> {
        let page = page.ok_or_else(|| Error::Protocol("no page came".to_owned()))?;
        Ok((
            Connection::new(self.endpoint.clone(), quic, control, welcome),
            page,
            early,
        ))
    }

    /// Goes on from a new socket: the network of this machine has changed. Connections live on (RFC 9000, section 9).
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn move_socket(&self) -> Result<(), Error> {
        let mut any = self.endpoint.local_addr().map_err(Error::setup)?;
        any.set_port(0);
        let socket = UdpSocket::bind(any).map_err(Error::setup)?;
        enlarge_buffers(&socket);
        self.endpoint.rebind(socket).map_err(Error::setup)
    }

    /// The socket, for tests that move it.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

type Greeted = (Control, Welcome, Option<Page>);

/// Asks the kernel for room. With less the socket works too, only not as fast.
fn enlarge_buffers(socket: &UdpSocket) {
    if let Ok(state) = UdpSocketState::new(socket.into()) {
        let _ = state.set_recv_buffer_size(socket.into(), SOCKET_BUFFER_BYTES);
        let _ = state.set_send_buffer_size(socket.into(), SOCKET_BUFFER_BYTES);
    }
}

/// Says hello, and asks for a page with it.
async fn greet(
    quic: &quinn::Connection,
    identity: &Identity,
    pull: Option<&PullFirst>,
) -> Result<Greeted, Error> {
    let (mut to, from) = quic.open_bi().await?;
    let mut first = Vec::new();
    wire::write(&identity.hello(), MAX_HELLO_FRAME, &mut first)?;
    if let Some(PullFirst { user, after, limit }) = pull {
        let (user, after, limit) = (user.clone(), *after, *limit);
        let pull = Pull {
            request: FIRST_PULL,
            user,
            after,
            limit,
        };
        wire::write(&pull, MAX_HELLO_FRAME, &mut first)?;
    }
    to.write_chunk(Bytes::from(first))
        .await
        .map_err(write_error)?;
    let mut from = Frames::new(from);
    let (mut welcome, mut page) = (None, None);
    while welcome.is_none() || (pull.is_some() && page.is_none()) {
        match from.next().await? {
            Some(ServerFrame::Welcome(it)) => welcome = Some(it),
            Some(ServerFrame::Page(it)) => page = Some(it),
            Some(ServerFrame::Refused(refused)) => return Err(Error::Refused(refused.failure)),
            Some(ServerFrame::Bye(bye)) => {
                let (code, reason) = (bye.code, bye.reason);
                let retry_after_ms = bye.retry_after_ms;
                return Err(Error::Ended {
                    code,
                    reason,
                    retry_after_ms,
                });
            }
            Some(_) => return Err(Error::Protocol("an answer to nothing".to_owned())),
            None => return Err(Error::Lost("the control stream has ended".to_owned())),
        }
    }
    let welcome = welcome.ok_or_else(|| Error::Protocol("no welcome came".to_owned()))?;
    Ok((Control { to, from }, welcome, page))
}

fn client_config(trust: Trust) -> Result<ClientConfig, Error> {
    let mut tls = tls(trust, &[&rustls::version::TLS13])?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_early_data = true;
    let tls = QuicClientConfig::try_from(tls).map_err(Error::setup)?;
    let mut transport = TransportConfig::default();
    transport
        // A device says little, and each probe is a packet as long as what it asks for, which its server reads byte by byte.
        .mtu_discovery_config(None)
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(SERVER_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE).map_err(Error::setup)?))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .datagram_receive_buffer_size(None);
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport));
    Ok(config)
}
