//! Does what the [`machine`](super::machine) wishes: one task, with the store on its thread and a task for each thing under way.
//! Whatever ends comes back through one queue, so that the machine sees the store's work in the order in which it was done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use waybill_core::id::Seq;
use waybill_core::wire::Outgoing;

use super::links::Links;
use super::machine::Machine;
use super::words::{Event as Happened, LinkId, News, Reached, Wish};
use super::{Batch, End, Pace};
use crate::error::Error;
use crate::event::{Event, SendError};
use crate::link::{Opened, Snapshots, Transport, Way};
use crate::message::{Sent, lane};
use crate::store::thread::Keeper;
use crate::store::{Position, Snapshot, StoreError};

/// Messages that may be on their way into the outbox; beyond it callers wait.
const ENTERING: usize = 64;

/// How far ahead a tick is set when nothing is due.
const FAR: Duration = Duration::from_secs(3_600);

/// What the program asks.
pub(crate) enum Command {
    /// Put a message into the outbox, say when it is there, and again when the server has answered.
    Send {
        message: Box<Outgoing>,
        now: u64,
        queued: oneshot::Sender<Result<(), SendError>>,
        sent: Option<oneshot::Sender<Result<Sent, SendError>>>,
    },
    /// Forget entries.
    Forget(Seq, oneshot::Sender<Result<(), StoreError>>),
    /// The network has changed.
    Moved,
    /// End.
    Close,
}

/// What the program sees of the store.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The last entry of the history that is shown.
    pub cursor: Seq,
    /// Which history that is.
    pub generation: u64,
    /// Why nothing more comes.
    pub end: Option<End>,
}

/// What a runner is made of.
pub(crate) struct Parts {
    pub pace: Pace,
    /// Best first.
    pub ways: Vec<(Transport, Arc<dyn Way>)>,
    pub snapshots: Option<Arc<dyn Snapshots>>,
    pub keeper: Keeper,
    pub has_device: bool,
    pub seed: u64,
    pub commands: mpsc::Receiver<Command>,
    pub events: broadcast::Sender<Event>,
    pub shown: watch::Sender<Shown>,
}

/// What has ended.
pub(super) enum Done {
    Connected(LinkId, Result<Opened, Error>),
    Happened(Happened),
    Answered(LinkId, u64, Result<Sent, Error>),
    Queued(u64, u64, Queued),
    /// Either it was sent, or the message with this key will not be.
    Settled(u64, Result<Sent, (String, Error)>),
    /// The store goes on after this entry.
    Skipped(Seq, Position),
    Broken(StoreError),
}

type Waiter = oneshot::Sender<Result<Sent, SendError>>;

/// Who waits for a message that has entered the outbox.
pub(super) struct Queued {
    queued: oneshot::Sender<Result<(), SendError>>,
    sent: Option<Waiter>,
}

struct Runner {
    machine: Machine,
    links: Links,
    snapshots: Option<Arc<dyn Snapshots>>,
    keeper: Keeper,
    events: broadcast::Sender<Event>,
    shown: watch::Sender<Shown>,
    started: Instant,
    /// Bounded by what the machine has under way, and by [`ENTERING`].
    done: mpsc::UnboundedSender<Done>,
    entering: usize,
    /// Answers that are being noted in the store.
    sent: HashMap<u64, Sent>,
    waiters: HashMap<u64, Vec<Waiter>>,
    position: Position,
    end: Option<End>,
}

/// Runs until the end.
pub(crate) async fn run(parts: Parts) -> End {
    let Parts {
        pace,
        ways,
        snapshots,
        keeper,
        has_device,
        seed,
        mut commands,
        events,
        shown,
    } = parts;
    let begin = keeper.run(|store| Ok((store.position(), store.to_send()?, store.transport()?)));
    let (position, outbox, number) = match begin.await {
        Ok(begin) => begin,
        Err(error) => return close(&events, &shown, End::Store(error)),
    };
    let preferred = ways.iter().position(|(way, _)| way.number() == number);
    let machine = Machine::new(
        pace,
        ways.len(),
        preferred.unwrap_or(0),
        has_device,
        position,
        outbox,
        seed,
    );
    let (done, mut ended) = mpsc::unbounded_channel();
    let mut runner = Runner {
        machine,
        links: Links::new(ways, keeper.clone(), done.clone()),
        snapshots,
        keeper,
        events,
        shown,
        started: Instant::now(),
        done,
        entering: 0,
        sent: HashMap::new(),
        waiters: HashMap::new(),
        position,
        end: None,
    };
    runner.handle(Happened::Tick);
    while runner.end.is_none() {
        let wake = runner.machine.wake();
        let wake = wake.map_or_else(|| Instant::now() + FAR, |at| runner.instant(at));
        let reads = runner.machine.reads();
        tokio::select! {
            Some(done) = ended.recv() => runner.ended(done),
            batch = runner.links.next(reads) => runner.came(batch),
            command = commands.recv(), if runner.entering < ENTERING => runner.command(command),
            () = sleep_until(wake) => runner.handle(Happened::Tick),
        }
    }
    commands.close();
    runner.finish().await
}

