//! The client of a program, over QUIC: a log kept in step through everything that happens to connections, servers and networks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use waybill_client::store::StoreError;
use waybill_client::{
    Client, Config, End, Error, Event, Events, FollowError, Message, OpenError, SendError,
    Transport, Trust,
};
use waybill_core::id::{Epoch, Seq};
use waybill_core::wire::{Bye, Code, Failure};

use crate::memory::NOBODY;
use crate::server::{Server, certificate, options};

const DEVICE: &str = "device-1";

fn config(server: &Server, user: &str) -> Config {
    Config::new(user, format!("token-of-{user}"))
        .device(DEVICE, 2)
        .quic(server.address.to_string(), Trust::Pinned(server.pin))
        .backoff(Duration::from_millis(5), Duration::from_millis(40))
        .acknowledge(Duration::from_millis(10), 64)
}

async fn open(config: Config) -> Client {
    Client::open(config).await.unwrap()
}

/// Waits until the store has everything up to there.
async fn stored(client: &Client, until: u64) {
    let mut log = client.follow(Seq(0));
    let mut expected = 1;
    while expected <= until {
        for entry in log.next().await.unwrap().unwrap() {
            assert_eq!(entry.seq.0, expected);
            expected += 1;
        }
    }
}

async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.next().await.unwrap();
        if wanted(&event) {
            return event;
        }
    }
}

fn is_online(event: &Event) -> bool {
    matches!(event, Event::Online(Transport::Quic))
}

#[tokio::test]
async fn a_log_is_stored_followed_and_acknowledged() {
    let server = Server::start();
    server.memory.append_many("ann", 2_500, b"{}");
    let client = open(config(&server, "ann")).await;
    stored(&client, 2_500).await;
    server.memory.append("ann", b"{\"late\":1}");
    stored(&client, 2_501).await;
    let last = client.entries(Seq(2_500), 10).await.unwrap();
    assert_eq!(
        last[0].message().unwrap().content.as_deref(),
        Some("{\"late\":1}")
    );
    server
        .until(|memory| memory.cursor("ann", DEVICE) == Seq(2_501))
        .await;
    assert_eq!(client.close().await, End::Closed);
}

#[tokio::test]
async fn what_is_stored_when_a_client_closes_is_acknowledged() {
    let server = Server::start();
    server.memory.append_many("ann", 3, b"{}");
    let slow = config(&server, "ann").acknowledge(Duration::from_secs(3_600), u64::MAX);
    let client = open(slow).await;
    stored(&client, 3).await;
    assert_eq!(server.memory.cursor("ann", DEVICE), Seq(0));
    client.close().await;
    assert_eq!(server.memory.cursor("ann", DEVICE), Seq(3));
}

