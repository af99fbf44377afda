//! The contract of [`Ledger`].

use proptest::prelude::*;
use waybill_core::id::Position;
use waybill_core::rules::NewRecord;
use waybill_log::memory::MemoryLedger;
use waybill_log::rocks::{Access, Memory, RocksLedger};
use waybill_log::store::{Bodies, Durability, Ledger, Stored};

use crate::common::plan::cases;
use crate::common::small;
use crate::rocks_ledger;

pub fn record(position: u64, body: Option<&str>) -> NewRecord {
    NewRecord {
        position: Position(position),
        bytes: format!("record {position}").into_bytes(),
        body: body.map(|body| body.as_bytes().to_vec()),
    }
}

fn append(ledger: &dyn Ledger, records: &[NewRecord], erased: &[u64]) {
    let erased: Vec<Position> = erased.iter().copied().map(Position).collect();
    ledger
        .append(records, &erased, Durability::Sync)
        .expect("appends");
}

/// Records 1 to 9; those with an odd number have a body.
pub fn nine(ledger: &dyn Ledger) {
    for positions in [1..4, 4..5, 5..10] {
        let batch: Vec<_> = positions
            .map(|position| record(position, (position % 2 == 1).then_some("body")))
            .collect();
        append(ledger, &batch, &[]);
    }
}

fn stored(position: u64, body: Option<&str>) -> Stored {
    let NewRecord { bytes, body, .. } = record(position, body);
    Stored {
        record: Some(bytes),
        body,
    }
}

pub type Walked = Vec<(u64, Vec<u8>, Option<Vec<u8>>)>;

pub fn walked(ledger: &dyn Ledger, from: u64, bodies: Bodies, most: usize) -> Walked {
    let mut found = Walked::new();
    ledger
        .walk(Position(from), bodies, &mut |position, record, body| {
            found.push((position.0, record.to_vec(), body.map(<[u8]>::to_vec)));
            found.len() < most
        })
        .expect("walks");
    found
}

over_both!(
    MemoryLedger::default(),
    rocks_ledger,
    [
        an_empty_one_has_nothing,
        what_was_appended_is_read,
        reads_come_in_the_order_asked_for,
        bodies_are_erased_after_the_records_are_written,
        walks_go_from_anywhere_until_told_to_stop,
        positions_that_are_not_dense_are_passed_on,
        large_values_and_many_records,
    ]
);

fn an_empty_one_has_nothing(ledger: &dyn Ledger) {
    let check = || {
        assert_eq!(ledger.last().expect("reads"), None);
        assert_eq!(ledger.record(Position(1)).expect("reads"), None);
        let read = ledger.read(&[Position(0), Position(7)]).expect("reads");
        assert_eq!(read, [Stored::default(), Stored::default()]);
        assert_eq!(ledger.read(&[]).expect("reads"), []);
        assert_eq!(walked(ledger, 0, Bodies::With, 9), []);
        assert_eq!(ledger.stray_bodies(9).expect("reads"), []);
    };
    check();
    append(ledger, &[], &[]);
    append(ledger, &[], &[1, 2]);
    check();
}

fn what_was_appended_is_read(ledger: &dyn Ledger) {
    nine(ledger);
    let last = ledger.last().expect("reads");
    assert_eq!(last, Some((Position(9), b"record 9".to_vec())));
    for position in 1..=9 {
        let bytes = ledger.record(Position(position)).expect("reads");
        assert_eq!(bytes, Some(format!("record {position}").into_bytes()));
    }
    for missing in [0, 10, u64::MAX] {
        assert_eq!(ledger.record(Position(missing)).expect("reads"), None);
    }
    assert_eq!(ledger.stray_bodies(9).expect("reads"), []);
}

fn reads_come_in_the_order_asked_for(ledger: &dyn Ledger) {
    nine(ledger);
    let asked = [7, 2, 11, 2, 9, 1, 0, 8].map(Position);
    let expected = [
        stored(7, Some("body")),
        stored(2, None),
        Stored::default(),
        stored(2, None),
        stored(9, Some("body")),
        stored(1, Some("body")),
        Stored::default(),
        stored(8, None),
    ];
    assert_eq!(ledger.read(&asked).expect("reads"), expected);
    let mut asked = asked;
    asked.sort();
    let ascending = ledger.read(&asked).expect("reads");
    for (found, position) in ascending.iter().zip(asked) {
        let alone = ledger.read(&[position]).expect("reads");
        assert_eq!(found, &alone[0], "{position}");
    }
}

