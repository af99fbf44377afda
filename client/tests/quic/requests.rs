//! What a well-behaved client asks for, and gets.

use std::sync::atomic::Ordering;

use waybill_client::Error;
use waybill_core::id::Seq;
use waybill_core::wire::{Code, MAX_BATCH, ServerFrame};

use crate::memory::{BOSS, EPOCH, NOBODY};
use crate::raw::{self, Peer};
use crate::server::{Server, certificate, identity, message, options};

#[tokio::test]
async fn what_was_sent_is_pulled() {
    let server = Server::start();
    let boss = server.connect(BOSS).await;
    assert_eq!(
        (boss.welcome().user.as_str(), boss.welcome().head),
        (BOSS, Seq(0))
    );
    let sent = boss
        .send(message("ann", "c-1", r#"{"text":"hi"}"#))
        .await
        .unwrap();
    assert_eq!(
        (sent.seq, sent.new_receiver, sent.repeated),
        (Some(Seq(1)), true, false)
    );
    let again = boss
        .send(message("ann", "c-1", r#"{"text":"hi"}"#))
        .await
        .unwrap();
    assert_eq!((again.seq, again.repeated), (Some(Seq(1)), true));
    let ann = server.connect("ann").await;
    assert_eq!((ann.welcome().head, ann.welcome().epoch), (Seq(1), EPOCH));
    for page in [
        ann.pull("", Seq(0), 10).await,
        boss.pull("ann", Seq(0), 10).await,
    ] {
        let page = page.unwrap();
        assert_eq!(
            (page.head.head, page.head.floor, page.head.more),
            (Seq(1), Seq(1), false)
        );
        let message = page.entries[0].as_message().unwrap().unwrap();
        assert_eq!(message.content, br#"{"text":"hi"}"#);
    }
    let empty = ann.pull("", Seq(1), 10).await.unwrap();
    assert!(empty.entries.is_empty());
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let server = Server::start();
    server.memory.append_many("ann", 2_500, &[b'x'; 900]);
    let ann = server.connect("ann").await;
    let (mut after, mut pages) = (Seq(0), 0);
    loop {
        let page = ann.pull("", after, 1_000).await.unwrap();
        for entry in &page.entries {
            assert_eq!(entry.seq, after.next());
            after = entry.seq;
        }
        pages += 1;
        if !page.head.more {
            break;
        }
    }
    assert_eq!(after, Seq(2_500));
    assert!(
        pages > 3,
        "512 KiB end a page before 1,000 entries do: {pages}"
    );
}

#[tokio::test]
async fn refusals_name_their_reason() {
    let server = Server::start();
    let ann = server.connect("ann").await;
    let code = |error: Error| error.code().unwrap();
    assert_eq!(
        code(ann.pull("bob", Seq(0), 10).await.unwrap_err()),
        Code::FORBIDDEN
    );
    assert_eq!(
        code(ann.pull("", Seq(7), 10).await.unwrap_err()),
        Code::AHEAD
    );
    for limit in [0, 1_001, 1_000_000_000] {
        assert_eq!(
            code(ann.pull("", Seq(0), limit).await.unwrap_err()),
            Code::INVALID_FIELD
        );
    }
    let sent = ann.send(message(NOBODY, "", "{}")).await;
    assert_eq!(code(sent.unwrap_err()), Code::UNKNOWN_RECEIVER);
    assert_eq!(
        code(ann.acknowledge(Seq(9)).await.unwrap_err()),
        Code::AHEAD
    );
    let Err(error) = ann.tail("bob", Seq(0)).await else {
        panic!("a foreign tail")
    };
    assert_eq!(code(error), Code::FORBIDDEN);
    assert!(
        ann.pull("", Seq(0), 10).await.is_ok(),
        "and the connection goes on"
    );
}

#[tokio::test]
async fn each_send_of_a_batch_has_its_own_answer() {
    let server = Server::start();
    let boss = server.connect(BOSS).await;
    let batch = vec![
        message("ann", "1", "{}"),
        message(NOBODY, "2", "{}"),
        message("ann", "3", "{}"),
    ];
    let answers = boss.send_batch(batch).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().seq, Some(Seq(1)));
    assert_eq!(
        answers[1].as_ref().unwrap_err().code,
        Code::UNKNOWN_RECEIVER
    );
    assert_eq!(answers[2].as_ref().unwrap().seq, Some(Seq(2)));
    let empty = boss.send_batch(Vec::new()).await.unwrap_err();
    assert_eq!(empty.code(), Some(Code::INVALID_FIELD));
    let full = (0..MAX_BATCH).map(|_| message("bob", "", "{}")).collect();
    assert_eq!(boss.send_batch(full).await.unwrap().len(), MAX_BATCH);
    let large = vec![message("bob", "", &"x".repeat(600_000)); 2];
    assert!(matches!(
        boss.send_batch(large).await,
        Err(Error::TooLarge(_))
    ));
    assert!(boss.send(message("bob", "", "{}")).await.is_ok());
}

#[tokio::test]
async fn answers_come_in_any_order_and_find_their_requests() {
    let server = Server::start();
    server.memory.hold.store(true, Ordering::SeqCst);
    let boss = server.connect(BOSS).await;
    let sends: Vec<_> = (0..100)
        .map(|number| {
            let boss = boss.clone();
            tokio::spawn(async move {
                let id = format!("c-{number}");
                let sent = boss.send(message("ann", &id, "{}")).await.unwrap();
                assert_eq!(sent.client_msg_id, id);
            })
        })
        .collect();
    server.until(|memory| memory.held() == 100).await;
    assert!(
        boss.pull("", Seq(0), 1).await.is_ok(),
        "a pull overtakes sends"
    );
    server.memory.release();
    for send in sends {
        send.await.unwrap();
    }
}

#[tokio::test]
async fn a_send_that_nobody_answers_has_an_unknown_outcome() {
    let server = Server::start();
    server.memory.hold.store(true, Ordering::SeqCst);
    let boss = server.connect(BOSS).await;
    let lost = async {
        server.until(|memory| memory.held() == 3).await;
        server.memory.lose();
    };
    let batch = vec![message("ann", "2", "{}"), message("ann", "3", "{}")];
    let (one, batch, ()) = tokio::join!(
        boss.send(message("ann", "1", "{}")),
        boss.send_batch(batch),
        lost
    );
    assert_eq!(one.unwrap_err().code(), Some(Code::OUTCOME_UNKNOWN));
    for answer in batch.unwrap() {
        assert_eq!(answer.unwrap_err().code, Code::OUTCOME_UNKNOWN);
    }
}

#[tokio::test]
async fn a_cursor_only_grows() {
    let server = Server::start();
    server.memory.append_many("ann", 5, b"{}");
    let ann = server.connect("ann").await;
    assert_eq!(ann.acknowledge(Seq(4)).await.unwrap(), Seq(4));
    assert_eq!(ann.acknowledge(Seq(2)).await.unwrap(), Seq(4));
    let bot = waybill_client::Identity::new("token-of-ann");
    let bot = server
        .connector()
        .connect(server.address, "localhost", &bot)
        .await
        .unwrap();
    assert_eq!(
        bot.acknowledge(Seq(1)).await.unwrap_err().code(),
        Some(Code::NO_DEVICE)
    );
}

#[tokio::test]
async fn a_tail_brings_what_is_there_and_what_comes() {
    let server = Server::start();
    server.memory.append_many("ann", 1_000, &[b'x'; 300]);
    let ann = server.connect("ann").await;
    let mut tail = ann.tail("", Seq(10)).await.unwrap();
    assert_eq!(tail.opened().head, Seq(1_000));
    let mut after = Seq(10);
    while after < Seq(1_000) {
        for entry in tail.next().await.unwrap().entries {
            assert_eq!(entry.seq, after.next());
            after = entry.seq;
        }
    }
    let boss = server.connect(BOSS).await;
    for number in 1_001..1_050 {
        boss.send(message("ann", "", "{}")).await.unwrap();
        boss.send(message("bob", "", "{}")).await.unwrap();
        let page = tail.next().await.unwrap();
        assert_eq!(
            page.entries.len(),
            1,
            "no empty pages, and nothing of bob's"
        );
        assert_eq!(page.entries[0].seq, Seq(number));
    }
    let Err(error) = ann.tail("", Seq(5_000)).await else {
        panic!("a tail ahead of its log")
    };
    assert_eq!(error.code(), Some(Code::AHEAD));
}

#[tokio::test]
async fn tails_are_few_and_make_room_when_they_are_dropped() {
    let server = Server::start();
    let ann = server.connect("ann").await;
    let most = ann.welcome().limits.tails as usize;
    let mut tails = Vec::new();
    for _ in 0..most {
        tails.push(ann.tail("", Seq(0)).await.unwrap());
    }
    let Err(error) = ann.tail("", Seq(0)).await else {
        panic!("a tail too many")
    };
    assert_eq!(error.code(), Some(Code::TOO_MANY_TAILS));
    tails.pop();
    loop {
        match ann.tail("", Seq(0)).await {
            Ok(tail) => break tails.push(tail),
            Err(error) => assert_eq!(error.code(), Some(Code::TOO_MANY_TAILS)),
        }
    }
    server.memory.append("ann", b"{}");
    for tail in &mut tails {
        assert_eq!(tail.next().await.unwrap().entries.len(), 1);
    }
}

#[tokio::test]
async fn frames_may_be_cut_anywhere_and_unknown_ones_are_skipped() {
    let certificate = certificate();
    let any_port = ([127, 0, 0, 1], 0).into();
    let server = Server::on(any_port, &certificate, options(), Default::default());
    let mut peer = Peer::connect(&certificate, server.address).await;
    let unknown = raw::any(200, &[7; 30]);
    let said = [
        raw::hello("ann"),
        unknown.clone(),
        raw::pull(1),
        unknown,
        raw::pull(2),
    ]
    .concat();
    for byte in said {
        peer.say(&[byte]).await;
    }
    assert!(matches!(peer.hear().await, Some(ServerFrame::Welcome(_))));
    for request in [1, 2] {
        let Some(ServerFrame::Page(page)) = peer.hear().await else {
            panic!("no page")
        };
        assert_eq!(page.head.request, request);
    }
}

#[tokio::test]
async fn a_connection_moves_with_its_client() {
    let server = Server::start();
    let connector = server.connector();
    let ann = connector
        .connect(server.address, "localhost", &identity("ann"))
        .await
        .unwrap();
    let mut tail = ann.tail("", Seq(0)).await.unwrap();
    let elsewhere = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    connector.endpoint().rebind(elsewhere).unwrap();
    ann.pull("", Seq(0), 1).await.unwrap();
    server.memory.append("ann", b"{}");
    assert_eq!(tail.next().await.unwrap().entries[0].seq, Seq(1));
    assert_eq!(
        server.memory.hellos.load(Ordering::SeqCst),
        1,
        "without a new hello"
    );
}
