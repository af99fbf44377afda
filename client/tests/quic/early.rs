//! Early data: what a resumed connection may ask for before its handshake is complete, and what a replay of it can do.

use std::sync::atomic::Ordering;

use waybill_client::{Connector, Error, PullFirst, Trust};
use waybill_core::id::Seq;
use waybill_core::wire::{ALPN, Capabilities, Code, ServerFrame};
use waybill_gateway::quic::Options;

use crate::raw::{self, Peer};
use crate::relay::Relay;
use crate::server::{Server, certificate, identity, options};

fn all() -> PullFirst {
    PullFirst {
        user: String::new(),
        after: Seq(0),
        limit: 10,
    }
}

/// Connects once, so that the server is remembered. The ticket may come a moment after the welcome.
async fn introduce(connector: &Connector, server: &Server) {
    let first = connector
        .connect(server.address, "localhost", &identity("ann"))
        .await
        .unwrap();
    first.pull("", Seq(0), 1).await.unwrap();
    first.close().await;
}

#[tokio::test]
async fn a_resumed_connection_pulls_in_its_first_flight() {
    let server = Server::start();
    server.memory.append_many("ann", 3, b"{}");
    let connector = server.connector();
    let me = identity("ann");
    let (first, page, early) = connector
        .connect_pulling(server.address, "localhost", &me, &all())
        .await
        .unwrap();
    assert!(!early, "a stranger has nothing to resume");
    assert_eq!(page.entries.len(), 3);
    assert!(
        first
            .welcome()
            .capabilities
            .contains(Capabilities::EARLY_PULL)
    );
    first.close().await;
    let (again, page, early) = connector
        .connect_pulling(server.address, "localhost", &me, &all())
        .await
        .unwrap();
    assert!(early);
    assert_eq!(page.entries.len(), 3);
    // The connection is a whole one.
    again
        .send(crate::server::message("ann", "", "{}"))
        .await
        .unwrap();
    assert_eq!(again.acknowledge(Seq(4)).await.unwrap(), Seq(4));
    assert_eq!(
        again
            .tail("", Seq(3))
            .await
            .unwrap()
            .next()
            .await
            .unwrap()
            .entries
            .len(),
        1
    );
}

#[tokio::test]
async fn a_refused_early_pull_says_why() {
    let server = Server::start();
    let connector = server.connector();
    introduce(&connector, &server).await;
    let beyond = PullFirst {
        after: Seq(9),
        ..all()
    };
    let refused = connector
        .connect_pulling(server.address, "localhost", &identity("ann"), &beyond)
        .await;
    assert!(matches!(refused, Err(Error::Refused(failure)) if failure.code == Code::AHEAD));
}

#[tokio::test]
async fn a_server_that_has_forgotten_is_asked_again() {
    let certificate = certificate();
    let any = ([127, 0, 0, 1], 0).into();
    let server = Server::on(any, &certificate, options(), Default::default());
    let (address, memory) = (server.address, server.memory.clone());
    let connector = server.connector();
    introduce(&connector, &server).await;
    server.stopped().await;
    let server = Server::on(address, &certificate, options(), memory);
    let me = identity("ann");
    let (_, page, early) = connector
        .connect_pulling(server.address, "localhost", &me, &all())
        .await
        .unwrap();
    assert!(!early, "the new server does not know the ticket");
    assert_eq!(page.head.head, Seq(0));
}

#[tokio::test]
async fn a_server_may_take_no_early_data_at_all() {
    let strict = Options {
        early_pull: false,
        ..options()
    };
    let server = Server::with(strict, Default::default());
    let connector = server.connector();
    introduce(&connector, &server).await;
    let me = identity("ann");
    let (connection, _, early) = connector
        .connect_pulling(server.address, "localhost", &me, &all())
        .await
        .unwrap();
    assert!(!early);
    assert_eq!(connection.welcome().capabilities, Capabilities::ONLINE);
}

/// Connects through a relay that holds back the end of the handshake, and says `first` as early data.
async fn say_early(
    server: &Server,
    relay: &Relay,
    endpoint: &quinn::Endpoint,
    first: &[u8],
) -> Peer {
    let seen = server.memory.hellos.load(Ordering::SeqCst);
    let connection = endpoint
        .connect(relay.address, "localhost")
        .unwrap()
        .await
        .unwrap();
    let mut peer = Peer::on(endpoint.clone(), connection).await;
    peer.say(&[raw::hello("ann"), raw::pull(1)].concat()).await;
    while !matches!(peer.hear().await, Some(ServerFrame::Page(_))) {}
    assert_eq!(server.memory.hellos.load(Ordering::SeqCst), seen + 1);
    peer.connection.close(0_u32.into(), b"");
    peer.connection.closed().await;
    relay.record();
    relay.hold();
    let connecting = endpoint.connect(relay.address, "localhost").unwrap();
    let Ok((connection, _)) = connecting.into_0rtt() else {
        panic!("nothing to resume")
    };
    let mut peer = Peer::on(endpoint.clone(), connection).await;
    peer.say(first).await;
    peer
}

