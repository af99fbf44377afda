//! Requests of `/v1` over HTTP/1.1, plain or over TLS. One connection for each lane, so that a poll that waits holds up no send.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use waybill_core::wire::{CODES, Code, Failure};

use super::{CONNECT, silent};
use crate::error::Error;
use crate::trust::{Trust, tls};

/// Longest answer that is read: a page of a log and some.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Where problems are named.
const PROBLEM: &str = "urn:waybill:problem:";

/// A lane of requests, one at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lane {
    /// Reading the log.
    Read,
    /// Sending, in order.
    Send,
    /// Everything else.
    Other,
}

/// A server.
pub(crate) struct Http {
    target: Target,
    token: HeaderValue,
    lanes: [Mutex<Option<SendRequest<Full<Bytes>>>>; 3],
}

/// Where a server listens for HTTP, and how it proves itself.
#[derive(Clone)]
pub(crate) struct Target {
    /// Host and port, for the connection.
    authority: String,
    /// The same as it was given, for the request.
    host: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A request that was refused over HTTP, with what only HTTP says.
#[derive(Debug)]
pub(crate) struct Problem {
    /// What it is.
    pub error: Error,
    /// The body.
    pub body: Bytes,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let body = Bytes::new();
        Self { error, body }
    }
}

impl Target {
    /// Reads `http://host:port` or `https://host:port`.
    pub(crate) fn read(url: &str, trust: Option<&Trust>, alpn: &[u8]) -> Result<Self, Error> {
        let wrong = || {
            Error::setup(format!(
                "{url:?} is not http://host:port or https://host:port"
            ))
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let authority = rest.trim_end_matches('/');
        let secure = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(wrong()),
        };
        if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
            return Err(wrong());
        }
        let after_host = authority.rsplit(']').next().unwrap_or(authority);
        let (host, full) = match after_host.rsplit_once(':') {
            Some((_, port)) => (
                &authority[..authority.len() - port.len() - 1],
                authority.to_owned(),
            ),
            None => (
                authority,
                format!("{authority}:{}", if secure { 443 } else { 80 }),
            ),
        };
        let tls = if secure {
            let name = host.trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(name).map_err(Error::setup)?;
            let trust = trust.ok_or_else(|| Error::setup("https needs to know whom to trust"))?;
            let mut config = tls(trust.clone(), rustls::DEFAULT_VERSIONS)?;
            config.alpn_protocols = vec![alpn.to_vec()];
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        Ok(Self {
            host: HeaderValue::try_from(authority).map_err(|_| wrong())?,
            authority: full,
            tls,
        })
    }

    /// What to write as the host of a request.
    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// A fresh connection.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Stream>, Error> {
        let lost = |error: std::io::Error| Error::Lost(format!("{}: {error}", self.authority));
        let stream = timeout(CONNECT, TcpStream::connect(&self.authority)).await;
        let stream = stream
            .map_err(|_| Error::Lost(format!("{} does not answer", self.authority)))?
            .map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let secured = timeout(CONNECT, connector.connect(name.clone(), stream)).await;
        let secured = secured
            .map_err(|_| Error::Lost(format!("{} does not answer", self.authority)))?
            .map_err(lost)?;
        Ok(Box::new(secured))
    }
}

/// A stream of bytes in both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The header that carries a token.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Error::setup("the token holds characters that no token has"))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

impl Http {
    pub(crate) fn new(target: Target, token: &str) -> Result<Self, Error> {
        Ok(Self {
            target,
            token: bearer(token)?,
            lanes: [const { Mutex::const_new(None) }; 3],
        })
    }

