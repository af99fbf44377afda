//! A running server: started on a data directory with free ports, waited for until it is ready, stopped or killed.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use waybill_client::Fingerprint;

use super::http::Http;
use super::output::Output;
use super::process::Process;
use super::program::{report, waybill};
use super::quic::certificate;
use super::{PATIENCE, Quic};

/// What every server of a test is configured with: little memory, so that several fit on a small machine.
const CONFIG: &str = "memory_mib = 192\n";

/// How often a server that listens is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// A server that was started and may not be ready.
pub struct Starting {
    process: Process,
    output: Output,
    data: PathBuf,
    /// Read by the server when it starts.
    _config: NamedTempFile,
}

/// A server that has ended by itself before it was ready.
#[derive(Debug)]
pub struct Exited {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The end of what it said on standard error.
    pub stderr: String,
}

/// A server that is ready.
pub struct Server {
    starting: Starting,
    http: SocketAddr,
    quic: SocketAddr,
    ws: SocketAddr,
    ops: SocketAddr,
}

impl Starting {
    /// Starts a server on this data directory, with more lines of TOML in its configuration.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn spawn(data: &Path, config: &str) -> Starting {
        Starting::spawn_as(waybill(), data, config)
    }

    /// The same with another program that takes the same flags.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn spawn_as(command: Command, data: &Path, config: &str) -> Starting {
        Starting::spawn_on(command, data, config, [0; 4])
    }

    /// The same on ports of the caller's, for HTTP, QUIC, clients of OpenIM v3 and operators; 0 is any free one.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn spawn_on(mut command: Command, data: &Path, config: &str, ports: [u16; 4]) -> Starting {
        let mut file = NamedTempFile::new().expect("a temporary file");
        write!(file, "{CONFIG}{config}").expect("a temporary file can be written");
        command
            .arg("serve")
            .arg("--config")
            .arg(file.path())
            .arg("--data")
            .arg(data);
        for (listener, port) in ["--http", "--quic", "--ws", "--ops"].iter().zip(ports) {
            command.args([*listener, &format!("127.0.0.1:{port}")]);
        }
        let child = command.spawn().expect("the program can be started");
        let mut process = Process::of(child);
        let output = Output::of(process.child());
        Starting {
            process,
            output,
            data: data.to_owned(),
            _config: file,
        }
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it ends instead.
    ///
    /// # Panics
    /// When it does neither.
    pub fn ready(mut self) -> Result<Server, Exited> {
        let listening = self.output.wait(PATIENCE, |lines| {
            let http = address(lines, "http  http://")?;
            Some((
                http,
                address(lines, "quic  ")?,
                address(lines, "ws    ws://")?,
                address(lines, "ops   http://")?,
            ))
        });
        let Some((http, quic, ws, ops)) = listening else {
            let status = self.process.wait(PATIENCE);
            let status = status.unwrap_or_else(|| {
                panic!(
                    "the server says not where it listens:\n{}",
                    self.output.report()
                )
            });
            return Err(self.exited(status));
        };
        let mut asking = Http::new(ops);
        for _ in 0..PATIENCE.as_millis() / ASK_EVERY.as_millis() {
            match asking.get("/readyz") {
                Ok(answer) if answer.status == 200 => {
                    return Ok(Server {
                        starting: self,
                        http,
                        quic,
                        ws,
                        ops,
                    });
                }
                _ => {}
            }
            if let Some(status) = self.process.wait(ASK_EVERY) {
                return Err(self.exited(status));
            }
        }
        panic!(
            "the server listens and is never ready:\n{}",
            self.output.report()
        )
    }

    /// Kills it, whatever it is doing.
    pub fn kill(mut self) {
        self.process.kill();
    }

    fn exited(mut self, status: ExitStatus) -> Exited {
        Exited {
            code: status.code(),
            stderr: self.output.said_to_the_end(),
        }
    }
}

/// The address behind a word at the beginning of a line.
fn address(lines: &[String], word: &str) -> Option<SocketAddr> {
    let rest = lines.iter().find_map(|line| line.strip_prefix(word))?;
    let text = rest.split_whitespace().next()?.trim_end_matches('/');
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{word}{rest}: {error}")),
    )
}

