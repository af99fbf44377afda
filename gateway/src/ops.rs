//! The operators' listener: whether the process lives, whether it serves, what it counts, and copies for auditors. It has a
//! socket of its own, so that it answers when nothing else does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response};
use parking_lot::Mutex;
use serde::Serialize;
use tracing::{error, info};
use waybill_log::{ControlHandle, Reader};

use crate::error::{Error, Kind, ProblemOptions};
use crate::http::listener::Handler;
use crate::http::respond::{self, Body};
use crate::random;
use crate::service::now;
use crate::telemetry::metrics::{MEDIA_TYPE, Metrics};

/// Most copies that may lie in the data directory; whoever asked for one removes it.
const MAX_SNAPSHOTS: usize = 8;

/// Below the data directory: where copies lie.
const SNAPSHOTS: &str = "snapshots";

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It opens the log, and applies what a crash left behind.
    Starting,
    /// It serves.
    Ready,
    /// It stops.
    Stopping,
}

/// What operators may ask.
#[derive(Clone)]
pub struct Ops(Arc<Inner>);

struct Inner {
    state: AtomicU8,
    metrics: Arc<Metrics>,
    data: PathBuf,
    /// `None` until the log is open, and again when it closes.
    log: Mutex<Option<(Reader, ControlHandle)>>,
}

#[derive(Serialize)]
struct Ready<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<u64>,
}

#[derive(Serialize)]
struct Snapshot<'a> {
    path: &'a str,
    position: u64,
}

impl Ops {
    /// A server that starts.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, data: PathBuf) -> Self {
        let state = AtomicU8::new(State::Starting as u8);
        Self(Arc::new(Inner {
            state,
            metrics,
            data,
            log: Mutex::new(None),
        }))
    }

    /// The log is open.
    pub fn opened(&self, reader: Reader, control: ControlHandle) {
        *self.0.log.lock() = Some((reader, control));
    }

    /// The log closes: nothing holds on to it from here.
    pub fn closing(&self) {
        self.0.log.lock().take();
    }

    /// Says how far the server is.
    pub fn enter(&self, state: State) {
        self.0.state.store(state as u8, Ordering::Release);
    }

    /// Whether it serves, and if not, why.
    fn ready(&self) -> Response<Body> {
        let reader = self.0.log.lock().as_ref().map(|(reader, _)| reader.clone());
        let state = self.0.state.load(Ordering::Acquire);
        let status = match (&reader, state) {
            (Some(reader), _) if reader.is_stopped() => "the log has failed",
            (_, state) if state == State::Starting as u8 => "starting",
            (_, state) if state == State::Stopping as u8 => "stopping",
            _ => "ready",
        };
        let durable = reader.map(|reader| reader.durable().0);
        json(
            if status == "ready" { 200 } else { 503 },
            &Ready { status, durable },
        )
    }

    /// A copy of both stores at one position, below the data directory. The media type is asked for because no web page
    /// can send it here without the server's consent.
    async fn snapshot(&self, request: &Request<Incoming>) -> Response<Body> {
        let media_type = request
            .headers()
            .get(CONTENT_TYPE)
            .map(|value| value.as_bytes());
        if media_type != Some(b"application/json") {
            let text = "a snapshot is asked for with Content-Type: application/json";
            return refused(&Error::new(Kind::Encoding, text));
        }
        let Some((_, control)) = self.0.log.lock().clone() else {
            return refused(&Error::of(Kind::Stopping));
        };
        let directory = self.0.data.join(SNAPSHOTS);
        let taken = tokio::task::spawn_blocking(move || take_snapshot(&directory, &control)).await;
        match taken.unwrap_or_else(|_| Err(Error::of(Kind::Internal))) {
            Ok((path, position)) => {
                let path = path.display().to_string();
                info!(path, position, "a snapshot was taken");
                json(
                    200,
                    &Snapshot {
                        path: &path,
                        position,
                    },
                )
            }
            Err(error) => refused(&error),
        }
    }
}

fn take_snapshot(
    directory: &std::path::Path,
    control: &ControlHandle,
) -> Result<(PathBuf, u64), Error> {
    let failed = |what: &dyn std::fmt::Display| {
        error!(error = %what, "no snapshot");
        Error::new(Kind::Internal, "the snapshot failed; the log line says why")
    };
    std::fs::create_dir_all(directory).map_err(|error| failed(&error))?;
    let there = std::fs::read_dir(directory)
        .map_err(|error| failed(&error))?
        .count();
    if there >= MAX_SNAPSHOTS {
        let text = format!(
            "{there} snapshots lie in {}: remove those that are no longer needed",
            directory.display()
        );
        return Err(Error::new(Kind::Busy, text));
    }
    let name = format!("{}-{}", now().0, hex::encode(random::bytes::<4>()?));
    let path = directory.join(name);
    let position = control
        .snapshot(path.clone())
        .map_err(|error| failed(&error))?;
    let path = path.canonicalize().unwrap_or(path);
    Ok((path, position.0))
}

impl Handler for Ops {
    async fn handle(&self, request: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/livez") => respond::with(200, "text/plain", &b"ok"[..]),
            (&Method::GET, "/readyz") => self.ready(),
            (&Method::GET, "/metrics") => match self.0.metrics.render() {
                Ok(text) => respond::with(200, MEDIA_TYPE, text),
                Err(_) => refused(&Error::of(Kind::Internal)),
            },
            (&Method::POST, "/snapshot") => self.snapshot(&request).await,
            (_, "/livez" | "/readyz" | "/metrics" | "/snapshot") => {
                refused(&Error::of(Kind::Method))
            }
            _ => refused(&Error::of(Kind::NoRoute)),
        }
    }
}

fn json<T: Serialize>(status: u16, body: &T) -> Response<Body> {
    respond::json(status, serde_json::to_vec(body).unwrap_or_default())
}

fn refused(error: &Error) -> Response<Body> {
    respond::error(error, &ProblemOptions::default())
}
