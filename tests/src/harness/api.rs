//! The product's addresses over HTTP, as far as many tests need them.

use std::io;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::Server;
use super::http::{Http, Response};

/// The manager of a server that is not told otherwise.
pub const ADMIN: &str = "openIM123456";

/// Entries asked for at a time: as many as may be.
const PAGE: usize = 1_000;

/// A caller with a token.
pub struct Api {
    http: Http,
    token: String,
}

impl Api {
    /// The first manager.
    #[must_use]
    pub fn admin(server: &Server) -> Api {
        Api::new(server.http(), server.admin_token())
    }

    /// Whoever has this token.
    #[must_use]
    pub fn new(address: SocketAddr, token: impl Into<String>) -> Api {
        Api {
            http: Http::new(address),
            token: token.into(),
        }
    }

    /// A call of `/v1`; a key makes it a retry of an earlier call with that key.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn v1(
        &mut self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &[u8],
    ) -> io::Result<Response> {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend(key.map(|key| ("Idempotency-Key", key)));
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        self.http.request(method, path, &headers, body)
    }

    /// A call of OpenIM's v2 dialect.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn v2(&mut self, path: &str, key: Option<&str>, body: &[u8]) -> io::Result<Response> {
        let mut headers = vec![
            ("token", self.token.as_str()),
            ("Content-Type", "application/json"),
        ];
        headers.extend(key.map(|key| ("Idempotency-Key", key)));
        self.http.request("POST", path, &headers, body)
    }

    /// Gets a path of `/v1` that must be there.
    ///
    /// # Panics
    /// When it is not.
    pub fn get(&mut self, path: &str) -> Value {
        let response = self.v1("GET", path, None, b"").expect("an answer");
        assert_eq!(response.status, 200, "GET {path}: {}", response.text());
        response.json()
    }

    /// Sends a text that must be taken, from the caller.
    ///
    /// # Panics
    /// When it is not.
    pub fn send_text(&mut self, to: &str, text: &str) -> Value {
        let body = json!({"to": {"user": to}, "contentType": 101, "content": {"text": text}});
        let response = self.v1("POST", "/v1/messages", None, body.to_string().as_bytes());
        let response = response.expect("an answer");
        assert_eq!(response.status, 200, "a send: {}", response.text());
        response.json()
    }

    /// A page of a log, as the server wrote it.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn page(&mut self, user: &str, after: usize) -> io::Result<Response> {
        self.v1(
            "GET",
            &format!("/v1/users/{user}/log?after={after}&limit={PAGE}"),
            None,
            b"",
        )
    }

    /// A whole log.
    ///
    /// # Panics
    /// When it has a hole, or cannot be pulled.
    pub fn log(&mut self, user: &str) -> Vec<Value> {
        let log = self.log_if_any(user);
        log.unwrap_or_else(|| panic!("there is no user {user}"))
    }

    /// A whole log, or `None` when there is no such user.
    ///
    /// # Panics
    /// When it has a hole, or cannot be pulled.
    pub fn log_if_any(&mut self, user: &str) -> Option<Vec<Value>> {
        let mut log: Vec<Value> = Vec::new();
        loop {
            let response = self.page(user, log.len()).expect("an answer");
            if response.status == 404 && log.is_empty() {
                return None;
            }
            assert_eq!(
                response.status,
                200,
                "the log of {user}: {}",
                response.text()
            );
            let mut page = response.json();
            for entry in page["entries"].as_array_mut().expect("entries").drain(..) {
                let next = log.len() as u64 + 1;
                assert_eq!(
                    entry["seq"], next,
                    "the log of {user} has a hole before {next}"
                );
                log.push(entry);
            }
            if page["more"] == false {
                assert_eq!(
                    page["head"],
                    log.len() as u64,
                    "the log of {user} ends early"
                );
                return Some(log);
            }
        }
    }

    /// A fresh token of a user.
    ///
    /// # Panics
    /// When there is none to be had.
    pub fn token_of(&mut self, user: &str) -> String {
        let body = json!({"user": user, "platform": 7}).to_string();
        let response = self
            .v1("POST", "/v1/tokens", None, body.as_bytes())
            .expect("an answer");
        assert_eq!(
            response.status,
            200,
            "a token for {user}: {}",
            response.text()
        );
        response.json()["token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }
}
