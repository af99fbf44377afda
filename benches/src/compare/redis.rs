//! Redis Streams: Debian's server with an append-only file synced before every answer.
//!
//! Equal work is one Lua script per request: dedup check, ledger entry, head, receiver entry, dedup row. The bare
//! `XADD` does only the ledger entry and is shown for orientation.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::resp::{self, Reply};
use super::{START_PATIENCE, Shape, System, Turn, join_all};
use crate::child::{Server, free_port};
use crate::error::{Error, IoContext as _, Result};
use crate::wire::{Wire, loopback};

const NAME: &str = "redis";
const REMEDY: &str = "install it with: apt-get install redis-server";

/// The equal work, for one message or several: ARGV is key, user, body, again and again. Answers the first answer of
/// each key: the ledger's id and the receiver's sequence number.
const SCRIPT: &str = "\
local out = {}
for i = 1, #ARGV, 3 do
  local dedup, user = 'd:' .. ARGV[i], ARGV[i + 1]
  local answer = redis.call('GET', dedup)
  if not answer then
    local id = redis.call('XADD', KEYS[1], '*', 'u', user, 'b', ARGV[i + 2])
    local seq = redis.call('HINCRBY', KEYS[2], user, 1)
    redis.call('RPUSH', 'u:' .. user, id)
    answer = id .. ' ' .. seq
    redis.call('SET', dedup, answer)
  end
  out[#out + 1] = answer
end
return out";

/// What is asked of Redis per message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The script: as much as the other columns do.
    Script,
    /// A bare `XADD` of the body: no dedup, no receiver, no head.
    Xadd,
}

/// The column's system.
pub struct RedisSystem {
    program: PathBuf,
    work: Work,
    runtime: tokio::runtime::Runtime,
    running: Option<Running>,
}

struct Running {
    server: Server,
    port: u16,
    sha: Vec<u8>,
    effective: serde_json::Value,
    wires: Vec<Wire>,
}

impl RedisSystem {
    /// A column that starts `program`.
    ///
    /// # Errors
    /// When the client's runtime cannot be started.
    pub fn new(program: PathBuf, work: Work) -> Result<Self> {
        Ok(Self {
            program,
            work,
            runtime: super::runtime()?,
            running: None,
        })
    }

    fn running(&self) -> Result<&Running> {
        self.running.as_ref().ok_or_else(not_started)
    }
}

fn not_started() -> Error {
    Error::Options("redis was not started".into())
}

impl System for RedisSystem {
    fn start(&mut self, dir: &Path) -> Result<()> {
        let port = free_port()?;
        let mut command = Command::new(&self.program);
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--daemonize",
            "no",
        ]);
        command.args([
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
        ]);
        // A rewrite in the middle of a turn would be measured too; the file starts empty each time.
        command
            .args(["--auto-aof-rewrite-percentage", "0", "--dir"])
            .arg(dir);
        let mut server = Server::start(NAME, REMEDY, &mut command, dir.join("redis.log"))?;
        let (sha, effective) = self.runtime.block_on(async {
            let mut wire = connect(&mut server, port).await?;
            prepare(&mut wire).await
        })?;
        self.running = Some(Running {
            server,
            port,
            sha,
            effective,
            wires: Vec::new(),
        });
        Ok(())
    }

    fn servers(&self) -> Vec<u32> {
        self.running.iter().map(|r| r.server.pid()).collect()
    }

    fn effective(&self) -> serde_json::Value {
        self.running
            .as_ref()
            .map_or(serde_json::Value::Null, |r| r.effective.clone())
    }

    fn connect(&mut self, shape: Shape) -> Result<()> {
        let Some(running) = &mut self.running else {
            return Err(not_started());
        };
        let port = running.port;
        running.wires = self.runtime.block_on(async {
            let mut wires = Vec::new();
            for _ in 0..shape.connections {
                wires.push(Wire::open(NAME, loopback(port)).await?);
            }
            Ok::<_, Error>(wires)
        })?;
        Ok(())
    }

    fn drive(&mut self, turn: &Turn) -> Result<()> {
        let Some(running) = &mut self.running else {
            return Err(not_started());
        };
        let (sha, work) = (&running.sha, self.work);
        let senders = (0..)
            .zip(running.wires.drain(..))
            .map(|(connection, wire)| {
                let requests = turn.shape.requests_of(connection);
                Sender {
                    wire,
                    turn: turn.clone(),
                    work,
                    sha: sha.clone(),
                    requests,
                }
                .run()
            });
        self.runtime.block_on(join_all(senders))
    }

    fn stored(&mut self, turn: &Turn) -> Result<u64> {
        let Running { port, sha, .. } = self.running()?;
        self.runtime.block_on(async {
            let mut wire = Wire::open(NAME, loopback(*port)).await?;
            if self.work == Work::Script {
                let mut out = Vec::new();
                encode(&mut out, self.work, sha, &turn.pool, 0, 1);
                wire.write(&out).await?;
                refuse_errors(receive(&mut wire, 1).await?)?;
            }
            match call(&mut wire, &[b"XLEN", b"ledger"]).await? {
                Reply::Integer(n) => Ok(u64::try_from(n).unwrap_or(0)),
                other => Err(Error::Server {
                    system: NAME,
                    detail: format!("XLEN answered {other:?}"),
                }),
            }
        })
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

/// Connects as soon as the server listens.
async fn connect(server: &mut Server, port: u16) -> Result<Wire> {
    let patience = Instant::now() + START_PATIENCE;
    loop {
        server.check()?;
        match Wire::open(NAME, loopback(port)).await {
            Ok(wire) => return Ok(wire),
            Err(_) if Instant::now() < patience => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await
            }
            Err(e) => return Err(e),
        }
    }
}

