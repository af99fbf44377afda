//! Messages with terms, and changes of messages: collapse keys, expiry, scheduled tasks, edits, business status lines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Answer, Running, start};

fn notice(text: &str) -> Value {
    json!({
        "notificationName": "OA", "notificationFaceURL": "", "notificationType": 1, "text": text, "externalUrl": "",
        "mixType": 0, "ex": ""
    })
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

async fn ask(server: &Running, method: &str, path: &str, body: &Value) -> Answer {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    server.v1(method, path, &server.admin, &body).await
}

async fn good(server: &Running, method: &str, path: &str, body: &Value) -> Value {
    let answer = ask(server, method, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// The last part of the problem's type.
async fn refused(server: &Running, method: &str, path: &str, body: &Value) -> String {
    let answer = ask(server, method, path, body).await;
    assert!(answer.status >= 400, "{path}: {}", answer.text());
    let problem = answer.json()["type"].as_str().unwrap().to_owned();
    problem.rsplit(':').next().unwrap().to_owned()
}

async fn send(server: &Running, user: &str, text: &str, more: &Value) -> String {
    let mut body = json!({ "to": { "user": user }, "contentType": 1400, "content": notice(text) });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let sent = good(server, "POST", "/v1/messages", &body).await;
    sent["serverMsgID"].as_str().unwrap().to_owned()
}

async fn history(server: &Running, user: &str) -> Vec<Value> {
    let path = format!(
        "/v1/users/{user}/conversations/notification:openIM123456/messages?after=0&limit=1000"
    );
    let page = good(server, "GET", &path, &Value::Null).await;
    page["messages"].as_array().unwrap().clone()
}

async fn unread(server: &Running, user: &str) -> Value {
    let path = format!("/v1/users/{user}/conversations");
    good(server, "GET", &path, &Value::Null).await["unread"].clone()
}

async fn last_entry(server: &Running, user: &str) -> Value {
    let path = format!("/v1/users/{user}/log?after=0");
    let page = good(server, "GET", &path, &Value::Null).await;
    page["entries"].as_array().unwrap().last().unwrap().clone()
}

/// Waits until this holds of the user's history.
async fn until(server: &Running, user: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    for _ in 0..500 {
        let path = format!("/v1/users/{user}/conversations/notification:openIM123456/messages");
        if ask(server, "GET", &path, &Value::Null).await.status == 200 {
            let found = history(server, user).await;
            if holds(&found) {
                return found;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not come about");
}

#[tokio::test]
async fn a_later_notice_takes_the_place_of_an_earlier_one() {
    let (_data, server) = start().await;
    let key = json!({ "collapseKey": "disk" });
    send(&server, "u1", "80 %", &key).await;
    send(&server, "u1", "other", &json!({ "collapseKey": "cpu" })).await;
    send(&server, "u1", "90 %", &key).await;
    let told = history(&server, "u1").await;
    let brief = |message: &Value| (message["recalled"].clone(), message["reason"].clone());
    let briefs: Vec<_> = told.iter().map(brief).collect();
    let shown = (Value::Null, Value::Null);
    assert_eq!(briefs[0], (json!(true), json!("superseded")));
    assert_eq!(briefs[1..], [shown.clone(), shown]);
    assert!(told[0]["content"].is_null());
    assert_eq!(unread(&server, "u1").await, 2);
    // Of a list too, and what was read does not count twice.
    let path = "/v1/users/u1/conversations/notification:openIM123456/read";
    good(&server, "PUT", path, &json!({ "conversationSeq": 3 })).await;
    let task = json!({
        "to": { "users": ["u1", "u2"] }, "contentType": 1400, "content": notice("95 %"), "collapseKey": "disk"
    });
    let first = good(&server, "POST", "/v1/tasks", &task).await["task"].clone();
    assert_eq!(unread(&server, "u1").await, 1);
    let told = history(&server, "u1").await;
    let shown = told.iter().filter(|message| message["recalled"] != true);
    assert_eq!(shown.count(), 2);
    // One of two receivers gets another in its place, and the task says so.
    send(&server, "u2", "97 %", &key).await;
    let path = format!("/v1/tasks/{}/receivers", first.as_str().unwrap());
    let of = async |query: &str| {
        let page = good(&server, "GET", &format!("{path}?{query}"), &Value::Null).await;
        let receivers = page["receivers"].as_array().unwrap();
        let brief = |receiver: &Value| (receiver["user"].clone(), receiver["state"].clone());
        receivers.iter().map(brief).collect::<Vec<_>>()
    };
    let superseded = [(json!("u2"), json!("superseded"))];
    assert_eq!(of("state=superseded").await, superseded);
    assert_eq!(of("state=recalled").await, []);
    assert_eq!(of("not=read").await, [(json!("u1"), json!("durable"))]);
}

#[tokio::test]
async fn a_notice_expires_and_a_retry_after_that_gets_the_first_answer() {
    let (_data, server) = start().await;
    let at = now() + 300;
    let terms = json!({ "expireAt": at, "clientMsgID": "short" });
    let first = send(&server, "u1", "quick", &terms).await;
    assert_eq!(unread(&server, "u1").await, 1);
    let gone = until(&server, "u1", |told| told[0]["recalled"] == true).await;
    assert_eq!(gone[0]["reason"], "expired");
    assert_eq!(unread(&server, "u1").await, 0);
    let entry = last_entry(&server, "u1").await;
    assert_eq!(
        (&entry["kind"], &entry["reason"], &entry["serverMsgID"]),
        (&json!(4), &json!("expired"), &json!(first))
    );
    let found = good(
        &server,
        "GET",
        &format!("/v1/messages/{first}"),
        &Value::Null,
    )
    .await;
    assert_eq!(
        (&found["state"], &found["reason"]),
        (&json!("expired"), &json!("expired"))
    );
    assert!(found["content"].is_object());
    // Who has it no more is not shown it.
    let token = server.token_of("u1").await;
    let own = server
        .v1("GET", &format!("/v1/messages/{first}"), &token, "")
        .await
        .json();
    assert_eq!(
        (&own["recalled"], &own["content"]),
        (&json!(true), &Value::Null)
    );
    assert!(own.get("erased").is_none() && own.get("state").is_none());
    assert_eq!(send(&server, "u1", "quick", &terms).await, first);
    let late = json!({ "to": { "user": "u1" }, "contentType": 1400, "content": notice("x"), "expireAt": at });
    assert_eq!(
        refused(&server, "POST", "/v1/messages", &late).await,
        "expired"
    );
}

#[tokio::test]
async fn a_scheduled_task_waits_and_can_be_recalled_before() {
    let (_data, server) = start().await;
    let task = |text: &str, at: u64| json!({ "to": { "users": ["u1", "u2"] }, "contentType": 1400, "content": notice(text), "notBefore": at });
    let at = now() + 1_500;
    let kept = good(&server, "POST", "/v1/tasks", &task("kept", at)).await;
    let never = good(&server, "POST", "/v1/tasks", &task("never", at)).await;
    let path =
        |task: &Value, rest: &str| format!("/v1/tasks/{}{rest}", task["task"].as_str().unwrap());
    assert!(kept.get("receivers").is_none());
    assert_eq!(unread(&server, "u1").await, 0);
    let edit = json!({ "statusLine": { "text": "x" } });
    assert_eq!(
        refused(&server, "PATCH", &path(&kept, ""), &edit).await,
        "underway"
    );
    good(&server, "POST", &path(&never, "/recall"), &json!({})).await;
    let told = until(&server, "u1", |told| !told.is_empty()).await;
    assert!(now() >= at);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["content"]["text"], "kept");
    assert!(told[0]["time"].as_u64().unwrap() >= at);
    let years = now() + 400 * 24 * 3_600_000;
    let far = task("far", years);
    assert_eq!(
        refused(&server, "POST", "/v1/tasks", &far).await,
        "too-far-ahead"
    );
    let single = json!({ "to": { "user": "u1" }, "contentType": 1400, "content": notice("x"), "notBefore": at });
    assert_eq!(
        refused(&server, "POST", "/v1/messages", &single).await,
        "invalid-field"
    );
}

#[tokio::test]
async fn a_message_is_changed_for_one_receiver_or_for_all() {
    let (_data, server) = start().await;
    let id = send(&server, "u1", "Please approve.", &json!({})).await;
    let path = format!("/v1/messages/{id}");
    let line = json!({ "statusLine": { "text": "Approved", "color": "#00aa00" } });
    assert_eq!(good(&server, "PATCH", &path, &line).await["changed"], 1);
    let entry = last_entry(&server, "u1").await;
    assert_eq!(
        (&entry["kind"], &entry["statusLine"]["text"]),
        (&json!(8), &json!("Approved"))
    );
    let content = json!({ "content": notice("Done, with 12345678901234567890.") });
    good(&server, "PATCH", &path, &content).await;
    let told = history(&server, "u1").await;
    assert_eq!(
        told[0]["content"]["text"],
        "Done, with 12345678901234567890."
    );
    assert_eq!(told[0]["statusLine"]["color"], "#00aa00");
    assert!(told[0]["edited"].is_u64());
    let found = good(&server, "GET", &path, &Value::Null).await;
    assert_eq!(found["content"], told[0]["content"]);
    // The log still tells what was sent, then that it changed.
    let log = good(&server, "GET", "/v1/users/u1/log?after=0", &Value::Null).await;
    assert_eq!(log["entries"][0]["content"]["text"], "Please approve.");
    for wrong in [
        json!({}),
        json!({ "statusLine": { "text": "x", "color": "green" } }),
        json!({ "statusLine": { "text": "a\u{7}" } }),
        json!({ "statusLine": { "text": "x".repeat(257) } }),
        json!({ "statusLine": { "text": "a\u{202e}b" } }),
        json!({ "content": notice("a") , "statusLine": { "text": "" , "colour": "" } }),
        json!({ "content": [] }),
    ] {
        let answer = ask(&server, "PATCH", &path, &wrong).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
    good(&server, "POST", &format!("{path}/recall"), &json!({})).await;
    assert_eq!(
        refused(&server, "PATCH", &path, &line).await,
        "message-recalled"
    );
    // Nobody but its sender and business systems changes it.
    let token = server.token_of("u1").await;
    let answer = server.v1("PATCH", &path, &token, &line.to_string()).await;
    assert_eq!(answer.status, 403, "{}", answer.text());

    let to = json!({ "everybody": "seen" });
    let task = json!({ "to": to, "contentType": 1400, "content": notice("all") });
    let task = good(&server, "POST", "/v1/tasks", &task).await["task"].clone();
    let task = format!("/v1/tasks/{}", task.as_str().unwrap());
    until(&server, "u1", |told| told.len() == 2).await;
    for _ in 0..500 {
        if ask(&server, "PATCH", &task, &line).await.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until(&server, "u1", |told| {
        told[1]["statusLine"]["text"] == "Approved"
    })
    .await;
}

#[tokio::test]
async fn a_message_is_recalled_by_its_key() {
    let (_data, server) = start().await;
    let key = json!({ "clientMsgID": "k1" });
    send(&server, "u1", "one", &key).await;
    send(&server, "u2", "one", &key).await;
    let recalled = good(&server, "POST", "/v1/messages/recall", &key).await;
    assert_eq!(recalled["recalled"], 2);
    assert_eq!(history(&server, "u2").await[0]["reason"], "recalled");
    assert_eq!(
        good(&server, "POST", "/v1/messages/recall", &key).await["recalled"],
        0
    );
    let none = json!({ "clientMsgID": "k2" });
    assert_eq!(
        refused(&server, "POST", "/v1/messages/recall", &none).await,
        "unknown-message"
    );
    let token = server.token_of("u1").await;
    let other = json!({ "sender": "openIM123456", "clientMsgID": "k1" }).to_string();
    let answer = server
        .v1("POST", "/v1/messages/recall", &token, &other)
        .await;
    assert_eq!(answer.status, 403, "{}", answer.text());
}

/// More than are looked for at a time, and all met before the views are flushed.
#[tokio::test]
async fn however_many_expire_each_is_met() {
    let (_data, server) = start().await;
    let at = now() + 1_000;
    for number in 0..150 {
        let more = json!({ "expireAt": at + number });
        send(&server, "u1", &format!("notice {number}"), &more).await;
    }
    until(&server, "u1", |told| {
        told.len() == 150 && told.iter().all(|message| message["recalled"] == true)
    })
    .await;
    assert_eq!(unread(&server, "u1").await, 0);
}

#[tokio::test]
async fn a_key_used_for_very_many_recalls_them_all() {
    let (_data, server) = start().await;
    let key = json!({ "clientMsgID": "k1" });
    for number in 0..130 {
        send(&server, &format!("u{number}"), "one", &key).await;
    }
    let recalled = good(&server, "POST", "/v1/messages/recall", &key).await;
    assert_eq!(recalled["recalled"], 130);
}

/// What messages say now is more than a page may hold; no page does.
#[tokio::test]
async fn pages_are_bounded_by_what_messages_say_now() {
    let (_data, server) = start().await;
    good(&server, "PUT", "/v1/audiences/one", &json!("u1")).await;
    let long = "x".repeat(60_000);
    for number in 0..12 {
        let body = json!({
            "to": { "audience": "one" }, "contentType": 1400, "content": notice(&number.to_string())
        });
        let task = good(&server, "POST", "/v1/tasks", &body).await["task"].clone();
        let task = format!("/v1/tasks/{}", task.as_str().unwrap());
        let content = json!({ "content": notice(&long) });
        for _ in 0..500 {
            if ask(&server, "PATCH", &task, &content).await.status == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // Whole pages of what is 720 kB by now, in no more than 512 KiB each.
    let (mut after, mut changes, mut pages) = (0, 0, 0);
    for _ in 0..200 {
        let path = format!("/v1/users/u1/log?after={after}&limit=1000&wait=1");
        let answer = ask(&server, "GET", &path, &Value::Null).await;
        assert!(
            answer.text().len() < 600_000,
            "{} bytes",
            answer.text().len()
        );
        let page = answer.json();
        let entries = page["entries"].as_array().unwrap();
        changes += entries.iter().filter(|entry| entry["kind"] == 8).count();
        pages += 1;
        after = entries
            .last()
            .map_or(after, |last| last["seq"].as_u64().unwrap());
        if changes == 12 {
            break;
        }
    }
    assert_eq!(changes, 12);
    let first = good(
        &server,
        "GET",
        "/v1/users/u1/log?after=0&limit=1000",
        &Value::Null,
    )
    .await;
    assert_eq!(first["more"], true);
    assert!(pages > 1);
    let path = "/v1/users/u1/conversations/notification:openIM123456/messages?after=0&limit=100";
    let first = ask(&server, "GET", path, &Value::Null).await;
    assert!(first.text().len() < 600_000, "{} bytes", first.text().len());
    let next = first.json()["next"].as_u64().unwrap();
    let rest = good(
        &server,
        "GET",
        &path.replace("after=0", &format!("after={next}")),
        &Value::Null,
    )
    .await;
    let count = |page: &Value| page["messages"].as_array().unwrap().len();
    assert_eq!(count(&first.json()) + count(&rest), 12);
}

#[tokio::test]
async fn a_long_list_whose_terms_are_refused_takes_nobody_in() {
    let (_data, server) = start().await;
    let users: Vec<_> = (0..600).map(|number| format!("u{number}")).collect();
    let body = json!({
        "to": { "users": users }, "contentType": 1400, "content": notice("a"),
        "expireAt": now() - 1_000,
    });
    assert_eq!(
        refused(&server, "POST", "/v1/tasks", &body).await,
        "expired"
    );
    let known = ask(&server, "GET", "/v1/users/u0/log?after=0", &Value::Null).await;
    assert_eq!(known.status, 404, "{}", known.text());
}
