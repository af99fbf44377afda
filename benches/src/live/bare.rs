//! quinn by itself: a server in a process of its own with Waybill's set-up of QUIC and TLS, whose connections have the streams of
//! a session and nothing else. What a session takes here is not ours to save, except by that set-up.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{Connecting, Connection, Endpoint, RecvStream, SendStream, TokioRuntime};
use waybill_core::id::{Epoch, Seq, Time};
use waybill_core::wire::{
    self, Capabilities, ClientFrame, FrameReader, Limits, MAX_BATCH, MAX_CLIENT_FRAME,
    MAX_PAGE_ENTRIES, MAX_SERVER_FRAME, Payload, TailOpened, Welcome,
};
use waybill_gateway::quic::{
    Certificate, Options, endpoint_config, enlarge_buffers, server_config,
};
use waybill_gateway::secrets::SecretDir;

use super::server::Ports;
use crate::child::{Server, free_port};
use crate::error::{Error, IoContext as _, Result};
use crate::target::{Credentials, server_error};
use crate::wire::loopback;

/// The name of the subcommand that is the server.
pub const COMMAND: &str = "bare";

/// The file in its directory that says that it listens: its fingerprint.
const READY: &str = "fingerprint";

/// Time for it to listen.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// The server's process.
pub struct Bare {
    server: Server,
    ports: Ports,
    credentials: Credentials,
}

impl Bare {
    /// Starts it with a directory below `dir`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(dir: &Path) -> Result<Self> {
        let own = std::env::current_exe().doing("finding this program")?;
        let (quic, dir) = (free_port()?, dir.join("bare"));
        std::fs::create_dir_all(&dir).doing("making a directory")?;
        let mut command = Command::new(own);
        command.arg(COMMAND).arg(&dir).arg(quic.to_string());
        let mut server = Server::start("bare quinn", "", &mut command, dir.join("log"))?;
        let until = Instant::now() + START_PATIENCE;
        let fingerprint = loop {
            server.check()?;
            match std::fs::read_to_string(dir.join(READY)) {
                Ok(text) if !text.is_empty() => break text,
                _ if Instant::now() > until => return Err(server.failure("does not listen")),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        Ok(Self {
            server,
            ports: Ports {
                quic,
                http: 0,
                ws: 0,
                ops: 0,
            },
            credentials: Credentials {
                token: String::new(),
                fingerprint,
            },
        })
    }

    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Where it listens.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// How it is known.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// What is kept of a connection.
struct Held {
    _connection: Connection,
    _to: SendStream,
    _from: RecvStream,
    _tail: SendStream,
}

/// Is the server, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub fn serve(dir: &Path, port: u16) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .doing("starting the runtime")?
        .block_on(listen(dir.to_owned(), port))
}

async fn listen(dir: PathBuf, port: u16) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| server_error(e.to_string());
    let secrets = SecretDir::open(&dir).map_err(|e| failed(&e))?;
    let certificate = Certificate::development(&secrets).map_err(|e| failed(&e))?;
    let config = server_config(&certificate, &Options::default()).map_err(|e| failed(&e))?;
    let socket = UdpSocket::bind(loopback(port)).doing("binding a socket")?;
    enlarge_buffers(&socket);
    let endpoint = Endpoint::new(
        endpoint_config(&[7; 64]),
        Some(config),
        socket,
        Arc::new(TokioRuntime),
    )
    .doing("making an endpoint")?;
    let fingerprint = certificate.fingerprint().to_string();
    std::fs::write(dir.join(READY), fingerprint).doing("saying that it listens")?;
    hold(endpoint).await;
    Ok(())
}

/// Takes connections and keeps them.
pub async fn hold(endpoint: Endpoint) {
    let held: Arc<Mutex<Vec<Held>>> = Arc::default();
    while let Some(incoming) = endpoint.accept().await {
        let Ok(connecting) = incoming.accept() else {
            continue;
        };
        let held = Arc::clone(&held);
        tokio::spawn(async move {
            if let Ok(one) = greet(connecting).await {
                held.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(one);
            }
        });
    }
}

async fn greet(connecting: Connecting) -> Result<Held> {
    let lost = |e: &dyn std::fmt::Display| server_error(e.to_string());
    let connection = connecting.await.map_err(|e| lost(&e))?;
    let (mut to, mut from) = connection.accept_bi().await.map_err(|e| lost(&e))?;
    let mut reader = FrameReader::new(MAX_CLIENT_FRAME);
    next(&mut from, &mut reader).await?;
    write(&mut to, &welcome()).await?;
    let request = match next(&mut from, &mut reader).await? {
        ClientFrame::Tail(tail) => tail.request,
        _ => return Err(server_error("another frame than a tail".into())),
    };
    let mut tail = connection.open_uni().await.map_err(|e| lost(&e))?;
    let opened = TailOpened {
        request,
        epoch: Epoch([0; 16]),
        floor: Seq(1),
        head: Seq(0),
    };
    write(&mut tail, &opened).await?;
    Ok(Held {
        _connection: connection,
        _to: to,
        _from: from,
        _tail: tail,
    })
}

fn welcome() -> Welcome {
    Welcome {
        epoch: Epoch([0; 16]),
        user: String::new(),
        head: Seq(0),
        floor: Seq(1),
        time: Time(0),
        limits: Limits {
            frame_bytes: MAX_CLIENT_FRAME as u32,
            sends_in_flight: 1,
            batch: MAX_BATCH as u32,
            pulls_in_flight: 1,
            page_entries: MAX_PAGE_ENTRIES,
            tails: 1,
            idle_ms: 30_000,
        },
        capabilities: Capabilities::NONE,
    }
}

/// The next frame. Each comes in a write of its own, so nothing is left over.
async fn next(from: &mut RecvStream, reader: &mut FrameReader) -> Result<ClientFrame> {
    loop {
        let chunk = from.read_chunk(MAX_CLIENT_FRAME, true).await;
        let chunk = chunk.map_err(|e| server_error(e.to_string()))?;
        let chunk = chunk.ok_or_else(|| server_error("the control stream has ended".into()))?;
        let mut input = &chunk.bytes[..];
        let frame = reader.next(&mut input);
        if let Some(frame) = frame.map_err(|e| server_error(e.to_string()))? {
            return ClientFrame::read(&frame).map_err(|e| server_error(e.to_string()));
        }
    }
}

async fn write<P: Payload>(to: &mut SendStream, payload: &P) -> Result<()> {
    let mut frame = Vec::new();
    wire::write(payload, MAX_SERVER_FRAME, &mut frame)
        .map_err(|e| Error::Options(format!("a frame: {e}")))?;
    let written = to.write_chunk(Bytes::from(frame)).await;
    written.map_err(|e| server_error(e.to_string()))
}