fn bodies_are_erased_after_the_records_are_written(ledger: &dyn Ledger) {
    nine(ledger);
    // One of before, one of this very batch, one that has none, one that is nowhere.
    let batch = [
        record(10, Some("new")),
        record(11, Some("new")),
        record(12, None),
    ];
    append(ledger, &batch, &[3, 10, 4, 99]);
    let bodies: Vec<u64> = walked(ledger, 1, Bodies::With, 99)
        .into_iter()
        .filter_map(|(position, _, body)| body.map(|_| position))
        .collect();
    assert_eq!(bodies, [1, 5, 7, 9, 11]);
    assert_eq!(
        ledger.read(&[Position(10)]).expect("reads"),
        [stored(10, None)]
    );
    append(ledger, &[], &[11, 1]);
    let read = ledger.read(&[1, 5, 11].map(Position)).expect("reads");
    assert_eq!(
        read,
        [stored(1, None), stored(5, Some("body")), stored(11, None)]
    );
    let positions: Vec<u64> = walked(ledger, 1, Bodies::Without, 99)
        .into_iter()
        .map(|(position, ..)| position)
        .collect();
    assert_eq!(positions, (1..=12).collect::<Vec<_>>());
}

fn walks_go_from_anywhere_until_told_to_stop(ledger: &dyn Ledger) {
    nine(ledger);
    append(ledger, &[], &[5]);
    let all: Walked = (1..=9)
        .map(|position| {
            let body = position % 2 == 1 && position != 5;
            let found = record(position, body.then_some("body"));
            (position, found.bytes, found.body)
        })
        .collect();
    let bare: Walked = all
        .iter()
        .map(|(position, record, _)| (*position, record.clone(), None))
        .collect();
    for from in 0..12 {
        let skipped = (from as usize).saturating_sub(1).min(9);
        assert_eq!(walked(ledger, from, Bodies::With, 99), all[skipped..]);
        assert_eq!(walked(ledger, from, Bodies::Without, 99), bare[skipped..]);
        let few = &all[skipped..(skipped + 2).min(9)];
        assert_eq!(walked(ledger, from, Bodies::With, 2), few);
    }
}

fn positions_that_are_not_dense_are_passed_on(ledger: &dyn Ledger) {
    append(ledger, &[record(1, None), record(2, Some("b"))], &[]);
    append(ledger, &[record(5, Some("b"))], &[]);
    let found: Vec<_> = walked(ledger, 2, Bodies::With, 99)
        .into_iter()
        .map(|(position, _, body)| (position, body.is_some()))
        .collect();
    assert_eq!(found, [(2, true), (5, true)]);
    let last = ledger.last().expect("reads");
    assert_eq!(last.map(|(position, _)| position), Some(Position(5)));
}

fn large_values_and_many_records(ledger: &dyn Ledger) {
    let noise = |n: u64| (0..n * 97 % 80_000).map(|i| (i * n % 251) as u8).collect();
    let records: Vec<NewRecord> = (1..=600)
        .map(|position| NewRecord {
            position: Position(position),
            bytes: noise(position),
            body: (position % 3 != 0).then(|| noise(position + 7)),
        })
        .collect();
    for batch in records.chunks(250) {
        append(ledger, batch, &[]);
    }
    let positions: Vec<Position> = (1..=600).rev().map(Position).collect();
    let found = ledger.read(&positions).expect("reads");
    for (found, expected) in found.iter().zip(records.iter().rev()) {
        assert!(
            found.record.as_ref() == Some(&expected.bytes),
            "{}",
            expected.position
        );
        assert!(found.body == expected.body, "{}", expected.position);
    }
    assert_eq!(walked(ledger, 0, Bodies::With, 9999).len(), 600);
}

#[test]
fn stray_bodies_are_named_by_the_twin() {
    let ledger = MemoryLedger::default();
    nine(&ledger);
    for position in [3, 4, 7] {
        ledger.tamper(Position(position), |stored| stored.record = None);
    }
    let stray = |limit| ledger.stray_bodies(limit).expect("reads");
    assert_eq!(stray(9), [Position(3), Position(7)]);
    assert_eq!(stray(1), [Position(3)]);
    assert_eq!(stray(0), []);
}

