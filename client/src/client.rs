//! The client of a program: a log kept in step with a server, a store, an outbox.

use std::sync::PoisonError;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Mutex, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use waybill_core::id::Seq;

use crate::config::Config;
use crate::error::Error;
use crate::event::{Event, SendError};
use crate::log_entry::LogEntry;
use crate::message::{Message, Sent};
use crate::store::thread::Keeper;
use crate::store::{Gap, Store, StoreError, Waiting};
use crate::sync::End;
use crate::sync::run::{Command, Parts, Shown, run};

/// Events that may wait for a listener; a slower one is told how many it missed.
const EVENTS: usize = 1_024;

/// Calls that may wait for the client; beyond it callers wait.
const COMMANDS: usize = 64;

/// Entries that [`Follow::next`] returns at a time.
const FOLLOW_ENTRIES: u32 = 500;

/// Why a client cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The configuration is not complete, or there is no socket to be had.
    #[error(transparent)]
    Setup(#[from] Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A client. It connects by itself, and again whenever the connection is lost, until it is closed or dropped.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use waybill_client::{Client, Config, Message, Trust};
/// use waybill_core::id::Seq;
///
/// let config = Config::new("ann", "token of ann")
///     .device("phone-1", 2)
///     .store("ann.sqlite")
///     .quic("127.0.0.1:10003", Trust::Pinned("9f86…".parse()?))
///     .http("http://127.0.0.1:10002");
/// let client = Client::open(config).await?;
/// let sent = client.send(Message::text("bob", "hello")).await?;
/// println!("{} is on disk", sent.server_msg_id);
/// let mut log = client.follow(Seq(0));
/// while let Some(entries) = log.next().await? {
///     for entry in entries {
///         println!("{}", entry.json());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Client {
    commands: mpsc::Sender<Command>,
    keeper: Keeper,
    events: broadcast::Sender<Event>,
    /// For the first one who listens.
    first: std::sync::Mutex<Option<broadcast::Receiver<Event>>>,
    shown: watch::Receiver<Shown>,
    task: Mutex<Option<JoinHandle<End>>>,
}

