//! The fault layer itself, before anything is concluded from it: what it forgets and what it keeps.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use tempfile::TempDir;
use waybill_tests::faultfs::{FaultFs, Options, Sandbox, Survivors};

fn sandbox() -> Sandbox {
    Sandbox::new(&Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// A file with these bytes, durable with its name.
fn durable(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> PathBuf {
    let path = sandbox.path(name);
    write_synced(&path, bytes);
    sync(path.parent().unwrap());
    path
}

fn durable_directory(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox.path(name);
    fs::create_dir(&path).unwrap();
    sync(path.parent().unwrap());
    path
}

fn cut(sandbox: &Sandbox) {
    sandbox.fs.power_cut(Survivors::Nothing).unwrap();
}

fn write_synced(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_data().unwrap();
}

/// Syncs a file or a directory.
fn sync(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn code(error: &io::Error) -> Option<rustix::io::Errno> {
    error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error)
}

#[test]
fn what_was_synced_stays_and_what_was_not_is_gone() {
    let sandbox = sandbox();
    let path = durable(&sandbox, "a", b"synced,");
    append(&path, b"not synced");
    assert_eq!(text(&path), "synced,not synced", "seen before the cut");
    let report = sandbox.fs.power_cut(Survivors::Nothing).unwrap();
    assert_eq!(text(&path), "synced,");
    assert_eq!((report.files_changed, report.bytes_lost), (1, 10));
    append(&path, b"again");
    sync(&path);
    cut(&sandbox);
    assert_eq!(text(&path), "synced,again");
}

#[test]
fn overwritten_and_truncated_bytes_come_back() {
    let sandbox = sandbox();
    let old: Vec<u8> = (0..300_000u32).map(|number| (number % 249) as u8).collect();
    let path = durable(&sandbox, "a", &old);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 70_000], 5_000).unwrap();
    file.set_len(4_321).unwrap();
    file.set_len(900_000).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 900_000);
    cut(&sandbox);
    assert_eq!(fs::read(&path).unwrap(), old);
    File::create(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().len(),
        0,
        "cut off by opening it"
    );
    cut(&sandbox);
    assert_eq!(fs::read(&path).unwrap(), old);
}

#[test]
fn a_write_with_o_dsync_or_o_sync_is_durable() {
    let sandbox = sandbox();
    for (name, flag) in [("data", OFlags::DSYNC), ("all", OFlags::SYNC)] {
        let path = durable(&sandbox, name, b"");
        let mut file = OpenOptions::new()
            .append(true)
            .custom_flags(flag.bits() as i32)
            .open(&path)
            .unwrap();
        file.write_all(b"durable").unwrap();
        cut(&sandbox);
        assert_eq!(text(&path), "durable");
    }
}

#[test]
fn a_new_name_needs_a_sync_of_its_directory() {
    let sandbox = sandbox();
    write_synced(&sandbox.path("file"), b"synced, but its name is not");
    fs::create_dir(sandbox.path("directory")).unwrap();
    write_synced(&sandbox.path("directory/inner"), b"x");
    sync(&sandbox.path("directory"));
    std::os::unix::fs::symlink("file", sandbox.path("symlink")).unwrap();
    assert_eq!(
        text(&sandbox.path("symlink")),
        "synced, but its name is not"
    );
    cut(&sandbox);
    assert_eq!(names(&sandbox.path("")), [""; 0]);
    assert_eq!(names(&sandbox.backing()), [".faultfs-graveyard"]);
}

#[test]
fn a_synced_name_of_a_file_that_was_not_synced_is_an_empty_file() {
    let sandbox = sandbox();
    fs::write(sandbox.path("a"), b"bytes that were never synced").unwrap();
    sync(&sandbox.path(""));
    cut(&sandbox);
    assert_eq!(text(&sandbox.path("a")), "");
}

#[test]
fn a_removed_name_comes_back_with_what_was_synced() {
    let sandbox = sandbox();
    let path = durable(&sandbox, "a", b"old");
    append(&path, b" and not synced");
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"another file of that name").unwrap();
    fs::remove_file(&path).unwrap();
    assert!(!path.exists());
    cut(&sandbox);
    assert_eq!(text(&path), "old");
    fs::remove_file(&path).unwrap();
    sync(&sandbox.path(""));
    cut(&sandbox);
    assert!(!path.exists());
}

