//! What becomes of messages: marks, times, who has not, refused receivers, and the changes that an account follows.

use std::time::Duration;

use serde_json::{Value, json};
use waybill_core::policy::UnknownReceiver;

use crate::support::{Running, config, start, start_with};

const ACCOUNT: &str = "/v1/accounts/openIM123456/status";

async fn good(server: &Running, method: &str, path: &str, token: &str, body: &str) -> Value {
    let answer = server.v1(method, path, token, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn problem(server: &Running, method: &str, path: &str, token: &str) -> (u16, String) {
    let answer = server.v1(method, path, token, "").await;
    (answer.status, answer.problem())
}

fn notice(to: &Value) -> String {
    json!({
        "to": to, "contentType": 1400,
        "content": {
            "notificationName": "HR", "notificationFaceURL": "", "notificationType": 1, "text": "hello", "externalUrl": "",
            "mixType": 0, "ex": ""
        }
    })
    .to_string()
}

async fn send(server: &Running, user: &str) -> String {
    let body = notice(&json!({ "user": user }));
    let sent = good(server, "POST", "/v1/messages", &server.admin, &body).await;
    sent["serverMsgID"].as_str().unwrap().to_owned()
}

async fn reach(server: &Running, user: &str, token: &str, seq: u64) {
    let path = format!("/v1/users/{user}/devices/phone/cursor");
    good(
        server,
        "PUT",
        &path,
        token,
        &json!({ "seq": seq }).to_string(),
    )
    .await;
}

fn states(page: &Value) -> Vec<(&str, &str)> {
    let changes = page["changes"].as_array().unwrap().iter();
    changes
        .map(|change| {
            (
                change["state"].as_str().unwrap(),
                change["receiver"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_message_goes_from_durable_to_confirmed_and_the_account_follows() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let id = send(&server, "u1").await;
    let of = format!("/v1/messages/{id}");
    let state = || async { good(&server, "GET", &of, &server.admin, "").await };
    assert_eq!(state().await["state"], "durable");
    assert!(state().await["times"]["durable"].as_u64().unwrap() > 0);
    // What was written to a connection is not delivered: it may be broken. Delivered is what a device says it has stored.
    let page = good(&server, "GET", "/v1/users/u1/log", &token, "").await;
    assert_eq!(page["entries"][0]["serverMsgID"], json!(id));
    assert_eq!(state().await["state"], "durable");

    // The long poll is there before the device reports.
    let path = format!("{ACCOUNT}?after=0&wait=60");
    let poll = good(&server, "GET", &path, &server.admin, "");
    let report = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        reach(&server, "u1", &token, 1).await;
    };
    let (page, ()) = tokio::join!(poll, report);
    assert_eq!(states(&page), [("delivered", "u1")]);
    assert_eq!((&page["head"], &page["more"]), (&json!(1), &json!(false)));
    assert_eq!(page["changes"][0]["upTo"], 1);
    assert_eq!(page["changes"][0]["conversation"], "notification");
    assert_eq!(state().await["state"], "delivered");

    let read = "/v1/users/u1/conversations/notification:openIM123456/read";
    good(&server, "PUT", read, &token, r#"{"conversationSeq":1}"#).await;
    assert_eq!(state().await["state"], "read");
    let opened = format!("{of}/opened");
    let confirmed = format!("{of}/confirmed");
    for _ in 0..2 {
        let answer = good(&server, "POST", &opened, &token, "").await;
        assert_eq!(answer["state"], "opened");
    }
    assert_eq!(state().await["state"], "opened");
    good(&server, "POST", &confirmed, &token, "").await;
    let answer = good(&server, "POST", &opened, &token, "").await;
    assert_eq!(answer["state"], "confirmed", "it stays confirmed");
    let found = state().await;
    assert_eq!(found["state"], "confirmed");
    let times: Vec<u64> = ["durable", "delivered", "read", "opened", "confirmed"]
        .map(|name| found["times"][name].as_u64().unwrap())
        .to_vec();
    assert!(times.is_sorted(), "{times:?}");

    let page = good(
        &server,
        "GET",
        &format!("{ACCOUNT}?after=1"),
        &server.admin,
        "",
    )
    .await;
    let expected = [("read", "u1"), ("opened", "u1"), ("confirmed", "u1")];
    assert_eq!(states(&page), expected);
    assert_eq!(page["changes"][2]["serverMsgID"], json!(id));
    assert_eq!(page["changes"][2]["n"], 4);
    let page = good(
        &server,
        "GET",
        &format!("{ACCOUNT}?after=1&limit=1"),
        &server.admin,
        "",
    )
    .await;
    assert_eq!((states(&page).len(), &page["more"]), (1, &json!(true)));

    // The receiver's other devices learn it; the receiver does not see the states.
    let log = server.log_of("u1").await;
    let marks: Vec<_> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["kind"] == 7)
        .collect();
    assert_eq!(marks.len(), 2);
    assert_eq!(
        (&marks[1]["mark"], &marks[1]["serverMsgID"]),
        (&json!("confirmed"), &json!(id))
    );
    assert!(
        good(&server, "GET", &of, &token, "")
            .await
            .get("state")
            .is_none()
    );
    server.stop().await;
}

#[tokio::test]
async fn who_may_not_mark_or_follow_is_told_so() {
    let (_data, server) = start().await;
    let (receiver, stranger) = (server.token_of("u1").await, server.token_of("u2").await);
    let id = send(&server, "u1").await;
    let opened = format!("/v1/messages/{id}/opened");
    let unknown = (404, "unknown-message".to_owned());
    assert_eq!(problem(&server, "POST", &opened, &stranger).await, unknown);
    assert_eq!(
        problem(&server, "POST", &opened, &server.admin).await,
        (403, "forbidden".to_owned())
    );
    for id in ["0", "00000000000000000000000000000000", "x"] {
        let path = format!("/v1/messages/{id}/confirmed");
        assert_eq!(problem(&server, "POST", &path, &receiver).await, unknown);
    }
    good(
        &server,
        "POST",
        &format!("/v1/messages/{id}/recall"),
        &server.admin,
        "",
    )
    .await;
    assert_eq!(
        problem(&server, "POST", &opened, &receiver).await,
        (409, "message-recalled".to_owned())
    );
    assert_eq!(server.v1("GET", &opened, &receiver, "").await.status, 405);

    assert_eq!(
        problem(&server, "GET", ACCOUNT, &receiver).await,
        (403, "forbidden".to_owned())
    );
    let nobody = "/v1/accounts/nobody/status";
    assert_eq!(
        problem(&server, "GET", nobody, &server.admin).await,
        (404, "unknown-user".to_owned())
    );
    let ahead = format!("{ACCOUNT}?after=1&wait=60");
    let answer = server.v1("GET", &ahead, &server.admin, "").await;
    assert_eq!((answer.status, answer.problem().as_str()), (409, "ahead"));
    assert_eq!(answer.json()["head"], 0);
    for bad in ["after=x", "limit=0", "limit=1001", "wait=61", "what=1"] {
        let answer = server
            .v1("GET", &format!("{ACCOUNT}?{bad}"), &server.admin, "")
            .await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
    }
    // Whoever asks for their own, who is not tracked, learns that.
    let own = good(&server, "GET", "/v1/accounts/u1/status", &receiver, "").await;
    assert_eq!((&own["tracked"], &own["head"]), (&json!(false), &json!(0)));
    server.stop().await;
}

#[tokio::test]
async fn lists_of_who_has_not_and_of_who_was_refused() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.unknown_receiver = UnknownReceiver::Refuse;
    let server = start_with(config).await;
    let mut tokens = Vec::new();
    for user in ["u1", "u2", "u3"] {
        tokens.push(server.token_of(user).await);
    }
    let lines = "\"u1\"\n\"x1\"\n\"u2\"\n\"x2\"\n\"x3\"\n\"u3\"\n";
    good(&server, "PUT", "/v1/audiences/staff", &server.admin, lines).await;
    let body = notice(&json!({ "audience": "staff" }));
    let task = good(&server, "POST", "/v1/tasks", &server.admin, &body).await;
    let task = format!("/v1/tasks/{}", task["task"].as_str().unwrap());
    for _ in 0..500 {
        if good(&server, "GET", &task, &server.admin, "").await["done"] == true {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let read = "/v1/users/u1/conversations/notification:openIM123456/read";
    good(&server, "PUT", read, &tokens[0], r#"{"conversationSeq":1}"#).await;
    let list = async |query: &str| {
        let path = format!("{task}/receivers?{query}");
        let page = good(&server, "GET", &path, &server.admin, "").await;
        let users = page["receivers"].as_array().unwrap().iter();
        let users: Vec<String> = users
            .map(|one| one["user"].as_str().unwrap().to_owned())
            .collect();
        (users, page)
    };
    assert_eq!(list("not=read").await.0, ["u2", "u3"]);
    assert_eq!(list("state=read").await.0, ["u1"]);
    assert_eq!(list("not=confirmed").await.0, ["u1", "u2", "u3"]);
    assert!(list("not=durable").await.0.is_empty());
    let (_, page) = list("state=durable").await;
    let id = page["receivers"][0]["serverMsgID"]
        .as_str()
        .unwrap()
        .to_owned();
    good(
        &server,
        "POST",
        &format!("/v1/messages/{id}/confirmed"),
        &tokens[1],
        "",
    )
    .await;
    assert_eq!(list("state=confirmed").await.0, ["u2"]);
    assert_eq!(list("not=opened").await.0, ["u1", "u3"]);

    let (users, page) = list("state=refused&limit=2").await;
    assert_eq!(users, ["x1", "x2"]);
    assert_eq!(
        page["receivers"][0]["error"]["type"],
        "urn:waybill:problem:unknown-receiver"
    );
    let cursor = page["cursor"].as_str().unwrap();
    let (users, page) = list(&format!("state=refused&limit=2&cursor={cursor}")).await;
    assert_eq!(users, ["x3"]);
    assert!(page.get("cursor").is_none());
    for bad in ["not=recalled", "not=x", "state=x", "state=read&not=read"] {
        let path = format!("{task}/receivers?{bad}");
        assert_eq!(
            problem(&server, "GET", &path, &server.admin).await,
            (400, "invalid-field".to_owned())
        );
    }
    // Whom a task was recalled from is in no list of who has not.
    good(
        &server,
        "POST",
        &format!("/v1/messages/{id}/recall"),
        &server.admin,
        "",
    )
    .await;
    assert_eq!(list("state=recalled").await.0, ["u2"]);
    assert_eq!(list("not=confirmed").await.0, ["u1", "u3"]);
    server.stop().await;
}

#[tokio::test]
async fn tracking_can_be_switched_off_and_what_came_before_stays() {
    let data = tempfile::tempdir().unwrap();
    let server = start_with(config(data.path())).await;
    let token = server.token_of("u1").await;
    let before = send(&server, "u1").await;
    reach(&server, "u1", &token, 1).await;
    // Handed over when the server stops.
    server.stop().await;
    let mut off = config(data.path());
    off.track_managers = false;
    let server = start_with(off).await;
    let after = send(&server, "u1").await;
    reach(&server, "u1", &token, 2).await;
    server.stop().await;
    let server = start_with(config(data.path())).await;
    let page = good(&server, "GET", ACCOUNT, &server.admin, "").await;
    assert_eq!(
        (states(&page), &page["tracked"]),
        (vec![("delivered", "u1")], &json!(true))
    );
    // A third, delivered while tracking is on, lends its time to none that came before.
    send(&server, "u1").await;
    reach(&server, "u1", &token, 3).await;
    let path = format!("{ACCOUNT}?after=1&wait=60");
    let page = good(&server, "GET", &path, &server.admin, "").await;
    assert_eq!(page["changes"][0]["upTo"], 3);
    for (id, timed) in [(before, true), (after, false)] {
        let found = good(
            &server,
            "GET",
            &format!("/v1/messages/{id}"),
            &server.admin,
            "",
        )
        .await;
        assert_eq!(found["state"], "delivered");
        assert_eq!(found["times"].get("delivered").is_some(), timed);
    }
    server.stop().await;
}
