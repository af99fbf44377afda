//! The hot table alone: what it drops and what it must not, and that under it the database is never believed wrongly.

use std::collections::BTreeMap;

use proptest::prelude::*;
use waybill_core::id::UserNo;
use waybill_core::state::RowKey;

use super::*;

/// A family that is kept in memory, and one that is not.
const CACHED: Family = Family::UserHeads;
const UNCACHED: Family = Family::ConversationLog;

fn value(n: u64) -> Value {
    n.to_be_bytes().to_vec()
}

/// A table of `clean` clean rows per shard.
fn table(clean: usize) -> HotTable {
    HotTable::new(clean * SHARDS)
}

/// The first `count` keys that fall into one shard, with distinct numbers.
fn neighbours(table: &HotTable, family: Family, count: usize) -> Vec<Key> {
    let shard_of = |key: &Key| std::ptr::from_ref(table.shard(family, key));
    let first = UserNo(0).key();
    let same = (0..).map(|n| UserNo(n).key());
    same.filter(|key| shard_of(key) == shard_of(&first))
        .take(count)
        .collect()
}

fn remember(table: &HotTable, family: Family, key: &Key, value: &Value) {
    if let Hit::Miss(ticket) = table.get(family, key) {
        table.remember(family, key, value, ticket);
    }
}

fn holds(table: &HotTable, key: &Key) -> bool {
    // Without `get`, which counts as a use.
    let shard = table.shard(CACHED, key).read();
    shard.rows.contains_key(&(CACHED, *key))
}

#[test]
fn a_used_row_gets_a_second_chance_and_an_unused_one_goes() {
    let table = table(4);
    let keys = neighbours(&table, CACHED, 6);
    for key in &keys[..4] {
        remember(&table, CACHED, key, &value(1));
    }
    assert_eq!(table.get(CACHED, &keys[0]), Hit::Row(value(1)));
    remember(&table, CACHED, &keys[4], &value(1));
    let held: Vec<bool> = keys.iter().map(|key| holds(&table, key)).collect();
    assert_eq!(held, [true, false, true, true, true, false]);
    // The chance is used up: the next one goes in order.
    remember(&table, CACHED, &keys[5], &value(1));
    assert!(!holds(&table, &keys[2]));
    remember(&table, CACHED, &keys[1], &value(1));
    remember(&table, CACHED, &keys[2], &value(1));
    assert!(!holds(&table, &keys[0]), "not used since its second chance");
}

#[test]
fn a_table_whose_rows_are_all_in_use_still_makes_room() {
    let clean = 2 * MOST_CHANCES;
    let table = table(clean);
    let keys = neighbours(&table, CACHED, 10 * clean);
    for key in &keys {
        for known in &keys {
            drop(table.get(CACHED, known));
        }
        remember(&table, CACHED, key, &value(1));
        let shard = table.shard(CACHED, key).read();
        assert!(shard.rows.len() <= clean && shard.queue.len() <= clean);
    }
}

#[test]
fn dirty_rows_are_never_dropped() {
    let table = table(2);
    let keys = neighbours(&table, CACHED, 200);
    let (dirty, others) = keys.split_at(100);
    for (n, key) in (0..).zip(dirty) {
        remember(&table, CACHED, key, &value(9_999));
        table.change(CACHED, key, (n % 10 != 0).then(|| value(n)));
    }
    let press = || {
        for key in others {
            remember(&table, CACHED, key, &value(1));
        }
    };
    let check = || {
        for (n, key) in (0..).zip(dirty) {
            let expected = match n % 10 {
                0 => Hit::Deleted,
                _ => Hit::Row(value(n)),
            };
            assert_eq!(table.get(CACHED, key), expected);
        }
    };
    press();
    check();
    assert_eq!(table.dirty_rows(), dirty.len());
    let mut taken = table.dirty();
    taken.sort_by_key(|row| row.key);
    let expected: Vec<_> = (0..)
        .zip(dirty)
        .map(|(n, key)| (*key, (n % 10 != 0).then(|| value(n))))
        .collect();
    let found: Vec<_> = taken
        .iter()
        .map(|row| (row.key, row.value.clone()))
        .collect();
    assert_eq!(found, expected);
    // Under way, but not written yet: still here.
    press();
    check();
    table.flushed(&taken);
    assert_eq!(table.dirty().len(), 0);
    press();
    let shard = table.shard(CACHED, &keys[0]).read();
    assert!(shard.rows.len() <= 2, "written rows make room like others");
}

