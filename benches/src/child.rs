//! Servers started by a benchmark: on loopback, in a directory of their own, ended with the benchmark.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, IoContext as _, Result};

/// How much of a server's log is shown when it fails, in bytes.
const LOG_TAIL: usize = 2_000;

/// How often an end that was asked for is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A running server. Dropping it ends it.
pub struct Server {
    system: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with its output in the file `log`.
    ///
    /// # Errors
    /// [`Error::Missing`] with `remedy` when there is no such program; otherwise what the system says.
    pub fn start(
        system: &'static str,
        remedy: &'static str,
        command: &mut Command,
        log: PathBuf,
    ) -> Result<Self> {
        let out = File::create(&log).doing(format!("creating {}", log.display()))?;
        let err = out.try_clone().doing("sharing the server's log")?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        match child {
            Ok(child) => Ok(Self { system, child, log }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::Missing {
                program: system,
                path: command.get_program().into(),
                remedy,
            }),
            Err(source) => Err(Error::Io {
                what: format!("starting {system}"),
                source,
            }),
        }
    }

    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end in good order, and waits for as long as `patience`.
    ///
    /// # Errors
    /// [`Error::Server`] when it does not end in time, or ends with another status than 0.
    pub fn terminate(mut self, patience: Duration) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let until = Instant::now() + patience;
        while asked && Instant::now() < until {
            match self.child.try_wait().doing("waiting for its end")? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.failure(&format!("ended with {status}"))),
                None => std::thread::sleep(LOOK_AGAIN),
            }
        }
        Err(self.failure("did not end when it was asked to"))
    }

    /// An error naming `what` with the end of the server's log.
    #[must_use]
    pub fn failure(&self, what: &str) -> Error {
        let log = fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL)..]).into_owned();
        Error::Server {
            system: self.system,
            detail: format!("{what}; its log ends:\n{tail}"),
        }
    }

    /// Fails when the server has ended.
    ///
    /// # Errors
    /// [`Error::Server`] with its exit status and the end of its log.
    pub fn check(&mut self) -> Result<()> {
        match self
            .child
            .try_wait()
            .doing(format!("looking after {}", self.system))?
        {
            None => Ok(()),
            Some(status) => Err(self.failure(&format!("ended with {status}"))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its data is thrown away with it, so there is nothing to shut down in good order.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback port that was free a moment ago.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).doing("looking for a free port")?;
    Ok(listener
        .local_addr()
        .doing("looking for a free port")?
        .port())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::{Server, free_port};
    use crate::error::Error;

    #[test]
    fn a_program_that_is_not_there_is_named_with_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("/nonexistent/program");
        let error = Server::start("thing", "install it", &mut command, dir.path().join("log"))
            .err()
            .unwrap();
        assert!(matches!(error, Error::Missing { .. }) && error.to_string().contains("install it"));
    }

    #[test]
    fn the_end_of_a_server_is_noticed_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo last words; exit 3"]);
        let mut server = Server::start("sh", "", &mut command, dir.path().join("log")).unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        let error = loop {
            match server.check() {
                Ok(()) => assert!(Instant::now() < patience, "sh never ended"),
                Err(e) => break e.to_string(),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(
            error.contains("last words") && error.contains('3'),
            "{error}"
        );
    }

    #[test]
    fn a_server_ends_when_it_is_asked_to_or_is_said_not_to() {
        let dir = tempfile::tempdir().unwrap();
        let start = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let server = Server::start("sh", "", &mut command, dir.path().join("log")).unwrap();
            // The signal must find the trap set.
            while std::fs::read(dir.path().join("log")).unwrap().is_empty() {
                std::thread::sleep(Duration::from_millis(5));
            }
            server
        };
        let script = "trap 'exit 0' TERM; echo set; while :; do sleep 0.01; done";
        start(script).terminate(Duration::from_secs(20)).unwrap();
        let deaf = start("trap '' TERM; echo set; while :; do sleep 0.01; done");
        assert!(deaf.terminate(Duration::from_millis(100)).is_err());
    }

    #[test]
    fn a_port_can_be_bound() {
        assert!(std::net::TcpListener::bind(("127.0.0.1", free_port().unwrap())).is_ok());
    }
}
