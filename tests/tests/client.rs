//! The client library against the program, over each of its transports.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use waybill_client::store::Store;
use waybill_client::{Client, Config, End, Event, Events, LogEntry, Message, Transport, Trust};
use waybill_core::id::Seq;
use waybill_tests::harness::{Api, PATIENCE, Server, back_up, put_back, restore};

const ALL: [Transport; 3] = [Transport::Quic, Transport::WebSocket, Transport::LongPoll];

struct World {
    directory: tempfile::TempDir,
    server: Server,
    admin: Api,
}

impl World {
    fn start() -> World {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(&directory.path().join("data"));
        let admin = Api::admin(&server);
        World {
            directory,
            server,
            admin,
        }
    }

    /// A device of a user, by one transport only.
    fn config(&mut self, user: &str, device: &str, transport: Transport) -> Config {
        let token = self.admin.token_of(user);
        let config = Config::new(user, token)
            .device(device, 2)
            .backoff(Duration::from_millis(10), Duration::from_millis(200))
            .acknowledge(Duration::from_millis(20), 16);
        let http = format!("http://{}", self.server.http());
        match transport {
            Transport::Quic => config.quic(
                self.server.quic().to_string(),
                Trust::Pinned(self.server.fingerprint()),
            ),
            Transport::WebSocket => config.http(http),
            Transport::LongPoll => config.http(http).web_socket(false),
        }
    }

    /// Sends a text, from a thread that may block.
    fn send(&mut self, to: &str, text: &str) -> Value {
        let send = || self.admin.send_text(to, text);
        tokio::task::block_in_place(send)
    }

    /// The server is lost, and a copy of it takes its place, as another history. `meanwhile` is done while there is none. The
    /// history's epoch.
    async fn restored(self, meanwhile: impl AsyncFnOnce()) -> (World, String) {
        let World {
            directory, server, ..
        } = self;
        let (data, backup) = (server.data().to_owned(), directory.path().join("backup"));
        let ports = [server.http().port(), server.quic().port(), 0, 0];
        let done = tokio::task::block_in_place(|| {
            server.stop();
            put_back(&backup, &data);
            restore(&data, &["--json"]).well().json_lines().remove(0)
        });
        meanwhile().await;
        let start = || Server::start_on(&data, "", ports);
        let server = tokio::task::block_in_place(start);
        let admin = Api::admin(&server);
        let world = World {
            directory,
            server,
            admin,
        };
        (world, done["epoch"].as_str().unwrap().to_owned())
    }
}

async fn open(config: Config) -> Client {
    Client::open(config).await.unwrap()
}

async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    let waiting = async {
        loop {
            let event = events.next().await.expect("no end");
            if wanted(&event) {
                return event;
            }
        }
    };
    timeout(PATIENCE, waiting).await.expect("an event")
}

/// Everything up to there.
async fn stored(client: &Client, until: u64) -> Vec<LogEntry> {
    let mut log = client.follow(Seq(0));
    let mut all: Vec<LogEntry> = Vec::new();
    while all.last().is_none_or(|last| last.seq.0 < until) {
        let next = timeout(PATIENCE, log.next()).await.expect("entries");
        all.extend(next.unwrap().expect("no end"));
    }
    all
}

