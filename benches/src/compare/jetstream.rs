//! NATS JetStream: three servers on loopback, one replicated file stream, synced before every answer.
//!
//! Equal work is one atomic batch per request: for each message the ledger message with its dedup key, and the entry
//! on the receiver's subject. The head of a user is what the server keeps per subject.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::nats_client::{Client, Event, parse_json};
use super::nats_cluster::{NODES, Node, configuration, prepare};
use super::{Shape, System, Turn, join_all};
use crate::child::Server;
use crate::error::{Error, IoContext as _, Result};

/// The system's name in errors.
pub const NAME: &str = "jetstream";
/// How to get the server.
pub const REMEDY: &str =
    "fetch the pinned one with benches/scripts/fetch-nats.sh, or name another with --nats-server";

/// Most messages of a batch that the server takes by default.
const MAX_BATCH_MESSAGES: u32 = 1_000;
/// The answer to a key that is already stored, inside a batch.
const DUPLICATE_CODE: u64 = 10_201;

/// The column's system.
pub struct JetStreamSystem {
    program: PathBuf,
    runtime: tokio::runtime::Runtime,
    running: Option<Running>,
}

struct Running {
    servers: Vec<Server>,
    /// The client port of the stream's leader.
    leader: u16,
    effective: serde_json::Value,
    clients: Vec<Client>,
}

impl JetStreamSystem {
    /// A column that starts `program` three times.
    ///
    /// # Errors
    /// When the client's runtime cannot be started.
    pub fn new(program: PathBuf) -> Result<Self> {
        Ok(Self {
            program,
            runtime: super::runtime()?,
            running: None,
        })
    }

    fn leader(&self) -> Result<u16> {
        self.running
            .as_ref()
            .map(|r| r.leader)
            .ok_or_else(not_started)
    }
}

fn not_started() -> Error {
    Error::Options("jetstream was not started".into())
}

impl System for JetStreamSystem {
    fn start(&mut self, dir: &Path) -> Result<()> {
        let nodes = (0..NODES)
            .map(|_| Node::new())
            .collect::<Result<Vec<_>>>()?;
        let mut servers = Vec::with_capacity(NODES);
        for number in 0..NODES {
            let home = dir.join(format!("n{number}"));
            std::fs::create_dir_all(&home).doing(format!("creating {}", home.display()))?;
            let config = home.join("nats.conf");
            std::fs::write(&config, configuration(&nodes, number, &home.join("store")))
                .doing("writing nats.conf")?;
            let mut command = Command::new(&self.program);
            command.arg("-c").arg(&config);
            servers.push(Server::start(NAME, REMEDY, &mut command, home.join("log"))?);
        }
        let (leader, effective) = self.runtime.block_on(prepare(&mut servers, &nodes))?;
        self.running = Some(Running {
            servers,
            leader,
            effective,
            clients: Vec::new(),
        });
        Ok(())
    }

    fn servers(&self) -> Vec<u32> {
        self.running
            .iter()
            .flat_map(|r| r.servers.iter().map(Server::pid))
            .collect()
    }

    fn effective(&self) -> serde_json::Value {
        self.running
            .as_ref()
            .map_or(serde_json::Value::Null, |r| r.effective.clone())
    }

    fn connect(&mut self, shape: Shape) -> Result<()> {
        if shape.batch * 2 > MAX_BATCH_MESSAGES {
            return Err(Error::Options(format!(
                "jetstream takes {MAX_BATCH_MESSAGES} messages in a batch, two for each send: --batch at most {}",
                MAX_BATCH_MESSAGES / 2
            )));
        }
        let Some(running) = &mut self.running else {
            return Err(not_started());
        };
        let port = running.leader;
        running.clients = self.runtime.block_on(async {
            let mut clients = Vec::new();
            for number in 0..shape.connections {
                clients.push(Client::open(port, number).await?);
            }
            Ok::<_, Error>(clients)
        })?;
        Ok(())
    }

