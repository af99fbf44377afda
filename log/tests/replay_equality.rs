//! The writer invents nothing: the commands that it took, taken again by another writer in other batches, give the same ledger
//! and the same views, byte for byte; and so does a rebuild of the views, also after bodies were erased.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::batches::{batches, taken_before};
use common::image::quick_dir;
use common::oracle::Oracle;
use common::plan::{Commands, Op, cases, ops};
use common::rows::{
    Records, Rows, assert_same, fold, records, records_in, rows, rows_in, state_hash,
};
use common::{Harness, command, found, small};
use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use waybill_core::body::{Body, decode_stored};
use waybill_core::command::{Ask, Stamped};
use waybill_core::fact::Fact;
use waybill_core::id::Position;
use waybill_core::record::Record;
use waybill_core::state::{Contents, DeviceNameRow, ProfileRow, Row, RowKey, UserRow};
use waybill_log::config::RecoveryBudget;
use waybill_log::memory::{MemoryLedger, MemoryViews};
use waybill_log::{Log, LogConfig, Options, ReplyTo};

/// Flushes every so many records, with so few rows in memory.
fn options(flush_every: u64, hot_rows: usize) -> Options {
    Options {
        config: LogConfig {
            recovery: RecoveryBudget {
                records: flush_every,
                ..small().recovery
            },
            ..small()
        },
        hot_rows: Some(hot_rows),
        ..Options::default()
    }
}

/// The same random ops every time.
fn sample(count: usize, seed: u8) -> Vec<Op> {
    let rng = proptest::test_runner::TestRng::from_seed(
        proptest::test_runner::RngAlgorithm::ChaCha,
        &[seed; 32],
    );
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let tree = prop::collection::vec(ops(), count).new_tree(&mut runner);
    tree.expect("makes").current()
}

/// Several clients at once, some waiting for each answer, some not. Gives what the writer took.
fn concurrent_run(path: &Path) -> Vec<Stamped> {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&taken);
    let options = Options {
        observer: Some(Box::new(move |stamped| theirs.lock().push(stamped.clone()))),
        ..options(300, 200)
    };
    let harness = Harness::open_with(path, options).expect("opens");
    std::thread::scope(|scope| {
        for client in 0..4_u8 {
            let queue = harness.queue().clone();
            scope.spawn(move || {
                let mut commands = Commands::from(u64::from(client) * 1_000_000);
                for command in commands.of(&sample(300, client)) {
                    if client % 2 == 0 {
                        drop(queue.ask_blocking(command).expect("the writer answers"));
                    } else {
                        while queue
                            .submit(command.clone(), None, ReplyTo::nobody())
                            .is_err()
                        {
                            std::thread::yield_now();
                        }
                    }
                }
            });
        }
    });
    harness.close();
    Arc::into_inner(taken)
        .expect("the writer has ended")
        .into_inner()
}

/// Cuts into batches of lengths that depend on `seed` alone.
fn cut(commands: &[Stamped], seed: u64) -> Vec<&[Stamped]> {
    let (mut batches, mut rest, mut n) = (Vec::new(), commands, seed);
    while !rest.is_empty() {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let len = (1 + (n >> 33) as usize % 40).min(rest.len());
        let (batch, after) = rest.split_at(len);
        batches.push(batch);
        rest = after;
    }
    batches
}

fn take_again(commands: &[&[Stamped]], log: impl FnOnce(common::batches::Batches) -> Log) {
    let (sender, source) = batches();
    let log = log(source);
    for batch in commands {
        sender.send(taken_before(batch)).expect("the writer lives");
    }
    drop(sender);
    log.join().expect("ends well");
}

fn assert_equal(what: &str, found: &(Records, Rows), expected: &(Records, Rows)) {
    for (position, (found, expected)) in (1..).zip(found.0.iter().zip(&expected.0)) {
        assert_eq!(found, expected, "{what}: record {position}");
    }
    assert_eq!(found.0.len(), expected.0.len(), "{what}: records");
    assert_same(&found.1, &expected.1, what);
    assert_eq!(state_hash(&found.1), state_hash(&expected.1), "{what}");
}

