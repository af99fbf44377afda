//! Reads RocksDB's write-ahead logs, without RocksDB and without changing them, to tell a torn last
//! batch from corruption. Knows the format of the log files and nothing of what the batches mean; it
//! decides nothing. Only [`cut_torn`] and [`forget_torn`] change anything.
//!
//! The ledger has one writer, and every commit is one batch that is synced before it is answered. So
//! only the last batch can have been under way when the power went, and only damage in it is legal.
//! Damage with a batch behind it has hit something that was answered. RocksDB itself cannot be asked.
//! It takes a damaged length or type near the end of a log for the end of the log, says nothing and
//! drops every batch behind it; and over a plain fragment whose type has become a recyclable one it
//! never comes back, in any recovery mode. So the logs are read here before RocksDB opens them, and a
//! torn batch has to be cut off the file, not left to RocksDB.
//!
//! Two limits. Damage to the last batch looks like a tear, also if that batch was answered; and a log
//! that ends between two batches looks whole. Both need a record of how far the ledger had come that is
//! kept elsewhere. And a batch that was torn, and whose data hold a valid log fragment byte for byte,
//! may be reported as corrupt; never the other way round.
//!
//! Logs must be neither recycled nor compressed. Format: RocksDB 11.8, `db/log_format.h`,
//! `db/log_reader.cc`, `db/write_batch.cc`.

mod crc32c;
mod cut;
mod fragment;
#[cfg(test)]
mod tests;
mod walk;

pub use cut::{cut_torn, forget_torn};
pub use fragment::Flaw;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest sequence number there can be (`kMaxSequenceNumber`, `db/dbformat.h`).
const MAX_SEQUENCE: u64 = (1 << 56) - 1;

/// What one log file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalScan {
    /// The file.
    pub file: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// Intact batches before the damage, if there is any.
    pub batches: u64,
    /// Sequence number of the first entry of the first intact batch.
    pub first_sequence: Option<u64>,
    /// Sequence number of the last entry of the last intact batch.
    pub last_sequence: Option<u64>,
    /// Offset just past the last intact batch; 0 if there is none.
    pub end_of_intact: u64,
    /// The first damage. A log that ends in zeros after a whole batch is not damaged.
    pub damage: Option<Damage>,
}

/// Damage in a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Offset of the fragment, or of the gap, where reading stopped. At or after the end of the last
    /// intact batch.
    pub offset: u64,
    /// What is wrong there.
    pub what: Flaw,
    /// Where the log shows that the damaged batch was not the last one: an intact beginning of a batch
    /// with a later sequence number, or data behind the last part of a batch. `None` if the damaged
    /// batch is the last one.
    pub later_batch_at: Option<u64>,
}

/// What all log files of a database hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every batch is intact.
    Intact {
        /// Sequence number of the last entry; `None` if the logs hold no batch.
        last_sequence: Option<u64>,
    },
    /// The last batch is torn. It cannot have been answered; all before it are intact.
    TornTail {
        /// The file that holds it.
        file: PathBuf,
        /// Where the last intact batch ends, and the file may be cut.
        offset: u64,
        /// Bytes from there to the end of the file.
        lost_bytes: u64,
        /// Sequence number of the last intact entry; `None` if the logs hold no intact batch.
        last_sequence: Option<u64>,
    },
    /// A batch before the last one is damaged, so something that was answered is lost.
    Corrupt {
        /// The file that holds it.
        file: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong there.
        what: Flaw,
        /// How many intact batches stand before it in this file.
        batch: u64,
        /// Sequence number of the last intact entry before it, in this or an earlier file; `None` if
        /// there is no intact batch before it.
        last_sequence: Option<u64>,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Verdict::Intact { last_sequence }
        | Verdict::TornTail { last_sequence, .. }
        | Verdict::Corrupt { last_sequence, .. }) = self;
        match self {
            Verdict::Intact { .. } => write!(f, "write-ahead log intact")?,
            Verdict::TornTail {
                file,
                offset,
                lost_bytes,
                ..
            } => write!(
                f,
                "{}: the last batch, at byte {offset}, is torn: {lost_bytes} bytes of a write that was \
                 under way",
                file.display()
            )?,
            Verdict::Corrupt {
                file,
                offset,
                what,
                batch,
                ..
            } => write!(
                f,
                "{}: corrupt at byte {offset}: {what}; {batch} intact batches before it in this file, \
                 and it is not in the last batch",
                file.display()
            )?,
        }
        match last_sequence {
            Some(last) => write!(f, "; intact up to sequence number {last}"),
            None => write!(f, "; no intact batch"),
        }
    }
}

