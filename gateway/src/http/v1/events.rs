//! `GET /v1/users/{user}/log` with `Accept: text/event-stream`: the log as a stream of server-sent events. `docs/protocol.md` describes
//! them. When to read, to write and to end, the connection's machine knows; here it is done.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body as HttpBody, Frame};
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use waybill_core::id::Seq;

use super::log::lost;
use super::{Refusal, Result, encode, principal, problem_of, segment};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::http::address::Query;
use crate::http::call::Call;
use crate::http::listener::Held;
use crate::http::origin;
use crate::http::respond::Body;
use crate::live::{End, Job, Machine, Moment, Read, Timing, Took, Window, Wish};
use crate::registry::{Listener, Transport};
use crate::service::{LivePlace, OnlineMessage, Page, Pulled, Service, Span, Subscription, now};
use crate::telemetry::Meter;
use crate::telemetry::metrics::TransportLabel;

/// The media type.
const EVENT_STREAM: &str = "text/event-stream";

/// How long a client waits before it connects anew, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// How long nothing may be said before a comment shows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a stream lives. The client comes again, and proves anew who it is.
const LIFE: Duration = Duration::from_secs(600);

/// Time for a peer to take the last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Pieces that wait for the peer; each has at most a page.
const PIECES: usize = 1;

/// One page at a time.
const WINDOW: Window = Window {
    bytes: 64 * 1024,
    page: 64 * 1024,
    tails: 1,
    pulls: 0,
};

/// Most entries of a page.
const PAGE_ENTRIES: usize = 256;

/// The number of the one tail.
const TAIL: u64 = 1;

/// Whether a request for a log wants it as events.
pub(super) fn are_wanted(call: &Call<'_>) -> bool {
    let accepts = call.headers.get_all(ACCEPT).iter();
    let accepts = accepts.filter_map(|value| value.to_str().ok());
    let mut kinds = accepts.flat_map(|value| value.split(','));
    kinds.any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case(EVENT_STREAM)
    })
}

/// Begins a stream.
pub(super) fn begin(service: &Service, call: &Call<'_>, user: &str) -> Result {
    origin::check(service.config(), call.headers)?;
    let query = Query::read(call.query, &["after", "epoch", "device", "ticket"])?;
    let user = segment(user)?;
    let after = after(call, &query)?;
    let principal = match query.text("ticket") {
        Some(ticket) => service.redeem_ticket(ticket)?,
        None => principal(service, call)?,
    };
    // First the watch, then the head: what comes in between is not missed.
    let watch = service.watch(&principal, &user)?;
    let device = query.text("device").unwrap_or_default();
    let live = service.go_live(&principal, device, Transport::Sse)?;
    let span = service.span_of(&watch)?;
    let (to, pieces) = mpsc::channel(PIECES);
    let stream = Stream::new(service, principal, user, watch, live, to);
    tokio::spawn(stream.run(
        span,
        after,
        check(service, query.text("epoch"), after, span),
    ));
    let held = call.hold.map(crate::http::listener::Hold::begin);
    let mut response = Response::new(Body::Events(Box::pin(Pieces {
        pieces,
        _held: held,
    })));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Some proxies hold back what they think is not complete.
    const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// Where the client's log ends: a browser that connects anew says so in a header, which is newer than the address.
fn after(call: &Call<'_>, query: &Query) -> std::result::Result<Seq, Error> {
    const LAST: HeaderName = HeaderName::from_static("last-event-id");
    let last = call.header(&LAST)?.trim();
    if last.is_empty() {
        return Ok(Seq(query.number("after", 0, u64::MAX)?.unwrap_or(0)));
    }
    let digits = last.bytes().all(|byte| byte.is_ascii_digit());
    let seq = digits.then(|| last.parse().ok()).flatten();
    let text = "Last-Event-ID must be the seq of an entry";
    seq.map(Seq)
        .ok_or_else(|| Error::at(Kind::InvalidField, "Last-Event-ID", text))
}

/// Whether the client's log and this one go together.
fn check(
    service: &Service,
    epoch: Option<&str>,
    after: Seq,
    span: Span,
) -> std::result::Result<(), Refusal> {
    if epoch.is_some_and(|epoch| epoch != service.epoch().to_string()) {
        Err(lost(Error::of(Kind::OtherEpoch), span))
    } else if after > span.head {
        Err(super::log::ahead(span))
    } else if after.next() < span.floor {
        Err(super::log::too_old(span))
    } else {
        Ok(())
    }
}

/// The body of the response: what the stream's task has made.
struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    _held: Option<Held>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.poll_recv(cx);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// The stream is over, for a reason that need not be told.
struct Gone;

/// What waits for a peer to have room for it.
struct Piece {
    bytes: Bytes,
    /// Of a page of entries: its last one, and the end of the log when it was read.
    upto: Option<(Seq, Seq)>,
}

/// One stream of events.
struct Stream {
    service: Service,
    principal: Arc<Principal>,
    user: String,
    watch: Subscription,
    /// Of one's own log alone: what is told to others' connections is theirs.
    listener: Option<Listener<OnlineMessage>>,
    live: LivePlace,
    meter: Meter,
    machine: Machine<Bytes>,
    to: mpsc::Sender<Bytes>,
    began: Instant,
}

#[derive(Serialize)]
struct Welcome<'a> {
    epoch: String,
    user: &'a str,
    floor: u64,
    head: u64,
    time: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bye<'a> {
    code: u16,
    name: &'static str,
    retry_after_ms: u32,
    reason: &'a str,
}

