//! Waiting for a log to grow.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::support::start;

/// Long enough for a slow machine; a test that hangs fails by it.
const PATIENCE: Duration = Duration::from_secs(50);

#[tokio::test]
async fn a_long_poll_returns_with_what_comes() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let poll = server.v1("GET", "/v1/users/u1/log?wait=60", &token, "");
    let send = async {
        // Whether the poll waits already or not: it must see the message.
        server.text_to("u1", "hi").await;
    };
    let (page, ()) = timeout(PATIENCE, async { tokio::join!(poll, send) })
        .await
        .unwrap();
    assert_eq!(
        page.json()["entries"][0]["content"],
        json!({ "text": "hi" })
    );
    let page = timeout(
        PATIENCE,
        server.v1("GET", "/v1/users/u1/log?after=1&wait=1", &token, ""),
    )
    .await
    .unwrap();
    assert_eq!(
        (page.status, &page.json()["entries"]),
        (200, &json!([])),
        "empty when nothing comes"
    );
    server.stop().await;
}

#[tokio::test]
async fn who_waits_is_bounded_and_ends_with_the_server_and_the_token() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let other = server.token_of("u2").await;
    let wait = async |user: &str, token: &str| {
        timeout(
            PATIENCE,
            server.v1("GET", &format!("/v1/users/{user}/log?wait=60"), token, ""),
        )
        .await
        .unwrap()
    };
    let revoke = async {
        // Until eight wait, a ninth is not refused.
        loop {
            let probe = server
                .v1("GET", "/v1/users/u1/log?wait=1", &token, "")
                .await;
            if probe.status == 503 {
                assert_eq!(probe.problem(), "too-many-connections");
                break;
            }
        }
        assert_eq!(
            server
                .v1("DELETE", "/v1/tokens?user=u1", &token, "")
                .await
                .status,
            204
        );
    };
    let eight = async {
        tokio::join!(
            wait("u1", &token),
            wait("u1", &token),
            wait("u1", &token),
            wait("u1", &token),
            wait("u1", &token),
            wait("u1", &token),
            wait("u1", &token),
            wait("u1", &token)
        )
    };
    let ((one, _, _, _, _, _, _, eighth), ()) = tokio::join!(eight, revoke);
    assert_eq!(
        (one.status, eighth.problem()),
        (401, "token-revoked".to_owned())
    );

    let address = server.http();
    let bearer = format!("Bearer {other}");
    let waiting = tokio::spawn(async move {
        crate::support::call(
            address,
            "GET",
            "/v1/users/u2/log?wait=60",
            &[("Authorization", &bearer)],
            b"",
        )
        .await
    });
    // Give it a chance to be waiting; if it is not yet, the server is stopping and says so, and that is right too.
    tokio::time::sleep(Duration::from_millis(100)).await;
    timeout(PATIENCE, server.stop()).await.unwrap();
    let answer = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
}
