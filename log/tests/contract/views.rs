//! The contract of [`Views`].

use proptest::prelude::*;
use waybill_core::id::{Epoch, Hash, Position, Seq, UserNo};
use waybill_core::state::{Effect, FAMILIES, Family, Key, RowKey};
use waybill_log::memory::MemoryViews;
use waybill_log::rocks::{Access, Memory, RocksViews};
use waybill_log::store::{Applied, Mark, Views};

use crate::common::plan::cases;
use crate::common::rows::{Rows, rows};
use crate::common::small;
use crate::rocks_views;

/// Rows that fall between each other's keys, also across families.
fn key(n: u8) -> Key {
    UserNo(u64::from(n)).key()
}

pub fn row(family: Family, n: u8, value: &str) -> Effect {
    Effect::Put(family, key(n), value.as_bytes().to_vec())
}

pub fn write(views: &dyn Views, effects: &[Effect]) {
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
        many_rows_are_read_as_each_of_them,
    ]
);

/// Close together and far apart, ascending or not, of one length or several: the ways to look for them differ.
fn many_rows_are_read_as_each_of_them(views: &dyn Views) {
    let family = Family::Conversations;
    let long = |n: u64| (UserNo(7), Seq(n)).key();
    let mut written: Vec<Key> = (1..40).filter(|n| n % 3 != 0).map(long).collect();
    written.extend([1_000, 5_000, u64::MAX].map(long));
    written.extend((1..20).map(|n| UserNo(n).key()));
    let effects: Vec<Effect> = written
        .iter()
        .map(|key| Effect::Put(family, *key, key.as_slice().to_vec()))
        .collect();
    write(views, &effects[..30]);
    views.flush().expect("flushes");
    write(views, &effects[30..]);
    write(views, &[Effect::Delete(family, long(4))]);
    let run: Vec<Key> = (1..50).map(long).collect();
    let asked: [Vec<Key>; 8] = [
        Vec::new(),
        vec![long(5)],
        run.clone(),
        run.iter().rev().copied().collect(),
        [&run[..], &run[..]].concat(),
        [1, 900, 1_000, 4_000, 5_000, 6_000, 7_000, 8_000, u64::MAX]
            .map(long)
            .to_vec(),
        (u64::MAX - 9..=u64::MAX).map(long).collect(),
        (5..30).map(|n| UserNo(n).key()).chain([long(2)]).collect(),
    ];
    for keys in asked {
        let found = views.get_many(family, &keys).expect("reads");
        let one_by_one = keys
            .iter()
            .map(|key| views.get(family, key).expect("reads"));
        assert_eq!(found, one_by_one.collect::<Vec<_>>(), "{keys:?}");
    }
    let found = views.get_many(family, &run).expect("reads");
    assert_eq!(found.iter().flatten().count(), 39 - 13 - 1);
}

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
