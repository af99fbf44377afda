//! `/manager/send_msg` and its twin.

use serde_json::{Value, json};
use waybill_gateway::config::Manager;

use crate::support::{SEED, config, start, start_with};

const SEND: &str = "/manager/send_msg";

/// A good request with some fields replaced; `null` takes one out.
fn request(changes: Value) -> String {
    let mut body = json!({
        "operationID": "op", "sendID": "openIM123456", "recvID": "u1", "contentType": 1400, "sessionType": 4,
        "content": { "notificationName": "n", "notificationType": 1, "text": "t" }
    });
    let fields = body.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => fields.remove(name),
            value => fields.insert(name.clone(), value.clone()),
        };
    }
    body.to_string()
}

#[tokio::test]
async fn the_articles_request_is_accepted_and_comes_out_byte_for_byte() {
    let (_data, server) = start().await;
    let answer = server.v2(SEND, &server.admin, SEED).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!((&body["errCode"], &body["errMsg"]), (&json!(0), &json!("")));
    let data = &body["data"];
    let expected = format!(
        r#"{{"errCode":0,"errMsg":"","data":{{"serverMsgID":{},"clientMsgID":{},"sendTime":{}}}}}"#,
        data["serverMsgID"], data["clientMsgID"], data["sendTime"]
    );
    assert_eq!(
        answer.text(),
        expected,
        "the envelope has no other field and its own order"
    );
    for id in ["serverMsgID", "clientMsgID"] {
        let id = data[id].as_str().unwrap();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
    }

    let page = server
        .v1("GET", "/v1/users/18712345678/log", &server.admin, "")
        .await;
    let text = std::str::from_utf8(SEED).unwrap();
    let start = text.find("\"content\": ").unwrap() + "\"content\": ".len();
    let end = text.find(",\n\"contentType\"").unwrap();
    assert!(
        page.text()
            .contains(&format!("\"content\":{}", &text[start..end])),
        "{}",
        page.text()
    );
    let entry = &page.json()["entries"][0];
    assert_eq!(entry["seq"], 1);
    assert_eq!(entry["time"], data["sendTime"]);
    assert_eq!(entry["serverMsgID"], data["serverMsgID"]);
    assert_eq!(entry["clientMsgID"], data["clientMsgID"]);
    assert_eq!(
        entry["conversation"],
        json!({ "kind": "notification", "peer": "openIM123456" })
    );
    assert_eq!(entry["contentType"], 1400);
    assert_eq!(entry["senderNickname"], "系统通知2");
    assert_eq!(entry["offlinePush"]["title"], "admin revoke your message");
    server.stop().await;
}

