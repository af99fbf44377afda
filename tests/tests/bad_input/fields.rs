//! Requests of `/v1` that are JSON and yet wrong: types, fields, contentTypes, contents, ids, keys.

use serde_json::{Value, json};

use crate::target::{Refusal, Target, bad_ids, problem, v1_body, with, without};

const SEND: &str = "/v1/messages";
const FIELD: Refusal = (400, "invalid-field");
const ID: Refusal = (400, "invalid-id");

fn each(target: &mut Target, cases: impl IntoIterator<Item = (Value, Refusal)>) {
    for (body, refusal) in cases {
        let text = body.to_string();
        target.refuses(
            &text[..text.len().min(200)],
            "POST",
            SEND,
            text.as_bytes(),
            refusal,
        );
    }
}

#[test]
fn wrong_types_and_missing_fields_are_refused() {
    let mut target = Target::new();
    let wrong = [
        ("/to", json!("witness")),
        ("/to", json!({})),
        ("/to", Value::Null),
        ("/to", json!({"user": 5})),
        ("/to", json!({"user": "witness", "group": "g"})),
        ("/to/user", json!(["witness"])),
        ("/contentType", json!("101")),
        ("/contentType", json!(101.5)),
        ("/contentType", json!(1e300)),
        ("/contentType", Value::Null),
        ("/sender", json!(5)),
        ("/clientMsgID", json!({})),
        ("/options", json!({"history": "no"})),
        ("/options", json!({"nonsense": false})),
        ("/offlinePush", json!("title")),
        ("/senderPlatformID", json!(1_u64 << 40)),
        ("/createTime", json!(-1)),
        ("/typo", json!(1)),
        ("/senderNickname", json!("n".repeat(5_000))),
        ("/operationID", json!("o".repeat(5_000))),
    ];
    let cases = wrong.map(|(place, value)| (with(v1_body(), place, value), FIELD));
    each(&mut target, cases);
    let missing = ["to", "contentType", "content"];
    each(
        &mut target,
        missing.map(|field| (without(v1_body(), field), FIELD)),
    );
    each(
        &mut target,
        [
            (json!([]), FIELD),
            (json!(5), FIELD),
            (json!("text"), FIELD),
        ],
    );
    target.is_undisturbed();
}