#[test]
fn a_row_that_changed_during_a_flush_is_dirty_for_the_next() {
    let table = table(4);
    let key = UserNo(7).key();
    table.change(CACHED, &key, Some(value(1)));
    let first = table.dirty();
    table.change(CACHED, &key, Some(value(2)));
    assert_eq!(first[0].value, Some(value(1)), "as of when it was taken");
    table.flushed(&first);
    assert_eq!(table.get(CACHED, &key), Hit::Row(value(2)));
    let second = table.dirty();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].value, Some(value(2)));
    table.flushed(&second);
    assert_eq!(table.dirty().len(), 0);
    assert_eq!(table.get(CACHED, &key), Hit::Row(value(2)));
}

#[test]
fn what_was_read_before_a_change_is_not_remembered_after_it() {
    let flush = |table: &HotTable| table.flushed(&table.dirty());
    let ticket = |table: &HotTable, key: &Key| match table.get(CACHED, key) {
        Hit::Miss(ticket) => ticket,
        hit => panic!("no miss: {hit:?}"),
    };

    // The row is there when the old value comes.
    let small = table(1);
    let keys = neighbours(&small, CACHED, 2);
    let before = ticket(&small, &keys[0]);
    small.change(CACHED, &keys[0], Some(value(2)));
    small.remember(CACHED, &keys[0], &value(1), before);
    assert_eq!(small.get(CACHED, &keys[0]), Hit::Row(value(2)));

    // It came, was written and has made room.
    let small = table(1);
    let keys = neighbours(&small, CACHED, 2);
    let before = ticket(&small, &keys[0]);
    small.change(CACHED, &keys[0], Some(value(2)));
    flush(&small);
    remember(&small, CACHED, &keys[1], &value(1));
    assert!(!holds(&small, &keys[0]));
    small.remember(CACHED, &keys[0], &value(1), before);
    assert!(!holds(&small, &keys[0]), "the old value was believed");

    // It was appended since somebody found that it was not there, also when it has made room again.
    let small = table(1);
    let keys = neighbours(&small, CACHED, 2);
    let before = ticket(&small, &keys[0]);
    small.appended(CACHED, &keys[0], value(1));
    small.remember_absent(CACHED, &keys[0], before);
    assert_eq!(small.get(CACHED, &keys[0]), Hit::Row(value(1)));
    remember(&small, CACHED, &keys[1], &value(1));
    assert!(!holds(&small, &keys[0]));
    small.remember_absent(CACHED, &keys[0], before);
    assert!(
        !holds(&small, &keys[0]),
        "a row that is there was believed absent"
    );
    // Known to be absent, and then appended.
    let now = ticket(&small, &keys[0]);
    small.remember_absent(CACHED, &keys[0], now);
    assert_eq!(small.get(CACHED, &keys[0]), Hit::Deleted);
    small.appended(CACHED, &keys[0], value(2));
    assert_eq!(small.get(CACHED, &keys[0]), Hit::Row(value(2)));

    // It was deleted, and the deletion was written.
    let small = table(1);
    let before = ticket(&small, &keys[0]);
    small.change(CACHED, &keys[0], None);
    flush(&small);
    small.remember(CACHED, &keys[0], &value(1), before);
    assert!(!holds(&small, &keys[0]), "a deleted row came back");
}