impl Client {
    /// Opens the store and begins to connect. It does not wait for a connection: what is stored can be read at once. Must be
    /// called within a runtime.
    ///
    /// # Errors
    /// When the configuration is not complete, or the store cannot be opened.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let (ways, snapshots) = config.ways()?;
        let (path, user, device) = (
            config.store.clone(),
            config.user.clone(),
            config.device.clone(),
        );
        let after = config.after;
        let keeper = Keeper::start(move || {
            let mut store = match path {
                Some(path) => Store::open(&path, &user, &device)?,
                None => Store::in_memory(&user, &device)?,
            };
            store.begin_after(after)?;
            Ok(store)
        })
        .await?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(Error::setup)?;
        let begin = keeper.run(|store| Ok((store.shown(), store.position().generation)));
        let (cursor, generation) = begin.await?;
        let (to, commands) = mpsc::channel(COMMANDS);
        let (events, first) = broadcast::channel(EVENTS);
        let (show, shown) = watch::channel(Shown {
            cursor,
            generation,
            end: None,
        });
        let task = tokio::spawn(run(Parts {
            pace: config.pace.clone(),
            ways,
            snapshots,
            keeper: keeper.clone(),
            has_device: config.reports(),
            seed: u64::from_le_bytes(seed),
            commands,
            events: events.clone(),
            shown: show,
        }));
        Ok(Self {
            commands: to,
            keeper,
            events,
            first: std::sync::Mutex::new(Some(first)),
            shown,
            task: Mutex::new(Some(task)),
        })
    }

    /// What happens from now on; the first call gives what has happened since the client was opened. A listener that is too slow
    /// is told how many events it missed; for every entry without exception there is [`Client::follow`].
    #[must_use]
    pub fn events(&self) -> Events {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        Events(first.take().unwrap_or_else(|| self.events.subscribe()))
    }

    /// Sends a message and waits for the server's answer, through any number of lost connections. Then it is on the server's
    /// disk and in its receiver's log exactly once. Dropping the future does not take the message back.
    ///
    /// # Errors
    /// When the message cannot be put into the outbox, the server will not have it, or the client has ended.
    pub async fn send(&self, message: Message) -> Result<Sent, SendError> {
        let (sent, answer) = oneshot::channel();
        self.queue(message, Some(sent)).await?;
        answer.await.unwrap_or_else(|_| Err(self.why()))
    }

    /// Puts a message into the outbox and returns its key. It is on this device's disk then, and is sent exactly once, by
    /// this client or by the next one on this store.
    ///
    /// # Errors
    /// When the message cannot be put into the outbox, or the client has ended.
    pub async fn enqueue(&self, message: Message) -> Result<String, SendError> {
        self.queue(message, None).await
    }

    async fn queue(
        &self,
        message: Message,
        sent: Option<oneshot::Sender<Result<Sent, SendError>>>,
    ) -> Result<String, SendError> {
        let message = message
            .keyed()
            .map_err(|error| SendError::NoKey(error.to_string()))?;
        let key = message.key.clone();
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
        let (queued, entered) = oneshot::channel();
        let command = Command::Send {
            message: Box::new(message),
            now,
            queued,
            sent,
        };
        self.commands.send(command).await.map_err(|_| self.why())?;
        entered.await.unwrap_or_else(|_| Err(self.why()))?;
        Ok(key)
    }

    fn why(&self) -> SendError {
        let end = self.shown.borrow().end.clone();
        SendError::Ended(end.unwrap_or(End::Closed))
    }

    /// Entries of the store after a seq, ascending: at most `limit`, and at most 1,000.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn entries(&self, after: Seq, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        self.keeper
            .run(move |store| store.entries(after, limit))
            .await
    }

    /// Every entry after a seq, those that are stored and those that come, without exception and in order.
    #[must_use]
    pub fn follow(&self, after: Seq) -> Follow {
        let shown = self.shown.clone();
        let generation = shown.borrow().generation;
        Follow {
            keeper: self.keeper.clone(),
            shown,
            generation,
            after,
        }
    }

    /// The last entry that is stored.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.shown.borrow().cursor
    }

    /// The holes of the log: entries that the server no longer had.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn gaps(&self) -> Result<Vec<Gap>, StoreError> {
        self.keeper.run(|store| store.gaps()).await
    }

    /// The conversations of the last snapshot, as JSON; none where no snapshot was needed. Entries after it change them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn conversations(&self) -> Result<Vec<String>, StoreError> {
        self.keeper.run(|store| store.conversations()).await
    }

    /// Deletes the entries up to a seq from this device. The server's log stays as it is, and the entries do not come again.
    ///
    /// # Errors
    /// When the store cannot be written, or the client has ended.
    pub async fn forget(&self, until: Seq) -> Result<(), StoreError> {
        let (forgotten, answer) = oneshot::channel();
        let command = Command::Forget(until, forgotten);
        let asked = self.commands.send(command).await;
        asked.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// What waits to be sent, and what was refused.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn outbox(&self) -> Result<Vec<Waiting>, StoreError> {
        self.keeper.run(|store| store.outbox()).await
    }

    /// Takes a refused message out of the outbox. The answer says whether there was one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn discard(&self, key: impl Into<String>) -> Result<bool, StoreError> {
        let key = key.into();
        self.keeper.run(move |store| store.discard(&key)).await
    }

    /// Tells the client that the network of this device has changed: connections move to it, and a client that waits tries at
    /// once.
    pub async fn moved(&self) {
        // One that has ended need not know.
        let _ = self.commands.send(Command::Moved).await;
    }

    /// Waits until the client has ended and says why.
    pub async fn ended(&self) -> End {
        let mut shown = self.shown.clone();
        let ended = shown.wait_for(|shown| shown.end.is_some()).await;
        let end = ended.ok().and_then(|shown| shown.end.clone());
        end.unwrap_or(End::Closed)
    }

    /// Acknowledges what is stored, says goodbye and closes the store. What was not sent stays in the outbox.
    pub async fn close(self) -> End {
        let _ = self.commands.send(Command::Close).await;
        let end = match self.task.lock().await.take() {
            Some(task) => task.await.unwrap_or(End::Closed),
            None => End::Closed,
        };
        // The file is free for the next one when this returns.
        self.keeper.stop().await;
        end
    }
}

/// Events as they happen.
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next one; `None` after the end.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Why a log cannot be followed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The store has another history now, whose entries are others: follow again from 0.
    #[error("the log is of another history now: read it again from its beginning")]
    NewHistory,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Every entry of a log, in order. Nothing waits in memory: what is not taken stays in the store.
pub struct Follow {
    keeper: Keeper,
    shown: watch::Receiver<Shown>,
    generation: u64,
    after: Seq,
}

impl Follow {
    /// The next entries, at least one; waits for as long as there are none. `None` when the client has ended and everything
    /// that is stored was taken, or the client was closed. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the store cannot be read, or has another history now.
    pub async fn next(&mut self) -> Result<Option<Vec<LogEntry>>, FollowError> {
        loop {
            let Shown {
                cursor,
                generation,
                end,
            } = self.shown.borrow_and_update().clone();
            if generation != self.generation {
                return Err(FollowError::NewHistory);
            }
            if cursor > self.after {
                let after = self.after;
                let read = self.keeper.run(move |store| {
                    let entries = store.entries(after, FOLLOW_ENTRIES)?;
                    Ok((store.position().generation, entries))
                });
                let (generation, entries) = match read.await {
                    // The client was closed, and its store with it.
                    Err(StoreError::Closed) => return Ok(None),
                    read => read?,
                };
                if generation != self.generation {
                    return Err(FollowError::NewHistory);
                }
                if let Some(last) = entries.last() {
                    self.after = last.seq;
                    return Ok(Some(entries));
                }
                // Everything up to there is missing or was forgotten.
                self.after = cursor;
            } else if end.is_some() || self.shown.changed().await.is_err() {
                return Ok(None);
            }
        }
    }
}
