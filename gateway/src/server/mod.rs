//! The whole server: opens the log, prepares it, listens, and stops in order. What is wired to what stands here and nowhere
//! else.

mod error;
mod open;
mod prepare;
mod restore;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};
use waybill_core::id::{Hash, Position};
use waybill_log::{Log, Options as LogOptions};

use crate::config::{Config, Limits};
use crate::http::listener::{Drained, Listeners};
use crate::http::{App, examples};
use crate::openim::v3::{Online, ws};
use crate::ops::{Ops, State};
use crate::quic;
use crate::service::Service;
use crate::shutdown::{Phase, Stop, Stopping};
use crate::telemetry::LogMetrics;
use crate::telemetry::metrics::Metrics;

pub use error::{RunError, StartError};
pub use restore::restore;

/// How long the end may take for what was told to end at once.
const LAST_STEPS: Duration = Duration::from_secs(2);

/// Connections that the operators' listener takes.
const OPS_CONNECTIONS: u64 = 64;

/// What differs between the server and its tests, and who is told of a long start.
pub struct StartOptions {
    /// The log's clock, durability and observer; its sizes come from the configuration.
    pub log: LogOptions,
    /// Told how far a catch-up has come: position reached, position aimed at.
    pub progress: Box<dyn FnMut(Position, Position) + Send>,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            log: LogOptions::default(),
            progress: Box::new(|_, _| {}),
        }
    }
}

/// Where the server listens, and what else whoever started it needs to know.
#[derive(Clone, Debug)]
pub struct Started {
    /// HTTP.
    pub http: Vec<SocketAddr>,
    /// Whether HTTP is within TLS.
    pub tls: bool,
    /// The path of the page that shows notices as they come, where it is served.
    pub inbox: Option<&'static str>,
    /// QUIC.
    pub quic: SocketAddr,
    /// WebSocket, for OpenIM's clients.
    pub ws: SocketAddr,
    /// SHA-256 of the certificate of QUIC, which clients may pin.
    pub quic_fingerprint: Hash,
    /// Health and metrics.
    pub ops: SocketAddr,
    /// Where the admin token lies.
    pub admin_token: PathBuf,
}

/// A running server.
pub struct Server {
    started: Started,
    service: Service,
    ops: Ops,
    log: Log,
    ended: watch::Receiver<Option<String>>,
    drain: Duration,
    stop: Stop,
    drained: Drained,
    quic: JoinHandle<()>,
    ws_drained: Drained,
    fanout: JoinHandle<()>,
    cursors: JoinHandle<()>,
    ops_stop: Stop,
    ops_drained: Drained,
}

/// The sockets, bound before anything slow is done, so that a taken address is known at once.
struct Sockets {
    http: Vec<TcpListener>,
    ws: TcpListener,
    ops: TcpListener,
}

impl Server {
    /// Starts a server. Its operators' listener answers while the log is being opened.
    ///
    /// # Errors
    /// When an address is taken, a secret or certificate cannot be had, or the log cannot be opened.
    pub async fn start(config: Config, options: StartOptions) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let limits = &config.limits;
        let sockets = Sockets::bind(&config).await?;
        let log_metrics = Arc::new(LogMetrics::default());
        let mut metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        metrics
            .registry_mut()
            .register_collector(Box::new(Arc::clone(&log_metrics)));
        let metrics = Arc::new(metrics);
        let ops = Ops::new(Arc::clone(&metrics), config.data.clone());
        let ops_address = sockets
            .ops
            .local_addr()
            .map_err(StartError::address(config.listen.ops))?;
        let (ops_stop, ops_drained) = serve_ops(&ops, &metrics, sockets.ops);

        let open::Opened {
            log,
            service,
            secrets,
        } = open::open(&config, options, &metrics, &log_metrics).await?;
        ops.opened(log.reader(), log.control());
        prepare::prepare(&service, &secrets).await?;