/// Reads one log file up to its first damage, and looks for a batch behind the damage. Memory: one
/// block of 32 KiB.
///
/// # Errors
/// Those of the file; `Unsupported` if the log is compressed.
pub fn scan(path: &Path) -> io::Result<WalScan> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    // Fragments carry the low half of the number only.
    let number = number_of(path).map(|number| number as u32);
    let walked = walk::walk(file.take(len), number)?;
    Ok(WalScan {
        file: path.to_path_buf(),
        len,
        batches: walked.batches,
        first_sequence: walked.first_sequence,
        last_sequence: walked.last_sequence,
        end_of_intact: walked.end_of_intact,
        damage: walked.damage,
    })
}

/// The log files of the database in `dir`, oldest first.
///
/// # Errors
/// Those of the directory.
pub fn all(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for entry in dir.read_dir()? {
        let path = entry?.path();
        logs.extend(number_of(&path).map(|number| (number, path)));
    }
    logs.sort();
    Ok(logs.into_iter().map(|(_, path)| path).collect())
}

/// The newest log file of the database in `dir`.
///
/// # Errors
/// Those of the directory.
pub fn newest(dir: &Path) -> io::Result<Option<PathBuf>> {
    Ok(all(dir)?.pop())
}

/// Reads all log files of the database in `dir` and says whether they are intact, torn in the last batch,
/// or corrupt.
///
/// RocksDB never goes on writing to the log that it found: opening starts a new one. So a torn batch can
/// be the last one of an older log, if opening was interrupted and the new log holds no batch yet, or if
/// the old one was not removed. In the second case the new log begins with the sequence number that the
/// torn batch would have had. If it begins with another, the torn batch had been written and is lost.
///
/// # Errors
/// Those of [`all`] and [`scan`].
pub fn verdict(dir: &Path) -> io::Result<Verdict> {
    let mut last_sequence = None;
    let mut torn: Option<(WalScan, Damage)> = None;
    for path in all(dir)? {
        let scan = scan(&path)?;
        if let Some((older, damage)) = &torn {
            let replaced = scan.first_sequence.is_some()
                && scan.first_sequence == last_sequence.map(|last: u64| last.saturating_add(1));
            if replaced {
                torn = None;
            } else if scan.first_sequence.is_some() || scan.damage.is_some() {
                return Ok(corrupt(older, *damage, last_sequence));
            }
        }
        last_sequence = scan.last_sequence.or(last_sequence);
        if let Some(damage) = scan.damage {
            if damage.later_batch_at.is_some() {
                return Ok(corrupt(&scan, damage, last_sequence));
            }
            torn = Some((scan, damage));
        }
    }
    Ok(match torn {
        None => Verdict::Intact { last_sequence },
        Some((scan, _)) => Verdict::TornTail {
            offset: scan.end_of_intact,
            lost_bytes: scan.len.saturating_sub(scan.end_of_intact),
            file: scan.file,
            last_sequence,
        },
    })
}

fn corrupt(scan: &WalScan, damage: Damage, last_sequence: Option<u64>) -> Verdict {
    Verdict::Corrupt {
        file: scan.file.clone(),
        offset: damage.offset,
        what: damage.what,
        batch: scan.batches,
        last_sequence,
    }
}

/// The number of a log file: `000123.log` is 123. `None` if it is none.
fn number_of(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".log")?;
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}