    fn drive(&mut self, turn: &Turn) -> Result<()> {
        let Some(running) = &mut self.running else {
            return Err(not_started());
        };
        let senders = (0..)
            .zip(running.clients.drain(..))
            .map(|(connection, client)| {
                Sender {
                    client,
                    turn: turn.clone(),
                    requests: turn.shape.requests_of(connection),
                }
                .run()
            });
        self.runtime.block_on(join_all(senders))
    }

    fn stored(&mut self, turn: &Turn) -> Result<u64> {
        let port = self.leader()?;
        self.runtime.block_on(async {
            let mut client = Client::open(port, super::MAX_CONNECTIONS).await?;
            let mut out = Vec::new();
            client.encode(&mut out, &turn.pool, 0, 1, 0);
            client.wire.write(&out).await?;
            let again: serde_json::Value = parse_json(&client.answer().await?)?;
            if again["error"]["err_code"] != DUPLICATE_CODE {
                return Err(Error::Server {
                    system: NAME,
                    detail: format!("took a key twice: {again}"),
                });
            }
            let info = client.ask("$JS.API.STREAM.INFO.WAYBILL", b"").await?;
            let messages = info["state"]["messages"]
                .as_u64()
                .ok_or_else(|| Error::Server {
                    system: NAME,
                    detail: format!("no message count in {info}"),
                })?;
            // Ledger message and receiver entry.
            Ok(messages / 2)
        })
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

/// One pipelined connection: answers name the slot they belong to.
struct Sender {
    client: Client,
    turn: Turn,
    requests: usize,
}

impl Sender {
    async fn run(mut self) -> Result<()> {
        let batch = self.turn.shape.batch;
        let mut slots: Vec<Option<Instant>> = vec![None; self.requests];
        let mut free: Vec<usize> = (0..self.requests).collect();
        let mut out = Vec::new();
        loop {
            let now = Instant::now();
            while !self.turn.is_over(now) {
                let Some(slot) = free.pop() else { break };
                self.client.encode(
                    &mut out,
                    &self.turn.pool,
                    self.turn.take(batch),
                    batch,
                    slot,
                );
                slots[slot] = Some(now);
            }
            let outstanding = self.requests - free.len();
            if outstanding == 0 {
                return Ok(());
            }
            if !out.is_empty() {
                self.client.wire.write(&out).await?;
                out.clear();
            }
            self.client.wire.read(outstanding).await?;
            let now = Instant::now();
            while let Some(event) = self.client.poll()? {
                match event {
                    Event::Answer(slot, payload) => {
                        let sent = slots.get_mut(slot).and_then(Option::take);
                        let sent = sent.ok_or_else(|| unexpected(&payload))?;
                        check(&payload)?;
                        self.turn.answered(sent, now, u64::from(batch));
                        free.push(slot);
                    }
                    Event::Ping => out.extend_from_slice(b"PONG\r\n"),
                    Event::Pong => {}
                }
            }
        }
    }
}

fn unexpected(payload: &[u8]) -> Error {
    Error::Server {
        system: NAME,
        detail: format!("an unasked answer: {}", String::from_utf8_lossy(payload)),
    }
}

/// An answer that is not a plain success is a refusal. A search, not a parse: the answer is read for every send.
fn check(payload: &[u8]) -> Result<()> {
    let has = |needle: &[u8]| payload.windows(needle.len()).any(|w| w == needle);
    if has(b"\"error\"") || has(b"\"duplicate\"") || !has(b"\"seq\"") {
        return Err(Error::Refused {
            system: NAME,
            detail: String::from_utf8_lossy(payload).into_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn answers_are_successes_or_refusals() {
        assert!(check(br#"{"stream":"W","seq":4,"batch":"1-2","count":2}"#).is_ok());
        assert!(check(br#"{"error":{"code":400},"stream":"W","seq":0}"#).is_err());
        assert!(check(br#"{"stream":"W","seq":4,"duplicate": true}"#).is_err());
        assert!(check(b"").is_err());
    }
}
