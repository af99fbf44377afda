//! Power cuts under a device's store: what it says to be on the disk is there afterwards, and the rest is a whole number of
//! transactions. That this test can fail is shown by a disk that lies.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use waybill_client::store::Store;
use waybill_client::{LogEntry, Message};
use waybill_core::id::{Epoch, Seq};
use waybill_tests::dice::Dice;
use waybill_tests::faultfs::{Options, Sandbox, Survivors};
use waybill_tests::harness::{dice, rounds};

/// Power cuts in a row unless `WAYBILL_POWER_CUTS` says otherwise.
const QUICK: u64 = 5;

/// Most transactions before a cut: enough for SQLite to move its log into its file several times.
const STEPS: u64 = 150;

/// Most entries of a transaction.
const BATCH: u64 = 40;

/// Bytes of an entry.
const ENTRY_BYTES: usize = 2_000;

fn sandbox() -> Sandbox {
    Sandbox::new(&Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// A path in an empty directory whose name is durable.
fn place(sandbox: &Sandbox) -> PathBuf {
    let directory = sandbox.path("device");
    fs::create_dir(&directory).unwrap();
    File::open(sandbox.path("")).unwrap().sync_all().unwrap();
    directory.join("ann.sqlite")
}

fn open(path: &Path) -> Store {
    Store::open(path, "ann", "phone").unwrap()
}

fn entry(seq: u64) -> LogEntry {
    let filling = "x".repeat(ENTRY_BYTES);
    let json = format!(r#"{{"seq":{seq},"kind":1,"time":{seq},"filling":"{filling}"}}"#);
    LogEntry::read(json).unwrap()
}

/// What a device may rely on.
#[derive(Debug, Default)]
struct Promised {
    /// Everything up to here is on the disk.
    cursor: u64,
    /// The transactions end at these entries.
    ends: Vec<u64>,
    /// These keys are in the outbox.
    keys: Vec<String>,
}

fn append(store: &mut Store, promised: &mut Promised, count: u64) {
    let cursor = store.position().cursor.0;
    let entries: Vec<_> = (cursor + 1..=cursor + count).map(entry).collect();
    store.append(Seq(cursor + count), &entries).unwrap();
    promised.ends.push(cursor + count);
}

fn work(store: &mut Store, promised: &mut Promised, dice: &mut Dice) {
    for _ in 0..dice.up_to(STEPS) {
        match dice.up_to(9) {
            0 => {
                store.secure().unwrap();
                promised.cursor = store.position().cursor.0;
            }
            1 => {
                let key = format!("key-{}", promised.keys.len());
                let message = Message::text("bob", &key).key(&key).into_outgoing();
                store.enqueue(&message, 1).unwrap();
                promised.keys.push(key);
                // What was written before a message is on the disk with it.
                promised.cursor = store.position().cursor.0;
            }
            _ => append(store, promised, 1 + dice.up_to(BATCH - 1)),
        }
    }
    // Something that no cut need spare.
    append(store, promised, 1);
    append(store, promised, 1);
}

/// What the store has, after checking that it is a log.
fn whole(store: &Store) -> u64 {
    let cursor = store.position().cursor.0;
    let mut next = 1;
    loop {
        let entries = store.entries(Seq(next - 1), u32::MAX).unwrap();
        if entries.is_empty() {
            break;
        }
        for found in entries {
            assert_eq!(found, entry(next));
            next += 1;
        }
    }
    assert_eq!(next, cursor + 1, "entries and cursor are one");
    cursor
}

#[test]
fn a_device_keeps_what_it_has_secured_when_the_power_fails() {
    let mut dice = dice();
    let sandbox = sandbox();
    let path = place(&sandbox);
    let mut store = open(&path);
    store.begin(Epoch([1; 16]), Seq(0)).unwrap();
    store.secure().unwrap();
    let mut promised = Promised::default();
    let mut taken = 0;
    for round in 0..rounds("WAYBILL_POWER_CUTS", QUICK) {
        promised.ends = vec![store.position().cursor.0];
        work(&mut store, &mut promised, &mut dice);
        let reached = store.position().cursor.0;
        sandbox.fs.power_off();
        drop(store);
        let survivors = match round % 3 {
            0 => Survivors::Nothing,
            1 => Survivors::Prefix { seed: dice.seed() },
            _ => Survivors::Scatter { seed: dice.seed() },
        };
        sandbox.fs.power_on(survivors).unwrap();
        store = open(&path);
        let cursor = whole(&store);
        assert!(cursor >= promised.cursor, "{cursor} of {promised:?}");
        assert!(promised.ends.contains(&cursor), "{cursor} of {promised:?}");
        let outbox = store.outbox().unwrap();
        let keys: Vec<_> = outbox.into_iter().map(|waiting| waiting.key).collect();
        assert_eq!(keys, promised.keys);
        taken += reached - cursor;
        promised.cursor = cursor;
        println!("cut {round}: {cursor} of {reached}, {survivors:?}");
    }
    assert!(
        taken > 0,
        "no cut has taken anything: then nothing was tested"
    );
}

#[test]
fn a_disk_that_lies_is_found_out() {
    let sandbox = sandbox();
    let path = place(&sandbox);
    let mut store = open(&path);
    store.begin(Epoch([1; 16]), Seq(0)).unwrap();
    store.append(Seq(1), &[entry(1)]).unwrap();
    store.secure().unwrap();
    sandbox.fs.set_lying_syncs(true);
    store.append(Seq(2), &[entry(2)]).unwrap();
    store.secure().unwrap();
    sandbox.fs.power_off();
    drop(store);
    sandbox.fs.set_lying_syncs(false);
    sandbox.fs.power_on(Survivors::Nothing).unwrap();
    assert_eq!(
        whole(&open(&path)),
        1,
        "what was said to be secured is gone"
    );
}
