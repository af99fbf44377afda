//! Messages to many: lists, audiences, everybody; what became of them; recall; and the batch of the v2 dialect.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Running, SEED, start};

fn task(to: &Value, text: &str) -> String {
    json!({
        "to": to, "contentType": 1400, "senderNickname": "HR",
        "content": {
            "notificationName": "HR", "notificationFaceURL": "", "notificationType": 1, "text": text, "externalUrl": "",
            "mixType": 0, "ex": ""
        }
    })
    .to_string()
}

async fn admin(server: &Running, method: &str, path: &str, body: &str) -> Answer {
    server.v1(method, path, &server.admin, body).await
}

async fn good(server: &Running, method: &str, path: &str, body: &str) -> Value {
    let answer = admin(server, method, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn keyed(server: &Running, key: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {}", server.admin);
    let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key)];
    server
        .call("POST", "/v1/tasks", &headers, body.as_bytes())
        .await
}

/// Waits until a task is done, and gives it.
async fn done(server: &Running, task: &str, recalled: bool) -> Value {
    for _ in 0..500 {
        let found = good(server, "GET", &format!("/v1/tasks/{task}"), "").await;
        if found["done"] == true && found["recalled"] == recalled {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{task} does not end");
}

fn id(answer: &Value) -> &str {
    answer["task"].as_str().unwrap()
}

async fn unread(server: &Running, user: &str) -> u64 {
    let path = format!("/v1/users/{user}/conversations");
    good(server, "GET", &path, "").await["unread"]
        .as_u64()
        .unwrap()
}

fn lines(ids: impl Iterator<Item = usize>) -> String {
    ids.map(|id| format!("\"staff{id}\"\n")).collect()
}

#[tokio::test]
async fn a_list_says_at_once_what_became_of_each() {
    let (_data, server) = start().await;
    server.text_to("u1", "known").await;
    let list = task(&json!({ "users": ["u1", "u2"] }), "one");
    let first = keyed(&server, "list-1", &list).await.json();
    let receivers = first["receivers"].as_array().unwrap();
    let brief = |receiver: &Value| {
        (
            receiver["user"].clone(),
            receiver["seq"].clone(),
            receiver["new"].clone(),
        )
    };
    let briefs: Vec<_> = receivers.iter().map(brief).collect();
    assert_eq!(
        briefs,
        [
            (json!("u1"), json!(2), json!(false)),
            (json!("u2"), json!(1), json!(true))
        ]
    );
    // With its key again: the same places. To one more: he alone is new. Something else under it is refused, one by one.
    let again = keyed(&server, "list-1", &list).await.json();
    assert_eq!(
        (&again["repeated"], &again["receivers"]),
        (&json!(true), &first["receivers"])
    );
    let more = task(&json!({ "users": ["u3", "u1"] }), "one");
    let more = keyed(&server, "list-1", &more).await.json();
    assert_eq!(more["receivers"][0]["new"], true);
    assert_eq!(
        more["receivers"][1]["serverMsgID"],
        first["receivers"][0]["serverMsgID"]
    );
    let other = task(&json!({ "users": ["u1"] }), "another");
    let other = keyed(&server, "list-1", &other).await.json();
    assert_eq!(
        other["receivers"][0]["error"]["type"],
        "urn:waybill:problem:key-reused"
    );
    assert_eq!(unread(&server, "u2").await, 1);
    // A receiver's message is found by the id that this receiver has.
    let own = receivers[1]["serverMsgID"].as_str().unwrap();
    let found = good(&server, "GET", &format!("/v1/messages/{own}"), "").await;
    assert_eq!(found["receivers"][0]["user"], "u2");
    let log = server.log_of("u2").await;
    assert_eq!(log["entries"][0]["serverMsgID"], own);
    server.stop().await;
}

#[tokio::test]
async fn a_long_list_and_an_audience_reach_everybody_once() {
    let (_data, server) = start().await;
    let users: Vec<String> = (0..1_500).map(|id| format!("staff{id}")).collect();
    let long = task(&json!({ "users": users }), "long");
    let first = keyed(&server, "long-1", &long).await.json();
    let again = keyed(&server, "long-1", &long).await.json();
    assert_eq!((id(&first), &again["repeated"]), (id(&again), &json!(true)));
    let found = done(&server, id(&first), false).await;
    assert_eq!(
        (&found["receivers"], &found["delivered"]),
        (&json!(1_500), &json!(1_500))
    );

    // In two parts, with a duplicate, from the line that the first ended at.
    let audience = "/v1/audiences/staff";
    let part = good(
        &server,
        "PUT",
        &format!("{audience}?last=false"),
        &lines(0..1_100),
    )
    .await;
    assert_eq!(
        (&part["lines"], &part["complete"]),
        (&json!(1_100), &json!(false))
    );
    let unknown = admin(
        &server,
        "POST",
        "/v1/tasks",
        &task(&json!({ "audience": "staff" }), "early"),
    )
    .await;
    assert_eq!(
        (unknown.status, unknown.problem().as_str()),
        (404, "unknown-audience")
    );
    let go_on = |line: u64| format!("{audience}?audience={}&line={line}", part["audience"]);
    let stale = admin(&server, "PUT", &go_on(7), &lines(1_100..1_200)).await;
    assert_eq!((stale.status, stale.problem().as_str()), (409, "stale"));
    let whole = good(&server, "PUT", &go_on(1_100), &lines(1_099..1_200)).await;
    assert_eq!(
        (&whole["members"], &whole["complete"]),
        (&json!(1_200), &json!(true))
    );
    let more = admin(&server, "PUT", &go_on(1_201), &lines(5..6)).await;
    assert_eq!(
        (more.status, more.problem().as_str()),
        (409, "audience-state")
    );
    let sent = good(
        &server,
        "POST",
        "/v1/tasks",
        &task(&json!({ "audience": "staff" }), "to staff"),
    )
    .await;
    let found = done(&server, id(&sent), false).await;
    assert_eq!(found["delivered"], 1_200);
    for (user, expected) in [("staff0", 2), ("staff1199", 2), ("staff1200", 1)] {
        assert_eq!(unread(&server, user).await, expected, "{user}");
    }
    // All receivers, page by page, and how each stands.
    let read = r#"{"conversationSeq":2}"#;
    let path = "/v1/users/staff7/conversations/notification:openIM123456/read";
    good(&server, "PUT", path, read).await;
    let (mut cursor, mut count, mut states) = (String::new(), 0, std::collections::BTreeMap::new());
    loop {
        let path = format!("/v1/tasks/{}/receivers?limit=500{cursor}", id(&sent));
        let page = good(&server, "GET", &path, "").await;
        for receiver in page["receivers"].as_array().unwrap() {
            *states
                .entry(receiver["state"].as_str().unwrap().to_owned())
                .or_insert(0) += 1;
            count += 1;
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(count, 1_200);
    assert_eq!(
        states,
        [("durable".to_owned(), 1_199), ("read".to_owned(), 1)].into()
    );
    let path = format!("/v1/tasks/{}/receivers?state=read", id(&sent));
    let page = good(&server, "GET", &path, "").await;
    assert_eq!(page["receivers"][0]["user"], "staff7");
    server.stop().await;
}

#[tokio::test]
async fn a_recall_reaches_everybody_who_has_it() {
    let (_data, server) = start().await;
    for user in ["u1", "u2", "u3"] {
        server.text_to(user, "hello").await;
    }
    let sent = good(
        &server,
        "POST",
        "/v1/tasks",
        &task(&json!({ "everybody": "seen" }), "wrong"),
    )
    .await;
    done(&server, id(&sent), false).await;
    assert_eq!(unread(&server, "u1").await, 2);
    let path = format!("/v1/tasks/{}/recall", id(&sent));
    assert_eq!(
        good(&server, "POST", &path, "{}").await,
        json!({ "recalled": 0 })
    );
    let found = done(&server, id(&sent), true).await;
    assert_eq!(found["told"], 3);
    assert_eq!(unread(&server, "u1").await, 1);
    let log = server.log_of("u1").await;
    let last = log["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["kind"], &last["by"]),
        (&json!(4), &json!("openIM123456"))
    );
    let history = "/v1/users/u1/conversations/notification:openIM123456/messages";
    let page = good(&server, "GET", history, "").await;
    assert_eq!(
        (
            &page["messages"][0]["recalled"],
            &page["messages"][0]["content"]
        ),
        (&json!(true), &Value::Null)
    );
    // One message, by its own id; by its sender, and by nobody else.
    let one = server.text_to("u1", "oops").await;
    let path = format!(
        "/v1/messages/{}/recall",
        one["serverMsgID"].as_str().unwrap()
    );
    let (u1, u2) = (server.token_of("u1").await, server.token_of("u2").await);
    let stranger = server.v1("POST", &path, &u2, "{}").await;
    assert_eq!(
        (stranger.status, stranger.problem().as_str()),
        (404, "unknown-message")
    );
    let receiver = server.v1("POST", &path, &u1, "{}").await;
    assert_eq!(
        (receiver.status, receiver.problem().as_str()),
        (403, "forbidden")
    );
    assert_eq!(
        good(&server, "POST", &path, "{}").await,
        json!({ "recalled": 1 })
    );
    assert_eq!(
        good(&server, "POST", &path, "{}").await,
        json!({ "recalled": 0 })
    );
    server.stop().await;
}

#[tokio::test]
async fn a_task_that_cannot_be_is_refused() {
    let (_data, server) = start().await;
    let person = server.token_of("u1").await;
    let to = |to: Value| task(&to, "x");
    let refused = [
        (&server.admin, to(json!({})), 400, "invalid-field"),
        (
            &server.admin,
            to(json!({ "users": [] })),
            400,
            "no-receiver",
        ),
        (
            &server.admin,
            to(json!({ "users": ["a", "a"] })),
            400,
            "invalid-field",
        ),
        (
            &server.admin,
            to(json!({ "users": ["a"], "audience": "b" })),
            400,
            "invalid-field",
        ),
        (
            &server.admin,
            to(json!({ "users": ["a\u{7}"] })),
            400,
            "invalid-id",
        ),
        (
            &server.admin,
            to(json!({ "audience": "nobody" })),
            404,
            "unknown-audience",
        ),
        (
            &server.admin,
            to(json!({ "everybody": "else" })),
            400,
            "invalid-field",
        ),
        (&person, to(json!({ "users": ["a"] })), 403, "forbidden"),
    ];
    for (token, body, status, problem) in refused {
        let answer = server.v1("POST", "/v1/tasks", token, &body).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (status, problem),
            "{body}"
        );
    }
    let none = format!("/v1/tasks/{}", "0".repeat(32));
    let answer = admin(&server, "GET", &none, "").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (404, "unknown-task")
    );
    let bad = admin(&server, "PUT", "/v1/audiences/x", "\"a\"\nb\n").await;
    assert_eq!((bad.status, bad.problem().as_str()), (400, "malformed"));
    server.stop().await;
}

fn batch(ids: &Value, client_msg_id: &str) -> String {
    let mut body: Value = serde_json::from_slice(SEED).unwrap();
    let object = body.as_object_mut().unwrap();
    object.remove("recvID");
    object.insert("recvIDList".to_owned(), ids.clone());
    if !client_msg_id.is_empty() {
        object.insert("clientMsgID".to_owned(), json!(client_msg_id));
    }
    body.to_string()
}

#[tokio::test]
async fn a_batch_of_the_old_api_answers_for_each_receiver() {
    let (_data, server) = start().await;
    for path in ["/manager/batch_send_msg", "/msg/batch_send_msg"] {
        let ids = json!(["b1", "b2", "b1", "", "x".repeat(65)]);
        let answer = server.v2(path, &server.admin, batch(&ids, "batch-1")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["errCode"], 0);
        let sent = body["data"]["resultList"].as_array().unwrap();
        let who: Vec<_> = sent
            .iter()
            .map(|one| one["recvID"].as_str().unwrap())
            .collect();
        assert_eq!(who, ["b1", "b2"]);
        assert_ne!(sent[0]["clientMsgID"], sent[1]["clientMsgID"]);
        assert_eq!(body["data"]["FailedIDList"], json!(["", "x".repeat(65)]));
    }
    // The second was a retry of the first.
    for user in ["b1", "b2"] {
        assert_eq!(server.log_of(user).await["head"], 1);
    }
    // Without an id of the caller each receiver's message has two of its own.
    let fresh = batch(&json!(["b1", "b2"]), "");
    let fresh = server.v2("/msg/batch_send_msg", &server.admin, fresh).await;
    let fresh = fresh.json();
    let mut ids = std::collections::HashSet::new();
    for one in fresh["data"]["resultList"].as_array().unwrap() {
        for name in ["serverMsgID", "clientMsgID"] {
            let id = one[name].as_str().unwrap();
            let hexadecimal = id.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(id.len() == 32 && hexadecimal, "{id}");
            ids.insert(id);
        }
    }
    assert_eq!(ids.len(), 4, "{fresh}");
    let nobody = server
        .v2(
            "/manager/batch_send_msg",
            &server.admin,
            batch(&json!([]), ""),
        )
        .await;
    let expected = r#"{"errCode":0,"errMsg":"","data":{"resultList":null,"FailedIDList":null}}"#;
    assert_eq!((nobody.status, nobody.text()), (200, expected));
    let wrong = server
        .v2(
            "/manager/batch_send_msg",
            &server.admin,
            batch(&json!([7]), ""),
        )
        .await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("cannot unmarshal number into Go struct field ManagementBatchSendMsgReq.recvIDList of type string"), "{}", wrong.text());
    let person = server.token_of("b1").await;
    let denied = server
        .v2(
            "/manager/batch_send_msg",
            &person,
            batch(&json!(["b2"]), ""),
        )
        .await;
    assert_eq!(
        (denied.status, denied.json()["errMsg"].as_str()),
        (400, Some("not authorized"))
    );
    server.stop().await;
}

/// More than one record takes: several, under one key.
#[tokio::test]
async fn a_long_batch_is_repeated_whole() {
    let (_data, server) = start().await;
    let ids: Vec<_> = (0..600).map(|id| format!("staff{id}")).collect();
    let body = batch(&json!(ids), "batch-600");
    let first = server
        .v2("/manager/batch_send_msg", &server.admin, &body)
        .await
        .json();
    assert_eq!(first["errCode"], 0, "{first}");
    let results = |answer: &Value| answer["data"]["resultList"].as_array().unwrap().clone();
    assert_eq!(results(&first).len(), 600);
    let again = server
        .v2("/manager/batch_send_msg", &server.admin, &body)
        .await
        .json();
    assert_eq!(results(&again), results(&first));
    assert_eq!(unread(&server, "staff599").await, 1);
    server.stop().await;
}
