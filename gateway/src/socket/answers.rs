//! What the server says: JSON texts, as `docs/protocol.md` has them.

use serde::Serialize;
use waybill_core::id::Seq;
use waybill_core::wire::{Bye, Code};

use super::{IN_FLIGHT, MAX_BATCH, MAX_FRAME, WINDOW, silences};
use crate::auth::Principal;
use crate::error::Error;
use crate::http::v1::encode;
use crate::http::v1::log::MAX_PAGE_ENTRIES;
use crate::service::{OnlineMessage, OnlineSent, Page, SentMessage, Service, Span, now};

/// A JSON text. Numbers and texts always serialise.
fn text<T: Serialize>(frame: &T) -> String {
    serde_json::to_string(frame).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Welcome<'a> {
    frame: &'static str,
    epoch: String,
    user: &'a str,
    floor: u64,
    head: u64,
    time: u64,
    limits: Limits,
    capabilities: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    frame_bytes: usize,
    in_flight: usize,
    batch: usize,
    pulls: usize,
    page_entries: u64,
    page_bytes: usize,
    tails: usize,
    silent_ms: u64,
}

/// The answer to a hello.
pub fn welcome(service: &Service, principal: &Principal, span: Span) -> String {
    let (_, silence) = silences(service.limits());
    text(&Welcome {
        frame: "welcome",
        epoch: service.epoch().to_string(),
        user: &principal.user,
        floor: span.floor.0,
        head: span.head.0,
        time: now().0,
        limits: Limits {
            frame_bytes: MAX_FRAME,
            in_flight: IN_FLIGHT,
            batch: MAX_BATCH,
            pulls: WINDOW.pulls,
            page_entries: MAX_PAGE_ENTRIES,
            page_bytes: WINDOW.page,
            tails: WINDOW.tails,
            silent_ms: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
        },
        capabilities: 0,
    })
}

#[derive(Serialize)]
struct PageFrame<'a> {
    frame: &'static str,
    request: u64,
    #[serde(flatten)]
    page: encode::PageBody<'a>,
}

/// Entries, for a pull or on a tail.
pub fn page(request: u64, page: &Page) -> String {
    text(&PageFrame {
        frame: "page",
        request,
        page: page.into(),
    })
}

#[derive(Serialize)]
struct TailOpened {
    frame: &'static str,
    request: u64,
    epoch: String,
    floor: u64,
    head: u64,
}

/// A tail begins.
pub fn tail_opened(request: u64, service: &Service, span: Span) -> String {
    text(&TailOpened {
        frame: "tailOpened",
        request,
        epoch: service.epoch().to_string(),
        floor: span.floor.0,
        head: span.head.0,
    })
}

#[derive(Serialize)]
struct Plain {
    frame: &'static str,
    request: u64,
}

/// A tail has ended, as was asked.
pub fn tail_ended(request: u64) -> String {
    let frame = "tailEnded";
    text(&Plain { frame, request })
}

/// A sign of life.
pub fn pong(request: u64) -> String {
    let frame = "pong";
    text(&Plain { frame, request })
}

#[derive(Serialize)]
struct SentFrame<'a> {
    frame: &'static str,
    request: u64,
    #[serde(flatten)]
    sent: SentBody<'a>,
}

#[derive(Serialize)]
struct SentBody<'a> {
    #[serde(flatten)]
    sent: encode::Sent<'a>,
    repeated: bool,
}

impl<'a> From<&'a SentMessage> for SentBody<'a> {
    fn from(sent: &'a SentMessage) -> Self {
        Self {
            sent: sent.into(),
            repeated: sent.repeated,
        }
    }
}

/// What became of a send.
pub fn sent(request: u64, result: &Result<SentMessage, Error>) -> String {
    match result {
        Ok(sent) => text(&SentFrame {
            frame: "sent",
            request,
            sent: sent.into(),
        }),
        Err(error) => refused(request, &Refusal::from(error)),
    }
}

#[derive(Serialize)]
struct OnlineSentFrame<'a> {
    frame: &'static str,
    request: u64,
    #[serde(flatten)]
    sent: encode::OnlineSent<'a>,
}

/// What became of a message for those online only.
pub fn online_sent(request: u64, result: &Result<OnlineSent, Error>) -> String {
    match result {
        Ok(sent) => text(&OnlineSentFrame {
            frame: "sent",
            request,
            sent: sent.into(),
        }),
        Err(error) => refused(request, &Refusal::from(error)),
    }
}

