//! Tokens that are none, or not for this, on every surface; and what a user may not do with a good one.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use waybill_core::wire::Code;
use waybill_tests::harness::{ADMIN, Api, Claims, Http, Quic, Server, token};

use crate::target::{Refusal, Target, problem, v1_body, v2_body, with};

const SEND: &str = "/v1/messages";
const FORBIDDEN: Refusal = (403, "forbidden");

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A token with one character of its n-th part changed.
fn spoilt(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let other = if parts[part].as_bytes()[4] == b'A' {
        "B"
    } else {
        "A"
    };
    parts[part].replace_range(4..5, other);
    parts.join(".")
}

/// Bad tokens, what each is, and why it is refused: over `/v1`, and over QUIC.
fn bad_tokens(target: &mut Target) -> Vec<(&'static str, String, &'static str, Code)> {
    let key = target.server.secret("access.secret");
    let key = Some(key.as_bytes());
    let (hour, now) = (3_600, now());
    let good = target.server.admin_token();
    let fresh = Claims {
        user: ADMIN,
        from: now - 60,
        until: now + hour,
    };
    let old = Claims {
        user: ADMIN,
        from: now - 2 * hour,
        until: now - hour,
    };
    let early = Claims {
        user: ADMIN,
        from: now + hour,
        until: now + 2 * hour,
    };
    let foreign = {
        let directory = tempfile::tempdir().unwrap();
        let other = Server::start(directory.path());
        other.admin_token()
    };
    let revoked = target.admin.token_of("ann");
    let gone = target
        .caller(&revoked)
        .v1("DELETE", "/v1/tokens", None, b"")
        .unwrap();
    assert_eq!(gone.status, 204, "{}", gone.text());
    let unknown = ("token-unknown", Code::TOKEN_UNKNOWN);
    let malformed = ("token-malformed", Code::TOKEN_MALFORMED);
    [
        ("noise", "noise".to_owned(), malformed),
        ("three parts of noise", "a.b.c".to_owned(), malformed),
        ("too long", "a".repeat(3_000), malformed),
        ("of another server", foreign, unknown),
        (
            "signed here, issued never",
            token("HS256", &fresh, key),
            unknown,
        ),
        (
            "signed with a guess",
            token("HS256", &fresh, Some(b"open_im_server")),
            unknown,
        ),
        ("alg none, unsigned", token("none", &fresh, None), unknown),
        ("alg none, signed", token("none", &fresh, key), unknown),
        ("alg HS384", token("HS384", &fresh, key), unknown),
        ("other claims", spoilt(&good, 1), unknown),
        ("other signature", spoilt(&good, 2), unknown),
        ("cut", good[..good.len() - 3].to_owned(), unknown),
        (
            "expired",
            token("HS256", &old, key),
            ("token-expired", Code::TOKEN_EXPIRED),
        ),
        (
            "not yet",
            token("HS256", &early, key),
            ("token-not-yet-valid", Code::TOKEN_NOT_YET_VALID),
        ),
        ("revoked", revoked, ("token-revoked", Code::TOKEN_REVOKED)),
    ]
    .map(|(what, token, (slug, code))| (what, token, slug, code))
    .into()
}