#[test]
fn a_rename_over_a_file_is_undone_unless_the_directory_is_synced() {
    let sandbox = sandbox();
    let current = durable(&sandbox, "CURRENT", b"MANIFEST-1");
    let temporary = sandbox.path("temporary");
    write_synced(&temporary, b"MANIFEST-2");
    fs::rename(&temporary, &current).unwrap();
    assert_eq!(text(&current), "MANIFEST-2");
    cut(&sandbox);
    assert_eq!(text(&current), "MANIFEST-1");
    assert!(!temporary.exists());
    write_synced(&temporary, b"MANIFEST-2");
    fs::rename(&temporary, &current).unwrap();
    sync(&sandbox.path(""));
    cut(&sandbox);
    assert_eq!(text(&current), "MANIFEST-2");
}

#[test]
fn hard_links_share_bytes_and_are_names_like_others() {
    let sandbox = sandbox();
    let first = durable(&sandbox, "first", b"x");
    let second = sandbox.path("second");
    fs::hard_link(&first, &second).unwrap();
    assert_eq!(fs::metadata(&first).unwrap().nlink(), 2);
    append(&second, b"y");
    assert_eq!(text(&first), "xy");
    sync(&first);
    cut(&sandbox);
    assert!(!second.exists());
    assert_eq!(text(&first), "xy");
    fs::hard_link(&first, &second).unwrap();
    sync(&sandbox.path(""));
    fs::remove_file(&first).unwrap();
    assert_eq!(
        fs::metadata(&second).unwrap().nlink(),
        1,
        "what keeps the removed name is not counted"
    );
    cut(&sandbox);
    assert_eq!((text(&first), text(&second)), ("xy".into(), "xy".into()));
}

#[test]
fn a_removed_directory_comes_back_with_its_names() {
    let sandbox = sandbox();
    let directory = durable_directory(&sandbox, "d");
    let file = durable(&sandbox, "d/f", b"x");
    assert_eq!(
        code(&fs::remove_dir(&directory).unwrap_err()),
        Some(rustix::io::Errno::NOTEMPTY)
    );
    fs::remove_file(&file).unwrap();
    fs::remove_dir(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("other"), b"y").unwrap();
    cut(&sandbox);
    assert_eq!(names(&directory), ["f"]);
    assert_eq!(text(&file), "x");
    fs::remove_file(&file).unwrap();
    fs::remove_dir(&directory).unwrap();
    sync(&sandbox.path(""));
    cut(&sandbox);
    assert!(!directory.exists());
}

#[test]
fn a_directory_is_renamed_back_with_what_it_holds() {
    let sandbox = sandbox();
    let (old, new) = (
        durable_directory(&sandbox, "checkpoint.tmp"),
        sandbox.path("checkpoint"),
    );
    durable(&sandbox, "checkpoint.tmp/f", b"x");
    fs::rename(&old, &new).unwrap();
    durable(&sandbox, "checkpoint/g", b"y");
    cut(&sandbox);
    assert!(!new.exists());
    assert_eq!(names(&old), ["f", "g"]);
    fs::rename(&old, &new).unwrap();
    sync(&sandbox.path(""));
    cut(&sandbox);
    assert_eq!(names(&sandbox.path("")), ["checkpoint"]);
    assert_eq!(text(&sandbox.path("checkpoint/g")), "y");
}

#[test]
fn a_rename_between_directories_happens_at_both_ends_or_at_none() {
    let sandbox = sandbox();
    let [left, right] = ["left", "right"].map(|name| durable_directory(&sandbox, name));
    for synced in [None, Some(&left), Some(&right)] {
        durable(&sandbox, "left/file", b"x");
        durable_directory(&sandbox, "left/dir");
        durable(&sandbox, "left/dir/inner", b"y");
        for name in ["file", "dir"] {
            fs::rename(left.join(name), right.join("between")).unwrap();
            fs::rename(right.join("between"), right.join(name)).unwrap();
        }
        synced.into_iter().for_each(|path| sync(path));
        cut(&sandbox);
        let (with, without) = if synced.is_some() {
            (&right, &left)
        } else {
            (&left, &right)
        };
        assert_eq!(names(with), ["dir", "file"], "{synced:?} was synced");
        assert_eq!(names(without), [""; 0], "{synced:?} was synced");
        assert_eq!(
            (text(&with.join("file")), text(&with.join("dir/inner"))),
            ("x".into(), "y".into())
        );
        for path in [with.join("file"), with.join("dir/inner")] {
            fs::remove_file(path).unwrap();
        }
        fs::remove_dir(with.join("dir")).unwrap();
        [&left, &right].into_iter().for_each(|path| sync(path));
    }
}

