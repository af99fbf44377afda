//! The engine without a network: commands into the writer's queue, answers out of it, in this process.
//!
//! What a gateway does for a send is done here too, on the load generator's thread: keyed hashes, the request's digest,
//! the body's encoding and its commitment. It must not know how a run is timed or reported.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use waybill_core::command::{self, Ask, Command, ConversationKind, UserRef};
use waybill_core::fact;
use waybill_core::hash::{Domain, HashKey};
use waybill_core::id::{Epoch, KeyedHash, Opening, Position, UserNo};
use waybill_core::outcome::{Outcome, Sent};
use waybill_core::record::Surface;
use waybill_log::{Log, LogConfig, Options, QueueHandle, Reader, Reply, ReplyTo};

use crate::corpus::{self, Corpus, Pool, user_id};
use crate::error::{Error, Result};
use crate::rng::Rng;

/// The system's name in errors.
pub const NAME: &str = "waybill engine";

/// A conversation between an account and a receiver, in the terms of [`Domain::Conversation`].
const NOTIFICATION: &[u8] = &[2];

/// Makes commands as a gateway does.
pub struct Maker {
    key: HashKey,
    sender: UserRef,
    openings: u64,
}

impl Maker {
    /// A maker whose openings come from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut secret = [0; 32];
        Rng::new(seed, 0x0073_6563_7265_7400).fill(&mut secret);
        let key = HashKey::new(&secret);
        let mut maker = Self {
            sender: user_ref(&key, corpus::SENDER, Opening([0; 16])),
            key,
            openings: seed,
        };
        maker.sender.opening = maker.opening(u64::MAX);
        maker
    }

    /// The keyed hash of a user of the population.
    #[must_use]
    pub fn user(&self, number: u32) -> KeyedHash {
        self.key.hash(Domain::User, &[user_id(number).as_bytes()])
    }

    /// A user of the population.
    #[must_use]
    pub fn reference(&self, number: u32) -> UserRef {
        let opening = self.opening(u64::from(number) << 32);
        user_ref(&self.key, &user_id(number), opening)
    }

    /// A sending account besides the usual one.
    #[must_use]
    pub fn account(&self, number: u32) -> UserRef {
        let opening = self.opening((u64::from(number) << 32) + 1);
        user_ref(&self.key, &format!("account-{number}"), opening)
    }

    /// The usual sending account.
    #[must_use]
    pub fn sender(&self) -> &UserRef {
        &self.sender
    }

    /// The send of message `index` of `pool`.
    #[must_use]
    pub fn send(&self, pool: &Pool, index: u64) -> Command {
        self.send_to(pool, index, pool.corpus().receiver(index))
    }

    /// The send of message `index` of `pool` to user `receiver`.
    #[must_use]
    pub fn send_to(&self, pool: &Pool, index: u64, receiver: u32) -> Command {
        let receiver = user_id(receiver);
        let key = hex::encode(pool.corpus().key(index));
        let mut body = pool.message(index).clone();
        body.client_msg_id.clone_from(&key);
        let body = body.body().seal(self.opening(index));
        command(Ask::Send(command::Send {
            key: Some(
                self.key
                    .dedup(corpus::SENDER, &key, &[NOTIFICATION, receiver.as_bytes()]),
            ),
            digest: self.key.digest(&[receiver.as_bytes(), &body.bytes]),
            receiver: user_ref(&self.key, &receiver, self.opening(index | 1 << 63)),
            sender: self.sender.clone(),
            kind: ConversationKind::Notification,
            account: true,
            content_type: corpus::CONTENT_TYPE,
            notification_type: 1,
            options_off: fact::Options::default(),
            terms: None,
            body,
        }))
    }

    fn opening(&self, index: u64) -> Opening {
        let mut opening = [0; 16];
        Rng::new(self.openings ^ 0x6f70_656e_696e_6700, index).fill(&mut opening);
        Opening(opening)
    }
}

fn command(ask: Ask) -> Command {
    Command {
        by: UserNo(0),
        surface: Surface::Server,
        ask,
    }
}

