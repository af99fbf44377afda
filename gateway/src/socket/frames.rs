//! What clients say: JSON texts, each an object whose `frame` says what it is. Kinds that are not known are skipped, so that newer
//! clients can talk to this server.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use waybill_core::wire::{Bye, Code};

use super::MAX_BATCH;
use crate::error::{Error, Kind};
use crate::http::v1::strict::Whole;

/// A frame of a client.
#[derive(Debug)]
pub enum ClientFrame<'a> {
    Hello(Hello<'a>),
    Pull(Pull<'a>),
    Send(Send<'a>),
    SendBatch(SendBatch<'a>),
    Acknowledge(Acknowledge),
    Tail(Tail<'a>),
    EndTail(u64),
    Watch(Watch<'a>),
    Ping(u64),
    Bye,
    /// A kind that only a server may send.
    Misdirected(String),
    /// A kind that is not known here: to be skipped.
    Unknown,
}

/// Why a text is no frame that can be served.
#[derive(Debug)]
pub enum Unreadable {
    /// The connection cannot go on.
    Broken(Bye),
    /// The request with this number is refused.
    Refused(u64, Error),
}

/// Kinds that only a server may send.
const OF_SERVERS: [&str; 11] = [
    "welcome",
    "page",
    "sent",
    "batchSent",
    "acknowledged",
    "tailOpened",
    "tailEnded",
    "refused",
    "pong",
    "online",
    "presence",
];

/// What all frames have in common.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    frame: Cow<'a, str>,
    request: Option<Whole<u64>>,
}

/// Who is speaking. It holds a token, so it is never printed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Hello<'a> {
    #[serde(rename = "frame")]
    _frame: Cow<'a, str>,
    #[serde(borrow)]
    pub token: Cow<'a, str>,
    #[serde(borrow)]
    pub ticket: Cow<'a, str>,
    #[serde(borrow)]
    pub device: Cow<'a, str>,
    pub device_name: String,
    pub platform: Whole<u8>,
    pub software: String,
    pub capabilities: Whole<u64>,
}

impl std::fmt::Debug for Hello<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello")
            .field("device", &self.device)
            .field("device_name", &self.device_name)
            .field("platform", &self.platform)
            .field("software", &self.software)
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pull<'a> {
    #[serde(rename = "frame")]
    _frame: Cow<'a, str>,
    pub request: Whole<u64>,
    #[serde(borrow, default)]
    pub user: Cow<'a, str>,
    #[serde(default)]
    pub after: Whole<u64>,
    pub limit: Option<Whole<u32>>,
    #[serde(borrow)]
    pub epoch: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail<'a> {
    #[serde(rename = "frame")]
    _frame: Cow<'a, str>,
    pub request: Whole<u64>,
    #[serde(borrow, default)]
    pub user: Cow<'a, str>,
    #[serde(default)]
    pub after: Whole<u64>,
    #[serde(borrow)]
    pub epoch: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch<'a> {
    #[serde(rename = "frame")]
    _frame: Cow<'a, str>,
    pub request: Whole<u64>,
    #[serde(borrow)]
    pub users: Vec<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send<'a> {
    #[serde(rename = "frame")]
    _frame: Cow<'a, str>,
    pub request: Whole<u64>,
    #[serde(borrow)]
    pub message: &'a RawValue,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendBatch<'a> {
    #[serde(rename = "frame")]
    _frame: Cow<'a, str>,
    pub request: Whole<u64>,
    #[serde(borrow)]
    pub messages: Vec<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    #[serde(rename = "frame")]
    _frame: String,
    pub request: Whole<u64>,
    pub seq: Whole<u64>,
}

/// A request that is only a number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    #[serde(rename = "frame")]
    _frame: String,
    request: Whole<u64>,
}

impl<'a> ClientFrame<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    /// When it is none, or a request that is wrong.
    pub fn read(text: &'a str) -> Result<Self, Unreadable> {
        let broken = |error: serde_json::Error| {
            Unreadable::Broken(Bye::new(Code::MALFORMED_FRAME, error.to_string()))
        };
        let head: Head<'_> = serde_json::from_str(text).map_err(broken)?;
        let request = head.request.map_or(0, |request| request.0);
        let wrong = |error: serde_json::Error| {
            // Who asks without a number could not be answered.
            if request == 0 {
                return broken(error);
            }
            Unreadable::Refused(request, Error::new(Kind::InvalidField, error.to_string()))
        };
        let frame = match &*head.frame {
            // A hello has no number; what is wrong with it is said in its answer.
            "hello" => Self::Hello(serde_json::from_str(text).map_err(|error| {
                Unreadable::Refused(0, Error::new(Kind::InvalidField, error.to_string()))
            })?),
            "bye" => return Ok(Self::Bye),
            "pull" => Self::Pull(serde_json::from_str(text).map_err(wrong)?),
            "tail" => Self::Tail(serde_json::from_str(text).map_err(wrong)?),
            "endTail" => Self::EndTail(plain(text).map_err(wrong)?),
            "ping" => Self::Ping(plain(text).map_err(wrong)?),
            "watch" => Self::Watch(serde_json::from_str(text).map_err(wrong)?),
            "send" => Self::Send(serde_json::from_str(text).map_err(wrong)?),
            "sendBatch" => Self::SendBatch(serde_json::from_str(text).map_err(wrong)?),
            "acknowledge" => Self::Acknowledge(serde_json::from_str(text).map_err(wrong)?),
            other if OF_SERVERS.contains(&other) => {
                return Ok(Self::Misdirected(other.to_owned()));
            }
            _ => return Ok(Self::Unknown),
        };
        if request == 0 && !matches!(frame, Self::Hello(_)) {
            let text = "request must be a whole number from 1";
            return Err(Unreadable::Broken(Bye::new(Code::MALFORMED_FRAME, text)));
        }
        match &frame {
            Self::SendBatch(batch) if !(1..=MAX_BATCH).contains(&batch.messages.len()) => {
                let text = format!("a batch has 1 to {MAX_BATCH} messages");
                let error = Error::at(Kind::InvalidField, "/messages", text);
                Err(Unreadable::Refused(request, error))
            }
            _ => Ok(frame),
        }
    }
}

fn plain(text: &str) -> Result<u64, serde_json::Error> {
    serde_json::from_str(text).map(|plain: Plain| plain.request.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        match ClientFrame::read(text) {
            Err(Unreadable::Broken(bye)) => bye.code,
            other => panic!("{other:?}"),
        }
    }

    fn refused(text: &str) -> (u64, Kind) {
        match ClientFrame::read(text) {
            Err(Unreadable::Refused(request, error)) => (request, error.kind),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn frames_are_read() {
        let hello = r#"{"frame":"hello","token":"t\u0041","device":"d","deviceName":"","platform":5.0,"software":"x","capabilities":0}"#;
        match ClientFrame::read(hello).unwrap() {
            ClientFrame::Hello(hello) => {
                assert_eq!((&*hello.token, hello.platform.0), ("tA", 5));
                assert!(!format!("{hello:?}").contains("tA"));
            }
            other => panic!("{other:?}"),
        }
        match ClientFrame::read(r#"{"request":7,"frame":"tail","after":9}"#).unwrap() {
            ClientFrame::Tail(tail) => {
                assert_eq!((tail.request.0, tail.after.0, &*tail.user), (7, 9, ""));
            }
            other => panic!("{other:?}"),
        }
        let send = r#"{"frame":"send","request":1,"message":{"a": [1,  2]}}"#;
        match ClientFrame::read(send).unwrap() {
            ClientFrame::Send(send) => assert_eq!(send.message.get(), r#"{"a": [1,  2]}"#),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            ClientFrame::read(r#"{"frame":"endTail","request":3}"#),
            Ok(ClientFrame::EndTail(3))
        ));
    }

    #[test]
    fn later_kinds_are_skipped_and_a_servers_are_not() {
        for later in [r#"{"frame":"dance","request":1,"x":{}}"#, r#"{"frame":""}"#] {
            assert!(matches!(ClientFrame::read(later), Ok(ClientFrame::Unknown)));
        }
        for kind in OF_SERVERS {
            let frame = format!(r#"{{"frame":"{kind}"}}"#);
            assert!(matches!(
                ClientFrame::read(&frame),
                Ok(ClientFrame::Misdirected(_))
            ));
        }
    }

    #[test]
    fn what_is_no_frame_breaks_and_what_is_a_wrong_request_is_refused() {
        for broken in [
            "",
            "x",
            "[]",
            "{}",
            "7",
            r#"{"frame":7}"#,
            r#"{"frame":"pull"}"#,
            r#"{"frame":"pull","request":0}"#,
            r#"{"frame":"pull","request":-1}"#,
            r#"{"frame":"pull","request":"1"}"#,
            r#"{"frame":"pull","request":1} {}"#,
            r#"{"frame":"ping","frame":"ping","request":1}"#,
        ] {
            assert_eq!(code(broken), Code::MALFORMED_FRAME, "{broken}");
        }
        for wrong in [
            r#"{"frame":"pull","request":4,"after":-1}"#,
            r#"{"frame":"pull","request":4,"limit":"1"}"#,
            r#"{"frame":"pull","request":4,"unknown":1}"#,
            r#"{"frame":"send","request":4}"#,
            r#"{"frame":"sendBatch","request":4,"messages":[]}"#,
            r#"{"frame":"acknowledge","request":4}"#,
        ] {
            assert_eq!(refused(wrong), (4, Kind::InvalidField), "{wrong}");
        }
        assert_eq!(
            refused(r#"{"frame":"hello","tocken":"t"}"#),
            (0, Kind::InvalidField)
        );
        let many = vec!["{}"; MAX_BATCH + 1].join(",");
        let batch = format!(r#"{{"frame":"sendBatch","request":4,"messages":[{many}]}}"#);
        assert_eq!(refused(&batch), (4, Kind::InvalidField));
    }
}