fn close(events: &broadcast::Sender<Event>, shown: &watch::Sender<Shown>, end: End) -> End {
    shown.send_modify(|shown| shown.end = Some(end.clone()));
    // Nobody may be listening.
    let _ = events.send(Event::Ended(end.clone()));
    end
}

impl Runner {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn instant(&self, at: u64) -> Instant {
        self.started + Duration::from_millis(at)
    }

    fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    fn handle(&mut self, event: Happened) {
        let now = self.now();
        self.machine.handle(now, event);
        for wish in self.machine.wishes() {
            self.perform(wish);
        }
    }

    fn perform(&mut self, wish: Wish) {
        match wish {
            Wish::Connect { link, way, after } => self.links.connect(link, way, after),
            Wish::Drop { link } => self.links.drop(link),
            Wish::Follow { link, after } => self.links.follow(link, after),
            Wish::Store(Batch { head, entries, .. }) => {
                self.store(move |store| store.append(head, &entries).map(Happened::Stored));
            }
            Wish::Begin { epoch, head } => {
                self.store(move |store| store.begin(epoch, head).map(Happened::Stored));
            }
            Wish::Snapshot { link, reached } => self.snapshot(link, reached),
            Wish::Skip { head, snapshot } => self.work(move |store| {
                let skipped = store.skip(head, &snapshot);
                let skipped = skipped.map(|position| Done::Skipped(snapshot.seq, position));
                Some(skipped.unwrap_or_else(Done::Broken))
            }),
            Wish::Send { link, id } => self.links.send(link, id),
            Wish::Settle { id, refusal } => self.settle(id, refusal),
            Wish::Acknowledge { link, seq } => self.links.acknowledge(link, seq),
            Wish::Remember { way } => {
                let number = self.links.transport(way).map_or(0, Transport::number);
                self.store_quietly(move |store| store.set_transport(number));
            }
            Wish::Tell(News::Online { way }) => {
                if let Some(transport) = self.links.transport(way) {
                    self.tell(Event::Online(transport));
                }
            }
            Wish::Tell(News::Offline { error, retry_ms }) => {
                let retry_in = Duration::from_millis(retry_ms);
                self.tell(Event::Offline { error, retry_in });
            }
            Wish::End(end) => self.end = Some(end),
        }
    }

    /// Has the store do something, and the machine hear of it. The order of such work is kept.
    fn work(&self, work: impl FnOnce(&mut crate::store::Store) -> Option<Done> + Send + 'static) {
        let done = self.done.clone();
        self.keeper.ask(move |store| {
            if let Some(it) = work(store) {
                // Nobody listens after the end.
                let _ = done.send(it);
            }
        });
    }

    fn store(
        &self,
        work: impl FnOnce(&mut crate::store::Store) -> Result<Happened, StoreError> + Send + 'static,
    ) {
        self.work(|store| Some(work(store).map_or_else(Done::Broken, Done::Happened)));
    }

    fn store_quietly(
        &self,
        work: impl FnOnce(&mut crate::store::Store) -> Result<(), StoreError> + Send + 'static,
    ) {
        self.work(|store| work(store).err().map(Done::Broken));
    }

    fn snapshot(&self, link: LinkId, reached: Reached) {
        let (snapshots, done) = (self.snapshots.clone(), self.done.clone());
        tokio::spawn(async move {
            let taken = match snapshots {
                Some(snapshots) => snapshots.take().await,
                // Without HTTP there is no list of conversations, but the entries from the floor on.
                None => Ok(Snapshot {
                    epoch: reached.epoch,
                    seq: Seq(reached.floor.0.saturating_sub(1)),
                    conversations: Vec::new(),
                }),
            };
            let event = match taken {
                Ok(snapshot) => Happened::Snapshot(link, reached, snapshot),
                Err(error) => Happened::NoSnapshot(link, error),
            };
            // Nobody listens after the end.
            let _ = done.send(Done::Happened(event));
        });
    }

