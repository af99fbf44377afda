//! A data directory that was put back from a copy goes on as another history: one batch says so and does again the erasures that were
//! made after the copy. It knows no command line and no configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use parking_lot::Mutex;
use waybill_core::command::{Ask, Command};
use waybill_core::hash;
use waybill_core::id::{Epoch, Position, UserNo};
use waybill_core::outcome::{Outcome, Refusal, StateError};
use waybill_core::record::Surface;
use waybill_core::state::{ErasedRow, StateExt};

use crate::config::BatchLimits;
use crate::directory::{FORMAT_FILE, LEDGER_DIR};
use crate::erasures;
use crate::error::OpenError;
use crate::log::{Log, Options};
use crate::reader::Reader;
use crate::recovery::Progress;
use crate::source::{Reply, ReplyTo, Source, Submission, Taken};
use crate::writer::Fatal;

/// What is asked of a restore.
#[derive(Clone, Debug)]
pub struct Restore {
    /// Random, for the new epoch.
    pub random: [u8; 14],
    /// The number of the new epoch; one more than that of the ledger when it is not given. A copy that is put back for the second
    /// time needs a number above that of the first.
    pub number: Option<u16>,
    /// How many places each log leaves out, for each number that the epoch is higher.
    pub gap: u64,
    /// The register of erasures, if there is one.
    pub erasures: Option<PathBuf>,
}

/// What a restore has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The epoch that the ledger was of.
    pub from: Epoch,
    /// The epoch that it is of now.
    pub epoch: Epoch,
    /// The last record of the copy.
    pub last: Position,
    /// How many places each log leaves out.
    pub gap: u64,
    /// How many bodies were erased again.
    pub erased: u64,
    /// How many erasures of the register were in the copy already.
    pub known: u64,
    /// How many erasures of the register are of records that the copy does not have.
    pub lost: u64,
}

/// Why a directory is not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no ledger in it, or an empty one.
    #[error("{path} holds no ledger: put a copy back first")]
    Nothing {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system has no random bytes for the new epoch.
    #[error("the system has no random bytes")]
    NoRandomness,
    /// The register of erasures cannot be used.
    #[error("the register of erasures {path}: {source}")]
    Erasures {
        /// The register.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// What was asked for is not possible.
    #[error("{0}")]
    Refused(Refusal),
    /// A store failed. Whether the directory was restored is unknown.
    #[error("the restore failed half way, and may be done or not: {0}")]
    Failed(#[source] Fatal),
}

/// Restores the directory at `path`, which no server may have open, as another history.
///
/// # Errors
/// When nothing was done, except with [`RestoreError::Failed`].
pub fn restore(
    path: &Path,
    restore: &Restore,
    options: Options,
    progress: &mut Progress<'_>,
) -> Result<Restored, RestoreError> {
    // Opening it would begin one.
    if !path.join(FORMAT_FILE).exists() || !path.join(LEDGER_DIR).exists() {
        return Err(RestoreError::Nothing {
            path: path.to_owned(),
        });
    }
    let registered = match &restore.erasures {
        Some(register) => erasures::read(register).map_err(|source| RestoreError::Erasures {
            path: register.clone(),
            source,
        })?,
        None => std::collections::BTreeSet::new(),
    };
    let (batches, batch) = bounded(1);
    let log = Log::open_with(path, options, OneBatch(batch), progress)?;
    let reader = log.reader();
    let planned = plan(path, &reader, restore, registered);
    let (restored, asks) = match planned {
        Ok(planned) => planned,
        Err(error) => {
            drop(batches);
            log.join().map_err(RestoreError::Failed)?;
            return Err(error);
        }
    };
    let replies: Arc<Mutex<Vec<Reply>>> = Arc::default();
    let submissions = asks.into_iter().map(|ask| {
        let replies = Arc::clone(&replies);
        let command = Command {
            by: UserNo(0),
            surface: Surface::Server,
            ask,
        };
        let reply = ReplyTo::new(move |reply| replies.lock().push(reply));
        Submission::unmetered(command, None, reply)
    });
    // All in one batch: it is durable as a whole or not at all. The writer takes it, or has stopped, which `join` tells.
    let _ = batches.send(submissions.collect());
    drop(batches);
    drop(reader);
    log.join().map_err(RestoreError::Failed)?;
    let replies = std::mem::take(&mut *replies.lock());
    for reply in replies {
        match reply {
            Ok(Ok(Outcome::Done)) => {}
            Ok(Err(refusal)) => return Err(RestoreError::Refused(refusal)),
            Ok(Ok(_)) | Err(_) => {
                let error = StateError::Impossible {
                    position: restored.last.next(),
                    reason: "the writer did not say that it was done",
                };
                return Err(RestoreError::Failed(error.into()));
            }
        }
    }
    Ok(restored)
}

/// What is to be asked, and what it comes to.
fn plan(
    path: &Path,
    reader: &Reader,
    restore: &Restore,
    registered: impl IntoIterator<Item = erasures::Erasure>,
) -> Result<(Restored, Vec<Ask>), RestoreError> {
    let failed = |error: StateError| RestoreError::Open(error.into());
    let Some(epochs) = reader.epochs().map_err(failed)? else {
        return Err(RestoreError::Nothing {
            path: path.to_owned(),
        });
    };
    let from = epochs.current();
    let number = match restore.number {
        Some(number) => number,
        None => from
            .number()
            .checked_add(1)
            .ok_or(RestoreError::Refused(Refusal::BadEpoch))?,
    };
    let steps = u64::from(number.saturating_sub(from.number()));
    let mut restored = Restored {
        from,
        epoch: Epoch::new(number, restore.random),
        last: reader.durable(),
        gap: restore.gap.saturating_mul(steps),
        erased: 0,
        known: 0,
        lost: 0,
    };
    let mut asks = vec![Ask::Restore {
        epoch: restored.epoch,
        last: restored.last,
        gap: restored.gap,
    }];
    let store = &reader.shared.store;
    for erasure in registered {
        let position = erasure.position;
        let record = if position <= restored.last {
            store.ledger().record(position).map_err(OpenError::from)?
        } else {
            None
        };
        if record.is_none_or(|record| hash::leaf(&record) != erasure.leaf) {
            restored.lost += 1;
        } else if store.row::<ErasedRow>(position).map_err(failed)?.is_some() {
            restored.known += 1;
        } else {
            restored.erased += 1;
            asks.push(Ask::Erase { position });
        }
    }
    Ok((restored, asks))
}

/// Hands out one batch, and is then closed.
struct OneBatch(Receiver<Vec<Submission>>);

impl Source for OneBatch {
    fn take(&mut self, batch: &mut Vec<Submission>, _: &BatchLimits, wait: Duration) -> Taken {
        match self.0.recv_timeout(wait) {
            Ok(all) => {
                batch.extend(all);
                Taken::Open
            }
            Err(RecvTimeoutError::Timeout) => Taken::Open,
            Err(RecvTimeoutError::Disconnected) => Taken::Closed,
        }
    }

    fn is_durable(&self) -> bool {
        false
    }
}
