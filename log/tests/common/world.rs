//! A server over stores in memory that lives, crashes and lives again, and beside it the [`Oracle`]: after each life the ledger
//! must hold everything that was answered, once, and what else it holds must be what was asked in the order in which it was taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use waybill_core::body::{Body, decode_stored};
use waybill_core::command::{Ask, Command, Stamped};
use waybill_core::fact::Fact;
use waybill_core::id::{KeyedHash, Position, Seq, Time, UserNo};
use waybill_core::outcome::{Answer, Outcome, Refusal, Sent};
use waybill_core::state::{SettingsKey, SettingsRow, StateExt};
use waybill_log::clock::Clock;
use waybill_log::config::RecoveryBudget;
use waybill_log::memory::{MemoryLedger, MemoryViews};
use waybill_log::source::Submission;
use waybill_log::store::{Durability, Ledger, Views};
use waybill_log::{Log, LogConfig, OpenError, Options, Pulled, Reader, Reply, WriterError};

use super::batches::{asked, batches};
use super::faults::{Crash, Faults, FaultyLedger, FaultyViews};
use super::oracle::Oracle;
use super::rows::{assert_same, fold, records, rows, state_hash};
use super::{found, small};

/// How a life ends, if no write does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The source is closed, and the writer flushes.
    Closed,
    /// The process is killed: what reached the operating system stays.
    Killed,
    /// The power goes.
    Dark,
}

/// One life of the server.
#[derive(Clone, Debug)]
pub struct Life {
    /// The commands, as they are put into batches.
    pub batches: Vec<Vec<Command>>,
    /// Whether the next batch is handed in before the last one is answered.
    pub hurry: bool,
    /// At which write the machine stops, counted from when it serves, and how.
    pub crash: Option<(u16, Crash)>,
    /// The same, counted from before it has caught up.
    pub early: Option<u16>,
    pub end: End,
    /// Records after which the views are flushed.
    pub budget: u64,
    /// Rows that the hot table may keep.
    pub hot_rows: usize,
    /// Every so many writes the views flush by themselves.
    pub flush_every: u64,
}

/// A clock that jumps, also backwards.
#[derive(Clone, Default)]
struct Jumpy(Arc<AtomicU64>);

impl Clock for Jumpy {
    fn now(&self) -> Time {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        Time(1_700_000_000_000 + n * 40 + (n * 7919) % 3000)
    }
}

#[derive(Default)]
pub struct World {
    ledger: Arc<MemoryLedger>,
    views: Arc<MemoryViews>,
    oracle: Oracle,
    clock: Jumpy,
    /// What was answered: each message, by position, and the first answer to each key.
    sent: BTreeMap<Position, Sent>,
    first: BTreeMap<KeyedHash, (Command, Sent)>,
    /// How often views had to be made anew.
    pub rebuilt: u64,
    /// Writes of the longest life, from when it served.
    pub writes: u64,
}

/// What became of the batches of a life.
struct Past {
    batches: Vec<Vec<Command>>,
    replies: Vec<Vec<Reply>>,
    taken: Vec<Stamped>,
}

impl World {
    pub fn live(&mut self, life: &Life) {
        let (crash, kind) = match life.crash {
            Some((at, kind)) => (Some(at), kind),
            None => (None, Crash::Before),
        };
        let faults = Faults::new(kind, life.flush_every);
        if let Some(early) = life.early {
            faults.stop_at(i64::from(early));
        }
        let taken = Arc::new(Mutex::new(Vec::new()));
        let past = match self.open(life, &faults, &taken) {
            None => None,
            Some((log, sender)) => {
                let reader = log.reader();
                self.check_served(&reader, &faults);
                let before = faults.writes();
                if let Some(at) = crash {
                    faults.stop_at(i64::from(at));
                }
                let mut batches = life.batches.clone();
                if self.oracle.tail.position == Position(0) {
                    batches.insert(0, vec![found()]);
                }
                let replies = ask(&sender, &batches, life.hurry);
                self.writes = self.writes.max(faults.writes() - before);
                if life.end != End::Closed {
                    faults.stop();
                }
                drop(sender);
                let ended = log.join();
                assert!(ended.is_ok() || faults.is_dead(), "{ended:?}");
                Some((batches, replies, reader))
            }
        };
        let stopped = faults.is_dead();
        match life.end {
            _ if !stopped => {}
            End::Dark => self.ledger.cut(),
            // The kernel writes it back, whoever asked for it.
            End::Closed | End::Killed => self
                .ledger
                .append(&[], &[], Durability::Sync)
                .expect("settles"),
        }
        self.views.cut();
        if let Some((batches, replies, reader)) = past {
            let taken = std::mem::take(&mut *taken.lock());
            self.reconcile(
                Past {
                    batches,
                    replies,
                    taken,
                },
                stopped,
            );
            // Now from the hot table and the ring.
            self.check_served(&reader, &faults);
        }
        self.check_ledger();
    }

