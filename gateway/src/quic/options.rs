//! The bounds of the QUIC surface: what an operator may set, and what follows from the protocol.

use std::time::Duration;

/// Sends of one connection that wait for an answer, or whose answers wait to be written. Beyond it nothing more is read from
/// that connection; a batch that was begun is taken whole.
pub(super) const SENDS_IN_FLIGHT: usize = 4_096;

/// Pulls of one connection that wait.
pub(super) const PULLS_IN_FLIGHT: usize = 32;

/// Pages of one connection that are read and not yet written; beyond it its pulls wait.
pub(super) const PAGES_IN_MEMORY: usize = 2;

/// Tails of one connection.
pub(super) const TAILS: usize = 4;

/// Bytes of entries in one page of a tail. Smaller than a page may be, because each stalled tail holds one.
pub(super) const TAIL_PAGE_BYTES: usize = 64 * 1024;

/// Entries in one page of a tail.
pub(super) const TAIL_PAGE_ENTRIES: u32 = 256;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections at one time, those in handshake included.
    pub connections: usize,
    /// Connections of one address (IPv6: of one /64) at one time. Loopback is exempt.
    pub connections_per_address: usize,
    /// Time from a connection's first packet to its hello.
    pub handshake: Duration,
    /// A connection is closed when nothing was heard for so long.
    pub idle: Duration,
    /// Time for answers that are owed when a connection or the server ends.
    pub drain: Duration,
    /// Whether a hello and pulls are taken in early data.
    pub early_pull: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 100_000,
            connections_per_address: 64,
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            early_pull: true,
        }
    }
}
