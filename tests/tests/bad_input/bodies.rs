//! Bodies that are no JSON, too deep, too long or not what they say they are.

use serde_json::json;
use waybill_tests::harness::{Api, Http, Raw, head};

use crate::target::{Target, problem, v1_body, v2_body, with};

const SEND: &str = "/v1/messages";

/// One mebibyte: the longest body that is taken.
const MAX_BODY: usize = 1 << 20;

/// The longest content that is taken.
const MAX_CONTENT: usize = 64 * 1024;

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn what_is_not_json_is_refused() {
    let mut target = Target::new();
    let good = v1_body().to_string();
    let broken = [
        b"hello".to_vec(),
        b"\0".to_vec(),
        b" ".to_vec(),
        good.as_bytes()[..good.len() - 1].to_vec(),
        format!("{good}{good}").into_bytes(),
        good.replace("good", "\u{1}").into_bytes(),
        good.replace(':', "=").into_bytes(),
        b"{\"to\":\xff}".to_vec(),
        b"NaN".to_vec(),
        b"{'to':1}".to_vec(),
    ];
    for body in broken {
        let what = String::from_utf8_lossy(&body).into_owned();
        target.refuses(&what, "POST", SEND, &body, (400, "malformed"));
        // The original reads the first value and leaves the rest; this one lacks what it requires.
        let v2 = target.admin.v2("/manager/send_msg", None, &body).unwrap();
        assert_eq!(v2.status, 400, "{what}: {}", v2.text());
        assert_eq!(v2.json()["errCode"], 400, "{what}: {}", v2.text());
    }
    for path in ["/v1/tokens", "/v1/users/witness/devices/d/cursor"] {
        let method = if path == "/v1/tokens" { "POST" } else { "PUT" };
        for body in ["hello", "{", "{\"seq\":1", "\u{0}", "{\"seq\":01}"] {
            target.refuses(body, method, path, body.as_bytes(), (400, "malformed"));
        }
    }
    target.refuses("nothing", "POST", SEND, b"", (400, "malformed"));
    target.is_undisturbed();
}