#[test]
fn a_torn_cut_keeps_whole_sectors_of_an_append() {
    let sandbox = sandbox();
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let path = durable(&sandbox, &format!("f{seed}"), &[1; 1000]);
        append(&path, &[2; 9000]);
        sandbox.fs.power_cut(Survivors::Prefix { seed }).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(&bytes[..1000], &[1; 1000]);
        assert!(bytes[1000..].iter().all(|byte| *byte == 2));
        assert!(
            bytes.len().is_multiple_of(512) || [1000, 10_000].contains(&bytes.len()),
            "{}",
            bytes.len()
        );
        lengths.insert(bytes.len());
    }
    assert!(
        lengths.len() > 3,
        "every seed tore at the same place: {lengths:?}"
    );
}

#[test]
fn a_scattered_cut_leaves_old_and_new_sectors_side_by_side() {
    let sandbox = sandbox();
    let path = durable(&sandbox, "a", &[1; 64 * 1024]);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[2; 64 * 1024], 0).unwrap();
    drop(file);
    sandbox
        .fs
        .power_cut(Survivors::Scatter { seed: 3 })
        .unwrap();
    let bytes = fs::read(&path).unwrap();
    let new = bytes
        .chunks(512)
        .filter(|sector| **sector == [2; 512])
        .count();
    let old = bytes
        .chunks(512)
        .filter(|sector| **sector == [1; 512])
        .count();
    assert_eq!(old + new, 128, "a sector is never torn");
    assert!(old > 20 && new > 20, "{old} old, {new} new");
}

#[test]
fn what_was_open_before_a_cut_is_of_no_use_after_it() {
    let sandbox = sandbox();
    let path = durable(&sandbox, "a", b"x");
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .open(&path)
        .unwrap();
    sandbox.fs.power_off();
    let io_error = Some(rustix::io::Errno::IO);
    assert_eq!(code(&file.write_all(b"y").unwrap_err()), io_error);
    assert_eq!(
        code(&File::open(&path).unwrap_err()),
        io_error,
        "everything fails without power"
    );
    sandbox.fs.power_on(Survivors::Nothing).unwrap();
    assert_eq!(code(&file.write_all(b"y").unwrap_err()), io_error);
    assert_eq!(code(&file.sync_all().unwrap_err()), io_error);
    assert_eq!(text(&path), "x");
}

#[test]
fn a_slow_sync_holds_up_nobody_and_is_worth_nothing_when_the_power_fails_during_it() {
    let sandbox = sandbox();
    let path = durable(&sandbox, "a", b"");
    append(&path, b"lost");
    sandbox.fs.set_sync_delay(Duration::from_secs(24 * 3600));
    let file = File::open(&path).unwrap();
    let before = sandbox.fs.sync_count();
    let waiting = std::thread::spawn(move || file.sync_data());
    while sandbox.fs.sync_count() == before {
        std::thread::yield_now();
    }
    for round in 0..50 {
        fs::write(sandbox.path("other"), format!("{round}")).unwrap();
        assert_eq!(text(&sandbox.path("other")), format!("{round}"));
        assert_eq!(text(&path), "lost");
    }
    assert!(!waiting.is_finished());
    cut(&sandbox);
    assert!(waiting.join().unwrap().is_err());
    assert_eq!(text(&path), "");
}

#[test]
fn a_sync_takes_as_long_as_it_is_told() {
    let sandbox = Sandbox::new(&Options {
        sync_delay: Duration::from_millis(30),
        ..Options::default()
    })
    .unwrap();
    let mut file = File::create(sandbox.path("a")).unwrap();
    let started = Instant::now();
    for _ in 0..3 {
        file.write_all(b"x").unwrap();
        file.sync_data().unwrap();
    }
    sync(&sandbox.path(""));
    assert!(started.elapsed() >= Duration::from_millis(120));
    cut(&sandbox);
    assert_eq!(text(&sandbox.path("a")), "xxx");
}

