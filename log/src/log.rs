//! Opening a log, and closing it again: from a directory or a pair of stores to a running writer and its readers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, TrySendError, bounded};
use tokio::sync::watch;
use tracing::{info, warn};
use waybill_core::id::Position;
use waybill_core::rules::Tail;

use crate::clock::{Clock, SystemClock};
use crate::config::LogConfig;
use crate::directory::{
    self, Directory, ERASURES_FILE, LEDGER_DIR, NEW_VIEWS_DIR, OLD_VIEWS_DIR, TAIL_FILE, VIEWS_DIR,
};
use crate::erasures::Register;
use crate::error::{OpenError, StoreError};
use crate::reader::Reader;
use crate::recovery::{self, Progress, Verdict};
use crate::ring::Ring;
use crate::rocks::{Access, Memory, RocksLedger, RocksViews, wal};
use crate::source::{QueueHandle, Source, queue};
use crate::store::{Applied, Durability, Ledger, Views};
use crate::tails::Tails;
use crate::view_store::ViewStore;
use crate::witness::{Seen, Witness};
use crate::writer::{Control, Counters, Fatal, Observer, Setup, Shared, Writer};

/// What differs between the server and its tests.
pub struct Options {
    /// Sizes.
    pub config: LogConfig,
    /// Rows of the hot table, where that is not what the memory budget gives: few, so that they make room for each other.
    pub hot_rows: Option<usize>,
    /// The writer's clock.
    pub clock: Box<dyn Clock>,
    /// Whether commits are synced. Anything but [`Durability::Sync`] is for tests that show what it is for.
    pub durability: Durability,
    /// Called with every command taken.
    pub observer: Option<Observer>,
    /// The register of erasures; without one, the file `erasures` of the directory.
    pub erasures: Option<PathBuf>,
}

impl Options {
    fn hot_rows(&self) -> usize {
        self.hot_rows.unwrap_or_else(|| self.config.hot_rows())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: LogConfig::default(),
            hot_rows: None,
            clock: Box::new(SystemClock),
            durability: Durability::Sync,
            observer: None,
            erasures: None,
        }
    }
}

/// A running log: one writer, any number of readers.
pub struct Log {
    reader: Reader,
    control: Sender<Control>,
    thread: JoinHandle<Result<(), Fatal>>,
    ended: watch::Receiver<Option<String>>,
    memory: Option<Memory>,
    /// Held until everything else is closed.
    directory: Option<Directory>,
}

/// What is needed besides the stores, once they are open and have been judged.
struct Start {
    store: ViewStore,
    tail: Tail,
    applied: Option<Applied>,
    witness: Option<Witness>,
    erasures: Option<Register>,
    directory: Option<Directory>,
    memory: Option<Memory>,
}

impl Log {
    /// Opens a data directory with the local queue as the source of commands. `progress` is told of a long catch-up.
    ///
    /// # Errors
    /// When the directory is in use, of a newer format, or corrupt; and when the disk fails.
    pub fn open(
        path: &Path,
        options: Options,
        progress: &mut Progress<'_>,
    ) -> Result<(Self, QueueHandle), OpenError> {
        let (handle, source) = queue(&options.config);
        Ok((Self::open_with(path, options, source, progress)?, handle))
    }

