//! A data directory as the first release writes it, committed: every later program must open it, show the same and fold it to the
//! same state. `WAYBILL_REGENERATE_GOLDEN=1 cargo test --test golden` writes it anew, which only an unreleased format may need.
//! RocksDB notes the name of the machine in its tables; make it `localhost` for that (`unshare --uts`).

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use common::image::{Image, quick_dir};
use common::plan::{Commands, Op};
use common::rows::{Records, assert_same, fold, records_in, rows_in, state_hash};
use common::{Harness, small};
use sha2::{Digest, Sha256};
use waybill_core::command::Command;
use waybill_core::id::{Hash, Seq, Time, UserNo};
use waybill_core::versions::{LEDGER_FORMAT, VIEWS_VERSION};
use waybill_log::clock::ManualClock;
use waybill_log::{Options, Pulled};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// One of everything, and some things twice.
fn script() -> Vec<Command> {
    let mut ops = vec![
        Op::Keyed {
            from: 0,
            to: 1,
            chat: false,
            key: 1,
            text: 1,
        },
        Op::Register { user: 1, text: 1 },
        Op::Register { user: 2, text: 2 },
        Op::Token {
            user: 1,
            token: 0,
            refuse: false,
        },
        Op::Token {
            user: 3,
            token: 1,
            refuse: false,
        },
        Op::Device { user: 2, device: 1 },
        Op::Device { user: 2, device: 2 },
        Op::Send {
            from: 1,
            to: 2,
            chat: true,
        },
        Op::Send {
            from: 2,
            to: 1,
            chat: true,
        },
        Op::Keyed {
            from: 0,
            to: 1,
            chat: false,
            key: 1,
            text: 1,
        },
        Op::Keyed {
            from: 0,
            to: 1,
            chat: false,
            key: 1,
            text: 9,
        },
        Op::Reach(vec![(2, 1, 2), (2, 2, 1)]),
        Op::Revoke { user: 2, which: 0 },
        Op::Revoke { user: 4, which: 5 },
        Op::Revoke { user: 2, which: 4 },
        Op::Policy(true),
        Op::Send {
            from: 0,
            to: 6,
            chat: false,
        },
        Op::Policy(false),
    ];
    // Beyond the first stored link of a chain.
    ops.extend((0..70).map(|_| Op::Send {
        from: 0,
        to: 5,
        chat: false,
    }));
    ops.extend([
        Op::Erase(4),
        Op::Erase(5),
        Op::Erase(7),
        Op::Erase(13),
        Op::Erase(30),
    ]);
    Commands::default().of(&ops)
}

/// Runs the script in a new directory, closed once in the middle, so that there is something in tables and in logs.
fn make(path: &Path) {
    let clock = ManualClock::default();
    let open = || {
        let options = Options {
            config: small(),
            clock: Box::new(clock.clone()),
            ..Options::default()
        };
        Harness::open_with(path, options).expect("opens")
    };
    let time = |n: usize| clock.set(Time(1_700_000_000_000 + 250 * n as u64));
    time(0);
    let mut harness = open();
    let script = script();
    for (n, command) in script.iter().enumerate() {
        time(n + 1);
        drop(harness.ask(command.clone()));
        if n == script.len() / 2 {
            harness.close();
            harness = open();
        }
    }
    harness.close();
}

/// SHA-256 over two parts for each record: its bytes, then nothing when it has no body; else three: its bytes, a byte 1, the stored
/// body. Before each part stands its length, as u32 big-endian.
fn ledger_hash(records: &Records) -> Hash {
    let mut hasher = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hasher.update((bytes.len() as u32).to_be_bytes());
        hasher.update(bytes);
    };
    for (record, body) in records {
        part(record);
        match body {
            None => part(&[]),
            Some(body) => {
                part(&[1]);
                part(body);
            }
        }
    }
    Hash(hasher.finalize().into())
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// All that a client and an auditor see of a directory, as JSON.
fn describe(path: &Path) -> String {
    let mut users = Vec::new();
    {
        let harness = Harness::open(path);
        let reader = harness.reader();
        for user in (1..=6).map(UserNo) {
            let id = reader.user_id(user).expect("reads");
            let Pulled::Page {
                span,
                entries,
                more: false,
            } = reader.pull(user, Seq(0), 1000).expect("reads")
            else {
                panic!("no page")
            };
            let mut lines = Vec::new();
            for entry in &entries {
                let content = entry
                    .message
                    .as_ref()
                    .map(|message| quoted(&message.content));
                lines.push(format!(
                    "        {{\"seq\": {}, \"position\": {}, \"conversationSeq\": {}, \"time\": {}, \"content\": {}}}",
                    entry.seq,
                    entry.record.position,
                    entry.row.conversation_seq,
                    entry.record.time.0 + u64::from(entry.row.ahead_ms),
                    content.as_deref().unwrap_or("null"),
                ));
            }
            users.push(format!(
                "    {{\"number\": {user}, \"id\": {}, \"floor\": {}, \"head\": {}, \"devices\": {}, \"entries\": [\n{}\n    ]}}",
                id.as_deref().map_or("null".to_owned(), quoted),
                span.floor,
                span.head,
                reader.devices(user).expect("reads").len(),
                lines.join(",\n"),
            ));
        }
        harness.close();
    }
    let (records, rows) = (records_in(path), rows_in(path));
    assert_same(&fold(&records), &rows, "a fresh fold");
    let mut out = String::from("{\n");
    let _ = writeln!(out, "  \"ledgerFormat\": {LEDGER_FORMAT},");
    let _ = writeln!(out, "  \"viewsVersion\": {VIEWS_VERSION},");
    let _ = writeln!(out, "  \"records\": {},", records.len());
    let _ = writeln!(out, "  \"ledgerHash\": \"{}\",", ledger_hash(&records));
    let _ = writeln!(out, "  \"stateHash\": \"{}\",", state_hash(&rows));
    let _ = write!(out, "  \"users\": [\n{}\n  ]\n}}\n", users.join(",\n"));
    out
}

fn expected() -> String {
    std::fs::read_to_string(directory().join("expected.json")).expect("is committed")
}

#[test]
fn the_first_release_s_directory_opens_and_is_what_it_was() {
    if std::env::var_os("WAYBILL_REGENERATE_GOLDEN").is_some() {
        regenerate();
    }
    let image = Image::of(&directory().join("data"));
    // As it is; with views that have to be made again; and with a ledger whose end nobody vouches for.
    for image in [
        image.clone(),
        image.clone().without("views"),
        image.without("tail"),
    ] {
        let dir = image.write_out();
        assert_eq!(describe(dir.path()), expected());
        // Opening changed nothing that counts.
        assert_eq!(describe(dir.path()), expected());
    }
}

#[test]
fn the_same_commands_still_make_the_same_ledger() {
    let dir = quick_dir();
    make(dir.path());
    assert_eq!(describe(dir.path()), expected());
}

fn regenerate() {
    let (made, golden) = (quick_dir(), directory());
    make(made.path());
    let mut image = Image::of(made.path()).lean();
    // An identity that RocksDB makes anew when it is missing, and logs without anything in them.
    image
        .files
        .retain(|path, bytes| !path.ends_with("IDENTITY") && !bytes.is_empty());
    let data = golden.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data).expect("removes");
    }
    image.write_to(&data);
    let dir = image.write_out();
    std::fs::write(golden.join("expected.json"), describe(dir.path())).expect("writes");
}
