//! The text protocol of NATS: publishes with headers out, messages in. As little as a load generator needs.
//!
//! It must not know what JetStream is.

use super::resp::decimal;

/// Longest control line that is read, in bytes: the server's own limit.
const MAX_LINE: usize = 64 << 10;
/// Longest payload that is read, in bytes.
const MAX_PAYLOAD: usize = 8 << 20;

/// What a server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// A message, or a message with headers (which are left out).
    Message {
        /// Where it was published.
        subject: &'a [u8],
        /// What was published.
        payload: &'a [u8],
    },
    /// The server's description of itself, JSON.
    Info(&'a [u8]),
    /// The server wants a `PONG`.
    Ping,
    /// The answer to a `PING`.
    Pong,
    /// `+OK`
    Ok,
    /// `-ERR`, with its text.
    Error(&'a [u8]),
}

/// The bytes are not the NATS protocol, or exceed what is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the NATS protocol: {0}")]
pub struct Malformed(&'static str);

/// Appends `PUB`.
pub fn publish(out: &mut Vec<u8>, subject: &[u8], reply: &[u8], payload: &[u8]) {
    out.extend_from_slice(b"PUB ");
    address(out, subject, reply);
    decimal(out, payload.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends `HPUB`. An empty `reply` asks for no answer.
pub fn publish_with_headers(
    out: &mut Vec<u8>,
    subject: &[u8],
    reply: &[u8],
    headers: &[(&[u8], &[u8])],
    payload: &[u8],
) {
    const VERSION: &[u8] = b"NATS/1.0\r\n";
    let length = VERSION.len()
        + headers
            .iter()
            .map(|(k, v)| k.len() + v.len() + 4)
            .sum::<usize>()
        + 2;
    out.extend_from_slice(b"HPUB ");
    address(out, subject, reply);
    decimal(out, length);
    out.push(b' ');
    decimal(out, length + payload.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(VERSION);
    for (name, value) in headers {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

fn address(out: &mut Vec<u8>, subject: &[u8], reply: &[u8]) {
    out.extend_from_slice(subject);
    out.push(b' ');
    if !reply.is_empty() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
}

/// Reads the operation at the start of `bytes` and says how long it was; `None` when it is not complete yet.
///
/// # Errors
/// When the bytes cannot become an operation, or one larger than is accepted.
pub fn parse(bytes: &[u8]) -> Result<Option<(Op<'_>, usize)>, Malformed> {
    let Some(end) = bytes.iter().take(MAX_LINE).position(|&b| b == b'\n') else {
        return if bytes.len() >= MAX_LINE {
            Err(Malformed("a line that is too long"))
        } else {
            Ok(None)
        };
    };
    let line = bytes[..end]
        .strip_suffix(b"\r")
        .ok_or(Malformed("a line without its end"))?;
    let body = end + 1;
    let (word, rest) = match line.iter().position(|&b| b == b' ') {
        Some(at) => (&line[..at], line[at..].trim_ascii()),
        None => (line, &line[..0]),
    };
    let op = match word {
        b"MSG" => return message(bytes, body, rest, false),
        b"HMSG" => return message(bytes, body, rest, true),
        b"INFO" => Op::Info(rest),
        b"PING" => Op::Ping,
        b"PONG" => Op::Pong,
        b"+OK" => Op::Ok,
        b"-ERR" => Op::Error(rest),
        _ => return Err(Malformed("an unknown operation")),
    };
    Ok(Some((op, body)))
}

/// `subject sid [reply] [header length] length`, then the payload.
fn message<'a>(
    bytes: &'a [u8],
    body: usize,
    line: &'a [u8],
    headers: bool,
) -> Result<Option<(Op<'a>, usize)>, Malformed> {
    let fields: Vec<&[u8]> = line
        .split(|&b| b == b' ')
        .filter(|f| !f.is_empty())
        .collect();
    let fewest = if headers { 4 } else { 3 };
    if fields.len() < fewest || fields.len() > fewest + 1 {
        return Err(Malformed("a message line with the wrong number of fields"));
    }
    let total = size(fields[fields.len() - 1])?;
    let skipped = if headers {
        size(fields[fields.len() - 2])?
    } else {
        0
    };
    if skipped > total {
        return Err(Malformed("headers longer than the message"));
    }
    let Some(tail) = bytes.get(body + total..body + total + 2) else {
        return Ok(None);
    };
    if tail != b"\r\n" {
        return Err(Malformed("a message without its end"));
    }
    let payload = &bytes[body + skipped..body + total];
    Ok(Some((
        Op::Message {
            subject: fields[0],
            payload,
        },
        body + total + 2,
    )))
}

fn size(text: &[u8]) -> Result<usize, Malformed> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|t| t.parse().ok())
        .filter(|n| *n <= MAX_PAYLOAD)
        .ok_or(Malformed("a length out of bounds"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Op, parse, publish, publish_with_headers};

    #[test]
    fn publishes_are_laid_out_as_the_protocol_says() {
        let mut out = Vec::new();
        publish(&mut out, b"a.b", b"", b"hi");
        publish_with_headers(&mut out, b"a", b"r.1", &[(b"K", b"v")], b"x\r\n");
        // 10 for the version line, 6 for the header, 2 for the blank line.
        assert_eq!(
            out,
            b"PUB a.b 2\r\nhi\r\nHPUB a r.1 18 21\r\nNATS/1.0\r\nK: v\r\n\r\nx\r\n\r\n"
        );
    }

    #[test]
    fn every_operation_is_read_whole_or_not_at_all() {
        let cases: [(&[u8], Op<'_>); 7] = [
            (
                b"MSG r.1 1 5\r\nhe\r\no\r\n",
                Op::Message {
                    subject: b"r.1",
                    payload: b"he\r\no",
                },
            ),
            (
                b"MSG r.1 1 back 0\r\n\r\n",
                Op::Message {
                    subject: b"r.1",
                    payload: b"",
                },
            ),
            (
                b"HMSG s 1 12 14\r\nNATS/1.0\r\n\r\nok\r\n",
                Op::Message {
                    subject: b"s",
                    payload: b"ok",
                },
            ),
            (b"INFO {\"a\":1} \r\n", Op::Info(b"{\"a\":1}")),
            (b"PING\r\n", Op::Ping),
            (b"+OK\r\n", Op::Ok),
            (b"-ERR 'Slow Consumer'\r\n", Op::Error(b"'Slow Consumer'")),
        ];
        for (bytes, op) in cases {
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut} of {op:?}");
            }
            let mut more = bytes.to_vec();
            more.extend_from_slice(b"PONG\r\n");
            assert_eq!(parse(&more), Ok(Some((op, bytes.len()))));
        }
    }

    #[test]
    fn impossible_messages_are_refused() {
        for bytes in [
            &b"MSG a 1\r\n"[..],
            b"MSG a 1 x\r\n",
            b"HMSG a 1 9 4\r\n",
            b"MSG a 1 99999999999\r\n",
            b"WHAT\r\n",
            b"PING\n",
            b"MSG a 1 2\r\nabXY",
        ] {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
