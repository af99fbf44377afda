//! The writer: one thread owns the tail of the ledger. It takes what is waiting, decides and applies each command over a batch's
//! overlay, makes the records durable in one synced write, then changes the views, then lets the world see it.
//!
//! The writer never invents a fact, knows no transport, and shows nothing that is not durable: every answer, refusals and
//! repeated answers too, waits for the batch it was decided in. When a write or sync fails it stops for good: what is on disk
//! is then unknown, and a failed sync is never tried again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::watch;
use waybill_core::command::Stamped;
use waybill_core::hash;
use waybill_core::id::{Epoch, Position};
use waybill_core::outcome::{Answer, StateError};
use waybill_core::rules::{self, Changed, Delivered, NewRecord, Tail};
use waybill_core::state::{Effect, Family, Overlay, RowKey as _, SettingsKey};

use crate::clock::Clock;
use crate::config::LogConfig;
use crate::erasures::{Erasure, Register};
use crate::error::{StoreError, WriterError};
use crate::flush::Flusher;
use crate::ring::Ring;
use crate::source::{ReplyTo, Source, Submission, Taken};
use crate::store::{Applied, Durability};
use crate::tails::Tails;
use crate::view_store::ViewStore;
use crate::witness::Witness;

/// How long the writer waits for a command before it looks after the witness file and the age of what is not flushed. It
/// delays nothing: a command wakes the writer at once.
const IDLE_WAIT: Duration = Duration::from_millis(500);

/// How often the witness file is synced, at most.
const WITNESS_SYNC_EVERY: Duration = Duration::from_secs(1);

/// What the writer and the readers share.
pub struct Shared {
    pub(crate) store: ViewStore,
    pub(crate) ring: Ring,
    pub(crate) tails: Tails,
    /// Who waits for which account's status log.
    pub(crate) status_tails: Tails,
    /// The last record that is durable. The views follow it, so that nothing above it is ever shown.
    pub(crate) durable: watch::Sender<Position>,
    /// The identity of the history with which the ledger began, once it has.
    pub(crate) epoch: std::sync::OnceLock<Epoch>,
    /// Counts the beginnings and the ends of changes to the views: odd while one is under way.
    pub(crate) changes: AtomicU64,
    /// Counts the changes of what is being fanned out.
    pub(crate) fanouts: watch::Sender<u64>,
    pub(crate) stopped: AtomicBool,
    pub(crate) counters: Counters,
}

/// What the writer counts, for the metrics.
#[derive(Default)]
pub struct Counters {
    /// Batches made durable.
    pub batches: AtomicU64,
    /// Commands taken.
    pub commands: AtomicU64,
    /// Records written.
    pub records: AtomicU64,
    /// Commands dropped because their deadline had passed.
    pub expired: AtomicU64,
    /// Microseconds spent in synced writes.
    pub sync_us: AtomicU64,
    /// Records that a crash now would make the next start apply again.
    pub unflushed_records: AtomicU64,
    /// Flushes of the views.
    pub flushes: AtomicU64,
}

/// Work for the writer that is no command of the domain.
pub enum Control {
    /// Copy both stores, at one position, into this directory; it must not exist.
    Snapshot {
        /// Where to.
        to: PathBuf,
        /// Told the position, or what went wrong.
        done: Sender<Result<Position, StoreError>>,
    },
    /// Flush the views, so that a restart has nothing to apply again.
    Flush {
        /// Told when it is done.
        done: Sender<Result<Position, StoreError>>,
    },
}

/// Called with every command that the writer takes, as it was stamped.
pub type Observer = Box<dyn FnMut(&Stamped) + Send>;

/// What a writer needs to start.
pub(crate) struct Setup {
    pub shared: Arc<Shared>,
    pub config: LogConfig,
    pub tail: Tail,
    pub applied: Option<Applied>,
    pub clock: Box<dyn Clock>,
    pub witness: Option<Witness>,
    pub erasures: Option<Register>,
    pub durability: Durability,
    pub control: Receiver<Control>,
    pub observer: Option<Observer>,
}

/// The state of the writer's thread.
pub(crate) struct Writer<S> {
    setup: Setup,
    source: S,
    flusher: Flusher,
    witness_synced: Instant,
}

