//! What a client asks for, one frame after another.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use waybill_core::id::Seq;
use waybill_core::record::Surface;
use waybill_core::wire::{Bye, Code};

use super::WINDOW;
use super::answers::{self, Refusal};
use super::connection::{Connection, Over};
use super::frames::{Acknowledge, ClientFrame, Pull, Send, SendBatch, Tail, Unreadable, Watch};
use super::greeting::Shared;
use super::outbox::Answer;
use crate::error::{Error, Kind};
use crate::http::v1::log::MAX_PAGE_ENTRIES;
use crate::http::v1::messages::{self, SendBody};
use crate::http::v1::strict::Object;
use crate::live::{Acknowledgement, Job, Refused};
use crate::service::{OnlinePrepared, Prepared, SentMessage, Span};

impl<S: AsyncRead + AsyncWrite + Unpin + std::marker::Send + 'static> Connection<S> {
    /// Takes a frame. What cannot be done at once is begun.
    pub(super) fn take(&mut self, text: &str) -> Result<(), Over> {
        let frame = match ClientFrame::read(text) {
            Ok(frame) => frame,
            Err(Unreadable::Broken(bye)) => return Err(Over::Bye(bye)),
            Err(Unreadable::Refused(request, error)) => {
                return self.refuse(request, &Refusal::from(&error));
            }
        };
        match frame {
            ClientFrame::Pull(pull) => self.pull(&pull),
            ClientFrame::Tail(tail) => self.tail(&tail),
            ClientFrame::EndTail(request) => {
                // One that has ended already has been told so.
                self.forget(request);
                self.say(answers::tail_ended(request))
            }
            ClientFrame::Send(send) => {
                self.send(&send);
                Ok(())
            }
            ClientFrame::SendBatch(batch) => {
                self.send_batch(&batch);
                Ok(())
            }
            ClientFrame::Acknowledge(asked) => self.acknowledge(&asked),
            ClientFrame::Watch(watch) => self.watch(&watch),
            ClientFrame::Ping(request) => self.say(answers::pong(request)),
            ClientFrame::Unknown => Ok(()),
            ClientFrame::Bye => Err(Over::Bye(Bye::new(Code::CLOSED, ""))),
            ClientFrame::Hello(_) => {
                let bye = Bye::new(Code::HELLO_REPEATED, "a second hello came");
                Err(Over::Bye(bye))
            }
            ClientFrame::Misdirected(kind) => {
                let text = format!("only a server may send {kind:?}");
                Err(Over::Bye(Bye::new(Code::UNEXPECTED_FRAME, text)))
            }
        }
    }

    fn refuse(&mut self, request: u64, refusal: &Refusal<'_>) -> Result<(), Over> {
        self.say(answers::refused(request, refusal))
    }

    /// Refuses what is about a log, with what its client needs to go on.
    fn lost(&mut self, request: u64, error: &Error, span: Span) -> Result<(), Over> {
        let refusal = Refusal::from(error).with_span(&self.shared.service, span);
        let frame = answers::refused(request, &refusal);
        self.say(frame)
    }

    fn ask(&mut self, request: u64, after: u64, job: Job) -> Result<(), Failure> {
        let asked = self.machine.ask(request, Seq(after), job);
        asked.map_err(|refused| match refused {
            Refused::Tails => Failure::Code(
                Code::TOO_MANY_TAILS,
                format!("{} tails are open on this connection already", WINDOW.tails),
            ),
            Refused::Pulls => Failure::Code(
                Code::TOO_MANY_PULLS,
                format!("{} pulls wait on this connection already", WINDOW.pulls),
            ),
            Refused::Repeated => {
                let text = "a request with this number is not answered yet";
                Failure::Error(Error::at(Kind::InvalidField, "request", text))
            }
        })
    }

    fn pull(&mut self, pull: &Pull<'_>) -> Result<(), Over> {
        let request = pull.request.0;
        let begun = self.begin_pull(pull);
        self.begun(request, begun)
    }

    fn begin_pull(&mut self, pull: &Pull<'_>) -> Result<(), Failure> {
        let shared = &self.shared;
        let limit = pull
            .limit
            .map_or(shared.service.limits().page_entries, |limit| {
                u64::from(limit.0)
            });
        if !(1..=MAX_PAGE_ENTRIES).contains(&limit) {
            let text = format!("limit must be from 1 to {MAX_PAGE_ENTRIES}");
            return Err(Error::at(Kind::InvalidField, "limit", text).into());
        }
        self.check_epoch(&pull.user, pull.epoch.as_deref())?;
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        self.ask(pull.request.0, pull.after.0, Job::Pull { limit })?;
        self.users
            .push((pull.request.0, pull.user.clone().into_owned()));
        Ok(())
    }

    fn tail(&mut self, tail: &Tail<'_>) -> Result<(), Over> {
        let request = tail.request.0;
        let begun = self.begin_tail(tail);
        self.begun(request, begun)
    }

    fn begin_tail(&mut self, tail: &Tail<'_>) -> Result<(), Failure> {
        let (request, after) = (tail.request.0, tail.after.0);
        self.check_epoch(&tail.user, tail.epoch.as_deref())?;
        let shared = Arc::clone(&self.shared);
        let service = &shared.service;
        // First the watch, then the head: what comes in between is not missed.
        let watch = service.watch(&shared.principal, &tail.user)?;
        let span = service.span_of(&watch)?;
        if after > span.head.0 {
            return Err(Failure::Lost(Error::ahead(span.head), span));
        }
        if after.saturating_add(1) < span.floor.0 {
            return Err(Failure::Lost(Error::too_old(span.floor), span));
        }
        self.ask(request, after, Job::Tail { head: span.head })?;
        self.users.push((request, tail.user.clone().into_owned()));
        self.watches.add(request, watch);
        self.say(answers::tail_opened(request, service, span))
            .map_err(Failure::Over)
    }

    /// Tells who is online, and goes on telling. Who watched others before does so no more.
    fn watch(&mut self, watch: &Watch<'_>) -> Result<(), Over> {
        let request = watch.request.0;
        let Shared {
            service, principal, ..
        } = &*self.shared;
        let begun = match service.watch_presence(principal, &watch.users) {
            Ok(begun) => begun,
            Err(error) => return self.refuse(request, &Refusal::from(&error)),
        };
        // First the watch, then the look: who comes in between is not missed.
        let frame = answers::presence(service, request, begun.users());
        self.presence = Some((request, begun)).filter(|_| !watch.users.is_empty());
        self.say(frame)
    }

    fn check_epoch(&self, user: &str, epoch: Option<&str>) -> Result<(), Failure> {
        let Shared {
            service, principal, ..
        } = &*self.shared;
        match epoch {
            Some(epoch) if epoch != service.epoch().to_string() => {
                let span = service.span(principal, user)?;
                Err(Failure::Lost(Error::of(Kind::OtherEpoch), span))
            }
            _ => Ok(()),
        }
    }

    fn begun(&mut self, request: u64, begun: Result<(), Failure>) -> Result<(), Over> {
        match begun {
            Ok(()) => Ok(()),
            Err(Failure::Over(over)) => Err(over),
            Err(Failure::Error(error)) => self.refuse(request, &Refusal::from(&error)),
            Err(Failure::Code(code, text)) => self.refuse(request, &Refusal::new(code, &text)),
            Err(Failure::Lost(error, span)) => self.lost(request, &error, span),
        }
    }

    fn send(&self, send: &Send<'_>) {
        let request = send.request.0;
        self.shared.outbox.owe(1);
        let shared = Arc::clone(&self.shared);
        let answer = move |result: &Result<SentMessage, Error>| {
            let frame = answers::sent(request, result);
            shared.outbox.put(Answer::Frame(frame, 1));
        };
        match taken(&self.shared, send.message, false) {
            Ok(Taken::Kept(prepared)) => {
                let service = &self.shared.service;
                service.submit(*prepared, move |result| answer(&result));
            }
            Ok(Taken::Told(prepared)) => {
                let shared = Arc::clone(&self.shared);
                // It waits for the writer where it is noted in the ledger.
                tokio::spawn(async move {
                    let sent = shared.service.tell_online(*prepared).await;
                    let frame = answers::online_sent(request, &sent);
                    shared.outbox.put(Answer::Frame(frame, 1));
                });
            }
            Err(error) => answer(&Err(error)),
        }
    }

    fn send_batch(&self, batch: &SendBatch<'_>) {
        let count = batch.messages.len();
        self.shared.outbox.owe(count);
        let answers = Arc::new(Batch {
            shared: Arc::clone(&self.shared),
            request: batch.request.0,
            given: Mutex::new((count, (0..count).map(|_| None).collect())),
        });
        for (place, message) in batch.messages.iter().enumerate() {
            let answers = Arc::clone(&answers);
            match taken(&self.shared, message, true).and_then(Taken::kept) {
                Ok(prepared) => {
                    let service = &self.shared.service;
                    service.submit(prepared, move |result| answers.give(place, result));
                }
                Err(error) => answers.give(place, Err(error)),
            }
        }
    }

    fn acknowledge(&mut self, asked: &Acknowledge) -> Result<(), Over> {
        let (request, seq) = (asked.request.0, Seq(asked.seq.0));
        if self.shared.device.is_empty() {
            let refusal = Refusal::new(Code::NO_DEVICE, "the hello named no device");
            return self.refuse(request, &refusal);
        }
        let span = match self.shared.service.span(&self.shared.principal, "") {
            Ok(span) => span,
            Err(error) => return self.refuse(request, &Refusal::from(&error)),
        };
        match self.machine.acknowledge(seq, span.head) {
            Acknowledgement::Stays(seq) => self.say(answers::acknowledged(request, seq)),
            Acknowledgement::Ahead => {
                let text = format!("the log ends at {}", span.head);
                self.lost(request, &Error::at(Kind::Ahead, "seq", text), span)
            }
            Acknowledgement::Report(seq) => {
                self.shared.outbox.owe(1);
                // A device's first word waits for the writer, and nothing else should.
                tokio::spawn(report(Arc::clone(&self.shared), request, seq));
                Ok(())
            }
        }
    }
}

