//! The contract of the stores (`store.rs`): the same tests over the in-memory twin and over RocksDB, and random use of both side
//! by side. What only a disk can show (reopening, kills, copies) follows for RocksDB alone.

mod common;

use std::path::Path;

use common::image::Image;
use common::plan::cases;
use common::rows::{Rows, rows};
use common::small;
use proptest::prelude::*;
use waybill_core::id::{Epoch, Hash, Position, UserNo};
use waybill_core::rules::NewRecord;
use waybill_core::state::{Effect, FAMILIES, Family, Key, RowKey};
use waybill_log::memory::{MemoryLedger, MemoryViews};
use waybill_log::rocks::{Access, Memory, RocksLedger, RocksViews};
use waybill_log::store::{Applied, Bodies, Durability, Ledger, Mark, Stored, Views};

/// Each contract over each kind of store.
macro_rules! over_both {
    ($memory:expr, $rocks:expr, [$($name:ident),* $(,)?]) => {
        mod over_memory {
            use super::*;
            $(#[test] fn $name() { super::$name(&$memory); })*
        }
        mod over_rocksdb {
            use super::*;
            $(#[test] fn $name() {
                let dir = tempfile::tempdir().expect("a directory");
                super::$name(&$rocks(dir.path()));
            })*
        }
    };
}

fn rocks_ledger(path: &Path) -> RocksLedger {
    let memory = Memory::new(&small()).expect("has an environment");
    RocksLedger::open(path, &memory, Access::Write).expect("opens")
}

fn rocks_views(path: &Path) -> RocksViews {
    let memory = Memory::new(&small()).expect("has an environment");
    RocksViews::open(path, &memory, Access::Write).expect("opens")
}

fn record(position: u64, body: Option<&str>) -> NewRecord {
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
fn nine(ledger: &dyn Ledger) {
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

type Walked = Vec<(u64, Vec<u8>, Option<Vec<u8>>)>;

fn walked(ledger: &dyn Ledger, from: u64, bodies: Bodies, most: usize) -> Walked {
    let mut found = Walked::new();
    ledger
        .walk(Position(from), bodies, &mut |position, record, body| {
            found.push((position.0, record.to_vec(), body.map(<[u8]>::to_vec)));
            found.len() < most
        })
        .expect("walks");
    found
}

mod ledger {
    use super::*;

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

    #[test]
    fn reading_changes_nothing_and_writing_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ledger_path, views_path) = (dir.path().join("ledger"), dir.path().join("views"));
        nine(&rocks_ledger(&ledger_path));
        let row = [row(Family::Users, 1, "row")];
        write(&rocks_views(&views_path), &row);
        let before = Image::of(dir.path());
        let memory = Memory::new(&small()).expect("has an environment");
        {
            let ledger = RocksLedger::open(&ledger_path, &memory, Access::Read).expect("opens");
            assert_eq!(walked(&ledger, 0, Bodies::With, 99).len(), 9);
            let appended = ledger.append(&[record(10, None)], &[], Durability::Sync);
            assert!(appended.is_err());
            let views = RocksViews::open(&views_path, &memory, Access::Read).expect("opens");
            assert_eq!(rows(&views).len(), 1);
            assert!(views.write(&row, None).is_err());
        }
        assert!(Image::of(dir.path()) == before, "files have changed");
        let nowhere = dir.path().join("nowhere");
        assert!(RocksLedger::open(&nowhere, &memory, Access::Read).is_err());
        assert!(RocksViews::open(&nowhere, &memory, Access::Read).is_err());
        assert!(!nowhere.exists());
    }
}

/// Rows that fall between each other's keys, also across families.
fn key(n: u8) -> Key {
    UserNo(u64::from(n)).key()
}

fn row(family: Family, n: u8, value: &str) -> Effect {
    Effect::Put(family, key(n), value.as_bytes().to_vec())
}

fn write(views: &dyn Views, effects: &[Effect]) {
    views.write(effects, None).expect("writes");
}

fn get(views: &dyn Views, family: Family, n: u8) -> Option<String> {
    let value = views.get(family, &key(n)).expect("reads");
    value.map(|value| String::from_utf8(value).expect("is text"))
}

fn mark(position: u64, whole: bool) -> Mark {
    Mark {
        version: 1,
        applied: Some(Applied {
            epoch: Epoch([3; 16]),
            position: Position(position),
            leaf: Hash([position as u8; 32]),
        }),
        whole,
    }
}

mod views {
    use super::*;

    over_both!(
        MemoryViews::default(),
        rocks_views,
        [
            empty_ones_have_nothing,
            rows_are_written_over_and_deleted,
            families_are_apart,
            ranges_have_a_beginning_an_end_and_a_limit,
            keys_of_any_length_ascend_as_bytes,
            the_mark_comes_back,
        ]
    );