#[tokio::test]
async fn before_the_handshake_is_complete_only_pulls_are_served() {
    let certificate = certificate();
    let any = ([127, 0, 0, 1], 0).into();
    let server = Server::on(any, &certificate, options(), Default::default());
    server.memory.append_many("ann", 2, b"{}");
    let relay = Relay::start(server.address).await;
    let endpoint = raw::endpoint(&certificate, ALPN);
    let joined = server.memory.joins.load(Ordering::SeqCst) + 1;
    let acknowledge = raw::any(9, &[4, 1]);
    let tail = raw::any(11, &[5, 0, 0]);
    let first = [
        raw::hello("ann"),
        raw::send(2, "bob"),
        raw::pull(3),
        acknowledge,
        tail,
    ]
    .concat();
    let mut peer = say_early(&server, &relay, &endpoint, &first).await;

    assert!(matches!(peer.hear().await, Some(ServerFrame::Welcome(_))));
    let (mut refused, mut page) = (Vec::new(), None);
    while refused.len() < 3 || page.is_none() {
        match peer.hear().await {
            Some(ServerFrame::Refused(it)) => {
                assert_eq!(it.failure.code, Code::EARLY_DATA);
                assert!(it.failure.retryable);
                refused.push(it.request);
            }
            Some(ServerFrame::Page(it)) => page = Some(it),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, [2, 4, 5]);
    assert_eq!(page.unwrap().entries.len(), 2);
    assert_eq!(server.memory.sends.load(Ordering::SeqCst), 0);
    assert_eq!(
        server.memory.joins.load(Ordering::SeqCst),
        joined,
        "not among the live ones yet"
    );

    relay.release();
    peer.say(&raw::send(6, "bob")).await;
    let Some(ServerFrame::Sent(sent)) = peer.hear().await else {
        panic!("not sent")
    };
    assert_eq!(sent.request, 6);
    assert_eq!(server.memory.joins.load(Ordering::SeqCst), joined + 1);
}

#[tokio::test]
async fn a_replay_of_the_first_flight_does_nothing() {
    let certificate = certificate();
    let any = ([127, 0, 0, 1], 0).into();
    let hasty = Options {
        handshake: std::time::Duration::from_millis(300),
        ..options()
    };
    let server = Server::on(any, &certificate, hasty, Default::default());
    let relay = Relay::start(server.address).await;
    let endpoint = raw::endpoint(&certificate, ALPN);
    let first = [raw::hello("ann"), raw::pull(2), raw::send(3, "bob")].concat();
    let mut peer = say_early(&server, &relay, &endpoint, &first).await;
    while !matches!(peer.hear().await, Some(ServerFrame::Refused(_))) {}
    relay.release();
    peer.connection.close(0_u32.into(), b"");
    while server.counters.open() > 0 {
        tokio::task::yield_now().await;
    }
    let asked = |server: &Server| {
        let memory = &server.memory;
        [&memory.hellos, &memory.joins, &memory.pulls, &memory.sends]
            .map(|count| count.load(Ordering::SeqCst))
    };
    let before = asked(&server);
    let accepted = server.counters.accepted.load(Ordering::Relaxed);
    // As long as the server remembers a connection, packets that are meant for it open no other.
    while server.counters.accepted.load(Ordering::Relaxed) == accepted {
        relay.replay().await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let bob = server.connect("bob").await;
    for _ in 0..20 {
        bob.pull("", Seq(0), 1).await.unwrap();
    }
    let [hellos, joins, pulls, sends] = before;
    assert_eq!(
        asked(&server),
        [hellos + 1, joins + 1, pulls + 20, sends],
        "bob's own and no more"
    );
    assert_eq!(sends, 0);
}

#[tokio::test]
async fn who_never_completes_the_handshake_is_shown_the_door() {
    let certificate = certificate();
    let hasty = Options {
        handshake: std::time::Duration::from_millis(500),
        ..options()
    };
    let any = ([127, 0, 0, 1], 0).into();
    let server = Server::on(any, &certificate, hasty, Default::default());
    let relay = Relay::start(server.address).await;
    let endpoint = raw::endpoint(&certificate, ALPN);
    let first = [raw::hello("ann"), raw::pull(2)].concat();
    let mut peer = say_early(&server, &relay, &endpoint, &first).await;
    while !matches!(peer.hear().await, Some(ServerFrame::Page(_))) {}
    let Some(ServerFrame::Bye(bye)) = peer.hear().await else {
        panic!("no goodbye")
    };
    assert_eq!(bye.code, Code::HELLO_TIMEOUT);
    server
        .until(|memory| memory.sessions.load(Ordering::SeqCst) == 0)
        .await;
}

#[tokio::test]
async fn a_pin_holds_for_resumed_connections_too() {
    let server = Server::start();
    let connector = server.connector();
    introduce(&connector, &server).await;
    let mut pin = server.pin;
    pin.0[0] ^= 1;
    let stranger = Connector::new(Trust::Pinned(pin)).unwrap();
    let me = identity("ann");
    assert!(
        stranger
            .connect_pulling(server.address, "localhost", &me, &all())
            .await
            .is_err()
    );
}
