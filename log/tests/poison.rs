//! A store that fails, or a writer that panics, ends everything: nothing is answered after it, nothing of it is shown, the queue
//! refuses, and the process is told why.

mod common;

use std::sync::Arc;

use common::faults::{Crash, Faults, FaultyLedger, FaultyViews};
use common::{found, notify, small, user_ref};
use crossbeam_channel::{Receiver, unbounded};
use waybill_core::id::{Position, Seq};
use waybill_core::outcome::Outcome;
use waybill_log::config::BatchLimits;
use waybill_log::memory::{MemoryLedger, MemoryViews};
use waybill_log::source::queue;
use waybill_log::store::{Ledger, Views};
use waybill_log::{Log, LogConfig, Options, Pulled, QueueHandle, Reply, ReplyTo, WriterError};

fn open(ledger: Arc<dyn Ledger>, views: Arc<dyn Views>, options: Options) -> (Log, QueueHandle) {
    let (handle, source) = queue(&options.config);
    let log = Log::over(ledger, views, options, source).expect("opens");
    (log, handle)
}

fn options() -> Options {
    Options {
        config: small(),
        ..Options::default()
    }
}

/// Three messages that are answered.
fn begin(queue: &QueueHandle) {
    assert_eq!(queue.ask_blocking(found()), Ok(Ok(Outcome::Done)));
    for n in 0..3 {
        let reply = queue.ask_blocking(notify("oa", "ann", n, Some(&format!("key{n}"))));
        assert!(matches!(reply, Ok(Ok(Outcome::Sent(_)))), "{reply:?}");
    }
}

/// Submits messages, a retry and one that would be refused; gives their replies.
fn submit(queue: &QueueHandle) -> Receiver<Reply> {
    let (give, replies) = unbounded();
    let commands = [
        notify("oa", "ann", 10, Some("key10")),
        notify("oa", "ben", 11, None),
        notify("oa", "ann", 1, Some("key1")),
        notify("oa", "ann", 99, Some("key1")),
    ];
    for command in commands {
        let give = give.clone();
        let reply = ReplyTo::new(move |reply| drop(give.send(reply)));
        // Later ones may come when the writer has gone already.
        match queue.submit(command, None, reply) {
            Ok(()) | Err(WriterError::Stopped) => {}
            Err(error) => panic!("{error}"),
        }
    }
    replies
}

/// After the end: exactly the three messages, and nothing works any more.
fn check_ended(log: Log, queue: &QueueHandle, durable: Position, why: &str) {
    let (reader, mut ended) = (log.reader(), log.ended());
    let control = log.control();
    let result = log.join();
    assert!(result.is_err());
    assert!(reader.is_stopped());
    let reason = ended.borrow_and_update().clone().expect("has ended");
    assert!(reason.contains(why), "{reason}");

    assert_eq!(reader.durable(), durable);
    assert_eq!(reader.open(durable.next()).expect("reads"), None);
    let ann = reader
        .user_no(user_ref("ann").hash)
        .expect("reads")
        .expect("is known");
    let Ok(Pulled::Page { span, entries, .. }) = reader.pull(ann, Seq(0), 10) else {
        panic!("no page")
    };
    assert_eq!((entries.len(), span.head), (3, Seq(3)));
    assert_eq!(reader.user_no(user_ref("ben").hash).expect("reads"), None);

    let never = ReplyTo::new(|reply| panic!("refused and replied to: {reply:?}"));
    let refused = queue.submit(notify("oa", "ann", 20, None), None, never);
    assert_eq!(refused, Err(WriterError::Stopped));
    assert_eq!(queue.ask_blocking(found()), Err(WriterError::Stopped));
    assert!(control.flush().is_err());
}

#[test]
fn a_failed_append_ends_everything() {
    let (ledger, views) = (
        Arc::new(MemoryLedger::default()),
        Arc::new(MemoryViews::default()),
    );
    let (log, queue) = open(Arc::clone(&ledger) as _, views, options());
    begin(&queue);
    let (durable, mut ended) = (log.reader().durable(), log.ended());
    assert_eq!(*ended.borrow_and_update(), None);
    ledger.fail_appends();
    let replies: Vec<Reply> = submit(&queue).iter().collect();
    // The first one made the batch fail; those in its batch, and those that came later, are not answered either, although the
    // ledger holds the answer to one and never needs to change for another.
    assert!(!replies.is_empty());
    assert!(
        replies
            .iter()
            .all(|reply| *reply == Err(WriterError::Stopped)),
        "{replies:?}"
    );
    check_ended(log, &queue, durable, "ledger: it was told to fail");
}

#[test]
fn what_waits_in_the_queue_is_told_too() {
    let ((taken, is_taken), (go, may_go)) = (unbounded(), unbounded::<()>());
    let mut seen = 0;
    let options = Options {
        config: LogConfig {
            batch: BatchLimits {
                commands: 1,
                ..small().batch
            },
            ..small()
        },
        observer: Some(Box::new(move |_| {
            seen += 1;
            if seen > 4 {
                let _ = taken.send(());
                let _ = may_go.recv();
            }
        })),
        ..Options::default()
    };
    let ledger = Arc::new(MemoryLedger::default());
    let (log, queue) = open(
        Arc::clone(&ledger) as _,
        Arc::new(MemoryViews::default()),
        options,
    );
    begin(&queue);
    let durable = log.reader().durable();
    ledger.fail_appends();
    let replies = submit(&queue);
    is_taken.recv().expect("the writer lives");
    assert_eq!(queue.waiting(), 3);
    drop(go);
    // The handle is still there, and so would be what is in the queue.
    let replies: Vec<Reply> = replies.iter().collect();
    assert_eq!(replies, vec![Err(WriterError::Stopped); 4]);
    check_ended(log, &queue, durable, "ledger: it was told to fail");
}