/// Why a request is not begun.
enum Failure {
    Over(Over),
    Error(Error),
    Code(Code, String),
    /// The client's log and this one do not go together.
    Lost(Error, Span),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

async fn report(shared: Arc<Shared>, request: u64, seq: Seq) {
    let surface = Surface::NativeHttp;
    let (principal, device) = (&shared.principal, &shared.device);
    let noted = shared
        .service
        .acknowledge(principal, surface, "", device, seq)
        .await;
    shared.outbox.put(match noted {
        Ok(seq) => Answer::Acknowledged { request, seq },
        Err(error) => Answer::Frame(answers::refused(request, &Refusal::from(&error)), 1),
    });
}

/// What becomes of a message.
enum Taken {
    /// It is ready for the writer.
    Kept(Box<Prepared>),
    /// It is ready to be told to those who are online.
    Told(Box<OnlinePrepared>),
}

impl Taken {
    fn kept(self) -> Result<Prepared, Error> {
        match self {
            Self::Kept(prepared) => Ok(*prepared),
            Self::Told(_) => Err(Error::of(Kind::Internal)),
        }
    }
}

/// Takes a message: it is what `POST /v1/messages` takes.
fn taken(shared: &Shared, message: &RawValue, batch: bool) -> Result<Taken, Error> {
    let body: Object<SendBody<'_>> = serde_json::from_str(message.get())
        .map_err(|error| Error::new(Kind::InvalidField, format!("the message: {error}")))?;
    let service = &shared.service;
    let receiver = messages::receiver(&body.0)?;
    let outgoing = messages::outgoing(service, "", shared.peer, &body.0, receiver)?;
    let (principal, surface) = (&shared.principal, Surface::NativeHttp);
    if !body.0.online_only {
        let prepared = service.prepare(principal, surface, outgoing)?;
        return Ok(Taken::Kept(Box::new(prepared)));
    }
    if batch {
        let text = "a message for those online only is sent by itself";
        return Err(Error::at(Kind::InvalidField, "/onlineOnly", text));
    }
    let prepared = service.prepare_online(principal, surface, outgoing)?;
    Ok(Taken::Told(Box::new(prepared)))
}

/// What became of one send of a batch, once that is known.
type Given = Option<Result<SentMessage, Error>>;

/// A batch whose sends are being decided.
struct Batch {
    shared: Arc<Shared>,
    request: u64,
    /// How many are missing, and those that are there.
    given: Mutex<(usize, Vec<Given>)>,
}

impl Batch {
    fn give(&self, place: usize, result: Result<SentMessage, Error>) {
        let mut given = self.given.lock();
        if let Some(slot) = given.1.get_mut(place)
            && slot.replace(result).is_none()
        {
            given.0 -= 1;
        }
        if given.0 > 0 {
            return;
        }
        let results = std::mem::take(&mut given.1);
        drop(given);
        let count = results.len();
        let unknown = || Err(Error::of(Kind::OutcomeUnknown));
        let results: Vec<_> = results
            .into_iter()
            .map(|result| result.unwrap_or_else(unknown))
            .collect();
        let frame = answers::batch_sent(self.request, &results);
        self.shared.outbox.put(Answer::Frame(frame, count));
    }
}