#[test]
fn a_family_without_rows_says_so() {
    let table = table(4);
    let keys = neighbours(&table, UNCACHED, 3);
    assert!(!table.has(UNCACHED));
    for key in &keys {
        table.change(UNCACHED, key, Some(value(1)));
        table.change(UNCACHED, key, Some(value(2)));
    }
    assert!(table.has(UNCACHED) && !table.has(CACHED));
    table.flushed(&table.dirty());
    assert!(!table.has(UNCACHED), "such rows are not kept once written");
    for key in neighbours(&table, CACHED, 50) {
        remember(&table, CACHED, &key, &value(1));
    }
    assert!(table.has(CACHED));
}

#[test]
fn a_row_stands_in_the_queue_once() {
    let table = table(8);
    let keys = neighbours(&table, CACHED, 8);
    for key in &keys {
        remember(&table, CACHED, key, &value(0));
    }
    // One row is written again and again; nobody else has to go for it.
    for n in 1..100 {
        table.change(CACHED, &keys[3], Some(value(n)));
        table.flushed(&table.dirty());
    }
    assert!(keys.iter().all(|key| holds(&table, key)));
    let shard = table.shard(CACHED, &keys[0]).read();
    assert_eq!(shard.queue.len(), keys.len());
}

/// What a writer, its flushes and slow readers do to a table over a database.
#[derive(Clone, Debug)]
enum Act {
    Read(u8),
    /// A reader asks the table and the database, and hands back later what it got.
    BeginRead(u8),
    EndRead,
    Change(u8, Option<u64>),
    /// The writer writes a row that never was to the database, and then tells the table.
    BeginAppend(u8, u64),
    EndAppend,
    /// The writer looks all rows up, and changes some of them.
    ChangeMany(u8, u64),
    BeginFlush,
    EndFlush,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (key, key_to_append) = (0..40_u8, 20..40_u8);
    let act = prop_oneof![
        4 => key.clone().prop_map(Act::Read),
        3 => key.clone().prop_map(Act::BeginRead),
        3 => Just(Act::EndRead),
        6 => (key, proptest::option::weighted(0.8, 1..1000_u64))
            .prop_map(|(key, value)| Act::Change(key, value)),
        3 => (key_to_append, 1..1000_u64).prop_map(|(key, value)| Act::BeginAppend(key, value)),
        3 => Just(Act::EndAppend),
        2 => (0..8_u8, 1..1000_u64).prop_map(|(every, value)| Act::ChangeMany(every, value)),
        1 => Just(Act::BeginFlush),
        1 => Just(Act::EndFlush),
    ];
    proptest::collection::vec(act, 0..300)
}

/// The table over a database that only flushes change.
struct Over {
    table: HotTable,
    database: BTreeMap<Key, Value>,
    truth: BTreeMap<Key, Value>,
    reading: Vec<(Key, Option<Value>, Ticket)>,
    flushing: Option<Vec<DirtyRow>>,
    appending: Option<(Key, Value)>,
    /// Rows that were there once: a row is appended only once.
    known: BTreeMap<Key, ()>,
}

impl Over {
    fn read(&self, key: &Key) -> Option<Value> {
        match self.table.get(CACHED, key) {
            Hit::Row(value) => Some(value),
            Hit::Deleted => None,
            Hit::Miss(ticket) => {
                let value = self.database.get(key).cloned();
                self.remember(key, value.as_ref(), ticket);
                value
            }
        }
    }

    fn remember(&self, key: &Key, value: Option<&Value>, ticket: Ticket) {
        match value {
            Some(value) => self.table.remember(CACHED, key, value, ticket),
            None => self.table.remember_absent(CACHED, key, ticket),
        }
    }

    fn end_append(&mut self) {
        if let Some((key, value)) = self.appending.take() {
            self.table.appended(CACHED, &key, value.clone());
            self.truth.insert(key, value);
        }
    }

