//! What a run of verify says: for programs (serde), for people (`Display`), and as an exit code.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::finding::{Class, Finding, Findings};
use crate::meter::Cost;

/// Exit code when nothing is wrong.
pub const CLEAN: u8 = 0;
/// Exit code when something is wrong.
pub const FINDINGS: u8 = 1;
/// Exit code when it cannot be said, or not of everything: the directory is in use or unreadable, or a part of it could not be
/// verified.
pub const CANNOT_VERIFY: u8 = 2;

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was looked at, and nothing is wrong.
    Clean,
    /// Something is wrong.
    Findings,
    /// Nothing is wrong in what was looked at, and something could not be.
    Incomplete,
}

impl Verdict {
    /// The exit code of a command that ends with this: 0, 1 or 2.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Clean => CLEAN,
            Self::Findings => FINDINGS,
            Self::Incomplete => CANNOT_VERIFY,
        }
    }
}

/// What was found and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The data directory.
    pub data: String,
    /// Whether only the ledger was looked at.
    pub scan_only: bool,
    /// What it comes to.
    pub verdict: Verdict,
    /// What is in the ledger.
    pub ledger: LedgerReport,
    /// What is in the views; absent when they were not looked at.
    pub views: Option<ViewsReport>,
    /// What is wrong, sorted by place.
    pub findings: Vec<Finding>,
    /// How many more findings there are, by class.
    pub more: BTreeMap<Class, u64>,
    /// What could not be verified, and why.
    pub unverified: Vec<String>,
    /// How long each phase took.
    pub phases: Vec<PhaseReport>,
}

/// What is in a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerReport {
    /// The history's identity, in hexadecimal digits.
    pub epoch: Option<String>,
    /// How often it was restored from a copy: the epoch is the one since the last time.
    pub restores: u64,
    /// The last position.
    pub last: u64,
    /// Records.
    pub records: u64,
    /// Bodies that are there.
    pub bodies: u64,
    /// Bodies that were erased.
    pub erased: u64,
    /// Bytes of records and bodies, uncompressed.
    pub bytes: u64,
}

/// What is in views.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewsReport {
    /// The record up to which the ledger is applied.
    pub applied: u64,
    /// How many records come behind it, which the server applies when it starts.
    pub behind: u64,
    /// Rows compared with the fold.
    pub rows: u64,
    /// State hashes; absent when the ledger could not be folded.
    pub state_hash: Option<StateHashes>,
    /// User logs.
    pub users: u64,
    /// Entries in them.
    pub entries: u64,
    /// Conversations.
    pub conversations: u64,
    /// Messages in them.
    pub messages: u64,
}

/// State hashes in hexadecimal digits: one value for all folded rows. `docs/formats.md`, "State hash".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHashes {
    /// Of a fresh fold of the ledger.
    pub ledger: String,
    /// Of the views.
    pub views: String,
}

/// One phase of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Its name: scan, fold, compare, user logs, conversations.
    pub name: String,
    /// Records of the ledger, or rows of the views, that it looked at; 0 where it looks at entries.
    pub records: u64,
    /// Log entries that it made or looked at.
    pub entries: u64,
    /// What it took.
    #[serde(flatten)]
    pub cost: Cost,
    /// Records per second of wall time.
    pub records_per_second: f64,
    /// Entries per second of wall time.
    pub entries_per_second: f64,
    /// Records per second of processor time, which is the rate of one core.
    pub records_per_core_second: Option<f64>,
    /// Entries per second of processor time.
    pub entries_per_core_second: Option<f64>,
}

impl Report {
    pub(super) fn new(data: &Path, scan_only: bool) -> Self {
        Self {
            data: data.display().to_string(),
            scan_only,
            verdict: Verdict::Clean,
            ledger: LedgerReport::default(),
            views: None,
            findings: Vec::new(),
            more: BTreeMap::new(),
            unverified: Vec::new(),
            phases: Vec::new(),
        }
    }

