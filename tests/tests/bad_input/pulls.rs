//! Pulls and cursors that ask for what cannot be.

use serde_json::json;

use crate::target::{Refusal, Target, problem};

const FIELD: Refusal = (400, "invalid-field");

#[test]
fn limits_and_places_that_are_none_are_refused() {
    let mut target = Target::new();
    target.admin.send_text("ann", "one");
    for query in [
        "limit=0",
        "limit=1001",
        "limit=1000000000",
        "limit=99999999999999999999999",
        "limit=-1",
        "limit=ten",
        "limit=",
        "after=-1",
        "after=x",
        "after=99999999999999999999999",
        "wait=61",
        "wait=-1",
        "nonsense=1",
        "after=0&after=1",
    ] {
        let path = format!("/v1/users/ann/log?{query}");
        target.refuses(query, "GET", &path, b"", FIELD);
    }
    let page = target.admin.get("/v1/users/ann/log?after=0&limit=1000");
    assert_eq!((&page["head"], &page["more"]), (&json!(1), &json!(false)));
    target.is_undisturbed();
}

#[test]
fn a_seq_beyond_the_head_is_of_another_history() {
    let mut target = Target::new();
    target.admin.send_text("ann", "one");
    let own = target.admin.get("/v1/users/ann/log?after=1");
    assert_eq!(
        (&own["entries"], &own["more"]),
        (&json!([]), &json!(false)),
        "the end is no error"
    );
    for after in [2, 1_000_000, u64::MAX] {
        let path = format!("/v1/users/ann/log?after={after}");
        let response = target.admin.v1("GET", &path, None, b"").unwrap();
        let problem = problem(&path, &response, (409, "ahead"));
        // What a client needs to begin anew.
        assert_eq!(
            (&problem["head"], &problem["floor"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(problem["epoch"], own["epoch"]);
        let seq = json!({"seq": after}).to_string();
        let cursor = "/v1/users/ann/devices/phone/cursor";
        target.refuses(cursor, "PUT", cursor, seq.as_bytes(), (409, "ahead"));
    }
    let path = format!("/v1/users/ann/log?after=0&epoch={}", "0".repeat(32));
    target.refuses(&path, "GET", &path, b"", (409, "other-epoch"));
    for body in [
        r#"{"seq":-1}"#,
        r#"{"seq":"1"}"#,
        r#"{"seq":1.5}"#,
        "{}",
        r#"{"seq":1,"x":1}"#,
    ] {
        let cursor = "/v1/users/ann/devices/phone/cursor";
        target.refuses(body, "PUT", cursor, body.as_bytes(), FIELD);
    }
    let good = target.admin.v1(
        "PUT",
        "/v1/users/ann/devices/phone/cursor",
        None,
        br#"{"seq":1}"#,
    );
    assert_eq!(good.unwrap().json(), json!({"seq": 1}));
    target.is_undisturbed();
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut target = Target::new();
    let sent = target.admin.send_text("ann", "one");
    let id = sent["serverMsgID"].as_str().unwrap();
    let mut other = id.to_owned();
    other.replace_range(..1, if id.starts_with('0') { "1" } else { "0" });
    for id in [
        other.as_str(),
        "0",
        "nonsense",
        &"f".repeat(32),
        &"f".repeat(4_000),
    ] {
        let path = format!("/v1/messages/{id}");
        target.refuses(id, "GET", &path, b"", (404, "unknown-message"));
    }
    target.refuses(
        "nobody",
        "GET",
        "/v1/users/nobody/log",
        b"",
        (404, "unknown-user"),
    );
    let cursor = "/v1/users/nobody/devices/d/cursor";
    target.refuses(
        "nobody",
        "PUT",
        cursor,
        br#"{"seq":0}"#,
        (404, "unknown-user"),
    );
    let unknown = target.admin.get("/v1/messages?clientMsgID=never");
    assert_eq!(unknown, json!({"messages": []}));
    target.is_undisturbed();
}
