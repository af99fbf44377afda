//! Frames of the gateway: requests, and answers and pushes, in the encoding of Go's clients and in that of the one in JavaScript.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::openim::v3::{gob, gzip};

/// How the frames of a connection are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Gob, in gzip when the client asked for it.
    Gob {
        /// Whether it did.
        gzip: bool,
    },
    /// JSON with base64 in it.
    Json,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub identifier: i64,
    /// Who the client says that it is.
    pub send_id: String,
    /// The client's trace id.
    pub operation_id: String,
    /// The client's number of the request.
    pub msg_incr: String,
    /// The message of the request.
    pub data: Vec<u8>,
}

/// An answer or a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply<'a> {
    /// What it answers.
    pub identifier: i32,
    /// The request's number; empty for a push.
    pub msg_incr: &'a str,
    /// The trace id.
    pub operation_id: &'a str,
    /// 0, or what is wrong.
    pub error: i32,
    /// In words.
    pub text: &'a str,
    /// The message.
    pub data: &'a [u8],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonRequest<'a> {
    req_identifier: i64,
    #[serde(default, rename = "sendID")]
    send_id: String,
    #[serde(default, rename = "operationID")]
    operation_id: String,
    #[serde(default)]
    msg_incr: String,
    #[serde(default, borrow)]
    data: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonReply<'a> {
    req_identifier: i32,
    msg_incr: &'a str,
    #[serde(rename = "operationID")]
    operation_id: &'a str,
    err_code: i32,
    err_msg: &'a str,
    data: Option<String>,
}

impl Codec {
    /// Reads a request; `None` when it is none.
    #[must_use]
    pub fn read(self, bytes: &[u8]) -> Option<Request> {
        match self {
            Self::Gob { gzip: true } => Self::read_gob(&gzip::unpack(bytes, gzip::MAX_UNPACKED)?),
            Self::Gob { gzip: false } => Self::read_gob(bytes),
            Self::Json => {
                let request: JsonRequest<'_> = serde_json::from_slice(bytes).ok()?;
                let data = request.data.unwrap_or_default();
                Some(Request {
                    identifier: request.req_identifier,
                    send_id: request.send_id,
                    operation_id: request.operation_id,
                    msg_incr: request.msg_incr,
                    data: STANDARD.decode(data.as_bytes()).ok()?,
                })
            }
        }
    }

    fn read_gob(bytes: &[u8]) -> Option<Request> {
        let request = gob::decode(bytes).ok()?;
        Some(Request {
            identifier: request.int("ReqIdentifier"),
            send_id: request.text("SendID").to_owned(),
            operation_id: request.text("OperationID").to_owned(),
            msg_incr: request.text("MsgIncr").to_owned(),
            data: request.bytes("Data").to_vec(),
        })
    }

    /// Writes an answer or a push.
    #[must_use]
    pub fn write(self, reply: &Reply<'_>) -> Vec<u8> {
        match self {
            Self::Gob { gzip } => {
                let bytes = gob::response(
                    reply.identifier,
                    reply.msg_incr,
                    reply.operation_id,
                    reply.error,
                    reply.text,
                    reply.data,
                );
                if gzip { gzip::pack(&bytes) } else { bytes }
            }
            Self::Json => {
                let reply = JsonReply {
                    req_identifier: reply.identifier,
                    msg_incr: reply.msg_incr,
                    operation_id: reply.operation_id,
                    err_code: reply.error,
                    err_msg: reply.text,
                    data: Some(STANDARD.encode(reply.data)).filter(|data| !data.is_empty()),
                };
                serde_json::to_vec(&reply).unwrap_or_default()
            }
        }
    }
}

/// The answer to a ping that is a text: the same object, of type `pong`. `None` for any other text.
#[must_use]
pub fn pong(text: &str) -> Option<String> {
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let kind = object.get_mut("type").filter(|kind| *kind == "ping")?;
    *kind = "pong".into();
    Some(serde_json::Value::Object(object).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_of_the_client_in_javascript_are_read() {
        let text = br#"{"reqIdentifier":1001,"msgIncr":"7","sendID":"u1","operationID":"op","data":"CgJ1MQ=="}"#;
        let request = Codec::Json.read(text).unwrap();
        assert_eq!(request.identifier, 1001);
        assert_eq!(request.send_id, "u1");
        assert_eq!(request.data, [0x0a, 2, b'u', b'1']);
        for bad in [
            &b""[..],
            b"{}",
            b"[]",
            b"{\"reqIdentifier\":1,\"data\":\"*\"}",
        ] {
            assert_eq!(Codec::Json.read(bad), None);
        }
        let reply = Codec::Json.write(&Reply {
            identifier: 2001,
            data: b"\x01",
            ..Reply::default()
        });
        assert_eq!(
            reply,
            br#"{"reqIdentifier":2001,"msgIncr":"","operationID":"","errCode":0,"errMsg":"","data":"AQ=="}"#
        );
    }

    #[test]
    fn pings_are_answered_and_nothing_else() {
        assert_eq!(pong(r#"{"type":"ping"}"#).unwrap(), r#"{"type":"pong"}"#);
        let answer = pong(r#"{"type":"ping","body":"op"}"#).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer, serde_json::json!({ "type": "pong", "body": "op" }));
        for other in ["", "ping", "{}", r#"{"type":"pong"}"#, r#"{"type":1}"#] {
            assert_eq!(pong(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_stop_a_codec(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,60}") {
            for codec in [Codec::Gob { gzip: true }, Codec::Gob { gzip: false }, Codec::Json] {
                let _ = codec.read(&bytes);
                let _ = codec.read(&gzip::pack(&bytes));
            }
            let _ = Codec::Json.read(text.as_bytes());
            let _ = pong(&text);
        }
    }
}