fn user_ref(key: &HashKey, id: &str, opening: Opening) -> UserRef {
    UserRef {
        id: id.to_owned(),
        hash: key.hash(Domain::User, &[id.as_bytes()]),
        opening,
    }
}

/// A running engine.
pub struct Engine {
    log: Log,
    queue: QueueHandle,
    maker: Maker,
    /// Records that the last start applied again.
    replayed: u64,
}

impl Engine {
    /// Has a command done.
    ///
    /// # Errors
    /// When it is refused, or the engine has stopped.
    pub fn ask(&self, command: Command) -> Result<Outcome> {
        outcome(self.queue.ask_blocking(command))
    }

    /// Opens the data directory `dir`, and begins a ledger there if there is none.
    ///
    /// # Errors
    /// What the log says.
    pub fn open(dir: &Path, config: LogConfig, seed: u64) -> Result<Self> {
        let options = Options {
            config,
            ..Options::default()
        };
        let mut replayed = 0;
        let (log, queue) = Log::open(dir, options, &mut |done, _| replayed = replayed.max(done.0))
            .map_err(|e| Error::Server {
                system: NAME,
                detail: format!("does not open: {e}"),
            })?;
        let engine = Self {
            log,
            queue,
            maker: Maker::new(seed),
            replayed,
        };
        if engine.reader().durable() == Position(0) {
            let mut random = [0; 14];
            Rng::new(seed, 0x0065_706f_6368_0000).fill(&mut random);
            let found = command(Ask::Found {
                epoch: Epoch::new(1, random),
                rules: 1,
            });
            outcome(engine.queue.ask_blocking(found))?;
        }
        Ok(engine)
    }

    /// Reads what is durable.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.log.reader()
    }

    /// The maker of its commands.
    #[must_use]
    pub fn maker(&self) -> &Maker {
        &self.maker
    }

    /// Up to where the views had to catch up at the start, 0 when they had not.
    #[must_use]
    pub fn replayed(&self) -> u64 {
        self.replayed
    }

    /// Sends one message and waits for the answer.
    ///
    /// # Errors
    /// When it is refused.
    pub fn send(&self, pool: &Pool, index: u64) -> Result<Sent> {
        match outcome(self.queue.ask_blocking(self.maker.send(pool, index)))? {
            Outcome::Sent(sent) => Ok(sent),
            other => Err(Error::Server {
                system: NAME,
                detail: format!("answered a send with {other:?}"),
            }),
        }
    }

    /// Closes it in good order: the views are flushed, the databases closed.
    ///
    /// # Errors
    /// What made the writer stop, if it had.
    pub fn close(self) -> Result<()> {
        drop(self.queue);
        self.log.join().map_err(|e| Error::Server {
            system: NAME,
            detail: format!("the writer stopped: {e}"),
        })
    }

    /// A closed loop over this engine with `in_flight` sends under way.
    #[must_use]
    pub fn pump(&self, in_flight: usize) -> Pump<'_> {
        let (done, answers) = bounded(in_flight.max(1));
        Pump {
            engine: self,
            done,
            answers,
            under_way: 0,
            in_flight: in_flight.max(1),
        }
    }

    /// How many entries all users of `corpus` have in their logs together: what was delivered, counted at the receivers.
    ///
    /// # Errors
    /// When the store fails, or a user's log does not begin at 1.
    pub fn delivered(&self, corpus: &Corpus) -> Result<u64> {
        let failed = |e: waybill_core::outcome::StateError| Error::Server {
            system: NAME,
            detail: e.to_string(),
        };
        let reader = self.reader();
        let mut entries = 0;
        for number in 0..corpus.users() {
            let Some(user) = reader.user_no(self.maker.user(number)).map_err(failed)? else {
                continue;
            };
            let span = reader.span(user).map_err(failed)?;
            if span.floor.0 > 1 {
                return Err(Error::Server {
                    system: NAME,
                    detail: format!("user {number} has the log {span:?}"),
                });
            }
            entries += span.head.0;
        }
        Ok(entries)
    }
}

/// An answered send: when it was submitted, and what came of it.
type Answered = (Instant, Reply);

