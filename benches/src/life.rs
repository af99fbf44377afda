//! The life of a data directory, without a network: filled, read, killed under load, rebuilt, compacted.
//!
//! What is measured is also checked: a page has no hole, and what was answered before a kill is there after it.

pub mod disk;
pub mod pages;
pub mod report;
pub mod restart;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use waybill_log::LogConfig;

use crate::corpus::{Corpus, Pool};
use crate::engine::{Engine, fill};
use crate::error::{Error, Result};
use crate::process::Usage;
use crate::progress;
use report::Life;

/// Of a hundred messages, one goes to somebody whose log will be long enough to fill pages.
const LONG_LOG_EVERY: u64 = 100;
/// Entries that such a log should have at least: two pages.
const LONG_LOG: u64 = 2 * pages::PAGE as u64;
/// Most users with such a log.
const MOST_LONG_LOGS: u64 = 250;
/// How often rate and memory are noted while filling.
const STEPS: u64 = 10;

/// What to do, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Messages.
    pub messages: u64,
    /// Receivers.
    pub users: u32,
    /// Distinct messages prepared; all messages when there are fewer.
    pub pool: u32,
    /// The seed of everything.
    pub seed: u64,
    /// Sends under way.
    pub in_flight: usize,
    /// Pages read, warm.
    pub pages: u32,
    /// Kills under load.
    pub kills: u32,
    /// How long the load lasts before each kill, in seconds.
    pub seconds_to_kill: f64,
    /// Where: a directory that does not exist yet.
    pub data: PathBuf,
    /// The engine's configuration.
    pub config: LogConfig,
}

/// A tenth of the filling.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Step {
    /// Messages answered at its end.
    pub messages: u64,
    /// Messages a second.
    pub rate: f64,
    /// CPU time of this process for a message, in microseconds.
    pub cpu_us_per_message: f64,
    /// Memory of this process at its end, in KiB.
    pub rss_kib: u64,
}

/// Who a message goes to.
#[derive(Clone, Copy, Debug)]
pub struct Receivers {
    /// Users with long logs: numbers below this.
    long: u64,
}

impl Receivers {
    /// The receivers of a run of `messages` messages to `users` users.
    #[must_use]
    pub fn of(messages: u64, users: u32) -> Self {
        let long = (messages / LONG_LOG_EVERY / LONG_LOG).clamp(1, MOST_LONG_LOGS);
        Self {
            long: long.min(u64::from(users)),
        }
    }

    /// Users with long logs: numbers below this.
    #[must_use]
    pub fn long(self) -> u32 {
        u32::try_from(self.long).unwrap_or(u32::MAX)
    }

    /// Who message `index` goes to.
    #[must_use]
    pub fn receiver(self, corpus: &Corpus, index: u64) -> u32 {
        if index % LONG_LOG_EVERY == LONG_LOG_EVERY - 1 {
            return u32::try_from(index / LONG_LOG_EVERY % self.long).unwrap_or(0);
        }
        corpus.receiver(index)
    }
}

/// Lives the whole life.
///
/// # Errors
/// The first error; the data directory is left as it was then, to be looked at.
pub fn run(options: &Options) -> Result<Life> {
    if options.messages == 0 || options.in_flight == 0 || options.users == 0 {
        return Err(Error::Options(
            "messages, users and in flight must be at least 1".into(),
        ));
    }
    if options.data.exists() {
        return Err(Error::Options(format!(
            "{} exists: name a new directory",
            options.data.display()
        )));
    }
    let size = u32::try_from(options.messages)
        .unwrap_or(u32::MAX)
        .min(options.pool);
    let spinner = progress::spinner(format!("preparing {size} messages"));
    let pool = Arc::new(Pool::new(Corpus::new(options.seed, options.users), size));
    spinner.finish_and_clear();
    let receivers = Receivers::of(options.messages, options.users);

    let engine = Engine::open(&options.data, options.config, options.seed)?;
    let filled = fill_in_steps(&engine, &pool, receivers, options)?;
    expect_delivered(&engine, &pool, options.messages)?;
    let pages = pages::read(&engine, receivers.long(), options.pages, options.seed)?;
    engine.close()?;

    let restarts = restart::after_kills(options, &pool)?;
    let rebuild = restart::rebuild(options, &pool)?;
    let disk = disk::measure(options)?;
    Ok(Life {
        filled,
        pages,
        restarts,
        rebuild,
        disk,
        messages: options.messages,
        mean_body: pool.mean_body(),
        distinct: size,
    })
}

/// Sends all messages, and notes rate and memory along the way.
fn fill_in_steps(
    engine: &Engine,
    pool: &Arc<Pool>,
    receivers: Receivers,
    options: &Options,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let bar = progress::bar(options.messages).with_message("filling");
    for step in 0..STEPS {
        let range = options.messages * step / STEPS..options.messages * (step + 1) / STEPS;
        let count = range.end - range.start;
        if count == 0 {
            continue;
        }
        let end = range.end;
        let (begun, before) = (Instant::now(), Usage::own());
        let receiver = |index| receivers.receiver(pool.corpus(), index);
        fill(engine, pool, range, options.in_flight, receiver, |n| {
            bar.set_position(n)
        })?;
        let used = Usage::own().since(before);
        steps.push(Step {
            messages: end,
            rate: count as f64 / begun.elapsed().as_secs_f64(),
            cpu_us_per_message: used.cpu_seconds * 1e6 / count as f64,
            rss_kib: used.rss_kib,
        });
    }
    bar.finish_and_clear();
    Ok(steps)
}

/// Fails unless the users' logs hold exactly `messages` entries together.
fn expect_delivered(engine: &Engine, pool: &Pool, messages: u64) -> Result<()> {
    let delivered = engine.delivered(pool.corpus())?;
    if delivered != messages {
        return Err(Error::Lost {
            system: crate::engine::NAME,
            acked: messages,
            stored: delivered,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Receivers;
    use crate::corpus::Corpus;

    #[test]
    fn some_logs_are_two_pages_long_and_nobody_is_left_out() {
        let corpus = Corpus::new(1, 1000);
        let receivers = Receivers::of(200_000, 1000);
        let mut entries = vec![0u64; 1000];
        for index in 0..200_000 {
            entries[receivers.receiver(&corpus, index) as usize] += 1;
        }
        assert_eq!(receivers.long(), 5);
        assert!(
            entries[..5].iter().all(|&n| n >= 400),
            "{:?}",
            &entries[..5]
        );
        assert!(entries[5..].iter().all(|&n| n > 100 && n < 400));
    }

    #[test]
    fn there_are_never_more_long_logs_than_users() {
        assert_eq!(Receivers::of(10_000_000, 3).long(), 3);
        assert_eq!(Receivers::of(1, 100).long(), 1);
        assert_eq!(Receivers::of(10_000_000, 100_000).long(), 250);
    }
}
