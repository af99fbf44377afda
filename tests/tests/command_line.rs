//! The commands of the program: what they print, how they end, and what they leave alone.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rocksdb::{ColumnFamilyDescriptor, DB, IteratorMode, Options};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use waybill_tests::harness::{Api, Http, PATIENCE, Ran, Server, report, run, verify, waybill};

/// How often it is looked whether a server has got so far.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A command of the program, on its way to a server.
fn to(server: &Server, arguments: &[&str]) -> Command {
    let mut command = waybill();
    command
        .args(arguments)
        .args(["--server", &format!("http://{}", server.http()), "--data"])
        .arg(server.data());
    command
}

/// Runs a command of the program against a server.
fn command(server: &Server, arguments: &[&str]) -> Ran {
    run(&mut to(server, arguments))
}

/// The last record that is durable, as the server's metrics tell.
fn durable(server: &Server) -> u64 {
    let metrics = Http::new(server.ops()).get("/metrics").unwrap().text();
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix("waybill_ledger_durable_position "));
    value
        .unwrap_or_else(|| panic!("{metrics}"))
        .parse()
        .unwrap()
}

#[test]
fn the_command_line_sends_and_pulls_the_same_over_http_and_quic() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let command = |arguments: &[&str]| command(&server, arguments);
    let send = ["send", "--json", "--to", "ann", "--key", "k1", "--text"];
    let first = command(&[&send[..], &["hello"]].concat())
        .well()
        .json_lines();
    let again = command(&[&send[..], &["hello"]].concat())
        .well()
        .json_lines();
    assert_eq!(first, again);
    let other = command(&[&send[..], &["another"]].concat());
    assert_eq!(other.code, Some(3), "{other:?}");
    command(&[
        "send",
        "--to",
        "ann",
        "--name",
        "公文管理",
        "--text",
        "大家好",
    ])
    .well();
    command(&[
        "send", "--to", "ann", "--sender", "bob", "--text", "from bob",
    ])
    .well();

    let quic = server.quic().to_string();
    let by_http = command(&["pull", "--json", "--user", "ann"])
        .well()
        .json_lines();
    let by_quic = command(&[
        "pull",
        "--json",
        "--user",
        "ann",
        "--quic",
        "--quic-server",
        &quic,
    ]);
    let by_quic = by_quic.well().json_lines();
    let seqs: Vec<_> = by_http
        .iter()
        .map(|entry| entry["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(by_http[0]["serverMsgID"], first[0]["serverMsgID"]);
    for field in [
        "seq",
        "time",
        "sender",
        "serverMsgID",
        "clientMsgID",
        "contentType",
        "content",
    ] {
        let of = |entries: &[Value]| -> Vec<Value> {
            entries.iter().map(|entry| entry[field].clone()).collect()
        };
        assert_eq!(of(&by_quic), of(&by_http), "{field}");
    }
    let rest = command(&["pull", "--json", "--user", "ann", "--after", "2"])
        .well()
        .json_lines();
    assert_eq!(rest, by_http[2..]);

    let token = command(&["token", "--user", "ann"]).well().stdout;
    let me = Api::new(server.http(), token.trim()).get("/v1/me");
    assert_eq!(
        (&me["user"], &me["role"], &me["head"]),
        (&json!("ann"), &json!("user"), &json!(3))
    );
}

#[test]
fn a_pull_reads_whom_it_is_told_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut admin = Api::admin(&server);
    admin.send_text("ann", "for ann");
    admin.send_text("bob", "for bob");
    let before = durable(&server);
    let (quic, token) = (server.quic().to_string(), server.admin_token());
    let over_quic = ["--quic", "--quic-server", quic.as_str()];
    let with_token = ["--token", token.as_str()];
    for transport in [&[][..], &over_quic] {
        for token in [&[][..], &with_token] {
            let pull = |user| {
                let pull = ["pull", "--json", "--user", user];
                command(&server, &[&pull[..], transport, token].concat())
            };
            for (user, text) in [("ann", "for ann"), ("bob", "for bob")] {
                let log = pull(user).well().json_lines();
                assert_eq!(log.len(), 1, "{transport:?} {token:?}");
                assert_eq!(log[0]["content"]["text"], text, "{transport:?} {token:?}");
            }
            let nobody = pull("nobody");
            assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(3), ""));
        }
    }
    assert_eq!(admin.log_if_any("nobody"), None, "nobody is known by it");
    assert_eq!(durable(&server), before, "a pull wrote something");
    admin.send_text("ann", "again");
    assert!(durable(&server) > before, "the position tells of writes");
}

/// Runs a command whose standard output nobody reads.
fn unread(mut command: Command) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer).output().unwrap()
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let quic = server.quic().to_string();
    Api::admin(&server).send_text("ann", "hello");
    let mut keys = waybill();
    keys.args(["serve", "--keys"]);
    let over_quic = ["pull", "--user", "ann", "--quic", "--quic-server", &quic];
    let mut commands = vec![
        keys,
        to(&server, &["send", "--to", "ann", "--text", "another"]),
        to(&server, &["token", "--user", "ann"]),
    ];
    for pull in [&["pull", "--user", "ann"][..], &over_quic] {
        for more in [&[][..], &["--json"], &["--follow"]] {
            commands.push(to(&server, &[pull, more].concat()));
        }
    }
    for command in commands {
        let told = format!("{command:?}");
        let ended = unread(command);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*said), (Some(0), ""), "{told}");
    }
    server.stop();

    // What verify says with its exit code does not depend on who reads the rest.
    for expected in [0, 1] {
        let mut command = waybill();
        command.args(["replay", "verify", "--data"]).arg(&data);
        let ended = unread(command);
        assert_eq!(ended.status.code(), Some(expected), "{ended:?}");
        change_a_body(&data);
    }
}

