//! Sends while sessions are live: marked messages to random ones among them in an open loop, and plain ones in batches to fill
//! logs.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use waybill_client::Connection;

use super::times::{Times, mark};
use crate::corpus::{Pool, user_id};
use crate::error::{Error, Result};
use crate::openloop::{Plan, Worker};
use crate::rng::Rng;
use crate::target::{self, refused};

/// Messages in a batch, and batches under way, while logs are filled.
const BATCH: u64 = 64;
const LANES: u64 = 16;

/// One client that sends.
pub struct Sender {
    connection: Connection,
    pool: Arc<Pool>,
    times: Arc<Times>,
    /// Receivers: users from number 0 on.
    users: u32,
    seed: u64,
}

impl Sender {
    /// `count` senders over one connection, to `users` users.
    #[must_use]
    pub fn several(
        count: u32,
        connection: &Connection,
        pool: &Arc<Pool>,
        times: &Arc<Times>,
        users: u32,
    ) -> Vec<Self> {
        let one = || Self {
            connection: connection.clone(),
            pool: Arc::clone(pool),
            times: Arc::clone(times),
            users,
            seed: pool.corpus().seed() ^ u64::from(times.run()),
        };
        (0..count).map(|_| one()).collect()
    }
}

impl Worker for Sender {
    async fn call(&mut self, index: u64) -> Result<()> {
        let mut outgoing = target::outgoing(&self.pool, index);
        outgoing.receiver = user_id(Rng::new(self.seed, index).below(self.users));
        outgoing.client_msg_id = mark(self.times.run(), index);
        self.times.sent(index);
        let sent = self.connection.send(outgoing).await;
        sent.map_err(|e| refused(e.to_string()))?;
        self.times.answered(index);
        Ok(())
    }
}

/// Room for the messages of a plan: Poisson arrivals vary.
#[must_use]
pub fn room(plan: &Plan) -> usize {
    let seconds = (plan.warm_up + plan.measure + Duration::from_secs(1)).as_secs_f64();
    (2.0 * plan.rate * seconds) as usize + 1_000
}

/// Sends messages `first..first + count` of `pool`, each to `receiver` of its index.
///
/// # Errors
/// When one is refused.
pub async fn fill(
    connection: &Connection,
    pool: &Arc<Pool>,
    first: u64,
    count: u64,
    receiver: impl Fn(u64) -> u32 + Copy + Send + 'static,
    bar: &ProgressBar,
) -> Result<()> {
    let mut set = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let (connection, pool, bar) = (connection.clone(), Arc::clone(pool), bar.clone());
        set.spawn(async move {
            let mut at = first + lane * BATCH;
            while at < first + count {
                let end = (at + BATCH).min(first + count);
                let batch = (at..end).map(|index| {
                    let mut outgoing = target::outgoing(&pool, index);
                    outgoing.receiver = user_id(receiver(index));
                    outgoing
                });
                let answers = connection.send_batch(batch.collect()).await;
                for answer in answers.map_err(|e| refused(e.to_string()))? {
                    answer.map_err(|failure| refused(failure.message))?;
                }
                bar.inc(end - at);
                at += LANES * BATCH;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(lane) = set.join_next().await {
        lane.map_err(|e| Error::Options(format!("a client task failed: {e}")))??;
    }
    Ok(())
}
