//! The runner with a store of its own and links that the test answers for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use waybill_core::id::{Epoch, Seq, Time};
use waybill_core::wire::{Code, Failure, Outgoing};

use crate::error::Error;
use crate::event::{Event, SendError};
use crate::link::{Doing, Link, Opened, Transport, Way};
use crate::log_entry::LogEntry;
use crate::message::{Message, Sent};
use crate::store::Store;
use crate::store::thread::Keeper;
use crate::sync::run::{Command, Parts, Shown, run};
use crate::sync::{Batch, End, Pace, Reached};

const EPOCH: Epoch = Epoch([1; 16]);

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough for a runner that has nothing else to do.
const A_MOMENT: Duration = Duration::from_millis(50);

type Taker = mpsc::Sender<Result<Batch, Error>>;
type Answer = oneshot::Sender<Result<Sent, Error>>;

/// A way whose links hand everything to the test.
#[derive(Clone)]
struct Open {
    takers: mpsc::UnboundedSender<Taker>,
    sends: mpsc::UnboundedSender<(Outgoing, Answer)>,
}

impl Way for Open {
    fn connect(&self, _after: Seq) -> Doing<Result<Opened, Error>> {
        let link: Arc<dyn Link> = Arc::new(self.clone());
        let reached = Reached {
            epoch: EPOCH,
            floor: Seq(1),
            head: Seq(9),
        };
        Box::pin(async move { Ok(Opened { link, reached }) })
    }
}

impl Link for Open {
    fn follow(&self, _after: Seq) -> mpsc::Receiver<Result<Batch, Error>> {
        let (taker, batches) = mpsc::channel(4);
        self.takers.send(taker).unwrap();
        batches
    }

    fn send(&self, message: Outgoing) -> Doing<Result<Sent, Error>> {
        let (answer, answered) = oneshot::channel();
        self.sends.send((message, answer)).unwrap();
        Box::pin(async move { answered.await.unwrap_or(Err(lost())) })
    }

    fn acknowledge(&self, _seq: Seq) -> Doing<Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> Doing<()> {
        Box::pin(async {})
    }
}

fn lost() -> Error {
    Error::Lost("lost".to_owned())
}

fn sent(key: &str) -> Sent {
    Sent {
        key: key.to_owned(),
        server_msg_id: format!("of {key}"),
        time: Time(1),
        seq: None,
    }
}

/// A client, and the server's side of its links.
struct World {
    keeper: Keeper,
    commands: mpsc::Sender<Command>,
    events: broadcast::Receiver<Event>,
    takers: mpsc::UnboundedReceiver<Taker>,
    sends: mpsc::UnboundedReceiver<(Outgoing, Answer)>,
    task: JoinHandle<End>,
}

impl World {
    async fn start() -> World {
        let keeper = Keeper::start(|| Store::in_memory("ann", "phone")).await;
        let keeper = keeper.unwrap();
        let (commands, to) = mpsc::channel(8);
        let (tell, events) = broadcast::channel(64);
        let (take, takers) = mpsc::unbounded_channel();
        let (send, sends) = mpsc::unbounded_channel();
        let (shown, _) = watch::channel(Shown {
            cursor: Seq(0),
            generation: 0,
            end: None,
        });
        let way = Open {
            takers: take,
            sends: send,
        };
        let task = tokio::spawn(run(Parts {
            pace: Pace {
                backoff: Duration::from_millis(2),
                backoff_most: Duration::from_millis(5),
                ..Pace::default()
            },
            ways: vec![(Transport::Quic, Arc::new(way))],
            snapshots: None,
            keeper: keeper.clone(),
            has_device: true,
            seed: 1,
            commands: to,
            events: tell,
            shown,
        }));
        World {
            keeper,
            commands,
            events,
            takers,
            sends,
            task,
        }
    }

    /// The next connection, from where it is asked for entries.
    async fn connected(&mut self) -> Taker {
        let taker = timeout(PATIENCE, self.takers.recv()).await;
        taker.expect("a connection").unwrap()
    }

    async fn is_sent(&mut self) -> (Outgoing, Answer) {
        let sent = timeout(PATIENCE, self.sends.recv()).await;
        sent.expect("a message").unwrap()
    }

    /// Puts a message into the outbox; what comes of that, and of the message.
    async fn put(
        &self,
        key: &str,
    ) -> (
        oneshot::Receiver<Result<(), SendError>>,
        oneshot::Receiver<Result<Sent, SendError>>,
    ) {
        let (queued, entered) = oneshot::channel();
        let (sent, answer) = oneshot::channel();
        let command = Command::Send {
            message: Box::new(Message::text("bob", "hi").key(key).into_outgoing()),
            now: 1,
            queued,
            sent: Some(sent),
        };
        self.commands.send(command).await.ok().unwrap();
        (entered, answer)
    }