    /// As [`Log::open`], with another source of commands.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_with(
        path: &Path,
        options: Options,
        source: impl Source,
        progress: &mut Progress<'_>,
    ) -> Result<Self, OpenError> {
        let start = recover(Directory::open(path)?, &options, progress)?;
        Self::start(start, options, source)
    }

    /// Runs over stores that are given, without a directory: what tests do with the in-memory twin.
    ///
    /// # Errors
    /// When the stores do not belong together.
    pub fn over(
        ledger: Arc<dyn Ledger>,
        views: Arc<dyn Views>,
        options: Options,
        source: impl Source,
    ) -> Result<Self, OpenError> {
        let tail = recovery::ledger_tail(&*ledger)?;
        let (from, applied) = match recovery::judge(&*ledger, &tail, views.mark()?)? {
            Verdict::CatchUp(from, applied) => (from, applied),
            Verdict::Rebuild(reason) => {
                return Err(StoreError::corrupt("views", "their mark", reason).into());
            }
        };
        let store = ViewStore::new(ledger, views, options.hot_rows());
        let (tail, applied) =
            recovery::catch_up(&store, from, applied, tail.position, &mut |_, _| {})?;
        Self::start(
            Start {
                store,
                tail,
                applied,
                witness: None,
                erasures: None,
                directory: None,
                memory: None,
            },
            options,
            source,
        )
    }

    fn start(start: Start, options: Options, source: impl Source) -> Result<Self, OpenError> {
        let Start {
            store,
            tail,
            applied,
            witness,
            erasures,
            directory,
            memory,
        } = start;
        waybill_core::rules::check_in_force(&store, &tail)?;
        let epoch = recovery::stored_epoch(&store)?;
        let shared = Arc::new(Shared {
            store,
            ring: Ring::new(options.config.ring_bytes()),
            tails: Tails::default(),
            status_tails: Tails::default(),
            durable: watch::Sender::new(tail.position),
            epoch: epoch.map_or_else(OnceLock::new, OnceLock::from),
            changes: AtomicU64::new(0),
            fanouts: watch::Sender::new(0),
            stopped: AtomicBool::new(false),
            counters: Counters::default(),
        });
        let (control, controls) = bounded(16);
        let setup = Setup {
            shared: Arc::clone(&shared),
            config: options.config,
            tail,
            applied,
            clock: options.clock,
            witness,
            erasures,
            durability: options.durability,
            control: controls,
            observer: options.observer,
        };
        let (end, ended) = watch::channel(None);
        let writer = Writer::new(setup, source);
        let stopped = Arc::clone(&shared);
        let run = move || {
            // A panic must end like a failed write: nothing is answered any more, and the process is told.
            let guard = EndGuard {
                end,
                shared: stopped,
            };
            let result = writer.run();
            guard.ended(&result);
            result
        };
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(run);
        let thread = thread.map_err(OpenError::io("the writer's thread"))?;
        Ok(Self {
            reader: Reader { shared },
            control,
            thread,
            ended,
            memory,
            directory,
        })
    }

    /// Reads what is durable.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The data directory, if there is one.
    #[must_use]
    pub fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// Bytes in the block cache now.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, Memory::cached_bytes)
    }

    /// Hands work to the writer that is no command of the domain.
    #[must_use]
    pub fn control(&self) -> ControlHandle {
        ControlHandle {
            control: self.control.clone(),
            ended: self.ended(),
        }
    }

    /// Becomes `Some(reason)` when the writer has stopped because a store failed: the process should then end with an error.
    /// Becomes `Some("")` when it has stopped because its source was closed.
    #[must_use]
    pub fn ended(&self) -> watch::Receiver<Option<String>> {
        self.ended.clone()
    }

    /// Waits for the writer to end. Drop all handles of the queue first, or this waits for ever.
    ///
    /// # Errors
    /// What made the writer stop, if it was not the end of its source.
    pub fn join(self) -> Result<(), Fatal> {
        match self.thread.join() {
            Ok(result) => result,
            Err(_) => Err(Fatal::Store(StoreError::Failed {
                store: "writer",
                reason: "it panicked".to_owned(),
            })),
        }
    }
}

/// The way to the writer for work that is no command of the domain.
#[derive(Clone)]
pub struct ControlHandle {
    control: Sender<Control>,
    ended: watch::Receiver<Option<String>>,
}

/// How often someone who waits for control work looks whether the writer is still there.
const CONTROL_WAIT: Duration = Duration::from_millis(100);