#[test]
fn deep_nesting_is_refused() {
    let mut target = Target::new();
    for levels in [40, 5_000, 400_000] {
        let content = format!(r#"{{"text":"good","deep":{}}}"#, nested(levels));
        let v1 = v1_body()
            .to_string()
            .replace(r#"{"text":"good"}"#, &content);
        let v2 = v2_body()
            .to_string()
            .replace(r#"{"text":"good"}"#, &content);
        let refusal = if content.len() > MAX_CONTENT {
            (413, "content-too-large")
        } else {
            (400, "malformed")
        };
        target.refuses("deep content", "POST", SEND, v1.as_bytes(), refusal);
        let bare = nested(levels);
        target.refuses(
            "deep body",
            "POST",
            SEND,
            bare.as_bytes(),
            (400, "malformed"),
        );
        for body in [v2, bare] {
            let refused = target
                .admin
                .v2("/manager/send_msg", None, body.as_bytes())
                .unwrap();
            assert_eq!(
                (refused.status, &refused.json()["errCode"]),
                (400, &json!(400))
            );
        }
    }
    target.is_undisturbed();
}

#[test]
fn a_body_over_a_mebibyte_is_refused() {
    let mut target = Target::new();
    let filled = |bytes: usize| {
        let mut body = v1_body().to_string();
        body.push_str(&" ".repeat(bytes - body.len()));
        body
    };
    let longest = target
        .admin
        .v1("POST", SEND, None, filled(MAX_BODY).as_bytes())
        .unwrap();
    assert_eq!(longest.status, 200, "{}", longest.text());
    let too_long = filled(MAX_BODY + 1);
    target.refuses(
        "by length",
        "POST",
        SEND,
        too_long.as_bytes(),
        (413, "body-too-large"),
    );
    // On a connection of its own: the server has closed the other one, because it did not read all that came.
    let v2 = Api::admin(&target.server).v2("/manager/send_msg", None, too_long.as_bytes());
    let v2 = v2.unwrap();
    assert_eq!((v2.status, &v2.json()["errCode"]), (413, &json!(400)));

    // In chunks: its length is not known before it has come.
    let token = target.server.admin_token();
    let mut raw = Raw::connect(target.server.http());
    let head = format!(
        "POST {SEND} HTTP/1.1\r\nHost: waybill\r\nAuthorization: Bearer {token}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    raw.say(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(1 << 16));
    // The server may close while it is still being told.
    let _ = (0..17).try_for_each(|_| raw.say(chunk.as_bytes()));
    problem("in chunks", &raw.answer().unwrap(), (413, "body-too-large"));

    // A length that nobody means: refused at once, before a byte of it has come.
    let mut raw = Raw::connect(target.server.http());
    raw.say(head_with_length(&token, u64::MAX >> 1).as_bytes())
        .unwrap();
    problem("announced", &raw.answer().unwrap(), (413, "body-too-large"));
    // The first message was good.
    assert_eq!(Api::admin(&target.server).log("witness").len(), 1);
}

fn head_with_length(token: &str, length: u64) -> String {
    format!(
        "POST {SEND} HTTP/1.1\r\nHost: waybill\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

#[test]
fn compressed_bodies_are_refused() {
    let mut target = Target::new();
    let token = format!("Bearer {}", target.server.admin_token());
    let headers = [
        ("Authorization", token.as_str()),
        ("Content-Encoding", "gzip"),
    ];
    let mut http = Http::new(target.server.http());
    let response = http.request("POST", SEND, &headers, b"\x1f\x8b").unwrap();
    problem("gzip", &response, (415, "unsupported-encoding"));
    target.is_undisturbed();
}

#[test]
fn what_is_not_http_is_refused() {
    let mut target = Target::new();
    let mut many = String::from("GET /v1/me HTTP/1.1\r\nHost: waybill\r\n");
    (0..2_000).for_each(|number| many.push_str(&format!("x-{number}: y\r\n")));
    let mut long = String::from("GET /v1/me HTTP/1.1\r\nHost: waybill\r\nx: ");
    long.push_str(&"y".repeat(1 << 20));
    for (what, bytes) in [
        ("noise", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned()),
        ("no version", "GET /\r\n\r\n".to_owned()),
        ("many headers", format!("{many}\r\n")),
        ("a long header", format!("{long}\r\n\r\n")),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".into(),
        ),
        (
            "a length that is none",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(),
        ),
    ] {
        let mut raw = Raw::connect(target.server.http());
        // The server may refuse and close while it is still being told.
        let _ = raw.say(bytes.as_bytes());
        let said = String::from_utf8_lossy(&raw.until_closed()).into_owned();
        // Either nothing, because it had to close under what was still coming, or a refusal.
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 4"),
            "{what}: {said:?}"
        );
    }
    target.is_undisturbed();
}

#[test]
fn there_is_nothing_at_other_addresses_and_by_other_methods() {
    let mut target = Target::new();
    for path in [
        "/v1/",
        "/v1/nothing",
        "/v1/messages/a/b",
        "/v1/users/witness/nothing",
        "/v1//log",
    ] {
        target.refuses(path, "GET", path, b"", (404, "no-route"));
    }
    for (method, path) in [("DELETE", SEND), ("POST", "/v1/me"), ("GET", "/v1/tokens")] {
        let response = target.admin.v1(method, path, None, b"").unwrap();
        problem(path, &response, (405, "method-not-allowed"));
        assert!(response.header("allow").is_some(), "{path}");
    }
    let unknown = target.admin.v2("/manager/nothing", None, b"{}").unwrap();
    assert_eq!(
        (unknown.status, unknown.text()),
        (404, "404 page not found".to_owned())
    );
    let wrong = Http::new(target.server.http())
        .get("/manager/send_msg")
        .unwrap();
    assert_eq!(wrong.status, 404);
    target.is_undisturbed();
}

#[test]
fn a_client_that_goes_away_disturbs_nobody() {
    let mut target = Target::new();
    let token = target.server.admin_token();
    let bearer = format!("Bearer {token}");
    let body = with(v1_body(), "/to/user", json!("left")).to_string();
    let request = head("POST", SEND, &[("Authorization", &bearer)], body.len());
    for cut in [
        1,
        request.len() / 2,
        request.len(),
        request.len() + body.len() / 2,
    ] {
        let mut raw = Raw::connect(target.server.http());
        raw.say(&format!("{request}{body}").as_bytes()[..cut])
            .unwrap();
    }
    target.is_undisturbed();
    target.has_no_log_of("left");
}
