//! What is to be verified, and within which sizes.

use std::path::PathBuf;

use waybill_log::config::MIN_MEMORY_MIB;

use super::finding::FINDINGS_PER_CLASS;

/// Memory that a run keeps to, about, unless told otherwise, in MiB.
pub const DEFAULT_MEMORY_MIB: usize = 512;

/// Most threads that a scan uses; more only wait for the disk.
pub const MAX_THREADS: usize = 16;

/// What the rows of one folded record occupy in memory, about, in bytes.
const FOLDED_RECORD_BYTES: usize = 1024;

/// Bytes of a leaf hash.
const LEAF_BYTES: usize = 32;

/// What is to be verified, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory.
    pub data: PathBuf,
    /// Whether to look at the ledger alone.
    pub scan_only: bool,
    /// Where temporary files go, which a large ledger needs; without it beside the data directory if that can be written to,
    /// else where the system puts such files.
    pub tmp: Option<PathBuf>,
    /// Memory to keep to, about, in MiB.
    pub memory_mib: usize,
    /// Threads of the scan; 0 for as many as there are cores.
    pub threads: usize,
    /// Findings listed of each class.
    pub findings_per_class: usize,
}

impl Options {
    /// Verify everything in `data`, with the defaults.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            scan_only: false,
            tmp: None,
            memory_mib: DEFAULT_MEMORY_MIB,
            threads: 0,
            findings_per_class: FINDINGS_PER_CLASS,
        }
    }

    pub(super) fn threads(&self) -> usize {
        let wanted = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        wanted.min(MAX_THREADS)
    }
}

/// Sizes from which on a run goes through files. They follow from the memory it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records whose leaf hashes are kept in memory.
    pub leaves_in_memory: u64,
    /// Records that are folded in memory.
    pub fold_in_memory: u64,
    /// Bytes of the rows that a fold through a database keeps in memory, about.
    pub fold_cache_bytes: usize,
    /// What the databases share, in MiB. They are read once from front to back, and gain little from more.
    pub database_mib: usize,
}

impl Limits {
    /// The sizes that follow from the options.
    #[must_use]
    pub fn of(options: &Options) -> Self {
        let bytes = options
            .memory_mib
            .max(MIN_MEMORY_MIB)
            .saturating_mul(1 << 20);
        Self {
            leaves_in_memory: (bytes / 8 / LEAF_BYTES) as u64,
            fold_in_memory: (bytes / 4 / FOLDED_RECORD_BYTES) as u64,
            fold_cache_bytes: bytes / 4,
            database_mib: options.memory_mib / 4,
        }
    }
}
