//! The native protocol over WebSocket, for web pages and whoever cannot use QUIC: the same messages as JSON frames. `docs/protocol.md`
//! describes what is said. It knows no log: what is asked for goes to the service.
//!
//! | module | what it is |
//! |---|---|
//! | `upgrade` | from an HTTP request to a socket |
//! | `frames` | what clients say |
//! | `answers` | what the server says |
//! | `outbox` | answers on their way out |
//! | `greeting` | the hello, and who it is from |
//! | `connection` | one connection from its welcome to its goodbye |
//! | `requests` | what becomes of a client's frames |
//! | `watches` | the logs whose growth a connection waits for |

mod answers;
mod connection;
pub(crate) mod frames;
mod greeting;
mod outbox;
mod requests;
mod upgrade;
mod watches;

use std::time::Duration;

use crate::config::Limits;
use crate::live::Window;

pub use upgrade::{PATH, answer};

/// The name of this protocol when a connection is upgraded.
const SUBPROTOCOL: &str = "waybill.v1+json";

/// Longest message of a client, in bytes.
const MAX_FRAME: usize = 256 * 1024;

/// Read buffer of a connection, in bytes: most are idle, and each holds one.
const READ_BUFFER: usize = 2 * 1024;

/// What may wait in memory for a slow peer: a window, the largest entry, and answers, whose number is bounded.
const WRITE_BUFFER: usize = 4 * 1024 * 1024;

/// How much a peer is given before it has taken what came earlier.
const WINDOW: Window = Window {
    bytes: 128 * 1024,
    page: 64 * 1024,
    tails: 4,
    pulls: 32,
};

/// Most entries of a page of a tail.
const TAIL_PAGE_ENTRIES: u32 = 256;

/// Sends, and other requests, without an answer; beyond it nothing more is read from the connection.
const IN_FLIGHT: usize = 1_024;

/// Messages of a batch.
const MAX_BATCH: usize = 256;

/// How long a peer may say nothing before it is asked for a sign of life, and before it is given up.
fn silences(limits: &Limits) -> (Duration, Duration) {
    let ping = Duration::from_secs(limits.ping_seconds);
    (ping, ping * 5 / 2)
}

/// Time for a peer to take the last words before the connection is closed.
const LAST_WORDS: Duration = Duration::from_secs(1);