#[test]
fn other_batches_give_the_same_bytes() {
    let dir = quick_dir();
    let taken = concurrent_run(dir.path());
    let expected = (records_in(dir.path()), rows_in(dir.path()));
    assert!(taken.len() > 1000 && expected.0.len() > 1000);

    let one_by_one: Vec<_> = taken.chunks(1).collect();
    let all_at_once = vec![&taken[..]];
    let cuts = [
        ("one by one", one_by_one),
        ("all at once", all_at_once),
        ("other batches", cut(&taken, 7)),
    ];
    for (n, (name, batches)) in cuts.iter().enumerate() {
        let dir = quick_dir();
        take_again(batches, |source| {
            let options = options([50, 100_000, 7][n], [1, 100_000, 100][n]);
            Log::open_with(dir.path(), options, source, &mut |_, _| {}).expect("opens")
        });
        let found = (records_in(dir.path()), rows_in(dir.path()));
        assert_equal(name, &found, &expected);
    }

    let (ledger, views) = (
        Arc::new(MemoryLedger::default()),
        Arc::new(MemoryViews::default()),
    );
    take_again(&cut(&taken, 8), |source| {
        let (ledger, views) = (Arc::clone(&ledger) as _, Arc::clone(&views) as _);
        Log::over(ledger, views, options(20, 64), source).expect("opens")
    });
    assert_equal("in memory", &(records(&*ledger), rows(&*views)), &expected);

    let mut oracle = Oracle::default();
    for stamped in &taken {
        drop(oracle.take(stamped));
    }
    let found = (oracle.records, oracle.state.rows);
    assert_equal("the rules alone", &found, &expected);
    let found = (expected.0.clone(), fold(&expected.0));
    assert_equal("a fresh fold", &found, &expected);
}

/// No joined row without its body, no body of a joined fact without its row.
fn check_joined(records: &Records, rows: &Rows) {
    let mut joined = Rows::new();
    for ((bytes, body), position) in records.iter().zip((1..).map(Position)) {
        let Some(body) = body else { continue };
        let record = Record::decode(position, bytes).expect("is a record");
        let body = decode_stored(body).expect("is a body");
        let (place, row) = match (record.fact, body) {
            (Fact::UserSeen { user, .. }, Body::User { id }) => {
                let row = UserRow { position, id };
                ((UserRow::FAMILY, user.key()), row.encode())
            }
            (Fact::UserRegistered { user }, Body::Profile(profile)) => {
                let row = ProfileRow { position, profile };
                ((ProfileRow::FAMILY, user.key()), row.encode())
            }
            (Fact::DeviceSeen { user, device, .. }, Body::Device { id }) => {
                let row = DeviceNameRow { position, id };
                ((DeviceNameRow::FAMILY, (user, device).key()), row.encode())
            }
            (_, Body::Message(_) | Body::Audience { .. } | Body::Refused { .. }) => continue,
            (fact, body) => panic!("{fact:?} with {body:?}"),
        };
        assert_eq!(joined.insert(place, row), None);
    }
    let mut found = rows.clone();
    found.retain(|(family, _), _| family.info().contents == Contents::Joined);
    assert_same(&found, &joined, "joined rows");
}

proptest! {
    #![proptest_config(cases(5))]

    #[test]
    fn erasures_and_a_rebuild(
        before in prop::collection::vec(ops(), 20..60),
        erased in prop::collection::vec(0..150_u64, 0..60),
        after in prop::collection::vec(ops(), 0..20),
        flush_every in 1..60_u64,
        budget in 1..60_u64,
    ) {
        let dir = quick_dir();
        let harness = Harness::open_with(dir.path(), options(flush_every, 64)).expect("opens");
        let mut commands = Commands::default();
        let erasures = erased.iter().map(|position| command(Ask::Erase { position: Position(*position) }));
        let mut all = commands.of(&before);
        all.extend(erasures);
        all.extend(commands.of(&after));
        for command in all {
            drop(harness.ask(command));
        }
        let path = harness.close();
        let live = (records_in(&path), rows_in(&path));
        check_joined(&live.0, &live.1);
        assert_same(&fold(&live.0), &live.1, "a fresh fold");

        std::fs::remove_dir_all(path.join("views")).expect("removes");
        Harness::open_with(&path, options(budget, 64)).expect("opens").close();
        assert_equal("rebuilt", &(records_in(&path), rows_in(&path)), &live);
    }
}

#[test]
fn what_is_founded_twice_is_founded_once() {
    let dir = quick_dir();
    let harness = Harness::open(dir.path());
    assert!(harness.ask(found()).is_err());
    let path = harness.close();
    assert_eq!(records_in(&path).len(), 1);
}