impl Stream {
    fn new(
        service: &Service,
        principal: Arc<Principal>,
        user: String,
        watch: Subscription,
        live: LivePlace,
        to: mpsc::Sender<Bytes>,
    ) -> Self {
        let timing = Timing {
            ping: Some(HEARTBEAT),
            silence: None,
            patience: Some(Duration::from_secs(service.limits().take_seconds)),
            expires: Some(service.left(&principal)),
            lived_out: Some(LIFE),
        };
        let own = watch.user() == principal.number;
        Self {
            listener: own.then(|| service.listen(&principal)),
            service: service.clone(),
            principal,
            user,
            watch,
            live,
            meter: service.metrics().live.meter(Transport::Sse),
            machine: Machine::new(WINDOW, timing, Moment::ZERO),
            to,
            began: Instant::now(),
        }
    }

    async fn run(mut self, span: Span, after: Seq, checked: std::result::Result<(), Refusal>) {
        let welcome = Welcome {
            epoch: self.service.epoch().to_string(),
            user: &self.user,
            floor: span.floor.0,
            head: span.head.0,
            time: now().0,
        };
        let mut beginning = format!("retry: {RETRY_MS}\n\n");
        event(&mut beginning, None, "welcome", &text(&welcome));
        match checked {
            Ok(()) => {
                let job = Job::Tail { head: span.head };
                // A new machine takes its one tail.
                let _ = self.machine.ask(TAIL, after, job);
                let _ = self.follow(beginning).await;
            }
            Err(refusal) => {
                event(
                    &mut beginning,
                    None,
                    "refused",
                    &problem_of(&self.service, &refusal),
                );
                self.last(beginning).await;
            }
        }
    }

    fn now(&self) -> Moment {
        self.began.elapsed()
    }

    async fn follow(&mut self, beginning: String) -> std::result::Result<(), Gone> {
        // The channel is empty, and has room for a piece.
        let _ = self.to.try_send(Bytes::from(beginning));
        // A window is a page: the machine gives none while another waits.
        let mut waiting = None;
        loop {
            let now = self.now();
            match self.machine.next(now) {
                Some(Wish::Read(read)) => self.read(&read).await?,
                Some(Wish::Write {
                    page, last, head, ..
                }) => {
                    let upto = last.map(|last| (last, head));
                    waiting = Some(Piece { bytes: page, upto });
                }
                Some(Wish::Ping) => {
                    self.machine.heard(now);
                    // Who has not taken what came before is told nothing by a comment.
                    let _ = self.to.try_send(Bytes::from_static(b": still here\n\n"));
                }
                Some(Wish::Close(end)) => {
                    self.close(end).await;
                    return Ok(());
                }
                None => self.wait(&mut waiting).await?,
            }
        }
    }

