//! The contract of the stores (`store.rs`): the same tests over the in-memory twin and over RocksDB, and random use of both side
//! by side. What only a disk can show (reopening, kills, copies) follows for RocksDB alone.

#[path = "../common/mod.rs"]
mod common;

use std::path::Path;

use common::image::Image;
use common::rows::rows;
use common::small;
use waybill_core::state::Family;
use waybill_log::rocks::{Access, Memory, RocksLedger, RocksViews};
use waybill_log::store::{Bodies, Durability, Ledger, Views};

use ledger::{nine, record, walked};
use views::{row, write};

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

mod ledger;
mod views;

fn rocks_ledger(path: &Path) -> RocksLedger {
    let memory = Memory::new(&small()).expect("has an environment");
    RocksLedger::open(path, &memory, Access::Write).expect("opens")
}

fn rocks_views(path: &Path) -> RocksViews {
    let memory = Memory::new(&small()).expect("has an environment");
    RocksViews::open(path, &memory, Access::Write).expect("opens")
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