    /// Asks, and waits for the answer for `patience`. A connection that was kept open and turns out to be closed is replaced
    /// once: every request of this library may be repeated.
    pub(crate) async fn ask(
        &self,
        lane: Lane,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        patience: Duration,
    ) -> Result<Bytes, Problem> {
        let mut kept = self.lanes[lane as usize].lock().await;
        let body = body.map(Bytes::from);
        for fresh in [false, true] {
            let mut sender = match kept.take().filter(|sender| !fresh && !sender.is_closed()) {
                Some(sender) => sender,
                None => open(&self.target).await?,
            };
            let used = !fresh;
            let request = self.request(method.clone(), path, body.clone())?;
            let asking = async {
                sender.ready().await?;
                sender.send_request(request).await
            };
            let response = match timeout(patience, asking).await {
                Ok(Ok(response)) => response,
                Ok(Err(_)) if used => continue,
                Ok(Err(error)) => return Err(Error::Lost(error.to_string()).into()),
                Err(_) => return Err(silent("HTTP").into()),
            };
            let answer = timeout(patience, read(response)).await;
            let answer = answer.unwrap_or_else(|_| Err(silent("HTTP").into()));
            if !matches!(&answer, Err(problem) if problem.error.code().is_none()) {
                *kept = Some(sender);
            }
            return answer;
        }
        Err(Error::Lost("HTTP: the connection was closed twice".to_owned()).into())
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.target.host())
            .header(AUTHORIZATION, self.token.clone());
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(Error::setup)
    }
}

async fn open(target: &Target) -> Result<SendRequest<Full<Bytes>>, Error> {
    let stream = target.connect().await?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Error::Lost(error.to_string()))?;
    tokio::spawn(async move {
        // Whoever waits for an answer hears of it.
        let _ = connection.await;
    });
    Ok(sender)
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Bytes, Problem> {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after
        .and_then(|value| value.to_str().ok()?.parse::<u32>().ok())
        .unwrap_or(0);
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect();
    let body = body
        .await
        .map_err(|error| Error::Lost(format!("HTTP: {error}")))?
        .to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    let error = refusal(status, retry_after, &body);
    Err(Problem { error, body })
}

/// What a status and a problem say, as the binary protocol would.
pub(crate) fn refusal(status: StatusCode, retry_after: u32, body: &[u8]) -> Error {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(default)]
        r#type: String,
        #[serde(default)]
        title: String,
        #[serde(default)]
        detail: String,
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let slug = body.r#type.strip_prefix(PROBLEM).unwrap_or_default();
    let known = CODES
        .iter()
        .find(|info| info.name.to_lowercase().replace('_', "-") == slug);
    // Without a name it may be a proxy that speaks, not the server.
    let Some(known) = known else {
        return match status {
            StatusCode::UNAUTHORIZED => {
                Error::Refused(Failure::new(Code::TOKEN_UNKNOWN, status.to_string()))
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Error::Refused(
                Failure::new(Code::BUSY, status.to_string())
                    .retry_after_ms(retry_after.saturating_mul(1_000)),
            ),
            _ => Error::Lost(format!("HTTP: {status} {}", body.title)),
        };
    };
    let text = if body.detail.is_empty() {
        body.title
    } else {
        body.detail
    };
    Error::Refused(Failure::new(known.code, text).retry_after_ms(retry_after.saturating_mul(1_000)))
}

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let read = |url| Target::read(url, None, b"http/1.1").map(|target| target.authority);
        assert_eq!(read("http://host:81/").unwrap(), "host:81");
        assert_eq!(read("http://host").unwrap(), "host:80");
        assert_eq!(read("http://[::1]").unwrap(), "[::1]:80");
        assert_eq!(read("http://[::1]:81").unwrap(), "[::1]:81");
        for wrong in [
            "",
            "host:81",
            "ftp://host",
            "http://",
            "http://a/b",
            "http://u@h",
            "https://h",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn problems_are_the_codes_of_the_binary_protocol() {
        let body = br#"{"type":"urn:waybill:problem:too-old","title":"T","detail":"D"}"#;
        let error = refusal(StatusCode::GONE, 0, body);
        assert_eq!(error.code(), Some(Code::TOO_OLD));
        let body = br#"{"type":"urn:waybill:problem:busy","title":"T"}"#;
        let error = refusal(StatusCode::SERVICE_UNAVAILABLE, 3, body);
        assert_eq!(
            (error.code(), error.retry_after_ms()),
            (Some(Code::BUSY), 3_000)
        );
        let error = refusal(StatusCode::BAD_GATEWAY, 0, b"<html>");
        assert_eq!(error.code(), None, "a proxy without its server");
    }
}
