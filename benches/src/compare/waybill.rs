//! Waybill as columns: one server on loopback, asked over HTTP or over QUIC, one message or several at a time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use waybill_client::Connection;

use super::{START_PATIENCE, Shape, System, Turn, join_all};
use crate::child::{Server, free_port};
use crate::error::{Error, IoContext as _, Result};
use crate::http1;
use crate::target::{self, Credentials, NAME, Requests, server_error};
use crate::wire::loopback;

const REMEDY: &str = "build it with: cargo build --release, or name another with --waybill";

/// Connections over which the delivered entries are counted.
const COUNTERS: u32 = 16;

/// How the server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `POST /v1/messages`, one at a time on each kept-alive connection.
    Http,
    /// Frames with one message, many in flight on each connection.
    Quic,
    /// Frames with several messages.
    QuicBatch,
}

/// The column's system.
pub struct WaybillSystem {
    program: PathBuf,
    way: Way,
    runtime: tokio::runtime::Runtime,
    running: Option<Running>,
}

struct Running {
    server: Server,
    http: SocketAddr,
    quic: SocketAddr,
    credentials: Credentials,
    version: String,
    open: Open,
}

/// Connections that wait for their turn.
enum Open {
    None,
    Http(Vec<http1::Connection>),
    Quic(Vec<Connection>),
}

impl WaybillSystem {
    /// A column that starts `program`.
    ///
    /// # Errors
    /// When the client's runtime cannot be started.
    pub fn new(program: PathBuf, way: Way) -> Result<Self> {
        Ok(Self {
            program,
            way,
            runtime: super::runtime()?,
            running: None,
        })
    }

    fn running(&self) -> Result<&Running> {
        self.running.as_ref().ok_or_else(not_started)
    }
}

fn not_started() -> Error {
    Error::Options("waybill was not started".into())
}

