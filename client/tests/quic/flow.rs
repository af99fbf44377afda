//! Peers that do not read, or do not stop writing: what they cost is bounded, and nobody else is held up.

use std::sync::atomic::Ordering;

use waybill_core::id::Seq;
use waybill_core::wire::{PAGE_BYTES, ServerFrame, Tail};
use waybill_gateway::quic::Certificate;

use crate::memory::BOSS;
use crate::raw::{self, Ears, Peer};
use crate::server::{Server, certificate, message, options};

fn started() -> (Server, Certificate) {
    let certificate = certificate();
    let any = ([127, 0, 0, 1], 0).into();
    (
        Server::on(any, &certificate, options(), Default::default()),
        certificate,
    )
}

/// What may be under way to a peer that takes nothing: its window, the server's send buffer, and pages in memory.
const UNREAD: usize = 1_250_000 + 512 * 1024 + 3 * PAGE_BYTES;

/// Lets others have their turn, many times over.
async fn others_are_served(server: &Server) {
    let boss = server.connect(BOSS).await;
    for _ in 0..300 {
        boss.pull("", Seq(0), 1).await.unwrap();
        boss.send(message("cy", "", "{}")).await.unwrap();
    }
}

#[tokio::test]
async fn a_tail_that_is_not_read_costs_little_and_lags() {
    let (server, certificate) = started();
    let entries = 20_000;
    server.memory.append_many("ann", entries, &[b'x'; 1_000]);
    let mut peer = Peer::welcomed(&certificate, server.address, "ann").await;
    let tail = Tail {
        request: 5,
        user: String::new(),
        after: Seq(0),
    };
    peer.say(&raw::frame(&tail)).await;
    let stream = peer.connection.accept_uni().await.unwrap();
    others_are_served(&server).await;
    let handed_out = server.memory.bytes.load(Ordering::SeqCst);
    assert!(
        handed_out < UNREAD,
        "{handed_out} bytes for a peer that reads nothing"
    );
    assert!(handed_out > 0);
    // And now it reads.
    peer.ears = Ears::new(stream);
    assert!(matches!(
        peer.hear().await,
        Some(ServerFrame::TailOpened(_))
    ));
    let mut after = 0;
    while after < entries as u64 {
        let Some(ServerFrame::Page(page)) = peer.hear().await else {
            panic!("no page")
        };
        assert_eq!(page.entries[0].seq, Seq(after + 1));
        after = page.entries.last().unwrap().seq.0;
    }
}

#[tokio::test]
async fn pulls_whose_pages_are_not_read_wait() {
    let (server, certificate) = started();
    server.memory.append_many("ann", 1_000, &[b'x'; 600]);
    let mut peer = Peer::welcomed(&certificate, server.address, "ann").await;
    let flood: Vec<u8> = (1..=200_000).flat_map(raw::pull).collect();
    let writing = tokio::spawn(async move {
        let written = peer.to.write_all(&flood).await;
        (peer, written)
    });
    server
        .until(|memory| memory.bytes.load(Ordering::SeqCst) > 2 * PAGE_BYTES)
        .await;
    others_are_served(&server).await;
    let handed_out = server.memory.bytes.load(Ordering::SeqCst);
    assert!(
        handed_out < UNREAD,
        "{handed_out} bytes for a peer that reads nothing"
    );
    assert!(!writing.is_finished(), "the server has stopped to read");
    writing.abort();
}

#[tokio::test]
async fn sends_in_flight_are_bounded_and_all_are_answered() {
    let (server, certificate) = started();
    server.memory.hold.store(true, Ordering::SeqCst);
    let mut peer = Peer::connect(&certificate, server.address).await;
    peer.say(&raw::hello("ann")).await;
    let Some(ServerFrame::Welcome(welcome)) = peer.hear().await else {
        panic!("no welcome")
    };
    let most = welcome.limits.sends_in_flight as usize;
    let count = 3 * most;
    let Peer {
        mut to, mut ears, ..
    } = peer;
    let writing = tokio::spawn(async move {
        for request in 1..=count as u64 {
            to.write_all(&raw::send(request, "bob")).await.unwrap();
        }
        to
    });
    server.until(|memory| memory.held() >= most).await;
    let boss = server.connect(BOSS).await;
    for _ in 0..300 {
        boss.pull("", Seq(0), 1).await.unwrap();
    }
    assert_eq!(server.memory.held(), most);
    server.memory.release();
    let mut answered = vec![false; count + 1];
    for _ in 0..count {
        let Some(ServerFrame::Sent(sent)) = ears.hear().await else {
            panic!("no answer")
        };
        assert!(
            !std::mem::replace(&mut answered[sent.request as usize], true),
            "answered once"
        );
    }
    writing.await.unwrap();
    assert_eq!(server.memory.sends.load(Ordering::SeqCst), count);
}

#[tokio::test]
async fn many_clients_at_once_get_their_own() {
    let server = Server::start();
    let clients: Vec<_> = (0..40)
        .map(|number| {
            let user = format!("u{number}");
            let connector = server.connector();
            let address = server.address;
            tokio::spawn(async move {
                let identity = crate::server::identity(&user);
                let client = connector
                    .connect(address, "localhost", &identity)
                    .await
                    .unwrap();
                let mut tail = client.tail("", Seq(0)).await.unwrap();
                let sends = (0..50).map(|at| message(&user, "", &format!("{{\"at\":{at}}}")));
                for sent in sends
                    .map(|message| client.send(message))
                    .collect::<Vec<_>>()
                {
                    sent.await.unwrap();
                }
                let mut seen = 0;
                while seen < 50 {
                    for entry in tail.next().await.unwrap().entries {
                        let said = entry.as_message().unwrap().unwrap().content;
                        assert_eq!(said, format!("{{\"at\":{seen}}}").as_bytes());
                        seen += 1;
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(server.memory.sends.load(Ordering::SeqCst), 2_000);
}