    fn settle(&mut self, id: u64, refusal: Option<Error>) {
        let sent = self.sent.remove(&id);
        self.work(move |store| {
            let settled = match refusal {
                // A message that two links were answered for was told of by the first.
                None => store.sent(id).map(|was| sent.filter(|_| was).map(Ok)),
                Some(error) => store
                    .refused(id, &error.to_string())
                    .map(|key| key.map(|key| Err((key, error)))),
            };
            match settled {
                Ok(answer) => answer.map(|answer| Done::Settled(id, answer)),
                Err(error) => Some(Done::Broken(error)),
            }
        });
    }

    fn command(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Send {
                message,
                now,
                queued,
                sent,
            }) => {
                self.entering += 1;
                self.work(move |store| {
                    // An id of 0 is given to no message.
                    let (id, result) = match store.enqueue(&message, now) {
                        Ok(id) => (id, Ok(())),
                        Err(error) => (0, Err(error)),
                    };
                    let waiting = match result {
                        Ok(()) => Queued { queued, sent },
                        Err(error) => {
                            let _ = queued.send(Err(error.into()));
                            let (queued, _) = oneshot::channel();
                            Queued { queued, sent: None }
                        }
                    };
                    Some(Done::Queued(id, lane(&message), waiting))
                });
            }
            Some(Command::Forget(until, forgotten)) => {
                self.work(move |store| {
                    let result = store.forget(until);
                    let _ = forgotten.send(result.clone().map(|_| ()));
                    let position = result.ok().filter(|position| !position.building)?;
                    Some(Done::Happened(Happened::Forgotten(position.forgotten)))
                });
            }
            Some(Command::Moved) => {
                self.links.moved();
                self.handle(Happened::Moved);
            }
            Some(Command::Close) => self.handle(Happened::Close),
            // The program has dropped the client.
            None => self.end = Some(End::Closed),
        }
    }

    fn came(&mut self, (link, batch): (LinkId, Result<Batch, Error>)) {
        self.handle(match batch {
            Ok(batch) => Happened::Batch(link, batch),
            Err(error) => Happened::Trouble(link, error),
        });
    }

    fn ended(&mut self, done: Done) {
        match done {
            Done::Connected(link, opened) => {
                if let Some(event) = self.links.connected(link, opened) {
                    self.handle(event);
                }
            }
            Done::Happened(event) => {
                if let Happened::Stored(position) = &event {
                    self.show(*position);
                }
                self.handle(event);
            }
            Done::Answered(link, id, Ok(sent)) => {
                self.sent.insert(id, sent);
                self.handle(Happened::Answered(link, id, None));
            }
            Done::Answered(link, id, Err(error)) => {
                self.handle(Happened::Answered(link, id, Some(error)));
            }
            Done::Queued(id, lane, Queued { queued, sent }) => {
                self.entering -= 1;
                let _ = queued.send(Ok(()));
                if id > 0 {
                    if let Some(waiter) = sent {
                        self.waiters.entry(id).or_default().push(waiter);
                    }
                    self.handle(Happened::Queued(id, lane));
                }
            }
            Done::Settled(id, answer) => self.settled(id, answer),
            Done::Skipped(until, position) => {
                let after = self.position.cursor;
                self.show(position);
                if !position.building && until > after {
                    self.tell(Event::Missing { after, until });
                }
                self.handle(Happened::Stored(position));
            }
            Done::Broken(error) => self.end = Some(End::Store(error)),
        }
    }

    /// Tells the program what the store has now.
    fn show(&mut self, position: Position) {
        let before = std::mem::replace(&mut self.position, position);
        if position.building {
            return;
        }
        let (cursor, generation) = (position.cursor, position.generation);
        let shown = self.shown.borrow().cursor;
        self.shown.send_modify(|it| {
            (it.cursor, it.generation) = (cursor, generation);
        });
        if generation != before.generation {
            self.tell(Event::NewHistory { until: cursor });
        } else if cursor > shown {
            self.tell(Event::Stored {
                after: shown,
                until: cursor,
            });
        }
    }

    fn settled(&mut self, id: u64, answer: Result<Sent, (String, Error)>) {
        for waiter in self.waiters.remove(&id).unwrap_or_default() {
            let told = answer.clone();
            // One who has gone away is no matter.
            let _ = waiter.send(told.map_err(|(_, error)| SendError::Refused(error)));
        }
        self.tell(match answer {
            Ok(sent) => Event::Sent(sent),
            Err((key, error)) => Event::Refused { key, error },
        });
    }

    async fn finish(mut self) -> End {
        let end = self.end.take().unwrap_or(End::Closed);
        self.links.close().await;
        for waiter in self.waiters.into_values().flatten() {
            let _ = waiter.send(Err(SendError::Ended(end.clone())));
        }
        close(&self.events, &self.shown, end)
    }
}
