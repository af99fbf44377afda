//! A data directory with a bit of everything in it, ways to change it behind the program's back, and short names for what
//! verify says.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod world;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rocksdb::{ColumnFamilyDescriptor, DB, IteratorMode, Options};
use tempfile::TempDir;
use waybill_core::state::{FAMILIES, Family, Row, RowKey};
use waybill_replay::progress::Silent;
use waybill_replay::verify::{self, Class, Report, Verdict};

use world::World;

/// A directory that was closed in order: made once, and copied for each test.
pub fn closed() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        World::fill(dir)
    })
}

/// A copy of a directory, to be spoiled.
pub struct Copy {
    dir: TempDir,
}

impl Copy {
    pub fn of(path: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        copy(path, dir.path());
        Self { dir }
    }

    /// A copy of the directory with a bit of everything.
    pub fn new() -> Self {
        Self::of(closed().path())
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Changes the ledger as somebody does who has the disk and knows RocksDB: its checksums stay right.
    pub fn ledger(self, change: impl FnOnce(&Rows)) -> Self {
        change(&Rows::open(
            &self.path().join("ledger"),
            &["records", "bodies"],
        ));
        self
    }

    /// Changes the views.
    pub fn views(self, change: impl FnOnce(&Rows)) -> Self {
        let names: Vec<&str> = FAMILIES.iter().map(|info| info.name).collect();
        change(&Rows::open(&self.path().join("views"), &names));
        self
    }

    pub fn verify(&self) -> Report {
        verify(&self.path(), false)
    }

    pub fn scan(&self) -> Report {
        verify(&self.path(), true)
    }
}

/// What verify says of a directory.
pub fn verify(path: &Path, scan_only: bool) -> Report {
    let options = verify::Options {
        scan_only,
        threads: 2,
        ..verify::Options::new(path)
    };
    verify::run(&options, &mut Silent).expect("verify can look at it")
}

pub fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("reads") {
        let entry = entry.expect("reads");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("reads").is_dir() {
            std::fs::create_dir_all(&target).expect("creates");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("copies");
        }
    }
}

/// A database, opened without the program.
pub struct Rows {
    db: DB,
}

impl Rows {
    fn open(path: &Path, families: &[&str]) -> Self {
        let families = families
            .iter()
            .map(|name| ColumnFamilyDescriptor::new(*name, Options::default()));
        let db = DB::open_cf_descriptors(&Options::default(), path, families).expect("opens");
        Self { db }
    }

    pub fn get(&self, family: &str, key: &[u8]) -> Option<Vec<u8>> {
        let handle = self.db.cf_handle(family).expect("a family");
        self.db.get_cf(handle, key).expect("reads")
    }

    pub fn put(&self, family: &str, key: &[u8], value: &[u8]) {
        let handle = self.db.cf_handle(family).expect("a family");
        self.db.put_cf(handle, key, value).expect("writes");
    }

    /// Removes a row that must be there.
    pub fn remove(&self, family: &str, key: &[u8]) {
        assert!(self.get(family, key).is_some(), "nothing to remove");
        let handle = self.db.cf_handle(family).expect("a family");
        self.db.delete_cf(handle, key).expect("writes");
    }

    /// Writes everything into tables.
    pub fn flush(&self) {
        for family in ["records", "bodies"] {
            let handle = self.db.cf_handle(family).expect("a family");
            self.db.flush_cf(handle).expect("flushes");
        }
    }

    /// All rows of a family.
    pub fn all(&self, family: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let handle = self.db.cf_handle(family).expect("a family");
        self.db
            .iterator_cf(handle, IteratorMode::Start)
            .map(|row| row.expect("reads"))
            .map(|(key, value)| (key.into_vec(), value.into_vec()))
            .collect()
    }

    /// A row of the views.
    pub fn row<R: Row>(&self, key: R::Key) -> R {
        let value = self.get(R::FAMILY.name(), key.key().as_slice());
        R::decode(&value.expect("a row")).expect("decodes")
    }

    /// Writes a row of the views.
    pub fn put_row<R: Row>(&self, key: R::Key, row: &R) {
        self.put(R::FAMILY.name(), key.key().as_slice(), &row.encode());
    }

    /// Changes a row of the views.
    pub fn change_row<R: Row>(&self, key: R::Key, change: impl FnOnce(&mut R)) {
        let mut row = self.row::<R>(key);
        change(&mut row);
        self.put_row(key, &row);
    }

    /// Removes a row of the views.
    pub fn remove_row<K: RowKey>(&self, family: Family, key: K) {
        self.remove(family.name(), key.key().as_slice());
    }
}

/// The key of a position.
pub fn at(position: u64) -> [u8; 8] {
    position.to_be_bytes()
}

/// Classes and places, as text.
pub fn found(report: &Report) -> Vec<(Class, String)> {
    let findings = report.findings.iter();
    findings
        .map(|finding| (finding.class, finding.place.to_string()))
        .collect()
}

/// The report must name this, and exit with 1.
#[track_caller]
pub fn names(report: &Report, class: Class, place: &str) {
    assert_eq!(report.exit_code(), 1, "{report}");
    let wanted = (class, place.to_owned());
    assert!(
        found(report).contains(&wanted),
        "{class:?} at {place} is not in\n{report}"
    );
}

/// The report must say that nothing is wrong, and exit with 0.
#[track_caller]
pub fn clean(report: &Report) {
    assert_eq!(report.verdict, Verdict::Clean, "{report}");
    assert_eq!(report.exit_code(), 0);
    assert_eq!(report.findings, []);
}