    fn empty_ones_have_nothing(views: &dyn Views) {
        assert_eq!(views.mark().expect("reads"), None);
        assert_eq!(rows(views), Rows::new());
        write(views, &[]);
        write(views, &[Effect::Delete(Family::Users, key(1))]);
        views.flush().expect("flushes");
        assert_eq!(views.mark().expect("reads"), None);
        assert_eq!(rows(views), Rows::new());
    }

    fn rows_are_written_over_and_deleted(views: &dyn Views) {
        let family = Family::UserHeads;
        write(
            views,
            &[
                row(family, 1, "one"),
                Effect::Append(family, key(2), b"two".to_vec()),
                row(family, 3, "three"),
            ],
        );
        views.flush().expect("flushes");
        // In one batch the last change of a row counts.
        write(
            views,
            &[
                row(family, 1, "uno"),
                Effect::Delete(family, key(2)),
                Effect::Delete(family, key(3)),
                Effect::Append(family, key(3), b"tre".to_vec()),
                row(family, 4, "quattro"),
                Effect::Delete(family, key(4)),
                Effect::Delete(family, key(9)),
                row(family, 0, ""),
            ],
        );
        let found: Vec<_> = (0..6).map(|n| get(views, family, n)).collect();
        let expected = [Some(""), Some("uno"), None, Some("tre"), None, None];
        assert_eq!(found, expected.map(|value| value.map(str::to_owned)));
        assert_eq!(rows(views).len(), 3);
    }

    fn families_are_apart(views: &dyn Views) {
        let effects: Vec<Effect> = FAMILIES
            .iter()
            .map(|info| row(info.family, 1, info.name))
            .collect();
        write(views, &effects);
        write(views, &[Effect::Delete(Family::Users, key(1))]);
        for info in &FAMILIES {
            let expected = (info.family != Family::Users).then_some(info.name);
            assert_eq!(get(views, info.family, 1).as_deref(), expected);
        }
    }

    fn ranges_have_a_beginning_an_end_and_a_limit(views: &dyn Views) {
        let family = Family::UserLog;
        let effects: Vec<Effect> = [9, 1, 5, 3, 7].map(|n| row(family, n, "row")).into();
        write(views, &effects);
        write(
            views,
            &[
                row(Family::Conversations, 2, "other"),
                row(Family::UserHeads, 2, "other"),
            ],
        );
        let range = |from: u8, to: u8, limit| -> Vec<u8> {
            let (from, to) = (key(from), key(to));
            let rows = views.range(family, from.as_slice(), to.as_slice(), limit);
            let rows = rows.expect("reads");
            rows.iter().map(|(key, _)| key[7]).collect()
        };
        assert_eq!(range(0, 99, 99), [1, 3, 5, 7, 9]);
        assert_eq!(range(3, 7, 99), [3, 5]);
        assert_eq!(range(4, 8, 99), [5, 7]);
        assert_eq!(range(0, 99, 2), [1, 3]);
        assert_eq!(range(0, 99, 0), [0; 0]);
        for (from, to) in [(3, 3), (7, 3), (10, 99), (4, 5)] {
            assert_eq!(range(from, to, 99), [0; 0], "{from} to {to}");
        }
    }

