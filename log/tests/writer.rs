//! The queue and the writer: bounds, deadlines, replies, batches, and what a start must apply again.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use common::image::{Image, quick_dir};
use common::rows::{assert_same, records_in, rows_in};
use common::{Harness, found, message, notify, small, user_ref};
use crossbeam_channel::{Receiver, Sender, unbounded};
use waybill_core::body::Body;
use waybill_core::command::{Ask, Command};
use waybill_core::id::{Opening, Position, Time};
use waybill_core::outcome::{Outcome, Refusal};
use waybill_log::clock::ManualClock;
use waybill_log::config::{BatchLimits, RecoveryBudget};
use waybill_log::memory::{MemoryLedger, MemoryViews};
use waybill_log::source::{Source, Submission, Taken, queue};
use waybill_log::store::Views;
use waybill_log::{Log, LogConfig, Observer, Options, QueueHandle, Reply, ReplyTo, WriterError};

fn over_memory(options: Options) -> (Log, QueueHandle) {
    let (handle, source) = queue(&options.config);
    let (ledger, views) = (MemoryLedger::default(), MemoryViews::default());
    let log = Log::over(Arc::new(ledger), Arc::new(views), options, source).expect("opens");
    (log, handle)
}

/// A writer that waits, whenever it has taken a command, until it is let go on.
fn held_writer(config: LogConfig) -> (Log, QueueHandle, Receiver<()>, Sender<()>) {
    let ((taken, is_taken), (go, may_go)) = (unbounded(), unbounded());
    let observer: Observer = Box::new(move |_| {
        taken.send(()).expect("the test lives");
        // Let go for good when the test is done holding it.
        let _ = may_go.recv();
    });
    let options = Options {
        config,
        observer: Some(observer),
        ..Options::default()
    };
    let (log, queue) = over_memory(options);
    (log, queue, is_taken, go)
}

fn replying(give: &Sender<(u64, Reply)>, n: u64) -> ReplyTo {
    let give = give.clone();
    ReplyTo::new(move |reply| drop(give.send((n, reply))))
}

fn never() -> ReplyTo {
    ReplyTo::new(|reply| panic!("refused and replied to: {reply:?}"))
}

fn simple(n: u64) -> Command {
    notify("oa", "ann", n, None)
}

#[test]
fn a_full_queue_refuses_and_nothing_in_it_is_lost() {
    let config = LogConfig {
        queue_commands: 4,
        ..small()
    };
    let (log, queue, is_taken, go) = held_writer(config);
    let (give, replies) = unbounded();
    queue
        .submit(found(), None, replying(&give, 0))
        .expect("takes it");
    is_taken.recv().expect("the writer lives");
    for n in 1..=4 {
        queue
            .submit(simple(n), None, replying(&give, n))
            .expect("takes it");
    }
    assert_eq!(queue.waiting(), 4);
    for n in 5..8 {
        assert_eq!(
            queue.submit(simple(n), None, never()),
            Err(WriterError::Busy)
        );
    }
    assert!(replies.is_empty());
    drop((go, give));
    let mut answered: Vec<u64> = replies
        .iter()
        .map(|(n, reply)| {
            assert!(matches!(reply, Ok(Ok(_))), "{reply:?}");
            n
        })
        .collect();
    answered.sort();
    assert_eq!(answered, [0, 1, 2, 3, 4]);
    // Now there is room again.
    assert!(queue.ask_blocking(simple(5)).is_ok());
    drop(queue);
    log.join().expect("ends well");
}

