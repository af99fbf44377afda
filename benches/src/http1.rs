//! HTTP/1.1 over a kept-alive connection, one request at a time: what a load generator needs, at little cost.
//!
//! The generator shares two processors with the server, so every microsecond here is taken from the server; a full
//! client costs several times as much per request. Answers must carry `Content-Length`, as those of our own server
//! and of the servers compared do; anything else is refused, not guessed.

use crate::error::{Error, Result};
use crate::wire::{Moved, Wire, loopback};

/// Longest head of an answer, in bytes.
const MAX_HEAD: usize = 32 << 10;
/// Longest body of an answer, in bytes.
const MAX_BODY: usize = 64 << 20;

/// The first line and headers of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    body_length: usize,
    closes: bool,
}

/// An answer; its body lies in the connection's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// What went through the connection so far.
    pub moved: Moved,
}

/// A kept-alive connection.
pub struct Connection {
    wire: Wire,
    /// The part of the buffer that the last answer took.
    answered: usize,
    closing: bool,
}

impl Connection {
    /// Uses `wire` for HTTP.
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        Self {
            wire,
            answered: 0,
            closing: false,
        }
    }

    /// What is below it, for what is no answer with a length any more.
    #[must_use]
    pub fn into_wire(mut self) -> Wire {
        self.wire.consume(self.answered);
        self.wire
    }

    /// Sends the complete request `bytes` and waits for the complete answer.
    ///
    /// # Errors
    /// When the connection breaks or was closed by the server, the server stalls, or the answer is not one that is
    /// understood here.
    pub async fn call(&mut self, bytes: &[u8]) -> Result<Answer<'_>> {
        if self.closing {
            return Err(self.bad("closed the connection after its last answer"));
        }
        self.wire.consume(self.answered);
        self.answered = 0;
        self.wire.write(bytes).await?;
        let head = loop {
            match parse_head(self.wire.pending()) {
                Ok(Some(head)) => break head,
                Ok(None) => self.wire.read(1).await?,
                Err(what) => return Err(self.bad(what)),
            }
        };
        let whole = head.length + head.body_length;
        while self.wire.pending().len() < whole {
            self.wire.read(1).await?;
        }
        self.answered = whole;
        self.closing = head.closes;
        Ok(Answer {
            status: head.status,
            body: &self.wire.pending()[head.length..whole],
            moved: self.wire.moved(),
        })
    }

    fn bad(&self, what: &str) -> Error {
        Error::Server {
            system: self.wire.system(),
            detail: what.to_owned(),
        }
    }
}

/// The head at the start of `bytes`; `None` when it is not complete yet.
fn parse_head(bytes: &[u8]) -> std::result::Result<Option<Head>, &'static str> {
    let Some(end) = bytes
        .windows(4)
        .take(MAX_HEAD)
        .position(|w| w == b"\r\n\r\n")
    else {
        return if bytes.len() > MAX_HEAD {
            Err("an answer with too long a head")
        } else {
            Ok(None)
        };
    };
    let text =
        std::str::from_utf8(&bytes[..end]).map_err(|_| "an answer whose head is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|l| l.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
        .ok_or("an answer that is not HTTP/1.1")?;
    let (mut body_length, mut closes) = (None, false);
    for (name, value) in lines.filter_map(|l| l.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            body_length = Some(
                value
                    .parse()
                    .ok()
                    .filter(|n| *n <= MAX_BODY)
                    .ok_or("an answer of impossible length")?,
            );
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("an answer with a transfer encoding, which is not supported here");
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let body_length = match (body_length, status) {
        (Some(length), _) => length,
        (None, 204 | 304) => 0,
        (None, _) => return Err("an answer without Content-Length"),
    };
    Ok(Some(Head {
        status,
        length: end + 4,
        body_length,
        closes,
    }))
}

/// One `GET` of a JSON document from a port of this machine, by HTTP/1.0: the body ends with the connection.
///
/// # Errors
/// When nobody listens there, the answer is not 200, not complete within the patience of a [`Wire`], or not JSON.
pub async fn get_json(system: &'static str, port: u16, path: &str) -> Result<serde_json::Value> {
    let bad = |detail: String| Error::Server {
        system,
        detail: format!("{path} {detail}"),
    };
    let mut wire = Wire::open(system, loopback(port)).await?;
    wire.write(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes())
        .await?;
    while wire.read_more().await? {
        if wire.pending().len() > MAX_BODY {
            return Err(bad("has too long an answer".into()));
        }
    }
    let answer = wire.pending();
    let end = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .ok_or_else(|| bad("has no head".into()))?;
    if answer.get(8..12) != Some(b" 200") {
        let line = answer.split(|&b| b == b'\r').next().unwrap_or_default();
        return Err(bad(format!("answered {}", String::from_utf8_lossy(line))));
    }
    serde_json::from_slice(&answer[end + 4..]).map_err(|e| bad(format!("is not JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::{Connection, Head, parse_head};
    use crate::wire::Wire;

    #[test]
    fn a_head_is_read_whole_or_not_at_all() {
        let bytes = b"HTTP/1.1 201 Created\r\ncontent-length: 3\r\nX: y\r\n\r\nabc";
        let head = Head {
            status: 201,
            length: 49,
            body_length: 3,
            closes: false,
        };
        assert_eq!(parse_head(bytes), Ok(Some(head)));
        for cut in 0..49 {
            assert_eq!(parse_head(&bytes[..cut]), Ok(None));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bytes in [
            &b"HTTP/1.0 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"\xff\xff\r\n\r\n",
        ] {
            assert!(
                parse_head(bytes).is_err(),
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
        assert!(parse_head(&[b'a'; 40_000]).is_err());
        assert_eq!(
            parse_head(b"HTTP/1.1 204 No Content\r\n\r\n")
                .unwrap()
                .unwrap()
                .body_length,
            0
        );
    }

    /// Answers each read with the next of `answers`, cut in two pieces.
    async fn peer(listener: tokio::net::TcpListener, answers: Vec<&'static [u8]>) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sink = [0u8; 1024];
        for answer in answers {
            assert!(stream.read(&mut sink).await.unwrap() > 0);
            let (a, b) = answer.split_at(answer.len() / 2);
            stream.write_all(a).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
            stream.write_all(b).await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_connection_serves_many_requests_until_it_is_closed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(peer(
            listener,
            vec![
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ],
        ));
        let mut connection = Connection::new(Wire::open("test", address).await.unwrap());
        let answer = connection.call(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!((answer.status, answer.body), (200, &b"hello"[..]));
        assert_eq!(
            connection
                .call(b"GET / HTTP/1.1\r\n\r\n")
                .await
                .unwrap()
                .status,
            503
        );
        assert!(connection.call(b"GET / HTTP/1.1\r\n\r\n").await.is_err());
    }

    #[tokio::test]
    async fn a_document_ends_with_its_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(peer(
            listener,
            vec![b"HTTP/1.0 200 OK\r\nX: y\r\n\r\n{\"a\": [1, 2]}"],
        ));
        assert_eq!(
            super::get_json("test", port, "/a").await.unwrap(),
            serde_json::json!({"a": [1, 2]})
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(peer(listener, vec![b"HTTP/1.0 503 Busy\r\n\r\n{}"]));
        let error = super::get_json("test", port, "/a")
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("503"), "{error}");
    }
}
