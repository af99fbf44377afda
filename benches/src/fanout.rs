//! Messages to many, without a network: how fast a message to everybody comes into all logs, what single sends notice of it, and
//! how fast a list of conversations and the receivers of a task are read.
//!
//! What is measured is also checked: everybody has the message once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use waybill_core::body::{Body, Message};
use waybill_core::command::{Ask, Command, Post, To, UserRef};
use waybill_core::fact::{ConversationKind, Options as MessageOptions};
use waybill_core::id::{AudienceNo, Digest, KeyedHash, Opening, Position, UserNo};
use waybill_core::limits::MAX_FILLED;
use waybill_core::outcome::Outcome;
use waybill_core::record::Surface;
use waybill_log::reader::{LIST_ENTRIES, RECEIVERS};
use waybill_log::{LogConfig, Stride};

use crate::corpus::{Corpus, Pool};
use crate::engine::{Engine, NAME};
use crate::error::{Error, Result};
use crate::latency::{Latency, Summary};
use crate::progress;

/// Conversations of the one whose list is read.
const CONVERSATIONS: u32 = 1_000;
/// Times that a list or page is read.
const READS: u32 = 200;

/// What to do, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Receivers.
    pub users: u32,
    /// The seed of everything.
    pub seed: u64,
    /// Where: a directory that does not exist yet.
    pub data: PathBuf,
    /// The engine's configuration.
    pub config: LogConfig,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Fanout {
    /// Receivers.
    pub users: u32,
    /// Members a second that an audience took, users never seen before.
    pub filled_per_second: f64,
    /// The answer to a message to everybody.
    pub answered_ms: f64,
    /// Until it was in all logs, as fast as the writer can, in seconds.
    pub seconds: f64,
    /// Entries a second of that.
    pub entries_per_second: f64,
    /// Single sends, one at a time, while nothing else is going on.
    pub sends_alone: Summary,
    /// The same while a second message to everybody is on its way, at half of the writer's time.
    pub sends_beside: Summary,
    /// A user's whole list of conversations, with the unread total.
    pub list: Summary,
    /// The first page of a task's receivers, with how each stands.
    pub receivers: Summary,
    /// All receivers of a task, page by page, a second.
    pub receivers_per_second: f64,
}

/// Measures.
///
/// # Errors
/// When the engine fails, or somebody has not got a message exactly once.
pub fn run(options: &Options) -> Result<Fanout> {
    let engine = Engine::open(&options.data, options.config, options.seed)?;
    let filled_per_second = fill(&engine, options.users)?;
    let begun = Instant::now();
    let first = broadcast(&engine, 1)?;
    let answered_ms = begun.elapsed().as_secs_f64() * 1e3;
    let begun = Instant::now();
    let mut stride = Stride::default();
    let bar = progress::bar(u64::from(options.users)).with_message("fanning out");
    while let Some(served) = step(&engine, &mut stride)? {
        bar.inc(u64::from(served));
    }
    bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();

    let pool = Arc::new(Pool::new(Corpus::new(options.seed, options.users), 2_000));
    let sends_alone = sends(&engine, &pool, 0, Duration::from_secs(2))?;
    broadcast(&engine, 2)?;
    let sends_beside = beside(&engine, &pool)?;
    while step(&engine, &mut stride)?.is_some() {}

    let list = lists(&engine)?;
    let (receivers, receivers_per_second) = receivers(&engine, first, options.users)?;
    engine.close()?;
    Ok(Fanout {
        users: options.users,
        filled_per_second,
        answered_ms,
        seconds,
        entries_per_second: f64::from(options.users) / seconds,
        sends_alone,
        sends_beside,
        list,
        receivers,
        receivers_per_second,
    })
}

fn ask(engine: &Engine, ask: Ask) -> Result<Outcome> {
    engine.ask(Command {
        by: UserNo(0),
        surface: Surface::Server,
        ask,
    })
}

fn unexpected(outcome: &Outcome) -> Error {
    Error::Server {
        system: NAME,
        detail: format!("an answer that was not expected: {outcome:?}"),
    }
}

