//! Many devices over all transports, cut off and stalled at random while messages are sent and the server is stopped and
//! killed: every device ends with exactly its user's log, and that is exactly what the business side was answered for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use waybill_tests::dice::Dice;
use waybill_tests::harness::{Api, Server, dice, rounds, verify};
use waybill_tests::live::{Business, Entry, Fleet, Kept, Sent, Tally, Transport};

/// Sessions at one time unless `WAYBILL_SESSIONS` says otherwise.
const QUICK: u64 = 200;

/// Messages for each session: 20,000 for 1,000.
const MESSAGES_PER_SESSION: u64 = 20;

/// A machine that does other things as well may take longer than a peer is usually given; users have many devices.
const CONFIG: &str = "[limits]\nhandshake_seconds = 30\nconnections_per_user = 64\n";

/// Longest time that a stop may take: an orchestrator kills after 30 s.
const STOP: Duration = Duration::from_secs(20);

/// How long devices may take to come back, or to catch up.
const LONG: Duration = Duration::from_secs(180);

/// What a stopping server may tell a device to wait, in milliseconds.
const HINTS: std::ops::RangeInclusive<u64> = 500..=10_000;

/// Four ports that nobody has and that no outgoing connection is given (Linux gives those from 32768 on): a restarted server
/// must find them free, and a client that asks while nobody listens must not reach itself.
fn ports(dice: &mut Dice) -> [u16; 4] {
    let mut taken = HashSet::new();
    [(); 4].map(|()| {
        loop {
            let port = 10_100 + u16::try_from(dice.up_to(20_000)).unwrap();
            let address = ("127.0.0.1", port);
            let free = TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok();
            if free && taken.insert(port) {
                return port;
            }
        }
    })
}

#[test]
fn every_device_ends_with_exactly_its_users_log() {
    let mut dice = dice();
    let sessions = rounds("WAYBILL_SESSIONS", QUICK);
    let (messages, users) = (MESSAGES_PER_SESSION * sessions, Fleet::users(sessions));
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let ports = ports(&mut dice);
    let began = Instant::now();
    let server = Server::start_on(&data, CONFIG, ports);
    let fleet = Fleet::start(&server, sessions, &mut dice);
    let tally = std::sync::Arc::clone(fleet.tally());
    fleet.wait_until_open(LONG);
    let business = Business::start(&server, users, messages, &mut dice);
    business.allow(messages / 2);
    business.wait_for(messages / 3, LONG);
    let server = stopped_and_started(server, &data, ports);
    fleet.wait_until_open(LONG);
    business.allow(messages);
    business.wait_for(messages * 2 / 3, LONG);
    server.kill();
    let server = Server::start_on(&data, CONFIG, ports);
    business.wait_for(messages, LONG);
    let again = business.retries();
    let logs = logs_of(business.finish(), messages);
    let heads = logs
        .iter()
        .map(|(user, log)| (user.clone(), log.len() as u64));
    let kept = fleet.settle(heads.collect(), LONG);
    println!("{tally}");
    println!(
        "{messages} messages to {users} users, {again} sends tried again; one stop, one kill; {} devices, {} s",
        kept.len(),
        began.elapsed().as_secs()
    );
    compare(&server, &logs, &kept);
    assert_eq!(kept.len() as u64, sessions);
    were_spread_out(&tally, sessions);
    was_a_test(&tally, sessions);
    server.stop();
    verify(&data, directory.path());
}

fn stopped_and_started(server: Server, data: &Path, ports: [u16; 4]) -> Server {
    server.ask_to_stop();
    let exited = server.wait(STOP);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    Server::start_on(data, CONFIG, ports)
}

type Logs = BTreeMap<String, Vec<Entry>>;

/// The log of each user as it follows from the answers: every message once, every place taken.
fn logs_of(sent: Vec<Sent>, messages: u64) -> Logs {
    let numbers: HashSet<u64> = sent.iter().map(|sent| sent.number).collect();
    assert_eq!(
        (numbers.len() as u64, sent.len() as u64),
        (messages, messages)
    );
    let mut logs = Logs::new();
    for Sent {
        number,
        user,
        seq,
        id,
    } in sent
    {
        logs.entry(user)
            .or_default()
            .push(Entry { seq, id, number });
    }
    for (user, log) in &mut logs {
        log.sort_by_key(|entry| entry.seq);
        let seqs = log.iter().map(|entry| entry.seq);
        assert!(seqs.eq(1..=log.len() as u64), "the answers for {user}");
    }
    logs
}

/// What was answered, what the server has, and what the devices have is the same.
fn compare(server: &Server, logs: &Logs, kept: &[Kept]) {
    let mut admin = Api::admin(server);
    for (user, expected) in logs {
        let log: Vec<_> = admin.log(user).iter().map(Entry::read).collect();
        assert_eq!(&log, expected, "the log of {user}");
    }
    let mut devices: HashMap<&str, HashSet<&str>> = HashMap::new();
    for kept in kept {
        let expected = logs.get(&kept.user).map_or(&[][..], Vec::as_slice);
        let what = (&kept.device, &kept.user, kept.transport);
        assert_eq!(kept.log, expected, "{what:?}");
        let all = devices.entry(&kept.user).or_default();
        assert!(all.insert(&kept.device), "{what:?} twice");
    }
}

/// The devices that a stop has sent away were told to come back at different times.
fn were_spread_out(tally: &Tally, sessions: u64) {
    let hints = tally.hints();
    // A quarter polls, and some had no session at that moment.
    assert!(
        hints.len() as u64 >= sessions * 2 / 5,
        "only {} were told",
        hints.len()
    );
    let mut tenths = [0_usize; 10];
    for hint in &hints {
        assert!(HINTS.contains(hint), "{hint}");
        let tenth = (hint - HINTS.start()) * 10 / (HINTS.end() - HINTS.start() + 1);
        tenths[tenth as usize] += 1;
    }
    let most = tenths.iter().max().unwrap();
    assert!(
        most * 10 <= hints.len() * 3,
        "many are told to come at the same time: {tenths:?}"
    );
}

/// Everything that this test is about has happened, often, over every transport.
fn was_a_test(tally: &Tally, sessions: u64) {
    assert!(tally.most() >= sessions * 9 / 10);
    for transport in Transport::ALL {
        let counts = tally.of(transport);
        let enough = sessions / 20;
        for (what, count) in [
            ("drops", &counts.drops),
            ("stalls", &counts.stalls),
            ("reconnects", &counts.again),
        ] {
            let count = count.load(Relaxed);
            assert!(count >= enough, "{transport:?}: {count} {what}");
        }
    }
}
