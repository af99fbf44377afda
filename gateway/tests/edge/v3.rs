//! OpenIM v3 over HTTP: envelope, codes, accounts, sends, and what users do to conversations.

use serde_json::{Value, json};

use crate::support::{Answer, Running, start};

/// A call of the dialect; the answer's body.
pub async fn v3(server: &Running, path: &str, token: &str, body: Value) -> Value {
    let headers = [("operationID", "op"), ("token", token)];
    let answer = server
        .call("POST", path, &headers, body.to_string().as_bytes())
        .await;
    checked(&answer)
}

fn checked(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let body = answer.json();
    assert!(body["errCode"].is_i64() && body["errMsg"].is_string() && body["errDlt"].is_string());
    body
}

/// The data of a call that succeeds.
pub async fn done(server: &Running, path: &str, token: &str, body: Value) -> Value {
    let answer = v3(server, path, token, body).await;
    assert_eq!(answer["errCode"], 0, "{path}: {answer}");
    answer["data"].clone()
}

async fn code(server: &Running, path: &str, token: &str, body: Value) -> i64 {
    v3(server, path, token, body).await["errCode"]
        .as_i64()
        .unwrap()
}

/// Registers users and gives a token of each.
pub async fn users(server: &Running, ids: &[&str]) -> Vec<String> {
    let users: Vec<Value> = ids
        .iter()
        .map(|id| json!({ "userID": id, "nickname": id }))
        .collect();
    done(
        server,
        "/user/user_register",
        &server.admin,
        json!({ "users": users }),
    )
    .await;
    let mut tokens = Vec::new();
    for id in ids {
        let body = json!({ "userID": id, "platformID": 5 });
        let token = done(server, "/auth/get_user_token", &server.admin, body).await;
        tokens.push(token["token"].as_str().unwrap().to_owned());
    }
    tokens
}

