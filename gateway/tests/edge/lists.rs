//! Long lists, line by line: audiences of any length, and messages whose receivers follow in the body.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Running, start};

fn message(text: &str) -> String {
    json!({
        "contentType": 1400,
        "content": { "notificationName": "HR", "notificationType": 1, "text": text }
    })
    .to_string()
}

fn lines(ids: std::ops::Range<usize>) -> String {
    ids.map(|id| format!("\"employee-of-the-company-{id:08}\"\n"))
        .collect()
}

async fn stream(server: &Running, key: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {}", server.admin);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/x-ndjson"),
        ("Idempotency-Key", key),
    ];
    server
        .call("POST", "/v1/tasks", &headers, body.as_bytes())
        .await
}

async fn delivered(server: &Running, task: &Value) -> u64 {
    let path = format!("/v1/tasks/{}", task.as_str().unwrap());
    for _ in 0..2_000 {
        let found = server.v1("GET", &path, &server.admin, "").await.json();
        if found["done"] == true {
            return found["delivered"].as_u64().unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it does not end");
}

/// Twice what any other body may have.
#[tokio::test]
async fn a_task_is_sent_to_a_list_that_follows() {
    let (_data, server) = start().await;
    let list = lines(0..60_000);
    assert!(list.len() > 2 * 1024 * 1024);
    let body = format!("{}\n{list}", message("to all"));
    let first = stream(&server, "k1", &body).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let task = first.json()["task"].clone();
    assert_eq!(delivered(&server, &task).await, 60_000);
    // Again with the key: the first answer. With another list: another request.
    let again = stream(&server, "k1", &body).await.json();
    assert_eq!((&again["task"], &again["repeated"]), (&task, &json!(true)));
    let shorter = format!("{}\n{}", message("to all"), lines(0..59_999));
    let other = stream(&server, "k1", &shorter).await;
    assert_eq!(
        (other.status, other.problem().as_str()),
        (422, "key-reused")
    );
    let log = server.log_of("employee-of-the-company-00059999").await;
    assert_eq!(log["entries"].as_array().unwrap().len(), 1);
    // The same list in the body of JSON is the same request.
    let listed = |key: &'static str, body: String| {
        let bearer = format!("Bearer {}", server.admin);
        let server = &server;
        async move {
            let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key)];
            server
                .call("POST", "/v1/tasks", &headers, body.as_bytes())
                .await
        }
    };
    let short = format!("{}\n{}", message("600"), lines(0..600));
    let streamed = stream(&server, "k2", &short).await.json();
    let mut whole: Value = serde_json::from_str(&message("600")).unwrap();
    let ids: Vec<_> = (0..600)
        .map(|id| format!("employee-of-the-company-{id:08}"))
        .collect();
    whole["to"] = json!({ "users": ids });
    let whole = listed("k2", whole.to_string()).await.json();
    assert_eq!(
        (&whole["task"], &whole["repeated"]),
        (&streamed["task"], &json!(true))
    );
    // So is a short one, whichever comes first; and who is named twice gets it once.
    let short = |text: &str| format!("{}\n\"a1\"\n\"a2\"\n\"a1\"\n", message(text));
    let json = |text: &str| {
        let mut whole: Value = serde_json::from_str(&message(text)).unwrap();
        whole["to"] = json!({ "users": ["a1", "a2"] });
        whole.to_string()
    };
    let lines = stream(&server, "k3", &short("three")).await.json();
    let whole = listed("k3", json("three")).await.json();
    assert_eq!(
        (&whole["task"], &whole["repeated"]),
        (&lines["task"], &json!(true))
    );
    let whole = listed("k4", json("four")).await.json();
    let lines = stream(&server, "k4", &short("four")).await.json();
    assert_eq!(
        (&lines["task"], &lines["repeated"]),
        (&whole["task"], &json!(true))
    );
    let log = server.log_of("a1").await;
    assert_eq!(log["entries"].as_array().unwrap().len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_long_list_that_ends_badly_reaches_nobody_and_may_be_sent_again() {
    let (_data, server) = start().await;
    let body = format!("{}\n{}", message("late"), lines(0..2_500));
    let refused = stream(&server, "k", &format!("{body}oops\n")).await;
    assert_eq!(refused.problem(), "malformed");
    // Those of the first pieces are seen, and have nothing.
    let log = server.log_of("employee-of-the-company-00000000").await;
    assert_eq!(log["entries"], json!([]));
    let sent = stream(&server, "k", &body).await.json();
    assert_eq!(delivered(&server, &sent["task"]).await, 2_500);
    let token = server.token_of("employee-of-the-company-00000000").await;
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/x-ndjson"),
    ];
    let users = server
        .call("POST", "/v1/tasks", &headers, body.as_bytes())
        .await;
    assert_eq!(users.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_list_sends_nothing() {
    let (_data, server) = start().await;
    let cases = [
        (String::new(), "malformed"),
        (message("nobody"), "no-receiver"),
        (format!("{}\nu1\n", message("x")), "malformed"),
        (format!("{}\n\"\"\n", message("x")), "invalid-id"),
        (
            format!("{}\n\"{}\"\n", message("x"), "u".repeat(600)),
            "body-too-large",
        ),
        (
            format!(
                "{}\n\"u1\"\n",
                message("x").replacen('{', "{\"to\":{\"user\":\"u1\"},", 1)
            ),
            "invalid-field",
        ),
        (
            format!(
                "{}\n\"u1\"\n",
                message("x").replacen('{', "{\"expireAt\":1,", 1)
            ),
            "expired",
        ),
    ];
    for (body, problem) in cases {
        let answer = stream(&server, "k", &body).await;
        assert_eq!(answer.problem(), problem, "{body}");
    }
    let known = server
        .v1("GET", "/v1/users/u1/log", &server.admin, "")
        .await;
    assert_eq!(known.status, 404, "{}", known.text());
    server.stop().await;
}

/// A stream that breaks has filled a part of a generation; the next goes on from there.
#[tokio::test]
async fn a_broken_upload_goes_on() {
    let (_data, server) = start().await;
    let begun = server
        .v1("PUT", "/v1/audiences/staff?last=false", &server.admin, "")
        .await;
    let audience = begun.json()["audience"].clone();
    let head = format!(
        "PUT /v1/audiences/staff?audience={audience}&line=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 9999999\r\n\r\n",
        server.admin
    );
    let mut broken = TcpStream::connect(server.http()).await.unwrap();
    broken.write_all(head.as_bytes()).await.unwrap();
    broken.write_all(lines(0..2_500).as_bytes()).await.unwrap();
    broken.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = broken.read_to_string(&mut answer).await;
    let path = format!("/v1/audiences/staff?audience={audience}");
    let found = server.v1("GET", &path, &server.admin, "").await.json();
    assert_eq!(
        (&found["lines"], &found["complete"]),
        (&json!(2_000), &json!(false))
    );
    let path = format!("{path}&line=2000");
    let wrong = format!("{}oops\n", lines(2_000..3_000));
    let refused = server.v1("PUT", &path, &server.admin, &wrong).await;
    assert_eq!(refused.status, 400);
    let told = format!(
        "line 1001 is no JSON text: expected value at line 1 column 1; of audience {audience} 3000 lines are taken"
    );
    assert_eq!(refused.json()["detail"], told);
    let path = path.replace("2000", "3000");
    let whole = server
        .v1("PUT", &path, &server.admin, lines(3_000..40_000))
        .await
        .json();
    assert_eq!(
        (&whole["members"], &whole["complete"]),
        (&json!(40_000), &json!(true))
    );
    server.stop().await;
}