#[test]
fn bytes_are_bounded_too_and_given_back_with_the_answer() {
    let big = |n: u64, bytes: usize| {
        let mut command = simple(n);
        let mut content = message(n);
        content.content = "x".repeat(bytes);
        if let Ask::Send(send) = &mut command.ask {
            send.body = Body::Message(content).seal(Opening([n as u8; 16]));
        }
        command
    };
    let config = LogConfig {
        queue_bytes: 10_000,
        ..small()
    };
    let (log, queue, is_taken, go) = held_writer(config);
    let (give, replies) = unbounded();
    queue
        .submit(found(), None, replying(&give, 0))
        .expect("takes it");
    is_taken.recv().expect("the writer lives");
    queue
        .submit(big(1, 4_000), None, replying(&give, 1))
        .expect("takes it");
    queue
        .submit(big(2, 2_000), None, replying(&give, 2))
        .expect("takes it");
    assert_eq!(
        queue.submit(big(3, 4_000), None, never()),
        Err(WriterError::Busy)
    );
    // A smaller one still fits.
    queue
        .submit(big(4, 500), None, replying(&give, 4))
        .expect("takes it");
    drop((go, give));
    assert_eq!(replies.iter().count(), 4);
    // One that is larger than the whole bound gets in alone, and everything is there again after it.
    for n in 5..8 {
        let reply = queue.ask_blocking(big(n, 50_000));
        assert!(matches!(reply, Ok(Ok(_))), "{reply:?}");
    }
    drop(queue);
    log.join().expect("ends well");
}

#[test]
fn a_command_whose_deadline_has_passed_leaves_no_trace() {
    let (log, queue, is_taken, go) = held_writer(small());
    let (give, replies) = unbounded();
    queue
        .submit(found(), None, replying(&give, 0))
        .expect("takes it");
    is_taken.recv().expect("the writer lives");
    let soon = Instant::now() + Duration::from_millis(1);
    let late = soon + Duration::from_secs(3600);
    queue
        .submit(
            notify("oa", "ann", 1, Some("key")),
            Some(soon),
            replying(&give, 1),
        )
        .expect("takes it");
    queue
        .submit(notify("oa", "ben", 2, None), Some(late), replying(&give, 2))
        .expect("takes it");
    while Instant::now() <= soon {
        std::thread::yield_now();
    }
    drop((go, give));
    let mut got: Vec<(u64, Reply)> = replies.iter().collect();
    got.sort_by_key(|(n, _)| *n);
    assert_eq!(got[1], (1, Err(WriterError::Expired)));
    assert!(matches!(got[2], (2, Ok(Ok(Outcome::Sent(_))))));
    // Neither seen by the observer, nor counted, nor numbered, nor its key taken.
    assert_eq!(is_taken.try_iter().count(), 1);
    let reader = log.reader();
    assert_eq!(reader.counters().expired.load(Relaxed), 1);
    assert_eq!(reader.counters().commands.load(Relaxed), 2);
    assert_eq!(reader.user_no(user_ref("ann").hash).expect("reads"), None);
    let Ok(Ok(Outcome::Sent(sent))) = queue.ask_blocking(notify("oa", "ann", 7, Some("key")))
    else {
        panic!("not sent")
    };
    assert!(!sent.repeated && sent.new_receiver);
    drop(queue);
    log.join().expect("ends well");
}

fn take(source: &mut impl Source, limits: BatchLimits) -> (usize, Taken) {
    let mut batch = Vec::new();
    let taken = source.take(&mut batch, &limits, Duration::ZERO);
    (batch.len(), taken)
}