/// A batch that was decided and is not yet durable.
struct Decided {
    answers: Vec<(ReplyTo, Answer)>,
    /// Held until the answers are given.
    _permits: Vec<tokio::sync::OwnedSemaphorePermit>,
    records: Vec<NewRecord>,
    erased: Vec<Position>,
    delivered: Vec<Delivered>,
    changed: Vec<Changed>,
    effects: Vec<Effect>,
    tail: Tail,
}

/// Why the writer stopped before its source was closed.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// State could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A store could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The witness file could not be written.
    #[error("the tail file: {0}")]
    Witness(#[from] std::io::Error),
    /// The register of erasures could not be written.
    #[error("the register of erasures: {0}")]
    Erasures(#[source] std::io::Error),
}

impl<S: Source> Writer<S> {
    pub(crate) fn new(setup: Setup, source: S) -> Self {
        let flusher = Flusher::start(
            Arc::clone(&setup.shared),
            setup.applied,
            setup.tail.position,
        );
        Self {
            setup,
            source,
            flusher,
            witness_synced: Instant::now(),
        }
    }

    /// Runs until the source is closed, then flushes everything.
    pub(crate) fn run(mut self) -> Result<(), Fatal> {
        let shared = Arc::clone(&self.setup.shared);
        let result = self.run_until_closed();
        if result.is_err() {
            shared.stopped.store(true, Ordering::SeqCst);
        }
        // Submissions still queued are dropped with the source: each replies that the writer has stopped.
        result
    }

    fn run_until_closed(&mut self) -> Result<(), Fatal> {
        let mut batch = Vec::new();
        loop {
            let taken = self
                .source
                .take(&mut batch, &self.setup.config.batch, IDLE_WAIT);
            if !batch.is_empty() {
                let decided = self.decide(&mut batch)?;
                self.commit(decided)?;
            }
            self.look_after()?;
            if taken == Taken::Closed {
                break;
            }
        }
        self.flush_all()?;
        Ok(())
    }

    /// Decides all commands of a batch and applies their records to the overlay.
    fn decide(&mut self, batch: &mut Vec<Submission>) -> Result<Decided, Fatal> {
        let counters = &self.setup.shared.counters;
        let mut overlay = Overlay::new(&self.setup.shared.store);
        let mut tail = self.setup.tail;
        let mut decided = Decided {
            answers: Vec::with_capacity(batch.len()),
            _permits: Vec::with_capacity(batch.len()),
            records: Vec::with_capacity(batch.len()),
            erased: Vec::new(),
            delivered: Vec::with_capacity(batch.len()),
            changed: Vec::new(),
            effects: Vec::new(),
            tail,
        };
        let now = Instant::now();
        for submission in batch.drain(..) {
            if submission.deadline.is_some_and(|deadline| deadline < now) {
                counters.expired.fetch_add(1, Ordering::Relaxed);
                submission.reply.send(Err(WriterError::Expired));
                continue;
            }
            let time = submission.time.unwrap_or_else(|| self.setup.clock.now());
            let stamped = Stamped {
                time,
                command: submission.command,
            };
            if let Some(observer) = &mut self.setup.observer {
                observer(&stamped);
            }
            let step = rules::take(&mut overlay, &mut tail, &stamped)?;
            decided.answers.push((submission.reply, step.answer));
            decided._permits.extend(submission.permit);
            decided.records.extend(step.records);
            decided.erased.extend(step.erased);
            decided.delivered.extend(step.delivered);
            decided.changed.extend(step.changed);
        }
        counters
            .commands
            .fetch_add(decided.answers.len() as u64, Ordering::Relaxed);
        decided.effects = overlay.take_effects();
        decided.tail = tail;
        Ok(decided)
    }

    /// Makes a batch durable, then visible, then answers.
    fn commit(&mut self, decided: Decided) -> Result<(), Fatal> {
        let shared = Arc::clone(&self.setup.shared);
        if !decided.records.is_empty() {
            let durability = if self.source.is_durable() {
                Durability::None
            } else {
                self.setup.durability
            };
            self.register(&decided)?;
            let started = Instant::now();
            shared
                .store
                .ledger()
                .append(&decided.records, &decided.erased, durability)?;
            let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            let counters = &shared.counters;
            counters.sync_us.fetch_add(took, Ordering::Relaxed);
            counters.batches.fetch_add(1, Ordering::Relaxed);
            counters
                .records
                .fetch_add(decided.records.len() as u64, Ordering::Relaxed);

            let records = decided.records.len() as u64;
            shared.durable.send_replace(decided.tail.position);
            let fanouts_change = changes_fanouts(&decided.effects);
            shared.changes.fetch_add(1, Ordering::SeqCst);
            let committed = shared.store.commit(decided.effects);
            shared.changes.fetch_add(1, Ordering::SeqCst);
            let bytes = committed?;
            self.setup.tail = decided.tail;
            self.note_epoch()?;
            if let (Some(witness), Some(applied)) =
                (&mut self.setup.witness, applied(&shared, &decided.tail))
            {
                witness.set(&applied)?;
            }
            shared.ring.push(decided.records, &decided.erased);
            shared.tails.wake(&decided.delivered);
            shared.status_tails.wake_changed(&decided.changed);
            self.flusher.note(records, bytes);
            if fanouts_change {
                shared.fanouts.send_modify(|count| *count += 1);
            }
        }
        for (reply, answer) in decided.answers {
            reply.send(Ok(answer));
        }
        Ok(())
    }

    /// Notes the erasures of a batch in the register, before they are done: there is no erasure that it does not know.
    fn register(&mut self, decided: &Decided) -> Result<(), Fatal> {
        let Some(register) = &mut self.setup.erasures else {
            return Ok(());
        };
        if decided.erased.is_empty() {
            return Ok(());
        }
        let mut erasures = Vec::with_capacity(decided.erased.len());
        for position in &decided.erased {
            let own = &decided.records;
            let own = own.binary_search_by_key(position, |record| record.position);
            let stored = match own {
                Ok(at) => Some(decided.records[at].bytes.clone()),
                Err(_) => self.setup.shared.store.ledger().record(*position)?,
            };
            erasures.extend(stored.map(|bytes| Erasure {
                position: *position,
                leaf: hash::leaf(&bytes),
            }));
        }
        register.add(&erasures).map_err(Fatal::Erasures)
    }

    fn note_epoch(&self) -> Result<(), Fatal> {
        if self.setup.shared.epoch.get().is_none()
            && let Some(epoch) = crate::recovery::stored_epoch(&self.setup.shared.store)?
        {
            // Set by this thread alone.
            let _ = self.setup.shared.epoch.set(epoch);
        }
        Ok(())
    }

    /// What is due between batches: flushes, the witness file, control work.
    fn look_after(&mut self) -> Result<(), Fatal> {
        self.flusher.check()?;
        if self.flusher.is_due(&self.setup.config)
            && let Some(applied) = applied(&self.setup.shared, &self.setup.tail)
        {
            self.flusher.begin(applied)?;
        }
        if self.witness_synced.elapsed() >= WITNESS_SYNC_EVERY {
            if let Some(witness) = &mut self.setup.witness {
                witness.sync()?;
            }
            self.witness_synced = Instant::now();
        }
        while let Ok(control) = self.setup.control.try_recv() {
            self.control(control)?;
        }
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), Fatal> {
        self.flush_all()?;
        let position = self.setup.tail.position;
        match control {
            Control::Flush { done } => drop(done.send(Ok(position))),
            Control::Snapshot { to, done } => {
                // A failed copy harms nobody but the one who asked for it.
                let copied = crate::snapshot::copy(
                    &self.setup.shared.store,
                    self.setup.witness.is_some(),
                    &self.setup.tail,
                    &to,
                );
                drop(done.send(copied.map(|()| position)));
            }
        }
        Ok(())
    }

    fn flush_all(&mut self) -> Result<(), Fatal> {
        if let Some(applied) = applied(&self.setup.shared, &self.setup.tail) {
            self.flusher.flush_now(applied)?;
        }
        if let Some(witness) = &mut self.setup.witness {
            witness.sync()?;
        }
        Ok(())
    }
}

/// Whether a fan-out has begun or ended. Effects come sorted by family, settings first.
fn changes_fanouts(effects: &[Effect]) -> bool {
    let running = SettingsKey::Running.key();
    let places = effects.iter().map(Effect::place);
    places
        .take_while(|(family, _)| *family == Family::Settings)
        .any(|(_, key)| *key == running)
}

fn applied(shared: &Shared, tail: &Tail) -> Option<Applied> {
    shared.epoch.get().map(|epoch| Applied {
        epoch: *epoch,
        position: tail.position,
        leaf: tail.leaf,
    })
}
