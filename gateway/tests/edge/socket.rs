//! The native WebSocket: upgrade, hello, requests, and what ends a connection.

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use crate::follow::{Socket, heard, say, upgraded};
use crate::support::{Running, config, start, start_with};

/// A connection that was welcomed.
async fn welcomed(server: &Running, token: &str, device: &str) -> Socket {
    let mut socket = upgraded(server.http(), "", &[]).await.unwrap();
    say(
        &mut socket,
        json!({ "frame": "hello", "token": token, "device": device }),
    )
    .await;
    let welcome = heard(&mut socket).await.unwrap();
    assert_eq!(welcome["frame"], "welcome", "{welcome}");
    socket
}

async fn ask(socket: &mut Socket, frame: Value) -> Value {
    let request = frame["request"].clone();
    say(socket, frame).await;
    loop {
        let answer = heard(socket).await.expect("an answer");
        if answer["request"] == request {
            return answer;
        }
    }
}

fn text_to(user: &str, id: &str, text: &str) -> Value {
    json!({
        "to": { "user": user }, "contentType": 101, "content": { "text": text }, "clientMsgID": id
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_sent_pulled_and_acknowledged() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let mut socket = welcomed(&server, &token, "d1").await;
    let send = |request: u64, id: &str, text: &str| json!({ "frame": "send", "request": request, "message": text_to("u2", id, text) });
    let sent = ask(&mut socket, send(1, "a", "hi")).await;
    assert_eq!(
        (&sent["frame"], &sent["clientMsgID"]),
        (&json!("sent"), &json!("a"))
    );
    assert_eq!(sent["repeated"], false);
    assert!(sent["receivers"][0].get("seq").is_none(), "{sent}");
    let again = ask(&mut socket, send(2, "a", "hi")).await;
    assert_eq!(
        (&again["serverMsgID"], &again["repeated"]),
        (&sent["serverMsgID"], &json!(true))
    );
    let other = ask(&mut socket, send(3, "a", "another")).await;
    assert_eq!(
        (&other["frame"], &other["name"]),
        (&json!("refused"), &json!("KEY_REUSED"))
    );
    let batch = json!({ "frame": "sendBatch", "request": 4, "messages": [
        text_to("u2", "b", "one"), { "to": {} }, text_to("u2", "c", "two"), "text", text_to("u2", "d", "")
    ] });
    let answers = ask(&mut socket, batch).await;
    let answers = answers["answers"].as_array().unwrap();
    let names: Vec<_> = answers
        .iter()
        .map(|answer| answer["name"].as_str().unwrap_or("sent"))
        .collect();
    assert_eq!(
        names,
        [
            "sent",
            "INVALID_FIELD",
            "sent",
            "INVALID_FIELD",
            "CONTENT_RULES"
        ]
    );
    let page = ask(
        &mut socket,
        json!({ "frame": "pull", "request": 5, "after": 1, "limit": 1 }),
    )
    .await;
    assert_eq!(page["entries"][0]["seq"], 2, "{page}");
    assert_eq!((&page["head"], &page["more"]), (&json!(3), &json!(true)));
    let empty = ask(
        &mut socket,
        json!({ "frame": "pull", "request": 6, "after": 3 }),
    )
    .await;
    assert_eq!(empty["entries"], json!([]));
    for (seq, answer) in [(2, json!(2)), (1, json!(2)), (3, json!(3)), (0, json!(3))] {
        let acknowledged = ask(
            &mut socket,
            json!({ "frame": "acknowledge", "request": 7, "seq": seq }),
        )
        .await;
        assert_eq!(acknowledged["seq"], answer, "{acknowledged}");
    }
    let beyond = ask(
        &mut socket,
        json!({ "frame": "acknowledge", "request": 8, "seq": 4 }),
    )
    .await;
    assert_eq!(
        (&beyond["name"], &beyond["head"]),
        (&json!("AHEAD"), &json!(3))
    );
    say(&mut socket, json!({ "frame": "bye" })).await;
    let bye = heard(&mut socket).await.unwrap();
    assert_eq!((&bye["frame"], &bye["code"]), (&json!("bye"), &json!(0)));
    assert_eq!(heard(&mut socket).await, None);
    let mut nameless = welcomed(&server, &token, "").await;
    let refused = ask(
        &mut nameless,
        json!({ "frame": "acknowledge", "request": 1, "seq": 1 }),
    )
    .await;
    assert_eq!(refused["name"], "NO_DEVICE");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tails_are_bounded_end_when_asked_and_take_turns() {
    let (_data, server) = start().await;
    let admin = server.admin.clone();
    let mut socket = welcomed(&server, &admin, "").await;
    let tail =
        |request: u64, user: &str| json!({ "frame": "tail", "request": request, "user": user });
    for user in ["a", "b", "c", "d"] {
        server.token_of(user).await;
    }
    for (request, user) in (1..).zip(["a", "b", "c", "d"]) {
        let opened = ask(&mut socket, tail(request, user)).await;
        assert_eq!(opened["frame"], "tailOpened", "{opened}");
    }
    assert_eq!(
        ask(&mut socket, tail(5, "a")).await["name"],
        "TOO_MANY_TAILS"
    );
    assert_eq!(
        ask(&mut socket, tail(6, "nobody")).await["name"],
        "UNKNOWN_USER"
    );
    let pull = json!({ "frame": "pull", "request": 1, "user": "a" });
    assert_eq!(
        ask(&mut socket, pull).await["name"],
        "INVALID_FIELD",
        "1 is in use"
    );
    let ended = ask(&mut socket, json!({ "frame": "endTail", "request": 1 })).await;
    assert_eq!(ended["frame"], "tailEnded");
    assert_eq!(ask(&mut socket, tail(5, "a")).await["frame"], "tailOpened");
    for user in ["d", "c", "b", "a"] {
        server.text_to(user, user).await;
        let page = heard(&mut socket).await.unwrap();
        assert_eq!(page["entries"][0]["content"]["text"], user, "{page}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_refused_and_later_kinds_skipped() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let mut socket = welcomed(&server, &token, "d1").await;
    for (frame, name) in [
        (
            json!({ "frame": "pull", "request": 1, "user": "u2" }),
            "FORBIDDEN",
        ),
        (
            json!({ "frame": "pull", "request": 1, "limit": 0 }),
            "INVALID_FIELD",
        ),
        (
            json!({ "frame": "pull", "request": 1, "limit": 1001 }),
            "INVALID_FIELD",
        ),
        (
            json!({ "frame": "pull", "request": 1, "unknown": 1 }),
            "INVALID_FIELD",
        ),
        (
            json!({ "frame": "pull", "request": 1, "after": 1 }),
            "AHEAD",
        ),
        (
            json!({ "frame": "tail", "request": 1, "after": u64::MAX }),
            "AHEAD",
        ),
        (
            json!({ "frame": "tail", "request": 1, "epoch": "" }),
            "OTHER_EPOCH",
        ),
        (
            json!({ "frame": "sendBatch", "request": 1, "messages": [] }),
            "INVALID_FIELD",
        ),
        (
            json!({ "frame": "acknowledge", "request": 1, "seq": "1" }),
            "INVALID_FIELD",
        ),
    ] {
        let refused = ask(&mut socket, frame.clone()).await;
        assert_eq!(
            (&refused["frame"], &refused["name"]),
            (&json!("refused"), &json!(name)),
            "{frame}"
        );
    }
    for later in [
        json!({ "frame": "dance", "request": 1 }),
        json!({ "frame": "wave" }),
    ] {
        say(&mut socket, later).await;
    }
    let pong = ask(&mut socket, json!({ "frame": "ping", "request": 2 })).await;
    assert_eq!(pong["frame"], "pong", "it lives on");
    server.stop().await;
}

/// How a connection ends after a message.
async fn ends(server: &Running, token: &str, message: Frame) -> String {
    let mut socket = welcomed(server, token, "").await;
    let _ = socket.send(message).await;
    let bye = heard(&mut socket).await.expect("a goodbye");
    assert_eq!(bye["frame"], "bye", "{bye}");
    bye["name"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_frame_ends_the_connection_with_a_code() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    for (text, name) in [
        ("garbage".to_owned(), "MALFORMED_FRAME"),
        ("[]".to_owned(), "MALFORMED_FRAME"),
        (r#"{"frame":"pull"}"#.to_owned(), "MALFORMED_FRAME"),
        (
            r#"{"frame":"hello","token":"x"}"#.to_owned(),
            "HELLO_REPEATED",
        ),
        (r#"{"frame":"welcome"}"#.to_owned(), "UNEXPECTED_FRAME"),
        (
            format!(r#"{{"frame":"{}"}}"#, "x".repeat(256 * 1024)),
            "FRAME_TOO_LONG",
        ),
    ] {
        assert_eq!(ends(&server, &token, Frame::text(text)).await, name);
    }
    let binary = Frame::binary(vec![1, 2, 3]);
    assert_eq!(ends(&server, &token, binary).await, "UNEXPECTED_FRAME");
    server.stop().await;
}

/// What the first frame comes to: the names of what is said until the end.
async fn greeted(server: &Running, query: &str, first: &str) -> Vec<String> {
    let mut socket = upgraded(server.http(), query, &[]).await.unwrap();
    if !first.is_empty() {
        let _ = socket.send(Frame::text(first.to_owned())).await;
    }
    let mut said = Vec::new();
    while let Some(frame) = heard(&mut socket).await {
        let name = frame["name"].as_str().unwrap_or_default();
        said.push(format!("{} {name}", frame["frame"].as_str().unwrap()));
        if frame["frame"] == "welcome" {
            break;
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_begins_with_a_hello_of_somebody_known() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.limits.handshake_seconds = 1;
    let server = start_with(config).await;
    let token = server.token_of("u1").await;
    assert_eq!(greeted(&server, "", "").await, ["bye HELLO_TIMEOUT"]);
    for (first, said) in [
        (r#"{"frame":"pull","request":1}"#, "bye HELLO_EXPECTED"),
        (r#"{"frame":"dance"}"#, "bye HELLO_EXPECTED"),
        ("x", "bye MALFORMED_FRAME"),
    ] {
        assert_eq!(greeted(&server, "", first).await, [said]);
    }
    for (hello, name) in [
        (json!({ "token": "x" }), "TOKEN_MALFORMED"),
        (json!({}), "NO_TOKEN"),
        (json!({ "ticket": "0".repeat(32) }), "TICKET_UNKNOWN"),
        (json!({ "token": token, "ticket": "x" }), "INVALID_FIELD"),
        (json!({ "token": token, "more": 1 }), "INVALID_FIELD"),
        (
            json!({ "token": token, "device": "x".repeat(65) }),
            "INVALID_ID",
        ),
    ] {
        let mut hello = hello;
        hello["frame"] = json!("hello");
        let said = greeted(&server, "", &hello.to_string()).await;
        assert_eq!(
            said,
            [format!("refused {name}"), format!("bye {name}")],
            "{hello}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_requests_is_answered_and_holds_nobody_up() {
    const PINGS: u64 = 5_000;
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let mut flooding = welcomed(&server, &token, "d1").await;
    for request in 1..=PINGS {
        let ping = json!({ "frame": "ping", "request": request });
        flooding.feed(Frame::text(ping.to_string())).await.unwrap();
        // Nothing is read meanwhile: the server stops reading when it has too much to say, and so does this loop then.
        if request % 1_000 == 0 {
            let flushed =
                tokio::time::timeout(std::time::Duration::from_millis(500), flooding.flush()).await;
            let _ = flushed;
        }
    }
    let mut other = welcomed(&server, &token, "d2").await;
    let pong = ask(&mut other, json!({ "frame": "ping", "request": 1 })).await;
    assert_eq!(pong["frame"], "pong");
    let mut flush = 0;
    for request in 1..=PINGS {
        if flush == 0 {
            let _ =
                tokio::time::timeout(std::time::Duration::from_millis(20), flooding.flush()).await;
            flush = 100;
        }
        flush -= 1;
        let pong = heard(&mut flooding).await.unwrap();
        assert_eq!(pong["request"], request);
    }
    server.stop().await;
}

/// The problem that an upgrade is answered with.
async fn refused(server: &Running, query: &str, headers: &[(&'static str, &str)]) -> (u16, String) {
    match upgraded(server.http(), query, headers).await {
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let slug = body["type"].as_str().unwrap_or_default();
            let slug = slug.rsplit(':').next().unwrap_or_default().to_owned();
            (response.status().as_u16(), slug)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_is_refused_with_a_problem() {
    let (_data, server) = start().await;
    let invalid = || (400, "invalid-field".to_owned());
    for (header, value) in [
        ("sec-websocket-protocol", "waybill.v2+json"),
        ("sec-websocket-version", "8"),
        ("sec-websocket-key", "short"),
        ("upgrade", "h2c"),
    ] {
        assert_eq!(
            refused(&server, "", &[(header, value)]).await,
            invalid(),
            "{header}"
        );
    }
    assert_eq!(refused(&server, "?token=x", &[]).await, invalid());
    for origin in ["https://evil.example.com", "null"] {
        let foreign = refused(&server, "", &[("origin", origin)]).await;
        assert_eq!(foreign, (403, "foreign-origin".to_owned()));
    }
    let unknown = refused(&server, "?ticket=00", &[]).await;
    assert_eq!(unknown, (401, "ticket-unknown".to_owned()));
    let plain = server.v1("GET", "/v1/socket", "", "").await;
    assert_eq!(
        (plain.status, plain.problem().as_str()),
        (400, "invalid-field")
    );
    let post = server.v1("POST", "/v1/socket", "", "").await;
    assert_eq!(
        (post.status, post.problem().as_str()),
        (405, "method-not-allowed")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_one_connection() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let ticket = async || {
        let answer = server.v1("POST", "/v1/tickets", &token, "").await;
        assert_eq!(
            (answer.status, &answer.json()["expiresIn"]),
            (200, &json!(30))
        );
        answer.json()["ticket"].as_str().unwrap().to_owned()
    };
    let local = [("origin", "http://localhost:3000")];
    let one = ticket().await;
    let query = format!("?ticket={one}");
    let mut socket = upgraded(server.http(), &query, &local).await.unwrap();
    say(&mut socket, json!({ "frame": "hello" })).await;
    let welcome = heard(&mut socket).await.unwrap();
    assert_eq!(
        (&welcome["frame"], &welcome["user"]),
        (&json!("welcome"), &json!("u1"))
    );
    assert_eq!(refused(&server, &query, &local).await.0, 401, "it was used");
    let two = ticket().await;
    let hello = json!({ "frame": "hello", "ticket": two }).to_string();
    assert_eq!(greeted(&server, "", &hello).await, ["welcome "]);
    assert_eq!(
        greeted(&server, "", &hello).await[0],
        "refused TICKET_UNKNOWN"
    );
    let late = ticket().await;
    let revoked = server.v1("DELETE", "/v1/tokens", &token, "").await;
    assert_eq!(revoked.status, 204);
    let query = format!("?ticket={late}");
    assert_eq!(
        refused(&server, &query, &[]).await,
        (401, "token-revoked".to_owned())
    );
    assert_eq!(server.v1("POST", "/v1/tickets", "x", "").await.status, 401);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_and_goes_is_told_to_those_who_may_know() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let other = server.token_of("u2").await;
    let admin = server.admin.clone();
    let mut watching = welcomed(&server, &admin, "").await;
    let watch = |request: u64, users: Value| json!({ "frame": "watch", "request": request, "users": users });
    let presence = ask(&mut watching, watch(1, json!(["u1", "u2"]))).await;
    assert_eq!(presence["frame"], "presence", "{presence}");
    assert_eq!(
        presence["users"][0],
        json!({ "user": "u1", "online": false, "connections": [] })
    );
    let phone = welcomed(&server, &token, "phone").await;
    let told = heard(&mut watching).await.unwrap();
    let here = json!([{ "user": "u1", "online": true, "connections": [
        { "device": "phone", "platform": 5, "transport": "websocket" }
    ] }]);
    assert_eq!((&told["request"], &told["users"]), (&json!(1), &here));
    let asked = server.v1("GET", "/v1/users/u1/presence", &admin, "").await;
    assert_eq!(asked.json(), here[0]);
    let own = server.v1("GET", "/v1/users/u1/presence", &token, "").await;
    assert_eq!(own.json(), here[0]);
    let nosy = server.v1("GET", "/v1/users/u1/presence", &other, "").await;
    assert_eq!(nosy.status, 403);
    let v2 = json!({ "operationID": "o", "userIDList": ["u1"] }).to_string();
    let v2 = server
        .v2("/user/get_users_online_status", &admin, v2)
        .await
        .json();
    let detail = &v2["data"][0]["successResult"]
        .as_array()
        .map_or_else(|| v2["data"][0].clone(), |list| list[0].clone());
    assert_eq!(detail["status"], "online", "{v2}");
    drop(phone);
    let told = heard(&mut watching).await.unwrap();
    assert_eq!(told["users"][0]["online"], false, "{told}");
    let mut nosy = welcomed(&server, &other, "").await;
    assert_eq!(
        ask(&mut nosy, watch(1, json!(["u1"]))).await["name"],
        "FORBIDDEN"
    );
    let many: Vec<String> = (0..257).map(|n| n.to_string()).collect();
    assert_eq!(
        ask(&mut watching, watch(2, json!(many))).await["name"],
        "INVALID_FIELD"
    );
    let none = ask(&mut watching, watch(3, json!([]))).await;
    assert_eq!(none["users"], json!([]));
    let _phone = welcomed(&server, &token, "phone").await;
    let pong = ask(&mut watching, json!({ "frame": "ping", "request": 4 })).await;
    assert_eq!(pong["frame"], "pong", "nobody is watched any more");
    server.stop().await;
}