/// Loads the script and asks the server whether it is as durable as the column says.
async fn prepare(wire: &mut Wire) -> Result<(Vec<u8>, serde_json::Value)> {
    let Reply::Bulk(sha) = call(wire, &[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()]).await? else {
        return Err(Error::Server {
            system: NAME,
            detail: "SCRIPT LOAD did not answer a hash".into(),
        });
    };
    let mut effective = serde_json::Map::new();
    for (name, wanted) in [
        ("appendonly", Some("yes")),
        ("appendfsync", Some("always")),
        ("io-threads", None),
    ] {
        let value = match call(wire, &[b"CONFIG", b"GET", name.as_bytes()]).await? {
            Reply::Array(pair) => pair.into_iter().nth(1),
            _ => None,
        };
        let Some(Reply::Bulk(value)) = value else {
            return Err(Error::Server {
                system: NAME,
                detail: format!("CONFIG GET {name} answered nothing"),
            });
        };
        let value = String::from_utf8_lossy(&value).into_owned();
        if wanted.is_some_and(|wanted| wanted != value) {
            return Err(Error::Server {
                system: NAME,
                detail: format!("{name} is {value}: not as durable as stated"),
            });
        }
        effective.insert(name.to_owned(), value.into());
    }
    if let Reply::Bulk(info) = call(wire, &[b"INFO", b"server"]).await? {
        let info = String::from_utf8_lossy(&info).into_owned();
        let version = info
            .lines()
            .find_map(|l| l.strip_prefix("redis_version:"))
            .unwrap_or("unknown");
        effective.insert("version".to_owned(), version.trim().into());
    }
    Ok((sha, effective.into()))
}

/// One request, one reply; errors become [`Error::Refused`].
async fn call(wire: &mut Wire, arguments: &[&[u8]]) -> Result<Reply> {
    let mut out = Vec::new();
    resp::request(&mut out, arguments);
    wire.write(&out).await?;
    refuse_errors(receive(wire, 1).await?)
}

async fn receive(wire: &mut Wire, outstanding: usize) -> Result<Reply> {
    loop {
        if let Some(reply) = next_reply(wire)? {
            return Ok(reply);
        }
        wire.read(outstanding).await?;
    }
}

/// The next complete reply among the pending bytes.
fn next_reply(wire: &mut Wire) -> Result<Option<Reply>> {
    let parsed = resp::parse(wire.pending()).map_err(|e| Error::Server {
        system: NAME,
        detail: e.to_string(),
    })?;
    Ok(parsed.map(|(reply, length)| {
        wire.consume(length);
        reply
    }))
}

fn refuse_errors(reply: Reply) -> Result<Reply> {
    match reply {
        Reply::Error(detail) => Err(Error::Refused {
            system: NAME,
            detail,
        }),
        other => Ok(other),
    }
}

/// Appends the request for `batch` messages from `first` on.
fn encode(
    out: &mut Vec<u8>,
    work: Work,
    sha: &[u8],
    pool: &crate::corpus::Pool,
    first: u64,
    batch: u32,
) {
    match work {
        Work::Xadd => resp::request(out, &[b"XADD", b"ledger", b"*", b"b", pool.body(first)]),
        Work::Script => {
            resp::header(out, b'*', 5 + 3 * batch as usize);
            for argument in [&b"EVALSHA"[..], sha, b"2", b"ledger", b"heads"] {
                resp::bulk(out, argument);
            }
            for index in first..first + u64::from(batch) {
                resp::bulk(out, &pool.corpus().key(index));
                resp::bulk(
                    out,
                    crate::corpus::user_id(pool.corpus().receiver(index)).as_bytes(),
                );
                resp::bulk(out, pool.body(index));
            }
        }
    }
}

/// One pipelined connection: answers come in the order of the requests.
struct Sender {
    wire: Wire,
    turn: Turn,
    work: Work,
    sha: Vec<u8>,
    requests: usize,
}

impl Sender {
    async fn run(mut self) -> Result<()> {
        let batch = self.turn.shape.batch;
        let mut outstanding: VecDeque<Instant> = VecDeque::with_capacity(self.requests);
        let mut out = Vec::new();
        loop {
            out.clear();
            let now = Instant::now();
            while outstanding.len() < self.requests && !self.turn.is_over(now) {
                encode(
                    &mut out,
                    self.work,
                    &self.sha,
                    &self.turn.pool,
                    self.turn.take(batch),
                    batch,
                );
                outstanding.push_back(now);
            }
            if outstanding.is_empty() {
                return Ok(());
            }
            if !out.is_empty() {
                self.wire.write(&out).await?;
            }
            self.wire.read(outstanding.len()).await?;
            let now = Instant::now();
            while let Some(reply) = next_reply(&mut self.wire)? {
                refuse_errors(reply)?;
                let sent = outstanding.pop_front().ok_or_else(|| Error::Server {
                    system: NAME,
                    detail: "answered more than it was asked".into(),
                })?;
                self.turn.answered(sent, now, u64::from(batch));
            }
        }
    }
}

/// The server's own version line, for a message before anything is started.
///
/// # Errors
/// [`Error::Missing`] when there is no such program.
pub fn version(program: &Path) -> Result<String> {
    match Command::new(program).arg("--version").output() {
        Ok(out) => Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::Missing {
            program: NAME,
            path: program.into(),
            remedy: REMEDY,
        }),
        Err(e) => Err(e).doing("asking redis-server for its version"),
    }
}