impl ControlHandle {
    /// Copies both stores at one position into `to`, which must not exist. Blocks; sends wait meanwhile.
    ///
    /// # Errors
    /// When the copy fails or the writer has stopped.
    pub fn snapshot(&self, to: PathBuf) -> Result<Position, StoreError> {
        self.ask(|done| Control::Snapshot { to, done })
    }

    /// Flushes the views. Blocks.
    ///
    /// # Errors
    /// When the flush fails or the writer has stopped.
    pub fn flush(&self) -> Result<Position, StoreError> {
        self.ask(|done| Control::Flush { done })
    }

    fn ask(
        &self,
        control: impl FnOnce(Sender<Result<Position, StoreError>>) -> Control,
    ) -> Result<Position, StoreError> {
        let failed = |reason: &str| StoreError::Failed {
            store: "writer",
            reason: reason.to_owned(),
        };
        let gone = || failed("it has stopped");
        let (done, result) = bounded(1);
        match self.control.try_send(control(done)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(failed("too many copies and flushes wait; try again later"));
            }
            Err(TrySendError::Disconnected(_)) => return Err(gone()),
        }
        loop {
            // Work that was handed in too late to be done stays in the channel as long as there are handles to it.
            match result.recv_timeout(CONTROL_WAIT) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if self.ended.borrow().is_none() => {}
                Err(_) => return result.try_recv().unwrap_or_else(|_| Err(gone())),
            }
        }
    }
}

/// Tells the world when the writer's thread ends, also by a panic.
struct EndGuard {
    end: watch::Sender<Option<String>>,
    shared: Arc<Shared>,
}

impl EndGuard {
    fn ended(&self, result: &Result<(), Fatal>) {
        self.end.send_replace(Some(
            result
                .as_ref()
                .err()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ));
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if self.end.borrow().is_none() {
            self.shared
                .stopped
                .store(true, std::sync::atomic::Ordering::SeqCst);
            self.end
                .send_replace(Some("the writer panicked".to_owned()));
        }
    }
}

