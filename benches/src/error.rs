//! What can go wrong in a benchmark, in words that say what to do.

use std::path::PathBuf;

/// A benchmark that could not be run, or whose result may not be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// RocksDB refused something.
    #[error("rocksdb: {0}")]
    Rocks(#[from] rocksdb::Error),
    /// A program that a column needs is not there.
    #[error("{program} not found at {path}: {remedy}")]
    Missing {
        /// The program.
        program: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// How to get it.
        remedy: &'static str,
    },
    /// A server did not start, or answered something that its protocol does not allow.
    #[error("{system}: {detail}")]
    Server {
        /// Which server.
        system: &'static str,
        /// What it did.
        detail: String,
    },
    /// A server answered a send with a refusal.
    #[error("{system} refused a send: {detail}")]
    Refused {
        /// Which server.
        system: &'static str,
        /// Its words.
        detail: String,
    },
    /// Nothing came back for too long.
    #[error("{system}: no answer for {seconds} s with {outstanding} sends outstanding")]
    Stalled {
        /// Which server.
        system: &'static str,
        /// How long was waited.
        seconds: u64,
        /// What was waited for.
        outstanding: usize,
    },
    /// What is stored is not what was answered.
    #[error("{system}: {acked} sends were answered but {stored} are stored")]
    Lost {
        /// Which server.
        system: &'static str,
        /// How many sends were answered.
        acked: u64,
        /// How many messages are there.
        stored: u64,
    },
    /// The options make no sense together.
    #[error("{0}")]
    Options(String),
}

/// The result of everything fallible here.
pub type Result<T> = std::result::Result<T, Error>;

/// Says what was being done when the operating system refused.
pub trait IoContext<T> {
    /// Adds `what` to an I/O error.
    ///
    /// # Errors
    /// [`Error::Io`] where `self` is an error.
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::Io {
            what: what.into(),
            source,
        })
    }
}