        let (stop, stopping) = Stop::new();
        let tls = open::tls(&config)?;
        let is_tls = tls.is_some();
        let online = Online::default();
        let app = App::new(service.clone(), online.clone());
        let (listeners, drained) =
            Listeners::new(app, limits, tls, Arc::clone(&metrics), stopping.clone());
        let mut http = Vec::new();
        for socket in sockets.http {
            http.push(
                socket
                    .local_addr()
                    .map_err(StartError::address(config.listen.quic))?,
            );
            tokio::spawn(listeners.clone().listen(socket));
        }
        drop(listeners);
        let ws_address = sockets.ws.local_addr();
        let ws_address = ws_address.map_err(StartError::address(config.listen.ws))?;
        let ws_tls = open::tls(&config)?;
        let (clients, ws_drained) =
            ws::Gateway::new(service.clone(), online, ws_tls, stopping.clone());
        tokio::spawn(clients.listen(sockets.ws));
        let (quic, quic_address, quic_fingerprint) =
            serve_quic(&config, &secrets, &service, stopping.clone())?;
        let fanout = {
            let (service, stopping) = (service.clone(), stopping.clone());
            tokio::spawn(async move { service.fan_out(stopping).await })
        };
        {
            let (service, stopping) = (service.clone(), stopping.clone());
            tokio::spawn(async move { service.keep_time(stopping).await });
        }
        let cursors = {
            let service = service.clone();
            tokio::spawn(async move { service.hand_over_cursors(stopping).await })
        };
        ops.enter(State::Ready);
        Ok(Self {
            started: Started {
                http,
                tls: is_tls,
                inbox: config.is_development().then_some(examples::INBOX),
                quic: quic_address,
                ws: ws_address,
                quic_fingerprint,
                ops: ops_address,
                admin_token: secrets.admin_token_path(),
            },
            ended: log.ended(),
            drain: Duration::from_secs(limits.drain_seconds),
            service,
            ops,
            log,
            stop,
            drained,
            quic,
            ws_drained,
            fanout,
            cursors,
            ops_stop,
            ops_drained,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn started(&self) -> &Started {
        &self.started
    }

    /// What can be asked of it, without a transport.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Serves until `stop` is ready, then stops in order: from the edge to the disk.
    ///
    /// # Errors
    /// When the log failed; then nothing more was answered, and the process should end with an error.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), RunError> {
        let failed = tokio::select! {
            () = stop => false,
            _ = self.ended.wait_for(Option::is_some) => true,
        };
        self.ops.enter(State::Stopping);
        info!(failed, "the server stops");
        // Long polls and live connections are asked to end; they answer what they owe.
        self.service.registry().stop();
        self.stop.enter(Phase::Draining);
        // After a failure everybody gets an answer at once, and nothing is worth waiting for.
        let drain = if failed { LAST_STEPS } else { self.drain };
        // One time for all: they drain side by side.
        let until = Instant::now() + drain;
        if timeout_at(until, self.drained.wait()).await.is_err() {
            warn!("some requests did not end in time");
        }
        if timeout_at(until, self.ws_drained.wait()).await.is_err() {
            warn!("some clients did not leave in time");
        }
        let left = until.saturating_duration_since(Instant::now());
        finish("quic", self.quic, left + LAST_STEPS).await;
        self.stop.enter(Phase::Ending);
        finish("fan-out", self.fanout, LAST_STEPS).await;
        finish("cursors", self.cursors, LAST_STEPS).await;
        self.service.close();
        self.ops.closing();
        let log = self.log;
        let result = match tokio::task::spawn_blocking(move || log.join()).await {
            Ok(result) => result.map_err(RunError::Log),
            Err(_) => Err(RunError::Panicked),
        };
        if let Err(error) = &result {
            error!(%error, "the log has failed");
        }
        self.ops_stop.enter(Phase::Ending);
        let _ = tokio::time::timeout(LAST_STEPS, self.ops_drained.wait()).await;
        result
    }
}

/// Waits for a task that was told to end.
async fn finish(name: &'static str, mut task: JoinHandle<()>, patience: Duration) {
    if tokio::time::timeout(patience, &mut task).await.is_err() {
        warn!(name, "did not end in time");
        task.abort();
    }
}

impl Sockets {
    async fn bind(config: &Config) -> Result<Self, StartError> {
        let mut http = Vec::new();
        for address in &config.listen.http {
            http.push(
                TcpListener::bind(address)
                    .await
                    .map_err(StartError::address(*address))?,
            );
        }
        let ops = config.listen.ops;
        let ops = TcpListener::bind(ops)
            .await
            .map_err(StartError::address(ops))?;
        let ws = config.listen.ws;
        let ws = TcpListener::bind(ws)
            .await
            .map_err(StartError::address(ws))?;
        Ok(Self { http, ws, ops })
    }
}

fn serve_ops(ops: &Ops, metrics: &Arc<Metrics>, socket: TcpListener) -> (Stop, Drained) {
    let limits = Limits {
        connections: OPS_CONNECTIONS,
        connections_per_address: OPS_CONNECTIONS,
        ..Limits::default()
    };
    let (stop, stopping) = Stop::new();
    let (listeners, drained) =
        Listeners::new(ops.clone(), &limits, None, Arc::clone(metrics), stopping);
    tokio::spawn(listeners.listen(socket));
    (stop, drained)
}

fn serve_quic(
    config: &Config,
    secrets: &crate::secrets::SecretDir,
    service: &Service,
    mut stopping: Stopping,
) -> Result<(JoinHandle<()>, SocketAddr, Hash), StartError> {
    let limits = &config.limits;
    let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    let options = quic::Options {
        connections: count(limits.live_connections),
        connections_per_address: count(limits.connections_per_address),
        handshake: Duration::from_secs(limits.handshake_seconds),
        drain: Duration::from_secs(limits.drain_seconds),
        ..quic::Options::default()
    };
    let certificate = match &config.tls {
        Some(tls) => quic::Certificate::from_files(&tls.cert, &tls.key)?,
        None => quic::Certificate::development(secrets)?,
    };
    let reset_key = secrets.key::<64>("quic.reset")?;
    let listener = quic::Listener::bind(
        config.listen.quic,
        &certificate,
        reset_key.expose(),
        options,
        Arc::new(service.clone()),
    )?;
    let address = listener.address();
    let task = tokio::spawn(listener.run(async move { stopping.draining().await }));
    Ok((task, address, certificate.fingerprint()))
}
