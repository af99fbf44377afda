//! The gateway for OpenIM's clients, over WebSocket: its listener, and the way of a connection from its address to
//! [`connection`]. It is HTTP/1.1 until the upgrade.

mod attempts;
mod connection;
pub(crate) mod frame;
pub(crate) mod handshake;
mod left;
mod pushes;
mod requests;
mod send;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    UPGRADE,
};
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tracing::debug;
use waybill_core::id::KeyedHash;
use waybill_core::record::Surface;

use self::attempts::Attempts;
use self::frame::Codec;
use self::handshake::Hello;
use self::left::Left;
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::http::admission::Admission;
use crate::http::listener::{self, Drained};
use crate::openim::v3::{Online, platform};
use crate::registry::{Identity, Registration, Transport};
use crate::service::{Service, Which};
use crate::shutdown::Stopping;
use crate::telemetry::metrics::{Reason, TransportLabel};

/// The longest frame of a client.
const CLIENT_FRAME: usize = 51_200;

/// Read buffer of a connection, in bytes: most are idle, and each holds one.
const READ_BUFFER: usize = 4 * 1024;
/// What waits in memory for a slow peer at most: one answer.
const WRITE_BUFFER: usize = 4 * 1024 * 1024;

/// The longest head of a request.
const HEAD_BYTES: usize = 16 * 1024;

/// The first frame of a client that is welcome.
const WELCOME: &str = r#"{"errCode":0,"errMsg":"","errDlt":""}"#;

/// The listener of the gateway.
#[derive(Clone)]
pub struct Gateway {
    service: Service,
    online: Online,
    admission: Admission,
    attempts: Arc<Attempts>,
    left: Arc<Left>,
    tls: Option<TlsAcceptor>,
    stopping: Stopping,
    /// Held by every connection.
    alive: mpsc::Sender<Infallible>,
}

impl Gateway {
    /// A gateway over a service.
    #[must_use]
    pub fn new(
        service: Service,
        online: Online,
        tls: Option<TlsAcceptor>,
        stopping: Stopping,
    ) -> (Self, Drained) {
        let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        let limits = service.limits();
        let (alive, all) = mpsc::channel(1);
        let gateway = Self {
            admission: Admission::new(
                count(limits.live_connections),
                count(limits.connections_per_address),
            ),
            service,
            online,
            attempts: Arc::default(),
            left: Arc::default(),
            tls,
            stopping,
            alive,
        };
        (gateway, Drained::of(all))
    }

