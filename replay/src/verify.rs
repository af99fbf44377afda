//! `waybill replay verify`: is the ledger whole and unaltered, and are the views what it gives?
//!
//! Three looks, each by itself. The **scan** takes the ledger alone. The **fold** makes the views again from nothing and compares
//! them with those on disk, as of what these say they have applied. The **logs** of users and conversations are then looked at
//! one by one, and the chain hash of every user log is computed again from the ledger's leaf hashes.
//!
//! Nothing is written to the directory. It must not be in use: a running server is asked for a snapshot instead.
//!
//! What this cannot see: a change that is consistent everywhere, made by somebody who writes ledger, views and tail file anew.
//! Only something kept elsewhere, as a signed checkpoint, shows that. Nor does it see a changed time, actor or door in a record
//! that is in no user's log and not the last one: nothing in the views depends on them.

mod compare;
mod conversations;
mod dense;
mod describe;
mod erasures;
mod finding;
mod fold;
mod leaves;
mod live;
mod options;
mod pending;
mod report;
mod rows;
mod scan;
mod scratch;
mod user_logs;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use waybill_core::id::Position;
use waybill_log::config::LogConfig;
use waybill_log::directory::Directory;
use waybill_log::rocks::{Memory, RocksLedger, RocksViews};
use waybill_log::{OpenError, StoreError};

pub use finding::{Class, FINDINGS_PER_CLASS, Finding, Place};
pub use options::{DEFAULT_MEMORY_MIB, Limits, MAX_THREADS, Options};
pub use report::{
    CANNOT_VERIFY, CLEAN, FINDINGS, LedgerReport, PhaseReport, Report, StateHashes, Verdict,
    ViewsReport,
};

use compare::AsOf;
use finding::Findings;
use leaves::LeavesIn;
use live::Live;
use scan::Scanned;
use scratch::Scratch;

use crate::meter::Meter;
use crate::progress::Progress;

/// Why nothing can be said. Damage is never a reason: it is a finding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A server has the directory open.
    #[error(
        "{path} is in use by a running server. Ask its ops listener for a snapshot (POST /snapshot) and verify that, or stop the server first"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A write was under way when the process or the machine stopped.
    #[error(
        "{file}: the last batch, at byte {offset}, is torn. It was never answered; start the server once, which cuts it off, stop it, and verify again"
    )]
    Torn {
        /// The log file.
        file: PathBuf,
        /// Where the batch begins.
        offset: u64,
    },
    /// The directory cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A database failed without being damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A temporary directory cannot be made.
    #[error(
        "{path}: no temporary directory can be made there: {source}; name another place with --tmp"
    )]
    Tmp {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file could not be read or written.
    #[error("a file could not be read or written: {0}")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// The exit code of a command that ends with this error: [`CANNOT_VERIFY`].
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        CANNOT_VERIFY
    }
}

/// Verifies a data directory. Writes nothing to it.
///
/// # Errors
/// When nothing can be said: the directory is in use, is none, or cannot be read. What is wrong in it stands in the report.
pub fn run(options: &Options, progress: &mut dyn Progress) -> Result<Report, Error> {
    run_within(options, Limits::of(options), progress)
}

/// As [`run`], with the sizes given from which on it goes through files.
///
/// # Errors
/// As [`run`].
pub fn run_within(
    options: &Options,
    limits: Limits,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    let directory = match Directory::open_to_read(&options.data) {
        Err(OpenError::Locked { path }) => return Err(Error::InUse { path }),
        directory => directory?,
    };
    let memory = Memory::new(&LogConfig {
        memory_mib: limits.database_mib,
        ..LogConfig::default()
    })?;
    let mut run = Run {
        options,
        limits,
        directory: &directory,
        memory,
        findings: Findings::new(options.findings_per_class),
        report: Report::new(&options.data, options.scan_only),
        progress,
    };
    run.ledger()?;
    Ok(run.report.finish(run.findings))
}

/// One run, as far as it has come.
struct Run<'a> {
    options: &'a Options,
    limits: Limits,
    directory: &'a Directory,
    memory: Memory,
    findings: Findings,
    report: Report,
    progress: &'a mut dyn Progress,
}

