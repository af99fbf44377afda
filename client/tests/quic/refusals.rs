//! What a peer must not say, and what becomes of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use waybill_client::{Connector, Error, Identity, Trust};
use waybill_core::id::Seq;
use waybill_core::wire::{
    ALPN, Bye, Code, Failure, MAX_CLIENT_FRAME, MAX_HELLO_FRAME, ServerFrame, Welcome,
};
use waybill_gateway::quic::{Certificate, Options};

use crate::raw::{self, Peer};
use crate::server::{Server, certificate, identity, options};

fn started() -> (Server, Certificate) {
    let certificate = certificate();
    let any = ([127, 0, 0, 1], 0).into();
    (
        Server::on(any, &certificate, options(), Default::default()),
        certificate,
    )
}

#[tokio::test]
async fn a_bad_token_is_refused_and_told_why() {
    let server = Server::start();
    let stranger = Identity::new("sesame");
    let refused = server
        .connector()
        .connect(server.address, "localhost", &stranger)
        .await;
    let Err(Error::Refused(failure)) = refused else {
        panic!("welcomed")
    };
    assert_eq!(failure.code, Code::TOKEN_UNKNOWN);
    assert_eq!(server.memory.joins.load(Ordering::SeqCst), 0);
    server.connect("ann").await;
}

