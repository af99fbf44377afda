//! Directories and configurations that cannot be served: refused with an exit code and a text that says what to do.

use std::fs;
use std::net::TcpListener;

use waybill_tests::harness::{Exited, Server, Starting, run, waybill};

use crate::target::Target;

/// The exit code of a start that a data directory does not allow.
const DIRECTORY: Option<i32> = Some(4);
/// Exit code of `replay verify` when it cannot tell.
const CANNOT_VERIFY: Option<i32> = Some(2);

/// The exit code of a start that the command line or the configuration does not allow.
const USAGE: Option<i32> = Some(2);

fn refused(starting: Starting) -> Exited {
    match starting.ready() {
        Err(exited) => exited,
        Ok(_) => panic!("it serves"),
    }
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let mut target = Target::new();
    target.is_undisturbed();
    let exited = refused(Starting::spawn(target.server.data(), ""));
    assert_eq!(exited.code, DIRECTORY, "{}", exited.stderr);
    assert!(
        exited.stderr.contains("is in use by another process"),
        "{}",
        exited.stderr
    );
    // Nor does anything else read it meanwhile.
    let ran = run(waybill()
        .args(["replay", "verify", "--data"])
        .arg(target.server.data()));
    assert_eq!(ran.code, CANNOT_VERIFY, "{ran:?}");
    assert!(ran.stderr.contains("in use"), "{ran:?}");
    target.is_undisturbed();
}

#[test]
fn a_directory_of_a_newer_format_is_refused_by_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    Server::start(&data).stop();
    let format = data.join("format");
    let known = fs::read_to_string(&format).unwrap();
    fs::write(&format, "waybill ledger format 7\n").unwrap();
    let exited = refused(Starting::spawn(&data, ""));
    assert_eq!(exited.code, DIRECTORY, "{}", exited.stderr);
    assert!(exited.stderr.contains("format 7"), "{}", exited.stderr);
    let ran = run(waybill().args(["replay", "verify", "--data"]).arg(&data));
    assert_eq!(ran.code, CANNOT_VERIFY, "{ran:?}");
    assert!(ran.stderr.contains("format 7"), "{ran:?}");
    // Nothing was touched.
    fs::write(&format, known).unwrap();
    Server::start(&data).stop();
}

#[test]
fn a_directory_that_is_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("format"),
        "some other program's file\n",
    )
    .unwrap();
    let exited = refused(Starting::spawn(directory.path(), ""));
    assert_eq!(exited.code, DIRECTORY, "{}", exited.stderr);
    assert!(
        exited.stderr.contains("holds no Waybill ledger"),
        "{}",
        exited.stderr
    );
}

#[test]
fn a_ledger_without_its_keys_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    Server::start(&data).stop();
    let key = data.join("secrets").join("id.key");
    let kept = directory.path().join("id.key");
    fs::rename(&key, &kept).unwrap();
    let exited = refused(Starting::spawn(&data, ""));
    assert!(exited.code.is_some_and(|code| code != 0), "{exited:?}");
    assert!(exited.stderr.contains("id.key"), "{}", exited.stderr);
    fs::rename(&kept, &key).unwrap();
    Server::start(&data).stop();
}

#[test]
fn wrong_configurations_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    for (config, words) in [
        ("[limits]\nbody_secconds = 1\n", "body_secconds"),
        ("[limits]\nbody_seconds = 0\n", "body_seconds"),
        ("recovery = 5\n", "recovery"),
        ("not toml", "TOML"),
    ] {
        let exited = refused(Starting::spawn(&directory.path().join("data"), config));
        assert_eq!(exited.code, USAGE, "{config}: {}", exited.stderr);
        assert!(exited.stderr.contains(words), "{config}: {}", exited.stderr);
    }
    assert!(!directory.path().join("data").exists(), "nothing was begun");
    for arguments in [
        &["serve", "--nonsense"][..],
        &["nonsense"],
        &["serve", "--http", "here"],
    ] {
        let ran = run(waybill().args(arguments));
        assert_eq!(ran.code, USAGE, "{ran:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let mut serve = waybill();
    serve.args([
        "serve",
        "--http",
        &address,
        "--quic",
        "127.0.0.1:0",
        "--ws",
        "127.0.0.1:0",
        "--ops",
        "127.0.0.1:0",
    ]);
    let ran = run(serve.arg("--data").arg(directory.path().join("data")));
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    assert!(ran.stderr.contains(&address), "{ran:?}");
}