    fn act(&mut self, keys: &[Key], act: &Act) {
        match act {
            Act::Read(n) => {
                let key = &keys[usize::from(*n)];
                let found = self.read(key);
                match &self.appending {
                    // Not told yet: it may be seen, or not.
                    Some((appending, value)) if appending == key => {
                        assert!(found.is_none() || found.as_ref() == Some(value));
                    }
                    _ => assert_eq!(found.as_ref(), self.truth.get(key), "{key:?}"),
                }
            }
            Act::BeginRead(n) => {
                let key = keys[usize::from(*n)];
                if let Hit::Miss(ticket) = self.table.get(CACHED, &key) {
                    let value = self.database.get(&key).cloned();
                    self.reading.push((key, value, ticket));
                }
            }
            Act::EndRead => {
                if !self.reading.is_empty() {
                    let (key, value, ticket) = self.reading.remove(0);
                    self.remember(&key, value.as_ref(), ticket);
                }
            }
            Act::BeginAppend(n, new) => {
                let key = keys[usize::from(*n)];
                if self.appending.is_none() && self.known.insert(key, ()).is_none() {
                    self.database.insert(key, value(*new));
                    self.appending = Some((key, value(*new)));
                }
            }
            Act::EndAppend => self.end_append(),
            Act::Change(n, new) => {
                self.end_append();
                let key = keys[usize::from(*n)];
                self.known.insert(key, ());
                self.table.change(CACHED, &key, new.map(value));
                self.truth.remove(&key);
                self.truth.extend(new.map(|new| (key, value(new))));
            }
            Act::ChangeMany(every, new) => {
                self.end_append();
                for (key, hit) in keys.iter().zip(self.table.get_many(CACHED, keys)) {
                    match hit {
                        Hit::Row(value) => assert_eq!(Some(&value), self.truth.get(key)),
                        Hit::Deleted => assert_eq!(None, self.truth.get(key)),
                        Hit::Miss(_) => assert_eq!(self.database.get(key), self.truth.get(key)),
                    }
                }
                let some = keys.iter().skip(usize::from(*every));
                let rows = (*new..).zip(some.step_by(usize::from(*every) + 1));
                // Every third is deleted.
                let rows = rows.map(|(n, key)| (*key, (n % 3 > 0).then(|| value(n))));
                let rows: Vec<_> = rows.collect();
                for (key, value) in rows.clone() {
                    self.known.insert(key, ());
                    self.truth.remove(&key);
                    self.truth.extend(value.map(|value| (key, value)));
                }
                self.table.change_many(CACHED, rows);
            }
            Act::BeginFlush if self.flushing.is_none() => {
                self.flushing = Some(self.table.dirty());
            }
            Act::BeginFlush => {}
            Act::EndFlush => {
                for row in self.flushing.iter().flatten() {
                    self.database.remove(&row.key);
                    self.database
                        .extend(row.value.clone().map(|value| (row.key, value)));
                }
                if let Some(rows) = self.flushing.take() {
                    self.table.flushed(&rows);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn table_and_database_together_say_what_was_written(acts in acts(), clean in 1..6_usize) {
        let table = table(clean);
        // Two shards, so that rows make room for each other.
        let mut keys = neighbours(&table, CACHED, 30);
        keys.extend((1000..1010).map(|n| UserNo(n).key()));
        // More than are worked on while a shard is locked; for those who work on many.
        keys.extend(neighbours(&table, CACHED, 30 + 2 * AT_A_TIME).split_off(30));
        let mut over = Over {
            table,
            database: BTreeMap::new(),
            truth: BTreeMap::new(),
            reading: Vec::new(),
            flushing: None,
            appending: None,
            known: BTreeMap::new(),
        };
        for act in &acts {
            over.act(&keys, act);
        }
        for act in [Act::EndAppend, Act::EndFlush, Act::BeginFlush, Act::EndFlush] {
            over.act(&keys, &act);
        }
        prop_assert_eq!(&over.database, &over.truth, "what is flushed is everything");
        for key in &keys {
            prop_assert_eq!(over.read(key), over.truth.get(key).cloned());
        }
    }
}
