//! RocksDB on the fault layer: what it asked to be synced outlives power cuts and kills, and only that. So a
//! test that loses something has found a fault of the program, not of the layer.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use waybill_tests::faultfs::{Options, Sandbox, Survivors};

fn sandbox() -> Sandbox {
    Sandbox::new(&Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn sync(directory: &Path) {
    File::open(directory).unwrap().sync_all().unwrap();
}

/// An empty directory whose name is durable: RocksDB does not sync the directory above its own.
fn durable_directory(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox.path(name);
    fs::create_dir(&path).unwrap();
    sync(&sandbox.path(""));
    path
}

fn synced() -> rocksdb::WriteOptions {
    let mut options = rocksdb::WriteOptions::default();
    options.set_sync(true);
    options
}

fn open_database(path: &Path) -> rocksdb::DB {
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    // Small, so that files are flushed, compacted and deleted within a test.
    options.set_write_buffer_size(64 << 10);
    options.set_wal_recovery_mode(rocksdb::DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_paranoid_checks(true);
    rocksdb::DB::open(&options, path).unwrap()
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

#[test]
fn rocksdb_keeps_what_it_synced_and_nothing_more() {
    let sandbox = sandbox();
    let path = durable_directory(&sandbox, "db");
    let database = open_database(&path);
    for number in 0..2_000 {
        let value = [number as u8; 100];
        if number % 10 == 0 {
            database.put_opt(key(number), value, &synced()).unwrap();
        } else {
            database.put(key(number), value).unwrap();
        }
    }
    for number in 2_000..2_100 {
        database.put(key(number), b"not synced").unwrap();
    }
    sandbox.fs.power_off();
    drop(database);
    sandbox.fs.power_on(Survivors::Nothing).unwrap();
    let database = open_database(&path);
    for number in 0..=1_990 {
        assert_eq!(
            database.get(key(number)).unwrap().unwrap(),
            [number as u8; 100],
            "{number}"
        );
    }
    assert_eq!(
        database.get(key(2_099)).unwrap(),
        None,
        "nobody asked for it to be durable"
    );
}

#[test]
fn a_rocksdb_checkpoint_works_by_hard_links() {
    let sandbox = sandbox();
    let database = open_database(&durable_directory(&sandbox, "db"));
    for number in 0..2_000 {
        database.put(key(number), [7; 100]).unwrap();
    }
    database.flush().unwrap();
    let copy = sandbox.path("copy");
    rocksdb::checkpoint::Checkpoint::new(&database)
        .unwrap()
        .create_checkpoint(&copy)
        .unwrap();
    sync(&sandbox.path(""));
    drop(database);
    sandbox.fs.power_cut(Survivors::Nothing).unwrap();
    for path in [sandbox.path("db"), copy] {
        let database = open_database(&path);
        assert_eq!(
            database.iterator(rocksdb::IteratorMode::Start).count(),
            2_000,
            "{path:?}"
        );
    }
}

/// Names the directory of the database, in the process that plays the victim.
const VICTIM: &str = "FAULTFS_VICTIM";

/// Not a test of its own: the process that the tests below kill. It puts keys in order, synced, and says
/// on standard output which one is durable.
#[test]
fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else {
        return;
    };
    let database = open_database(Path::new(&path));
    for number in 0.. {
        database
            .put_opt(key(number), [number as u8; 300], &synced())
            .unwrap();
        println!("durable {number}");
    }
}

struct Victim {
    process: Child,
    output: BufReader<ChildStdout>,
    /// The last key that it said was durable.
    answered: u64,
}

impl Victim {
    fn start(database: &Path) -> Victim {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim", "--nocapture"])
            .env(VICTIM, database)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Victim {
            process,
            output,
            answered: 0,
        }
    }

    /// Reads until so many answers have come.
    fn read_answers(&mut self, count: u64) {
        while self.answered < count {
            assert!(self.read_answer(), "the victim died by itself");
        }
    }

    /// Reads a line. One without an end was cut short by the kill and does not count.
    fn read_answer(&mut self) -> bool {
        let mut line = String::new();
        let whole = self.output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n');
        if let Some(number) = line.trim().strip_prefix("durable ").filter(|_| whole) {
            self.answered = number.parse().unwrap();
        }
        whole
    }

    /// Kills it, waits until it is gone, and says what it answered last.
    fn kill(mut self) -> u64 {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        while self.read_answer() {}
        self.answered
    }
}

fn assert_durable(database: &Path, answered: u64) {
    let database = open_database(database);
    for number in 0..=answered {
        let value = database.get(key(number)).unwrap();
        assert_eq!(
            value.as_deref(),
            Some(&[number as u8; 300][..]),
            "{number} of {answered}"
        );
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_synced_whatever_survives() {
    let sandbox = sandbox();
    let path = durable_directory(&sandbox, "db");
    for (round, survivors) in [
        Survivors::Nothing,
        Survivors::Prefix { seed: 1 },
        Survivors::Prefix { seed: 2 },
    ]
    .into_iter()
    .enumerate()
    {
        let mut victim = Victim::start(&path);
        victim.read_answers(200 + 100 * round as u64);
        let answered = if round == 0 {
            let answered = victim.kill();
            sandbox.fs.power_cut(survivors).unwrap();
            answered
        } else {
            sandbox.fs.power_off();
            let answered = victim.kill();
            sandbox.fs.power_on(survivors).unwrap();
            answered
        };
        assert_durable(&path, answered);
    }
}

#[test]
fn a_killed_process_loses_what_a_lying_disk_did_not_sync() {
    let sandbox = sandbox();
    let path = durable_directory(&sandbox, "db");
    drop(open_database(&path));
    sandbox.fs.power_cut(Survivors::Nothing).unwrap();
    sandbox.fs.set_lying_syncs(true);
    let mut victim = Victim::start(&path);
    victim.read_answers(100);
    let answered = victim.kill();
    sandbox.fs.power_cut(Survivors::Nothing).unwrap();
    assert_eq!(open_database(&path).get(key(answered)).unwrap(), None);
}