    fn keys_of_any_length_ascend_as_bytes(views: &dyn Views) {
        let family = Family::Dedup;
        let texts: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"ab", b"\xff"];
        let key = |text: &[u8]| Key::from_slice(text).expect("short enough");
        let effects: Vec<Effect> = texts
            .iter()
            .rev()
            .map(|text| Effect::Put(family, key(text), text.to_vec()))
            .collect();
        write(views, &effects);
        let mut found = Vec::new();
        views
            .walk(family, &mut |key, value| {
                assert_eq!(key, value);
                found.push(key.to_vec());
            })
            .expect("walks");
        assert_eq!(found, texts.map(<[u8]>::to_vec));
        let range = views.range(family, b"a", b"ab", 99).expect("reads");
        let range: Vec<_> = range.into_iter().map(|(key, _)| key).collect();
        assert_eq!(range, [b"a".to_vec(), b"a\0".to_vec()]);
    }

    fn the_mark_comes_back(views: &dyn Views) {
        let none = Mark {
            version: 7,
            applied: None,
            whole: false,
        };
        for (n, mark) in [none, mark(1, true), mark(2, false), mark(u64::MAX, true)]
            .iter()
            .enumerate()
        {
            let effects = [row(Family::Users, n as u8, "row")];
            let effects = if n % 2 == 0 { &effects[..] } else { &[] };
            views.write(effects, Some(mark)).expect("writes");
            assert_eq!(views.mark().expect("reads").as_ref(), Some(mark));
            write(views, &[row(Family::Users, 99, "a row without a mark")]);
            views.flush().expect("flushes");
            assert_eq!(views.mark().expect("reads").as_ref(), Some(mark));
        }
        // The mark is no row.
        assert_eq!(rows(views).len(), 3);
    }

    #[test]
    fn the_twin_forgets_what_was_not_flushed() {
        let views = MemoryViews::default();
        let first = [row(Family::Users, 1, "flushed")];
        views.write(&first, Some(&mark(1, true))).expect("writes");
        views.flush().expect("flushes");
        let flushed = rows(&views);
        let second = [row(Family::Users, 1, "not"), row(Family::Dedup, 2, "not")];
        views.write(&second, Some(&mark(2, true))).expect("writes");
        views.cut();
        assert_eq!(rows(&views), flushed);
        assert_eq!(views.mark().expect("reads"), Some(mark(1, true)));
    }

    #[test]
    fn they_are_the_same_when_opened_again_and_in_a_snapshot() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, copy) = (dir.path().join("views"), dir.path().join("copy"));
        let views = rocks_views(&path);
        let effects: Vec<Effect> = FAMILIES
            .iter()
            .flat_map(|info| (0..50).map(|n| row(info.family, n, info.name)))
            .collect();
        views.write(&effects, Some(&mark(5, true))).expect("writes");
        let before = rows(&views);
        // A copy is as of now, flushed or not.
        views.snapshot(&copy).expect("copies");
        assert!(views.snapshot(&copy).is_err(), "it must not exist");
        let later = [row(Family::Users, 1, "later")];
        views.write(&later, Some(&mark(6, false))).expect("writes");
        views.flush().expect("flushes");
        let after = rows(&views);
        views.compact().expect("compacts");
        assert_eq!(rows(&views), after);
        drop(views);
        let memory = Memory::new(&small()).expect("has an environment");
        for access in [Access::Read, Access::Write] {
            for (path, rows, mark) in [
                (&path, &after, mark(6, false)),
                (&copy, &before, mark(5, true)),
            ] {
                let views = RocksViews::open(path, &memory, access).expect("opens");
                assert_eq!(&super::rows(&views), rows);
                assert_eq!(views.mark().expect("reads"), Some(mark));
            }
        }
    }

    #[test]
    fn a_malformed_mark_is_named() {
        for bytes in [&b""[..], b"\0\0\0\x01", &[1; 6], &[1; 60], &[1; 62]] {
            let dir = tempfile::tempdir().expect("a directory");
            drop(rocks_views(dir.path()));
            {
                let names = FAMILIES.iter().map(|info| info.name).chain(["default"]);
                let options = rocksdb::Options::default();
                let db = rocksdb::DB::open_cf(&options, dir.path(), names).expect("opens");
                db.put(b"mark", bytes).expect("writes");
            }
            let error = rocks_views(dir.path()).mark().expect_err("is malformed");
            assert!(
                error.to_string().contains("views is corrupt at mark"),
                "{error}"
            );
        }
    }
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

fn effects() -> impl Strategy<Value = Vec<Vec<Effect>>> {
    let family = (0..FAMILIES.len()).prop_map(|n| FAMILIES[n].family);
    let key = prop_oneof![
        4 => (0..12_u8).prop_map(key),
        1 => prop::collection::vec(any::<u8>(), 0..31)
            .prop_map(|bytes| Key::from_slice(&bytes).expect("short enough")),
    ];
    let value = prop::collection::vec(any::<u8>(), 0..40);
    let effect = (family, key, 0..4_u8, value).prop_map(|(family, key, kind, value)| match kind {
        0 => Effect::Delete(family, key),
        1 => Effect::Append(family, key, value),
        _ => Effect::Put(family, key, value),
    });
    prop::collection::vec(prop::collection::vec(effect, 0..20), 1..12)
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

    #[test]
    fn both_views_are_one(batches in effects(), ends in prop::collection::vec((0..14_u8, 0..14_u8), 4)) {
        let dir = tempfile::tempdir().expect("a directory");
        let (memory, rocks) = (MemoryViews::default(), rocks_views(dir.path()));
        for (n, batch) in (0..).zip(&batches) {
            let mark = (n % 3 == 0).then(|| mark(n, n % 2 == 0));
            memory.write(batch, mark.as_ref()).expect("writes");
            rocks.write(batch, mark.as_ref()).expect("writes");
            if n % 4 == 3 {
                rocks.flush().expect("flushes");
            }
        }
        let compare = |rocks: &RocksViews| {
            assert_eq!(rows(&memory), rows(rocks));
            assert_eq!(memory.mark().expect("reads"), rocks.mark().expect("reads"));
            for info in &FAMILIES {
                for (from, to) in &ends {
                    let (from_key, to_key) = (key(*from), key(*to));
                    let range = |views: &dyn Views| {
                        let limit = usize::from(*to);
                        views.range(info.family, from_key.as_slice(), to_key.as_slice(), limit)
                    };
                    assert_eq!(range(&memory).expect("reads"), range(rocks).expect("reads"));
                    let get = |views: &dyn Views| views.get(info.family, &from_key);
                    assert_eq!(get(&memory).expect("reads"), get(rocks).expect("reads"));
                }
            }
        };
        compare(&rocks);
        rocks.flush().expect("flushes");
        drop(rocks);
        compare(&rocks_views(dir.path()));
    }
}
