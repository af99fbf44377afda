//! Contents of every type, end to end: sent over both surfaces, pulled as they were written; options by contentType; what is
//! refused, and where it says so.

use serde_json::{Value, json};

use crate::support::{Running, config, start, start_with};

const SEND: &str = "/manager/send_msg";

/// A content of each type, with keys that no table knows, odd spacing and integers beyond 64 bits.
const CONTENTS: [(u32, &str); 21] = [
    (101, r#"{"text":"t" , "n":9223372036854775809}"#),
    (
        102,
        r#"{"sourcePicture":{"url":"https://x/p","size":9007199254740993},"x":[ 1 ]}"#,
    ),
    (
        103,
        r#"{"sourceUrl":"https://x/s","duration":18446744073709551616}"#,
    ),
    (104, r#"{"videoUrl":"https://x/v?a=1&b=<2>","x":1.10}"#),
    (
        105,
        r#"{"sourceUrl":"https://x/f","fileName":"合同.pdf","x":"A"}"#,
    ),
    (
        106,
        r#"{"text":"@b","atUserList":["b"],"isAtSelf":false,"x":9223372036854775809}"#,
    ),
    (
        107,
        r#"{"title":"t","multiMessage":[{"seq":9223372036854775809,"content":"c"}]}"#,
    ),
    (108, r#"{"userID":"u","x":{"y":-9223372036854775809}}"#),
    (109, r#"{"longitude":0,"latitude":-33.900000000000000001}"#),
    (110, r#"{"data":"{\"a\":1}","x":9223372036854775809}"#),
    (111, r#"{"revokeMsgClientID":"c1","x":1e2}"#),
    (112, r#"{"msgIDList":["c1","c2"],"x":1e2}"#),
    (113, r#"{"msgTips":"…","x":1e2}"#),
    (
        114,
        r#"{"text":"t","quoteMessage":{"clientMsgID":"c1","x":9223372036854775809}}"#,
    ),
    (115, r#"{"index":3,"x":9223372036854775809}"#),
    (116, r#"{"msgIDList":["c1"],"x":9223372036854775809}"#),
    (
        117,
        r#"{"text":"t","messageEntityList":[{"offset":0,"x":9223372036854775809}]}"#,
    ),
    (
        118,
        r#"{"clientMsgID":"c1","revokeTime":1645697804432,"x":9223372036854775809}"#,
    ),
    (119, r#"{"data":"{}","x":9223372036854775809}"#),
    (120, r#"{"data":"{}","x":9223372036854775809}"#),
    (
        1400,
        r#"{"notificationName":"n","notificationType":7,"text":"a&b","ex":"","x":9223372036854775809,"x":0}"#,
    ),
];

fn v1_body(user: &str, kind: u32, content: &str) -> String {
    format!(r#"{{"to":{{"user":"{user}"}},"contentType":{kind},"content":{content}}}"#)
}

fn v2_body(user: &str, kind: u32, content: &str) -> String {
    format!(
        r#"{{"operationID":"o","sendID":"openIM123456","recvID":"{user}","sessionType":1,"contentType":{kind},"content":{content}}}"#
    )
}

/// The options that come out when the caller names none.
fn expected_options(kind: u32) -> Value {
    match kind {
        111 | 118 => json!({ "unreadCount": false, "offlinePush": false }),
        112 | 116 => {
            json!({ "unreadCount": false, "offlinePush": false, "conversationUpdate": false,
                             "senderConversationUpdate": false })
        }
        113 => {
            json!({ "history": false, "persistent": false, "senderSync": false, "unreadCount": false,
                       "offlinePush": false, "conversationUpdate": false, "senderConversationUpdate": false })
        }
        119 => json!({ "conversationUpdate": false }),
        120 => {
            json!({ "history": false, "persistent": false, "senderSync": false, "offlinePush": false,
                       "conversationUpdate": false })
        }
        _ => Value::Null,
    }
}

async fn good(server: &Running, body: String) {
    let answer = server
        .v1("POST", "/v1/messages", &server.admin, &body)
        .await;
    assert_eq!(answer.status, 200, "{body} gave {}", answer.text());
}

/// The slug and pointer of a refusal on `/v1`.
async fn refused(server: &Running, body: &str) -> (String, String) {
    let answer = server.v1("POST", "/v1/messages", &server.admin, body).await;
    let slug = answer.problem();
    let pointer = answer.json()["errors"][0]["pointer"]
        .as_str()
        .map(str::to_owned);
    (slug, pointer.unwrap_or_default())
}

/// HTTP status, errCode and errMsg of the dialect.
async fn dialect(server: &Running, body: &str) -> (u16, i64, String) {
    let answer = server.v2(SEND, &server.admin, body).await;
    let json = answer.json();
    let text = json["errMsg"].as_str().unwrap().to_owned();
    (answer.status, json["errCode"].as_i64().unwrap(), text)
}

#[tokio::test]
async fn every_content_comes_out_byte_for_byte_with_its_options() {
    let (_data, server) = start().await;
    for (kind, content) in CONTENTS {
        good(&server, v1_body("native", kind, content)).await;
        let sent = dialect(&server, &v2_body("dialect", kind, content)).await;
        assert_eq!(sent, (200, 0, String::new()), "{kind}");
    }
    for user in ["native", "dialect"] {
        let path = format!("/v1/users/{user}/log?limit=1000");
        let page = server.v1("GET", &path, &server.admin, "").await;
        let entries = page.json()["entries"].as_array().unwrap().clone();
        assert_eq!(entries.len(), CONTENTS.len());
        for ((kind, content), entry) in CONTENTS.into_iter().zip(entries) {
            assert!(
                page.text().contains(&format!(r#""content":{content}"#)),
                "{kind}: {}",
                page.text()
            );
            assert_eq!(entry["contentType"], kind);
            assert_eq!(entry["options"], expected_options(kind), "{kind}");
            let place = if kind == 1400 {
                "notification"
            } else {
                "single"
            };
            assert_eq!(entry["conversation"]["kind"], place, "{kind}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_batch_takes_every_type_too() {
    let (_data, server) = start().await;
    for (kind, content) in CONTENTS {
        let body =
            v2_body("", kind, content).replace(r#""recvID":"""#, r#""recvIDList":["a","b"]"#);
        let answer = server
            .v2("/manager/batch_send_msg", &server.admin, body)
            .await;
        let sent = answer.json()["data"]["resultList"].as_array().map(Vec::len);
        assert_eq!(sent, Some(2), "{kind}: {}", answer.text());
        let bad = v2_body("", kind, "5").replace(r#""recvID":"""#, r#""recvIDList":["a"]"#);
        let answer = server
            .v2("/manager/batch_send_msg", &server.admin, bad)
            .await;
        assert_eq!(
            (answer.status, &answer.json()["errCode"]),
            (400, &json!(400))
        );
    }
    let path = "/v1/users/b/log?limit=1000";
    let page = server.v1("GET", path, &server.admin, "").await;
    for (kind, content) in CONTENTS {
        let kept = page.text().contains(&format!(r#""content":{content}"#));
        assert!(kept, "{kind}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_content_lacks_is_named_on_each_surface() {
    let (_data, server) = start().await;
    let tag = |element: &str, field: &str| {
        format!(
            "Key: '{element}.{field}' Error:Field validation for '{field}' failed on the 'required' tag"
        )
    };
    let table = [
        (
            106,
            r#"{"atUserList":[]}"#,
            "/content/text",
            tag("AtElem", "Text"),
        ),
        (
            106,
            r#"{"text":"t"}"#,
            "/content/atUserList",
            tag("AtElem", "AtUserList"),
        ),
        (
            107,
            r#"{"title":"t"}"#,
            "/content/multiMessage",
            tag("MergeElem", "MultiMessage"),
        ),
        (
            109,
            r#"{"longitude":1}"#,
            "/content/latitude",
            tag("LocationElem", "Latitude"),
        ),
        (110, "{}", "/content/data", tag("CustomElem", "Data")),
        (
            111,
            "{}",
            "/content/revokeMsgClientID",
            tag("RevokeElem", "RevokeMsgClientID"),
        ),
        (
            112,
            "{}",
            "/content/msgIDList",
            tag("ReceiptElem", "MsgIDList"),
        ),
        (
            114,
            r#"{"text":"t"}"#,
            "/content/quoteMessage",
            tag("QuoteElem", "QuoteMessage"),
        ),
        (
            118,
            "{}",
            "/content/clientMsgID",
            tag("MessageRevoked", "ClientMsgID"),
        ),
        (120, "{}", "/content/data", tag("CustomElem", "Data")),
    ];
    for (kind, content, pointer, text) in table {
        let found = refused(&server, &v1_body("u", kind, content)).await;
        assert_eq!(
            found,
            ("content-rules".to_owned(), pointer.to_owned()),
            "{kind}"
        );
        let found = dialect(&server, &v2_body("u", kind, content)).await;
        assert_eq!(found, (400, 403, text), "{kind}");
    }
    let wrong = v1_body("u", 109, r#"{"longitude":"x","latitude":1}"#);
    let found = refused(&server, &wrong).await;
    assert_eq!(
        found,
        ("content-shape".to_owned(), "/content/longitude".to_owned())
    );
    let (status, code, _) = dialect(
        &server,
        &v2_body("u", 107, r#"{"title":"t","multiMessage":5}"#),
    )
    .await;
    assert_eq!((status, code), (400, 401));
    // A picture without a picture: the original takes it, so its dialect does.
    let found = refused(&server, &v1_body("u", 102, "{}")).await;
    assert_eq!(
        found,
        (
            "content-rules".to_owned(),
            "/content/sourcePicture".to_owned()
        )
    );
    assert_eq!(dialect(&server, &v2_body("u", 102, "{}")).await.1, 0);
    server.stop().await;
}

#[tokio::test]
async fn mix_type_is_held_to_on_v1_and_passes_on_the_dialect() {
    let (_data, server) = start().await;
    let media = [
        ("pictureElem", r#"{"sourcePicture":{"url":"https://x/p"}}"#),
        ("soundElem", r#"{"sourceUrl":"https://x/s"}"#),
        ("videoElem", r#"{"videoUrl":"https://x/v"}"#),
        ("fileElem", r#"{"sourceUrl":"https://x/f"}"#),
    ];
    let needs: [&[&str]; 6] = [
        &[],
        &["pictureElem"],
        &["videoElem"],
        &["fileElem"],
        &["soundElem"],
        &["soundElem", "pictureElem"],
    ];
    let notice = |mix: usize, without: &str| {
        let elements: String = media
            .iter()
            .filter(|(name, _)| *name != without)
            .map(|(name, element)| format!(r#","{name}":{element}"#))
            .collect();
        format!(
            r#"{{"notificationName":"n","notificationType":1,"text":"t","mixType":{mix}{elements}}}"#
        )
    };
    for (mix, needs) in needs.into_iter().enumerate() {
        good(&server, v1_body("u", 1400, &notice(mix, ""))).await;
        for (name, _) in media {
            let content = notice(mix, name);
            if needs.contains(&name) {
                let found = refused(&server, &v1_body("u", 1400, &content)).await;
                let pointer = format!("/content/{name}");
                assert_eq!(found, ("content-rules".to_owned(), pointer), "{content}");
            } else {
                good(&server, v1_body("u", 1400, &content)).await;
            }
            assert_eq!(
                dialect(&server, &v2_body("u", 1400, &content)).await.1,
                0,
                "{content}"
            );
        }
    }
    let beyond = notice(6, "");
    let found = refused(&server, &v1_body("u", 1400, &beyond)).await;
    assert_eq!(
        found,
        ("content-rules".to_owned(), "/content/mixType".to_owned())
    );
    assert_eq!(dialect(&server, &v2_body("u", 1400, &beyond)).await.1, 0);
    server.stop().await;
}

#[tokio::test]
async fn nothing_unsafe_to_show_or_open_is_kept() {
    let (_data, server) = start().await;
    let notice = json!({ "notificationName": "n", "notificationType": 1, "text": "t\u{202b}\n" });
    let base = json!({ "to": { "user": "u" }, "contentType": 1400, "content": notice });
    let names: [(&str, Value, &str); 8] = [
        (
            "/content",
            json!({ "notificationName": "a\u{202e}b" }),
            "/content/notificationName",
        ),
        (
            "/content",
            json!({ "notificationName": "a\nb" }),
            "/content/notificationName",
        ),
        (
            "/content",
            json!({ "externalUrl": "javascript:alert(1)" }),
            "/content/externalUrl",
        ),
        (
            "/content",
            json!({ "notificationFaceURL": " data:x" }),
            "/content/notificationFaceURL",
        ),
        (
            "",
            json!({ "senderNickname": "\u{2067}x" }),
            "/senderNickname",
        ),
        (
            "",
            json!({ "senderFaceURL": "vbscript:x" }),
            "/senderFaceURL",
        ),
        (
            "",
            json!({ "offlinePush": { "title": "a\tb" } }),
            "/offlinePush/title",
        ),
        (
            "",
            json!({ "offlinePush": { "desc": "a\u{202d}" } }),
            "/offlinePush/desc",
        ),
    ];
    for (place, changes, pointer) in names {
        let mut v1 = base.clone();
        let mut v2: Value = serde_json::from_str(&v2_body("u", 1400, &notice.to_string())).unwrap();
        for (name, value) in changes.as_object().unwrap() {
            v1.pointer_mut(place).unwrap()[name] = value.clone();
            let old = if name == "offlinePush" {
                "offlinePushInfo"
            } else {
                name
            };
            v2.pointer_mut(place).unwrap()[old] = value.clone();
        }
        let slug = if place.is_empty() {
            "invalid-field"
        } else {
            "content-rules"
        };
        let found = refused(&server, &v1.to_string()).await;
        assert_eq!(found, (slug.to_owned(), pointer.to_owned()), "{changes}");
        let code = if place.is_empty() { 400 } else { 403 };
        let (status, found, text) = dialect(&server, &v2.to_string()).await;
        assert_eq!((status, found), (400, code), "{changes}: {text}");
        let name = pointer.rsplit('/').next().unwrap();
        assert!(text.starts_with(name), "{text}");
    }
    let log = server.v1("GET", "/v1/users/u/log", &server.admin, "").await;
    assert_eq!(log.problem(), "unknown-user", "none of them left a trace");
    let mut fine = base;
    fine["content"]["externalUrl"] = json!("https://oa.example.com/a?b=c:d");
    fine["senderFaceURL"] = json!("ic_avatar_01");
    fine["offlinePush"] = json!({ "desc": "two\n\tlines" });
    good(&server, fine.to_string()).await;
    let secret = &server.secret;
    for (field, value) in [("nickname", "a\u{202e}"), ("faceURL", "javascript:1")] {
        let mut body =
            json!({ "secret": secret, "platform": 1, "userID": "new", "operationID": "o" });
        body[field] = json!(value);
        let answer = server.v2("/auth/user_register", "", body.to_string()).await;
        assert_eq!(answer.status, 400, "{field}: {}", answer.text());
        assert_eq!(answer.json()["errCode"], 400);
    }
    server.stop().await;
}

#[tokio::test]
async fn options_are_the_callers_where_the_caller_names_them() {
    let (_data, server) = start().await;
    let message = |kind: u32, content: Value, options: Value| {
        json!({ "to": { "user": "u" }, "contentType": kind, "content": content, "options": options }).to_string()
    };
    let receipt = json!({ "msgIDList": [] });
    good(
        &server,
        message(
            112,
            receipt.clone(),
            json!({ "offlinePush": true, "senderSync": false }),
        ),
    )
    .await;
    let all: Value = [
        "history",
        "persistent",
        "offlinePush",
        "unreadCount",
        "conversationUpdate",
        "senderSync",
        "notPrivate",
        "senderConversationUpdate",
        "senderNotificationPush",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), json!(false)))
    .collect::<serde_json::Map<_, _>>()
    .into();
    good(&server, message(101, json!({ "text": "t" }), all.clone())).await;
    let entries = server.log_of("u").await["entries"].clone();
    assert_eq!(
        entries[0]["options"],
        json!({ "unreadCount": false, "conversationUpdate": false, "senderConversationUpdate": false,
                "senderSync": false })
    );
    assert_eq!(entries[1]["options"], all);
    let unknown = message(112, receipt, json!({ "a/b~c": true }));
    let found = refused(&server, &unknown).await;
    assert_eq!(
        found,
        ("invalid-field".to_owned(), "/options/a~1b~0c".to_owned())
    );
    // The original's manager call has no such field and passes it over.
    let body = v2_body("u", 101, r#"{"text":"t"}"#).replace(
        r#""operationID""#,
        r#""options":{"colour":false},"operationID""#,
    );
    assert_eq!(dialect(&server, &body).await.1, 0);
    server.stop().await;
}

#[tokio::test]
async fn the_servers_push_title_is_kept_where_the_sender_gives_none() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.push_title = "新消息".to_owned();
    let server = start_with(config.clone()).await;
    let text = r#"{"text":"t"}"#;
    let with = |push: &str| {
        v2_body("u", 101, text).replace(
            r#""operationID""#,
            &format!(r#""offlinePushInfo":{push},"operationID""#),
        )
    };
    let whole = r#"{"title":"T","desc":"d","ex":"e","iOSPushSound":"s","iOSBadgeCount":true}"#;
    let bodies = [
        with(whole),
        with(r#"{"title":"","desc":"d"}"#),
        v2_body("u", 101, text),
        v2_body("u", 101, text)
            .replace(r#""sessionType""#, r#""notOfflinePush":true,"sessionType""#),
    ];
    for body in bodies {
        assert_eq!(dialect(&server, &body).await.1, 0, "{body}");
    }
    let keyed = v1_body("u", 101, text).replace("{\"to\"", r#"{"clientMsgID":"c","to""#);
    good(&server, keyed.clone()).await;
    let entries = server.log_of("u").await["entries"].clone();
    let whole: Value = serde_json::from_str(whole).unwrap();
    assert_eq!(entries[0]["offlinePush"], whole);
    assert_eq!(entries[1]["offlinePush"]["title"], "新消息");
    assert_eq!(entries[1]["offlinePush"]["desc"], "d");
    assert_eq!(entries[2]["offlinePush"]["title"], "新消息");
    assert_eq!(entries[3]["offlinePush"], Value::Null);
    server.stop().await;
    // The title is no part of what the caller said.
    config.push_title = "another".to_owned();
    let server = start_with(config).await;
    good(&server, keyed).await;
    let log = server.log_of("u").await;
    assert_eq!(log["head"], 5);
    assert_eq!(log["entries"][4]["offlinePush"]["title"], "新消息");
    server.stop().await;
}
