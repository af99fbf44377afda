//! The v2 endpoints about users and their logs.

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use waybill_gateway::openim::v2::offered::{GROUPS, ROUTES};

use crate::support::{Running, start};

const SEND: &str = "/manager/send_msg";
const PULL: &str = "/msg/pull_msg_by_seq";

async fn done(server: &Running, path: &str, token: &str, mut body: Value) -> Value {
    body["operationID"] = json!("op");
    let answer = server.v2(path, token, body.to_string()).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn register(server: &Running, user: &str) -> String {
    let body = json!({ "secret": server.secret, "platform": 2, "userID": user, "nickname": "N", "ex": "x",
        "phoneNumber": "1", "operationID": "op" });
    let answer = server.v2("/auth/user_register", "", body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"]["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn users_are_listed_checked_updated_and_deleted() {
    let (_data, server) = start().await;
    let (ann, bob) = (
        register(&server, "ann").await,
        register(&server, "bob").await,
    );
    let admin = server.admin.as_str();
    let none = json!({});
    let all = done(&server, "/user/get_all_users_uid", admin, none.clone()).await;
    assert_eq!(
        all,
        json!({ "errCode": 0, "errMsg": "", "data": ["openIM123456", "ann", "bob"] })
    );
    let page = json!({ "showNumber": 2 });
    let first = done(&server, "/manager/get_all_users_uid", admin, page).await;
    assert_eq!(first["data"], json!(["openIM123456", "ann"]));
    let next = json!({ "showNumber": 9, "cursor": first["cursor"] });
    let rest = done(&server, "/manager/get_all_users_uid", admin, next).await;
    assert_eq!((&rest["data"], rest.get("cursor")), (&json!(["bob"]), None));
    let stranger = done(&server, "/user/get_all_users_uid", &ann, none).await;
    assert_eq!(stranger["errCode"], 801);

    let update = json!({ "userID": "ann", "nickname": "Ann <A>", "email": "a@x" });
    for token in [&ann, admin] {
        let updated = done(&server, "/user/update_user_info", token, update.clone()).await;
        assert_eq!(updated, json!({ "errCode": 0, "errMsg": "" }));
    }
    let other = done(&server, "/user/update_user_info", &bob, update).await;
    assert_eq!(
        (&other["errCode"], &other["errMsg"]),
        (&json!(801), &json!("no permission"))
    );
    let ids = json!({ "userIDList": ["ann", "nobody"] });
    let infos = done(&server, "/user/get_users_info", &bob, ids).await;
    let public = json!([{ "ex": "x", "nickname": "Ann <A>", "userID": "ann" }]);
    assert_eq!(infos["data"], public, "no phone number for others");
    let own = done(
        &server,
        "/user/get_self_user_info",
        &ann,
        json!({ "userID": "bob" }),
    )
    .await;
    assert_eq!(
        (&own["data"]["email"], &own["data"]["phoneNumber"]),
        (&json!("a@x"), &json!("1"))
    );

    let gone = json!({ "deleteUserIDList": ["ann", "nobody"] });
    let denied = done(&server, "/manager/delete_user", &bob, gone.clone()).await;
    assert_eq!(
        (&denied["errCode"], &denied["data"]),
        (&json!(801), &json!(["ann", "nobody"]))
    );
    let deleted = done(&server, "/manager/delete_user", admin, gone).await;
    let expected =
        json!({ "errCode": 201, "errMsg": "some uid deleted failed", "data": ["nobody"] });
    assert_eq!(deleted, expected);
    assert_eq!(
        server.v1("GET", "/v1/me", &ann, "").await.problem(),
        "token-revoked"
    );
    let check = json!({ "checkUserIDList": ["ann", "bob"] });
    for path in ["/manager/account_check", "/user/account_check"] {
        let checked = server.v2(
            path,
            admin,
            json!({ "operationID": "o", "checkUserIDList": ["ann", "bob"] }).to_string(),
        );
        assert_eq!(
            checked.await.text(),
            r#"{"errCode":0,"errMsg":"","data":[{"userID":"ann","accountStatus":"unregistered"},{"userID":"bob","accountStatus":"registered"}]}"#
        );
    }
    register(&server, "ann").await;
    let back = done(&server, "/user/account_check", admin, check).await;
    assert_eq!(back["data"][0]["accountStatus"], "registered", "and again");
    let many: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    let many = json!({ "operationID": "op", "checkUserIDList": many });
    let refused = server
        .v2("/user/account_check", admin, many.to_string())
        .await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("'lte' tag"), "{}", refused.text());
    server.stop().await;
}

#[tokio::test]
async fn logins_are_ended_and_presence_is_what_is_known() {
    let (_data, server) = start().await;
    let ann = register(&server, "ann").await;
    let ids = json!({ "userIDList": ["ann"] });
    for path in [
        "/manager/get_users_online_status",
        "/user/get_users_online_status",
    ] {
        let status = done(&server, path, &server.admin, ids.clone()).await;
        assert_eq!(
            status["data"],
            json!([{ "userID": "ann", "status": "offline" }])
        );
        let others = json!({ "userIDList": ["ann", "openIM123456"] });
        let denied = done(&server, path, &ann, others).await;
        assert_eq!(denied["errCode"], 801, "{path}");
        let many: Vec<_> = (0..201).map(|number| number.to_string()).collect();
        let many = json!({ "operationID": "op", "userIDList": many }).to_string();
        let refused = server.v2(path, &server.admin, many).await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.text().contains("'lte' tag"), "{}", refused.text());
    }
    let logout = json!({ "platform": 2, "fromUserID": "ann" });
    let denied = done(&server, "/auth/force_logout", &ann, logout.clone()).await;
    assert_eq!(denied["errCode"], 801);
    done(&server, "/auth/force_logout", &server.admin, logout).await;
    assert_eq!(
        server.v1("GET", "/v1/me", &ann, "").await.problem(),
        "token-revoked"
    );
    let bad = server
        .v2(
            "/auth/force_logout",
            &ann,
            json!({ "platform": 2, "fromUserID": "ann", "operationID": "op" }).to_string(),
        )
        .await;
    assert_eq!((bad.status, &bad.json()["errCode"]), (500, &json!(500)));
    assert!(!bad.text().contains(&ann), "a token is not repeated");
    server.stop().await;
}

#[tokio::test]
async fn who_waits_is_online_until_logged_out_by_force() {
    const STATUS: &str = "/user/get_users_online_status";
    let (_data, server) = start().await;
    let ann = register(&server, "ann").await;
    let ids = json!({ "userIDList": ["ann"] });
    let poll = server.v1("GET", "/v1/users/ann/log?wait=60", &ann, "");
    let watch = async {
        let online = json!([{ "userID": "ann", "status": "online",
            "detailPlatformStatus": [{ "platform": "Android", "status": "online" }] }]);
        let mut seen = Value::Null;
        for _ in 0..500 {
            seen = done(&server, STATUS, &server.admin, ids.clone()).await["data"].clone();
            if seen == online {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(seen, online);
        let logout = json!({ "platform": 2, "fromUserID": "ann" });
        let done = done(&server, "/auth/force_logout", &server.admin, logout).await;
        assert_eq!(done["errCode"], 0);
    };
    let (answer, ()) = tokio::join!(poll, watch);
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (401, "token-revoked"),
        "the connection ends with the token"
    );
    let status = done(&server, STATUS, &server.admin, ids).await;
    let offline = json!([{ "userID": "ann", "status": "offline" }]);
    assert_eq!(status["data"], offline);
    server.stop().await;
}

/// A notice comes in the original's frame; and the account that sent it has a copy, under its receiver, once it has a device.
#[tokio::test]
async fn a_notice_is_framed_and_copied_to_an_account_with_a_device() {
    let (_data, server) = start().await;
    let content =
        |text: &str| json!({ "notificationName": "n", "notificationType": 1, "text": text });
    let send = async |text: &str| {
        let body = json!({ "sendID": "openIM123456", "recvID": "u1", "contentType": 1400, "sessionType": 1,
            "content": content(text) });
        done(&server, SEND, &server.admin, body).await["data"].clone()
    };
    send("one").await;
    let own = server.log_of("openIM123456").await;
    assert_eq!(own["head"], 0, "no device, no copy");
    let path = "/v1/users/openIM123456/devices/d/cursor";
    let device = server.v1("PUT", path, &server.admin, r#"{"seq":0}"#).await;
    assert_eq!(device.status, 200, "{}", device.text());
    let sent = send("two").await;
    let own = server.log_of("openIM123456").await;
    assert_eq!(own["head"], 1);
    assert_eq!(
        own["entries"][0]["conversation"],
        json!({ "kind": "notification", "peer": "u1" })
    );
    // Field 3 of TipsComm: its tag, its length, the content as it was sent.
    let content = content("two").to_string();
    let mut framed = vec![0x1a, u8::try_from(content.len()).unwrap()];
    framed.extend_from_slice(content.as_bytes());
    let framed = base64::engine::general_purpose::STANDARD.encode(framed);
    for (owner, seq) in [("u1", 2), ("openIM123456", 1)] {
        let pull = json!({ "reqIdentifier": 1002, "sendID": owner, "seqList": [seq] });
        let pulled = done(&server, PULL, &server.admin, pull).await;
        let message = &pulled["data"][0];
        for (field, expected) in [
            ("seq", json!(seq)),
            ("sendID", json!("openIM123456")),
            ("recvID", json!("u1")),
            ("contentType", json!(1400)),
            ("sessionType", json!(4)),
            ("content", json!(framed)),
            ("serverMsgID", sent["serverMsgID"].clone()),
            ("clientMsgID", sent["clientMsgID"].clone()),
            ("sendTime", sent["sendTime"].clone()),
        ] {
            assert_eq!(message[field], expected, "{field} for {owner}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn logs_are_pulled_by_seq_deleted_from_and_trimmed() {
    let (_data, server) = start().await;
    let ann = register(&server, "ann").await;
    let bob = register(&server, "bob").await;
    for text in ["one", "two", "three"] {
        server.text_to("ann", text).await;
    }
    let newest = json!({ "reqIdentifier": 1001, "sendID": "ann", "msgIncr": 7 });
    let ends = done(&server, "/msg/newest_seq", &ann, newest.clone()).await;
    let expected = json!({ "errCode": 0, "errMsg": "", "msgIncr": 7, "reqIdentifier": 1001, "data": { "maxSeq": 3, "minSeq": 0 } });
    assert_eq!(ends, expected);
    let pull = json!({ "operationID": "op", "reqIdentifier": 1002, "sendID": "ann", "seqList": [3, 1, 1, 9] });
    let stranger = server.v2(PULL, &bob, pull.to_string()).await;
    assert_eq!(
        (stranger.status, &stranger.json()["errCode"]),
        (400, &json!(400))
    );
    let pulled = done(&server, PULL, &ann, pull.clone()).await;
    let list = pulled["data"].as_array().unwrap();
    assert_eq!(
        list.len(),
        3,
        "a seq that is asked for twice hides no other"
    );
    assert_eq!(list[0]["seq"], 1);
    let text = base64::engine::general_purpose::STANDARD.encode("three");
    assert_eq!(
        (&list[1]["content"], &list[1]["seq"]),
        (&json!(text), &json!(3))
    );
    assert_eq!(
        (&list[0]["recvID"], &list[2]),
        (&json!("ann"), &json!({ "seq": 9 }))
    );

    let del = json!({ "userID": "ann", "seqList": [1, 9] });
    let denied = done(&server, "/msg/del_msg", &bob, del.clone()).await;
    assert_eq!(denied["errCode"], 801);
    assert_eq!(done(&server, "/msg/del_msg", &ann, del).await["errCode"], 0);
    let list = server
        .v1("GET", "/v1/users/ann/conversations", &ann, "")
        .await;
    assert_eq!(list.json()["unread"], 2, "{}", list.text());
    let path = "/v1/users/ann/conversations/single:openIM123456/messages";
    let history = server.v1("GET", path, &ann, "").await.json();
    let left = history["messages"].as_array().unwrap().iter();
    let left: Vec<_> = left.map(|message| &message["content"]["text"]).collect();
    assert_eq!(left, ["three", "two"], "deleted when it was answered");

    let floor = |seq: u64| json!({ "userID": "ann", "minSeq": seq });
    assert_eq!(
        done(&server, "/msg/set_msg_min_seq", &bob, floor(2)).await["errCode"],
        801
    );
    assert_eq!(
        done(&server, "/msg/set_msg_min_seq", &ann, floor(99)).await["errCode"],
        803
    );
    assert_eq!(
        done(&server, "/msg/set_msg_min_seq", &server.admin, floor(3)).await["errCode"],
        0
    );
    assert_eq!(
        done(&server, "/msg/newest_seq", &ann, newest.clone()).await["data"]["minSeq"],
        3
    );
    let old = server.v1("GET", "/v1/users/ann/log", &ann, "").await;
    assert_eq!(old.problem(), "too-old");
    let pulled = done(&server, PULL, &ann, pull).await;
    assert_eq!(pulled["data"][0], json!({ "seq": 1 }), "below the floor");
    let clear = json!({ "userID": "ann" });
    assert_eq!(
        done(&server, "/msg/clear_msg", &ann, clear).await["errCode"],
        0
    );
    let ends = done(&server, "/msg/newest_seq", &ann, newest).await;
    // The deletion is an entry too.
    assert_eq!(ends["data"], json!({ "maxSeq": 4, "minSeq": 5 }));
    server.stop().await;
}

#[tokio::test]
async fn a_log_is_cleared_by_its_owner_or_a_manager_and_no_other_with_it() {
    const CLEAR: &str = "/msg/clear_msg";
    let (_data, server) = start().await;
    let ann = register(&server, "ann").await;
    let bob = register(&server, "bob").await;
    let admin = server.admin.as_str();
    for user in ["ann", "ann_b"] {
        server.text_to(user, "text").await;
    }
    let clear = |user: &str| json!({ "userID": user });
    // Nobody acts for another, and least of all for a manager.
    for user in ["ann", "openIM123456"] {
        let floor = json!({ "userID": user, "minSeq": 1 });
        for (path, body) in [(CLEAR, clear(user)), ("/msg/set_msg_min_seq", floor)] {
            let denied = done(&server, path, &bob, body).await;
            assert_eq!(denied["errCode"], 801, "{path} of {user}");
        }
    }
    assert_eq!(server.log_of("ann").await["floor"], 1);
    // A log with nothing in it can be cleared too.
    for (user, token) in [("bob", bob.as_str()), ("ann", ann.as_str()), ("ann", admin)] {
        let cleared = done(&server, CLEAR, token, clear(user)).await;
        assert_eq!(cleared["errCode"], 0, "{user}: {cleared}");
    }
    let own = json!({ "reqIdentifier": 1001, "sendID": "ann", "msgIncr": 1 });
    let ends = done(&server, "/msg/newest_seq", admin, own).await;
    assert_eq!(ends["data"], json!({ "maxSeq": 1, "minSeq": 2 }));
    let other = server.log_of("ann_b").await;
    assert_eq!(
        (&other["floor"], &other["entries"][0]["content"]["text"]),
        (&json!(1), &json!("text")),
        "an id that begins alike is another's"
    );
    server.stop().await;
}

#[tokio::test]
async fn the_outcome_of_a_send_is_told_where_it_is_known() {
    let (_data, server) = start().await;
    let ann = register(&server, "ann").await;
    let check = |id: &str| json!({ "operationID": id }).to_string();
    const CHECK: &str = "/msg/check_msg_is_send_success";
    let unknown = server.v2(CHECK, &server.admin, check("never")).await;
    assert_eq!(unknown.json()["errCode"], 802, "unknown is not success");
    let send = |id: &str, session: u64| {
        json!({ "operationID": id, "sendID": "openIM123456", "recvID": "u1", "contentType": 101, "sessionType": session,
            "content": { "text": "t" } })
        .to_string()
    };
    server
        .v2("/manager/send_msg", &server.admin, send("good", 1))
        .await;
    let good = server.v2(CHECK, &server.admin, check("good")).await;
    assert_eq!(good.text(), r#"{"errCode":0,"errMsg":"","status":0}"#);
    let batch = json!({ "operationID": "half", "sendID": "openIM123456", "recvIDList": ["u1", "a\nb"], "contentType": 101,
        "sessionType": 1, "content": { "text": "t" } });
    let sent = server
        .v2("/msg/batch_send_msg", &server.admin, batch.to_string())
        .await;
    assert_eq!(sent.json()["data"]["FailedIDList"], json!(["a\nb"]));
    let half = server.v2(CHECK, &server.admin, check("half")).await;
    assert_eq!(half.json()["status"], 1);
    assert_eq!(
        server.v2(CHECK, &ann, check("good")).await.json()["errCode"],
        801
    );
    assert_eq!(server.v2(CHECK, "", check("good")).await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn routes_that_are_not_offered_say_so() {
    let (_data, server) = start().await;
    let groups = GROUPS.iter().map(|group| format!("{group}anything"));
    let routes = ROUTES.iter().map(|route| (*route).to_owned());
    for path in groups.chain(routes) {
        let expected = json!({ "errCode": 801, "errMsg": format!("{path} is not offered") });
        // Some of them ask for no token in the original.
        for token in ["", server.admin.as_str()] {
            let answer = server.v2(&path, token, "{}").await;
            assert_eq!((answer.status, answer.json()), (200, expected.clone()));
        }
    }
    assert_eq!(
        server.v2("/nothing", "", "{}").await.text(),
        "404 page not found"
    );
    server.stop().await;
}

/// The page may claim no test that is not there, and must list what is not offered.
#[test]
fn the_compatibility_page_names_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/openim-compatibility.md")).unwrap();
    let mut sources = String::new();
    let mut folders = vec![
        root.join("gateway"),
        root.join("core"),
        root.join("log"),
        root.join("tests"),
        root.join("replay"),
        root.join("client"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut named = 0;
    for name in page
        .split("`test:")
        .skip(1)
        .filter_map(|rest| rest.split('`').next())
    {
        named += 1;
        assert!(
            sources.contains(&format!("fn {name}(")),
            "{name} is no test"
        );
    }
    assert!(named > 20, "{named} tests are named");
    for number in 1..=81 {
        assert!(
            page.contains(&format!("D{number} ")),
            "D{number} is missing"
        );
    }
    for row in page.lines().filter(|line| line.starts_with("| D")) {
        let verdicts = ["ruled out by `test:", "later", "does not apply because "];
        let verdict = row.split('|').nth(2).unwrap().trim();
        let said = verdicts.iter().any(|word| verdict.starts_with(word));
        assert!(said, "{row}");
    }
    for route in GROUPS.iter().chain(&ROUTES) {
        assert!(page.contains(route), "{route} is missing");
    }
}
