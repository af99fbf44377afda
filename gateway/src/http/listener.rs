//! The accept loop of HTTP/1.1 and HTTP/2: bounds, timers and TLS for every connection, and an orderly end. It knows no
//! route; each request goes to a [`Handler`].

use std::convert::Infallible;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use super::admission::{Admission, Admitted};
use super::pace::{Paced, Patience, Requests, Running};
use super::respond::Body;
use crate::config::Limits;
use crate::shutdown::Stopping;
use crate::telemetry::metrics::{Metrics, Reason, TransportLabel};

/// Longest read buffer of an HTTP/1 connection, in bytes: holds a head of the longest kind allowed, and pieces of bodies.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// How often an HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the loop rests when the system has no more file descriptors.
const REST: Duration = Duration::from_millis(50);

/// How long a peer may take nothing of its answer once the server stops.
const STUCK: Duration = Duration::from_secs(3);

/// What a connection over the bound is told.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What an answer keeps that goes on after it was given, such as a stream of events or another protocol: its connection stays
/// counted and is not taken for idle. Every request carries a [`Hold`] among its extensions.
pub struct Held {
    _running: Running,
    _connection: Arc<Connection>,
}

/// A request's way to a [`Held`].
#[derive(Clone)]
pub struct Hold {
    requests: Arc<Requests>,
    connection: Arc<Connection>,
}

impl Hold {
    /// Keeps the connection until what is given is dropped.
    #[must_use]
    pub fn begin(&self) -> Held {
        Held {
            _running: self.requests.begin(),
            _connection: Arc::clone(&self.connection),
        }
    }
}

/// A connection that is counted. It goes on for as long as anybody holds it.
struct Connection {
    _admitted: Admitted,
    open: Gauge,
    _alive: mpsc::Sender<Infallible>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// What all listeners of a server have in common.
#[derive(Clone)]
pub struct Listeners<H> {
    handler: H,
    admission: Admission,
    metrics: Arc<Metrics>,
    builder: Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    patience: Patience,
    handshake: Duration,
    stopping: Stopping,
    /// Held by every connection; when all are gone, [`Listeners::drained`] returns.
    alive: mpsc::Sender<Infallible>,
}

/// Tells when all connections of all listeners have ended.
pub struct Drained(mpsc::Receiver<Infallible>);

impl Drained {
    /// All who hold the other end.
    pub(crate) fn of(all: mpsc::Receiver<Infallible>) -> Self {
        Self(all)
    }

    /// Returns when the last listener and the last connection have ended.
    pub async fn wait(mut self) {
        while self.0.recv().await.is_some() {}
    }
}

/// Takes connections until the server stops.
pub(crate) async fn accept(
    socket: &TcpListener,
    mut stopping: Stopping,
    take: impl Fn(TcpStream, SocketAddr),
) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = stopping.draining() => return,
        };
        match accepted {
            Ok((stream, peer)) => take(stream, peer),
            Err(error) => {
                warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Begins TLS, which the peer must have done within `patience`; `None` when it has not.
pub(crate) async fn secure(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    patience: Duration,
) -> Option<TlsStream<TcpStream>> {
    match tokio::time::timeout(patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => debug!(%peer, %error, "no TLS"),
        Err(_) => debug!(%peer, "the TLS handshake took too long"),
    }
    None
}

impl<H: Handler> Listeners<H> {
    /// Takes what all listeners have in common.
    pub fn new(
        handler: H,
        limits: &Limits,
        tls: Option<TlsAcceptor>,
        metrics: Arc<Metrics>,
        stopping: Stopping,
    ) -> (Self, Drained) {
        let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        let (alive, all) = mpsc::channel(1);
        let listeners = Self {
            handler,
            admission: Admission::new(
                count(limits.connections),
                count(limits.connections_per_address),
            ),
            metrics,
            builder: builder(limits),
            tls,
            patience: Patience {
                head: Duration::from_secs(limits.header_seconds),
                idle: Duration::from_secs(limits.idle_seconds),
            },
            handshake: Duration::from_secs(limits.handshake_seconds),
            stopping,
            alive,
        };
        (listeners, Drained(all))
    }

    /// Takes connections until the server stops.
    pub async fn listen(self, socket: TcpListener) {
        let stopping = self.stopping.clone();
        accept(&socket, stopping, |stream, peer| self.take(stream, peer)).await;
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let admitted = match self.admission.admit(peer.ip()) {
            Ok(admitted) => admitted,
            Err(refused) => {
                let reason = refused.name();
                self.metrics
                    .connections_refused
                    .get_or_create(&Reason { reason })
                    .inc();
                if self.tls.is_none() {
                    refuse(stream);
                }
                return;
            }
        };
        // Answers are small and complete: nothing is gained by waiting for more.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "the connection is gone already");
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let label = TransportLabel { transport: "http" };
            let open = this.metrics.connections.get_or_create(&label).clone();
            open.inc();
            let counted = Arc::new(Connection {
                _admitted: admitted,
                open,
                _alive: this.alive.clone(),
            });
            this.serve(stream, peer, counted).await;
        });
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, counted: Arc<Connection>) {
        let Some(acceptor) = self.tls.clone() else {
            return self.converse(stream, peer, counted).await;
        };
        if let Some(stream) = secure(&acceptor, stream, peer, self.handshake).await {
            self.converse(stream, peer, counted).await;
        }
    }

    async fn converse<S>(self, stream: S, peer: SocketAddr, counted: Arc<Connection>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let requests = Arc::new(Requests::default());
        let stream = Paced::new(stream, Arc::clone(&requests), self.patience);
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Hold {
                requests: Arc::clone(&requests),
                connection: Arc::clone(&counted),
            });
            let running = requests.begin();
            let handler = self.handler.clone();
            async move {
                let response = handler.handle(request, peer).await;
                drop(running);
                Ok::<_, Infallible>(response)
            }
        });
        let mut stopping = self.stopping.clone();
        let connection = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopping.draining() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = requests.stuck(STUCK) => Ok(()),
                    () = stopping.ending() => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            debug!(%peer, %error, "the connection broke");
        }
    }
}

/// Says that there is no room. Whoever does not take it at once hears nothing: no task is spent on it.
fn refuse(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(REFUSAL);
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    let narrow = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Heads are timed by `pace`, which can tell an idle connection from a slow head.
        .header_read_timeout(None)
        .max_headers(count(limits.headers))
        .max_buf_size(MAX_BUFFER_BYTES.max(count(limits.header_bytes)))
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(narrow(limits.http2_streams))
        .max_header_list_size(narrow(limits.header_bytes))
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

#[cfg(test)]
mod tests;
