//! Directories as they are found: in use, killed, copied, behind, large, none.

mod support;

use std::path::Path;

use support::world::{Open, World, notify};
use support::{Copy, clean, closed, copy, names, verify};
use waybill_core::command::Ask;
use waybill_core::id::Position;
use waybill_core::state::{FAMILIES, Writing};
use waybill_replay::progress::Silent;
use waybill_replay::verify::{self as replay, Class, Error, Options, Report, Verdict};

#[test]
fn a_directory_in_use_is_refused_and_its_snapshot_is_clean() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = Open::new(dir.path());
    for n in 0..20 {
        open.sent(notify("oa", "ann", n));
    }
    let error = replay::run(&Options::new(dir.path()), &mut Silent).expect_err("is in use");
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(error.to_string().contains("POST /snapshot"), "{error}");
    assert_eq!(error.exit_code(), 2);

    let snapshot = dir.path().join("snapshot");
    open.log()
        .control()
        .snapshot(snapshot.clone())
        .expect("a snapshot");
    open.sent(notify("oa", "ann", 100));
    clean(&verify(&snapshot, false));
    open.close();
    let report = verify(dir.path(), false);
    clean(&report);
    assert_eq!(
        report.ledger.records,
        verify(&snapshot, false).ledger.records + 1
    );
}

#[test]
fn many_may_verify_at_a_time_and_a_server_may_not_start() {
    let copied = Copy::new();
    let reading = waybill_log::directory::Directory::open_to_read(&copied.path()).expect("opens");
    clean(&copied.verify());
    let opened = waybill_log::Log::open(
        &copied.path(),
        waybill_log::Options::default(),
        &mut |_, _| {},
    );
    assert!(opened.is_err());
    drop(reading);
    Open::new(&copied.path()).close();
}

#[test]
fn verify_changes_nothing_on_disk() {
    let copied = Copy::new();
    let before = contents(&copied.path());
    clean(&copied.verify());
    clean(&copied.scan());
    assert_eq!(contents(&copied.path()), before);
}

/// Every file below a directory, with its bytes.
fn contents(path: &Path) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(path).expect("reads") {
        let path = entry.expect("reads").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = std::fs::read(&path).expect("reads");
            found.insert(path, bytes);
        }
    }
    found
}

#[test]
fn what_is_no_data_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing");
    for path in [dir.path(), &missing] {
        let error = replay::run(&Options::new(path), &mut Silent).expect_err("is none");
        assert_eq!(error.exit_code(), 2, "{error}");
    }
    assert!(!missing.exists(), "a path that was mistyped is left alone");
    std::fs::write(dir.path().join("format"), "waybill ledger format 99\n").expect("writes");
    let error = replay::run(&Options::new(dir.path()), &mut Silent).expect_err("is newer");
    assert!(error.to_string().contains("99"), "{error}");
    // The ledger is gone.
    let copied = Copy::new();
    std::fs::remove_dir_all(copied.path().join("ledger")).expect("removes");
    names(&copied.verify(), Class::LedgerUnreadable, "ledger");
    // The views are gone: the server makes them anew.
    let copied = Copy::new();
    std::fs::remove_dir_all(copied.path().join("views")).expect("removes");
    let report = copied.verify();
    assert_eq!(report.verdict, Verdict::Incomplete);
    assert_eq!(report.exit_code(), 2);
}

/// As a kill leaves it: the ledger to its end, the views as of the last flush.
#[test]
fn a_copy_of_an_open_directory_is_clean() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = Open::new(dir.path());
    let check = |open: &Open| -> Report {
        let copied = Copy::of(dir.path());
        let report = copied.verify();
        clean(&report);
        assert_eq!(report.ledger.records, open.last());
        report
    };
    // Nothing was ever flushed.
    for n in 0..50 {
        open.sent(notify("oa", "ann", n));
    }
    let views = check(&open).views.expect("views");
    assert_eq!((views.applied, views.behind), (0, open.last()));
    open.log().control().flush().expect("flushes");
    let flushed = open.last();
    for n in 50..90 {
        open.sent(notify("oa", "ann", n));
    }
    open.done(Ask::Erase {
        position: Position(open.seen("ann")),
    });
    let views = check(&open).views.expect("views");
    assert_eq!(views.applied, flushed);
    assert_eq!(views.behind, open.last() - flushed);
    open.close();
}

