//! Flushing the views within the recovery budget, on a thread of its own so that sends go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use waybill_core::id::Position;

use crate::config::LogConfig;
use crate::error::StoreError;
use crate::hot::DirtyRow;
use crate::store::Applied;
use crate::writer::Shared;

/// A flush may run late by this factor of the recovery budget before the writer waits for it.
const PATIENCE: u64 = 2;

/// Keeps count of what is not flushed, and flushes. At most one flush is under way.
pub(crate) struct Flusher {
    shared: Arc<Shared>,
    jobs: Option<Sender<Job>>,
    done: Receiver<Result<(), StoreError>>,
    thread: Option<JoinHandle<()>>,
    flushed: Option<Applied>,
    under_way: Option<(Applied, u64)>,
    records: u64,
    bytes: usize,
    oldest: Option<Instant>,
}

struct Job {
    rows: Vec<DirtyRow>,
    before: Option<Applied>,
    applied: Applied,
}

impl Flusher {
    /// Starts the thread. `flushed` is what the views on disk have applied, `last` what those in memory have: what a start has
    /// caught up counts towards the budget, or one crash after the other would make the next start longer.
    pub fn start(shared: Arc<Shared>, flushed: Option<Applied>, last: Position) -> Self {
        let (jobs, incoming) = bounded::<Job>(1);
        let (outgoing, done) = bounded(1);
        let theirs = Arc::clone(&shared);
        let work = move || {
            for job in incoming {
                let result = theirs.store.flush(&job.rows, job.before, job.applied);
                if outgoing.send(result).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("flush".to_owned())
            .spawn(work)
            .ok();
        let records = last.0 - flushed.map_or(0, |flushed| flushed.position.0);
        let flusher = Self {
            shared,
            jobs: thread.is_some().then_some(jobs),
            done,
            thread,
            flushed,
            under_way: None,
            records,
            bytes: 0,
            oldest: (records > 0).then(Instant::now),
        };
        flusher.publish();
        flusher
    }

    /// Counts a batch that was applied.
    pub fn note(&mut self, records: u64, bytes: usize) {
        self.records += records;
        self.bytes += bytes;
        self.oldest.get_or_insert_with(Instant::now);
        self.publish();
    }

    /// Whether the recovery budget is used up.
    pub fn is_due(&self, config: &LogConfig) -> bool {
        let used_up = self.records >= config.recovery.records
            || self.bytes >= config.recovery_bytes()
            || self
                .oldest
                .is_some_and(|oldest| oldest.elapsed() >= config.recovery.age);
        let overdue = self.records >= config.recovery.records * PATIENCE
            || self.bytes >= config.recovery_bytes() * PATIENCE as usize;
        used_up && (self.under_way.is_none() || overdue)
    }

    /// Begins a flush of everything that is dirty now, when exactly `applied` is applied. Waits for one that is under way.
    pub fn begin(&mut self, applied: Applied) -> Result<(), StoreError> {
        self.wait()?;
        let job = Job {
            rows: self.shared.store.hot().dirty(),
            before: self.flushed,
            applied,
        };
        let records = std::mem::take(&mut self.records);
        (self.bytes, self.oldest) = (0, None);
        match &self.jobs {
            Some(jobs) if jobs.send(job).is_ok() => self.under_way = Some((applied, records)),
            _ => return Err(gone()),
        }
        self.publish();
        Ok(())
    }

    /// Takes note of a flush that has ended.
    pub fn check(&mut self) -> Result<(), StoreError> {
        match self.done.try_recv() {
            Ok(result) => self.ended(result),
            Err(TryRecvError::Empty) => Ok(()),
            Err(TryRecvError::Disconnected) => Err(gone()),
        }
    }

    fn wait(&mut self) -> Result<(), StoreError> {
        if self.under_way.is_none() {
            return Ok(());
        }
        let result = self.done.recv().map_err(|_| gone())?;
        self.ended(result)
    }

    fn ended(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        result?;
        if let Some((applied, _)) = self.under_way.take() {
            self.flushed = Some(applied);
            self.shared.counters.flushes.fetch_add(1, Ordering::Relaxed);
        }
        self.publish();
        Ok(())
    }

    /// Flushes everything and waits for it.
    pub fn flush_now(&mut self, applied: Applied) -> Result<(), StoreError> {
        self.wait()?;
        if self.flushed == Some(applied) {
            return Ok(());
        }
        self.begin(applied)?;
        self.wait()
    }

    fn publish(&self) {
        let waiting = self.records + self.under_way.map_or(0, |(_, records)| records);
        self.shared
            .counters
            .unflushed_records
            .store(waiting, Ordering::Relaxed);
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It ends with the channel; a panic there has been reported already.
            drop(thread.join());
        }
    }
}

fn gone() -> StoreError {
    StoreError::Failed {
        store: "views",
        reason: "the flushing thread has ended".to_owned(),
    }
}
