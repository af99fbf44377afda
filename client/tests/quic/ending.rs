//! How connections end: by the client, by the server, by a stop, by a kill.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use waybill_client::{Error, Fingerprint};
use waybill_core::id::Seq;
use waybill_core::wire::{Bye, Code, ServerFrame};

use crate::memory::{BOSS, Memory};
use crate::raw::{self, Peer};
use crate::server::{Server, certificate, identity, message, options};

#[tokio::test]
async fn a_client_that_has_said_all_gets_its_answers_and_a_goodbye() {
    let certificate = certificate();
    let any = ([127, 0, 0, 1], 0).into();
    let server = Server::on(any, &certificate, options(), Default::default());
    for goodbye in [Vec::new(), raw::frame(&Bye::new(Code::CLOSED, "done"))] {
        let mut peer = Peer::connect(&certificate, server.address).await;
        let sends = [
            raw::hello("ann"),
            raw::send(1, "bob"),
            raw::send(2, "bob"),
            raw::pull(3),
        ];
        peer.say(&[sends.concat(), goodbye].concat()).await;
        peer.to.finish().unwrap();
        assert!(matches!(peer.hear().await, Some(ServerFrame::Welcome(_))));
        let mut answers = 0;
        loop {
            match peer.hear().await {
                Some(ServerFrame::Sent(_) | ServerFrame::Page(_)) => answers += 1,
                Some(ServerFrame::Bye(bye)) => break assert_eq!(bye.code, Code::CLOSED),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(answers, 3);
        assert_eq!(peer.end().await.1, Some(Code::CLOSED));
    }
    server
        .until(|memory| memory.sessions.load(Ordering::SeqCst) == 0)
        .await;
}

#[tokio::test]
async fn a_client_that_closes_leaves_nothing_behind() {
    let server = Server::start();
    let ann = server.connect("ann").await;
    let tail = ann.tail("", Seq(0)).await.unwrap();
    ann.clone().close().await;
    assert!(matches!(
        ann.pull("", Seq(0), 1).await,
        Err(Error::Ended { .. } | Error::Lost(_))
    ));
    drop((ann, tail));
    let bob = server.connect("bob").await;
    drop(bob);
    server
        .until(|memory| memory.sessions.load(Ordering::SeqCst) == 0)
        .await;
    while server.counters.open() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_session_that_must_end_is_told_why_after_its_answers() {
    let server = Server::start();
    server.memory.hold.store(true, Ordering::SeqCst);
    let ann = server.connect("ann").await;
    let mut tail = ann.tail("", Seq(0)).await.unwrap();
    let sending = tokio::spawn({
        let ann = ann.clone();
        async move { ann.send(message("bob", "", "{}")).await }
    });
    server.until(|memory| memory.held() == 1).await;
    let bye = Bye {
        retry_after_ms: 77,
        ..Bye::new(Code::TOKEN_REVOKED, "log in again")
    };
    server.memory.goodbye.send_replace(Some(bye));
    server.memory.release();
    assert!(sending.await.unwrap().is_ok(), "what was taken is answered");
    let end = ann.closed().await;
    assert_eq!(end.code(), Some(Code::TOKEN_REVOKED), "{end}");
    assert_eq!(
        tail.next().await.unwrap_err().code(),
        Some(Code::TOKEN_REVOKED)
    );
    let again = ann.send(message("bob", "", "{}")).await.unwrap_err();
    assert_eq!(
        again.code(),
        Some(Code::TOKEN_REVOKED),
        "and whoever comes later is told too"
    );
}

#[tokio::test]
async fn a_stop_answers_what_was_taken_and_takes_no_more() {
    let mut server = Server::start();
    server.memory.hold.store(true, Ordering::SeqCst);
    let ann = server.connect("ann").await;
    let sending = tokio::spawn({
        let ann = ann.clone();
        async move { ann.send(message("bob", "", "{}")).await }
    });
    server.until(|memory| memory.held() == 1).await;
    server.stop();
    let Err(late) = server.try_connect("cy").await else {
        panic!("a stopping server let me in")
    };
    assert!(
        matches!(late, Error::Lost(_) | Error::Ended { .. }),
        "{late}"
    );
    server.memory.release();
    sending.await.unwrap().unwrap();
    let end = ann.closed().await;
    assert_eq!(end.code(), Some(Code::STOPPING), "{end}");
    let memory = server.memory.clone();
    server.stopped().await;
    assert_eq!(memory.sessions.load(Ordering::SeqCst), 0);
}

/// Runs a server in a runtime of its own, which is thrown away when the sender is dropped: like a kill, nobody says goodbye.
fn mortal(
    address: std::net::SocketAddr,
    certificate: waybill_gateway::quic::Certificate,
    memory: std::sync::Arc<Memory>,
) -> (
    std::net::SocketAddr,
    mpsc::Sender<()>,
    std::thread::JoinHandle<()>,
) {
    let (up, started) = mpsc::channel();
    let (kill, killed) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server =
            runtime.block_on(async { Server::on(address, &certificate, options(), memory) });
        up.send(server.address).unwrap();
        let _ = killed.recv();
        runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    });
    (started.recv().unwrap(), kill, thread)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_the_loss_is_noticed_and_the_log_goes_on() {
    let certificate = certificate();
    let pin = Fingerprint(certificate.fingerprint().0);
    let copy = || waybill_gateway::quic::Certificate {
        chain: certificate.chain.clone(),
        key: certificate.key.clone_key(),
    };
    let memory = std::sync::Arc::<Memory>::default();
    let any = ([127, 0, 0, 1], 0).into();
    let (address, kill, thread) = mortal(any, copy(), memory.clone());
    let connector = waybill_client::Connector::new(waybill_client::Trust::Pinned(pin)).unwrap();
    let boss = connector
        .connect(address, "localhost", &identity(BOSS))
        .await
        .unwrap();
    for number in 0..10 {
        boss.send(message("ann", &number.to_string(), "{}"))
            .await
            .unwrap();
    }
    drop(kill);
    thread.join().unwrap();
    let (_, kill, thread) = mortal(address, copy(), memory.clone());
    // The new server knows nothing of the connection and says so; otherwise this would take the idle time.
    let lost = boss.send(message("ann", "10", "{}")).await.unwrap_err();
    assert!(!lost.to_string().contains("timed out"), "{lost}");
    let boss = connector
        .connect(address, "localhost", &identity(BOSS))
        .await
        .unwrap();
    for number in 5..15 {
        let sent = boss
            .send(message("ann", &number.to_string(), "{}"))
            .await
            .unwrap();
        assert_eq!(sent.repeated, number < 10);
    }
    let page = boss.pull("ann", Seq(0), 100).await.unwrap();
    assert_eq!(page.entries.len(), 15);
    drop((boss, connector, kill));
    thread.join().unwrap();
}
