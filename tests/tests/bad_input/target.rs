//! The server that bad input is thrown at, and how its refusals are read.

use serde_json::{Value, json};
use tempfile::TempDir;
use waybill_tests::harness::{ADMIN, Api, Http, Response, Server};

/// Who gets the good messages between the bad ones.
const WITNESS: &str = "witness";

/// A server with a directory of its own.
pub struct Target {
    pub server: Server,
    pub admin: Api,
    good: usize,
    _directory: TempDir,
}

/// A refusal of `/v1`: HTTP status and the last part of the problem type.
pub type Refusal = (u16, &'static str);

impl Target {
    pub fn new() -> Target {
        Target::with("")
    }

    pub fn with(config: &str) -> Target {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start_with(&directory.path().join("data"), config);
        let admin = Api::admin(&server);
        Target {
            server,
            admin,
            good: 0,
            _directory: directory,
        }
    }

    /// Whoever has this token.
    pub fn caller(&self, token: &str) -> Api {
        Api::new(self.server.http(), token)
    }

    /// A user with a token of his own.
    pub fn user(&mut self, user: &str) -> Api {
        let token = self.admin.token_of(user);
        self.caller(&token)
    }

    /// A `/v1` call by the manager must be refused so.
    pub fn refuses(
        &mut self,
        what: &str,
        method: &str,
        path: &str,
        body: &[u8],
        expected: Refusal,
    ) {
        let response = self.admin.v1(method, path, None, body).unwrap();
        problem(what, &response, expected);
    }

    /// Whatever was thrown at it: it lives, takes messages on every surface, and the good ones are all that is there.
    pub fn is_undisturbed(&mut self) {
        let mut ops = Http::new(self.server.ops());
        for path in ["/livez", "/readyz"] {
            assert_eq!(ops.get(path).unwrap().status, 200, "{path}");
        }
        let mut admin = Api::admin(&self.server);
        admin.send_text(WITNESS, "over v1");
        let body = v2_body().to_string();
        let sent = admin
            .v2("/msg/manage_send_msg", None, body.as_bytes())
            .unwrap()
            .json();
        assert_eq!(sent["errCode"], 0, "{sent}");
        let quic = self.server.connect_quic();
        let message = waybill_client::Outgoing {
            receiver: WITNESS.to_owned(),
            content_type: 101,
            content: br#"{"text":"over QUIC"}"#.to_vec(),
            ..Default::default()
        };
        quic.send(message).unwrap();
        self.good += 3;
        assert_eq!(admin.log(WITNESS).len(), self.good);
        let pulled = quic.pull(WITNESS, 0, 1_000).unwrap();
        assert_eq!(pulled.entries.len(), self.good);
    }

    /// Nobody has got anything but the witness: no refused message was sent all the same.
    pub fn has_no_log_of(&mut self, user: &str) {
        let log = Api::admin(&self.server)
            .log_if_any(user)
            .unwrap_or_default();
        assert!(log.is_empty(), "{user} has {log:?}");
    }
}

/// A response must be this problem, with a text for people.
pub fn problem(what: &str, response: &Response, (status, slug): Refusal) -> Value {
    let text = response.text();
    let seen = format!(
        "{what}: {} {}",
        response.status,
        &text[..text.len().min(600)]
    );
    assert_eq!(response.status, status, "{seen}");
    assert_eq!(
        response.header("content-type"),
        Some("application/problem+json"),
        "{seen}"
    );
    let problem = response.json();
    assert_eq!(
        problem["type"],
        format!("urn:waybill:problem:{slug}"),
        "{seen}"
    );
    assert_eq!(problem["status"], status, "{seen}");
    for field in ["title", "detail"] {
        assert!(
            problem[field].as_str().is_some_and(|text| !text.is_empty()),
            "{seen}"
        );
    }
    problem
}

/// A good message for `/v1`.
pub fn v1_body() -> Value {
    json!({
        "sender": ADMIN, "to": {"user": WITNESS}, "contentType": 101, "content": {"text": "good"},
    })
}

/// A good message for OpenIM's dialect.
pub fn v2_body() -> Value {
    json!({
        "operationID": "good", "sendID": ADMIN, "recvID": WITNESS, "contentType": 101,
        "sessionType": 1, "senderPlatformID": 2, "content": {"text": "good"},
    })
}

/// The object with another value at a pointer.
pub fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
    object
}

/// The object without a field.
pub fn without(mut object: Value, field: &str) -> Value {
    object.as_object_mut().unwrap().remove(field).unwrap();
    object
}

/// Ids that are none, for a place where an id must stand.
pub fn bad_ids() -> [String; 6] {
    let long = "i".repeat(65);
    // 22 characters of three bytes: too long in bytes, not in characters.
    let wide = "文".repeat(22);
    [
        long,
        wide,
        "a\u{0}b".into(),
        "a\nb".into(),
        "a\u{7f}".into(),
        "a\u{85}".into(),
    ]
}
