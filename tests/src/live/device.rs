//! One device: its log, and what it goes through.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::session::{Ask, Entry, Got, NotNow, Session, Transport};
use super::tally::Tally;
use crate::dice::Dice;
use crate::harness::PATIENCE;

/// How long a session is left alone before something happens to it, at most.
const LIFE_MS: u64 = 10_000;

/// How long a device does not read, at most.
const STALL_MS: u64 = 3_000;

/// How long a device waits before it connects again when nobody has said how long, at least and at most.
const BACKOFF_MS: (u64, u64) = (100, 1_000);

/// One in so many batches of entries is acknowledged.
const ACKNOWLEDGE: u64 = 12;

/// How far each user's log goes in the end, once that is known.
pub(super) type Goal = Option<Arc<HashMap<String, u64>>>;

/// What a device has in the end.
#[derive(Debug)]
pub struct Kept {
    /// Whose log it is.
    pub user: String,
    /// Which device has it.
    pub device: String,
    /// How it came.
    pub transport: Transport,
    /// The log, from seq 1 without holes.
    pub log: Vec<Entry>,
}

pub(super) struct Device {
    pub ask: Ask,
    pub transport: Transport,
    pub dice: Dice,
    pub tally: Arc<Tally>,
    pub goal: watch::Receiver<Goal>,
    /// How long its log is, for a report.
    pub length: Arc<AtomicU64>,
    pub log: Vec<Entry>,
    pub sessions: u64,
}

enum Mischief {
    Drop,
    Takeover,
}

/// What becomes of a session.
enum Next {
    /// Another one goes on in its place.
    Another(Session),
    /// It is over; the next one begins after this time, or a time of the device's own.
    Over(Option<Duration>),
    /// The device has all there is.
    Done,
}

impl Device {
    /// Follows the log through everything until it is whole.
    pub(super) async fn live(mut self) -> Kept {
        let mut session = None;
        while !self.is_done() {
            let mut open = match session.take() {
                Some(session) => session,
                None => match self.open().await {
                    Ok(session) => session,
                    Err(wait) => {
                        self.wait(wait).await;
                        continue;
                    }
                },
            };
            match self.session(&mut open).await {
                Next::Another(another) => {
                    self.part(open);
                    session = Some(another);
                }
                Next::Over(wait) => {
                    drop(open);
                    self.tally.closed();
                    self.wait(wait).await;
                }
                Next::Done => self.tally.closed(),
            }
        }
        Kept {
            user: self.ask.user,
            device: self.ask.device,
            transport: self.transport,
            log: self.log,
        }
    }

    fn is_done(&self) -> bool {
        let goal = self.goal.borrow();
        let head = goal.as_ref().map(|heads| heads.get(&self.ask.user));
        head.is_some_and(|head| self.log.len() as u64 >= head.copied().unwrap_or(0))
    }