fn opening(number: u64) -> Opening {
    let mut bytes = [0x5a; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Opening(bytes)
}

/// Has everybody seen, as members of an audience.
fn fill(engine: &Engine, users: u32) -> Result<f64> {
    let body = Body::Audience {
        name: "everybody".to_owned(),
    };
    let begin = Ask::BeginAudience {
        name: KeyedHash([7; 16]),
        body: body.seal(opening(1)),
    };
    ask(engine, begin)?;
    let bar = progress::bar(u64::from(users)).with_message("naming users");
    let begun = Instant::now();
    let (audience, mut line) = (AudienceNo(1), 0_u64);
    let numbers: Vec<u32> = (0..users).collect();
    for part in numbers.chunks(MAX_FILLED) {
        let names = part.iter().map(|number| engine.maker().reference(*number));
        let fill = Ask::FillAudience {
            audience,
            line,
            users: names.collect(),
            opening: opening(line + 2),
        };
        ask(engine, fill)?;
        line += part.len() as u64;
        bar.set_position(line);
    }
    ask(engine, Ask::CommitAudience { audience })?;
    bar.finish_and_clear();
    Ok(f64::from(users) / begun.elapsed().as_secs_f64())
}

fn post(sender: UserRef, to: To, number: u64) -> Ask {
    let message = Message {
        content:
            r#"{"notificationName":"All","notificationType":1,"text":"to everybody","mixType":0}"#
                .to_owned(),
        ..Message::default()
    };
    Ask::Post(Post {
        sender,
        to,
        kind: ConversationKind::Notification,
        content_type: 1400,
        notification_type: 1,
        options_off: MessageOptions(0),
        key: None,
        digest: Digest([1; 8]),
        terms: None,
        body: Body::Message(message).seal(opening(u64::MAX - number)),
    })
}

fn broadcast(engine: &Engine, number: u64) -> Result<Position> {
    let sender = engine.maker().sender().clone();
    let to = To::Audience(AudienceNo(1));
    match ask(engine, post(sender, to, number))? {
        Outcome::Begun { position, .. } => Ok(position),
        other => Err(unexpected(&other)),
    }
}

/// One chunk of what is under way: how many were served; `None` when nothing is.
fn step(engine: &Engine, stride: &mut Stride) -> Result<Option<u32>> {
    let due = engine.reader().due_fanouts().map_err(|e| failed(&e))?;
    let Some(due) = due.first() else {
        return Ok(None);
    };
    let next = Ask::FanoutNext {
        message: due.message,
        from: due.from,
        most: stride.after(engine.reader().counters()),
    };
    match ask(engine, next)? {
        Outcome::Progress { served, .. } => Ok(Some(served)),
        other => Err(unexpected(&other)),
    }
}

/// Single sends, one at a time, for so long.
fn sends(engine: &Engine, pool: &Pool, first: u64, span: Duration) -> Result<Summary> {
    let mut latency = Latency::new();
    let end = Instant::now() + span;
    for index in first.. {
        let begun = Instant::now();
        if begun >= end {
            break;
        }
        engine.send(pool, index)?;
        latency.record(begun.elapsed());
    }
    Ok(latency.summary())
}

/// Single sends while a fan-out goes on as a server has it go on: after each chunk as much rest as the chunk took.
fn beside(engine: &Engine, pool: &Pool) -> Result<Summary> {
    std::thread::scope(|scope| {
        let stepping = scope.spawn(|| -> Result<()> {
            let mut stride = Stride::default();
            loop {
                let begun = Instant::now();
                if step(engine, &mut stride)?.is_none() {
                    return Ok(());
                }
                std::thread::sleep(begun.elapsed().min(Duration::from_millis(100)));
            }
        });
        let mut latency = Latency::new();
        let mut index = 1_000_000;
        while !stepping.is_finished() {
            let begun = Instant::now();
            engine.send(pool, index)?;
            latency.record(begun.elapsed());
            index += 1;
        }
        match stepping.join() {
            Ok(result) => result?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(latency.summary())
    })
}

/// A user with many conversations reads the whole list.
fn lists(engine: &Engine) -> Result<Summary> {
    let reader = engine.reader();
    let user = engine.maker().reference(0);
    for number in 0..CONVERSATIONS {
        let sender = engine.maker().account(number);
        let to = To::Users(vec![user.clone()]);
        ask(engine, post(sender, to, u64::from(number) + 10))?;
    }
    let found = reader.user_no(user.hash).map_err(|e| failed(&e))?;
    let number = found.unwrap_or_default();
    let mut latency = Latency::new();
    for _ in 0..READS {
        let begun = Instant::now();
        let list = reader.conversations(number, None, LIST_ENTRIES, false);
        let list = list.map_err(|e| failed(&e))?;
        latency.record(begun.elapsed());
        if list.conversations.len() < CONVERSATIONS as usize
            || list.unread < u64::from(CONVERSATIONS)
        {
            return Err(Error::Server {
                system: NAME,
                detail: "conversations are missing in a list".to_owned(),
            });
        }
    }
    Ok(latency.summary())
}

/// Reads the first page of a message's receivers again and again, then all of them once.
fn receivers(engine: &Engine, message: Position, users: u32) -> Result<(Summary, f64)> {
    let reader = engine.reader();
    let page = |from, limit| {
        let page = reader
            .receivers(message, from, limit)
            .map_err(|e| failed(&e))?;
        page.ok_or_else(|| Error::Server {
            system: NAME,
            detail: "a message has no receivers".to_owned(),
        })
    };
    let mut latency = Latency::new();
    for _ in 0..READS {
        let begun = Instant::now();
        page(UserNo(0), 100)?;
        latency.record(begun.elapsed());
    }
    let begun = Instant::now();
    let (mut next, mut count) = (Some(UserNo(0)), 0);
    while let Some(from) = next {
        let page = page(from, RECEIVERS)?;
        count += page
            .receivers
            .iter()
            .filter(|status| status.seq.is_some())
            .count();
        next = page.next;
    }
    if count != users as usize {
        return Err(Error::Lost {
            system: NAME,
            acked: u64::from(users),
            stored: count as u64,
        });
    }
    Ok((
        latency.summary(),
        count as f64 / begun.elapsed().as_secs_f64(),
    ))
}

fn failed(error: &waybill_core::outcome::StateError) -> Error {
    Error::Server {
        system: NAME,
        detail: error.to_string(),
    }
}

impl Fanout {
    /// As a table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |name: &str, value: String| format!("| {name} | {value} |\n");
        let both = |one: &Summary| {
            format!(
                "p50 {:.2} ms, p99 {:.2} ms",
                one.p50_us / 1e3,
                one.p99_us / 1e3
            )
        };
        [
            line("messages to many", format!("{} receivers", self.users)),
            "|---|---|\n".to_owned(),
            line(
                "naming them, as members of an audience",
                format!("{:.0}/s", self.filled_per_second),
            ),
            line(
                "answer to a message to all of them",
                format!("{:.1} ms", self.answered_ms),
            ),
            line(
                "in all logs after",
                format!(
                    "{:.2} s, {:.0} entries/s",
                    self.seconds, self.entries_per_second
                ),
            ),
            line("single sends, nothing beside them", both(&self.sends_alone)),
            line("single sends beside a fan-out", both(&self.sends_beside)),
            line("list of 1,000 conversations", both(&self.list)),
            line("first 100 receivers of a task", both(&self.receivers)),
            line(
                "all receivers of a task",
                format!("{:.0}/s", self.receivers_per_second),
            ),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use waybill_log::LogConfig;

    use super::{Options, run};

    #[test]
    fn everybody_is_served_and_everything_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            users: 1_700,
            seed: 1,
            data: dir.path().join("data"),
            config: LogConfig {
                memory_mib: 128,
                ..LogConfig::default()
            },
        };
        let fanout = run(&options).unwrap();
        assert!(fanout.sends_beside.count > 0 && fanout.list.count > 0);
        assert!(fanout.markdown().contains("1700 receivers"));
    }
}
