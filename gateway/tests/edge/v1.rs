//! The native surface: sending, pulling, reporting, finding.

use serde_json::{Value, json};

use crate::support::{Running, start};

fn text(user: &str, words: &str) -> Value {
    json!({ "to": { "user": user }, "contentType": 101, "content": { "text": words } })
}

async fn send(server: &Running, token: &str, key: &str, body: &Value) -> crate::support::Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("Authorization", bearer.as_str())];
    if !key.is_empty() {
        headers.push(("Idempotency-Key", key));
    }
    server
        .call(
            "POST",
            "/v1/messages",
            &headers,
            body.to_string().as_bytes(),
        )
        .await
}

#[tokio::test]
async fn a_business_system_learns_where_its_message_stands() {
    let (_data, server) = start().await;
    let first = server.text_to("u1", "one").await;
    assert_eq!(
        first["receivers"],
        json!([{ "user": "u1", "seq": 1, "new": true }])
    );
    let second = server.text_to("u1", "two").await;
    assert_eq!(
        second["receivers"],
        json!([{ "user": "u1", "seq": 2, "new": false }])
    );
    assert!(
        second["time"].as_u64() > first["time"].as_u64(),
        "times of one conversation ascend"
    );

    let by_id = format!("/v1/messages/{}", first["serverMsgID"].as_str().unwrap());
    let found = server.v1("GET", &by_id, &server.admin, "").await.json();
    assert_eq!(found["content"], json!({ "text": "one" }));
    assert_eq!(found["receivers"], json!([{ "user": "u1", "seq": 1 }]));
    assert_eq!(
        (&found["sender"], &found["conversation"]),
        (&json!("openIM123456"), &json!("single"))
    );
    assert!(found["position"].as_u64().unwrap() > 0);
    assert_eq!(found["time"], first["time"]);

    let page = server.log_of("u1").await;
    assert_eq!(
        (&page["floor"], &page["head"], &page["more"]),
        (&json!(1), &json!(2), &json!(false))
    );
    let texts: Vec<_> = page["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["content"]["text"])
        .collect();
    assert_eq!(texts, ["one", "two"]);
    server.stop().await;
}

#[tokio::test]
async fn a_user_acts_for_himself_and_nobody_else() {
    let (_data, server) = start().await;
    let (anna, bert) = (server.token_of("anna").await, server.token_of("bert").await);
    let sent = send(&server, &anna, "", &text("bert", "hi")).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(
        sent.json()["receivers"],
        json!([{ "user": "bert" }]),
        "and learns nothing of others"
    );
    let own = server
        .v1("GET", "/v1/users/bert/log", &bert, "")
        .await
        .json();
    assert_eq!(own["entries"][0]["sender"], "anna");
    let id = own["entries"][0]["serverMsgID"]
        .as_str()
        .unwrap()
        .to_owned();
    for (token, status) in [(&anna, 200), (&bert, 200)] {
        let found = server
            .v1("GET", &format!("/v1/messages/{id}"), token, "")
            .await;
        assert_eq!(found.status, status);
        assert!(
            found.json().get("position").is_none(),
            "positions are not for users"
        );
    }
    let carl = server.token_of("carl").await;
    assert_eq!(
        server
            .v1("GET", &format!("/v1/messages/{id}"), &carl, "")
            .await
            .problem(),
        "unknown-message"
    );

    let mut other = text("bert", "hi");
    other["sender"] = json!("carl");
    assert_eq!(
        send(&server, &anna, "", &other).await.problem(),
        "forbidden"
    );
    let notice = json!({ "to": { "user": "bert" }, "contentType": 1400, "content": { "notificationName": "n", "notificationType": 1, "text": "t" } });
    assert_eq!(
        send(&server, &anna, "", &notice).await.problem(),
        "forbidden"
    );
    for (method, path) in [
        ("GET", "/v1/users/bert/log"),
        ("GET", "/v1/users/nobody/log"),
        ("GET", "/v1/messages?sender=bert&clientMsgID=x"),
    ] {
        assert_eq!(
            server.v1(method, path, &anna, "").await.problem(),
            "forbidden",
            "{path}"
        );
    }
    let cursor = server
        .v1(
            "PUT",
            "/v1/users/bert/devices/d/cursor",
            &anna,
            "{\"seq\":1}",
        )
        .await;
    assert_eq!(cursor.problem(), "forbidden");
    assert_eq!(
        server
            .v1("POST", "/v1/tokens", &anna, "{\"user\":\"anna\"}")
            .await
            .problem(),
        "forbidden"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_key_finds_the_message_again_and_never_makes_a_second() {
    let (_data, server) = start().await;
    let mut body = text("u1", "one");
    body["clientMsgID"] = json!("c1");
    let first = send(&server, &server.admin, "", &body).await;
    assert_eq!(first.json()["clientMsgID"], "c1");
    let again = send(&server, &server.admin, "", &body).await;
    assert_eq!(
        again.text(),
        first.text(),
        "the first answer again, also that the receiver was new"
    );
    assert_eq!(server.log_of("u1").await["head"], 1);
    let mut other = body.clone();
    other["content"]["text"] = json!("two");
    let refused = send(&server, &server.admin, "", &other).await;
    assert_eq!(
        (refused.status, refused.problem()),
        (422, "key-reused".to_owned())
    );

    // Two keys that differ: a retry with either would not find what the other did.
    let two_keys = send(&server, &server.admin, "another", &body).await;
    assert_eq!(
        (two_keys.status, two_keys.problem()),
        (400, "invalid-field".to_owned())
    );
    let one_key = send(&server, &server.admin, "c1", &body).await;
    assert_eq!(one_key.text(), first.text());

    // The same through the other surface is the same message.
    let v2 = json!({ "operationID": "o", "sendID": "openIM123456", "recvID": "u1", "contentType": 101,
                     "sessionType": 1, "content": { "text": "one" }, "clientMsgID": "c1" });
    let same = server
        .v2("/manager/send_msg", &server.admin, v2.to_string())
        .await;
    assert_eq!(
        same.json()["data"]["serverMsgID"],
        first.json()["serverMsgID"],
        "{}",
        same.text()
    );

    let path = "/v1/messages?sender=openIM123456&clientMsgID=c1";
    let found = server.v1("GET", path, &server.admin, "").await.json();
    assert_eq!(found["messages"].as_array().unwrap().len(), 1);
    assert_eq!(
        found["messages"][0]["serverMsgID"],
        first.json()["serverMsgID"]
    );
    let none = server
        .v1("GET", "/v1/messages?clientMsgID=c2", &server.admin, "")
        .await
        .json();
    assert_eq!(none, json!({ "messages": [] }));
    server.stop().await;
}

#[tokio::test]
async fn pages_are_contiguous_and_bounded() {
    let (_data, server) = start().await;
    for number in 1..=25 {
        server.text_to("u1", &number.to_string()).await;
    }
    let token = server.token_of("u1").await;
    let get = async |query: &str| {
        server
            .v1("GET", &format!("/v1/users/u1/log{query}"), &token, "")
            .await
    };
    let mut after = 0;
    let mut seen = Vec::new();
    loop {
        let page = get(&format!("?after={after}&limit=10")).await.json();
        for entry in page["entries"].as_array().unwrap() {
            after += 1;
            assert_eq!(entry["seq"], after);
            seen.push(entry["content"]["text"].as_str().unwrap().to_owned());
        }
        if page["more"] == json!(false) {
            break;
        }
    }
    assert_eq!(
        seen,
        (1..=25)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
    );
    let end = get("?after=25").await;
    assert_eq!(
        (end.status, &end.json()["entries"], &end.json()["head"]),
        (200, &json!([]), &json!(25))
    );

    let ahead = get("?after=26").await;
    assert_eq!((ahead.status, ahead.problem()), (409, "ahead".to_owned()));
    assert_eq!(
        (&ahead.json()["head"], &ahead.json()["floor"]),
        (&json!(25), &json!(1))
    );
    assert_eq!(get("?epoch=00").await.problem(), "other-epoch");
    let epoch = end.json()["epoch"].as_str().unwrap().to_owned();
    assert_eq!(get(&format!("?epoch={epoch}")).await.status, 200);
    for bad in [
        "?limit=0",
        "?limit=1001",
        "?limit=1000000000",
        "?after=-1",
        "?after=x",
        "?wait=61",
        "?befor=1",
        "?after=1&after=2",
    ] {
        assert_eq!(get(bad).await.problem(), "invalid-field", "{bad}");
    }
    server.stop().await;
}

#[tokio::test]
async fn devices_report_how_far_they_are() {
    let (_data, server) = start().await;
    for _ in 0..3 {
        server.text_to("u1", "x").await;
    }
    let token = server.token_of("u1").await;
    let put = async |device: &str, body: &str| {
        server
            .v1(
                "PUT",
                &format!("/v1/users/u1/devices/{device}/cursor"),
                &token,
                body,
            )
            .await
    };
    assert_eq!(
        put("phone", "{\"seq\":2}").await.json(),
        json!({ "seq": 2 })
    );
    assert_eq!(
        put("phone", "{\"seq\":1}").await.json(),
        json!({ "seq": 2 }),
        "it never falls"
    );
    assert_eq!(
        put("pad%20one", "{\"seq\":0}").await.json(),
        json!({ "seq": 0 })
    );
    let ahead = put("phone", "{\"seq\":4}").await;
    assert_eq!((ahead.status, ahead.problem()), (409, "ahead".to_owned()));
    assert_eq!(
        put(&"d".repeat(65), "{\"seq\":1}").await.problem(),
        "invalid-id"
    );
    assert_eq!(put("%0a", "{\"seq\":1}").await.problem(), "invalid-id");
    for bad in [
        "{}",
        "{\"seq\":-1}",
        "{\"seq\":\"1\"}",
        "{\"seq\":1,\"x\":1}",
    ] {
        assert_eq!(put("phone", bad).await.problem(), "invalid-field", "{bad}");
    }
    server.stop().await;
}

#[tokio::test]
async fn bad_requests_are_problems() {
    let (_data, server) = start().await;
    let deep = format!(
        "{{\"to\":{{\"user\":\"u\"}},\"contentType\":101,\"content\":{{\"text\":\"a\",\"x\":{}{}}}}}",
        "[".repeat(40),
        "]".repeat(40)
    );
    let with = |field: &str, value: Value| {
        let mut body = text("u1", "x");
        body[field] = value;
        body.to_string()
    };
    let table: Vec<(String, &str)> = vec![
        (String::new(), "malformed"),
        ("{".into(), "malformed"),
        ("[]".into(), "invalid-field"),
        (format!("{} {{}}", text("u1", "x")), "malformed"),
        (deep, "malformed"),
        ("{}".into(), "invalid-field"),
        (with("colour", json!("red")), "invalid-field"),
        (with("contentType", json!("101")), "invalid-field"),
        (with("contentType", json!(121)), "unknown-content-type"),
        (with("content", json!("x")), "content-shape"),
        (with("content", json!({ "text": {} })), "content-shape"),
        (with("content", json!({})), "content-rules"),
        (
            with("content", json!({ "text": "x".repeat(65_536) })),
            "content-too-large",
        ),
        (with("to", json!({ "user": "" })), "invalid-id"),
        (with("to", json!({ "user": "u".repeat(65) })), "invalid-id"),
        (with("to", json!({ "group": "g" })), "invalid-field"),
        (with("options", json!({ "colour": true })), "invalid-field"),
        (
            with("senderNickname", json!("n".repeat(4_097))),
            "invalid-field",
        ),
        (
            with("offlinePush", json!({ "title": "t".repeat(4_097) })),
            "invalid-field",
        ),
        (with("sender", json!("a\u{7}b")), "invalid-id"),
    ];
    for (body, expected) in table {
        let answer = server
            .v1("POST", "/v1/messages", &server.admin, &body)
            .await;
        assert_eq!(
            answer.problem(),
            expected,
            "{} gave {}",
            &body[..body.len().min(200)],
            answer.text()
        );
    }
    let large = server
        .v1(
            "POST",
            "/v1/messages",
            &server.admin,
            vec![b' '; (1 << 20) + 1],
        )
        .await;
    assert_eq!(
        (large.status, large.problem()),
        (413, "body-too-large".to_owned())
    );
    let binary = server
        .v1(
            "POST",
            "/v1/messages",
            &server.admin,
            b"{\"sender\":\"\xff\"}",
        )
        .await;
    assert_eq!(binary.problem(), "malformed");
    for (method, path, problem) in [
        ("GET", "/v1/", "no-route"),
        ("GET", "/v1/nothing", "no-route"),
        ("GET", "/v1/users/u1/nothing", "no-route"),
        ("GET", "/v1/a/b/c/d/e/f/g/h", "no-route"),
        ("DELETE", "/v1/messages", "method-not-allowed"),
        ("POST", "/v1/me", "method-not-allowed"),
        ("GET", "/v1/messages", "invalid-field"),
        ("GET", "/v1/messages/zz", "unknown-message"),
        (
            "GET",
            "/v1/messages/00000000000000000000000000000000",
            "unknown-message",
        ),
    ] {
        assert_eq!(
            server.v1(method, path, &server.admin, "").await.problem(),
            problem,
            "{method} {path}"
        );
    }
    let options = server.v1("PATCH", "/v1/messages", &server.admin, "").await;
    assert_eq!(options.header("allow"), "GET, POST");
    server.stop().await;
}

#[tokio::test]
async fn options_and_push_texts_come_out_again() {
    let (_data, server) = start().await;
    let mut body = text("u1", "x");
    body["options"] = json!({ "unreadCount": false, "offlinePush": true });
    body["offlinePush"] = json!({ "title": "T", "iOSBadgeCount": true });
    body["senderNickname"] = json!("昵称");
    assert_eq!(send(&server, &server.admin, "", &body).await.status, 200);
    let entry = &server.log_of("u1").await["entries"][0];
    assert_eq!(entry["options"], json!({ "unreadCount": false }));
    assert_eq!(
        entry["offlinePush"],
        json!({ "title": "T", "desc": "", "ex": "", "iOSPushSound": "", "iOSBadgeCount": true })
    );
    assert_eq!(entry["senderNickname"], "昵称");
    server.stop().await;
}