#[test]
fn a_server_serves_although_nobody_reads_its_greeting() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = waybill();
    command.args(["serve", "--data"]).arg(directory.path());
    for listener in ["--http", "--quic", "--ws", "--ops"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    command.env("WAYBILL_MEMORY_MIB", "192");
    let mut server = command.stdout(writer).spawn().unwrap();
    // Written just before the greeting, which comes before it looks whether it is to stop.
    let written = directory.path().join("secrets").join("quic.fingerprint");
    let looks = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
    let served = (0..looks).any(|_| {
        std::thread::sleep(LOOK_EVERY);
        written.exists() || server.try_wait().unwrap().is_some()
    });
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    let ended = server.wait_with_output().unwrap();
    assert!(served && written.exists(), "{ended:?}");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// Changes the last body in the ledger as somebody does who has the disk and knows RocksDB. The position of its record.
fn change_a_body(data: &Path) -> u64 {
    let families =
        ["records", "bodies"].map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
    let path = data.join("ledger");
    let ledger = DB::open_cf_descriptors(&Options::default(), path, families).unwrap();
    let bodies = ledger.cf_handle("bodies").unwrap();
    let mut from_the_end = ledger.iterator_cf(bodies, IteratorMode::End);
    let (key, mut body) = from_the_end.next().unwrap().unwrap();
    *body.last_mut().unwrap() ^= 1;
    ledger.put_cf(bodies, &key, &body).unwrap();
    u64::from_be_bytes((*key).try_into().unwrap())
}

#[test]
fn what_was_changed_behind_the_programs_back_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    command(&server, &["send", "--to", "ann", "--text", "hello"]).well();
    let last = durable(&server);
    server.stop();
    verify(&data, directory.path());
    let position = change_a_body(&data);
    assert!((1..=last).contains(&position));

    let mut text = waybill();
    text.args(["replay", "verify", "--data"]).arg(&data);
    let text = run(&mut text);
    assert_eq!(text.code, Some(1), "{text:?}");
    let line = format!("WRONG  body of record {position}: ");
    assert!(text.stdout.contains(&line), "{text:?}");

    let (code, report) = report(&data, directory.path());
    assert_eq!((code, &report["verdict"]), (Some(1), &json!("findings")));
    let findings = report["findings"].as_array().unwrap();
    let place = json!({"in": "body", "position": position});
    let named = |found: &Value| found["class"] == "body_changed" && found["place"] == place;
    assert!(findings.iter().any(named), "{report:#}");
}

/// Copies a directory that holds files alone.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The youngest write-ahead log of the ledger that holds something.
fn youngest_log(data: &Path) -> PathBuf {
    let files = fs::read_dir(data.join("ledger")).unwrap();
    let logs = files.map(|entry| entry.unwrap().path()).filter(|path| {
        path.extension().is_some_and(|ending| ending == "log") && path.metadata().unwrap().len() > 0
    });
    logs.max().unwrap()
}

#[test]
fn a_torn_batch_is_told_apart_and_the_next_start_cuts_it_off() {
    let directory = tempfile::tempdir().unwrap();
    let (data, kept) = (directory.path().join("data"), directory.path().join("kept"));
    let server = Server::start(&data);
    let mut admin = Api::admin(&server);
    admin.send_text("ann", "answered");
    server.stop();
    copy(&data.join("views"), &kept);
    let tail = fs::read(data.join("tail")).unwrap();

    // As a power cut leaves it in the middle of a batch: nothing but its beginning is there.
    let server = Server::start(&data);
    Api::admin(&server).send_text("ann", "torn");
    server.kill();
    fs::remove_dir_all(data.join("views")).unwrap();
    copy(&kept, &data.join("views"));
    fs::write(data.join("tail"), tail).unwrap();
    let log = OpenOptions::new()
        .write(true)
        .open(youngest_log(&data))
        .unwrap();
    log.set_len(log.metadata().unwrap().len() - 5).unwrap();

    let (code, torn) = report(&data, directory.path());
    assert_eq!(code, Some(2), "{torn}");
    assert_eq!(torn["verdict"], "unknown", "{torn}");
    assert_eq!(torn["reason"], "torn", "{torn}");
    let mut text = waybill();
    text.args(["replay", "verify", "--data"]).arg(&data);
    let text = run(&mut text);
    assert_eq!((text.code, text.stdout.as_str()), (Some(2), ""), "{text:?}");
    assert!(
        text.stderr.contains(torn["error"].as_str().unwrap()),
        "{text:?}"
    );

    let server = Server::start(&data);
    let log = Api::admin(&server).log("ann");
    assert_eq!(log.len(), 1);
    assert_eq!(log[0]["content"]["text"], "answered");
    server.stop();
    verify(&data, directory.path());
}
