//! Starting again: after a kill under full load, and with the views gone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use waybill_log::LogConfig;

use super::Options;
use crate::corpus::Pool;
use crate::engine::{Engine, NAME};
use crate::error::{Error, IoContext as _, Result};
use crate::progress;

/// The hidden command under which the benchmark's program is the one that gets killed.
pub const VICTIM: &str = "write-until-killed";
/// How often the victim says how far it is, in answered messages.
const SAY_EVERY: u64 = 1_000;

/// One start.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    /// Messages that were answered, as far as is known, before the end.
    pub answered: u64,
    /// From the call that opens the directory to an engine that serves, in seconds.
    pub seconds: f64,
    /// Records in the ledger.
    pub records: u64,
    /// Records a second, where all views were made anew.
    pub records_per_second: Option<f64>,
}

/// Kills a process under full load again and again, and times each start after it.
///
/// The kill spares the page cache: what this measures is the replay, not a cold disk.
///
/// # Errors
/// When something that was answered is not there, or a start fails.
pub fn after_kills(options: &Options, pool: &Arc<Pool>) -> Result<Vec<Start>> {
    let mut starts = Vec::new();
    let bar = progress::bar(u64::from(options.kills)).with_message("killing under load");
    let mut from = options.messages;
    for kill in 0..options.kills {
        // Different times, so that the kill meets the flush of the views at different moments.
        let seconds = options.seconds_to_kill * (1.0 + 0.37 * f64::from(kill));
        let answered = kill_under_load(
            options,
            from,
            Duration::try_from_secs_f64(seconds).unwrap_or_default(),
        )?;
        let begun = Instant::now();
        let engine = Engine::open(&options.data, options.config, options.seed)?;
        let seconds = begun.elapsed().as_secs_f64();
        let records = engine.reader().durable().0;
        let stored = engine.delivered(pool.corpus())?;
        engine.close()?;
        if stored < answered {
            return Err(Error::Lost {
                system: NAME,
                acked: answered,
                stored,
            });
        }
        starts.push(Start {
            answered,
            seconds,
            records,
            records_per_second: None,
        });
        // Sends that were under way may be there or not; the next victim begins behind all of them.
        from = stored.max(answered) + 2 * options.in_flight as u64;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(starts)
}

/// Times a start without views: all of them are made anew from the ledger.
///
/// # Errors
/// When the start fails, or the new views hold another number of entries than the old ones.
pub fn rebuild(options: &Options, pool: &Arc<Pool>) -> Result<Start> {
    let open = || Engine::open(&options.data, options.config, options.seed);
    let engine = open()?;
    let before = engine.delivered(pool.corpus())?;
    engine.close()?;
    let views = options.data.join(waybill_log::directory::VIEWS_DIR);
    std::fs::remove_dir_all(&views).doing(format!("removing {}", views.display()))?;
    let spinner = progress::spinner("rebuilding the views");
    let begun = Instant::now();
    let engine = open()?;
    let seconds = begun.elapsed().as_secs_f64();
    spinner.finish_and_clear();
    let records = engine.reader().durable().0;
    let stored = engine.delivered(pool.corpus())?;
    engine.close()?;
    if stored != before {
        return Err(Error::Lost {
            system: NAME,
            acked: before,
            stored,
        });
    }
    Ok(Start {
        answered: before,
        seconds,
        records,
        records_per_second: Some(records as f64 / seconds),
    })
}

/// Starts the victim, lets it write for `time` from its first answer on, kills it, and returns how many messages the
/// directory must hold.
fn kill_under_load(options: &Options, from: u64, time: Duration) -> Result<u64> {
    let program = std::env::current_exe().doing("finding this program")?;
    let mut child = Command::new(program)
        .arg(VICTIM)
        .arg(&options.data)
        .args(
            [
                from,
                options.seed,
                u64::from(options.users),
                u64::from(options.pool),
            ]
            .map(|n| n.to_string()),
        )
        .args([options.in_flight, options.config.memory_mib].map(|n| n.to_string()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .doing("starting the process to be killed")?;
    let listened = listen(&mut child, time);
    // Whatever was heard, it must not outlive this function.
    let _ = child.kill();
    let status = child.wait().doing("waiting for the killed process")?;
    match listened? {
        Some(answered) => Ok(answered),
        None => Err(Error::Server {
            system: NAME,
            detail: format!("the process to be killed ended by itself: {status}"),
        }),
    }
}

/// Follows the victim's words for `time` after the first, and returns the last number heard.
fn listen(child: &mut Child, time: Duration) -> Result<Option<u64>> {
    let Some(words) = child.stdout.take() else {
        return Ok(None);
    };
    let (mut last, mut end) = (None, None);
    for line in BufReader::new(words).lines() {
        let line = line.doing("listening to the process to be killed")?;
        last = line.parse().ok().or(last);
        let end = *end.get_or_insert_with(|| Instant::now() + time);
        if Instant::now() >= end {
            return Ok(last);
        }
    }
    Ok(None)
}

/// The victim: sends messages from `from` on for ever, and says now and then how many were answered.
///
/// # Errors
/// When a send is refused, or nobody listens any more.
pub fn write_until_killed(
    data: &std::path::Path,
    from: u64,
    pool: &Arc<Pool>,
    in_flight: usize,
    config: LogConfig,
) -> Result<()> {
    let engine = Engine::open(data, config, pool.corpus().seed())?;
    let before = engine.delivered(pool.corpus())?;
    let mut out = std::io::stdout().lock();
    let (mut said, mut outcome) = (0, Ok(()));
    let receiver = |index| pool.corpus().receiver(index);
    let mut say = |answered: u64| {
        let new = answered - from;
        if outcome.is_ok() && (said == 0 || new >= said + SAY_EVERY) {
            said = new;
            outcome = writeln!(out, "{}", before + new).and_then(|()| out.flush());
        }
    };
    crate::engine::fill(&engine, pool, from..u64::MAX, in_flight, receiver, &mut say)?;
    outcome.doing("telling how far it is")
}
