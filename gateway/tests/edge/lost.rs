//! Peers that are lost in the middle of a connection: they stop reading, fall silent, vanish, or come twice at once. What they hold
//! is freed, others do not notice, and who comes back finds everything.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{self, Handle, Runtime};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;
use waybill_core::id::Seq;
use waybill_core::wire::{ServerFrame, Tail};

use crate::follow::{
    Follower, Frames, Got, PATIENCE, Way, asked, dial_with, frame, heard, hello, say, upgraded,
    upgraded_over,
};
use crate::support::{Running, call, config, start, start_with};
use crate::ws_client::{client, pushed};

/// A connection that holds little of what its peer does not read.
async fn narrow(address: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(address).await.unwrap()
}

/// Where a user is connected.
async fn connections(server: &Running, user: &str) -> usize {
    let path = format!("/v1/users/{user}/presence");
    let answer = server.v1("GET", &path, &server.admin, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["connections"].as_array().unwrap().len()
}

/// Waits until a user is connected no longer: the last words have a second.
async fn goes(server: &Running, user: &str) {
    let end = Instant::now() + PATIENCE;
    while connections(server, user).await > 0 {
        assert!(Instant::now() < end, "{user} is still connected");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the metrics have this line.
pub async fn measured(server: &Running, line: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let metrics = call(server.started.ops, "GET", "/metrics", &[], b"").await;
        if metrics.text().lines().any(|found| found == line) {
            return;
        }
        assert!(Instant::now() < end, "{line} is missing");
        sleep(Duration::from_millis(100)).await;
    }
}

/// That the server has ended one connection for this reason.
pub fn ended(transport: &str, reason: &str) -> String {
    format!("waybill_live_ended_total{{transport=\"{transport}\",reason=\"{reason}\"}} 1")
}

/// One message to each of these users.
async fn task(server: &Running, users: &[&str], text: &str) {
    let body = json!({ "to": { "users": users }, "contentType": 101, "content": { "text": text } });
    let path = "/v1/tasks";
    let answer = server
        .v1("POST", path, &server.admin, body.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_reading_is_let_go_and_finds_everything_when_back() {
    /// With 60 KB each more than sockets hold.
    const MESSAGES: u64 = 120;
    const SLOW: [(&str, Way); 2] = [("websocket", Way::Socket), ("sse", Way::Sse)];
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.limits.take_seconds = 2;
    let server = start_with(config).await;
    let quick = asked(&server, "quick", "d", 0).await;
    let mut quick = Follower::start(&server, Way::Socket, quick);
    assert_eq!(quick.next().await, Got::Follows);
    task(&server, &["websocket", "sse", "quick"], "first").await;

    // Both have begun and taken something.
    let token = server.token_of("websocket").await;
    let stream = narrow(server.http()).await;
    let mut socket = upgraded_over(stream, server.http(), "", &[]).await.unwrap();
    let hello = json!({ "frame": "hello", "token": token, "device": "d" });
    say(&mut socket, hello).await;
    say(&mut socket, json!({ "frame": "tail", "request": 1 })).await;
    for frame in ["welcome", "tailOpened", "page"] {
        assert_eq!(heard(&mut socket).await.unwrap()["frame"], frame);
    }
    let token = server.token_of("sse").await;
    let mut events = narrow(server.http()).await;
    let request = format!(
        "GET /v1/users/sse/log?device=d HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    events.write_all(request.as_bytes()).await.unwrap();
    let mut taken = Vec::new();
    while !String::from_utf8_lossy(&taken).contains("event: entry") {
        let read = timeout(PATIENCE, events.read_buf(&mut taken))
            .await
            .unwrap();
        assert!(read.unwrap() > 0);
    }
    for (user, _) in SLOW {
        assert_eq!(connections(&server, user).await, 1);
    }

    let long = "x".repeat(60_000);
    for number in 0..MESSAGES {
        let text = format!("{number} {long}");
        task(&server, &["websocket", "sse", "quick"], &text).await;
    }
    for seq in 1..=MESSAGES + 1 {
        assert_eq!(quick.entry().await.0, seq);
    }
    for (user, way) in SLOW {
        measured(&server, &ended(user, "too_slow")).await;
        goes(&server, user).await;
        let back = asked(&server, user, "d", 1).await;
        let mut back = Follower::start(&server, way, back);
        assert_eq!(back.next().await, Got::Follows);
        for seq in 2..=MESSAGES + 1 {
            assert_eq!(back.entry().await.0, seq, "{user}");
        }
    }
    assert_eq!(connections(&server, "quick").await, 1);
    drop((socket, events));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_falls_silent_is_given_up_and_told_why() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.limits.ping_seconds = 1;
    let server = start_with(config).await;
    let alive = asked(&server, "alive", "d", 0).await;
    let mut alive = Follower::start(&server, Way::Socket, alive);
    assert_eq!(alive.next().await, Got::Follows);
    let token = server.token_of("silent").await;
    let mut socket = upgraded(server.http(), "", &[]).await.unwrap();
    let hello = json!({ "frame": "hello", "token": token, "device": "d" });
    say(&mut socket, hello).await;
    let welcome = heard(&mut socket).await.unwrap();
    assert_eq!(welcome["limits"]["silentMs"], 2_500, "{welcome}");
    say(&mut socket, json!({ "frame": "tail", "request": 1 })).await;
    assert_eq!(heard(&mut socket).await.unwrap()["frame"], "tailOpened");
    server.text_to("silent", "hi").await;
    assert_eq!(heard(&mut socket).await.unwrap()["frame"], "page");
    // From now on it reads and says nothing; the library would answer pings.
    let mut raw = socket.into_inner();
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, raw.read_to_end(&mut bytes)).await;
    let _ = read.expect("an end in time");
    let pings = bytes.windows(2).filter(|two| two == b"\x89\x00").count();
    assert!(pings >= 1, "it was asked for a sign of life");
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("\"SILENT\""), "{text}");
    measured(&server, &ended("websocket", "silent")).await;
    goes(&server, "silent").await;
    server.text_to("alive", "hi").await;
    assert_eq!(alive.entry().await, (1, "hi".to_owned()));
    server.stop().await;
}

/// A client over QUIC with a tail that has brought an entry, on a runtime of its own: while nobody runs that, no packet leaves it and
/// none is taken.
struct Frozen<T>(Runtime, T);

impl<T: Send + 'static> Frozen<T> {
    async fn new<F>(make: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = T>,
    {
        let made = tokio::task::spawn_blocking(move || {
            let runtime = runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            let made = runtime.block_on(make());
            Self(runtime, made)
        });
        made.await.unwrap()
    }

    fn bury(self) {
        let Self(runtime, made) = self;
        drop(made);
        runtime.shutdown_background();
    }
}

/// The tasks of this process come to be as few as they were.
async fn tasks_end(before: usize) {
    let end = Instant::now() + PATIENCE;
    let alive = || Handle::current().metrics().num_alive_tasks();
    while alive() > before {
        assert!(Instant::now() < end, "{} tasks, {before} before", alive());
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quic_client_that_vanishes_is_gone_after_the_idle_time() {
    /// The shorter of both sides' counts.
    const IDLE: Duration = Duration::from_millis(1_500);
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    server.text_to("u1", "1").await;
    sleep(Duration::from_millis(300)).await;
    let before = Handle::current().metrics().num_alive_tasks();
    let address = server.started.quic;
    let frozen = Frozen::new(move || async move {
        let mut transport = quinn::TransportConfig::default();
        transport.max_idle_timeout(Some(IDLE.try_into().unwrap()));
        let (endpoint, connection) = dial_with(address, transport).await;
        let (mut to, from) = connection.open_bi().await.unwrap();
        let mut control = Frames::new(from);
        let said = to.write_all(&frame(&hello(&token, "d"))).await;
        said.unwrap();
        let welcome = control.next().await;
        assert!(matches!(welcome, Some(ServerFrame::Welcome(_))));
        let tail = Tail {
            request: 1,
            user: String::new(),
            after: Seq(0),
        };
        // Until the server knows that the handshake is complete it refuses tails.
        sleep(Duration::from_millis(200)).await;
        to.write_all(&frame(&tail)).await.unwrap();
        let mut tail = Frames::new(connection.accept_uni().await.unwrap());
        assert!(matches!(
            tail.next().await,
            Some(ServerFrame::TailOpened(_))
        ));
        assert!(matches!(tail.next().await, Some(ServerFrame::Page(_))));
        (endpoint, connection, to, control, tail)
    })
    .await;
    let open = "waybill_connections{transport=\"quic\"}";
    assert_eq!(connections(&server, "u1").await, 1);
    measured(&server, &format!("{open} 1")).await;
    assert!(Handle::current().metrics().num_alive_tasks() > before);
    for number in 2..=20 {
        server.text_to("u1", &number.to_string()).await;
    }
    measured(&server, &format!("{open} 0")).await;
    goes(&server, "u1").await;
    tasks_end(before).await;
    let back = asked(&server, "u1", "d", 1).await;
    let mut back = Follower::start(&server, Way::Quic, back);
    assert_eq!(back.next().await, Got::Follows);
    for number in 2..=20 {
        assert_eq!(back.entry().await, (number, number.to_string()));
    }
    frozen.bury();
    server.stop().await;
}

/// What a follower is left with: an entry, or the reason for which it had to go.
async fn left_with(mut follower: Follower) -> Got {
    loop {
        match follower.next().await {
            Got::Follows => {}
            got => return got,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sessions_of_one_device_that_come_at_once_one_stays() {
    /// Fewer than a user may have.
    const AT_ONCE: usize = 6;
    let (_data, server) = start().await;
    for way in [Way::Quic, Way::Sse, Way::Socket] {
        let user = format!("{way:?}").to_lowercase();
        let asked = asked(&server, &user, "phone", 0).await;
        let start = || Follower::start(&server, way, asked.clone());
        let followers = (0..AT_ONCE).map(|_| tokio::spawn(left_with(start())));
        let followers: Vec<_> = followers.collect();
        let end = Instant::now() + PATIENCE;
        while followers.iter().filter(|one| !one.is_finished()).count() > 1 {
            assert!(Instant::now() < end, "{way:?}");
            sleep(Duration::from_millis(20)).await;
        }
        server.text_to(&user, "hi").await;
        let (mut stayed, mut went) = (0, 0);
        for follower in followers {
            match follower.await.unwrap() {
                Got::Entry(1, text) if text == "hi" => stayed += 1,
                Got::Bye(name, _) if name == "SUPERSEDED" => went += 1,
                got => panic!("{way:?}: {got:?}"),
            }
        }
        assert_eq!((stayed, went), (1, AT_ONCE - 1), "{way:?}");
    }
    server.stop().await;
}

/// A client of OpenIM's says by its pongs what has arrived: one that names what it was never sent, or nothing, has said nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pong_beyond_what_was_pushed_moves_no_cursor() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.limits.reached_seconds = 1;
    let server = start_with(config).await;
    let token = server.token_of("u1").await;
    let sent = server.text_to("u1", "1").await;
    let path = format!("/v1/messages/{}", sent["serverMsgID"].as_str().unwrap());
    let state = async || {
        let answer = server.v1("GET", &path, &server.admin, "").await;
        answer.json()["state"].clone()
    };
    let mut socket = client(&server, "u1", &token).await;
    for forged in [
        u64::MAX.to_be_bytes().to_vec(),
        1_u64.to_be_bytes().to_vec(),
        vec![0xff; 125],
        Vec::new(),
    ] {
        socket.send(Frame::Pong(forged.into())).await.unwrap();
    }
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(state().await, "durable");
    // It goes on, and what it is asked about next it answers truly.
    server.text_to("u1", "2").await;
    pushed(&mut socket).await;
    let reads = tokio::spawn(async move { while socket.next().await.is_some() {} });
    let end = Instant::now() + PATIENCE;
    while state().await != "delivered" {
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(100)).await;
    }
    reads.abort();
    server.stop().await;
}