    pub(super) fn phase(&mut self, name: &str, cost: Cost, records: u64, entries: u64) {
        self.phases.push(PhaseReport {
            name: name.to_owned(),
            records,
            entries,
            cost,
            records_per_second: cost.per_second(records),
            entries_per_second: cost.per_second(entries),
            records_per_core_second: cost.per_core_second(records),
            entries_per_core_second: cost.per_core_second(entries),
        });
    }

    pub(super) fn unverified(&mut self, what: impl Into<String>) {
        self.unverified.push(what.into());
    }

    pub(super) fn finish(mut self, findings: Findings) -> Self {
        self.verdict = match (findings.count(), self.unverified.is_empty()) {
            (0, true) => Verdict::Clean,
            (0, false) => Verdict::Incomplete,
            _ => Verdict::Findings,
        };
        (self.findings, self.more) = findings.finish();
        self
    }

    /// The exit code of a command that ends with this report.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.verdict.exit_code()
    }
}

/// The name of a class as programs see it.
fn name(class: Class) -> String {
    match serde_json::to_value(class) {
        Ok(serde_json::Value::String(name)) => name,
        _ => format!("{class:?}"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_contents(f)?;
        for Finding { place, class, what } in &self.findings {
            writeln!(f, "WRONG  {place}: {what} [{}]", name(*class))?;
        }
        for (class, count) in &self.more {
            writeln!(f, "WRONG  {count} more of class {}", name(*class))?;
        }
        for what in &self.unverified {
            writeln!(f, "NOT VERIFIED  {what}")?;
        }
        self.write_phases(f)?;
        let count = self.findings.len() as u64 + self.more.values().sum::<u64>();
        match self.verdict {
            Verdict::Clean if self.scan_only => writeln!(f, "clean (the ledger alone)"),
            Verdict::Clean => writeln!(f, "clean"),
            Verdict::Findings => writeln!(f, "{count} findings"),
            Verdict::Incomplete => writeln!(f, "nothing is wrong in what could be verified"),
        }
    }
}

impl Report {
    fn write_contents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LedgerReport {
            epoch,
            restores,
            records,
            bodies,
            erased,
            bytes,
            ..
        } = &self.ledger;
        writeln!(f, "directory    {}", self.data)?;
        write!(f, "epoch        {}", epoch.as_deref().unwrap_or("none"))?;
        match restores {
            0 => writeln!(f)?,
            1 => writeln!(f, ", after a restore")?,
            _ => writeln!(f, ", after {restores} restores")?,
        }
        writeln!(
            f,
            "ledger       {records} records, {bodies} bodies, {erased} erased, {bytes} bytes"
        )?;
        let Some(views) = &self.views else {
            return Ok(());
        };
        write!(f, "views        up to record {}", views.applied)?;
        if views.behind > 0 {
            write!(f, ", {} behind the ledger", views.behind)?;
        }
        writeln!(
            f,
            "; {} rows, {} users with {} entries, {} conversations with {} messages",
            views.rows, views.users, views.entries, views.conversations, views.messages
        )?;
        match &views.state_hash {
            Some(hash) if hash.ledger == hash.views => {
                writeln!(f, "state hash   {}", hash.ledger)
            }
            Some(hash) => {
                writeln!(f, "state hash   {} as the ledger gives it", hash.ledger)?;
                writeln!(f, "             {} as the views have it", hash.views)
            }
            None => Ok(()),
        }
    }

    fn write_phases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for phase in &self.phases {
            write!(f, "{:13}{:.2} s", phase.name, phase.cost.seconds)?;
            let counts = [
                (
                    phase.records,
                    phase.records_per_second,
                    phase.records_per_core_second,
                    if phase.name == "compare" {
                        "rows"
                    } else {
                        "records"
                    },
                ),
                (
                    phase.entries,
                    phase.entries_per_second,
                    phase.entries_per_core_second,
                    "entries",
                ),
            ];
            for (_, per_second, per_core, unit) in counts.iter().filter(|(count, ..)| *count > 0) {
                write!(f, ", {per_second:.0} {unit}/s")?;
                if let Some(per_core) = per_core {
                    write!(f, " ({per_core:.0} a core)")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