    fn open(
        &mut self,
        life: &Life,
        faults: &Arc<Faults>,
        taken: &Arc<Mutex<Vec<Stamped>>>,
    ) -> Option<(Log, Sender<Vec<Submission>>)> {
        loop {
            let (sender, source) = batches();
            let theirs = Arc::clone(taken);
            let options = Options {
                config: LogConfig {
                    recovery: RecoveryBudget {
                        records: life.budget,
                        ..small().recovery
                    },
                    ..small()
                },
                hot_rows: Some(life.hot_rows),
                clock: Box::new(self.clock.clone()),
                observer: Some(Box::new(move |stamped| theirs.lock().push(stamped.clone()))),
                ..Options::default()
            };
            let ledger = FaultyLedger(Arc::clone(&self.ledger), Arc::clone(faults));
            let views = FaultyViews(Arc::clone(&self.views), Arc::clone(faults));
            match Log::over(Arc::new(ledger), Arc::new(views), options, source) {
                Ok(log) => return Some((log, sender)),
                Err(_) if faults.is_dead() => return None,
                Err(OpenError::Store(error)) if error.to_string().contains("of a flush") => {
                    self.views = Arc::new(MemoryViews::default());
                    self.rebuilt += 1;
                }
                Err(error) => panic!("does not open: {error}"),
            }
        }
    }

    /// Brings the oracle to where the ledger is, and checks the answers against it.
    fn reconcile(&mut self, past: Past, stopped: bool) {
        let last = self.ledger.last().expect("reads");
        let last = last.map_or(Position(0), |(position, _)| position);
        let mut oracle = self.oracle.clone();
        let mut taken = past.taken.into_iter();
        let mut answers: Vec<Vec<Answer>> = Vec::new();
        let mut whole = None;
        if oracle.tail.position == last {
            whole = Some((0, oracle.clone()));
        }
        for batch in &past.batches {
            let of_batch: Vec<Stamped> = taken.by_ref().take(batch.len()).collect();
            if of_batch.len() < batch.len() {
                // The machine stopped while this batch was decided, or before.
                break;
            }
            let commands: Vec<_> = of_batch.iter().map(|stamped| &stamped.command).collect();
            assert_eq!(commands, batch.iter().collect::<Vec<_>>(), "taken in order");
            answers.push(
                of_batch
                    .iter()
                    .map(|stamped| oracle.take(stamped))
                    .collect(),
            );
            if oracle.tail.position == last {
                whole = Some((answers.len(), oracle.clone()));
            }
        }
        let Some((done, oracle)) = whole else {
            panic!("the ledger ends at {last}, in the middle of a batch");
        };
        assert!(
            stopped || done == past.batches.len(),
            "something is missing"
        );
        self.oracle = oracle;
        for (number, (batch, replies)) in past.batches.iter().zip(past.replies).enumerate() {
            for (at, (command, reply)) in batch.iter().zip(replies).enumerate() {
                match reply {
                    Ok(answer) => {
                        assert!(number < done, "answered, and not there: {command:?}");
                        assert_eq!(answer, answers[number][at], "{command:?}");
                        self.answered(command, &answer);
                    }
                    Err(error) => {
                        assert!(stopped, "{error}");
                        assert_eq!(error, WriterError::Stopped);
                    }
                }
            }
        }
    }

    /// What the design promises of an answer, whatever the rules say.
    fn answered(&mut self, command: &Command, answer: &Answer) {
        let Ask::Send(send) = &command.ask else {
            return;
        };
        let before = send.key.and_then(|key| self.first.get(&key));
        match (answer, before) {
            (Ok(Outcome::Sent(sent)), Some((first, answer))) => {
                let Ask::Send(first) = &first.ask else {
                    unreachable!("only sends are kept")
                };
                assert_eq!(first.digest, send.digest, "another request with this key");
                let again = Sent {
                    repeated: true,
                    ..answer.clone()
                };
                assert_eq!(*sent, again, "a retry gets the first answer");
            }
            (Ok(Outcome::Sent(sent)), None) => {
                // A retry of what was never answered may find the message there.
                let first = Sent {
                    repeated: false,
                    ..sent.clone()
                };
                assert!(send.key.is_some() || !sent.repeated);
                let old = self.sent.insert(sent.position, first.clone());
                assert_eq!(old, None, "two answers name one message");
                if let Some(key) = send.key {
                    self.first.insert(key, (command.clone(), first));
                }
            }
            (Err(Refusal::KeyReused), before) => {
                assert!(send.key.is_some());
                if let Some((
                    Command {
                        ask: Ask::Send(first),
                        ..
                    },
                    _,
                )) = before
                {
                    assert_ne!(first.digest, send.digest, "the same request was refused");
                }
            }
            (Err(_), before) => assert!(before.is_none(), "a retry was refused"),
            (Ok(other), _) => panic!("a send was answered with {other:?}"),
        }
    }

    /// The ledger is the oracle's, byte for byte, and a fresh fold of it gives the oracle's rows.
    fn check_ledger(&self) {
        let found = records(&*self.ledger);
        assert_eq!(found, self.oracle.records);
        assert_same(&fold(&found), &self.oracle.state.rows, "fresh fold");
        assert_eq!(self.ledger.stray_bodies(10).expect("reads"), []);
    }