/// Keeps a number of sends under way.
pub struct Pump<'a> {
    engine: &'a Engine,
    done: Sender<Answered>,
    answers: Receiver<Answered>,
    under_way: usize,
    in_flight: usize,
}

impl Pump<'_> {
    /// Whether another send may be submitted.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.under_way < self.in_flight
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.under_way == 0
    }

    /// Submits `command`; `sent` is what [`Pump::wait`] gives back with its answer.
    ///
    /// # Errors
    /// When the queue is full: the log's configuration is smaller than what is kept in flight.
    pub fn submit(&mut self, command: Command, sent: Instant) -> Result<()> {
        let done = self.done.clone();
        // There is room for as many answers as are ever under way, so this never blocks the writer.
        let reply = ReplyTo::new(move |reply| drop(done.try_send((sent, reply))));
        self.engine
            .queue
            .submit(command, None, reply)
            .map_err(|e| Error::Refused {
                system: NAME,
                detail: e.to_string(),
            })?;
        self.under_way += 1;
        Ok(())
    }

    /// Waits for one answer and takes those that are there already; tells `each` when its send was submitted.
    ///
    /// # Errors
    /// When a send was refused or the writer has stopped.
    pub fn wait(&mut self, mut each: impl FnMut(Instant)) -> Result<()> {
        let first = self
            .answers
            .recv_timeout(crate::wire::PATIENCE)
            .map_err(|_| Error::Stalled {
                system: NAME,
                seconds: crate::wire::PATIENCE.as_secs(),
                outstanding: self.under_way,
            })?;
        for (sent, reply) in std::iter::once(first).chain(self.answers.try_iter()) {
            self.under_way -= 1;
            outcome(reply)?;
            each(sent);
        }
        Ok(())
    }
}

fn outcome(reply: Reply) -> Result<Outcome> {
    let refused = |detail: String| Error::Refused {
        system: NAME,
        detail,
    };
    reply
        .map_err(|e| refused(e.to_string()))?
        .map_err(|e| refused(e.to_string()))
}

/// Fills a data directory's worth of messages as fast as it goes: messages `from..to` of `pool`, `in_flight` at a time.
/// `receiver` may send a message elsewhere than the corpus does; `tick` is told how many are answered.
///
/// # Errors
/// When a send is refused.
pub fn fill(
    engine: &Engine,
    pool: &Arc<Pool>,
    range: std::ops::Range<u64>,
    in_flight: usize,
    receiver: impl Fn(u64) -> u32,
    mut tick: impl FnMut(u64),
) -> Result<()> {
    let mut pump = engine.pump(in_flight);
    let mut answered = range.start;
    let mut next = range.start;
    while answered < range.end {
        while pump.has_room() && next < range.end {
            pump.submit(
                engine.maker.send_to(pool, next, receiver(next)),
                Instant::now(),
            )?;
            next += 1;
        }
        pump.wait(|_| answered += 1)?;
        tick(answered);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use waybill_log::LogConfig;

    use super::{Engine, fill};
    use crate::corpus::{Corpus, Pool};

    #[test]
    fn what_is_filled_is_delivered_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let pool = Arc::new(Pool::new(Corpus::new(1, 20), 50));
        let config = LogConfig {
            memory_mib: 128,
            ..LogConfig::default()
        };
        let engine = Engine::open(dir.path(), config, 1).unwrap();
        let mut last = 0;
        fill(
            &engine,
            &pool,
            0..300,
            64,
            |i| pool.corpus().receiver(i),
            |n| last = n,
        )
        .unwrap();
        assert_eq!((last, engine.delivered(pool.corpus()).unwrap()), (300, 300));
        let again = engine.send(&pool, 7).unwrap();
        assert!(again.repeated);
        assert_eq!(engine.delivered(pool.corpus()).unwrap(), 300);
        engine.close().unwrap();
        let engine = Engine::open(dir.path(), config, 1).unwrap();
        assert_eq!(engine.delivered(pool.corpus()).unwrap(), 300);
        engine.close().unwrap();
    }
}
