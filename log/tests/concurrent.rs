//! Readers beside the writer: user logs have no holes at any moment, nothing is shown above the durable position, what was answered
//! is there at once, and nobody who waits for a log is forgotten.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};

use common::image::quick_dir;
use common::{command, found, message, notify, small, user_ref};
use waybill_core::body::Body;
use waybill_core::command::Ask;
use waybill_core::id::{Position, Seq, UserNo};
use waybill_core::outcome::Outcome;
use waybill_log::config::RecoveryBudget;
use waybill_log::memory::{MemoryLedger, MemoryViews};
use waybill_log::source::queue;
use waybill_log::{Log, LogConfig, Options, Pulled, QueueHandle, Reader};

const USERS: u64 = 20;

/// Few rows in memory and a flush every few records, so that rows come and go while they are read.
fn options() -> Options {
    Options {
        config: LogConfig {
            recovery: RecoveryBudget {
                records: 300,
                ..small().recovery
            },
            ..small()
        },
        hot_rows: Some(1),
        ..Options::default()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait(future: impl Future<Output = ()>) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    while future.as_mut().poll(&mut context).is_pending() {
        thread::park();
    }
}

/// Pulls what is there after a cursor and checks it; gives the new cursor and the last position seen.
fn pull(reader: &Reader, user: UserNo, after: Seq, before: Position) -> (Seq, Position) {
    let pulled = reader.pull(user, after, 50).expect("reads");
    let durable = reader.durable();
    let Pulled::Page {
        span,
        entries,
        more,
    } = pulled
    else {
        panic!("no page after {after} of {user}")
    };
    let (mut last, mut position) = (after, before);
    for entry in &entries {
        assert_eq!(entry.seq, last.next(), "a hole in the log of {user}");
        assert!(entry.record.position > position, "positions ascend");
        (last, position) = (entry.seq, entry.record.position);
        assert!(position <= durable, "{position} is shown above {durable}");
        assert_eq!(entry.row.conversation_seq.0, entry.seq.0);
        // Numbers are given as users are seen: the account is 1. The n-th entry of user u is message (n - 1) * USERS + u - 2.
        let n = (entry.seq.0 - 1) * USERS + user.0 - 2;
        if let Some(found) = &entry.message {
            assert_eq!(found, &message(n));
        }
    }
    assert!(span.head >= last && more == (span.head > last) || entries.is_empty());
    if let Some(entry) = entries.last() {
        let found = reader
            .find_entry(user, entry.record.position)
            .expect("reads");
        assert_eq!(found, Some((entry.seq, entry.row)));
        let opened = reader
            .open(entry.record.position)
            .expect("reads")
            .expect("is durable");
        assert_eq!(opened.record, entry.record);
    }
    (last, position)
}

/// One reader per way of reading, until each user's log is complete.
fn read_along(reader: &Reader, rounds: u64, done: &AtomicBool) {
    thread::scope(|scope| {
        // Follows by being woken: one log each.
        for user in [2, 3].map(UserNo) {
            scope.spawn(move || {
                let mut subscription = reader.subscribe(user);
                let (mut seq, mut position) = (Seq(0), Position(0));
                while seq.0 < rounds {
                    let before = seq;
                    (seq, position) = pull(reader, user, seq, position);
                    if seq == before {
                        wait(subscription.grown());
                    }
                }
            });
        }
        // Goes round and round, each time from anywhere.
        scope.spawn(move || {
            let mut n = 0_u64;
            while !done.load(Ordering::Acquire) {
                n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let user = UserNo(2 + (n >> 33) % USERS);
                let head = reader.span(user).expect("reads").head;
                let (last, _) = pull(reader, user, Seq((n >> 20) % (head.0 + 1)), Position(0));
                assert!(
                    last <= reader.span(user).expect("reads").head,
                    "a head went back"
                );
            }
        });
    });
}

fn write(queue: &QueueHandle, reader: &Reader, rounds: u64, done: &AtomicBool) {
    let (give, replies) = crossbeam_channel::unbounded();
    let sent = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..rounds * USERS {
                // No more than some hundred in flight.
                while n - sent.load(Ordering::Acquire) > 300 {
                    thread::yield_now();
                }
                let command = notify("oa", &format!("user{}", n % USERS), n, None);
                let give = give.clone();
                let reply = waybill_log::ReplyTo::new(move |reply| drop(give.send(reply)));
                queue.submit(command, None, reply).expect("there is room");
            }
            drop(give);
        });
        for reply in &replies {
            let count = sent.fetch_add(1, Ordering::AcqRel);
            let Ok(Ok(Outcome::Sent(answer))) = reply else {
                panic!("{reply:?}")
            };
            // What was answered is there.
            assert!(reader.durable() >= answer.position);
            let span = reader.span(answer.receiver).expect("reads");
            assert!(Some(span.head) >= answer.seq);
            if count % 50 == 7 {
                let erased = queue.ask_blocking(command(Ask::Erase {
                    position: answer.position,
                }));
                assert_eq!(erased, Ok(Ok(Outcome::Done)));
                let opened = reader
                    .open(answer.position)
                    .expect("reads")
                    .expect("is there");
                assert!(opened.erased && opened.body.is_none());
            } else if count % 50 == 8 {
                let opened = reader
                    .open(answer.position)
                    .expect("reads")
                    .expect("is there");
                assert!(matches!(opened.body, Some(Body::Message(_))));
            }
        }
    });
    done.store(true, Ordering::Release);
}

fn run(log: Log, queue: QueueHandle, rounds: u64) {
    assert_eq!(queue.ask_blocking(found()), Ok(Ok(Outcome::Done)));
    let (reader, done) = (log.reader(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| read_along(&reader, rounds, &done));
        write(&queue, &reader, rounds, &done);
    });
    for user in 0..USERS {
        let number = reader
            .user_no(user_ref(&format!("user{user}")).hash)
            .expect("reads");
        assert_eq!(number, Some(UserNo(user + 2)));
        assert_eq!(
            reader.span(UserNo(user + 2)).expect("reads").head,
            Seq(rounds)
        );
    }
    assert!(reader.counters().flushes.load(Ordering::Relaxed) > 5);
    drop(queue);
    log.join().expect("ends well");
}

#[test]
fn over_rocksdb() {
    let dir = quick_dir();
    let (log, queue) = Log::open(dir.path(), options(), &mut |_, _| {}).expect("opens");
    run(log, queue, 300);
}

#[test]
fn over_memory() {
    let options = options();
    let (handle, source) = queue(&options.config);
    let (ledger, views) = (MemoryLedger::default(), MemoryViews::default());
    let log = Log::over(Arc::new(ledger), Arc::new(views), options, source).expect("opens");
    run(log, handle, 150);
}