#[test]
fn stray_bodies_are_named_by_rocksdb() {
    let dir = tempfile::tempdir().expect("a directory");
    nine(&rocks_ledger(dir.path()));
    {
        let db = rocksdb::DB::open_cf(
            &rocksdb::Options::default(),
            dir.path(),
            ["default", "records", "bodies"],
        )
        .expect("opens");
        let records = db.cf_handle("records").expect("is there");
        for position in [1_u64, 4, 9] {
            db.delete_cf(records, position.to_be_bytes())
                .expect("deletes");
        }
    }
    let ledger = rocks_ledger(dir.path());
    let stray = |limit| ledger.stray_bodies(limit).expect("reads");
    assert_eq!(stray(9), [Position(1), Position(9)]);
    assert_eq!(stray(1), [Position(1)]);
    assert_eq!(stray(0), []);
    // What the walk makes of it: a record without its neighbours, and no body that is not its own.
    let found: Vec<_> = walked(&ledger, 0, Bodies::With, 99)
        .into_iter()
        .map(|(position, _, body)| (position, body.is_some()))
        .collect();
    assert_eq!(found[..3], [(2, false), (3, true), (5, true)]);
}

#[test]
fn the_twin_forgets_what_was_not_synced() {
    let ledger = MemoryLedger::default();
    nine(&ledger);
    ledger
        .append(&[record(10, Some("b"))], &[Position(1)], Durability::None)
        .expect("appends");
    ledger.cut();
    let last = ledger.last().expect("reads");
    assert_eq!(last.map(|(position, _)| position), Some(Position(9)));
    let read = ledger.read(&[Position(1)]).expect("reads");
    assert_eq!(read, [stored(1, Some("body"))]);
}

#[test]
fn it_is_the_same_when_opened_again_and_in_a_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, copy) = (dir.path().join("ledger"), dir.path().join("copy"));
    let ledger = rocks_ledger(&path);
    nine(&ledger);
    append(&ledger, &[], &[7]);
    let before = walked(&ledger, 0, Bodies::With, 99);
    ledger.snapshot(&copy).expect("copies");
    assert!(ledger.snapshot(&copy).is_err(), "it must not exist");
    append(&ledger, &[record(10, None)], &[1]);
    let after = walked(&ledger, 0, Bodies::With, 99);
    assert_ne!(before, after);
    drop(ledger);
    let memory = Memory::new(&small()).expect("has an environment");
    for access in [Access::Read, Access::Write] {
        for (path, expected) in [(&path, &after), (&copy, &before)] {
            let ledger = RocksLedger::open(path, &memory, access).expect("opens");
            assert_eq!(&walked(&ledger, 0, Bodies::With, 99), expected);
        }
    }
    let ledger = rocks_ledger(&path);
    ledger.compact().expect("compacts");
    assert_eq!(walked(&ledger, 0, Bodies::With, 99), after);
}

/// What is done to both kinds of ledger.
#[derive(Clone, Debug)]
struct Step {
    /// Length of each record and of its body.
    records: Vec<(u16, Option<u16>)>,
    erased: Vec<u8>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = (0..300_u16, prop::option::of(0..300_u16));
    let step = (
        prop::collection::vec(record, 0..6),
        prop::collection::vec(0..60_u8, 0..4),
    );
    prop::collection::vec(
        step.prop_map(|(records, erased)| Step { records, erased }),
        1..15,
    )
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn both_ledgers_are_one(steps in steps(), asked in prop::collection::vec(0..70_u64, 0..30)) {
        let dir = tempfile::tempdir().expect("a directory");
        let (memory, rocks) = (MemoryLedger::default(), rocks_ledger(dir.path()));
        let mut next = 1;
        for step in &steps {
            let mut records = Vec::new();
            for (record, body) in &step.records {
                let fill = |len: u16| vec![next as u8; usize::from(len)];
                records.push(NewRecord {
                    position: Position(next),
                    bytes: fill(*record),
                    body: body.map(fill),
                });
                next += 1;
            }
            let erased: Vec<u64> = step.erased.iter().copied().map(u64::from).collect();
            append(&memory, &records, &erased);
            append(&rocks, &records, &erased);
        }
        let compare = |rocks: &RocksLedger| {
            let asked: Vec<Position> = asked.iter().copied().map(Position).collect();
            assert_eq!(memory.read(&asked).expect("reads"), rocks.read(&asked).expect("reads"));
            assert_eq!(memory.last().expect("reads"), rocks.last().expect("reads"));
            for from in asked.first().into_iter().chain([&Position(0)]) {
                for bodies in [Bodies::With, Bodies::Without] {
                    let walk = |ledger: &dyn Ledger| walked(ledger, from.0, bodies, 40);
                    assert_eq!(walk(&memory), walk(rocks));
                }
            }
        };
        compare(&rocks);
        drop(rocks);
        compare(&rocks_ledger(dir.path()));
    }
}
