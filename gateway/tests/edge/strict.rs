//! The native surface reads requests as strictly as its page says: what a caller may have got wrong is refused, and nothing of it
//! is done.

use serde_json::{Value, json};

use crate::support::{Running, start};

fn text(to: Value) -> Value {
    json!({ "to": to, "contentType": 101, "content": { "text": "hi" } })
}

async fn problem(server: &Running, method: &str, path: &str, body: &str) -> String {
    let answer = server.v1(method, path, &server.admin, body).await;
    assert!(
        answer.status >= 400,
        "{method} {path} {body}: {}",
        answer.text()
    );
    answer.problem()
}

async fn good(server: &Running, method: &str, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let answer = server.v1(method, path, &server.admin, &body).await;
    assert_eq!(
        answer.status,
        200,
        "{method} {path} {body}: {}",
        answer.text()
    );
    answer.json()
}

#[tokio::test]
async fn queries_are_not_passed_over_where_there_are_none() {
    let (_data, server) = start().await;
    server.text_to("u1", "one").await;
    let sent = server.text_to("u1", "two").await;
    let id = sent["serverMsgID"].as_str().unwrap();
    let task = good(
        &server,
        "POST",
        "/v1/tasks",
        &text(json!({ "users": ["u1"] })),
    )
    .await;
    let task = task["task"].as_str().unwrap();
    let message = text(json!({ "user": "u1" })).to_string();
    let line = r#"{"statusLine":{"text":"a"}}"#;
    let of = "/v1/users/u1/conversations/single:openIM123456";
    for (method, path, body) in [
        ("POST", "/v1/messages".to_owned(), message.as_str()),
        (
            "POST",
            "/v1/messages/recall".to_owned(),
            r#"{"clientMsgID":"m"}"#,
        ),
        ("PATCH", format!("/v1/messages/{id}"), line),
        ("POST", format!("/v1/messages/{id}/recall"), ""),
        ("POST", format!("/v1/messages/{id}/opened"), ""),
        ("PATCH", format!("/v1/tasks/{task}"), line),
        ("POST", format!("/v1/tasks/{task}/recall"), ""),
        ("POST", "/v1/tokens".to_owned(), r#"{"user":"u1"}"#),
        ("PATCH", of.to_owned(), "{}"),
        ("PUT", format!("{of}/read"), r#"{"conversationSeq":1}"#),
        ("DELETE", format!("{of}/messages"), r#"{"upTo":1}"#),
        (
            "PUT",
            "/v1/users/u1/devices/d/cursor".to_owned(),
            r#"{"seq":1}"#,
        ),
    ] {
        let asked = format!("{path}?limit=1");
        assert_eq!(
            problem(&server, method, &asked, body).await,
            "invalid-field",
            "{method} {path}"
        );
    }
    let log = server.log_of("u1").await;
    assert_eq!(log["head"], 3, "nothing of it was done: {log}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_where_none_is_asked_for_says_nothing() {
    let (_data, server) = start().await;
    let sent = server.text_to("u1", "one").await;
    let path = format!(
        "/v1/messages/{}/recall",
        sent["serverMsgID"].as_str().unwrap()
    );
    for (body, slug) in [
        (r#"{"reason":"a"}"#, "invalid-field"),
        ("[]", "invalid-field"),
        ("null", "invalid-field"),
        ("nonsense", "malformed"),
        ("{}{}", "malformed"),
        (" ", "malformed"),
    ] {
        assert_eq!(
            problem(&server, "POST", &path, body).await,
            slug,
            "{body:?}"
        );
        assert_eq!(
            problem(&server, "DELETE", "/v1/tokens?user=u1", body).await,
            slug,
            "{body:?}"
        );
    }
    assert_eq!(server.log_of("u1").await["head"], 1);
    assert_eq!(
        good(&server, "POST", &path, &json!({})).await["recalled"],
        1
    );
    let again = server.v1("POST", &path, &server.admin, "").await;
    assert_eq!(
        (again.status, again.json()["recalled"].clone()),
        (200, json!(0))
    );
    server.stop().await;
}

#[tokio::test]
async fn parts_of_a_body_are_objects_with_each_field_once() {
    let (_data, server) = start().await;
    let head = r#""contentType":101,"content":{"text":"hi"}"#;
    for body in [
        format!(r#"{{"to":["u1",null,null,null],{head}}}"#),
        format!(r#"{{"to":{{"user":"u1"}},{head},"offlinePush":["a","b","c","d",true]}}"#),
        format!(r#"{{"to":{{"user":"u1"}},{head},"options":{{"history":false,"history":true}}}}"#),
        format!(r#"{{"to":{{"user":"u1"}},{head},"options":[]}}"#),
        format!(r#"{{"to":{{"user":"u1","user":"u2"}},{head}}}"#),
        format!(r#"{{"to":{{"user":"u1"}},{head},"senderPlatformID":true}}"#),
        format!(r#"{{"to":{{"user":"u1"}},{head},"expireAt":1.5}}"#),
        format!(r#"{{"to":{{"user":"u1"}},{head},"createTime":"1"}}"#),
    ] {
        let slug = problem(&server, "POST", "/v1/messages", &body).await;
        assert_eq!(slug, "invalid-field", "{body}");
    }
    let sent = server.text_to("u1", "one").await;
    let path = format!("/v1/messages/{}", sent["serverMsgID"].as_str().unwrap());
    let line = r##"{"statusLine":["a","#00aa00"]}"##;
    assert_eq!(
        problem(&server, "PATCH", &path, line).await,
        "invalid-field"
    );
    assert_eq!(server.log_of("u1").await["head"], 1);
    server.stop().await;
}

#[tokio::test]
async fn numbers_are_those_of_json_and_no_others() {
    let (_data, server) = start().await;
    server.text_to("u1", "one").await;
    for body in [r#"{"seq":1.0}"#, r#"{"seq":1e0}"#] {
        let path = "/v1/users/u1/devices/d/cursor";
        let answer = server.v1("PUT", path, &server.admin, body).await;
        assert_eq!(
            (answer.status, answer.json()["seq"].clone()),
            (200, json!(1)),
            "{body}"
        );
    }
    let message = r#"{"to":{"user":"u1"},"contentType":101.0,"content":{"text":"hi"},"senderPlatformID":-0.0}"#;
    let answer = server
        .v1("POST", "/v1/messages", &server.admin, message)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for path in [
        "/v1/users/u1/log?after=%2B1",
        "/v1/users/u1/log?limit=%2B1",
        "/v1/users/u1/conversations/single:openIM123456/messages?type=%2B1",
        "/v1/users/u1/conversations/single:openIM123456/messages?type=-",
        "/v1/users/u1/conversations/single:openIM123456/messages?type=--1",
    ] {
        assert_eq!(
            problem(&server, "GET", path, "").await,
            "invalid-field",
            "{path}"
        );
    }
    let path = "/v1/users/u1/conversations/single:openIM123456/messages?type=-1";
    good(&server, "GET", path, &json!({})).await;
    server.stop().await;
}

#[tokio::test]
async fn an_empty_name_in_a_path_is_nobodys() {
    let (_data, server) = start().await;
    for (method, path, body) in [
        ("GET", "/v1/users//log", ""),
        ("GET", "/v1/users//snapshot", ""),
        ("GET", "/v1/users//conversations", ""),
        ("GET", "/v1/users//conversations/single:u1", ""),
        ("GET", "/v1/accounts//status", ""),
        ("PUT", "/v1/users//devices/d/cursor", r#"{"seq":0}"#),
        ("GET", "/v1/audiences/", ""),
        ("GET", "/v1/messages/", ""),
        ("GET", "/v1/tasks/", ""),
    ] {
        assert_eq!(
            problem(&server, method, path, body).await,
            "invalid-id",
            "{path}"
        );
    }
    for path in ["/v1/", "/v1/nothing"] {
        assert_eq!(
            problem(&server, "GET", path, "").await,
            "no-route",
            "{path}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn recall_by_key_is_an_address_of_its_own() {
    let (_data, server) = start().await;
    for method in ["GET", "PATCH", "DELETE", "OPTIONS"] {
        let answer = server
            .v1(method, "/v1/messages/recall", &server.admin, "")
            .await;
        assert_eq!(answer.problem(), "method-not-allowed", "{method}");
        assert_eq!(answer.header("allow"), "POST");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_empty_key_is_no_key() {
    let (_data, server) = start().await;
    let bearer = format!("Bearer {}", server.admin);
    let body = text(json!({ "user": "u1" })).to_string();
    for key in ["", "\"\""] {
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key)];
        let answer = server
            .call("POST", "/v1/messages", &headers, body.as_bytes())
            .await;
        assert_eq!(answer.problem(), "invalid-id", "{key:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_in_a_body_has_its_pointer() {
    let (_data, server) = start().await;
    let pointer = async |path: &str, body: &str| {
        let answer = server.v1("POST", path, &server.admin, body).await;
        assert_eq!(answer.problem(), "invalid-field", "{body}");
        answer.json()["errors"][0]["pointer"].clone()
    };
    for body in [
        r#"{"user":"u1","platform":0}"#,
        r#"{"user":"u1","platform":9}"#,
    ] {
        assert_eq!(pointer("/v1/tokens", body).await, "/platform");
    }
    // A list that waits, a long one and a short one alike.
    let long: Vec<_> = (0..600)
        .map(|number| format!("u{}", number % 599))
        .collect();
    let mut waiting = text(json!({ "users": ["u1", "u2", "u1"] }));
    waiting["notBefore"] = json!(1);
    for (body, place) in [
        (text(json!({ "users": ["u1", "u2", "u1"] })), "/to/users/2"),
        (text(json!({ "users": long })), "/to/users/599"),
        (waiting, "/to/users/2"),
    ] {
        assert_eq!(pointer("/v1/tasks", &body.to_string()).await, place);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_generation_begins_at_its_first_line() {
    let (_data, server) = start().await;
    let answer = server
        .v1("PUT", "/v1/audiences/a?line=5", &server.admin, "\"u1\"\n")
        .await;
    assert_eq!(answer.problem(), "stale");
    let begun = good(&server, "PUT", "/v1/audiences/a?last=false", &json!("u1")).await;
    assert_eq!(begun["audience"], 1, "none was begun before");
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_was_withdrawn_keeps_the_name_that_its_sender_gave_it() {
    let (_data, server) = start().await;
    let mut body = text(json!({ "user": "u1" }));
    body["clientMsgID"] = json!("mine");
    good(&server, "POST", "/v1/messages", &body).await;
    let key = json!({ "clientMsgID": "mine" });
    assert_eq!(
        good(&server, "POST", "/v1/messages/recall", &key).await["recalled"],
        1
    );
    let path = "/v1/users/u1/conversations/single:openIM123456";
    let shown = good(&server, "GET", &format!("{path}/messages"), &json!({})).await;
    let latest = good(&server, "GET", path, &json!({})).await;
    for message in [&shown["messages"][0], &latest["latest"]] {
        assert_eq!(message["clientMsgID"], "mine");
        assert_eq!(
            (&message["recalled"], &message["content"]),
            (&json!(true), &Value::Null)
        );
    }
    server.stop().await;
}