    /// Closes the client. What it told of, but for connections and entries.
    async fn close(mut self) -> Vec<Event> {
        self.commands.send(Command::Close).await.ok().unwrap();
        let end = timeout(PATIENCE, self.task).await.expect("an end");
        assert_eq!(end.unwrap(), End::Closed);
        let mut told = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            if matches!(event, Event::Sent(_) | Event::Refused { .. }) {
                told.push(event);
            }
        }
        told
    }
}

#[tokio::test]
async fn a_message_that_two_links_answer_for_is_told_of_once() {
    let mut world = World::start().await;
    let first = world.connected().await;
    let (_, answered) = world.put("k").await;
    let (message, one) = world.is_sent().await;
    // The connection is lost, and the answer that it still owed comes when the message was sent again.
    first.send(Err(lost())).await.unwrap();
    let _second = world.connected().await;
    let (again, other) = world.is_sent().await;
    assert_eq!(again, message);
    one.send(Ok(sent("k"))).unwrap();
    assert_eq!(answered.await.unwrap(), Ok(sent("k")));
    other.send(Ok(sent("k"))).unwrap();
    let (_, answered) = world.put("next").await;
    let (_, next) = world.is_sent().await;
    next.send(Ok(sent("next"))).unwrap();
    assert_eq!(answered.await.unwrap(), Ok(sent("next")));
    let told = world.close().await;
    assert_eq!(told, [Event::Sent(sent("k")), Event::Sent(sent("next"))]);
}

#[tokio::test]
async fn a_message_that_is_refused_while_it_is_put_in_again_stays_in_the_outbox() {
    let mut world = World::start().await;
    let _taker = world.connected().await;
    let (_, first) = world.put("k").await;
    let (_, answer) = world.is_sent().await;
    // It is put in again before the store notes the refusal, and the machine hears of that after the refusal.
    let (go_on, waits) = std::sync::mpsc::channel();
    world.keeper.ask(move |_| waits.recv().unwrap());
    let (entered, second) = world.put("k").await;
    sleep(A_MOMENT).await;
    let error = Error::Refused(Failure::new(Code::INVALID_FIELD, ""));
    answer.send(Err(error.clone())).unwrap();
    sleep(A_MOMENT).await;
    go_on.send(()).unwrap();
    assert_eq!(entered.await.unwrap(), Ok(()));
    let refused = Err(SendError::Refused(error.clone()));
    assert_eq!(first.await.unwrap(), refused);
    assert_eq!(second.await.unwrap(), refused);
    sleep(A_MOMENT).await;
    assert!(world.sends.try_recv().is_err(), "it is not sent again");
    let outbox = world.keeper.run(|store| store.outbox()).await.unwrap();
    assert_eq!(outbox.len(), 1);
    assert_eq!(outbox[0].refusal, Some(error.to_string()));

    // Put in once more it is sent, and then it is gone.
    let (_, third) = world.put("k").await;
    let (_, answer) = world.is_sent().await;
    answer.send(Ok(sent("k"))).unwrap();
    assert_eq!(third.await.unwrap(), Ok(sent("k")));
    let outbox = world.keeper.run(|store| store.outbox()).await.unwrap();
    assert_eq!(outbox, []);
    let key = "k".to_owned();
    let refused = Event::Refused { key, error };
    assert_eq!(world.close().await, [refused, Event::Sent(sent("k"))]);
}

#[tokio::test]
async fn entries_with_a_hole_cost_a_connection_and_not_the_client() {
    let batch = |seqs: &[u64]| Batch {
        epoch: EPOCH,
        head: Seq(9),
        entries: seqs
            .iter()
            .map(|seq| LogEntry::read(format!(r#"{{"seq":{seq},"kind":1,"time":1}}"#)).unwrap())
            .collect(),
    };
    let mut world = World::start().await;
    let taker = world.connected().await;
    // One batch by itself is as it should be; gathered with the next it is not.
    taker.send(Ok(batch(&[1, 2]))).await.unwrap();
    taker.send(Ok(batch(&[4]))).await.unwrap();
    let told = async {
        loop {
            if let Event::Offline { error, .. } = world.events.recv().await.unwrap() {
                return error;
            }
        }
    };
    let error = timeout(PATIENCE, told).await.expect("it is told");
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    let taker = world.connected().await;
    let stored = world.keeper.run(|store| Ok(store.position().cursor)).await;
    let rest: Vec<u64> = (stored.unwrap().0 + 1..=5).collect();
    taker.send(Ok(batch(&rest))).await.unwrap();
    let all = async {
        while world.keeper.run(|store| Ok(store.shown())).await != Ok(Seq(5)) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("it goes on");
    assert_eq!(world.close().await, []);
}