#[test]
fn unknown_content_types_and_wrong_contents_are_refused() {
    let mut target = Target::new();
    let kinds = [0, -1, 100, 121, 1_399, 1_401, i64::MAX].map(|kind| {
        (
            with(v1_body(), "/contentType", json!(kind)),
            (400, "unknown-content-type"),
        )
    });
    each(&mut target, kinds);
    let shapes = [
        json!("text"),
        json!([]),
        json!(5),
        json!(true),
        json!({"text": {}}),
    ];
    each(
        &mut target,
        shapes.map(|it| (with(v1_body(), "/content", it), (400, "content-shape"))),
    );
    let rules = [json!({}), json!({"text": ""}), json!({"text": 5})];
    each(
        &mut target,
        rules.map(|it| (with(v1_body(), "/content", it), (400, "content-rules"))),
    );
    let notice = with(v1_body(), "/contentType", json!(1400));
    let good = json!({"notificationName": "n", "notificationType": 1, "text": "t"});
    let zero = with(good.clone(), "/notificationType", json!(0));
    let wrong = with(good.clone(), "/notificationType", json!("many"));
    each(
        &mut target,
        [
            (
                with(notice.clone(), "/content", zero),
                (400, "content-rules"),
            ),
            (
                with(
                    notice.clone(),
                    "/content",
                    without(good.clone(), "notificationName"),
                ),
                (400, "content-rules"),
            ),
            (
                with(notice.clone(), "/content", without(good, "text")),
                (400, "content-rules"),
            ),
            (with(notice, "/content", wrong), (400, "content-shape")),
        ],
    );
    // One such content would stop the readers of every later message.
    for hard in [r#"{"text":"\ud800"}"#, r#"{"text":"x","big":1e999}"#] {
        let body = v1_body().to_string().replace(r#"{"text":"good"}"#, hard);
        target.refuses(hard, "POST", SEND, body.as_bytes(), (400, "content-shape"));
    }
    target.is_undisturbed();
}

#[test]
fn content_over_64_kib_is_refused() {
    let mut target = Target::new();
    let content = |bytes: usize| json!({"text": "t".repeat(bytes - r#"{"text":""}"#.len())});
    let to = |content: Value| {
        with(
            with(v1_body(), "/content", content),
            "/to/user",
            json!("large"),
        )
    };
    let longest = to(content(1 << 16)).to_string();
    let sent = target
        .admin
        .v1("POST", SEND, None, longest.as_bytes())
        .unwrap();
    assert_eq!(sent.status, 200, "{}", sent.text());
    each(
        &mut target,
        [(to(content((1 << 16) + 1)), (413, "content-too-large"))],
    );
    // Pages hold such messages too.
    for _ in 0..20 {
        target
            .admin
            .v1("POST", SEND, None, longest.as_bytes())
            .unwrap();
    }
    assert_eq!(target.admin.log("large").len(), 21);
    target.is_undisturbed();
}

#[test]
fn ids_that_are_none_are_refused() {
    let mut target = Target::new();
    for id in bad_ids().into_iter().chain([String::new()]) {
        let places: &[&str] = match id.as_str() {
            // An empty sender is the caller, an empty clientMsgID is none.
            "" => &["/to/user"],
            _ => &["/to/user", "/sender", "/clientMsgID"],
        };
        each(
            &mut target,
            places
                .iter()
                .map(|place| (with(v1_body(), place, json!(id)), ID)),
        );
        let token = json!({"user": id}).to_string();
        target.refuses(&token, "POST", "/v1/tokens", token.as_bytes(), ID);
        if id.is_empty() {
            continue;
        }
        let escaped: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let log = format!("/v1/users/{escaped}/log");
        target.refuses(&log, "GET", &log, b"", ID);
        let cursor = format!("/v1/users/witness/devices/{escaped}/cursor");
        target.is_undisturbed();
        target.refuses(&cursor, "PUT", &cursor, br#"{"seq":1}"#, ID);
    }
    let body = v1_body().to_string();
    for key in [
        "k".repeat(65),
        String::new(),
        "\"\"".to_owned() + &"k".repeat(64),
    ] {
        let response = target
            .admin
            .v1("POST", SEND, Some(&key), body.as_bytes())
            .unwrap();
        problem(&key, &response, ID);
    }
    let response = target
        .admin
        .v1("POST", SEND, Some("schlüssel"), body.as_bytes())
        .unwrap();
    problem("a key beyond ASCII", &response, FIELD);
    target.is_undisturbed();
}

#[test]
fn a_key_used_for_another_request_is_refused() {
    let mut target = Target::new();
    let to = |user: &str, text: &str| {
        let body = with(v1_body(), "/to/user", json!(user));
        with(body, "/content/text", json!(text)).to_string()
    };
    let first = target
        .admin
        .v1("POST", SEND, Some("k"), to("ann", "one").as_bytes())
        .unwrap();
    assert_eq!(first.status, 200);
    let other = target
        .admin
        .v1("POST", SEND, Some("k"), to("ann", "two").as_bytes())
        .unwrap();
    problem("another text", &other, (422, "key-reused"));
    let again = target
        .admin
        .v1("POST", SEND, Some("k"), to("ann", "one").as_bytes())
        .unwrap();
    assert_eq!(again.text(), first.text());
    // A key belongs to a sender and a conversation.
    let bob = target
        .admin
        .v1("POST", SEND, Some("k"), to("bob", "two").as_bytes())
        .unwrap();
    assert_eq!(bob.status, 200);
    assert_eq!(target.admin.log("ann").len(), 1);
    target.is_undisturbed();
}

#[test]
fn unknown_receivers_are_refused_where_that_is_configured() {
    let mut target = Target::with("unknown_receiver = \"refuse\"\n");
    let body = with(v1_body(), "/to/user", json!("stranger")).to_string();
    target.refuses(
        "a stranger",
        "POST",
        SEND,
        body.as_bytes(),
        (422, "unknown-receiver"),
    );
    target.has_no_log_of("stranger");
    target.admin.token_of("stranger");
    target.admin.send_text("stranger", "now known");
    target.admin.token_of("witness");
    target.is_undisturbed();
}
