//! Peers that ask without end and do not listen: each request has its one answer or refusal, and nobody else waits for it.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;
use waybill_core::id::Seq;
use waybill_core::wire::{ServerFrame, Tail};

use crate::follow::{Frames, PATIENCE, dial, frame, heard, hello, say, upgraded};
use crate::support::{Running, start};

/// How long a peer does not listen while it asks.
const DEAF: Duration = Duration::from_millis(500);

/// A connection of a user that says all these frames before it listens, and what then comes until every request has an answer.
async fn flood(server: &Running, user: &str, frames: Vec<Frame>, requests: usize) -> Vec<Value> {
    let token = server.token_of(user).await;
    let mut socket = upgraded(server.http(), "", &[]).await.unwrap();
    say(&mut socket, json!({ "frame": "hello", "token": token })).await;
    assert_eq!(heard(&mut socket).await.unwrap()["frame"], "welcome");
    let (mut to, mut from) = socket.split();
    let saying = tokio::spawn(async move {
        for frame in frames {
            if to.send(frame).await.is_err() {
                return;
            }
        }
    });
    sleep(DEAF).await;
    // Others are not held up.
    server.text_to("somebody", "else").await;
    let mut answers: Vec<Value> = Vec::new();
    while answers.len() < requests {
        let frame = timeout(PATIENCE, from.next()).await;
        match frame.expect("an answer in time") {
            Some(Ok(Frame::Text(text))) => answers.push(serde_json::from_str(&text).unwrap()),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
            other => panic!("after {} answers: {other:?}", answers.len()),
        }
    }
    saying.await.unwrap();
    answers
}

/// How often each request was answered, and what the answers are called.
fn counted(answers: &[Value]) -> (HashMap<u64, usize>, HashMap<String, usize>) {
    let (mut requests, mut names) = (HashMap::new(), HashMap::new());
    for answer in answers {
        let request = answer["request"].as_u64().expect("a request");
        *requests.entry(request).or_default() += 1;
        let name = answer["name"].as_str().or(answer["frame"].as_str());
        *names.entry(name.unwrap().to_owned()).or_default() += 1;
    }
    (requests, names)
}

fn text(frame: &Value) -> Frame {
    Frame::text(frame.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_beyond_the_bound_are_refused_and_all_are_answered() {
    const PULLS: u64 = 2_000;
    let (_data, server) = start().await;
    for number in 0..20 {
        let long = "x".repeat(30_000);
        server.text_to("u1", &format!("{number} {long}")).await;
    }
    let pulls = (1..=PULLS).map(|request| text(&json!({ "frame": "pull", "request": request })));
    let answers = flood(&server, "u1", pulls.collect(), PULLS as usize).await;
    let (requests, names) = counted(&answers);
    assert!((1..=PULLS).all(|request| requests[&request] == 1));
    let (pages, refused) = (names["page"], names.get("TOO_MANY_PULLS").unwrap_or(&0));
    assert_eq!(pages + refused, PULLS as usize, "{names:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_of_the_transport_are_answered_without_a_queue() {
    const PINGS: usize = 50_000;
    let (_data, server) = start().await;
    let ping = || Frame::Ping(vec![7; 125].into());
    let mut frames: Vec<_> = std::iter::repeat_with(ping).take(PINGS).collect();
    frames.push(text(&json!({ "frame": "ping", "request": 1 })));
    let answers = flood(&server, "u1", frames, 1).await;
    assert_eq!(answers[0]["frame"], "pong");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_come_and_go_leave_nothing_behind() {
    const TURNS: u64 = 2_000;
    let (_data, server) = start().await;
    let watch = |request: u64| json!({ "frame": "watch", "request": request, "users": ["u1"] });
    let mut frames = Vec::new();
    for turn in 0..TURNS {
        let tail = 4 * turn + 1;
        // The second tail of a turn is never ended: after four turns there is room for no more.
        frames.push(text(&json!({ "frame": "tail", "request": tail })));
        frames.push(text(&json!({ "frame": "endTail", "request": tail })));
        frames.push(text(&json!({ "frame": "tail", "request": tail + 1 })));
        frames.push(text(&watch(tail + 2)));
    }
    let answers = flood(&server, "u1", frames, 4 * TURNS as usize).await;
    let (_, names) = counted(&answers);
    let count = |name: &str| names.get(name).copied().unwrap_or(0) as u64;
    // Of the first four turns both tails were opened, and one of them was ended; then four are open.
    assert_eq!(count("tailOpened"), 8, "{names:?}");
    assert_eq!(count("TOO_MANY_TAILS"), 2 * TURNS - 8, "{names:?}");
    assert_eq!(count("tailEnded"), TURNS, "{names:?}");
    assert_eq!(count("presence"), TURNS, "{names:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tails_over_quic_beyond_the_bound_are_refused_and_all_are_answered() {
    const TAILS: u64 = 5_000;
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let (_endpoint, connection) = dial(server.started.quic).await;
    let (mut to, from) = connection.open_bi().await.unwrap();
    let mut control = Frames::new(from);
    to.write_all(&frame(&hello(&token, ""))).await.unwrap();
    assert!(matches!(
        control.next().await,
        Some(ServerFrame::Welcome(_))
    ));
    // The server learns a moment later that the handshake is complete; before that it refuses tails for another reason.
    sleep(Duration::from_millis(200)).await;
    let flood = (1..=TAILS).flat_map(|request| {
        frame(&Tail {
            request,
            user: String::new(),
            after: Seq(0),
        })
    });
    let flood: Vec<u8> = flood.collect();
    let saying = tokio::spawn(async move {
        let _ = to.write_all(&flood).await;
        to
    });
    sleep(DEAF).await;
    server.text_to("somebody", "else").await;
    // All but four are refused; those four have streams of their own.
    for _ in 4..TAILS {
        match timeout(PATIENCE, control.next()).await.unwrap() {
            Some(ServerFrame::Refused(refused)) => {
                let name = refused.failure.code.info().unwrap().name;
                assert_eq!(name, "TOO_MANY_TAILS");
            }
            other => panic!("{other:?}"),
        }
    }
    let _to = saying.await.unwrap();
    for _ in 0..4 {
        let stream = timeout(PATIENCE, connection.accept_uni()).await.unwrap();
        let opened = Frames::new(stream.unwrap()).next().await;
        assert!(matches!(opened, Some(ServerFrame::TailOpened(_))));
    }
    server.stop().await;
}
