//! One request on its way through a surface, and what is said of it in log lines and metrics.

use std::net::SocketAddr;

use bytes::Bytes;
use hyper::header::HeaderName;
use hyper::{HeaderMap, Method, Response};

use super::listener::Hold;
use super::respond::Body;
use crate::error::{Error, Kind};
use crate::telemetry::metrics::Route;

/// A request whose body has been read.
pub struct Call<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, as it was sent.
    pub path: &'a str,
    /// Its query, as it was sent.
    pub query: Option<&'a str>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a Bytes,
    /// Where it came from.
    pub peer: SocketAddr,
    /// Its hold on its connection, for an answer that goes on.
    pub hold: Option<&'a Hold>,
}

/// What a request came to.
pub struct Answered {
    /// The response.
    pub response: Response<Body>,
    /// Which address it was.
    pub route: Route,
    /// The caller's trace id, if one was read.
    pub operation_id: String,
    /// What was wrong, if anything.
    pub kind: Option<Kind>,
}

impl Call<'_> {
    /// The text of a header; empty when it is missing.
    ///
    /// # Errors
    /// When it is no text.
    pub fn header(&self, name: &HeaderName) -> Result<&str, Error> {
        match self
            .headers
            .get(name)
            .map(hyper::header::HeaderValue::to_str)
        {
            None => Ok(""),
            Some(Ok(text)) => Ok(text),
            Some(Err(_)) => Err(Error::at(
                Kind::InvalidField,
                name.to_string(),
                "must be printable ASCII",
            )),
        }
    }

    /// The caller's idempotency key; empty when there is none. The draft has it as a quoted string; plain ones are as
    /// common and are taken too.
    ///
    /// # Errors
    /// When it is no text.
    pub fn idempotency_key(&self) -> Result<&str, Error> {
        const NAME: HeaderName = HeaderName::from_static("idempotency-key");
        let text = self.header(&NAME)?.trim();
        let quoted = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let text = quoted.unwrap_or(text);
        if text.is_empty() && self.headers.contains_key(&NAME) {
            return Err(Error::at(
                Kind::InvalidId,
                "Idempotency-Key",
                "Idempotency-Key is empty",
            ));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: Option<&[u8]>) -> Result<String, Kind> {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(
                "idempotency-key",
                hyper::header::HeaderValue::from_bytes(value).unwrap(),
            );
        }
        let call = Call {
            method: &Method::POST,
            path: "/",
            query: None,
            headers: &headers,
            body: &Bytes::new(),
            peer: "127.0.0.1:1".parse().unwrap(),
            hold: None,
        };
        call.idempotency_key()
            .map(str::to_owned)
            .map_err(|error| error.kind)
    }

    #[test]
    fn keys_come_quoted_and_plain() {
        assert_eq!(key(None), Ok(String::new()));
        assert_eq!(key(Some(b"abc")), Ok("abc".to_owned()));
        assert_eq!(key(Some(b" \"abc\" ")), Ok("abc".to_owned()));
        assert_eq!(key(Some(b"\"")), Ok("\"".to_owned()));
        assert_eq!(key(Some(b"")), Err(Kind::InvalidId));
        assert_eq!(key(Some(b"\"\"")), Err(Kind::InvalidId));
        assert_eq!(key(Some(b"\xff")), Err(Kind::InvalidField));
    }
}