impl Run<'_> {
    fn ledger(&mut self) -> Result<(), Error> {
        let opened = live::open_ledger(self.directory, &self.memory, &mut self.findings)?;
        let Some((ledger, last)) = opened else {
            return Ok(());
        };
        let scanned = self.scan(&ledger, last)?;
        live::check_tail(&ledger, last, scanned.epoch, self)?;
        if self.options.scan_only {
            return Ok(());
        }
        let Some(live) = live::open_views(last, self)? else {
            return Ok(());
        };
        live::check_mark(&live, &ledger, last, scanned.epoch, &mut self.findings)?;
        self.views(&ledger, last, &scanned, &live)
    }

    fn scan(&mut self, ledger: &RocksLedger, last: Position) -> Result<Scanned, Error> {
        let mut tmp = None;
        let leaves = match self.options.scan_only {
            true => None,
            false if last.0 <= self.limits.leaves_in_memory => Some(LeavesIn::Memory),
            // The file has no name, and needs no directory once it is open.
            false => Some(LeavesIn::File(tmp.insert(self.tmp()?).path().to_owned())),
        };
        let plan = scan::Plan {
            ledger,
            last,
            threads: self.options.threads(),
            leaves,
        };
        self.progress.begin("scanning the ledger", last.0);
        let meter = Meter::start();
        let scanned = scan::scan(&plan, &mut self.findings, self.progress)?;
        self.progress.end();
        self.report.phase("scan", meter.cost(), scanned.records, 0);
        if !scanned.complete {
            self.report
                .unverified("what lies behind the damage in the ledger");
        }
        self.report.ledger = LedgerReport {
            epoch: scanned
                .restored
                .or(scanned.epoch)
                .map(|epoch| epoch.to_string()),
            restores: scanned.restores,
            last: last.0,
            records: scanned.records,
            bodies: scanned.bodies,
            erased: scanned.erasures.count(),
            bytes: scanned.bytes,
        };
        Ok(scanned)
    }

    /// Compares the views with a fold, then looks at their logs one by one.
    fn views(
        &mut self,
        ledger: &RocksLedger,
        last: Position,
        scanned: &Scanned,
        live: &Live,
    ) -> Result<(), Error> {
        let applied = live.applied().min(last);
        let as_of = AsOf {
            applied,
            last,
            erasures: &scanned.erasures,
        };
        self.report.views = Some(ViewsReport {
            applied: applied.0,
            behind: last.0 - applied.0,
            ..ViewsReport::default()
        });
        self.fold_and_compare(ledger, &live.views, as_of)?;
        self.logs(&live.views, as_of, scanned)
    }

    fn fold_and_compare(
        &mut self,
        ledger: &RocksLedger,
        views: &RocksViews,
        as_of: AsOf<'_>,
    ) -> Result<(), Error> {
        let last = as_of.applied;
        let scratch = if last.0 <= self.limits.fold_in_memory {
            Scratch::in_memory(ledger)
        } else {
            let cache = self.limits.fold_cache_bytes;
            Scratch::on_disk(ledger, self.tmp()?, &self.memory, cache)?
        };
        self.progress.begin("folding the ledger", last.0);
        let meter = Meter::start();
        let folded = fold::fold(ledger, scratch, last, &mut self.findings, self.progress)?;
        self.progress.end();
        let records = folded.tail.position.0;
        self.report
            .phase("fold", meter.cost(), records, folded.entries);
        let Some(folded) = folded.views else {
            self.report.unverified(
                "whether the views are what the ledger gives: it cannot be folded to its end",
            );
            return Ok(());
        };
        self.progress.begin("comparing the views", 0);
        let meter = Meter::start();
        let compared = compare::compare(
            folded.rows(),
            views,
            as_of,
            &mut self.findings,
            self.progress,
        )?;
        self.progress.end();
        self.report.phase("compare", meter.cost(), compared.rows, 0);
        if let Some(views) = &mut self.report.views {
            views.rows = compared.rows;
            views.state_hash = Some(StateHashes {
                ledger: compared.ledger.to_string(),
                views: compared.views.to_string(),
            });
        }
        Ok(())
    }

    fn logs(
        &mut self,
        views: &RocksViews,
        as_of: AsOf<'_>,
        scanned: &Scanned,
    ) -> Result<(), Error> {
        self.progress.begin("checking user logs", 0);
        let meter = Meter::start();
        let users = user_logs::check(
            views,
            as_of,
            scanned.epoch,
            &scanned.leaves,
            &mut self.findings,
            self.progress,
        )?;
        self.progress.end();
        self.report
            .phase("user logs", meter.cost(), 0, users.entries);

        self.progress.begin("checking conversations", 0);
        let meter = Meter::start();
        let conversations = conversations::check(
            views,
            as_of,
            &scanned.leaves,
            &mut self.findings,
            self.progress,
        )?;
        self.progress.end();
        self.report
            .phase("conversations", meter.cost(), 0, conversations.messages);
        if let Some(views) = &mut self.report.views {
            views.users = users.users;
            views.entries = users.entries;
            views.conversations = conversations.conversations;
            views.messages = conversations.messages;
        }
        Ok(())
    }

    /// A new temporary directory.
    fn tmp(&self) -> Result<TempDir, Error> {
        let make = |place: &Path| {
            tempfile::Builder::new()
                .prefix(".waybill-verify-")
                .tempdir_in(place)
                .map_err(|source| Error::Tmp {
                    path: place.to_owned(),
                    source,
                })
        };
        if let Some(place) = &self.options.tmp {
            return make(place);
        }
        let beside = self.directory.path().parent().map(|parent| {
            // The parent of a single name is the empty path: here.
            if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            }
        });
        match beside.map(make) {
            Some(Ok(dir)) => Ok(dir),
            _ => make(&std::env::temp_dir()),
        }
    }
}