pub async fn text(server: &Running, from: &str, to: &str, content: &str) -> Value {
    let body = json!({
        "sendID": from, "recvID": to, "contentType": 101, "sessionType": 1, "content": { "content": content },
    });
    done(server, "/msg/send_msg", &server.admin, body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_accounts() {
    let (_data, server) = start().await;
    let secret = server.secret.clone();
    let admin = |secret: &str, user: &str| json!({ "secret": secret, "userID": user });
    let path = "/auth/get_admin_token";
    let token = done(&server, path, "", admin(&secret, "openIM123456")).await;
    let token = token["token"].as_str().unwrap().to_owned();
    assert_eq!(
        code(&server, path, "", admin("wrong", "openIM123456")).await,
        1002
    );
    assert_eq!(
        code(&server, path, "", admin(&secret, "somebody")).await,
        1001
    );
    let parsed = done(&server, "/auth/parse_token", "", json!({ "token": token })).await;
    assert_eq!(parsed["userID"], "openIM123456");
    assert_eq!(parsed["platformID"], 10);

    let tokens = users(&server, &["u1"]).await;
    let user_token = |user: &str, platform: u8| json!({ "userID": user, "platformID": platform });
    let path = "/auth/get_user_token";
    for (by, user, platform, expected) in [
        (&token, "u1", 10, 1002),
        (&token, "u1", 12, 1001),
        (&token, "openIM123456", 5, 1002),
        (&token, "nobody", 5, 1101),
        (&tokens[0], "u1", 5, 1002),
    ] {
        assert_eq!(
            code(&server, path, by, user_token(user, platform)).await,
            expected,
            "{user}"
        );
    }
    let again = json!({ "users": [{ "userID": "u2" }, { "userID": "u1" }] });
    assert_eq!(
        code(&server, "/user/user_register", &token, again).await,
        1102
    );
    assert_eq!(
        code(&server, path, &token, user_token("u2", 5)).await,
        1101,
        "none of them"
    );
    let account = json!({ "userID": "0oa", "nickName": "OA", "faceURL": "", "appMangerLevel": 3 });
    done(&server, "/user/add_notification_account", &token, account).await;
    // As the web SDK asks: everybody very many times.
    let asked = ["0oa", "u1", "nobody", ""].repeat(100_000);
    let asked = json!({ "userIDs": asked });
    let found = done(&server, "/user/get_users_info", &tokens[0], asked).await;
    let found = found["usersInfo"].as_array().unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (&found[0]["nickname"], &found[0]["appMangerLevel"]),
        (&json!("OA"), &json!(3))
    );

    assert_eq!(
        code(&server, "/user/get_users_info", "", json!({})).await,
        1507
    );
    assert_eq!(
        code(&server, "/user/get_users_info", "x", json!({})).await,
        1503
    );
    done(&server, "/auth/force_logout", &token, user_token("u1", 5)).await;
    assert_eq!(
        code(&server, "/user/get_users_info", &tokens[0], json!({})).await,
        1506
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_and_refusals() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    let notice = json!({ "notificationName": "n", "notificationType": 1, "text": "t", "mixType": 0, "big": 12345678901234567890_u64 });
    let body = json!({ "sendID": "oa", "recvID": "u1", "contentType": 1400, "sessionType": 1, "content": notice });
    let sent = done(&server, "/msg/send_msg", &server.admin, body.clone()).await;
    assert_eq!(sent["serverMsgID"].as_str().unwrap().len(), 32);
    // Kept as it was said, and in a notification session whatever sessionType says.
    let log = server.log_of("u1").await;
    assert_eq!(log["entries"][0]["contentType"], 1400, "{log}");
    assert!(log.to_string().contains("12345678901234567890"), "{log}");

    let with = |name: &str, value: Value| {
        let mut body = body.clone();
        body[name] = value;
        body
    };
    for (name, value, expected) in [
        ("contentType", json!(2101), 1001),
        ("contentType", json!(118), 1001),
        ("sendID", json!(""), 1001),
        ("recvID", json!(""), 1001),
        ("content", json!("text"), 1001),
        ("content", json!({}), 1001),
    ] {
        assert_eq!(
            code(&server, "/msg/send_msg", &server.admin, with(name, value)).await,
            expected,
            "{name}"
        );
    }
    assert_eq!(
        code(&server, "/msg/send_msg", &tokens[0], body.clone()).await,
        1002
    );
    let group = json!({
        "sendID": "u1", "groupID": "g", "contentType": 101, "sessionType": 3, "content": { "content": "x" },
    });
    assert_eq!(
        code(&server, "/msg/send_msg", &server.admin, group).await,
        1201
    );

    // The same clientMsgID is the same message.
    let mut keyed = with("clientMsgID", json!("k1"));
    let first = done(&server, "/msg/send_msg", &server.admin, keyed.clone()).await;
    assert_eq!(
        done(&server, "/msg/send_msg", &server.admin, keyed.clone()).await,
        first
    );
    keyed["content"]["text"] = json!("other");
    assert_eq!(
        code(&server, "/msg/send_msg", &server.admin, keyed).await,
        1003
    );

    let mut batch = body.clone();
    batch["recvIDs"] = json!(["u1", "u2", "u2", "\u{7}"]);
    let sent = done(&server, "/msg/batch_send_msg", &server.admin, batch).await;
    assert_eq!(sent["results"].as_array().unwrap().len(), 2);
    assert_eq!(sent["failedUserIDs"], json!(["\u{7}"]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_read_recall_delete_and_clear() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2", "u3"]).await;
    let (mine, theirs, foreign) = (&tokens[0], &tokens[1], &tokens[2]);
    let own = |path: &'static str, body: Value| done(&server, path, mine, body);
    let version = json!({ "userID": "u1", "version": 0, "versionID": "" });
    let before = own("/conversation/get_incremental_conversations", version).await;
    assert_eq!(before["full"], true);
    for number in 0..4 {
        text(&server, "u2", "u1", &number.to_string()).await;
    }
    let name = "si_u1_u2";
    let version =
        json!({ "userID": "u1", "version": before["version"], "versionID": before["versionID"] });
    let after = own("/conversation/get_incremental_conversations", version).await;
    assert_eq!(after["full"], true, "a conversation has begun");
    let version =
        json!({ "userID": "u1", "version": after["version"], "versionID": after["versionID"] });
    assert_eq!(
        own("/conversation/get_incremental_conversations", version).await["full"],
        false
    );
    let page = json!({ "userID": "u1", "pagination": { "pageNumber": 2, "showNumber": 1 } });
    let page = own("/conversation/get_owner_conversation", page).await;
    assert_eq!(
        (&page["total"], &page["conversations"]),
        (&json!(1), &json!([]))
    );
    let seqs = || {
        own(
            "/msg/get_conversations_has_read_and_max_seq",
            json!({ "userID": "u1", "conversationIDs": [name] }),
        )
    };
    assert_eq!(seqs().await["seqs"][name]["hasReadSeq"], 0);
    let read = json!({ "conversationID": name, "userID": "u1", "hasReadSeq": 2, "seqs": null });
    own("/msg/mark_conversation_as_read", read.clone()).await;
    assert_eq!(seqs().await["seqs"][name]["hasReadSeq"], 2);
    let beyond = json!({ "conversationID": name, "userID": "u1", "hasReadSeq": 9 });
    assert_eq!(
        code(&server, "/msg/mark_conversation_as_read", mine, beyond).await,
        1001
    );
    assert_eq!(
        code(&server, "/msg/mark_conversation_as_read", foreign, read).await,
        1002
    );

    let revoke = json!({ "conversationID": name, "seq": 1, "userID": "u2" });
    assert_eq!(
        code(&server, "/msg/revoke_msg", foreign, revoke.clone()).await,
        1002
    );
    let stranger = json!({ "conversationID": name, "seq": 1, "userID": "u1" });
    assert_ne!(
        code(&server, "/msg/revoke_msg", mine, stranger).await,
        0,
        "it is not theirs"
    );
    done(&server, "/msg/revoke_msg", theirs, revoke.clone()).await;
    assert_eq!(
        code(&server, "/msg/revoke_msg", theirs, revoke).await,
        1404,
        "twice"
    );

    own(
        "/msg/delete_msgs",
        json!({ "conversationID": name, "userID": "u1", "seqs": [3, 3] }),
    )
    .await;
    let set = json!({ "userIDs": ["u1"], "conversation": { "conversationID": name, "isPinned": true, "recvMsgOpt": 2 } });
    own("/conversation/set_conversations", set).await;
    let found = own(
        "/conversation/get_conversations",
        json!({ "ownerUserID": "u1", "conversationIDs": [name, "sg_1"] }),
    )
    .await;
    assert_eq!(found["conversations"].as_array().unwrap().len(), 1);
    assert_eq!(found["conversations"][0]["isPinned"], true);
    let private = json!({ "userIDs": ["u1"], "conversation": { "conversationID": name, "isPrivateChat": true } });
    assert_eq!(
        code(&server, "/conversation/set_conversations", mine, private).await,
        1002
    );
    own(
        "/msg/clear_conversation_msg",
        json!({ "conversationIDs": [name], "userID": "u1" }),
    )
    .await;
    let found = own(
        "/conversation/get_all_conversations",
        json!({ "ownerUserID": "u1" }),
    )
    .await;
    assert_eq!(found["conversations"][0]["minSeq"], 5);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_none_of_is_empty_and_what_is_unknown_is_refused() {
    let (_data, server) = start().await;
    let token = users(&server, &["u1"]).await.remove(0);
    let version = json!({ "userID": "u1", "version": 0, "versionID": "" });
    for path in [
        "/friend/get_incremental_friends",
        "/group/get_incremental_join_groups",
    ] {
        let first = done(&server, path, &token, version.clone()).await;
        assert_eq!(first["full"], true);
        let again = json!({ "version": first["version"], "versionID": first["versionID"] });
        assert_eq!(done(&server, path, &token, again).await["full"], false);
    }
    let groups = json!({ "userID": "u1", "reqList": [{ "groupID": "g1" }, { "groupID": "g2" }] });
    let members = done(
        &server,
        "/group/get_incremental_group_members_batch",
        &token,
        groups,
    )
    .await;
    assert_eq!(
        members["respList"].as_object().unwrap().len(),
        2,
        "every group"
    );
    let none = done(&server, "/friend/get_black_list", &token, json!({})).await;
    assert_eq!(none["blacks"], json!([]));
    assert_eq!(
        code(&server, "/friend/add_friend", &token, json!({})).await,
        1002
    );
    assert_eq!(
        code(&server, "/nothing/here", &token, json!({})).await,
        1004
    );
    assert_eq!(code(&server, "/msg/nothing", &token, json!({})).await, 1004);
    for body in ["", "[", "{\"userIDs\":7}"] {
        let headers = [("operationID", "op"), ("token", token.as_str())];
        let answer = server
            .call("POST", "/user/get_users_info", &headers, body.as_bytes())
            .await;
        assert_eq!(checked(&answer)["errCode"], 1001);
    }
    let headers = [("operationID", ""), ("token", token.as_str())];
    let answer = server
        .call("POST", "/user/get_users_info", &headers, b"{}")
        .await;
    assert_eq!(checked(&answer)["errCode"], 1001, "an empty operationID");
    let preflight = [
        ("Origin", "http://x"),
        ("Access-Control-Request-Headers", "operationid,token"),
    ];
    let answer = server
        .call("OPTIONS", "/user/get_users_info", &preflight, b"")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-headers"), "*");
    // Both calls of the SDK in JavaScript.
    text(&server, "u2", "u1", "x").await;
    let headers = [
        ("operationID", "op"),
        ("token", token.as_str()),
        ("Content-Type", "application/x-protobuf"),
    ];
    let active = [0x0a, 2, b'u', b'1', 0x10, 20];
    let answer = server
        .call("POST", "/jssdk/get_active_conversations", &headers, &active)
        .await;
    assert!(checked(&answer)["data"].as_str().unwrap().len() > 40);
    let answer = server
        .call("POST", "/jssdk/get_active_conversations", &headers, &[0xff])
        .await;
    assert_eq!(checked(&answer)["errCode"], 1001);
    server.stop().await;
}
