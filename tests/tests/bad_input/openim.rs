//! Bad requests in OpenIM's dialect: statuses, codes and texts as the original's callers know them.

use serde_json::{Value, json};
use waybill_tests::harness::Response;

use crate::target::{Target, bad_ids, v2_body, with, without};

const PATHS: [&str; 2] = ["/manager/send_msg", "/msg/manage_send_msg"];

/// A response must have this status, errCode, and these words in its text.
fn refused(what: &str, response: &Response, status: u16, code: i32, words: &str) {
    let body = response.json();
    let seen = format!("{what}: {} {body}", response.status);
    assert_eq!(
        (response.status, &body["errCode"]),
        (status, &json!(code)),
        "{seen}"
    );
    assert!(
        body["errMsg"].as_str().unwrap().contains(words),
        "{words:?} in {seen}"
    );
    assert_eq!(
        response.header("content-type"),
        Some("application/json"),
        "{seen}"
    );
}

fn each(
    target: &mut Target,
    status: u16,
    code: i32,
    cases: impl IntoIterator<Item = (Value, String)>,
) {
    for (body, words) in cases {
        let text = body.to_string();
        for path in PATHS {
            let response = target.admin.v2(path, None, text.as_bytes()).unwrap();
            refused(
                &text[..text.len().min(200)],
                &response,
                status,
                code,
                &words,
            );
        }
    }
}

#[test]
fn missing_and_zero_fields_are_named_as_the_original_names_them() {
    let mut target = Target::new();
    let required = [
        ("operationID", "OperationID"),
        ("sendID", "SendID"),
        ("content", "Content"),
        ("contentType", "ContentType"),
        ("sessionType", "SessionType"),
    ];
    for (field, name) in required {
        let zero = match field {
            "contentType" | "sessionType" => json!(0),
            "content" => Value::Null,
            _ => json!(""),
        };
        let words = format!("Field validation for '{name}' failed on the 'required' tag");
        let cases = [
            (without(v2_body(), field), words.clone()),
            (with(v2_body(), &format!("/{field}"), zero), words),
        ];
        each(&mut target, 400, 400, cases);
    }
    let types = [
        ("/contentType", json!("101"), "cannot unmarshal string"),
        ("/sendID", json!(5), "cannot unmarshal number"),
        ("/content", json!("text"), "cannot unmarshal string"),
        ("/sessionType", json!(1.5), "cannot unmarshal number"),
        ("/offlinePushInfo", json!([]), "cannot unmarshal array"),
    ];
    let cases = types.map(|(place, it, words)| (with(v2_body(), place, it), words.to_owned()));
    each(&mut target, 400, 400, cases);
    target.is_undisturbed();
}

#[test]
fn contents_ids_and_receivers_are_refused() {
    let mut target = Target::new();
    let kinds = [100_i64, 121, 1_401, -1].map(|kind| {
        (
            with(v2_body(), "/contentType", json!(kind)),
            "contentType err".to_owned(),
        )
    });
    each(&mut target, 400, 404, kinds);
    each(
        &mut target,
        400,
        403,
        [
            (
                with(v2_body(), "/content", json!({})),
                "'required' tag".to_owned(),
            ),
            (
                with(v2_body(), "/content/text", json!("t".repeat(1 << 16))),
                "the content has 65547 bytes".to_owned(),
            ),
        ],
    );
    each(
        &mut target,
        400,
        401,
        [(with(v2_body(), "/content/text", json!({})), String::new())],
    );
    each(
        &mut target,
        400,
        405,
        [
            (
                without(v2_body(), "recvID"),
                "recvID is a null string".to_owned(),
            ),
            (
                with(v2_body(), "/sessionType", json!(2)),
                "groupID is a null string".to_owned(),
            ),
        ],
    );
    for id in bad_ids() {
        let places = ["/sendID", "/recvID", "/clientMsgID"];
        let cases = places.map(|place| (with(v2_body(), place, json!(id)), String::new()));
        each(&mut target, 400, 403, cases);
    }
    each(
        &mut target,
        200,
        203,
        [(
            with(v2_body(), "/sessionType", json!(9)),
            "unknown sessionType".to_owned(),
        )],
    );
    let group = with(
        with(v2_body(), "/sessionType", json!(2)),
        "/groupID",
        json!("g"),
    );
    each(&mut target, 200, 802, [(group, String::new())]);
    target.is_undisturbed();
}

#[test]
fn a_key_used_for_another_request_is_refused() {
    let mut target = Target::new();
    let first = with(v2_body(), "/recvID", json!("ann"));
    let other = with(first.clone(), "/content/text", json!("other"));
    let sent = target
        .admin
        .v2(PATHS[0], Some("k"), first.to_string().as_bytes())
        .unwrap();
    assert_eq!(sent.json()["errCode"], 0);
    let reused = target
        .admin
        .v2(PATHS[1], Some("k"), other.to_string().as_bytes())
        .unwrap();
    refused("by header", &reused, 200, 803, "another request");
    let first = with(first, "/clientMsgID", json!("c"));
    let other = with(other, "/clientMsgID", json!("c"));
    let sent = target
        .admin
        .v2(PATHS[0], None, first.to_string().as_bytes())
        .unwrap();
    assert_eq!(sent.json()["errCode"], 0);
    let reused = target
        .admin
        .v2(PATHS[1], None, other.to_string().as_bytes())
        .unwrap();
    refused("by clientMsgID", &reused, 200, 803, "another request");
    assert_eq!(reused.json()["data"]["clientMsgID"], "c");
    assert_eq!(target.admin.log("ann").len(), 2);
    target.is_undisturbed();
}

#[test]
fn secrets_and_registrations_are_checked() {
    let mut target = Target::new();
    let mut anybody = target.caller("");
    let secret = target.server.secret("openim.secret");
    let register = json!({
        "secret": secret, "platform": 2, "userID": "ann", "nickname": "Ann", "operationID": "op",
    });
    for path in ["/auth/user_register", "/auth/user_token"] {
        let mut ask = |body: &Value| anybody.v2(path, None, body.to_string().as_bytes()).unwrap();
        let wrong = ask(&with(register.clone(), "/secret", json!("guess")));
        refused(path, &wrong, 400, 401, "params.Secret");
        refused(
            path,
            &ask(&without(register.clone(), "secret")),
            400,
            400,
            "'required' tag",
        );
        refused(
            path,
            &ask(&with(register.clone(), "/platform", json!(0))),
            400,
            400,
            "'required' tag",
        );
        refused(
            path,
            &ask(&with(register.clone(), "/platform", json!(99))),
            400,
            400,
            "tag",
        );
    }
    let mut ask =
        |path: &str, body: &Value| anybody.v2(path, None, body.to_string().as_bytes()).unwrap();
    let unknown = ask("/auth/user_token", &without(register.clone(), "nickname"));
    assert_ne!(unknown.json()["errCode"], 0, "nobody has registered yet");
    assert_eq!(ask("/auth/user_register", &register).json()["errCode"], 0);
    refused(
        "twice",
        &ask("/auth/user_register", &register),
        500,
        500,
        "UserRegister failed",
    );
    target.is_undisturbed();
}