    /// Takes connections until the server stops.
    pub async fn listen(self, socket: TcpListener) {
        let stopping = self.stopping.clone();
        listener::accept(&socket, stopping, |stream, peer| self.take(stream, peer)).await;
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let admitted = match self.admission.admit(peer.ip()) {
            Ok(admitted) => admitted,
            Err(refused) => {
                let reason = refused.name();
                let refusals = &self.service.metrics().connections_refused;
                refusals.get_or_create(&Reason { reason }).inc();
                return;
            }
        };
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let label = TransportLabel {
                transport: "openim",
            };
            let open = this
                .service
                .metrics()
                .connections
                .get_or_create(&label)
                .clone();
            open.inc();
            let alive = this.alive.clone();
            this.secure(stream, peer).await;
            open.dec();
            drop((admitted, alive));
        });
    }

    async fn secure(self, stream: TcpStream, peer: SocketAddr) {
        let Some(acceptor) = self.tls.clone() else {
            return self.converse(stream, peer).await;
        };
        let patience = Duration::from_secs(self.service.limits().handshake_seconds);
        if let Some(stream) = listener::secure(&acceptor, stream, peer, patience).await {
            self.converse(stream, peer).await;
        }
    }

    /// One request, and then what it was upgraded to.
    async fn converse<S>(self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let patience = Duration::from_secs(self.service.limits().header_seconds);
        let (sender, mut upgrades) = mpsc::channel(1);
        let service = service_fn(|request: Request<Incoming>| {
            let (answer, upgrade) = self.meet(request, peer);
            if let Some(upgrade) = upgrade {
                // There is room for the one upgrade that a connection can have.
                let _ = sender.try_send(upgrade);
            }
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_buf_size(HEAD_BYTES);
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        if let Err(error) = connection.await {
            debug!(%peer, %error, "the connection broke");
            return;
        }
        if let Ok(upgrade) = upgrades.try_recv() {
            self.serve(upgrade, peer).await;
        }
    }

    /// Answers a request to connect.
    fn meet(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
    ) -> (Response<Full<Bytes>>, Option<Upgrade>) {
        let header = |name: &str| {
            let value = request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
        let wants = header("upgrade").eq_ignore_ascii_case("websocket");
        let (Some(key), true) = (key, wants && header("sec-websocket-version") == "13") else {
            let mut answer = Response::new(Full::from("this is a WebSocket address\n"));
            *answer.status_mut() = StatusCode::UPGRADE_REQUIRED;
            answer
                .headers_mut()
                .insert(UPGRADE, HeaderValue::from_static("websocket"));
            return (answer, None);
        };
        let query = request.uri().query().unwrap_or_default();
        let (hello, read) = Hello::read(query, &header("compression"));
        let admitted = read.and_then(|()| self.admit(&hello, peer));
        match admitted {
            Err(error) if error.kind == Kind::Busy => return (wait(), None),
            Err(error) if !hello.wants_answer => return (refusal(&error), None),
            _ => {}
        }
        let upgrade = Upgrade {
            socket: hyper::upgrade::on(&mut request),
            hello,
            admitted,
        };
        (welcome(key.as_bytes()), Some(upgrade))
    }

    /// Whether somebody may connect.
    fn admit(&self, hello: &Hello, peer: SocketAddr) -> Result<Admitted, Error> {
        let now = Instant::now();
        let principal = hello.authenticate(&self.service).map_err(|error| {
            // Those who come with a good token wait for nobody.
            if !self.attempts.may_try(peer.ip(), &hello.send_id, now) {
                return Error::of(Kind::Busy);
            }
            self.attempts.refused(peer.ip(), &hello.send_id, now);
            error
        })?;
        let others = self.others(&principal, hello);
        let live = self.join(&principal, hello)?;
        Ok(Admitted {
            principal,
            live,
            others,
        })
    }

    /// Takes a connection in. One of the same platform ends: it was logged in elsewhere, or is the same client's old one.
    fn join(&self, principal: &Principal, hello: &Hello) -> Result<Registration, Error> {
        let live = self.service.registry().open(Identity {
            user: principal.user.clone(),
            device: device(hello.platform),
            platform: match principal.platform {
                // A token of no platform is used on this one.
                0 => platform::native(hello.platform).unwrap_or(0),
                own => own,
            },
            transport: Transport::OpenIm,
            token: principal.token,
            business: principal.is_business(),
        })?;
        // A revocation between the authentication and now found no connection to end.
        self.service.still_stands(principal)?;
        Ok(live)
    }

    /// The tokens of the user's connections from the same platform, where they came with others.
    fn others(&self, principal: &Principal, hello: &Hello) -> Vec<KeyedHash> {
        let device = device(hello.platform);
        let live = self.service.registry().of_user(&principal.user);
        let same = live.iter().filter(|live| {
            live.transport == Transport::OpenIm && live.device == device && !live.business
        });
        let tokens = same.map(|live| live.token);
        tokens.filter(|token| *token != principal.token).collect()
    }

    /// A second login on a platform takes the first one's token away, as in the original: else the two would take turns.
    async fn log_out(&self, principal: &Principal, others: Vec<KeyedHash>) {
        for token in others {
            let which = Which::One(token);
            let user = &principal.user;
            let revoked = self
                .service
                .revoke(principal, Surface::OpenImV3, user, which)
                .await;
            if let Err(error) = revoked {
                debug!(%error, "an earlier login keeps its token");
            }
        }
    }

    async fn serve(&self, upgrade: Upgrade, peer: SocketAddr) {
        let Upgrade {
            socket,
            hello,
            admitted,
        } = upgrade;
        let socket = match socket.await {
            Ok(socket) => over(socket).await,
            Err(error) => return debug!(%peer, %error, "no upgrade"),
        };
        let Admitted {
            principal,
            live,
            others,
        } = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return refuse(socket, &error).await,
        };
        self.log_out(&principal, others).await;
        let mut stopping = self.stopping.clone();
        let parts = connection::Parts {
            service: self.service.clone(),
            device: device(hello.platform),
            codec: hello.codec.unwrap_or(Codec::Gob { gzip: false }),
            welcome: hello.wants_answer,
            left: Arc::clone(&self.left),
            online: self.online.listen(&principal.user),
            listener: self.service.listen(&principal),
            principal,
            live,
            peer,
        };
        tokio::select! {
            () = connection::serve(socket, parts) => {}
            // Connections are asked to end long before.
            () = stopping.ending() => {}
        }
    }
}

/// A request that is being upgraded.
struct Upgrade {
    socket: OnUpgrade,
    hello: Hello,
    admitted: Result<Admitted, Error>,
}

/// Somebody who may connect.
struct Admitted {
    principal: Arc<Principal>,
    live: Registration,
    /// The tokens of earlier logins on its platform.
    others: Vec<KeyedHash>,
}

/// The name of the device that a platform is: OpenIM's clients have no other.
fn device(platform: u8) -> String {
    format!("openim-{platform}")
}

async fn over(socket: Upgraded) -> WebSocketStream<TokioIo<Upgraded>> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(CLIENT_FRAME))
        .max_frame_size(Some(CLIENT_FRAME))
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER);
    WebSocketStream::from_raw_socket(TokioIo::new(socket), Role::Server, Some(config)).await
}

fn welcome(key: &[u8]) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key)) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}

fn said(error: &Error) -> String {
    let code = error.row().v3;
    serde_json::json!({ "errCode": code, "errMsg": error.row().title, "errDlt": error.detail })
        .to_string()
}

/// What a client hears that wants no first frame.
fn refusal(error: &Error) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(said(error)));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// What somebody hears who was refused too often.
fn wait() -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    answer
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("60"));
    answer
}

/// What a client hears that wants one.
async fn refuse(mut socket: WebSocketStream<TokioIo<Upgraded>>, error: &Error) {
    use futures_util::SinkExt;
    use tokio_tungstenite::tungstenite::Message as Frame;

    let farewell = async {
        socket.send(Frame::text(said(error))).await?;
        socket.close(None).await
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), farewell).await;
}