#[tokio::test]
async fn another_certificate_than_the_pinned_one_is_not_trusted() {
    let server = Server::start();
    let mut pin = server.pin;
    pin.0[31] ^= 1;
    let connector = Connector::new(Trust::Pinned(pin)).unwrap();
    let refused = connector
        .connect(server.address, "localhost", &identity("ann"))
        .await;
    assert!(matches!(refused, Err(Error::Lost(_))));
    let roots = Trust::Roots(rustls::RootCertStore::empty());
    let connector = Connector::new(roots).unwrap();
    let refused = connector
        .connect(server.address, "localhost", &identity("ann"))
        .await;
    assert!(matches!(refused, Err(Error::Lost(_))));
    assert_eq!(server.memory.hellos.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_certificate_that_an_authority_signed_is_trusted_by_name() {
    let (server, certificate) = started();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.chain[0].clone()).unwrap();
    let connector = Connector::new(Trust::Roots(roots)).unwrap();
    connector
        .connect(server.address, "localhost", &identity("ann"))
        .await
        .unwrap();
    let other = connector
        .connect(server.address, "example.org", &identity("ann"))
        .await;
    assert!(matches!(other, Err(Error::Lost(_))));
}

#[tokio::test]
async fn another_protocol_is_refused_in_the_handshake() {
    let (server, certificate) = started();
    for alpn in [&b"waybill/2"[..], b"h3"] {
        let endpoint = raw::endpoint(&certificate, alpn);
        assert!(
            endpoint
                .connect(server.address, "localhost")
                .unwrap()
                .await
                .is_err()
        );
    }
    assert_eq!(server.memory.hellos.load(Ordering::SeqCst), 0);
}

/// Says `first` as the first thing and hears the end.
async fn after_first(first: &[u8]) -> Code {
    let (server, certificate) = started();
    let mut peer = Peer::connect(&certificate, server.address).await;
    peer.say(first).await;
    let (_, close) = peer.end().await;
    server
        .connect("ann")
        .await
        .pull("", Seq(0), 1)
        .await
        .expect("others are undisturbed");
    close.expect("a close with a code")
}

/// Says `next` after a hello and hears the end.
async fn after_hello(next: &[u8]) -> Code {
    let (server, certificate) = started();
    let mut peer = Peer::welcomed(&certificate, server.address, "ann").await;
    peer.say(next).await;
    let (bye, close) = peer.end().await;
    assert_eq!(bye, close, "goodbye and close agree");
    server
        .connect("ann")
        .await
        .pull("", Seq(0), 1)
        .await
        .expect("others are undisturbed");
    close.expect("a close with a code")
}

#[tokio::test]
async fn the_first_frame_must_be_a_short_hello() {
    assert_eq!(after_first(&raw::pull(1)).await, Code::HELLO_EXPECTED);
    assert_eq!(
        after_first(&raw::any(200, b"?")).await,
        Code::HELLO_EXPECTED
    );
    assert_eq!(after_first(&raw::any(1, b"?")).await, Code::MALFORMED_FRAME);
    assert_eq!(after_first(&[0; 4]).await, Code::MALFORMED_FRAME);
    let long = (MAX_HELLO_FRAME as u32 + 1).to_le_bytes();
    assert_eq!(after_first(&long).await, Code::FRAME_TOO_LONG);
    assert_eq!(
        after_first(b"GET / HTTP/1.1\r\n\r\n").await,
        Code::FRAME_TOO_LONG
    );
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection() {
    let long = (MAX_CLIENT_FRAME as u32 + 1).to_le_bytes();
    assert_eq!(after_hello(&long).await, Code::FRAME_TOO_LONG);
    assert_eq!(
        after_hello(&u32::MAX.to_le_bytes()).await,
        Code::FRAME_TOO_LONG
    );
    assert_eq!(after_hello(&[0; 4]).await, Code::MALFORMED_FRAME);
    assert_eq!(
        after_hello(&raw::any(5, &[0xff; 40])).await,
        Code::MALFORMED_FRAME
    );
    assert_eq!(
        after_hello(&raw::any(9, &[1, 2, 3])).await,
        Code::MALFORMED_FRAME
    );
    assert_eq!(after_hello(&raw::hello("ann")).await, Code::HELLO_REPEATED);
    assert_eq!(after_hello(&raw::any(4, b"")).await, Code::UNEXPECTED_FRAME);
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_the_connection() {
    let (server, certificate) = started();
    let mut peer = Peer::welcomed(&certificate, server.address, "ann").await;
    peer.say(&raw::pull(1)[..6]).await;
    peer.to.finish().unwrap();
    assert_eq!(peer.end().await.1, Some(Code::STREAM_BROKEN));
    let mut peer = Peer::welcomed(&certificate, server.address, "ann").await;
    peer.to.reset(9_u32.into()).unwrap();
    assert_eq!(peer.end().await.1, Some(Code::STREAM_BROKEN));
    let mut peer = Peer::welcomed(&certificate, server.address, "ann").await;
    peer.ears.from.stop(9_u32.into()).unwrap();
    peer.say(&raw::pull(1)).await;
    assert_eq!(peer.end().await.1, Some(Code::STREAM_BROKEN));
}

#[tokio::test]
async fn the_answers_owed_come_before_the_goodbye() {
    let (server, certificate) = started();
    let mut peer = Peer::welcomed(&certificate, server.address, "ann").await;
    server.memory.hold.store(true, Ordering::SeqCst);
    let said = [
        raw::send(1, "bob"),
        raw::send(2, "bob"),
        raw::any(9, b"garbage"),
    ]
    .concat();
    peer.say(&said).await;
    server.until(|memory| memory.held() == 2).await;
    server.memory.release();
    for _ in 0..2 {
        assert!(matches!(peer.hear().await, Some(ServerFrame::Sent(_))));
    }
    let Some(ServerFrame::Bye(Bye { code, .. })) = peer.hear().await else {
        panic!("no goodbye")
    };
    assert_eq!(code, Code::MALFORMED_FRAME);
}

#[tokio::test]
async fn who_never_says_hello_is_shown_the_door() {
    let certificate = certificate();
    let hasty = Options {
        handshake: Duration::from_millis(300),
        ..options()
    };
    let any = ([127, 0, 0, 1], 0).into();
    let server = Server::on(any, &certificate, hasty, Default::default());
    let mut silent = Peer::connect(&certificate, server.address).await;
    let mut dribbling = Peer::connect(&certificate, server.address).await;
    dribbling.say(&raw::hello("ann")[..3]).await;
    let mut welcome = Peer::connect(&certificate, server.address).await;
    welcome.say(&raw::hello("ann")).await;
    assert_eq!(silent.end().await.1, Some(Code::HELLO_TIMEOUT));
    assert_eq!(dribbling.end().await.1, Some(Code::HELLO_TIMEOUT));
    assert!(matches!(
        welcome.hear().await,
        Some(ServerFrame::Welcome(Welcome { .. }))
    ));
    welcome.say(&raw::pull(1)).await;
    assert!(
        matches!(welcome.hear().await, Some(ServerFrame::Page(_))),
        "it has joined"
    );
    assert_eq!(server.counters.failed.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_full_server_turns_newcomers_away_and_has_room_again() {
    let full = Options {
        connections: 2,
        ..options()
    };
    let server = Server::with(full, Default::default());
    let one = server.connect("ann").await;
    let _two = server.connect("bob").await;
    assert!(matches!(
        server.try_connect("cy").await,
        Err(Error::Lost(_))
    ));
    assert_eq!(server.counters.refused.load(Ordering::Relaxed), 1);
    assert_eq!(server.counters.open(), 2);
    drop(one);
    while server.try_connect("cy").await.is_err() {}
}

#[tokio::test]
async fn who_may_not_join_is_told_so() {
    let server = Server::start();
    let many = Failure::new(Code::TOO_MANY_CONNECTIONS, "you have enough").retry_after_ms(5_000);
    *server.memory.unwelcome.lock() = Some(many);
    let refused = match server.try_connect("ann").await {
        Ok(connection) => connection.closed().await,
        Err(error) => error,
    };
    assert_eq!(refused.code(), Some(Code::TOO_MANY_CONNECTIONS));
    *server.memory.unwelcome.lock() = None;
    server
        .connect("ann")
        .await
        .pull("", Seq(0), 1)
        .await
        .unwrap();
}

#[tokio::test]
async fn when_many_shake_hands_newcomers_prove_their_address() {
    let certificate = certificate();
    let patient = Options {
        handshake: Duration::from_secs(60),
        ..options()
    };
    let any = ([127, 0, 0, 1], 0).into();
    let server = Server::on(any, &certificate, patient, Default::default());
    let endpoint = raw::endpoint(&certificate, ALPN);
    let mut silent = Vec::new();
    while server.counters.retried.load(Ordering::Relaxed) == 0 {
        assert!(silent.len() < 2_000, "nobody was asked for proof");
        let connecting = endpoint.connect(server.address, "localhost").unwrap();
        silent.push(connecting.await.unwrap());
    }
    let ann = server.connect("ann").await;
    ann.pull("", Seq(0), 1)
        .await
        .expect("proof is given without the caller's doing");
    assert!(server.counters.retried.load(Ordering::Relaxed) >= 2);
    assert_eq!(server.counters.refused.load(Ordering::Relaxed), 0);
}
