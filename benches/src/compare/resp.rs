//! RESP 2, the protocol of Redis: requests out, replies in. As little as a load generator needs.
//!
//! It must not know what the commands mean.

/// Deepest nesting of arrays that is read.
const MAX_DEPTH: usize = 4;
/// Longest bulk string that is read, in bytes.
const MAX_BULK: usize = 16 << 20;
/// Longest array that is read.
const MAX_ARRAY: usize = 1 << 16;
/// Longest line (simple string, error, number) that is read, in bytes.
const MAX_LINE: usize = 64 << 10;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+…`
    Simple(String),
    /// `-…`
    Error(String),
    /// `:…`
    Integer(i64),
    /// `$…`
    Bulk(Vec<u8>),
    /// `$-1` or `*-1`
    Nil,
    /// `*…`
    Array(Vec<Reply>),
}

/// The bytes are not RESP, or exceed what is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a RESP reply: {0}")]
pub struct Malformed(&'static str);

/// Appends a request: an array of bulk strings.
pub fn request(out: &mut Vec<u8>, arguments: &[&[u8]]) {
    header(out, b'*', arguments.len());
    for argument in arguments {
        bulk(out, argument);
    }
}

/// Appends `kind`, a number and the line end.
pub fn header(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    decimal(out, number);
    out.extend_from_slice(b"\r\n");
}

/// Appends one bulk string.
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal digits. `write!` would do, at several times the cost.
pub fn decimal(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A digit is below ten.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Reads the reply at the start of `bytes` and says how long it was; `None` when it is not complete yet.
///
/// # Errors
/// When the bytes cannot become a reply, or one larger than is accepted.
pub fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    parse_at(bytes, MAX_DEPTH)
}

fn parse_at(bytes: &[u8], depth: usize) -> Result<Option<(Reply, usize)>, Malformed> {
    let Some((text, used)) = line(bytes)? else {
        return Ok(None);
    };
    let Some((&kind, text)) = text.split_first() else {
        return Err(Malformed("an empty line"));
    };
    let reply = match kind {
        b'+' => Reply::Simple(String::from_utf8_lossy(text).into_owned()),
        b'-' => Reply::Error(String::from_utf8_lossy(text).into_owned()),
        b':' => Reply::Integer(integer(text)?),
        b'$' => match length(text, MAX_BULK)? {
            None => Reply::Nil,
            Some(length) => {
                let end = used + length;
                let Some(tail) = bytes.get(end..end + 2) else {
                    return Ok(None);
                };
                if tail != b"\r\n" {
                    return Err(Malformed("a string without its end"));
                }
                return Ok(Some((Reply::Bulk(bytes[used..end].to_vec()), end + 2)));
            }
        },
        b'*' => match length(text, MAX_ARRAY)? {
            None => Reply::Nil,
            Some(count) => return array(bytes, used, count, depth),
        },
        _ => return Err(Malformed("an unknown type")),
    };
    Ok(Some((reply, used)))
}

fn array(
    bytes: &[u8],
    mut used: usize,
    count: usize,
    depth: usize,
) -> Result<Option<(Reply, usize)>, Malformed> {
    if depth == 0 {
        return Err(Malformed("nested too deeply"));
    }
    let mut items = Vec::new();
    for _ in 0..count {
        let Some((item, length)) = parse_at(&bytes[used..], depth - 1)? else {
            return Ok(None);
        };
        items.push(item);
        used += length;
    }
    Ok(Some((Reply::Array(items), used)))
}

/// The line at the start, without its end, and where the next one begins.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    match bytes.iter().take(MAX_LINE).position(|&b| b == b'\n') {
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(Some((&bytes[..end - 1], end + 1))),
        Some(_) => Err(Malformed("a line without its end")),
        None if bytes.len() >= MAX_LINE => Err(Malformed("a line that is too long")),
        None => Ok(None),
    }
}

fn integer(text: &[u8]) -> Result<i64, Malformed> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|t| t.parse().ok())
        .ok_or(Malformed("not a number"))
}

/// A length, `None` for -1.
fn length(text: &[u8], limit: usize) -> Result<Option<usize>, Malformed> {
    match integer(text)? {
        -1 => Ok(None),
        n => usize::try_from(n)
            .ok()
            .filter(|n| *n <= limit)
            .map(Some)
            .ok_or(Malformed("a length out of bounds")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_DEPTH, Reply, decimal, parse, request};

    fn encode(reply: &Reply, out: &mut Vec<u8>) {
        match reply {
            Reply::Simple(s) => out.extend_from_slice(format!("+{s}\r\n").as_bytes()),
            Reply::Error(s) => out.extend_from_slice(format!("-{s}\r\n").as_bytes()),
            Reply::Integer(n) => out.extend_from_slice(format!(":{n}\r\n").as_bytes()),
            Reply::Bulk(b) => super::bulk(out, b),
            Reply::Nil => out.extend_from_slice(b"$-1\r\n"),
            Reply::Array(items) => {
                super::header(out, b'*', items.len());
                items.iter().for_each(|item| encode(item, out));
            }
        }
    }

    fn reply() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            "[a-z ]{0,9}".prop_map(Reply::Simple),
            "[A-Z ]{0,9}".prop_map(Reply::Error),
            any::<i64>().prop_map(Reply::Integer),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Reply::Bulk),
            Just(Reply::Nil),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop::collection::vec(inner, 0..4).prop_map(Reply::Array)
        })
    }

    proptest! {
        #[test]
        fn a_reply_is_read_back_and_no_part_of_it_is_taken_for_a_whole(reply in reply()) {
            let mut bytes = Vec::new();
            encode(&reply, &mut bytes);
            let whole = bytes.len();
            bytes.extend_from_slice(b"+next\r\n");
            prop_assert_eq!(parse(&bytes), Ok(Some((reply, whole))));
            for cut in 0..whole {
                prop_assert_eq!(parse(&bytes[..cut]), Ok(None));
            }
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn numbers_are_written_as_the_standard_library_writes_them(n in any::<usize>()) {
            let mut out = Vec::new();
            decimal(&mut out, n);
            prop_assert_eq!(out, n.to_string().into_bytes());
        }
    }

    #[test]
    fn a_request_is_an_array_of_strings() {
        let mut out = Vec::new();
        request(&mut out, &[b"SET", b"k\r\n", b""]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n");
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused_before_it_is_read() {
        assert!(parse(&b"*1\r\n".repeat(MAX_DEPTH + 1)).is_err());
        assert!(parse(b"$99999999999\r\n").is_err());
        assert!(parse(b"*99999999999\r\n").is_err());
        assert!(parse(b"$-2\r\n").is_err());
        assert!(parse(&[b'x'; 70_000]).is_err());
    }
}