#[test]
fn batches_keep_to_their_limits_and_to_the_order() {
    let (handle, mut source) = queue(&small());
    let (give, replies) = unbounded();
    for n in 0..10 {
        handle
            .submit(simple(n), None, replying(&give, n))
            .expect("takes it");
    }
    drop(give);
    let limits = |commands, bytes| BatchLimits { commands, bytes };
    assert_eq!(take(&mut source, limits(3, usize::MAX)), (3, Taken::Open));
    // A command counts some hundred bytes even when its body is small: two of them, then one, however little is allowed.
    let Ask::Send(send) = simple(0).ask else {
        panic!("a message")
    };
    let one = 512 + send.body.bytes.len();
    assert_eq!(
        take(&mut source, limits(99, 2 * one + 10)),
        (2, Taken::Open)
    );
    assert_eq!(take(&mut source, limits(99, 1)), (1, Taken::Open));
    assert_eq!(take(&mut source, limits(1, 1)), (1, Taken::Open));
    drop(handle);
    // What was put in before the last handle went is still handed out.
    assert_eq!(take(&mut source, limits(99, usize::MAX)), (3, Taken::Open));
    assert_eq!(
        take(&mut source, limits(99, usize::MAX)),
        (0, Taken::Closed)
    );
    // Nobody answered them: they were dropped, in order.
    let order: Vec<u64> = replies
        .iter()
        .map(|(n, reply)| {
            assert_eq!(reply, Err(WriterError::Stopped));
            n
        })
        .collect();
    assert_eq!(order, (0..10).collect::<Vec<_>>());
}

#[test]
fn an_empty_queue_is_open_and_gives_nothing() {
    let (_handle, mut source) = queue(&small());
    assert_eq!(take(&mut source, small().batch), (0, Taken::Open));
    assert!(!source.is_durable());
}

#[test]
fn a_queue_that_is_dropped_replies_to_what_is_in_it() {
    let (handle, source) = queue(&small());
    let (give, replies) = unbounded();
    for n in 0..5 {
        handle
            .submit(simple(n), None, replying(&give, n))
            .expect("takes it");
    }
    drop((source, give));
    assert_eq!(
        replies
            .iter()
            .filter(|(_, reply)| *reply == Err(WriterError::Stopped))
            .count(),
        5
    );
    assert_eq!(
        handle.submit(simple(9), None, never()),
        Err(WriterError::Stopped)
    );
}