#[test]
fn bad_tokens_are_refused_on_every_surface() {
    let mut target = Target::new();
    let v1 = with(v1_body(), "/to/user", json!("nobody")).to_string();
    let v2 = with(v2_body(), "/recvID", json!("nobody")).to_string();
    for (what, token, slug, code) in bad_tokens(&mut target) {
        let mut caller = target.caller(&token);
        for (method, path, body) in [
            ("POST", SEND, v1.as_bytes()),
            ("GET", "/v1/me", b""),
            ("GET", "/v1/users/witness/log", b""),
            ("PUT", "/v1/users/witness/devices/d/cursor", br#"{"seq":0}"#),
            ("POST", "/v1/tokens", br#"{"user":"ann"}"#),
            ("DELETE", "/v1/tokens", b""),
        ] {
            let response = caller.v1(method, path, None, body).unwrap();
            let problem = problem(what, &response, (401, slug));
            assert_eq!(
                response.header("www-authenticate"),
                Some("Bearer"),
                "{what}"
            );
            assert!(
                !problem.to_string().contains(&token),
                "{what}: the token is not told again"
            );
        }
        for path in ["/manager/send_msg", "/msg/manage_send_msg"] {
            let response = caller.v2(path, None, v2.as_bytes()).unwrap();
            assert_eq!(response.status, 400, "{what}");
            let text = r#"{"MsgID":"","errCode":400,"errMsg":"parse token failed","sendTime":0}"#;
            assert_eq!(response.text(), text, "{what}");
        }
        let error = Quic::connect(&target.server, &token).expect_err(what);
        assert_eq!(error.code(), Some(code), "{what}: {error}");
    }
    target.has_no_log_of("nobody");
    target.is_undisturbed();
}

#[test]
fn without_a_token_nothing_is_done() {
    let mut target = Target::new();
    let body = with(v1_body(), "/to/user", json!("nobody")).to_string();
    let mut http = Http::new(target.server.http());
    let response = http.request("POST", SEND, &[], body.as_bytes()).unwrap();
    problem("no header", &response, (401, "no-token"));
    for scheme in ["Basic b3BlbklNOjE=", "Bearer", "", "token"] {
        let headers = [("Authorization", scheme)];
        let response = http
            .request("POST", SEND, &headers, body.as_bytes())
            .unwrap();
        problem(scheme, &response, (401, "no-token"));
    }
    let v2 = v2_body().to_string();
    let response = http
        .request("POST", "/manager/send_msg", &[], v2.as_bytes())
        .unwrap();
    assert_eq!(
        (response.status, &response.json()["errCode"]),
        (400, &json!(400))
    );
    let error = Quic::connect(&target.server, "").expect_err("no token");
    assert_eq!(error.code(), Some(Code::NO_TOKEN), "{error}");
    target.has_no_log_of("nobody");
    target.is_undisturbed();
}

#[test]
fn a_user_acts_for_himself_only() {
    let mut target = Target::new();
    target.admin.send_text("bob", "for bob");
    let id = target.admin.log("bob")[0]["serverMsgID"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut ann = target.user("ann");
    for (what, method, path, body) in [
        ("another's log", "GET", "/v1/users/bob/log", ""),
        ("nobody's log", "GET", "/v1/users/nobody/log", ""),
        (
            "another's cursor",
            "PUT",
            "/v1/users/bob/devices/d/cursor",
            r#"{"seq":1}"#,
        ),
        ("another's token", "POST", "/v1/tokens", r#"{"user":"bob"}"#),
        (
            "a token of one's own",
            "POST",
            "/v1/tokens",
            r#"{"user":"ann"}"#,
        ),
        ("another's tokens", "DELETE", "/v1/tokens?user=bob", ""),
        (
            "another's key",
            "GET",
            "/v1/messages?sender=bob&clientMsgID=c",
            "",
        ),
    ] {
        let response = ann.v1(method, path, None, body.as_bytes()).unwrap();
        problem(what, &response, FORBIDDEN);
    }
    for (what, body) in [
        (
            "in another's name",
            with(v1_body(), "/sender", json!("bob")),
        ),
        ("in the manager's name", v1_body()),
    ] {
        let response = ann
            .v1("POST", SEND, None, body.to_string().as_bytes())
            .unwrap();
        problem(what, &response, FORBIDDEN);
    }
    let notice = json!({
        "to": {"user": "bob"}, "contentType": 1400,
        "content": {"notificationName": "n", "notificationType": 1, "text": "t"},
    });
    let response = ann
        .v1("POST", SEND, None, notice.to_string().as_bytes())
        .unwrap();
    problem("a notice", &response, FORBIDDEN);
    let path = format!("/v1/messages/{id}");
    let response = ann.v1("GET", &path, None, b"").unwrap();
    problem("another's message", &response, (404, "unknown-message"));
    let response = ann
        .v2("/manager/send_msg", None, v2_body().to_string().as_bytes())
        .unwrap();
    assert_eq!(response.status, 400);
    assert_eq!(response.json()["errMsg"], "not authorized");

    // What is his own he may do.
    ann.send_text("bob", "from ann");
    assert_eq!(ann.log("ann").len(), 1);
    assert_eq!(target.admin.log("bob").len(), 2);
    target.is_undisturbed();
}

#[test]
fn a_manager_is_no_master_of_other_managers() {
    let config = format!("[openim]\nmanagers = [{{ id = {ADMIN:?} }}, {{ id = \"other\" }}]\n");
    let mut target = Target::with(&config);
    target.refuses(
        "a token",
        "POST",
        "/v1/tokens",
        br#"{"user":"other"}"#,
        FORBIDDEN,
    );
    target.refuses("tokens", "DELETE", "/v1/tokens?user=other", b"", FORBIDDEN);
    target.is_undisturbed();
}

#[test]
fn a_revoked_token_ends_what_came_with_it() {
    let mut target = Target::new();
    let token = target.admin.token_of("ann");
    let address = target.server.http();
    let quic = Quic::connect(&target.server, &token).unwrap();
    assert_eq!(quic.user(), "ann");
    let waiting = token.clone();
    let poll = std::thread::spawn(move || {
        let mut ann = Api::new(address, waiting);
        ann.v1("GET", "/v1/users/ann/log?after=0&wait=60", None, b"")
            .unwrap()
    });
    let revoked = target
        .admin
        .v1("DELETE", "/v1/tokens?user=ann", None, b"")
        .unwrap();
    assert_eq!(revoked.status, 204, "{}", revoked.text());
    problem("a long poll", &poll.join().unwrap(), (401, "token-revoked"));
    assert_eq!(quic.closed().code(), Some(Code::TOKEN_REVOKED));
    let after = target
        .caller(&token)
        .v1("GET", "/v1/me", None, b"")
        .unwrap();
    problem("afterwards", &after, (401, "token-revoked"));
    target.user("ann").get("/v1/me");
    target.is_undisturbed();
}
