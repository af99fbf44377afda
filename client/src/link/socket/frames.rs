//! The JSON frames, as far as this client says and hears them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use waybill_core::id::Seq;
use waybill_core::wire::{Code, Failure};

use crate::error::Error;
use crate::link::PAGE;
use crate::link::json::{page, reached, wrong};
use crate::message::Sent;
use crate::sync::{Batch, Reached};

/// A frame of a server. The numbers are those of the requests that they answer.
#[derive(Debug)]
pub(super) enum ServerFrame {
    Welcome,
    Page(u64, Reached, Batch),
    Sent(u64, Sent),
    Acknowledged(u64),
    Refused(u64, Failure, Option<Reached>),
    Bye(Error),
    /// Of a kind that is not known here, or that says nothing more: to be skipped.
    Unknown,
}

fn text<T: Serialize>(frame: &T) -> Result<String, Error> {
    serde_json::to_string(frame).map_err(Error::setup)
}

impl ServerFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(json: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Head<'a> {
            frame: &'a str,
            #[serde(default)]
            request: u64,
        }
        let Head { frame, request } = serde_json::from_str(json).map_err(wrong)?;
        Ok(match frame {
            "welcome" => Self::Welcome,
            "page" => {
                let (reached, batch) = page(json.as_bytes())?;
                Self::Page(request, reached, batch)
            }
            "sent" => Self::Sent(request, Sent::read(json.as_bytes()).map_err(wrong)?),
            "acknowledged" => Self::Acknowledged(request),
            // Only some refusals say where the log is.
            "refused" => Self::Refused(request, failure(json)?, reached(json.as_bytes()).ok()),
            "bye" => Self::Bye(bye(json)?),
            _ => Self::Unknown,
        })
    }
}

fn failure(json: &str) -> Result<Failure, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        code: u16,
        retryable: bool,
        #[serde(default)]
        retry_after_ms: u32,
        #[serde(default)]
        message: String,
    }
    let body: Body = serde_json::from_str(json).map_err(wrong)?;
    Ok(Failure {
        retryable: body.retryable,
        ..Failure::new(Code(body.code), body.message).retry_after_ms(body.retry_after_ms)
    })
}

fn bye(json: &str) -> Result<Error, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        code: u16,
        #[serde(default)]
        retry_after_ms: u32,
        #[serde(default)]
        reason: String,
    }
    let body: Body = serde_json::from_str(json).map_err(wrong)?;
    Ok(Error::Ended {
        code: Code(body.code),
        reason: body.reason,
        retry_after_ms: body.retry_after_ms,
    })
}

/// Says who is speaking.
pub(super) fn hello(token: &str, device: &str, platform: u8) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Hello<'a> {
        frame: &'static str,
        token: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        device: &'a str,
        platform: u8,
        software: &'static str,
    }
    text(&Hello {
        frame: "hello",
        token,
        device,
        platform,
        software: concat!("waybill-client/", env!("CARGO_PKG_VERSION")),
    })
}

#[derive(Serialize)]
struct Reading<'a> {
    frame: &'static str,
    request: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    after: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

/// Asks for a page.
pub(super) fn pull(request: u64, user: &str, after: Seq) -> Result<String, Error> {
    text(&Reading {
        frame: "pull",
        request,
        user,
        after: after.0,
        limit: Some(PAGE),
    })
}

/// Asks for the entries from here on.
pub(super) fn tail(request: u64, user: &str, after: Seq) -> Result<String, Error> {
    text(&Reading {
        frame: "tail",
        request,
        user,
        after: after.0,
        limit: None,
    })
}

/// Asks for no more of a tail.
pub(super) fn end_tail(request: u64) -> Result<String, Error> {
    #[derive(Serialize)]
    struct End {
        frame: &'static str,
        request: u64,
    }
    let frame = "endTail";
    text(&End { frame, request })
}

/// Sends a message, as the body of `POST /v1/messages`.
pub(super) fn send(request: u64, message: &[u8]) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Send<'a> {
        frame: &'static str,
        request: u64,
        message: &'a RawValue,
    }
    text(&Send {
        frame: "send",
        request,
        message: serde_json::from_slice(message).map_err(Error::setup)?,
    })
}

/// Reports what is stored.
pub(super) fn acknowledge(request: u64, seq: Seq) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Acknowledge {
        frame: &'static str,
        request: u64,
        seq: u64,
    }
    text(&Acknowledge {
        frame: "acknowledge",
        request,
        seq: seq.0,
    })
}

/// Says goodbye.
pub(super) fn goodbye() -> String {
    r#"{"frame":"bye"}"#.to_owned()
}
