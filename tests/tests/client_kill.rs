//! A device is killed at random moments, many times, while messages come and go and the server is restarted: its file has exactly
//! its user's log, and what it had put into its outbox stands in its receiver's log exactly once.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use waybill_client::store::Store;
use waybill_core::id::Seq;
use waybill_tests::dice::Dice;
use waybill_tests::harness::{Api, Server, clean, dice, rounds};

/// Kills in a row unless `WAYBILL_CLIENT_KILLS` says otherwise.
const QUICK: u64 = 20;

/// Longest life of a device before it is killed, in milliseconds.
const LONGEST_MS: u64 = 300;

/// Rates that are reached now and then, so that messages are put off.
const CONFIG: &str = "[limits]\nsends_per_second = 200\nreceives_per_second = 200\n";

const USER: &str = "ann";
const PEER: &str = "bob";

/// Somebody who sends to the user all the time, through restarts of the server.
struct Sender {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Sender {
    fn start(server: &Server) -> Sender {
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (address, token) = (server.http(), server.admin_token());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            let mut api = Api::new(address, token);
            let mut number = 0_u64;
            while !stopped.load(Ordering::SeqCst) {
                let body = json!({
                    "to": { "user": USER }, "contentType": 101, "clientMsgID": format!("to-ann-{number}"),
                    "content": { "text": number.to_string() },
                });
                let body = body.to_string();
                let answer = api.v1("POST", "/v1/messages", None, body.as_bytes());
                match answer {
                    Ok(answer) if answer.status == 200 => {
                        number += 1;
                        counted.store(number, Ordering::SeqCst);
                    }
                    // The server is away, and the key makes it one message.
                    _ => thread::sleep(Duration::from_millis(5)),
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        Sender { stop, sent, thread }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.sent.load(Ordering::SeqCst)
    }
}

struct Device<'a> {
    server: &'a Server,
    store: &'a Path,
    token: &'a str,
}

impl Device<'_> {
    fn command(&self, from: u64, dice: &mut Dice) -> Command {
        let mut command = clean("waybill-device");
        command.arg("--store").arg(self.store);
        command.args(["--user", USER, "--token", self.token, "--to", PEER]);
        command.args(["--http", &format!("http://{}", self.server.http())]);
        command.args(["--from", &from.to_string()]);
        match dice.up_to(3) {
            0 => {}
            1 => {
                command.arg("--poll");
            }
            _ => {
                command.args(["--quic", &self.server.quic().to_string()]);
                command.args(["--fingerprint", &self.server.fingerprint().to_string()]);
            }
        }
        command.stderr(Stdio::inherit());
        command
    }
}

/// The number after `queued` in the last line.
fn last_queued(child: &mut Child) -> Option<u64> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let last = lines.map_while(Result::ok).last()?;
    Some(
        last.strip_prefix("queued ")
            .unwrap_or_else(|| panic!("{last:?}"))
            .parse()
            .unwrap(),
    )
}

#[test]
fn killed_at_random_a_device_has_every_message_once_and_sends_every_message_once() {
    let mut dice = dice();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let store = directory.path().join("ann.sqlite");
    let rounds = rounds("WAYBILL_CLIENT_KILLS", QUICK);
    let mut server = Server::start_with(&data, CONFIG);
    let token = Api::admin(&server).token_of(USER);
    let sender = Sender::start(&server);
    // The last one that is certainly in the outbox, and those of which nobody can know.
    let (mut queued, mut next) = (Vec::new(), 1);
    for round in 1..=rounds {
        let device = Device {
            server: &server,
            store: &store,
            token: &token,
        };
        let mut child = device.command(next, &mut dice).spawn().unwrap();
        // Not for synchronisation: the moment of the kill is what is random.
        thread::sleep(Duration::from_micros(dice.up_to(LONGEST_MS * 1_000)));
        if round == rounds / 3 || round == 2 * rounds / 3 {
            server = server.again(round == rounds / 3, CONFIG);
            thread::sleep(Duration::from_micros(dice.up_to(LONGEST_MS * 1_000)));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if let Some(last) = last_queued(&mut child) {
            queued.extend(next..=last);
            next = last + 1;
        }
        // The next number may be in the outbox already. With a key of one's own it is the same message; without one it is
        // another, so its number is given up.
        if next % 2 == 1 {
            next += 1;
        }
    }
    let sent = sender.end();
    let mut admin = Api::admin(&server);
    let head = admin.log(USER).len();
    let device = Device {
        server: &server,
        store: &store,
        token: &token,
    };
    drain(&device, next, head, &mut dice);
    let log = admin.log(USER);
    same_log(&store, &log);
    for number in 0..sent {
        let id = format!("to-ann-{number}");
        let times = log
            .iter()
            .filter(|entry| entry["clientMsgID"] == *id)
            .count();
        assert_eq!(times, 1, "{id}");
    }
    let received = admin.log(PEER);
    let numbers: Vec<u64> = received.iter().map(number).collect();
    println!("{rounds} kills, {sent} received, {} sent", numbers.len());
    for number in &queued {
        let times = numbers.iter().filter(|found| *found == number).count();
        assert_eq!(times, 1, "message {number} of the outbox");
    }
    assert!(numbers.is_sorted(), "in their order: {numbers:?}");
    let mut once = numbers.clone();
    once.dedup();
    assert_eq!(once, numbers, "none twice");
    assert!(
        queued.len() as u64 > rounds && sent > 2 * rounds,
        "too little was under way"
    );
    server.stop();
}

/// Lets a device get everything, and send everything. Its own sends come back to it, so the end moves.
fn drain(device: &Device<'_>, from: u64, mut head: usize, dice: &mut Dice) {
    let mut admin = Api::admin(device.server);
    loop {
        let mut command = device.command(from, dice);
        let output = command
            .args(["--until", &head.to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "closed\n");
        let now = admin.log(USER).len();
        if now == head {
            return;
        }
        head = now;
    }
}

fn number(entry: &Value) -> u64 {
    entry["content"]["text"].as_str().unwrap().parse().unwrap()
}

/// The file has exactly this log.
fn same_log(store: &Path, log: &[Value]) {
    let store = Store::open(store, USER, "device-1").unwrap();
    assert!(store.outbox().unwrap().is_empty());
    assert!(store.gaps().unwrap().is_empty());
    let mut kept = Vec::new();
    loop {
        let after = Seq(kept.len() as u64);
        let entries = store.entries(after, u32::MAX).unwrap();
        if entries.is_empty() {
            break;
        }
        kept.extend(
            entries
                .iter()
                .map(|it| serde_json::from_str::<Value>(it.json()).unwrap()),
        );
    }
    assert_eq!(kept.len(), log.len());
    for (kept, served) in kept.iter().zip(log) {
        assert_eq!(kept, served);
    }
}