fn values(entries: &[LogEntry]) -> Vec<Value> {
    let read = |entry: &LogEntry| serde_json::from_str(entry.json()).unwrap();
    entries.iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_brings_the_same_log_and_takes_the_same_messages() {
    let mut world = World::start();
    for number in 0..1_500 {
        world.send("ann", &number.to_string());
    }
    for (at, transport) in ALL.into_iter().enumerate() {
        let device = format!("device-{at}");
        let client = open(world.config("ann", &device, transport)).await;
        let head = world.admin.log("ann").len() as u64;
        stored(&client, head).await;
        let live = world.send("ann", "live");
        let entries = stored(&client, head + 1).await;
        assert_eq!(values(&entries), world.admin.log("ann"), "{transport:?}");
        let last = entries.last().unwrap().message().unwrap();
        assert_eq!(live["serverMsgID"], last.server_msg_id);

        let sent = client
            .send(Message::text("bob", "hi").key(&device))
            .await
            .unwrap();
        let log = world.admin.log("bob");
        assert_eq!(log.len(), at + 1, "{transport:?}");
        assert_eq!(log[at]["serverMsgID"], sent.server_msg_id);
        assert_eq!(log[at]["clientMsgID"], sent.key);
        // It comes back, as on every device of the sender.
        stored(&client, head + 2).await;
        assert_eq!(client.close().await, End::Closed);
        delivered(&mut world, &live).await;
    }
}

/// Waits until the server says that a message was delivered: a device has acknowledged it.
async fn delivered(world: &mut World, sent: &Value) {
    let path = format!("/v1/messages/{}", sent["serverMsgID"].as_str().unwrap());
    let waiting = async {
        while tokio::task::block_in_place(|| world.admin.get(&path))["state"] != "delivered" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it is delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_the_same_key_on_every_transport() {
    let mut world = World::start();
    let mut ids = Vec::new();
    for transport in ALL {
        let client = open(world.config("ann", "phone", transport)).await;
        let sent = client
            .send(Message::text("bob", "once").key("k"))
            .await
            .unwrap();
        ids.push(sent.server_msg_id);
        client.close().await;
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "the first answer again: {ids:?}");
    assert_eq!(world.admin.log("bob").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_quic_is_blocked_the_next_best_is_used_and_remembered() {
    let mut world = World::start();
    let directory = tempfile::tempdir().unwrap();
    world.send("ann", "1");
    // A port that says nothing.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let trust = Trust::Pinned(world.server.fingerprint());
    let config = world
        .config("ann", "phone", Transport::WebSocket)
        .store(directory.path().join("ann.sqlite"));
    let client = open(config.clone().quic(address, trust.clone())).await;
    let mut events = client.events();
    let online = until(&mut events, |event| matches!(event, Event::Online(_))).await;
    assert_eq!(online, Event::Online(Transport::WebSocket));
    stored(&client, 1).await;
    client.close().await;
    // Now QUIC works, but the WebSocket worked last; and a better transport is tried soon.
    let quic = world.server.quic().to_string();
    let config = config
        .quic(quic, trust)
        .try_better_every(Duration::from_millis(300));
    let client = open(config).await;
    let mut events = client.events();
    let online = until(&mut events, |event| matches!(event, Event::Online(_))).await;
    assert_eq!(online, Event::Online(Transport::WebSocket));
    let online = until(&mut events, |event| matches!(event, Event::Online(_))).await;
    assert_eq!(online, Event::Online(Transport::Quic));
    world.send("ann", "2");
    stored(&client, 2).await;
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_trimmed_goes_on_from_a_snapshot() {
    // Over QUIC alone there is no snapshot, but the entries from the floor on.
    for (transport, conversations) in ALL.into_iter().zip([0, 1, 1]) {
        let mut world = World::start();
        for number in 0..10 {
            world.send("ann", &number.to_string());
        }
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("ann.sqlite");
        let client = open(world.config("ann", "phone", transport).store(&store)).await;
        let floor = world.admin.log("ann").len() as u64;
        drop(stored(&client, floor).await);
        client.close().await;
        for number in 0..4 {
            world.send("ann", &number.to_string());
        }
        let trim = json!({ "operationID": "o", "userID": "ann", "minSeq": floor + 3 }).to_string();
        let trimmed = tokio::task::block_in_place(|| {
            world
                .admin
                .v2("/msg/set_msg_min_seq", None, trim.as_bytes())
        });
        assert_eq!(trimmed.unwrap().json()["errCode"], 0);
        let client = open(world.config("ann", "phone", transport).store(&store)).await;
        let mut events = client.events();
        let missing = until(&mut events, |event| matches!(event, Event::Missing { .. })).await;
        let gap = client.gaps().await.unwrap()[0];
        let (after, until) = (gap.after, gap.until);
        assert_eq!(missing, Event::Missing { after, until });
        assert_eq!(after, Seq(floor), "{transport:?}");
        assert_eq!(client.conversations().await.unwrap().len(), conversations);
        world.send("ann", "after");
        let entries = stored(&client, floor + 5).await;
        assert_eq!(entries.len() as u64, floor + 5 - (until.0 - after.0));
        client.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_and_a_device_elsewhere_end_a_client() {
    let mut world = World::start();
    for transport in [Transport::Quic, Transport::WebSocket] {
        let first = open(world.config("ann", "phone", transport)).await;
        let mut events = first.events();
        let second = open(world.config("ann", "phone", transport)).await;
        until(&mut events, |event| {
            matches!(event, Event::Ended(End::Superseded))
        })
        .await;
        assert_eq!(first.ended().await, End::Superseded);
        second.close().await;
    }
    for transport in ALL {
        let client = open(world.config("eve", "phone", transport)).await;
        let mut events = client.events();
        until(&mut events, |event| matches!(event, Event::Online(_))).await;
        let revoke = || world.admin.v1("DELETE", "/v1/tokens?user=eve", None, b"");
        let revoked = tokio::task::block_in_place(revoke).unwrap();
        assert_eq!(revoked.status, 204, "{}", revoked.text());
        let end = timeout(PATIENCE, client.ended()).await.expect("an end");
        assert!(matches!(end, End::Token(_)), "{transport:?}: {end:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_read_is_the_end() {
    let mut world = World::start();
    world.send("bob", "1");
    for transport in ALL {
        let token = world.admin.token_of("ann");
        let http = format!("http://{}", world.server.http());
        let config = Config::new("bob", token).log_of_another();
        let config = match transport {
            Transport::Quic => config.quic(
                world.server.quic().to_string(),
                Trust::Pinned(world.server.fingerprint()),
            ),
            Transport::WebSocket => config.http(http),
            Transport::LongPoll => config.http(http).web_socket(false),
        };
        let client = open(config).await;
        let end = timeout(PATIENCE, client.ended()).await.expect("an end");
        assert!(matches!(end, End::Forbidden(_)), "{transport:?}: {end:?}");
    }
}

/// What is in a log, by clientMsgID, and how often.
fn by_key(log: &[Value]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for entry in log {
        if let Some(key) = entry["clientMsgID"].as_str() {
            *found.entry(key.to_owned()).or_default() += 1;
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_lives_across_a_restore_has_exactly_what_the_server_has_then() {
    let mut world = World::start();
    let stores = tempfile::tempdir().unwrap();
    let mut devices = Vec::new();
    for (at, transport) in ALL.into_iter().enumerate() {
        let device = format!("device-{at}");
        let store = stores.path().join(&device);
        let config = world.config("ann", &device, transport).store(&store);
        let client = open(config).await;
        let events = client.events();
        devices.push((device, store, client, events));
    }
    // What each device sends to bob, under its own key.
    let key = |what: &str, device: &str| format!("{what} of {device}");
    let send = async |devices: &[(String, _, Client, Events)], what: &str| {
        for (device, _, client, _) in devices {
            let message = Message::text("bob", what).key(key(what, device));
            client.send(message).await.unwrap();
        }
    };
    for number in 0..20 {
        world.send("ann", &number.to_string());
    }
    send(&devices, "kept").await;
    tokio::task::block_in_place(|| back_up(&world.server, &world.directory.path().join("backup")));
    let kept = world.admin.log("ann");
    for number in 0..30 {
        world.send("ann", &format!("lost {number}"));
    }
    send(&devices, "lost").await;
    let lost = world.admin.log("ann").split_off(kept.len());
    for (_, _, client, _) in &devices {
        stored(client, (kept.len() + lost.len()) as u64).await;
    }

    let (mut world, epoch) = world
        .restored(async || {
            for (device, _, client, _) in &devices {
                let message = Message::text("bob", "new").key(key("new", device));
                client.enqueue(message).await.unwrap();
            }
        })
        .await;
    for number in 0..10 {
        world.send("ann", &format!("new {number}"));
    }
    for (_, _, client, events) in &mut devices {
        until(events, |event| matches!(event, Event::NewHistory { .. })).await;
        let sent = async {
            while !client.outbox().await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, sent).await.expect("the outbox is sent");
    }
    send(&devices, "after").await;

    let log = tokio::task::block_in_place(|| world.admin.log("ann"));
    let (before, since) = log.split_at(kept.len());
    assert_eq!(before, kept);
    let left_out = since.iter().take_while(|entry| entry["kind"] == 9).count();
    assert_eq!(left_out, 1_000);
    // Ten from the manager, and the echo of two from each device.
    assert_eq!(since.len(), left_out + 10 + 2 * devices.len());
    let expected: BTreeMap<_, _> = ["kept", "new", "after"]
        .into_iter()
        .flat_map(|what| {
            devices
                .iter()
                .map(move |(device, ..)| (key(what, device), 1))
        })
        .collect();
    assert_eq!(by_key(&world.admin.log("bob")), expected);
    for device in devices {
        ends_with(device, &log, &epoch).await;
    }
}

/// A device has this log, in its store too, as the second history that it has seen.
async fn ends_with(device: (String, PathBuf, Client, Events), log: &[Value], epoch: &str) {
    let (device, store, client, mut events) = device;
    let entries = stored(&client, log.len() as u64).await;
    assert_eq!(values(&entries), log, "{device}");
    assert_eq!(client.close().await, End::Closed);
    while let Some(event) = events.next().await {
        let again = matches!(event, Event::NewHistory { .. } | Event::Missing { .. });
        assert!(!again, "{device}: {event:?}");
    }
    let store = Store::open(&store, "ann", &device).unwrap();
    let position = store.position();
    assert_eq!(hex::encode(position.epoch.unwrap().0), epoch, "{device}");
    assert_eq!(position.cursor, Seq(log.len() as u64), "{device}");
    assert_eq!((position.building, position.generation), (false, 1));
    assert_eq!(store.gaps().unwrap(), [], "{device}");
}