/// Rows of appended families may have reached the disk before the mark did.
#[test]
fn appended_rows_may_run_ahead_of_the_mark() {
    let dir = tempfile::tempdir().expect("a directory");
    let (early, late) = (dir.path().join("early"), dir.path().join("late"));
    World::fill_some(&late, 0..60);
    std::fs::create_dir(&early).expect("creates");
    copy(&late, &early);
    World::fill_some(&late, 60..140);
    // The views of the early one with the appended rows of the late one, over the ledger of the late one.
    let mut rows = Vec::new();
    let late_copy = Copy::of(&late).views(|views| {
        for info in FAMILIES
            .iter()
            .filter(|info| info.writing == Writing::Appended)
        {
            let all = views.all(info.name).into_iter();
            rows.extend(all.map(|(key, value)| (info.name, key, value)));
        }
    });
    drop(late_copy);
    let mixed = Copy::of(&late);
    std::fs::remove_dir_all(mixed.path().join("views")).expect("removes");
    std::fs::create_dir(mixed.path().join("views")).expect("creates");
    copy(&early.join("views"), &mixed.path().join("views"));
    let mut ahead = 0;
    let mixed = mixed.views(|views| {
        for (family, key, value) in &rows {
            if views.get(family, key).is_none() {
                views.put(family, key, value);
                ahead += 1;
            }
        }
    });
    assert!(ahead > 200, "{ahead}");
    let report = mixed.verify();
    clean(&report);
    assert!(report.views.expect("views").behind > 80);
    // A server goes on from there, and then everything is compared.
    Open::new(&mixed.path()).close();
    let report = mixed.verify();
    clean(&report);
    assert_eq!(report.views.expect("views").behind, 0);
    // But a row of a record that does not exist is none that runs ahead.
    let (_, key, value) = rows
        .iter()
        .find(|(family, _, _)| *family == "dedup")
        .expect("a row");
    let mut key = key.clone();
    key[0] ^= 0x55;
    let mut beyond = value.clone();
    beyond.splice(.., [251, 0xff, 0x7f]);
    let mixed = mixed.views(|views| views.put("dedup", &key, &beyond));
    let place = format!(
        "views, dedup, key hash {}",
        key.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
    names(&mixed.verify(), Class::RowUnexpected, &place);
}

/// The same answers when the fold goes through a database and the leaf hashes through a file, and from any number of threads.
#[test]
fn the_way_of_looking_makes_no_difference() {
    let spoiled = Copy::new()
        .ledger(|rows| {
            rows.remove("bodies", &support::at(closed().notices[3].position.0));
        })
        .views(|rows| {
            rows.remove(
                "user_log",
                &[&support::at(closed().ann.0)[..], &support::at(9)].concat(),
            );
        });
    let look = |path: &Path, threads: usize, on_disk: bool| {
        let options = Options {
            threads,
            ..Options::new(path)
        };
        let limits = if on_disk {
            replay::Limits {
                leaves_in_memory: 0,
                fold_in_memory: 0,
                fold_cache_bytes: 0,
                database_mib: 0,
            }
        } else {
            replay::Limits::of(&options)
        };
        let mut report = replay::run_within(&options, limits, &mut Silent).expect("looks");
        report.phases.clear();
        report
    };
    for path in [closed().path(), &spoiled.path()] {
        let expected = look(path, 1, false);
        for threads in [1, 2, 5] {
            for on_disk in [false, true] {
                assert_eq!(look(path, threads, on_disk), expected);
            }
        }
    }
}

/// The files of a database with this ending, oldest first.
fn files(path: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(path)
        .expect("reads")
        .map(|entry| entry.expect("reads").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .filter(|path| std::fs::metadata(path).expect("is there").len() > 0)
        .collect();
    files.sort();
    files
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("reads");
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).expect("writes");
}

/// Damage of the files themselves, which RocksDB's checksums or the look at its log show.
#[test]
fn damaged_files_are_findings_and_a_torn_batch_is_none() {
    let log = |copied: &Copy| files(&copied.path().join("ledger"), "log").remove(0);
    let copied = Copy::new();
    let len = std::fs::metadata(log(&copied)).expect("is there").len() as usize;
    flip(&log(&copied), len / 2);
    for report in [copied.verify(), copied.scan()] {
        names(&report, Class::LedgerUnreadable, "ledger");
    }

    let copied = Copy::new();
    let bytes = std::fs::read(log(&copied)).expect("reads");
    std::fs::write(log(&copied), &bytes[..bytes.len() - 5]).expect("writes");
    let error = replay::run(&Options::new(copied.path()), &mut Silent).expect_err("is torn");
    assert!(matches!(error, Error::Torn { .. }), "{error}");
    assert_eq!(error.exit_code(), 2);

    // Tables: of the ledger, once it has some, and of the views.
    let table = |copied: &Copy, store: &str| {
        let tables = files(&copied.path().join(store), "sst").into_iter();
        let size = |path: &std::path::PathBuf| std::fs::metadata(path).expect("is there").len();
        tables.max_by_key(size).expect("a table")
    };
    let flushed = Copy::new().ledger(support::Rows::flush);
    clean(&flushed.verify());
    flip(&table(&flushed, "ledger"), 100);
    let report = flushed.verify();
    assert_eq!(report.exit_code(), 1, "{report}");
    let unreadable = |class| report.findings.iter().any(|found| found.class == class);
    assert!(unreadable(Class::LedgerUnreadable), "{report}");
    let copied = Copy::new();
    flip(&table(&copied, "views"), 100);
    let report = copied.verify();
    assert_eq!(report.exit_code(), 1, "{report}");
    let unreadable = |class| report.findings.iter().any(|found| found.class == class);
    assert!(unreadable(Class::ViewsUnreadable), "{report}");
}

/// However much is wrong, the report stays short and counts all.
#[test]
fn a_report_is_bounded() {
    let mut keyed = 0;
    let copied = Copy::new().views(|rows| {
        for (key, _) in rows.all("dedup") {
            keyed += 1;
            rows.remove("dedup", &key);
        }
    });
    let options = Options {
        findings_per_class: 3,
        ..Options::new(copied.path())
    };
    let report = replay::run(&options, &mut Silent).expect("looks");
    assert_eq!(report.findings.len(), 3, "{report}");
    assert!(report.findings.is_sorted());
    let more = report.more[&Class::RowMissing];
    assert_eq!(more + 3, keyed);
    let json = serde_json::to_string(&report).expect("JSON");
    let back: Report = serde_json::from_str(&json).expect("a report");
    assert_eq!(back.findings, report.findings);
    assert_eq!(back.more, report.more);
}