#[tokio::test]
async fn unknown_keys_and_odd_spelling_survive() {
    let (_data, server) = start().await;
    let content = "{ \"TEXT\":\"t\",\"text\" : \"a&b\\u003c\",\"notificationName\":\"n\", \"notificationType\":\"7\",\
                   \"externalUrl\":\"http://x/?a=1&b=2\",\"big\":9007199254740993,\"big\":1.10 }";
    let body = format!(
        "{{\"OPERATIONID\":\"op\",\"sendid\":\"oa\",\"recvID\":\"u1\",\"contentType\":1400,\"sessionType\":1,\
         \"content\":{content},\"somethingElse\":[1]}} trailing"
    );
    let answer = server.v2("/msg/manage_send_msg", &server.admin, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page = server
        .v1("GET", "/v1/users/u1/log", &server.admin, "")
        .await;
    assert!(page.text().contains(content), "{}", page.text());
    let entry = &page.json()["entries"][0];
    assert_eq!(
        (&entry["sender"], &entry["notificationType"]),
        (&json!("oa"), &json!(7))
    );
    assert_eq!(
        entry["conversation"]["kind"], "notification",
        "1400 is one, whatever sessionType says"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_text_goes_to_a_single_chat() {
    let (_data, server) = start().await;
    let body = request(json!({
        "contentType": 101, "sessionType": 1, "content": { "text": "hello" }, "sendID": "a", "recvID": "b",
        "notOfflinePush": true
    }));
    let answer = server.v2(SEND, &server.admin, body).await;
    assert_eq!(answer.json()["errCode"], 0, "{}", answer.text());
    for (user, peer) in [("a", "b"), ("b", "a")] {
        let entry = &server.log_of(user).await["entries"][0];
        assert_eq!(
            entry["conversation"],
            json!({ "kind": "single", "peer": peer })
        );
        assert_eq!(entry["content"], json!({ "text": "hello" }));
        assert_eq!(entry["options"], json!({ "offlinePush": false }));
    }
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_the_status_code_and_text_of_the_original() {
    let (_data, server) = start().await;
    let user = server.token_of("somebody").await;
    let admin = server.admin.as_str();
    let key = |field: &str| {
        format!(
            "Key: 'ManagementSendMsgReq.ManagementSendMsg.{field}' Error:Field validation for '{field}' failed on \
             the 'required' tag"
        )
    };
    let oa = |field: &str| {
        format!(
            "Key: 'OANotificationElem.{field}' Error:Field validation for '{field}' failed on the 'required' tag"
        )
    };
    let table: Vec<(&str, String, u16, i32, String)> = vec![
        // In the order of the checks; the token is bad, and what comes before it is found first.
        ("", String::new(), 400, 400, "EOF".into()),
        ("", "{".into(), 400, 400, "unexpected EOF".into()),
        ("", "hello".into(), 400, 400, "invalid character 'h' looking for beginning of value".into()),
        ("", "[]".into(), 400, 400, "json: cannot unmarshal array into Go value of type base_info.ManagementSendMsgReq".into()),
        ("", request(json!({ "contentType": "1400" })), 400, 400, "json: cannot unmarshal string into Go struct field ManagementSendMsgReq.contentType of type int32".into()),
        ("", request(json!({ "operationID": 5 })), 400, 400, "json: cannot unmarshal number into Go struct field ManagementSendMsgReq.operationID of type string".into()),
        ("", request(json!({ "content": "x" })), 400, 400, "json: cannot unmarshal string into Go struct field ManagementSendMsgReq.content of type map[string]interface {}".into()),
        ("", request(json!({ "operationID": "" })), 400, 400, key("OperationID")),
        ("", request(json!({ "sendID": null, "sessionType": 0 })), 400, 400, format!("{}\n{}", key("SendID"), key("SessionType"))),
        ("", request(json!({ "contentType": 121 })), 400, 404, "contentType err".into()),
        ("", request(json!({ "contentType": -1 })), 400, 404, "contentType err".into()),
        ("", request(json!({ "content": { "pictureElem": "x" } })), 400, 401, "1 error(s) decoding:\n\n* 'pictureElem' expected a map, got 'string'".into()),
        ("", request(json!({ "content": { "notificationName": "n", "notificationType": 0 } })), 400, 403, format!("{}\n{}", oa("NotificationType"), oa("Text"))),
        ("", request(json!({ "contentType": 101, "content": { "text": 5 } })), 400, 403, "Key: 'TextElem.Text' Error:Field validation for 'Text' failed on the 'string' tag".into()),
        ("", request(json!({})), 400, 400, "parse token failed".into()),
        ("nonsense", request(json!({})), 400, 400, "parse token failed".into()),
        (&user, request(json!({})), 400, 400, "not authorized".into()),
        (admin, request(json!({ "recvID": null })), 400, 405, "recvID is a null string".into()),
        (admin, request(json!({ "contentType": 101, "content": { "text": "t" }, "sessionType": 1, "recvID": "" })), 400, 405, "recvID is a null string".into()),
        (admin, request(json!({ "contentType": 101, "content": { "text": "t" }, "sessionType": 2 })), 400, 405, "groupID is a null string".into()),
        (admin, request(json!({ "contentType": 101, "content": { "text": "t" }, "sessionType": 2, "groupID": "g" })), 200, 802, "db failed".into()),
        (admin, request(json!({ "contentType": 101, "content": { "text": "t" }, "sessionType": 9 })), 200, 203, "unknown sessionType".into()),
        (admin, request(json!({ "recvID": "u".repeat(65) })), 400, 403, "recvID is longer than 64 bytes".into()),
        (admin, request(json!({ "recvID": "a\u{1}b" })), 400, 403, "recvID holds a control character".into()),
        (admin, request(json!({ "sendID": "s".repeat(65) })), 400, 403, "sendID is longer than 64 bytes".into()),
        (admin, request(json!({ "clientMsgID": "c".repeat(65) })), 400, 403, "clientMsgID is longer than 64 bytes".into()),
        (admin, request(json!({ "operationID": "o".repeat(129) })), 400, 400, "operationID is longer than 128 bytes".into()),
    ];
    for (token, body, status, code, text) in table {
        let answer = server.v2(SEND, token, &body).await;
        let found = answer.json();
        let context = format!("{body} gave {}", answer.text());
        assert_eq!(answer.status, status, "{context}");
        assert_eq!(
            answer.header("content-type"),
            "application/json",
            "{context}"
        );
        assert_eq!(found["errCode"], code, "{context}");
        assert_eq!(found["errMsg"], text, "{context}");
    }
    let denied = server.v2(SEND, "", request(json!({}))).await;
    assert_eq!(
        denied.text(),
        r#"{"MsgID":"","errCode":400,"errMsg":"parse token failed","sendTime":0}"#
    );
    assert_eq!(server.log_of("somebody").await["head"], 0);
    let answer = server
        .v1("GET", "/v1/users/u1/log", &server.admin, "")
        .await;
    assert_eq!(
        answer.problem(),
        "unknown-user",
        "none of them left a trace"
    );
    server.stop().await;
}

#[tokio::test]
async fn what_is_too_large_or_too_deep_is_refused() {
    let (_data, server) = start().await;
    let content = |text: String| {
        request(json!({ "contentType": 101, "sessionType": 1, "content": { "text": text } }))
    };
    let fits = 64 * 1024 - r#"{"text":""}"#.len();
    let answer = server
        .v2(SEND, &server.admin, content("x".repeat(fits)))
        .await;
    assert_eq!(answer.json()["errCode"], 0, "{}", answer.text());
    let kept = &server.log_of("u1").await["entries"][0]["content"]["text"];
    assert_eq!(kept.as_str().map(str::len), Some(fits));
    let answer = server
        .v2(SEND, &server.admin, content("x".repeat(fits + 1)))
        .await;
    assert_eq!(
        (answer.status, &answer.json()["errCode"]),
        (400, &json!(403))
    );
    assert_eq!(
        answer.json()["errMsg"],
        "the content has 65537 bytes; at most 65536 are taken"
    );
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let deep = request(json!({})).replace("\"t\"", &format!("\"t\",\"x\":{deep}"));
    let answer = server.v2(SEND, &server.admin, deep).await;
    assert_eq!(answer.json()["errMsg"], "exceeded max depth of 32");
    let answer = server
        .v2(SEND, &server.admin, vec![b' '; (1 << 20) + 1])
        .await;
    assert_eq!(
        (answer.status, &answer.json()["errCode"]),
        (413, &json!(400)),
        "{}",
        answer.text()
    );
    let headers = [
        ("token", server.admin.as_str()),
        ("Content-Encoding", "gzip"),
    ];
    let answer = server.call("POST", SEND, &headers, SEED).await;
    assert_eq!(answer.status, 415);
    server.stop().await;
}

#[tokio::test]
async fn paths_and_methods_answer_as_the_original() {
    let (_data, server) = start().await;
    for path in [
        "/",
        "/manager",
        "/manager/send_msg/",
        "/Manager/send_msg",
        "/v1",
        "/msg/sendmsg",
    ] {
        let answer = server.v2(path, "", "{}").await;
        assert_eq!(
            (answer.status, answer.text()),
            (404, "404 page not found"),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), "text/plain");
    }
    for method in ["GET", "PUT", "DELETE"] {
        let answer = server.call(method, SEND, &[], b"").await;
        assert_eq!(
            (answer.status, answer.text()),
            (404, "404 page not found"),
            "{method}"
        );
    }
    let answer = server.call("OPTIONS", SEND, &[], b"").await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, "\"Options Request!\"")
    );
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    server.stop().await;
}

#[tokio::test]
async fn a_retry_with_its_key_never_makes_a_second_message() {
    let (_data, server) = start().await;
    let send = async |key: &str, changes: Value| {
        let token = server.admin.as_str();
        let mut headers = vec![("token", token)];
        if !key.is_empty() {
            headers.push(("Idempotency-Key", key));
        }
        server
            .call("POST", SEND, &headers, request(changes).as_bytes())
            .await
    };
    let heads = async || server.log_of("u1").await["head"].as_u64().unwrap();
    // Without a key every call is a message of its own.
    let one = send("", json!({})).await.json();
    let two = send("", json!({})).await.json();
    assert_ne!(one["data"]["serverMsgID"], two["data"]["serverMsgID"]);
    assert_ne!(one["data"]["clientMsgID"], two["data"]["clientMsgID"]);
    assert_eq!(heads().await, 2);
    // By header, quoted or not; the trace id may differ.
    let first = send("k1", json!({})).await;
    let again = send("\"k1\"", json!({ "operationID": "another" })).await;
    assert_eq!(first.text(), again.text());
    assert_eq!(heads().await, 3);
    // By clientMsgID.
    let first = send("", json!({ "clientMsgID": "c1" })).await;
    assert_eq!(first.json()["data"]["clientMsgID"], "c1");
    assert_eq!(
        send("", json!({ "clientMsgID": "c1" })).await.text(),
        first.text()
    );
    assert_eq!(heads().await, 4);
    // The same key for another request is refused, to another receiver it is another message.
    let other =
        json!({ "content": { "notificationName": "n", "notificationType": 1, "text": "other" } });
    let refused = send("k1", other).await;
    assert_eq!(
        (refused.status, &refused.json()["errCode"]),
        (200, &json!(803)),
        "{}",
        refused.text()
    );
    assert!(
        refused.json()["errMsg"]
            .as_str()
            .unwrap()
            .contains("another request")
    );
    assert_eq!(
        send("k1", json!({ "recvID": "u2" })).await.json()["errCode"],
        0
    );
    assert_eq!(heads().await, 4);
    let long = send(&"k".repeat(65), json!({})).await;
    assert_eq!((long.status, &long.json()["errCode"]), (400, &json!(403)));
    server.stop().await;
}

#[tokio::test]
async fn an_operation_id_is_a_key_only_where_the_account_says_so() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.openim.managers = vec![Manager {
        operation_id_is_key: true,
        ..Manager::named("oa")
    }];
    let server = start_with(config).await;
    let first = server.v2(SEND, &server.admin, request(json!({}))).await;
    let again = server.v2(SEND, &server.admin, request(json!({}))).await;
    assert_eq!(first.text(), again.text());
    let other = server
        .v2(
            SEND,
            &server.admin,
            request(json!({ "operationID": "o".repeat(128) })),
        )
        .await;
    assert_eq!(
        other.json()["errCode"],
        0,
        "longer than a key may be, and yet one: {}",
        other.text()
    );
    assert_eq!(server.log_of("u1").await["head"], 2);
    server.stop().await;
}

#[tokio::test]
async fn unknown_receivers_are_refused_where_the_server_is_told_to() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.unknown_receiver = waybill_core::policy::UnknownReceiver::Refuse;
    let server = start_with(config.clone()).await;
    let refused = server.v2(SEND, &server.admin, request(json!({}))).await;
    assert_eq!(
        (refused.status, &refused.json()["errCode"]),
        (200, &json!(802)),
        "{}",
        refused.text()
    );
    server.token_of("u1").await;
    assert_eq!(
        server
            .v2(SEND, &server.admin, request(json!({})))
            .await
            .json()["errCode"],
        0
    );
    server.stop().await;
    config.unknown_receiver = waybill_core::policy::UnknownReceiver::Accept;
    let server = start_with(config).await;
    let sent = server
        .v2(SEND, &server.admin, request(json!({ "recvID": "u9" })))
        .await;
    assert_eq!(
        sent.json()["errCode"],
        0,
        "the policy follows the configuration"
    );
    server.stop().await;
}