#[derive(Serialize)]
struct OnlineFrame<'a> {
    frame: &'static str,
    message: encode::OnlineBody<'a>,
}

/// A message that is told and not kept.
pub fn online(message: &OnlineMessage) -> String {
    text(&OnlineFrame {
        frame: "online",
        message: message.into(),
    })
}

#[derive(Serialize)]
struct BatchSent<'a> {
    frame: &'static str,
    request: u64,
    answers: Vec<Answer<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Sent(SentBody<'a>),
    Refused(Refusal<'a>),
}

impl<'a> From<&'a Result<SentMessage, Error>> for Answer<'a> {
    fn from(result: &'a Result<SentMessage, Error>) -> Self {
        match result {
            Ok(sent) => Self::Sent(sent.into()),
            Err(error) => Self::Refused(error.into()),
        }
    }
}

/// What became of the sends of a batch, in their order.
pub fn batch_sent(request: u64, results: &[Result<SentMessage, Error>]) -> String {
    text(&BatchSent {
        frame: "batchSent",
        request,
        answers: results.iter().map(Answer::from).collect(),
    })
}

#[derive(Serialize)]
struct Acknowledged {
    frame: &'static str,
    request: u64,
    seq: u64,
}

/// The device's cursor.
pub fn acknowledged(request: u64, seq: Seq) -> String {
    text(&Acknowledged {
        frame: "acknowledged",
        request,
        seq: seq.0,
    })
}

#[derive(Serialize)]
struct Presence<'a> {
    frame: &'static str,
    request: u64,
    users: Vec<encode::PresenceBody<'a>>,
}

/// Who of these users is online, and how.
pub fn presence<'a>(
    service: &Service,
    request: u64,
    users: impl Iterator<Item = &'a str>,
) -> String {
    let users: Vec<_> = users
        .map(|user| (user, service.registry().shown_of_user(user)))
        .collect();
    text(&Presence {
        frame: "presence",
        request,
        users: users
            .iter()
            .map(|(user, live)| encode::PresenceBody::new(user, live))
            .collect(),
    })
}

/// Why a request failed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal<'a> {
    code: u16,
    name: &'static str,
    retryable: bool,
    retry_after_ms: u32,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

impl<'a> From<&'a Error> for Refusal<'a> {
    fn from(error: &'a Error) -> Self {
        let row = error.row();
        Self {
            retry_after_ms: row.retry_after * 1_000,
            pointer: error.pointer.as_deref(),
            ..Self::new(Code(row.wire), &error.detail)
        }
    }
}

impl<'a> Refusal<'a> {
    /// A refusal for a reason that only connections know.
    pub fn new(code: Code, message: &'a str) -> Self {
        let info = code.info();
        Self {
            code: code.0,
            name: info.map_or("", |info| info.name),
            retryable: info.is_some_and(|info| info.retryable),
            retry_after_ms: 0,
            message,
            pointer: None,
            floor: None,
            head: None,
            epoch: None,
        }
    }

    /// With another time to ask again than the table's.
    pub fn retry_after_ms(self, retry_after_ms: u32) -> Self {
        Self {
            retry_after_ms,
            ..self
        }
    }

    /// With what a client of a log needs to go on.
    pub fn with_span(self, service: &Service, span: Span) -> Self {
        Self {
            floor: Some(span.floor.0),
            head: Some(span.head.0),
            epoch: Some(service.epoch().to_string()),
            ..self
        }
    }
}

#[derive(Serialize)]
struct Refused<'a> {
    frame: &'static str,
    request: u64,
    #[serde(flatten)]
    refusal: &'a Refusal<'a>,
}

/// A request was refused; 0 stands for the hello.
pub fn refused(request: u64, refusal: &Refusal<'_>) -> String {
    text(&Refused {
        frame: "refused",
        request,
        refusal,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ByeFrame<'a> {
    frame: &'static str,
    code: u16,
    name: &'static str,
    retry_after_ms: u32,
    reason: &'a str,
}

/// The last frame.
pub fn bye(bye: &Bye) -> String {
    text(&ByeFrame {
        frame: "bye",
        code: bye.code.0,
        name: bye.code.info().map_or("", |info| info.name),
        retry_after_ms: bye.retry_after_ms,
        reason: &bye.reason,
    })
}
