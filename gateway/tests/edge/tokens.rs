//! Tokens over HTTP: issued, refused, revoked.

use serde_json::json;

use crate::support::{config, start, start_with};

#[tokio::test]
async fn bad_tokens_are_told_apart() {
    let (_data, server) = start().await;
    let (other_data, other) = start().await;
    let expected = [
        (String::new(), "no-token"),
        ("nonsense".into(), "token-malformed"),
        ("a.b.c".into(), "token-malformed"),
        ("x".repeat(2_000), "token-malformed"),
        (other.admin.clone(), "token-unknown"),
        (
            "eyJhbGciOiJub25lIn0.eyJVSUQiOiJvcGVuSU0xMjM0NTYifQ.".into(),
            "token-unknown",
        ),
    ];
    for (token, problem) in expected {
        let answer = server.v1("GET", "/v1/me", &token, "").await;
        assert_eq!(
            (answer.status, answer.problem()),
            (401, problem.to_owned()),
            "{token}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert!(
            token.is_empty() || !answer.text().contains(&token),
            "a token is not echoed"
        );
    }
    let none = server.call("GET", "/v1/me", &[], b"").await;
    assert_eq!(none.problem(), "no-token");
    let basic = server
        .call("GET", "/v1/me", &[("Authorization", "Basic eA==")], b"")
        .await;
    assert_eq!(basic.problem(), "no-token");
    other.stop().await;
    drop(other_data);
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_token_is_worth_nothing_at_once_and_after_a_restart() {
    let (data, server) = start().await;
    let (one, two) = (server.token_of("u1").await, server.token_of("u1").await);
    let status = async |token: &str| server.v1("GET", "/v1/me", token, "").await.status;
    assert_eq!((status(&one).await, status(&two).await), (200, 200));
    assert_eq!(
        server.v1("DELETE", "/v1/tokens", &one, "").await.status,
        204
    );
    assert_eq!(
        (status(&one).await, status(&two).await),
        (401, 200),
        "only the one"
    );
    assert_eq!(
        server.v1("GET", "/v1/me", &one, "").await.problem(),
        "token-revoked"
    );
    let v2 = server
        .v2("/auth/parse_token", &one, "{\"operationID\":\"o\"}")
        .await;
    assert_eq!((v2.status, &v2.json()["errCode"]), (400, &json!(1001)));

    let three = server.token_of("u1").await;
    let all = server
        .v1("DELETE", "/v1/tokens?user=u1&platform=5", &server.admin, "")
        .await;
    assert_eq!(all.status, 204, "{}", all.text());
    assert_eq!((status(&two).await, status(&three).await), (401, 401));
    let fresh = server.token_of("u1").await;
    assert_eq!(status(&fresh).await, 200, "a later one is not touched");
    let foreign = server
        .v1("DELETE", "/v1/tokens?user=openIM123456", &fresh, "")
        .await;
    assert_eq!(foreign.problem(), "forbidden");
    let unknown = server
        .v1("DELETE", "/v1/tokens?user=nobody", &server.admin, "")
        .await;
    assert_eq!(unknown.problem(), "unknown-user");
    let admin = server.admin.clone();
    server.stop().await;

    let server = start_with(config(data.path())).await;
    assert_eq!(server.admin, admin, "a good admin token is kept");
    let status = async |token: &str| server.v1("GET", "/v1/me", token, "").await.status;
    assert_eq!(
        (
            status(&two).await,
            status(&fresh).await,
            status(&admin).await
        ),
        (401, 200, 200)
    );
    server.stop().await;
}

#[tokio::test]
async fn managers_issue_tokens_within_bounds() {
    let (_data, server) = start().await;
    let issue = async |body: serde_json::Value| {
        server
            .v1("POST", "/v1/tokens", &server.admin, body.to_string())
            .await
    };
    let answer = issue(json!({ "user": "u1", "platform": 2, "expiresIn": 60 }))
        .await
        .json();
    assert_eq!(
        (&answer["user"], &answer["platform"]),
        (&json!("u1"), &json!(2))
    );
    for bad in [
        json!({}),
        json!({ "user": "" }),
        json!({ "user": "u1", "platform": 0 }),
        json!({ "user": "u1", "platform": 9 }),
        json!({ "user": "u1", "expiresIn": 59 }),
        json!({ "user": "u1", "expiresIn": 999_999_999_999_u64 }),
        json!({ "user": "u1", "colour": 1 }),
    ] {
        let answer = issue(bad.clone()).await;
        assert_eq!(answer.status, 400, "{bad} gave {}", answer.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn an_old_secret_is_accepted_until_its_day() {
    let (data, server) = start().await;
    let user = server.token_of("u1").await;
    server.stop().await;
    let former = std::fs::read_to_string(data.path().join("secrets/access.secret")).unwrap();
    let rotated = |until| {
        let mut config = config(data.path());
        config.openim.access_secret = Some("n".repeat(64).into());
        config.openim.access_secret_old = Some(former.trim().to_owned().into());
        config.openim.access_secret_old_until = Some(until);
        config
    };
    let server = start_with(rotated(4_000_000_000)).await;
    assert_eq!(server.v1("GET", "/v1/me", &user, "").await.status, 200);
    server.stop().await;
    let server = start_with(rotated(1_000_000_000)).await;
    assert_eq!(
        server.v1("GET", "/v1/me", &user, "").await.problem(),
        "token-unknown"
    );
    assert_eq!(
        server.v1("GET", "/v1/me", &server.admin, "").await.status,
        200,
        "a new admin token was issued"
    );
    server.stop().await;
}
