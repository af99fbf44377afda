//! The socket: takes connections in, turns them away, and stops.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quinn::{Endpoint, Incoming, TokioRuntime, VarInt};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use waybill_core::wire::Code;

use super::certificate::Certificate;
use super::connection;
use super::gate::{Gate, Verdict};
use super::options::Options;
use super::service::Service;
use super::transport::{self, ResetKey};

/// Time, after everything was said, for the last packets to leave.
const LAST_PACKETS: Duration = Duration::from_secs(1);

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address} (UDP): {error}")]
    Socket {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The certificate or an option does not fit.
    #[error("QUIC cannot be set up: {0}")]
    Setup(String),
}

/// What the listener has counted since it began.
#[derive(Debug)]
pub struct Counters {
    /// Connections let in.
    pub accepted: AtomicU64,
    /// Newcomers that were asked to prove their address.
    pub retried: AtomicU64,
    /// Newcomers turned away for want of room.
    pub refused: AtomicU64,
    /// Connections let in that never got as far as a welcome.
    pub failed: AtomicU64,
    gate: Gate,
}

impl Counters {
    /// Connections open now, those in handshake included.
    #[must_use]
    pub fn open(&self) -> usize {
        self.gate.open()
    }
}

/// What all connections share.
pub(super) struct Context<S> {
    pub service: Arc<S>,
    pub options: Options,
    pub counters: Arc<Counters>,
    /// Whether the server is stopping.
    pub stopping: watch::Receiver<bool>,
}

/// A bound socket.
pub struct Listener<S> {
    endpoint: Endpoint,
    address: SocketAddr,
    context: Arc<Context<S>>,
    stop: watch::Sender<bool>,
}

impl<S: Service> Listener<S> {
    /// Binds the socket. Nothing is answered before [`Self::run`].
    ///
    /// # Errors
    /// When the address cannot be had or the certificate does not fit. Must be called within a runtime.
    pub fn bind(
        address: SocketAddr,
        certificate: &Certificate,
        reset_key: &ResetKey,
        options: Options,
        service: Arc<S>,
    ) -> Result<Self, BindError> {
        let config = transport::endpoint_config(reset_key);
        let server = transport::server_config(certificate, &options)?;
        let failed = |error| BindError::Socket { address, error };
        let socket = UdpSocket::bind(address).map_err(failed)?;
        transport::enlarge_buffers(&socket);
        let bound = socket.local_addr().map_err(failed)?;
        let endpoint =
            Endpoint::new(config, Some(server), socket, Arc::new(TokioRuntime)).map_err(failed)?;
        let gate = Gate::new(options.connections, options.connections_per_address);
        let (stop, stopping) = watch::channel(false);
        let counters = Arc::new(Counters {
            accepted: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            gate,
        });
        let context = Arc::new(Context {
            service,
            options,
            counters,
            stopping,
        });
        Ok(Self {
            endpoint,
            address: bound,
            context,
            stop,
        })
    }

    /// Where it listens: with the port that was found when the address asked for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it counts.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.context.counters)
    }

    /// Serves until `stop` is ready; then takes no more connections, lets those there are finish what they owe, within the
    /// drain time, and closes the socket.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        // Nothing is sent: when all senders are gone, all connections are.
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => self.take(incoming, alive.clone()),
                    None => break,
                },
            }
        }
        drop(alive);
        self.stop.send_replace(true);
        let drain = self.context.options.drain + LAST_PACKETS;
        let turn_away = async {
            // A newcomer who hears nothing would wait for long; one who is refused goes elsewhere.
            while let Some(incoming) = self.endpoint.accept().await {
                incoming.refuse();
            }
        };
        tokio::select! {
            // Who is not done by then is cut off.
            _ = timeout(drain, all_gone.recv()) => {}
            () = turn_away => {}
        }
        self.endpoint
            .close(VarInt::from(Code::STOPPING.0), b"the server is stopping");
        let _ = timeout(LAST_PACKETS, self.endpoint.wait_idle()).await;
    }

    /// Lets a newcomer in or turns it away. Never waits: each connection has a task of its own, so that a slow one holds
    /// nobody up.
    fn take(&self, incoming: Incoming, alive: mpsc::Sender<()>) {
        let counters = &self.context.counters;
        let validated = incoming.remote_address_validated();
        match counters
            .gate
            .knock(incoming.remote_address().ip(), validated)
        {
            Verdict::Enter(permit) => {
                // An error here is a first packet that is no handshake.
                let Ok(connecting) = incoming.accept() else {
                    return;
                };
                counters.accepted.fetch_add(1, Ordering::Relaxed);
                let context = Arc::clone(&self.context);
                tokio::spawn(connection::run(
                    Box::new(connecting),
                    permit,
                    context,
                    alive,
                ));
            }
            Verdict::Retry => {
                counters.retried.fetch_add(1, Ordering::Relaxed);
                // It fails only for a newcomer that was validated, and such is never told to retry.
                let _ = incoming.retry();
            }
            Verdict::Full => {
                counters.refused.fetch_add(1, Ordering::Relaxed);
                incoming.refuse();
            }
        }
    }
}