impl Server {
    /// Starts a server and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start(data: &Path) -> Server {
        Server::start_with(data, "")
    }

    /// The same, with more lines of TOML in its configuration.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start_with(data: &Path, config: &str) -> Server {
        Server::start_on(data, config, [0; 4])
    }

    /// The same on ports of the caller's ([`Starting::spawn_on`]), so that a restarted server is found where it was.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start_on(data: &Path, config: &str, ports: [u16; 4]) -> Server {
        let ready = Starting::spawn_on(waybill(), data, config, ports).ready();
        ready.unwrap_or_else(|exited| {
            panic!(
                "the server ended with {:?} instead of serving:\n{}",
                exited.code, exited.stderr
            )
        })
    }

    /// Starts a server on the same directory and addresses, after this one has been killed, or has stopped when `gently`; with more lines of TOML in its configuration.
    ///
    /// # Panics
    /// When it does not stop, or another one does not become ready.
    #[must_use]
    pub fn again(self, gently: bool, config: &str) -> Server {
        let data = self.data().to_owned();
        let ports = [self.http.port(), self.quic.port(), 0, 0];
        if gently {
            self.stop();
        } else {
            self.kill();
        }
        let starting = Starting::spawn_on(waybill(), &data, config, ports);
        starting
            .ready()
            .unwrap_or_else(|exited| panic!("{exited:#?}"))
    }

    /// SHA-256 of the certificate that it proves itself with over QUIC.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::digest(certificate(&self.secret("quic.pem")));
        Fingerprint(digest.into())
    }

    /// Where it takes HTTP.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where it takes QUIC.
    #[must_use]
    pub fn quic(&self) -> SocketAddr {
        self.quic
    }

    /// Where it takes clients of OpenIM v3.
    #[must_use]
    pub fn ws(&self) -> SocketAddr {
        self.ws
    }

    /// How much of it is in memory, in KiB.
    ///
    /// # Panics
    /// When the kernel does not say.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.starting.process.id());
        let status = std::fs::read_to_string(status).expect("the state of a child");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("the size of a child")
    }

    /// Where it answers operators.
    #[must_use]
    pub fn ops(&self) -> SocketAddr {
        self.ops
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.starting.data
    }

    /// The text of a secret.
    ///
    /// # Panics
    /// When there is none of this name.
    #[must_use]
    pub fn secret(&self, name: &str) -> String {
        let path = self.data().join("secrets").join(name);
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim().to_owned()
    }

    /// The token of the first manager.
    #[must_use]
    pub fn admin_token(&self) -> String {
        self.secret("admin.token")
    }

    /// A way in over QUIC, for many callers.
    #[must_use]
    pub fn connect_quic(&self) -> Quic {
        Quic::connect(self, &self.admin_token()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What it printed from the first line that begins so on, once there is one and it is whole: a line that ends with a
    /// backslash goes on in the next.
    ///
    /// # Panics
    /// When it prints no such line.
    #[must_use]
    pub fn printed(&self, begin: &str) -> String {
        let found = self.starting.output.wait(PATIENCE, |lines| {
            let first = lines
                .iter()
                .position(|line| line.trim_start().starts_with(begin))?;
            let last = first
                + lines[first..]
                    .iter()
                    .position(|line| !line.ends_with('\\'))?;
            Some(lines[first..=last].join("\n"))
        });
        found.unwrap_or_else(|| panic!("{begin:?} was not printed:\n{}", self.report()))
    }

    /// Has a copy of both stores taken at one moment, verifies it, and removes it. The position of that moment.
    ///
    /// # Panics
    /// When there is no copy, or the ledger and the views in it are not as they should be.
    pub fn verify_beside(&self, scratch: &Path) -> u64 {
        let headers = [("Content-Type", "application/json")];
        let taken = Http::new(self.ops).request("POST", "/snapshot", &headers, b"");
        let taken = taken.expect("an answer");
        assert_eq!(taken.status, 200, "{}", taken.text());
        let taken = taken.json();
        let copy = PathBuf::from(taken["path"].as_str().expect("a path"));
        let (code, report) = report(&copy, scratch);
        assert_eq!(
            (code, &report["verdict"]),
            (Some(0), &"clean".into()),
            "{report:#}"
        );
        for of_one_moment in [&report["ledger"]["last"], &report["views"]["applied"]] {
            assert_eq!(*of_one_moment, taken["position"], "{report:#}");
        }
        std::fs::remove_dir_all(&copy).expect("a copy can be removed");
        taken["position"].as_u64().expect("a position")
    }

    /// What it printed and said, for a report.
    #[must_use]
    pub fn report(&self) -> String {
        self.starting.output.report()
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.starting.process.kill();
    }

    /// Asks it to stop with SIGTERM.
    pub fn ask_to_stop(&self) {
        self.starting.process.ask_to_stop();
    }

    /// Asks it to stop and waits for its end, which must be a good one.
    ///
    /// # Panics
    /// When it is not.
    pub fn stop(self) {
        self.ask_to_stop();
        let exited = self.wait(PATIENCE);
        assert_eq!(
            exited.code,
            Some(0),
            "a server that was asked to stop: {exited:#?}"
        );
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it goes on.
    #[must_use]
    pub fn wait(mut self, patience: Duration) -> Exited {
        let Some(status) = self.starting.process.wait(patience) else {
            panic!(
                "the server is still there after {patience:?}:\n{}",
                self.report()
            );
        };
        self.starting.exited(status)
    }
}
