//! The built programs: where they lie, and one run of them to its end. It knows nothing of servers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;

use super::PATIENCE;
use super::process::Process;

/// Where a program of the workspace lies: beside the test that asks, in the same target directory and profile. `CARGO_BIN`
/// names another directory.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let beside = || {
        let test = std::env::current_exe().expect("a test knows its own file");
        // …/release/deps/kill-0123456789abcdef, and the programs are in …/release.
        test.ancestors()
            .nth(2)
            .expect("a test lies in a target directory")
            .to_owned()
    };
    let directory = std::env::var_os("CARGO_BIN").map_or_else(beside, PathBuf::from);
    let path = directory.join(name);
    assert!(
        path.is_file(),
        "{} is not built; run: cargo build --release --workspace",
        path.display()
    );
    path
}

/// The `waybill` program without what the environment of the test would configure it with.
#[must_use]
pub fn waybill() -> Command {
    clean("waybill")
}

/// A program without the variables that configure Waybill.
#[must_use]
pub fn clean(name: &str) -> Command {
    let mut command = Command::new(path(name));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WAYBILL_") {
            command.env_remove(name);
        }
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A run that has come to its end.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said on standard error.
    pub stderr: String,
}

impl Ran {
    /// The same, when it ended well.
    ///
    /// # Panics
    /// When it did not.
    pub fn well(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Each printed line as JSON.
    ///
    /// # Panics
    /// When one is not.
    #[must_use]
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
        };
        self.stdout.lines().map(parse).collect()
    }
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started, or does not end.
pub fn run(command: &mut Command) -> Ran {
    let told = format!("{command:?}");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{told}: {error}"));
    let mut process = Process::of(child);
    let (stdout, stderr) = (process.child().stdout.take(), process.child().stderr.take());
    let (stdout, stderr) = (read_to_end(stdout), read_to_end(stderr));
    let status = process.wait(PATIENCE);
    let status = status.unwrap_or_else(|| panic!("{told} did not end within {PATIENCE:?}"));
    let text = |all: mpsc::Receiver<String>| all.recv().expect("reading does not panic");
    Ran {
        code: status.code(),
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

fn read_to_end(pipe: Option<impl std::io::Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (done, all) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        // Nobody waits when the test has failed.
        let _ = done.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    all
}

/// `waybill replay verify` on a directory that no server has open. What it needs of disk is taken from `scratch`.
///
/// # Panics
/// When the ledger or the views are not as they should be.
pub fn verify(data: &Path, scratch: &Path) {
    let (code, report) = report(data, scratch);
    assert_eq!(
        code,
        Some(0),
        "replay verify of {}: {report:#}",
        data.display()
    );
    assert_eq!(report["verdict"], "clean", "{report:#}");
}

/// The same on a directory as a power cut has left it: nothing in it may be wrong. Views that are to be made anew, a tail file
/// that had not reached the disk, and a torn last batch, which nobody was answered, are for the next start.
///
/// # Panics
/// When something is wrong.
pub fn verify_after_cut(data: &Path, scratch: &Path) {
    let (code, report) = report(data, scratch);
    if report["reason"] == "torn" {
        assert_eq!((code, &report["verdict"]), (Some(2), &"unknown".into()));
        return;
    }
    let expected = if report["verdict"] == "incomplete" {
        2
    } else {
        0
    };
    assert_eq!(
        code,
        Some(expected),
        "replay verify of {}: {report:#}",
        data.display()
    );
    assert_eq!(report["findings"], serde_json::json!([]), "{report:#}");
}

/// The exit code and the report of `waybill replay verify`.
///
/// # Panics
/// When there is no report.
#[must_use]
pub fn report(data: &Path, scratch: &Path) -> (Option<i32>, Value) {
    let mut command = waybill();
    command
        .args(["replay", "verify", "--json", "--data"])
        .arg(data)
        .arg("--tmp")
        .arg(scratch);
    let ran = run(&mut command);
    let lines = ran.json_lines();
    assert_eq!(
        lines.len(),
        1,
        "replay verify of {} gives no report: {ran:#?}",
        data.display()
    );
    (ran.code, lines.into_iter().next().unwrap_or_default())
}
