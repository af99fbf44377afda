//! First pages of user logs: what a device asks for when it begins.

use std::time::Instant;

use serde::Serialize;
use waybill_core::id::Seq;
use waybill_log::Pulled;

use crate::engine::{Engine, NAME};
use crate::error::{Error, Result};
use crate::latency::{Latency, Summary};
use crate::rng::Rng;

/// Entries in a page.
pub const PAGE: usize = 200;

/// Pages read, one at a time, by one reader.
#[derive(Clone, Debug, Serialize)]
pub struct Pages {
    /// Entries asked for in a page.
    pub page: usize,
    /// Different users read.
    pub users: u32,
    /// Each user's first page, read for the first time since the last write.
    pub first_time: Summary,
    /// Pages of random users among them, read before.
    pub warm: Summary,
    /// Entries a second of the warm reads, on one thread.
    pub warm_entries_per_second: f64,
}

/// Reads the first page of users `0..users`, each once, then `warm` pages of random ones among them.
///
/// # Errors
/// When a page has a hole, misses a body, or the store fails.
pub fn read(engine: &Engine, users: u32, warm: u32, seed: u64) -> Result<Pages> {
    let mut first_time = Latency::new();
    for user in 0..users {
        let begun = Instant::now();
        page(engine, user)?;
        first_time.record(begun.elapsed());
    }
    let mut rng = Rng::new(seed, 0x7061_6765);
    let (mut latency, mut entries) = (Latency::new(), 0);
    let begun_all = Instant::now();
    for _ in 0..warm {
        let user = rng.below(users);
        let begun = Instant::now();
        entries += page(engine, user)?;
        latency.record(begun.elapsed());
    }
    Ok(Pages {
        page: PAGE,
        users,
        first_time: first_time.summary(),
        warm: latency.summary(),
        warm_entries_per_second: entries as f64 / begun_all.elapsed().as_secs_f64(),
    })
}

/// Reads one page, looks at every entry of it, and says how many there are.
fn page(engine: &Engine, user: u32) -> Result<usize> {
    let bad = |detail: String| Error::Server {
        system: NAME,
        detail: format!("page of user {user}: {detail}"),
    };
    let reader = engine.reader();
    let number = reader
        .user_no(engine.maker().user(user))
        .map_err(|e| bad(e.to_string()))?
        .ok_or_else(|| bad("there is no such user".into()))?;
    let Pulled::Page {
        span,
        entries,
        more,
    } = reader
        .pull(number, Seq(0), PAGE)
        .map_err(|e| bad(e.to_string()))?
    else {
        return Err(bad("the log does not begin at 1".into()));
    };
    let whole =
        entries.len() as u64 == span.head.0.min(PAGE as u64) && more == (span.head.0 > PAGE as u64);
    let dense = entries
        .iter()
        .zip(1..)
        .all(|(entry, seq)| entry.seq == Seq(seq) && entry.message.is_some());
    if whole && dense {
        Ok(entries.len())
    } else {
        Err(bad(format!(
            "{} of {span:?}, with a hole or without a body",
            entries.len()
        )))
    }
}