    /// What readers see is what was answered.
    fn check_served(&self, reader: &Reader, faults: &Faults) {
        if faults.is_dead() {
            return;
        }
        // A flush that is due may run into the crash meanwhile.
        let checked = self.check_logs(reader);
        assert!(checked.is_some() || faults.is_dead());
    }

    fn users(&self) -> u64 {
        match self.oracle.state.row(SettingsKey::Users).expect("reads") {
            Some(SettingsRow::Users(last)) => last.0,
            _ => 0,
        }
    }

    fn check_logs(&self, reader: &Reader) -> Option<()> {
        assert_eq!(reader.durable(), self.oracle.tail.position);
        let mut seen: BTreeMap<Position, Vec<(UserNo, Seq)>> = BTreeMap::new();
        for user in (1..=self.users()).map(UserNo) {
            let (mut after, limit) = (Seq(0), 1 + user.0 as usize % 7);
            loop {
                let Pulled::Page {
                    span,
                    entries,
                    more,
                } = reader.pull(user, after, limit).ok()?
                else {
                    panic!("no page")
                };
                assert_eq!(more, span.head.0 > after.0 + entries.len() as u64);
                for entry in entries {
                    assert_eq!(entry.seq, after.next(), "a hole in the log of {user}");
                    after = entry.seq;
                    let (bytes, body) = &self.oracle.records[entry.record.position.0 as usize - 1];
                    assert_eq!(&entry.record.encode(), &Some(bytes.clone()));
                    let body = body
                        .as_ref()
                        .map(|stored| decode_stored(stored).expect("a body"));
                    assert_eq!(entry.message.map(Body::Message), body);
                    seen.entry(entry.record.position)
                        .or_default()
                        .push((user, after));
                }
                if !more {
                    break;
                }
            }
        }
        for (position, sent) in &self.sent {
            let places = seen.get(position).map(Vec::as_slice).unwrap_or_default();
            let of_receiver: Vec<_> = places
                .iter()
                .filter(|(user, _)| *user == sent.receiver)
                .collect();
            assert_eq!(of_receiver.len(), 1, "message {position} is there once");
            assert_eq!(Some(of_receiver[0].1), sent.seq);
        }
        for (position, places) in &seen {
            let record = self.oracle.state.decoded_record(*position).expect("reads");
            let fact = record.map(|record| record.fact);
            if let Some(Fact::MessageSent(_) | Fact::MessagePosted(_)) = fact {
                let users: BTreeSet<_> = places.iter().map(|(user, _)| user).collect();
                assert_eq!(
                    users.len(),
                    places.len(),
                    "message {position} is there twice"
                );
            }
        }
        let mut keys = BTreeMap::new();
        for position in seen.keys() {
            let record = self.oracle.state.decoded_record(*position).expect("reads");
            if let Some(Fact::MessageSent(message)) = record.map(|record| record.fact)
                && let Some(key) = message.key
            {
                assert_eq!(
                    keys.insert(key, *position),
                    None,
                    "two messages with one key"
                );
            }
        }
        Some(())
    }

    /// A last life without a crash: the views on disk are the rows of the fold.
    pub fn settle(&mut self, budget: u64, hot_rows: usize) {
        let life = Life {
            batches: vec![],
            hurry: false,
            crash: None,
            early: None,
            end: End::Closed,
            budget,
            hot_rows,
            flush_every: 0,
        };
        self.live(&life);
        let found = rows(&*self.views);
        assert_same(&found, &self.oracle.state.rows, "views");
        assert_eq!(state_hash(&found), self.oracle.state.state_hash());
        let applied = self
            .views
            .mark()
            .expect("reads")
            .and_then(|mark| mark.applied);
        assert_eq!(
            applied.map(|applied| (applied.position, applied.leaf)),
            Some((self.oracle.tail.position, self.oracle.tail.leaf))
        );
    }
}

/// Hands the batches in and waits for all replies.
fn ask(sender: &Sender<Vec<Submission>>, batches: &[Vec<Command>], hurry: bool) -> Vec<Vec<Reply>> {
    let (mut waiting, mut replies) = (Vec::new(), Vec::new());
    for batch in batches {
        let (give, receive) = crossbeam_channel::unbounded();
        // When the writer has gone, the submissions are dropped, and their replies say so.
        drop(sender.send(asked(batch, &give)));
        waiting.push((batch.len(), receive));
        drop(give);
        if !hurry {
            replies.extend(waiting.drain(..).map(collect));
        }
    }
    replies.extend(waiting.drain(..).map(collect));
    replies
}

/// Ends when the last reply was given or dropped, so that one too many is found too.
fn collect((count, receiver): (usize, Receiver<(usize, Reply)>)) -> Vec<Reply> {
    let mut replies = vec![None; count];
    for (at, reply) in receiver {
        let before: Option<Reply> = replies[at].replace(reply);
        assert_eq!(before, None, "two replies to one command");
    }
    let given = replies.into_iter();
    given.map(|reply| reply.expect("a reply to each")).collect()
}
