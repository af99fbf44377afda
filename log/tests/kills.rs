//! The stores over RocksDB when the process is killed, with a real SIGKILL at any moment: the ledger keeps every batch whose
//! append has returned, and no part of one; the views are as of one moment between two writes, no older than the last flush.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use common::image::quick_dir;
use common::rows::records;
use common::small;
use waybill_core::id::{Epoch, Hash, Position, UserNo};
use waybill_core::rules::NewRecord;
use waybill_core::state::{Effect, Family, RowKey};
use waybill_log::rocks::{Access, Memory, RocksLedger, RocksViews};
use waybill_log::store::{Applied, Durability, Ledger, Mark, Views};

/// Tells the child which directory it has.
const DIRECTORY: &str = "WAYBILL_TEST_CHILD_DIRECTORY";

fn memory() -> Memory {
    Memory::new(&small()).expect("has an environment")
}

/// Runs one of the children below on `path` until it has said `lines` lines, kills it, and gives the last line.
fn run_and_kill(child: &str, path: &Path, lines: usize) -> u64 {
    let mut process = Command::new(std::env::current_exe().expect("has a name"))
        .args([
            "--exact",
            child,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let said = BufReader::new(process.stdout.take().expect("has one"));
    let mut last = 0;
    let numbers = said
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("done ")?.parse().ok());
    for number in numbers.take(lines) {
        last = number;
    }
    process.kill().expect("is killed");
    process.wait().expect("ends");
    last
}

fn say(number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "done {number}").expect("is heard");
    out.flush().expect("is heard");
}

fn child_directory() -> Option<std::path::PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

/// The n-th batch of a ledger: some records, of which some erase the body of one before.
fn batch(n: u64, next: u64) -> (Vec<NewRecord>, Vec<Position>) {
    let records = (0..=n % 7).map(|step| NewRecord {
        position: Position(next + step),
        bytes: vec![n as u8; 20 + (n * 31 % 3000) as usize],
        body: Some(vec![step as u8; 10 + (n * 17 % 5000) as usize]),
    });
    let erased = if n.is_multiple_of(3) {
        vec![Position(next / 2)]
    } else {
        Vec::new()
    };
    (records.collect(), erased)
}

#[test]
#[ignore = "a child of another test"]
fn appends_until_it_is_killed() {
    let Some(path) = child_directory() else {
        return;
    };
    let ledger = RocksLedger::open(&path, &memory(), Access::Write).expect("opens");
    let (mut n, mut next) = (0, 1);
    // Goes on where the one before was killed.
    let last = ledger
        .last()
        .expect("reads")
        .map_or(0, |(position, _)| position.0);
    while next <= last {
        next += batch(n, next).0.len() as u64;
        n += 1;
    }
    loop {
        let (records, erased) = batch(n, next);
        ledger
            .append(&records, &erased, Durability::Sync)
            .expect("appends");
        next += records.len() as u64;
        n += 1;
        say(next - 1);
    }
}

#[test]
fn a_ledger_keeps_what_was_appended() {
    let dir = quick_dir();
    let mut least = 0;
    for lines in [1, 40, 3, 90, 17, 250] {
        least = run_and_kill("appends_until_it_is_killed", dir.path(), lines).max(least);
        let ledger = RocksLedger::open(dir.path(), &memory(), Access::Write).expect("opens");
        let found = records(&ledger);
        assert!(found.len() as u64 >= least, "{} of {least}", found.len());
        // Whole batches, and nothing else.
        let (mut expected, mut n) = (Vec::new(), 0);
        while expected.len() < found.len() {
            let (records, erased) = batch(n, expected.len() as u64 + 1);
            expected.extend(
                records
                    .into_iter()
                    .map(|record| (record.bytes, record.body)),
            );
            for position in erased {
                if let Some(at) = position.0.checked_sub(1) {
                    expected[at as usize].1 = None;
                }
            }
            n += 1;
        }
        assert!(found == expected, "after {lines} batches");
        least = found.len() as u64;
    }
}

const FAMILIES: [Family; 3] = [Family::UserLog, Family::UserHeads, Family::Users];
const KEYS: u64 = 500;
/// Writes from one flush to the next: more than the buffers hold.
const FLUSH: u64 = 2500;

/// The value that the n-th write gives its row in each family: noise, so that buffers fill up.
fn value(n: u64) -> Vec<u8> {
    let mut state = n + 1;
    let noise = std::iter::from_fn(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some((state >> 56) as u8)
    });
    let mut value = n.to_be_bytes().to_vec();
    value.extend(noise.take(3000));
    value
}

#[test]
#[ignore = "a child of another test"]
fn writes_until_it_is_killed() {
    let Some(path) = child_directory() else {
        return;
    };
    let views = RocksViews::open(&path, &memory(), Access::Write).expect("opens");
    let first = views.mark().expect("reads").and_then(|mark| mark.applied);
    for n in first.map_or(0, |applied| applied.position.0 + 1).. {
        let effects = FAMILIES.map(|family| Effect::Put(family, UserNo(n % KEYS).key(), value(n)));
        let mark = Mark {
            version: 1,
            applied: Some(Applied {
                epoch: Epoch([1; 16]),
                position: Position(n),
                leaf: Hash::ZERO,
            }),
            whole: n % 2 == 0,
        };
        views.write(&effects, Some(&mark)).expect("writes");
        if n % FLUSH == FLUSH - 1 {
            views.flush().expect("flushes");
        }
        if n % 100 == 99 {
            // How many writes are surely flushed.
            say((n + 1) / FLUSH * FLUSH);
        }
    }
}

#[test]
fn views_are_as_of_one_moment() {
    let dir = quick_dir();
    let (mut kills, mut further) = (0, 0);
    // At least five kills, and until one has found what this is about.
    for lines in [3, 40, 12, 33, 20].into_iter().cycle().take(50) {
        let said = run_and_kill("writes_until_it_is_killed", dir.path(), lines);
        let views = RocksViews::open(dir.path(), &memory(), Access::Write).expect("opens");
        let mark = views.mark().expect("reads");
        let Some(applied) = mark.and_then(|mark| mark.applied) else {
            assert_eq!(said, 0, "flushed, and nothing is there");
            continue;
        };
        let last = applied.position.0;
        assert!(
            last + 1 >= said,
            "{said} writes were flushed, {last} is the last found"
        );
        kills += 1;
        further += u64::from((last + 1) % FLUSH != 0);
        for key in 0..KEYS.min(last + 1) {
            let n = last - (last - key) % KEYS;
            for family in FAMILIES {
                let found = views.get(family, &UserNo(key).key()).expect("reads");
                assert!(found == Some(value(n)), "{family:?} {key} at {last}");
            }
        }
        if kills >= 5 && further > 0 {
            break;
        }
    }
    // Buffers that fill up are written between two flushes, too.
    assert!(
        further > 0,
        "no kill found views further than their last flush"
    );
}
