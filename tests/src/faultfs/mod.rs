//! A file system for tests that forgets what was not synced: a FUSE passthrough over a backing directory
//! that simulates power cuts, slow, failing and lying syncs, and a full disk. SIGKILL keeps the page
//! cache, so only this shows whether an answer was given before the data was safe. It must not know who
//! the victim is.
//!
//! What is durable is the least that POSIX and Linux promise:
//! * bytes and size of a file when `fsync` or `fdatasync` on it returned, or the write with `O_SYNC` or
//!   `O_DSYNC`; a sync covers what was written before it began;
//! * a created, renamed, linked or removed name when its directory was synced (`names`); permissions,
//!   owners and times at once;
//! * neither `close`, `rename`, `sync_file_range` nor `sync` makes anything durable.

mod content;
mod faults;
mod machine;
mod mounted;
mod names;
mod sandbox;
mod serve;
mod tree;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use mounted::{FaultFs, Mounted};
pub use sandbox::Sandbox;

/// Faults that are on from the start. The default is none: then only power cuts do harm.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How long each sync of a file or directory takes. It holds up nobody else.
    pub sync_delay: Duration,
    /// Syncs say that they succeeded, and nothing is durable.
    pub lying_syncs: bool,
    /// How many bytes files may grow by, in all, before writes fail with ENOSPC. `None`: no limit.
    pub space_left: Option<u64>,
}

/// What outlives a power cut, of that which is not durable. The unit is a sector of 512 bytes; the same
/// seed chooses the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// Nothing: the worst case for whoever forgot a sync.
    Nothing,
    /// In each file, the changed sectors up to some place, as a disk that writes in order; in each directory
    /// all changed names or none.
    Prefix {
        /// Chooses the places.
        seed: u64,
    },
    /// In each file any of the changed sectors, lost ones past the durable end being zero; in each directory
    /// all changed names or none.
    Scatter {
        /// Chooses the sectors.
        seed: u64,
    },
}

impl Survivors {
    fn seed(self) -> u64 {
        match self {
            Survivors::Nothing => 0,
            Survivors::Prefix { seed } | Survivors::Scatter { seed } => seed,
        }
    }
}

/// What a power cut took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutReport {
    /// Files that lost bytes.
    pub files_changed: u64,
    /// Bytes cut off or turned back.
    pub bytes_lost: u64,
    /// Names in directories turned back.
    pub names_changed: u64,
}

/// Why the file system could not be mounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel has no FUSE, or this container was not given it.
    #[error(
        "/dev/fuse is missing: load the kernel's fuse module (modprobe fuse), or start the container \
         with --device /dev/fuse --cap-add SYS_ADMIN"
    )]
    NoDevice,
    /// The backing directory cannot be used.
    #[error("{path}: cannot be used as backing directory: {source}")]
    Backing {
        /// The backing directory.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The kernel refused to mount.
    #[error("{path}: cannot be mounted (is the package fuse3 installed?): {source}")]
    Mount {
        /// The mountpoint.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}