#[test]
fn a_failed_sync_gives_up_what_it_should_have_saved() {
    let sandbox = sandbox();
    let path = durable(&sandbox, "a", b"");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    sandbox.fs.fail_syncs(1, 1);
    file.write_all(&[b'a'; 4096]).unwrap();
    file.sync_data().unwrap();
    file.write_all(&[b'b'; 4096]).unwrap();
    assert_eq!(
        code(&file.sync_data().unwrap_err()),
        Some(rustix::io::Errno::IO)
    );
    file.write_all(&[b'c'; 4096]).unwrap();
    file.sync_data().unwrap();
    cut(&sandbox);
    let expected = [[b'a'; 4096], [0; 4096], [b'c'; 4096]].concat();
    assert!(
        fs::read(&path).unwrap() == expected,
        "the second sync did not save what the first lost"
    );
}

#[test]
fn a_lying_sync_makes_nothing_durable() {
    let sandbox = sandbox();
    let path = durable(&sandbox, "a", b"x");
    sandbox.fs.set_lying_syncs(true);
    append(&path, b"y");
    sync(&path);
    write_synced(&sandbox.path("b"), b"z");
    sync(&sandbox.path(""));
    cut(&sandbox);
    assert_eq!(text(&path), "x");
    assert!(!sandbox.path("b").exists());
}

#[test]
fn a_full_disk_refuses_growth_and_nothing_else() {
    let sandbox = Sandbox::new(&Options {
        space_left: Some(10_000),
        ..Options::default()
    })
    .unwrap();
    let path = sandbox.path("a");
    let mut file = File::create(&path).unwrap();
    file.write_all(&[1; 8_000]).unwrap();
    assert_eq!(
        code(&file.write_all(&[2; 8_000]).unwrap_err()),
        Some(rustix::io::Errno::NOSPC)
    );
    assert_eq!(
        fs::metadata(&path).unwrap().len(),
        10_000,
        "filled to the last byte"
    );
    file.write_all_at(&[3; 8_000], 0).unwrap();
    assert_eq!(
        code(&file.set_len(20_000).unwrap_err()),
        Some(rustix::io::Errno::NOSPC)
    );
    sandbox.fs.set_space_left(None);
    file.write_all(&[4; 8_000]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 18_000);
}

#[test]
fn a_directory_is_passed_through_and_left_as_it_was_written() {
    let directories = TempDir::new().unwrap();
    let [backing, mountpoint] = ["backing", "mount"].map(|name| directories.path().join(name));
    fs::create_dir_all(backing.join("sub")).unwrap();
    fs::create_dir(&mountpoint).unwrap();
    fs::write(backing.join("sub/old"), b"here before").unwrap();
    let fs = FaultFs::mount(&backing, &mountpoint, &Options::default()).unwrap();
    assert_eq!(text(&mountpoint.join("sub/old")), "here before");
    assert_eq!(names(&mountpoint), ["sub"]);
    fs::write(mountpoint.join("sub/new"), b"never synced").unwrap();
    fs::remove_file(mountpoint.join("sub/old")).unwrap();
    fs.unmount().unwrap();
    assert_eq!(names(&mountpoint), [""; 0]);
    assert_eq!(
        (names(&backing), names(&backing.join("sub"))),
        (vec!["sub".into()], vec!["new".into()])
    );
}

#[test]
fn a_mount_in_use_is_detached_and_its_place_is_free_again() {
    let directories = TempDir::new().unwrap();
    let [backing, mountpoint] = ["backing", "mount"].map(|name| directories.path().join(name));
    fs::create_dir(&backing).unwrap();
    fs::create_dir(&mountpoint).unwrap();
    let mount = || FaultFs::mount(&backing, &mountpoint, &Options::default()).unwrap();
    let first = mount();
    let mut file = File::create(mountpoint.join("a")).unwrap();
    assert!(first.unmount().is_err(), "somebody has a file open");
    assert_eq!(names(&mountpoint), [""; 0]);
    file.write_all(b"x").unwrap();
    drop(file);
    let second = mount();
    assert_eq!(text(&mountpoint.join("a")), "x");
    second.unmount().unwrap();
}

#[test]
fn locks_hold_between_openings() {
    let sandbox = sandbox();
    let [first, second] = [0, 1].map(|_| File::create(sandbox.path("LOCK")).unwrap());
    first.try_lock().unwrap();
    assert!(second.try_lock().is_err());
    first.unlock().unwrap();
    second.try_lock().unwrap();
}