#[test]
fn a_reply_is_given_once() {
    let (give, replies) = unbounded();
    replying(&give, 1).send(Ok(Ok(Outcome::Done)));
    replying(&give, 2).send(Err(WriterError::Expired));
    drop(replying(&give, 3));
    ReplyTo::nobody().send(Ok(Err(Refusal::TooLarge)));
    drop(ReplyTo::nobody());
    drop(Submission::unmetered(found(), None, replying(&give, 4)));
    drop(give);
    let expected = [
        (1, Ok(Ok(Outcome::Done))),
        (2, Err(WriterError::Expired)),
        (3, Err(WriterError::Stopped)),
        (4, Err(WriterError::Stopped)),
    ];
    assert_eq!(replies.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn one_batch_takes_what_was_waiting() {
    let config = LogConfig {
        batch: BatchLimits {
            commands: 3,
            bytes: usize::MAX,
        },
        ..small()
    };
    let (log, queue, is_taken, go) = held_writer(config);
    let (give, replies) = unbounded();
    queue
        .submit(found(), None, replying(&give, 0))
        .expect("takes it");
    is_taken.recv().expect("the writer lives");
    for n in 1..=10 {
        queue
            .submit(simple(n), None, replying(&give, n))
            .expect("takes it");
    }
    drop((go, give));
    assert_eq!(replies.iter().count(), 11);
    let batches = log.reader().counters().batches.load(Relaxed);
    assert_eq!(batches, 1 + 4);
    drop(queue);
    log.join().expect("ends well");
}

#[test]
fn record_times_never_go_back() {
    let clock = ManualClock::default();
    let options = Options {
        config: small(),
        clock: Box::new(clock.clone()),
        ..Options::default()
    };
    let (log, queue) = over_memory(options);
    let mut times = Vec::new();
    for (n, now) in [1_000, 5_000, 2_000, 6_000, 0].into_iter().enumerate() {
        clock.set(Time(now));
        let ask = match n {
            0 => found(),
            n => notify("oa", &format!("user{n}"), n as u64, None),
        };
        assert!(matches!(queue.ask_blocking(ask), Ok(Ok(_))));
        let reader = log.reader();
        let last = reader
            .open(reader.durable())
            .expect("reads")
            .expect("is there");
        times.push(last.record.time.0);
    }
    assert_eq!(times, [1_000, 5_000, 5_000, 6_000, 6_000]);
    drop(queue);
    log.join().expect("ends well");
}

fn unflushed(log: &Log) -> u64 {
    let reader = log.reader();
    reader.counters().unflushed_records.load(Relaxed)
}

/// One crash after the other must not make each start longer than the one before.
#[test]
fn what_a_start_has_caught_up_counts_towards_the_budget() {
    let ledger = Arc::new(MemoryLedger::default());
    let open = |records, views: &Arc<MemoryViews>| {
        let options = Options {
            config: LogConfig {
                recovery: RecoveryBudget {
                    records,
                    ..small().recovery
                },
                ..small()
            },
            ..Options::default()
        };
        let (handle, source) = queue(&options.config);
        let log = Log::over(
            Arc::clone(&ledger) as _,
            Arc::clone(views) as _,
            options,
            source,
        );
        (log.expect("opens"), handle)
    };
    // Three times the views of a process that was killed before its first flush.
    let [first, second, third]: [Arc<MemoryViews>; 3] = Default::default();
    let (log, queue) = open(1_000_000, &first);
    assert!(queue.ask_blocking(found()).is_ok());
    for n in 0..200 {
        assert!(queue.ask_blocking(simple(n)).is_ok());
    }
    let last = log.reader().durable();
    assert_eq!(unflushed(&log), last.0);
    drop(queue);
    log.join().expect("ends well");

    let (log, queue) = open(1_000_000, &second);
    assert_eq!(unflushed(&log), last.0);
    assert_eq!(second.mark().expect("reads"), None);
    drop(queue);
    log.join().expect("ends well");

    // With a smaller budget they are flushed although nobody sends anything.
    let (log, queue) = open(100, &third);
    let applied = || third.mark().expect("reads").and_then(|mark| mark.applied);
    while applied().is_none_or(|applied| applied.position < last) || unflushed(&log) > 0 {
        std::thread::yield_now();
    }
    drop(queue);
    log.join().expect("ends well");
}

#[test]
fn a_snapshot_is_a_data_directory_of_one_moment() {
    let dir = quick_dir();
    let (path, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let harness = Harness::open(&path);
    for n in 0..20 {
        harness.sent(notify("oa", &format!("user{}", n % 3), n, None));
    }
    let control = harness.log().control();
    let position = control.snapshot(copy.clone()).expect("copies");
    assert_eq!(position, harness.reader().durable());
    let again = control
        .snapshot(copy.clone())
        .expect_err("it is there already");
    assert!(again.to_string().contains("snapshot"), "{again}");
    // The one who asked for it is harmed, nobody else.
    let sent = harness.sent(notify("oa", "user0", 99, None));
    assert_eq!(sent.position, position.next());
    assert_eq!(control.flush().expect("flushes"), sent.position);
    harness.close();
    let (all, copied) = (records_in(&path), records_in(&copy));
    assert_eq!(copied, all[..position.0 as usize]);
    assert_eq!(
        Image::of(&copy)
            .files
            .keys()
            .filter(|name| name.ends_with("tail"))
            .count(),
        1
    );

    let rows = rows_in(&copy);
    let harness = Harness::open(&copy);
    assert_eq!(harness.reader().durable(), position);
    harness.close();
    assert_same(&rows_in(&copy), &rows, "nothing was left to apply");
    assert_eq!(records_in(&copy), copied);
}

#[test]
fn control_work_of_a_writer_that_has_ended_fails() {
    let (log, queue) = over_memory(Options {
        config: small(),
        ..Options::default()
    });
    let control = log.control();
    assert_eq!(control.flush().expect("flushes"), Position(0));
    assert!(control.snapshot("nowhere".into()).is_err());
    drop(queue);
    log.join().expect("ends well");
    assert!(control.flush().is_err());
}
