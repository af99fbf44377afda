//! Server-sent events: how they are written, how a stream resumes, and who may have one.

use serde_json::{Value, json};

use crate::follow::{Event, Events};
use crate::support::{Running, config, start, start_with};

async fn open(server: &Running, token: &str, query: &str, headers: &[(&str, &str)]) -> Events {
    let bearer = format!("Bearer {token}");
    let mut all = vec![("Authorization", bearer.as_str())];
    all.extend(headers);
    let path = format!("/v1/users/u1/log{query}");
    Events::open(server.http(), &path, &all).await
}

async fn next(events: &mut Events) -> Event {
    let event = tokio::time::timeout(crate::follow::PATIENCE, events.next()).await;
    event.expect("an event in time").expect("an event")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_the_form_that_browsers_know_and_resumes_from_the_last_id() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    // A content is kept byte for byte, and its line breaks begin lines of data.
    let body =
        "{\"to\":{\"user\":\"u1\"},\"contentType\":101,\"content\":{\n  \"text\":\n\"one\"\r\n}}";
    assert_eq!(
        server
            .v1("POST", "/v1/messages", &server.admin, body)
            .await
            .status,
        200
    );
    server.text_to("u1", "two").await;
    let mut events = open(&server, &token, "", &[]).await;
    assert_eq!(events.status, 200);
    for header in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
    ] {
        assert!(
            events.head.to_lowercase().contains(header),
            "{}",
            events.head
        );
    }
    let welcome = next(&mut events).await;
    let log = server.log_of("u1").await;
    let data: Value = serde_json::from_str(&welcome.data).unwrap();
    assert_eq!((welcome.name.as_str(), welcome.id), ("welcome", None));
    assert_eq!((&data["head"], &data["epoch"]), (&json!(2), &log["epoch"]));
    assert_eq!(events.retry, Some(2_000));
    for (seq, entry) in (1..).zip(log["entries"].as_array().unwrap()) {
        let event = next(&mut events).await;
        assert_eq!((event.name.as_str(), event.id), ("entry", Some(seq)));
        assert_eq!(serde_json::from_str::<Value>(&event.data).unwrap(), *entry);
    }
    // What browsers send when they connect again outranks the address.
    let resumed = [("Last-Event-ID", "1")];
    let mut events = open(&server, &token, "?after=0", &resumed).await;
    next(&mut events).await;
    assert_eq!(next(&mut events).await.id, Some(2));
    server.stop().await;
}

/// A token, a query, headers, and the status that they are answered with.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_have_a_stream_is_told_with_a_status() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let other = server.token_of("u2").await;
    let cases: &[Case<'_>] = &[
        ("x", "", &[], 401),
        (&other, "", &[], 403),
        (&token, "", &[("Origin", "https://evil.example.com")], 403),
        (&token, "?ticket=00", &[], 401),
        (&token, "?wait=1", &[], 400),
        (&token, "?after=x", &[], 400),
        (&token, "", &[("Last-Event-ID", "x")], 400),
    ];
    for (token, query, headers, status) in cases {
        let events = open(&server, token, query, headers).await;
        assert_eq!(events.status, *status, "{query} {headers:?}");
        assert!(events.body().await["type"].is_string());
    }
    let ticket = server.v1("POST", "/v1/tickets", &token, "").await.json();
    let path = format!(
        "/v1/users/u1/log?ticket={}",
        ticket["ticket"].as_str().unwrap()
    );
    let local = [("Origin", "http://127.0.0.1:3000")];
    let mut events = Events::open(server.http(), &path, &local).await;
    assert_eq!(next(&mut events).await.name, "welcome");
    assert!(
        events
            .head
            .contains("access-control-allow-origin: http://127.0.0.1:3000")
    );
    assert_eq!(
        Events::open(server.http(), &path, &local).await.status,
        401,
        "once"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_count_as_live_connections_and_give_their_place_back() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.limits.connections_per_user = 2;
    let server = start_with(config).await;
    let token = server.token_of("u1").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut events = open(&server, &token, "", &[]).await;
        assert_eq!(next(&mut events).await.name, "welcome");
        held.push(events);
    }
    let third = open(&server, &token, "", &[]).await;
    assert_eq!(third.status, 503);
    held.pop();
    // The server notices that one is gone when the system tells it so.
    let mut tries = 0;
    while open(&server, &token, "", &[]).await.status != 200 {
        tries += 1;
        assert!(tries < 200, "its place does not come back");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_allowed_origins_may_ask_and_read_the_answers() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.allowed_origins = Some(vec!["https://oa.example.com".to_owned()]);
    let server = start_with(config).await;
    let token = server.token_of("u1").await;
    let asks = ("Access-Control-Request-Method", "PUT");
    let allowed = ("Origin", "https://oa.example.com");
    let answer = server
        .call("OPTIONS", "/v1/users/u1/log", &[allowed, asks], b"")
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://oa.example.com"
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("Authorization")
    );
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("PUT")
    );
    assert_eq!(answer.header("vary"), "Origin");
    let foreign = ("Origin", "http://localhost:3000");
    let answer = server
        .call("OPTIONS", "/v1/users/u1/log", &[foreign, asks], b"")
        .await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (403, "foreign-origin")
    );
    let bearer = format!("Bearer {token}");
    let bearer = ("Authorization", bearer.as_str());
    let answer = server.call("GET", "/v1/me", &[bearer, allowed], b"").await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://oa.example.com"
    );
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("Retry-After")
    );
    let answer = server.call("GET", "/v1/me", &[bearer, foreign], b"").await;
    assert!(
        !answer
            .head
            .to_lowercase()
            .contains("access-control-allow-origin")
    );
    let answer = server.call("OPTIONS", "/v1/me", &[allowed], b"").await;
    assert_eq!(answer.status, 405, "no preflight");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_is_served_in_development_alone() {
    let (_data, server) = start().await;
    for (file, kind) in [
        ("html", "text/html"),
        ("js", "text/javascript"),
        ("css", "text/css"),
    ] {
        let path = format!("/examples/inbox.{file}");
        let answer = server.call("GET", &path, &[], b"").await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with(kind));
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
    }
    server.stop().await;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.listen.http = vec!["0.0.0.0:0".parse().unwrap()];
    let server = start_with(config).await;
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], server.http().port()));
    let answer = crate::support::call(at, "GET", "/examples/inbox.html", &[], b"").await;
    assert_eq!(answer.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_live_connections_do_is_measured() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let mut events = open(&server, &token, "", &[]).await;
    next(&mut events).await;
    server.text_to("u1", "one").await;
    assert_eq!(next(&mut events).await.name, "entry");
    let revoked = server.v1("DELETE", "/v1/tokens", &token, "").await;
    assert_eq!(revoked.status, 204);
    assert_eq!(next(&mut events).await.name, "bye");
    let metrics = crate::support::call(server.started.ops, "GET", "/metrics", &[], b"").await;
    for line in [
        r#"waybill_live_written_seconds_count{transport="sse"} 1"#,
        r#"waybill_live_lag_entries_count{transport="sse"} 1"#,
        r#"waybill_live_ended_total{transport="sse",reason="revoked"} 1"#,
        r#"waybill_connections{transport="websocket"} 0"#,
        r#"waybill_connections{transport="sse"}"#,
    ] {
        assert!(metrics.text().contains(line), "{line} is missing");
    }
    server.stop().await;
}
