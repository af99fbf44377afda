//! The server under test: started with limits raised for one machine that plays everybody, and ended in good order.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child::{Server, free_port};
use crate::compare::waybill::ready;
use crate::error::{IoContext as _, Result};
use crate::target::{Credentials, NAME};
use crate::wire::loopback;

const REMEDY: &str = "build it with: cargo build --release, or name another with --waybill";

/// Time for the end of a server: it finishes what it owes and flushes its views.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// Connections of all kinds that the server takes: more than any run has.
const CONNECTIONS: u32 = 200_000;

/// A server and everything that is needed to start it again on the same directory.
pub struct Waybill {
    program: PathBuf,
    dir: PathBuf,
    ports: Ports,
    /// What its configuration file says, for the manifest.
    pub config: String,
    server: Server,
    /// How to speak with it.
    pub credentials: Credentials,
}

/// Where a server listens on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// HTTP.
    pub http: u16,
    /// QUIC.
    pub quic: u16,
    /// OpenIM's WebSocket.
    pub ws: u16,
    /// Health.
    pub ops: u16,
}

impl Waybill {
    /// Starts `program` on an empty directory below `dir`, with so much memory, in MiB.
    ///
    /// # Errors
    /// When it cannot be started or is not ready in time.
    pub async fn start(program: &Path, dir: &Path, memory_mib: u32) -> Result<Self> {
        let ports = Ports {
            http: free_port()?,
            quic: free_port()?,
            ws: free_port()?,
            ops: free_port()?,
        };
        let config = configuration(memory_mib);
        let file = dir.join("waybill.toml");
        std::fs::write(&file, &config).doing("writing the server's configuration")?;
        let server = launch(program, dir, ports).await?;
        Ok(Self {
            program: program.to_owned(),
            dir: dir.to_owned(),
            ports,
            config,
            server,
            credentials: Credentials::read(&data_of(dir))?,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data_of(&self.dir)
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    /// With the end of its log.
    pub fn check(&mut self) -> Result<()> {
        self.server.check()
    }

    /// Ends it in good order, and says where its data are.
    ///
    /// # Errors
    /// When it does not end.
    pub fn end(self) -> Result<PathBuf> {
        let data = self.data();
        self.server.terminate(END_PATIENCE)?;
        Ok(data)
    }

    /// Ends it in good order, does `between`, and starts it again on the same data and ports.
    ///
    /// # Errors
    /// When it does not end or start, or `between` fails.
    pub async fn restart(self, between: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let data = self.data();
        self.server.terminate(END_PATIENCE)?;
        between(&data)?;
        let server = launch(&self.program, &self.dir, self.ports).await?;
        Ok(Self { server, ..self })
    }
}

fn data_of(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// One machine plays everybody here, so what bounds one address or one user would only bound the benchmark.
fn configuration(memory_mib: u32) -> String {
    format!(
        "memory_mib = {memory_mib}\n\n[limits]\nconnections = {CONNECTIONS}\n\
         connections_per_address = {CONNECTIONS}\nlive_connections = {CONNECTIONS}\n"
    )
}

async fn launch(program: &Path, dir: &Path, ports: Ports) -> Result<Server> {
    let mut command = Command::new(program);
    command.arg("serve").arg("--data").arg(data_of(dir));
    command.arg("--config").arg(dir.join("waybill.toml"));
    for (flag, port) in [
        ("--http", ports.http),
        ("--quic", ports.quic),
        ("--ws", ports.ws),
        ("--ops", ports.ops),
    ] {
        command.arg(flag).arg(loopback(port).to_string());
    }
    let mut server = Server::start(NAME, REMEDY, &mut command, dir.join("log"))?;
    ready(&mut server, ports.ops).await?;
    Ok(server)
}
