//! Conversations: the list, history, what is read, what users do to them; and the notification session that gathers notices.

use serde_json::{Value, json};

use crate::support::{Running, start};

const SESSION: &str = "notification:openIM123456";

fn notice(of_type: i32, text: &str, to: &Value) -> String {
    json!({
        "to": to, "contentType": 1400, "senderNickname": "HR",
        "content": {
            "notificationName": format!("name {of_type}"), "notificationFaceURL": "http://x/face", "notificationType": of_type,
            "text": text, "externalUrl": "", "mixType": 0, "ex": ""
        }
    })
    .to_string()
}

async fn notify(server: &Running, user: &str, of_type: i32, text: &str) -> Value {
    let body = notice(of_type, text, &json!({ "user": user }));
    let answer = server.v1("POST", "/v1/messages", &server.admin, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn ask(server: &Running, method: &str, token: &str, path: &str, body: Value) -> Value {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = server.v1(method, path, token, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn get(server: &Running, token: &str, path: &str) -> Value {
    ask(server, "GET", token, path, Value::Null).await
}

fn texts(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().unwrap().iter();
    let text = |message: &Value| {
        message["content"]["text"]
            .as_str()
            .unwrap_or("-")
            .to_owned()
    };
    messages.map(text).collect()
}

#[tokio::test]
async fn notices_gather_in_one_session_that_counts_right() {
    let (_data, server) = start().await;
    let ann = server.token_of("ann").await;
    for (of_type, text) in [(1, "one"), (2, "two"), (1, "three")] {
        notify(&server, "ann", of_type, text).await;
    }
    let list = get(&server, &ann, "/v1/users/ann/conversations").await;
    assert_eq!(list["unread"], 3);
    let session = &list["conversations"][0];
    assert_eq!(
        session["conversation"],
        json!({ "kind": "notification", "peer": "openIM123456" })
    );
    assert_eq!(
        (&session["head"], &session["unread"], &session["read"]),
        (&json!(3), &json!(3), &json!(0))
    );
    assert_eq!(session["title"], "HR");
    // Every notice keeps its own name.
    assert_eq!(session["latest"]["content"]["notificationName"], "name 1");

    let path = format!("/v1/users/ann/conversations/{SESSION}");
    let one = get(&server, &ann, &path).await;
    assert_eq!(one["unreadByType"], json!({ "1": 2, "2": 1 }));
    let read = format!("{path}/read");
    let answer = ask(&server, "PUT", &ann, &read, json!({ "conversationSeq": 2 })).await;
    assert_eq!(answer, json!({ "conversationSeq": 2, "unread": 1 }));
    // Backwards is no reading.
    let answer = ask(&server, "PUT", &ann, &read, json!({ "conversationSeq": 1 })).await;
    assert_eq!(answer, json!({ "conversationSeq": 2, "unread": 1 }));
    let one = get(&server, &ann, &path).await;
    assert_eq!(one["unreadByType"], json!({ "1": 1 }));
    // It is in the log, for the user's other devices.
    let log = server.log_of("ann").await;
    let last = log["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["kind"], &last["conversationSeq"], &last["by"]),
        (&json!(2), &json!(2), &json!("ann"))
    );
    server.stop().await;
}

#[tokio::test]
async fn history_goes_both_ways_and_by_type() {
    let (_data, server) = start().await;
    let ann = server.token_of("ann").await;
    for number in 1..=7 {
        notify(&server, "ann", 1 + number % 2, &format!("n{number}")).await;
    }
    let path = |query: &str| format!("/v1/users/ann/conversations/{SESSION}/messages?{query}");
    let page = get(&server, &ann, &path("limit=3")).await;
    assert_eq!(
        (texts(&page), &page["next"]),
        (vec!["n7".into(), "n6".into(), "n5".into()], &json!(5))
    );
    let page = get(&server, &ann, &path("limit=9&before=5")).await;
    assert_eq!((texts(&page).len(), page.get("next")), (4, None));
    let page = get(&server, &ann, &path("limit=2&after=2")).await;
    assert_eq!(
        (texts(&page), &page["next"]),
        (vec!["n3".into(), "n4".into()], &json!(4))
    );
    let page = get(&server, &ann, &path("type=1")).await;
    assert_eq!(texts(&page), ["n6", "n4", "n2"]);
    let both = server.v1("GET", &path("before=5&after=1"), &ann, "").await;
    assert_eq!(
        (both.status, both.problem().as_str()),
        (400, "invalid-field")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_user_deletes_hides_pins_and_mutes_for_himself() {
    let (_data, server) = start().await;
    let (ann, bob) = (server.token_of("ann").await, server.token_of("bob").await);
    for text in ["one", "two", "three"] {
        let body =
            json!({ "to": { "user": "bob" }, "contentType": 101, "content": { "text": text } });
        ask(&server, "POST", &ann, "/v1/messages", body).await;
    }
    notify(&server, "bob", 1, "notice").await;
    let chat = "/v1/users/bob/conversations/single:ann";
    let list = get(&server, &bob, "/v1/users/bob/conversations").await;
    assert_eq!(list["unread"], 4);
    // Pinned comes first; hidden is gone until the next message.
    let pinned = ask(
        &server,
        "PATCH",
        &bob,
        chat,
        json!({ "pinned": true, "receiveOption": 2 }),
    )
    .await;
    assert_eq!(
        (&pinned["pinned"], &pinned["receiveOption"]),
        (&json!(true), &json!(2))
    );
    let list = get(&server, &bob, "/v1/users/bob/conversations?limit=1").await;
    assert_eq!(list["conversations"][0]["conversation"]["peer"], "ann");
    let next = format!(
        "/v1/users/bob/conversations?cursor={}",
        list["cursor"].as_str().unwrap()
    );
    let list = get(&server, &bob, &next).await;
    assert_eq!(
        list["conversations"][0]["conversation"]["kind"],
        "notification"
    );
    assert_eq!(list.get("cursor"), None);
    ask(&server, "PATCH", &bob, chat, json!({ "hidden": true })).await;
    let list = get(&server, &bob, "/v1/users/bob/conversations").await;
    assert_eq!(list["conversations"].as_array().unwrap().len(), 1);
    let list = get(&server, &bob, "/v1/users/bob/conversations?hidden=true").await;
    assert_eq!(list["conversations"].as_array().unwrap().len(), 2);

    let messages = format!("{chat}/messages");
    ask(
        &server,
        "DELETE",
        &bob,
        &messages,
        json!({ "conversationSeqs": [2] }),
    )
    .await;
    let page = get(&server, &bob, &messages).await;
    assert_eq!(texts(&page), ["three", "one"]);
    let one = get(&server, &bob, chat).await;
    assert_eq!(one["unread"], 2);
    // Her own view is as it was.
    let hers = get(
        &server,
        &ann,
        "/v1/users/ann/conversations/single:bob/messages",
    )
    .await;
    assert_eq!(texts(&hers), ["three", "two", "one"]);
    ask(&server, "DELETE", &bob, &messages, json!({ "upTo": 3 })).await;
    let page = get(&server, &bob, &messages).await;
    assert_eq!(texts(&page), [""; 0]);
    let one = get(&server, &bob, chat).await;
    assert_eq!(
        (&one["unread"], &one["read"], &one["latest"]),
        (&json!(0), &json!(3), &Value::Null)
    );
    server.stop().await;
}

/// OpenIM's recvMsgOpt 1: not received. It is about being told, and takes no message away.
#[tokio::test]
async fn who_wants_to_receive_nothing_loses_nothing() {
    let (_data, server) = start().await;
    let ann = server.token_of("ann").await;
    notify(&server, "ann", 1, "notice").await;
    server.text_to("ann", "text").await;
    for (session, later) in [(SESSION, "a notice"), ("single:openIM123456", "a text")] {
        let path = format!("/v1/users/ann/conversations/{session}");
        ask(&server, "PATCH", &ann, &path, json!({ "receiveOption": 1 })).await;
        if session == SESSION {
            notify(&server, "ann", 1, later).await;
        } else {
            server.text_to("ann", later).await;
        }
        let one = get(&server, &ann, &path).await;
        assert_eq!(one["receiveOption"], 1);
        let page = get(&server, &ann, &format!("{path}/messages")).await;
        assert_eq!(texts(&page)[0], later);
        let log = server.log_of("ann").await;
        let last = log["entries"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["content"]["text"], later);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_snapshot_goes_on_where_the_log_does() {
    let (_data, server) = start().await;
    let ann = server.token_of("ann").await;
    notify(&server, "ann", 1, "one").await;
    let snapshot = get(&server, &ann, "/v1/users/ann/snapshot").await;
    assert_eq!(
        (&snapshot["seq"], &snapshot["unread"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(snapshot["epoch"], server.log_of("ann").await["epoch"]);
    notify(&server, "ann", 1, "two").await;
    let path = format!("/v1/users/ann/log?after={}", snapshot["seq"]);
    let page = get(&server, &ann, &path).await;
    assert_eq!(page["entries"][0]["content"]["text"], "two");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_there_or_not_ones_own_is_refused() {
    let (_data, server) = start().await;
    let (ann, bob) = (server.token_of("ann").await, server.token_of("bob").await);
    notify(&server, "ann", 1, "one").await;
    let path = format!("/v1/users/ann/conversations/{SESSION}");
    let read = format!("{path}/read");
    let refused = [
        ("GET", path.clone(), &bob, "", 403, "forbidden"),
        (
            "PUT",
            read.clone(),
            &ann,
            r#"{"conversationSeq":2}"#,
            422,
            "beyond-conversation",
        ),
        (
            "PUT",
            read.clone(),
            &ann,
            r#"{"conversationSeq":0}"#,
            422,
            "beyond-conversation",
        ),
        (
            "PUT",
            read.clone(),
            &ann,
            r#"{"conversationSeq":-1}"#,
            400,
            "invalid-field",
        ),
        ("PUT", read, &ann, "{}", 400, "invalid-field"),
        (
            "PATCH",
            path.clone(),
            &ann,
            r#"{"receiveOption":3}"#,
            400,
            "invalid-field",
        ),
        (
            "PATCH",
            path.clone(),
            &ann,
            r#"{"colour":3}"#,
            400,
            "invalid-field",
        ),
        (
            "DELETE",
            format!("{path}/messages"),
            &ann,
            "{}",
            400,
            "invalid-field",
        ),
        (
            "DELETE",
            format!("{path}/messages"),
            &ann,
            r#"{"conversationSeqs":[]}"#,
            400,
            "invalid-field",
        ),
        (
            "DELETE",
            format!("{path}/messages"),
            &ann,
            r#"{"conversationSeqs":[9]}"#,
            422,
            "beyond-conversation",
        ),
        (
            "GET",
            "/v1/users/ann/conversations/single:bob".into(),
            &ann,
            "",
            404,
            "unknown-conversation",
        ),
        (
            "GET",
            "/v1/users/ann/conversations/single:nobody".into(),
            &ann,
            "",
            404,
            "unknown-conversation",
        ),
        (
            "GET",
            "/v1/users/ann/conversations/group:x".into(),
            &ann,
            "",
            400,
            "invalid-field",
        ),
        (
            "GET",
            "/v1/users/ann/conversations?cursor=zz".into(),
            &ann,
            "",
            400,
            "invalid-field",
        ),
        (
            "GET",
            "/v1/users/ann/conversations?limit=0".into(),
            &ann,
            "",
            400,
            "invalid-field",
        ),
        (
            "GET",
            "/v1/users/ann/conversations?hidden=yes".into(),
            &ann,
            "",
            400,
            "invalid-field",
        ),
        ("POST", path, &ann, "{}", 405, "method-not-allowed"),
    ];
    for (method, path, token, body, status, problem) in refused {
        let answer = server.v1(method, &path, token, body).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (status, problem),
            "{method} {path} {body}"
        );
    }
    server.stop().await;
}
