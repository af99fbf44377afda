//! The side-by-side runs: the same corpus, appended durably, by different systems, one after the other, round by round.
//!
//! A system is started on an empty directory for each turn and ended after it, so that nobody idles beside the one
//! being measured. What it answered is counted afterwards in what it stored: a run that lost anything has no figure.

pub mod columns;
pub mod engine;
pub mod jetstream;
pub mod nats_client;
pub mod nats_cluster;
pub mod nats_wire;
pub mod redis;
pub mod report;
pub mod resp;
pub mod runner;
pub mod waybill;
pub mod yardstick;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::corpus::Pool;
use crate::error::{Error, IoContext as _, Result};
use crate::window::{Span, Tally, Window};

/// How long a server may take to start.
pub const START_PATIENCE: Duration = Duration::from_secs(40);
/// How long the first message to each user may take. It is not measured, only bounded.
pub const FIRST_SIGHT_PATIENCE: Duration = Duration::from_secs(600);
/// Most connections of one column.
pub const MAX_CONNECTIONS: u32 = 4_096;
/// Most messages in flight in one column.
pub const MAX_IN_FLIGHT: u32 = 65_536;

/// How a system is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    /// Messages sent and not yet answered, over all connections.
    pub in_flight: u32,
    /// Messages in one request.
    pub batch: u32,
    /// Connections.
    pub connections: u32,
}

impl Shape {
    /// The same, or what is wrong with it.
    ///
    /// # Errors
    /// When a number is zero, out of bounds, or leaves a connection without a request.
    pub fn checked(self) -> Result<Self> {
        let Self {
            in_flight,
            batch,
            connections,
        } = self;
        if batch == 0
            || connections == 0
            || connections > MAX_CONNECTIONS
            || in_flight > MAX_IN_FLIGHT
        {
            return Err(Error::Options(format!(
                "batch and connections must be at least 1, connections at most {MAX_CONNECTIONS}, in flight at most \
                 {MAX_IN_FLIGHT}"
            )));
        }
        if in_flight / batch < connections {
            return Err(Error::Options(format!(
                "{in_flight} in flight in batches of {batch} are fewer requests than {connections} connections"
            )));
        }
        Ok(self)
    }

    /// Requests that connection number `connection` keeps in flight.
    #[must_use]
    pub fn requests_of(self, connection: u32) -> usize {
        let all = self.in_flight / self.batch.max(1);
        let each = all / self.connections.max(1);
        (each + u32::from(connection < all % self.connections.max(1))) as usize
    }
}

/// One turn of one system.
#[derive(Clone)]
pub struct Turn {
    /// What is sent.
    pub pool: Arc<Pool>,
    /// When.
    pub window: Window,
    /// How.
    pub shape: Shape,
    /// The index of the next message, shared by all connections.
    next: Arc<AtomicU64>,
    /// No message of this index or a later one is sent.
    until: u64,
    /// What was answered, over all connections. One histogram, because they all live on one thread: hundreds of them would
    /// cost more than what they measure.
    tally: Arc<Mutex<Tally>>,
}

impl Turn {
    /// A turn that sends the first message to each user, and ends with that.
    #[must_use]
    pub fn of_first_sight(pool: Arc<Pool>, shape: Shape) -> Self {
        let until = u64::from(pool.corpus().users());
        let window = Window::start(Span {
            warm_up: Duration::ZERO,
            measure: FIRST_SIGHT_PATIENCE,
        });
        Self {
            pool,
            window,
            shape,
            next: Arc::new(AtomicU64::new(0)),
            until,
            tally: Arc::new(Mutex::new(Tally::new(window))),
        }
    }

    /// A turn that goes on where this one ended, until `window` is over.
    #[must_use]
    pub fn then(&self, window: Window) -> Self {
        Self {
            window,
            until: u64::MAX,
            tally: Arc::new(Mutex::new(Tally::new(window))),
            ..self.clone()
        }
    }

    /// Notes an answer for `messages` messages that were sent at `sent`.
    pub fn answered(&self, sent: Instant, now: Instant, messages: u64) {
        self.lock().answered(sent, now, messages);
    }

    /// What was answered so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        // Nothing in it can be half done: a panic elsewhere leaves it whole.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing more should be sent.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.window.is_over(now) || self.next.load(Ordering::Relaxed) >= self.until
    }

    /// Takes the next `count` indices and returns the first.
    #[must_use]
    pub fn take(&self, count: u32) -> u64 {
        self.next.fetch_add(u64::from(count), Ordering::Relaxed)
    }
}

/// A system under comparison.
pub trait System {
    /// Starts on the empty directory `dir` and is ready when this returns.
    ///
    /// # Errors
    /// When it does not start, or is not as durable as its column says.
    fn start(&mut self, dir: &Path) -> Result<()>;

    /// The processes whose CPU time and memory are its own; none when it lives in this one.
    fn servers(&self) -> Vec<u32>;

    /// What it runs with, as it says itself: version and the settings that matter.
    fn effective(&self) -> serde_json::Value;

    /// Opens the connections of `shape`, before any clock runs.
    ///
    /// # Errors
    /// When the server does not take them.
    fn connect(&mut self, shape: Shape) -> Result<()>;

    /// Sends over these connections until the turn is over, then waits for what is under way. Each answer is told to the turn.
    ///
    /// # Errors
    /// When a send is refused, a server stalls, or a connection breaks.
    fn drive(&mut self, turn: &Turn) -> Result<()>;

    /// Sends the first message of `turn` again, which must not store it twice, then counts what is stored.
    ///
    /// # Errors
    /// When the repetition is not recognised, or the server does not answer.
    fn stored(&mut self, turn: &Turn) -> Result<u64>;

    /// Ends it.
    fn stop(&mut self);
}

/// The runtime of a load generator: one thread, so that the second processor is the server's.
///
/// # Errors
/// When the system refuses.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing("starting the client runtime")
}

/// Runs one task per connection.
///
/// # Errors
/// The first error of a task.
pub async fn join_all<F>(tasks: impl IntoIterator<Item = F>) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut set = tokio::task::JoinSet::new();
    for task in tasks {
        set.spawn(task);
    }
    while let Some(done) = set.join_next().await {
        done.map_err(|e| Error::Options(format!("a client task failed: {e}")))??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn requests_are_spread_over_the_connections_without_rest() {
        let shape = Shape {
            in_flight: 512,
            batch: 5,
            connections: 8,
        }
        .checked()
        .unwrap();
        let all: usize = (0..8).map(|c| shape.requests_of(c)).sum();
        assert_eq!(all, 102);
        assert!((0..8).all(|c| (12..=13).contains(&shape.requests_of(c))));
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for (in_flight, batch, connections) in
            [(8, 0, 1), (8, 1, 0), (8, 1, 9), (8, 8, 2), (1 << 20, 1, 1)]
        {
            assert!(
                Shape {
                    in_flight,
                    batch,
                    connections
                }
                .checked()
                .is_err()
            );
        }
    }
}