    /// Waits until something happens, and gives the peer what waits for it.
    async fn wait(&mut self, waiting: &mut Option<Piece>) -> std::result::Result<(), Gone> {
        let wake = self.machine.wakes().map(|wake| self.began + wake);
        let wake = wake.unwrap_or_else(|| Instant::now() + HEARTBEAT);
        tokio::select! {
            reason = self.live.closed() => self.machine.end(reason.into()),
            room = self.to.reserve(), if waiting.is_some() => {
                let room = room.map_err(|_| Gone)?;
                if let Some(piece) = waiting.take() {
                    let now = self.began.elapsed();
                    self.machine.room(piece.bytes.len(), now);
                    self.machine.heard(now);
                    room.send(piece.bytes);
                    if let Some((last, head)) = piece.upto {
                        self.meter.wrote(TAIL, last, head);
                    }
                }
            }
            () = self.to.closed() => return Err(Gone),
            () = self.watch.grown() => {
                if let Some(growth) = self.watch.told() {
                    self.meter.grown(TAIL, growth.head, growth.visible, false);
                    self.machine.grown(TAIL, growth.head);
                }
            }
            told = told(self.listener.as_ref()), if waiting.is_none() => {
                let mut piece = String::new();
                let data = text(&encode::OnlineBody::from(&*told));
                event(&mut piece, None, "online", &data);
                self.machine.wrote(piece.len(), self.began.elapsed());
                *waiting = Some(Piece {
                    bytes: Bytes::from(piece),
                    upto: None,
                });
            }
            () = sleep_until(wake) => {}
        }
        Ok(())
    }

    async fn read(&mut self, read: &Read) -> std::result::Result<(), Gone> {
        let service = &self.service;
        let pulled = service.pull_within(
            &self.principal,
            &self.user,
            read.after,
            PAGE_ENTRIES,
            read.bytes,
        );
        let refusal = match pulled.await {
            Ok(Pulled::Page(page)) => {
                let label = TransportLabel {
                    transport: Transport::Sse.name(),
                };
                let entries = &service.metrics().entries_pulled;
                entries
                    .get_or_create(&label)
                    .inc_by(page.entries.len() as u64);
                self.machine.took(TAIL, took(&page));
                return Ok(());
            }
            Ok(Pulled::TooOld(span)) => super::log::too_old(span),
            Ok(Pulled::Ahead(span)) => super::log::ahead(span),
            Err(error) => error.into(),
        };
        let mut last = String::new();
        event(&mut last, None, "refused", &problem_of(service, &refusal));
        self.last(last).await;
        Err(Gone)
    }

    async fn close(&self, end: End) {
        let bye = self.service.farewell(Transport::Sse, end);
        let bye = Bye {
            code: bye.code.0,
            name: bye.code.info().map_or("", |info| info.name),
            retry_after_ms: bye.retry_after_ms,
            reason: &bye.reason,
        };
        let mut last = String::new();
        event(&mut last, None, "bye", &text(&bye));
        self.last(last).await;
    }

    /// Gives the last words to a peer that takes them soon.
    async fn last(&self, words: String) {
        let _ = timeout(LAST_WORDS, self.to.send(Bytes::from(words))).await;
    }
}

async fn told(listener: Option<&Listener<OnlineMessage>>) -> Arc<OnlineMessage> {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}

fn took(page: &Page) -> Took<Bytes> {
    let mut piece = String::new();
    for entry in &page.entries {
        let data = text(&encode::EntryBody::from(entry));
        event(&mut piece, Some(entry.seq), "entry", &data);
    }
    Took {
        bytes: piece.len(),
        page: Bytes::from(piece),
        last: page.entries.last().map(|entry| entry.seq),
        head: page.span.head,
    }
}

/// A JSON text. Numbers and texts always serialise.
fn text<T: Serialize>(body: &T) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

/// Appends an event. A content may hold line breaks between its tokens; each begins another line of data.
fn event(out: &mut String, id: Option<Seq>, name: &str, data: &str) {
    if let Some(seq) = id {
        out.push_str("id: ");
        out.push_str(&seq.0.to_string());
        out.push('\n');
    }
    out.push_str("event: ");
    out.push_str(name);
    out.push('\n');
    for line in data.split(['\n', '\r']) {
        out.push_str("data: ");
        out.push_str(line);
        out.push('\n');
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_written_line_by_line() {
        let mut out = String::new();
        event(&mut out, Some(Seq(7)), "entry", "{\"a\":\n1,\r\"b\":2}");
        event(&mut out, None, "bye", "{}");
        assert_eq!(
            out,
            "id: 7\nevent: entry\ndata: {\"a\":\ndata: 1,\ndata: \"b\":2}\n\nevent: bye\ndata: {}\n\n"
        );
    }
}
