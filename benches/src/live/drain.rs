//! A device far behind catches up: from the ring of recent records, from files that the page cache has, and from the disk.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{Advice, fadvise};
use serde::Serialize;
use waybill_core::id::Seq;

use super::hub::Hub;
use super::sends::fill;
use super::server::Waybill;
use crate::corpus::Pool;
use crate::error::{Error, IoContext as _, Result};
use crate::process::{Usage, read_bytes};
use crate::progress;
use crate::target::{self, Page, Requests, server_error};

/// Entries of a page that is asked for.
const PAGE: u32 = 1_000;

/// Where the entries come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// The ring of recent records: they were sent just before.
    Ring,
    /// Files: the server was started anew, and has read all of them once.
    Warm,
    /// The disk: the server was started anew after its files were dropped from the page cache.
    Cold,
}

/// How they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// A tail over QUIC.
    Tail,
    /// Pages over QUIC, one after another.
    Pull,
    /// Pages over HTTP, one after another.
    Http,
}

/// All ways, in the order of their turns.
const WAYS: [Way; 3] = [Way::Tail, Way::Pull, Way::Http];

/// One drain.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Drain {
    /// Where from.
    pub from: From,
    /// How.
    pub way: Way,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Entries a second.
    pub rate: f64,
    /// The server's CPU time for an entry, in microseconds.
    pub server_us: f64,
    /// Bytes for an entry that the server fetched from the disk.
    pub read: f64,
}

/// Fills one user's log with `entries` messages and drains it, `rounds` times each way; from the disk once each way.
///
/// # Errors
/// When the server refuses, or a log has a hole.
pub async fn run(
    mut server: Waybill,
    entries: u64,
    rounds: u32,
    pool: &Arc<Pool>,
) -> Result<(Waybill, Vec<Drain>)> {
    let hub = Hub::new(&server, 1, 1).await?;
    let sender = hub.sender().await?;
    let bar = progress::bar(entries).with_message("filling one log");
    fill(&sender, pool, 0, entries, |_| 0, &bar).await?;
    sender.close().await;
    bar.finish_and_clear();
    let bar = progress::bar(u64::from(2 * rounds + 1) * WAYS.len() as u64);
    let mut drains = Vec::new();
    for from in [From::Ring, From::Warm, From::Cold] {
        if from == From::Warm {
            server = server.restart(|_| Ok(())).await?;
            drain(&hub, &server, entries, (From::Warm, Way::Tail)).await?;
        }
        for _ in 0..if from == From::Cold { 1 } else { rounds } {
            for way in WAYS {
                bar.set_message(format!("{from:?}, {way:?}"));
                if from == From::Cold {
                    server = server.restart(forget).await?;
                }
                drains.push(drain(&hub, &server, entries, (from, way)).await?);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok((server, drains))
}

async fn drain(
    hub: &Hub,
    server: &Waybill,
    entries: u64,
    (from, way): (From, Way),
) -> Result<Drain> {
    let reading = || {
        let usage = Usage::of(server.pid()).ok_or_else(|| server_error("has ended".into()))?;
        Ok::<_, Error>((usage, read_bytes(server.pid()).unwrap_or(0)))
    };
    let (usage, read) = reading()?;
    let begun = Instant::now();
    match way {
        Way::Tail => tail(hub, entries).await?,
        Way::Pull => pull(hub, entries).await?,
        Way::Http => http(hub, entries).await?,
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (usage_now, read_now) = reading()?;
    let each = |sum: f64| sum / entries.max(1) as f64;
    Ok(Drain {
        from,
        way,
        seconds,
        rate: entries as f64 / seconds,
        server_us: each(usage_now.since(usage).cpu_seconds * 1e6),
        read: each(read_now.saturating_sub(read) as f64),
    })
}

/// Drops the files of a directory that nobody has open from the page cache.
fn forget(dir: &Path) -> Result<()> {
    // Pages that are not on the disk yet cannot be dropped.
    rustix::fs::sync();
    let listed = std::fs::read_dir(dir).doing(format!("listing {}", dir.display()))?;
    for entry in listed {
        let path = entry.doing(format!("listing {}", dir.display()))?.path();
        if path.is_dir() {
            forget(&path)?;
        } else {
            let doing = || format!("dropping {} from the page cache", path.display());
            let file = File::open(&path).doing(doing())?;
            fadvise(&file, 0, None, Advice::DontNeed)
                .map_err(std::io::Error::from)
                .doing(doing())?;
        }
    }
    Ok(())
}

/// Counts entries that must follow each other.
fn count(at: &mut u64, seqs: impl IntoIterator<Item = u64>) -> Result<()> {
    for seq in seqs {
        *at += 1;
        if seq != *at {
            return Err(server_error(format!(
                "entry {seq} came in the place of {at}"
            )));
        }
    }
    Ok(())
}

async fn tail(hub: &Hub, entries: u64) -> Result<()> {
    let failed = |e: waybill_client::Error| server_error(e.to_string());
    let connection = hub.quic(0).await?;
    let mut tail = connection.tail("", Seq(0)).await.map_err(failed)?;
    let mut at = 0;
    while at < entries {
        let page = tail.next().await.map_err(failed)?;
        count(&mut at, page.entries.iter().map(|entry| entry.seq.0))?;
    }
    Ok(())
}

async fn pull(hub: &Hub, entries: u64) -> Result<()> {
    let connection = hub.quic(0).await?;
    let mut at = 0;
    while at < entries {
        let page = connection.pull("", Seq(at), PAGE).await;
        let page = page.map_err(|e| server_error(e.to_string()))?;
        if page.entries.is_empty() {
            return Err(server_error(format!("the log ends at {at}")));
        }
        count(&mut at, page.entries.iter().map(|entry| entry.seq.0))?;
    }
    Ok(())
}

async fn http(hub: &Hub, entries: u64) -> Result<()> {
    let requests = Requests::new(hub.http(), hub.token(0)?);
    let mut connection = target::http(hub.http()).await?;
    let (mut at, mut out) = (0, String::new());
    while at < entries {
        requests.pull_after(0, at, PAGE, 0, &mut out);
        let answer = connection.call(out.as_bytes()).await?;
        let body = answer.body;
        target::check_sent(answer)?;
        let page: Page =
            serde_json::from_slice(body).map_err(|e| server_error(format!("a page: {e}")))?;
        if page.entries.is_empty() {
            return Err(server_error(format!("the log ends at {at}")));
        }
        count(&mut at, page.entries.iter().map(|entry| entry.seq))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{count, forget};

    #[test]
    fn a_hole_and_a_repetition_are_errors() {
        let mut at = 0;
        count(&mut at, [1, 2]).unwrap();
        assert!(count(&mut at, [4]).is_err());
        let mut at = 2;
        assert!(count(&mut at, [2]).is_err());
    }

    #[test]
    fn files_of_a_directory_are_forgotten_and_stay() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        let file = dir.path().join("a/b");
        std::fs::write(&file, b"text").unwrap();
        forget(dir.path()).unwrap();
        assert_eq!(std::fs::read(file).unwrap(), b"text");
        assert!(forget(&dir.path().join("none")).is_err());
    }
}