    fn random_ms(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.dice.up_to(most - least))
    }

    async fn wait(&mut self, wait: Option<Duration>) {
        let own = self.random_ms(BACKOFF_MS.0, BACKOFF_MS.1);
        // Not for synchronisation: this is what a client does.
        sleep(wait.unwrap_or(own)).await;
    }

    async fn open(&mut self) -> Result<Session, Option<Duration>> {
        let after = self.log.len() as u64;
        match Session::open(self.transport, &self.ask, after).await {
            Ok(session) => {
                self.tally.opened(self.transport, self.sessions > 0);
                self.sessions += 1;
                Ok(session)
            }
            Err(NotNow::Silent) => Err(None),
            Err(NotNow::Refused(name, retry)) => {
                let for_now = [
                    "STOPPING",
                    "BUSY",
                    "EARLY_DATA",
                    "HELLO_TIMEOUT",
                    "",
                    "CLOSED",
                ];
                assert!(
                    for_now.contains(&name.as_str()),
                    "{} of {} after {after}: {name}",
                    self.ask.device,
                    self.ask.user
                );
                Err((retry > 0).then(|| Duration::from_millis(retry)))
            }
        }
    }

    /// A session until it brings something, or something happens to it.
    async fn session(&mut self, session: &mut Session) -> Next {
        let mut moment = Instant::now() + self.random_ms(0, LIFE_MS);
        loop {
            let mut goal = self.goal.clone();
            goal.mark_unchanged();
            if self.is_done() {
                return Next::Done;
            }
            let got = {
                // Kept through a stall: a poll that is under way is not asked again.
                let mut next = std::pin::pin!(session.next());
                loop {
                    tokio::select! {
                        got = &mut next => break Ok(got),
                        _ = goal.changed() => break Ok(Got::Nothing),
                        () = sleep_until(moment) => {}
                    }
                    match self.mischief() {
                        Some(mischief) => break Err(mischief),
                        None => {
                            self.tally.of(self.transport).stalls.fetch_add(1, Relaxed);
                            sleep(self.random_ms(100, STALL_MS)).await;
                            moment = Instant::now() + self.random_ms(0, LIFE_MS);
                        }
                    }
                }
            };
            match got {
                Ok(Got::Entries(entries)) => {
                    self.take(entries);
                    if self.dice.up_to(ACKNOWLEDGE) == 0 {
                        session.acknowledge(&self.ask, self.log.len() as u64).await;
                    }
                }
                Ok(Got::Nothing) => {}
                Ok(Got::Bye(name, retry)) => return self.told(&name, retry),
                Ok(Got::Gone) => {
                    self.tally.of(self.transport).gone.fetch_add(1, Relaxed);
                    return Next::Over(None);
                }
                Err(Mischief::Drop) => {
                    self.tally.of(self.transport).drops.fetch_add(1, Relaxed);
                    return Next::Over(Some(Duration::ZERO));
                }
                Err(Mischief::Takeover) => match self.open().await {
                    Ok(another) => return Next::Another(another),
                    Err(wait) => return Next::Over(wait),
                },
            }
        }
    }

    /// What happens to a session; `None` when it is not read for a while.
    fn mischief(&mut self) -> Option<Mischief> {
        match self.dice.up_to(9) {
            0..=3 => None,
            4 | 5 if self.transport != Transport::LongPoll => Some(Mischief::Takeover),
            _ => Some(Mischief::Drop),
        }
    }

    /// Dense, in order, each once.
    fn take(&mut self, entries: Vec<Entry>) {
        let counts = self.tally.of(self.transport);
        counts.entries.fetch_add(entries.len() as u64, Relaxed);
        for entry in entries {
            assert_eq!(
                entry.seq,
                self.log.len() as u64 + 1,
                "{} of {} over {:?}",
                self.ask.device,
                self.ask.user,
                self.transport
            );
            self.log.push(entry);
        }
        self.length.store(self.log.len() as u64, Relaxed);
    }

    fn told(&mut self, name: &str, retry: u64) -> Next {
        self.tally.of(self.transport).byes.fetch_add(1, Relaxed);
        match name {
            "STOPPING" if self.transport == Transport::LongPoll => {}
            // A QUIC connection whose peer does not read in time is closed over the goodbye that waits, and a close has no time in it.
            "STOPPING" if self.transport == Transport::Quic && retry == 0 => {}
            "STOPPING" => self.tally.hint(retry),
            // A stall may have been long for this machine, and a stream may have lived long enough.
            "TOO_SLOW" | "CLOSED" | "BUSY" => {}
            other => panic!("{} of {}: {other}", self.ask.device, self.ask.user),
        }
        Next::Over((retry > 0).then(|| Duration::from_millis(retry)))
    }

    /// An older session of the device is told that there is a newer one. What it still brings is what the newer one brings.
    fn part(&mut self, mut old: Session) {
        let tally = Arc::clone(&self.tally);
        tally.of(self.transport).takeovers.fetch_add(1, Relaxed);
        tokio::spawn(async move {
            let ends = async {
                loop {
                    match old.next().await {
                        Got::Bye(name, _) => {
                            let known = ["SUPERSEDED", "STOPPING", "CLOSED"];
                            assert!(known.contains(&name.as_str()), "an older session: {name}");
                            return;
                        }
                        Got::Gone => return,
                        Got::Entries(_) | Got::Nothing => {}
                    }
                }
            };
            let ended = timeout(PATIENCE, ends).await;
            tally.closed();
            ended.expect("an older session of a device ends");
        });
    }
}