/// Opens the stores of a directory and brings the views up to the end of the ledger.
fn recover(
    directory: Directory,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Start, OpenError> {
    let memory = Memory::new(&options.config)?;
    let ledger_path = directory.join(LEDGER_DIR);
    let ledger: Arc<dyn Ledger> =
        Arc::new(RocksLedger::open(&ledger_path, &memory, Access::Write)?);
    let last = recovery::ledger_tail(&*ledger)?;
    let (mut witness, seen) = Witness::open(&directory.join(TAIL_FILE))
        .map_err(OpenError::io(directory.join(TAIL_FILE)))?;
    // RocksDB does not do this for the directory of a database.
    directory::sync_directory(directory.path())?;
    if seen == Seen::Nothing && last.position.0 > 0 {
        warn!(
            "there is no tail file: whether the ledger has lost records at its end cannot be told"
        );
    }
    recovery::check_witness(&*ledger, &last, seen)?;
    if seen != Seen::Nothing {
        // What was torn off had not been answered.
        wal::forget_torn(&ledger_path).map_err(OpenError::io(&ledger_path))?;
    }

    let register = match &options.erasures {
        Some(path) => path.clone(),
        None => directory.join(ERASURES_FILE),
    };
    let erasures = Register::open(&register).map_err(OpenError::io(&register))?;

    let (views, verdict) = open_views(&directory, &memory, &ledger, &last)?;
    let (views, from, applied) = match verdict {
        Verdict::CatchUp(from, applied) => (views, from, applied),
        Verdict::Rebuild(reason) => {
            warn!(%reason, records = last.position.0, "the views are rebuilt from the ledger");
            drop(views);
            (
                Some(rebuild(&directory, &memory, &ledger, &last, progress)?),
                last,
                None,
            )
        }
    };
    let views = match views {
        Some(views) => views,
        None => RocksViews::open(&directory.join(VIEWS_DIR), &memory, Access::Write)?,
    };
    let store = ViewStore::new(ledger, Arc::new(views), options.hot_rows());
    let behind = last.position.0 - from.position.0;
    if behind > 0 {
        info!(
            records = behind,
            "the views are behind the ledger and catch up"
        );
    }
    let (tail, mut applied) = recovery::catch_up(&store, from, applied, last.position, progress)?;
    if applied.is_none() {
        applied = store.views().mark()?.and_then(|mark| mark.applied);
    }
    // What the ledger holds counts as answered from here on: a batch that was durable but not answered is now shown.
    if let Some(epoch) = recovery::stored_epoch(&store)? {
        let last = Applied {
            epoch,
            position: tail.position,
            leaf: tail.leaf,
        };
        let set = witness.set(&last).and_then(|()| witness.sync());
        set.map_err(OpenError::io(directory.join(TAIL_FILE)))?;
    }
    Ok(Start {
        store,
        tail,
        applied,
        witness: Some(witness),
        erasures: Some(erasures),
        directory: Some(directory),
        memory: Some(memory),
    })
}

fn open_views(
    directory: &Directory,
    memory: &Memory,
    ledger: &Arc<dyn Ledger>,
    last: &Tail,
) -> Result<(Option<RocksViews>, Verdict), OpenError> {
    let path = directory.join(VIEWS_DIR);
    for leftover in [NEW_VIEWS_DIR, OLD_VIEWS_DIR] {
        remove(&directory.join(leftover))?;
    }
    if RocksViews::has_other_families(&path) {
        return Ok((
            None,
            Verdict::Rebuild("they have families of another version".to_owned()),
        ));
    }
    let views = match RocksViews::open(&path, memory, Access::Write) {
        Ok(views) => views,
        // The views can always be made again.
        Err(StoreError::Corrupt { reason, .. }) => return Ok((None, Verdict::Rebuild(reason))),
        Err(error) => return Err(error.into()),
    };
    let mark = match views.mark() {
        Ok(mark) => mark,
        Err(StoreError::Corrupt { reason, .. }) => return Ok((None, Verdict::Rebuild(reason))),
        Err(error) => return Err(error.into()),
    };
    let verdict = match recovery::judge(&**ledger, last, mark)? {
        Verdict::CatchUp(from, None)
            if last.position.0 > 0 && mark.is_none() && from.position.0 == 0 =>
        {
            Verdict::Rebuild("there are none".to_owned())
        }
        verdict => verdict,
    };
    Ok((Some(views), verdict))
}

/// Folds the whole ledger into new views beside the old ones, then puts them in their place.
fn rebuild(
    directory: &Directory,
    memory: &Memory,
    ledger: &Arc<dyn Ledger>,
    last: &Tail,
    progress: &mut Progress<'_>,
) -> Result<RocksViews, OpenError> {
    let (new, old, path) = (
        directory.join(NEW_VIEWS_DIR),
        directory.join(OLD_VIEWS_DIR),
        directory.join(VIEWS_DIR),
    );
    remove(&new)?;
    {
        let views = RocksViews::open(&new, memory, Access::Write)?;
        // The rows that a fold touches again and again are those of the whole population.
        let store = ViewStore::new(Arc::clone(ledger), Arc::new(views), REBUILD_HOT_ROWS);
        let (tail, applied) =
            recovery::catch_up(&store, Tail::EMPTY, None, last.position, progress)?;
        recovery::flush(&store, applied, &tail)?;
    }
    if path.exists() {
        std::fs::rename(&path, &old).map_err(OpenError::io(&path))?;
    }
    std::fs::rename(&new, &path).map_err(OpenError::io(&new))?;
    directory::sync_directory(directory.path())?;
    remove(&old)?;
    Ok(RocksViews::open(&path, memory, Access::Write)?)
}

/// Rows of the hot table during a rebuild.
const REBUILD_HOT_ROWS: usize = 1 << 20;

fn remove(path: &Path) -> Result<(), OpenError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(OpenError::io(path)(error))
        }
        _ => Ok(()),
    }
}