impl System for WaybillSystem {
    fn start(&mut self, dir: &Path) -> Result<()> {
        let version = Command::new(&self.program)
            .arg("--version")
            .output()
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => Error::Missing {
                    program: NAME,
                    path: self.program.clone(),
                    remedy: REMEDY,
                },
                _ => Error::Io {
                    what: "asking waybill for its version".into(),
                    source: e,
                },
            })?;
        let [http, quic, ws, ops] = [free_port()?, free_port()?, free_port()?, free_port()?];
        let data = dir.join("data");
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--data").arg(&data);
        for (flag, port) in [
            ("--http", http),
            ("--quic", quic),
            ("--ws", ws),
            ("--ops", ops),
        ] {
            command.arg(flag).arg(loopback(port).to_string());
        }
        let mut server = Server::start(NAME, REMEDY, &mut command, dir.join("log"))?;
        self.runtime.block_on(ready(&mut server, ops))?;
        self.running = Some(Running {
            server,
            http: loopback(http),
            quic: loopback(quic),
            credentials: Credentials::read(&data)?,
            version: String::from_utf8_lossy(&version.stdout).trim().to_owned(),
            open: Open::None,
        });
        Ok(())
    }

    fn servers(&self) -> Vec<u32> {
        self.running.iter().map(|r| r.server.pid()).collect()
    }

    fn effective(&self) -> serde_json::Value {
        let version = self.running.as_ref().map(|r| r.version.clone());
        serde_json::json!({ "version": version, "config": "default", "way": format!("{:?}", self.way) })
    }

    fn connect(&mut self, shape: Shape) -> Result<()> {
        let way = self.way;
        let Some(running) = &mut self.running else {
            return Err(not_started());
        };
        running.open = Open::None;
        let (http, quic, credentials) = (running.http, running.quic, &running.credentials);
        running.open = self.runtime.block_on(async {
            let (mut https, mut quics) = (Vec::new(), Vec::new());
            for _ in 0..shape.connections {
                match way {
                    Way::Http => https.push(target::http(http).await?),
                    Way::Quic | Way::QuicBatch => {
                        quics.push(target::quic(quic, credentials).await?)
                    }
                }
            }
            Ok::<_, Error>(if way == Way::Http {
                Open::Http(https)
            } else {
                Open::Quic(quics)
            })
        })?;
        Ok(())
    }

    fn drive(&mut self, turn: &Turn) -> Result<()> {
        let Some(running) = &mut self.running else {
            return Err(not_started());
        };
        let requests = Requests::new(running.http, &running.credentials.token);
        self.runtime.block_on(async {
            match &mut running.open {
                Open::None => Err(Error::Options("waybill was not connected".into())),
                Open::Http(open) => {
                    let tasks = open
                        .drain(..)
                        .map(|c| over_http(c, turn.clone(), requests.clone()));
                    join_all(tasks).await
                }
                Open::Quic(open) => {
                    let tasks = (0..).zip(open.iter()).flat_map(|(number, connection)| {
                        let lanes = turn.shape.requests_of(number);
                        std::iter::repeat_with(move || over_quic(connection.clone(), turn.clone()))
                            .take(lanes)
                    });
                    join_all(tasks).await
                }
            }
        })
    }

    fn stored(&mut self, turn: &Turn) -> Result<u64> {
        let running = self.running()?;
        let mut requests = Requests::new(running.http, &running.credentials.token);
        let server = running.http;
        let users = turn.pool.corpus().users();
        self.runtime.block_on(async {
            let mut connection = target::http(server).await?;
            let mut out = String::new();
            requests.send(&turn.pool, 0, false, &mut out);
            target::check_sent(connection.call(out.as_bytes()).await?)?;
            // Every user's log is asked for its head: delivered is what stands in the receivers' logs.
            let mut set = tokio::task::JoinSet::new();
            for part in 0..COUNTERS {
                set.spawn(heads(
                    server,
                    requests.clone(),
                    (part..users).step_by(COUNTERS as usize),
                ));
            }
            let mut sum = 0;
            while let Some(part) = set.join_next().await {
                sum += part.map_err(|e| Error::Options(format!("a client task failed: {e}")))??;
            }
            Ok(sum)
        })
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

/// Waits until the server says that it is ready.
pub(crate) async fn ready(server: &mut Server, ops: u16) -> Result<()> {
    let patience = Instant::now() + START_PATIENCE;
    loop {
        server.check()?;
        if let Ok(mut connection) = target::http(loopback(ops)).await {
            let answer = connection
                .call(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .await;
            if answer.is_ok_and(|a| a.status == 200) {
                return Ok(());
            }
        }
        if Instant::now() > patience {
            return Err(server.failure("is not ready"));
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// One kept-alive connection: the next request goes out when the answer to the last one is there.
async fn over_http(
    mut connection: http1::Connection,
    turn: Turn,
    mut requests: Requests,
) -> Result<()> {
    let mut out = String::new();
    let mut sent = Instant::now();
    while !turn.is_over(sent) {
        requests.send(&turn.pool, turn.take(1), false, &mut out);
        target::check_sent(connection.call(out.as_bytes()).await?)?;
        let now = Instant::now();
        turn.answered(sent, now, 1);
        sent = now;
    }
    Ok(())
}

/// One lane of a connection that many share.
async fn over_quic(connection: Connection, turn: Turn) -> Result<()> {
    let refused = |e: waybill_client::Error| target::refused(e.to_string());
    let batch = turn.shape.batch;
    let mut sent = Instant::now();
    while !turn.is_over(sent) {
        let first = turn.take(batch);
        if batch == 1 {
            connection
                .send(target::outgoing(&turn.pool, first))
                .await
                .map_err(refused)?;
        } else {
            let messages = (first..first + u64::from(batch))
                .map(|i| target::outgoing(&turn.pool, i))
                .collect();
            for answer in connection.send_batch(messages).await.map_err(refused)? {
                answer.map_err(|failure| target::refused(failure.message))?;
            }
        }
        let now = Instant::now();
        turn.answered(sent, now, u64::from(batch));
        sent = now;
    }
    Ok(())
}

/// The heads of the logs of `users`, added up.
async fn heads(
    server: SocketAddr,
    requests: Requests,
    users: impl Iterator<Item = u32>,
) -> Result<u64> {
    let mut connection = target::http(server).await?;
    let (mut sum, mut out) = (0, String::new());
    for user in users {
        requests.pull(user, 1, &mut out);
        sum += target::check_page(connection.call(out.as_bytes()).await?)?.head;
    }
    Ok(sum)
}

/// Where the server's program lies beside this one.
///
/// # Errors
/// When this program does not know where it lies itself.
pub fn beside_this_program() -> Result<PathBuf> {
    let own = std::env::current_exe().doing("finding this program")?;
    own.parent()
        .map(|dir| dir.join("waybill"))
        .ok_or_else(|| server_error("this program has no directory".into()))
}