#[tokio::test]
async fn a_client_comes_back_when_the_server_does() {
    let certificate = certificate();
    let any = ([127, 0, 0, 1], 0).into();
    let mut server = Server::on(any, &certificate, options(), Arc::default());
    let (address, memory) = (server.address, Arc::clone(&server.memory));
    memory.append_many("ann", 10, b"{}");
    let client = open(config(&server, "ann")).await;
    stored(&client, 10).await;
    for round in 1..=3 {
        let mut events = client.events();
        server.stopped().await;
        until(&mut events, |event| matches!(event, Event::Offline { .. })).await;
        memory.append_many("ann", 10, b"{}");
        let key = client
            .enqueue(Message::text("bob", &round.to_string()))
            .await
            .unwrap();
        assert_eq!(client.outbox().await.unwrap()[0].key, key);
        server = Server::on(address, &certificate, options(), Arc::clone(&memory));
        until(
            &mut events,
            |event| matches!(event, Event::Sent(sent) if sent.key == key),
        )
        .await;
        stored(&client, 10 + 10 * round).await;
    }
    let sent = [r#"{"text":"1"}"#, r#"{"text":"2"}"#, r#"{"text":"3"}"#];
    assert_eq!(memory.contents("bob"), sent);
    client.close().await;
}

#[tokio::test]
async fn a_reconnection_pulls_in_its_first_flight() {
    let server = Server::start();
    server.memory.append_many("ann", 5, b"{}");
    let client = open(config(&server, "ann")).await;
    stored(&client, 5).await;
    let mut events = client.events();
    // The server ends this connection, and only this one.
    let bye = Bye::new(Code::CLOSED, "");
    server.memory.goodbye.send_replace(Some(bye));
    until(&mut events, |event| matches!(event, Event::Offline { .. })).await;
    server.memory.goodbye.send_replace(None);
    until(&mut events, is_online).await;
    server.memory.append("ann", b"{}");
    stored(&client, 6).await;
    assert_eq!(
        server.memory.early_pulls.load(Ordering::SeqCst),
        1,
        "the second one's"
    );
    client.close().await;
}

#[tokio::test]
async fn a_client_moves_with_its_device_and_keeps_its_connection() {
    let server = Server::start();
    let client = open(config(&server, "ann")).await;
    let mut events = client.events();
    client.send(Message::text("bob", "before")).await.unwrap();
    for round in 1..=3 {
        client.moved().await;
        server.memory.append("ann", b"{}");
        stored(&client, round).await;
        client.send(Message::text("bob", "after")).await.unwrap();
    }
    assert_eq!(
        server.memory.hellos.load(Ordering::SeqCst),
        1,
        "without a new hello"
    );
    client.close().await;
    let mut losses = 0;
    while let Some(event) = events.next().await {
        losses += usize::from(matches!(event, Event::Offline { .. }));
    }
    assert_eq!(losses, 0);
}

#[tokio::test]
async fn another_history_takes_the_place_of_the_old_one() {
    let server = Server::start();
    server.memory.append_many("ann", 8, b"{\"old\":1}");
    let client = open(config(&server, "ann")).await;
    stored(&client, 8).await;
    let mut events = client.events();
    let mut log = client.follow(Seq(0));
    server.memory.reset(Epoch([9; 16]));
    server.memory.append_many("ann", 3, b"{\"new\":1}");
    server
        .memory
        .goodbye
        .send_replace(Some(Bye::new(Code::CLOSED, "")));
    until(&mut events, |event| matches!(event, Event::Offline { .. })).await;
    assert_eq!(
        client.entries(Seq(0), 100).await.unwrap().len(),
        8,
        "the old one is there"
    );
    server.memory.goodbye.send_replace(None);
    let shown = until(&mut events, |event| {
        matches!(event, Event::NewHistory { .. })
    })
    .await;
    assert_eq!(shown, Event::NewHistory { until: Seq(3) });
    stored(&client, 3).await;
    let entries = client.entries(Seq(0), 100).await.unwrap();
    assert!(
        entries.iter().all(|entry| entry.json().contains("new")),
        "{entries:?}"
    );
    assert!(matches!(log.next().await, Err(FollowError::NewHistory)));
    client.close().await;
}

#[tokio::test]
async fn sends_keep_their_order_and_are_told_what_became_of_them() {
    let server = Server::start();
    let client = Arc::new(open(config(&server, "ann")).await);
    let mut keys = Vec::new();
    for number in 0..200 {
        keys.push(
            client
                .enqueue(Message::text("bob", &number.to_string()))
                .await
                .unwrap(),
        );
    }
    // One with a key that is on its way already is the same message.
    let again = Message::text("bob", "199").key(&keys[199]);
    client.send(again).await.unwrap();
    let expected: Vec<_> = (0..200)
        .map(|number| format!(r#"{{"text":"{number}"}}"#))
        .collect();
    assert_eq!(server.memory.contents("bob"), expected);
    let refused = client.send(Message::text(NOBODY, "x").key("k")).await;
    let Err(SendError::Refused(Error::Refused(failure))) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(failure.code, Code::UNKNOWN_RECEIVER);
    let outbox = client.outbox().await.unwrap();
    assert_eq!((outbox.len(), outbox[0].key.as_str()), (1, "k"));
    assert!(outbox[0].refusal.is_some());
    assert!(client.discard("k").await.unwrap());
    assert!(client.outbox().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_that_waits_is_sent_by_the_next_client_on_the_store() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ann.sqlite");
    // The first one's token is refused, so nothing is sent.
    let mut wrong = Config::new("ann", "no token")
        .device(DEVICE, 2)
        .store(&path);
    wrong = wrong.quic(server.address.to_string(), Trust::Pinned(server.pin));
    let client = open(wrong).await;
    let waiting = client.send(Message::text("bob", "hi").key("k"));
    let waited = waiting.await;
    let Err(SendError::Ended(End::Token(error))) = waited else {
        panic!("{waited:?}");
    };
    assert_eq!(error.code(), Some(Code::TOKEN_UNKNOWN));
    assert!(matches!(client.ended().await, End::Token(_)));
    client.close().await;
    let client = open(config(&server, "ann").store(&path)).await;
    let mut events = client.events();
    until(
        &mut events,
        |event| matches!(event, Event::Sent(sent) if sent.key == "k"),
    )
    .await;
    assert_eq!(server.memory.contents("bob"), [r#"{"text":"hi"}"#]);
    let taken = Client::open(config(&server, "ann").store(&path)).await;
    assert!(matches!(taken, Err(OpenError::Store(StoreError::InUse(_)))));
    client.close().await;
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_again_as_the_server_asks() {
    let server = Server::start();
    let full = Failure::new(Code::TOO_MANY_CONNECTIONS, "full").retry_after_ms(50);
    *server.memory.unwelcome.lock() = Some(full);
    let client = open(config(&server, "ann")).await;
    let mut events = client.events();
    let Event::Offline { retry_in, error } =
        until(&mut events, |event| matches!(event, Event::Offline { .. })).await
    else {
        panic!("not offline");
    };
    assert!(
        retry_in >= Duration::from_millis(50),
        "{retry_in:?} {error}"
    );
    *server.memory.unwelcome.lock() = None;
    server.memory.append("ann", b"{}");
    stored(&client, 1).await;
    client.close().await;
}

#[tokio::test]
async fn a_store_with_little_room_takes_no_more_than_fits() {
    let server = Server::start();
    server.memory.append_many("ann", 3_000, b"{}");
    let client = open(config(&server, "ann").room(10)).await;
    let mut log = client.follow(Seq(0));
    let (mut expected, mut most) = (1, 0);
    while expected <= 3_000 {
        let entries = log.next().await.unwrap().unwrap();
        for entry in &entries {
            assert_eq!(entry.seq.0, expected);
            expected += 1;
        }
        most = most.max(client.cursor().0 - entries[0].seq.0 + 1);
        client.forget(Seq(expected - 1)).await.unwrap();
    }
    assert!(most <= 1_010, "a page beyond the room at most: {most}");
    client.close().await;
}

#[tokio::test]
async fn a_configuration_without_a_way_is_refused() {
    let opened = Client::open(Config::new("ann", "t")).await;
    assert!(matches!(opened, Err(OpenError::Setup(Error::Setup(_)))));
}
