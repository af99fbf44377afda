//! A small HTTP client for the commands that talk to a server.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::args::Server;
use crate::output::{Failure, REFUSED, USAGE};

/// Longest answer that is read: a page of a log and some.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Longest wait for an answer: a long poll and some.
const PATIENCE: Duration = Duration::from_secs(90);

/// A way to one server.
pub struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    token: String,
}

impl Api {
    /// Takes the address and finds the token.
    pub fn new(server: &Server) -> Result<Self, Failure> {
        let base = server.server.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") {
            let text = format!(
                "{base}: the address must begin with http:// (over TLS, use curl or a client library)"
            );
            return Err(Failure::new(USAGE, text));
        }
        let token = match &server.token {
            Some(token) => token.clone(),
            None => admin_token(server)?,
        };
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            base,
            token,
        })
    }

    /// The server's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token in use.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// GETs a path, and the answer as it came.
    pub async fn get_bytes(&self, path: &str) -> Result<Bytes, Failure> {
        self.call(Method::GET, path, None, None).await
    }

    /// POSTs a JSON value to a path.
    pub async fn post(
        &self,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Result<Value, Failure> {
        let answer = self.call(Method::POST, path, key, Some(body)).await?;
        serde_json::from_slice(&answer).map_err(Failure::with(REFUSED))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Bytes, Failure> {
        let bearer = HeaderValue::try_from(format!("Bearer {}", self.token));
        let bearer = bearer
            .map_err(|_| Failure::new(USAGE, "the token holds characters that no token has"))?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, bearer);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request
            .body(Full::new(bytes))
            .map_err(Failure::with(USAGE))?;
        let unreachable = |error: &dyn std::fmt::Display| {
            Failure::new(
                REFUSED,
                format!(
                    "{} cannot be reached: {error}; is `waybill serve` running?",
                    self.base
                ),
            )
        };
        let response = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
        let response = response
            .map_err(|error| unreachable(&error))?
            .map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await;
        let body = body.map_err(|error| unreachable(&error))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let said = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Err(Failure::new(
            REFUSED,
            format!(
                "the server says {status}: {} {}",
                said("title"),
                said("detail")
            )
            .trim_end(),
        ))
    }
}

fn admin_token(server: &Server) -> Result<String, Failure> {
    let path = server.data.join("secrets").join("admin.token");
    match std::fs::read_to_string(&path) {
        Ok(token) => Ok(token.trim().to_owned()),
        Err(error) => Err(Failure::new(
            USAGE,
            format!(
                "{}: {error}; give --data the server's data directory, or --token a token",
                path.display()
            ),
        )),
    }
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Runs a command's future to its end.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::with(USAGE))?;
    runtime.block_on(future)
}