#[test]
fn no_reply_is_lost_when_commands_meet_the_end() {
    for round in 0..200 {
        let ledger = Arc::new(MemoryLedger::default());
        let (log, queue) = open(
            Arc::clone(&ledger) as _,
            Arc::new(MemoryViews::default()),
            options(),
        );
        begin(&queue);
        std::thread::scope(|scope| {
            for client in 0..2 {
                let queue = &queue;
                scope.spawn(move || {
                    let mut n = 100;
                    // Ends when the queue says so; hangs when a reply never comes.
                    while queue
                        .ask_blocking(notify("oa", &format!("c{client}"), n, None))
                        .is_ok()
                    {
                        n += 1;
                    }
                });
            }
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            ledger.fail_appends();
        });
        assert!(log.join().is_err());
    }
}

#[test]
fn failing_views_end_everything_too() {
    let faults = Faults::new(Crash::Before, 0);
    let ledger = Arc::new(MemoryLedger::default());
    let views = Arc::new(MemoryViews::default());
    // Only the views fail, so that the ledger keeps what nobody was told.
    let (log, queue) = open(
        Arc::clone(&ledger) as _,
        Arc::new(FaultyViews(Arc::clone(&views), Arc::clone(&faults))),
        options(),
    );
    begin(&queue);
    faults.stop_at(0);
    let replies: Vec<Reply> = submit(&queue).iter().collect();
    assert!(!replies.is_empty());
    assert!(
        replies
            .iter()
            .all(|reply| *reply == Err(WriterError::Stopped)),
        "{replies:?}"
    );
    let (reader, ended) = (log.reader(), log.ended());
    assert!(log.join().is_err());
    assert!(reader.is_stopped() && ended.borrow().is_some());
    // It is in the ledger, and after a start it is served, once.
    views.cut();
    drop(queue);
    let (log, queue) = open(ledger, views, options());
    let again = queue.ask_blocking(notify("oa", "ann", 10, Some("key10")));
    let Ok(Ok(Outcome::Sent(sent))) = again else {
        panic!("{again:?}")
    };
    assert!(sent.repeated);
    assert_eq!(sent.seq, Some(Seq(4)));
    drop(queue);
    log.join().expect("ends well");
}

#[test]
fn a_state_that_cannot_be_read_ends_everything() {
    let faults = Faults::new(Crash::Before, 0);
    let (log, queue) = open(
        Arc::new(FaultyLedger(Arc::default(), Arc::clone(&faults))),
        Arc::new(FaultyViews(Arc::default(), Arc::clone(&faults))),
        options(),
    );
    begin(&queue);
    faults.stop();
    let replies: Vec<Reply> = submit(&queue).iter().collect();
    assert!(!replies.is_empty());
    assert!(
        replies
            .iter()
            .all(|reply| *reply == Err(WriterError::Stopped)),
        "{replies:?}"
    );
    let ended = log.ended();
    assert!(log.join().is_err());
    let reason = ended.borrow().clone().expect("has ended");
    assert!(reason.contains("machine: it has stopped"), "{reason}");
}

#[test]
fn a_panic_of_the_writer_ends_everything() {
    let mut seen = 0;
    let observer = move |_: &_| {
        seen += 1;
        assert!(seen <= 4, "enough");
    };
    let options = Options {
        observer: Some(Box::new(observer)),
        ..options()
    };
    let (log, queue) = open(
        Arc::new(MemoryLedger::default()),
        Arc::new(MemoryViews::default()),
        options,
    );
    begin(&queue);
    let durable = log.reader().durable();
    let replies: Vec<Reply> = submit(&queue).iter().collect();
    assert!(!replies.is_empty());
    assert!(
        replies
            .iter()
            .all(|reply| *reply == Err(WriterError::Stopped)),
        "{replies:?}"
    );
    check_ended(log, &queue, durable, "the writer panicked");
}

#[test]
fn a_closed_source_is_no_failure() {
    let (log, queue) = open(
        Arc::new(MemoryLedger::default()),
        Arc::new(MemoryViews::default()),
        options(),
    );
    begin(&queue);
    let (give, replies) = unbounded();
    for n in 10..60 {
        let give = give.clone();
        let reply = ReplyTo::new(move |reply| drop(give.send(reply)));
        queue
            .submit(notify("oa", "ann", n, None), None, reply)
            .expect("takes it");
    }
    drop((queue, give));
    let (reader, ended) = (log.reader(), log.ended());
    log.join().expect("ends well");
    // What was in the queue has been done.
    assert_eq!(
        replies
            .iter()
            .filter(|reply| matches!(reply, Ok(Ok(_))))
            .count(),
        50
    );
    assert_eq!(*ended.borrow(), Some(String::new()));
    assert!(!reader.is_stopped());
}
