//! A server on free ports over a directory of its own, and a plain HTTP client.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use waybill_gateway::config::{Config, Overrides};
use waybill_gateway::server::{RunError, Server, StartOptions, Started};

/// The article's request, as it stands.
pub const SEED: &[u8] = include_bytes!("../fixtures/seed-send-msg.json");

/// A running server.
pub struct Running {
    pub started: Started,
    pub admin: String,
    pub secret: String,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), RunError>>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The value of a header; panics when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .unwrap_or_else(|| panic!("{name} is missing in {}", self.head))
            .1
    }

    /// The last part of the type of a problem, after checking that it is one.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], self.status);
        let slug = body["type"]
            .as_str()
            .unwrap()
            .strip_prefix("urn:waybill:problem:")
            .unwrap();
        slug.to_owned()
    }
}

/// The configuration of a server on free ports.
pub fn config(data: &Path) -> Config {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let overrides = Overrides {
        data: Some(data.to_owned()),
        http: vec![any],
        quic: Some(any),
        ws: Some(any),
        ops: Some(any),
    };
    let mut config = Config::load(None, [], overrides).unwrap();
    config.memory_mib = 192;
    config.limits.drain_seconds = 5;
    config
}

/// Starts a server over a directory of its own.
pub async fn start() -> (TempDir, Running) {
    let data = tempfile::tempdir().unwrap();
    let running = start_with(config(data.path())).await;
    (data, running)
}

pub async fn start_with(config: Config) -> Running {
    let secrets = config.data.join("secrets");
    let server = Server::start(config, StartOptions::default())
        .await
        .unwrap();
    let started = server.started().clone();
    let read = |name: &str| {
        std::fs::read_to_string(secrets.join(name))
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    let (stop, stopped) = oneshot::channel();
    let run = tokio::spawn(server.run(async move {
        let _ = stopped.await;
    }));
    Running {
        admin: read("admin.token"),
        secret: read("openim.secret"),
        started,
        stop,
        run,
    }
}

impl Running {
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.run.await.unwrap().unwrap();
    }

    pub fn http(&self) -> SocketAddr {
        self.started.http[0]
    }

    /// A call with any headers.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        call(self.http(), method, path, headers, body).await
    }

    /// A call of the v2 dialect.
    pub async fn v2(&self, path: &str, token: &str, body: impl AsRef<[u8]>) -> Answer {
        self.call("POST", path, &[("token", token)], body.as_ref())
            .await
    }

    /// A call of the native surface.
    pub async fn v1(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        self.call(method, path, &[("Authorization", &bearer)], body.as_ref())
            .await
    }

    /// A token of a user who becomes known by it.
    pub async fn token_of(&self, user: &str) -> String {
        let body = serde_json::json!({ "user": user }).to_string();
        let answer = self.v1("POST", "/v1/tokens", &self.admin, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// A text to a user, sent by the admin; the answer's JSON.
    pub async fn text_to(&self, user: &str, text: &str) -> Value {
        let body = serde_json::json!({
            "to": { "user": user }, "contentType": 101, "content": { "text": text }
        });
        let answer = self
            .v1("POST", "/v1/messages", &self.admin, body.to_string())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// A page of a user's log, read by the admin.
    pub async fn log_of(&self, user: &str) -> Value {
        let path = format!("/v1/users/{user}/log?limit=1000");
        let answer = self.v1("GET", &path, &self.admin, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

pub async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server that refuses by the head alone may close before it has taken the body.
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a whole head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    }
}
