//! One connection from its welcome to its goodbye: it does what its machine wishes, and tells it what happens.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use waybill_core::wire::{Bye, Code};

use super::answers::{self, Refusal};
use super::greeting::{self, Greeted, Shared};
use super::outbox::Answer;
use super::watches::Watches;
use super::{IN_FLIGHT, TAIL_PAGE_ENTRIES, WINDOW, silences};
use crate::error::Error;
use crate::live::{End, Machine, Moment, Read, Timing, Took, Wish};
use crate::registry::{CloseReason, Listener, PresenceWatch, Transport};
use crate::service::{LivePlace, OnlineMessage, Pulled, Subscription};
use crate::telemetry::Meter;
use crate::telemetry::metrics::TransportLabel;

/// Bytes of a ping. They are no part of the window, but are flushed like all else.
const PING_BYTES: usize = 2;

/// A page that is being read; or the refusal that answers its request.
type Reading = Pin<Box<dyn Future<Output = Result<Took<String>, String>> + Send>>;

/// How a connection is over.
pub(super) enum Over {
    /// The peer is gone.
    Gone,
    /// It ends with these words, after the answers that are owed.
    Bye(Bye),
    /// It ends with these words at once: the peer takes nothing.
    Deaf(Bye),
}

/// What happened.
enum Event {
    Asked(CloseReason),
    Flushed,
    Frame(Option<Result<Message, SocketError>>),
    Read(u64, Result<Took<String>, String>),
    Grown(u64, Subscription),
    /// These users have come or gone.
    Presence(u64, Vec<Box<str>>),
    /// Something is told to those who are online.
    Told(Arc<OnlineMessage>),
    /// Answers have gathered, or it is time for something.
    Woken,
}

/// One connection.
pub(super) struct Connection<S> {
    pub(super) shared: Arc<Shared>,
    live: LivePlace,
    listener: Listener<OnlineMessage>,
    pub(super) meter: Meter,
    socket: WebSocketStream<S>,
    pub(super) machine: Machine<String>,
    pub(super) watches: Watches,
    /// Whose logs the requests of the machine are about.
    pub(super) users: Vec<(u64, String)>,
    /// Whose coming and going it wants to know, and the request that has asked.
    pub(super) presence: Option<(u64, PresenceWatch)>,
    /// With the number of the request that it is for.
    reading: Option<(u64, Reading)>,
    /// Bytes that were written and are not flushed.
    unflushed: usize,
    began: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<S> {
    /// A connection whose client is known.
    pub(super) fn new(socket: WebSocketStream<S>, greeted: Greeted) -> Self {
        let Greeted { shared, live } = greeted;
        let limits = shared.service.limits();
        let (ping, silence) = silences(limits);
        let timing = Timing {
            ping: Some(ping),
            silence: Some(silence),
            patience: Some(Duration::from_secs(limits.take_seconds)),
            expires: Some(shared.service.left(&shared.principal)),
            lived_out: None,
        };
        Self {
            machine: Machine::new(WINDOW, timing, Moment::ZERO),
            listener: shared.service.listen(&shared.principal),
            meter: shared.service.metrics().live.meter(Transport::WebSocket),
            shared,
            live,
            socket,
            watches: Watches::default(),
            users: Vec::new(),
            presence: None,
            reading: None,
            unflushed: 0,
            began: Instant::now(),
        }
    }

    /// Serves it until it ends.
    pub(super) async fn serve(&mut self) {
        let over = self.run().await;
        // The way to the goodbye may be long, and most connections are not on it.
        Box::pin(self.part(over)).await;
    }

    async fn run(&mut self) -> Over {
        loop {
            if let Err(over) = self.act() {
                return over;
            }
            let event = self.event().await;
            if let Err(over) = self.meet(event) {
                return over;
            }
        }
    }

    fn now(&self) -> Moment {
        self.began.elapsed()
    }

    /// Does what can be done now.
    fn act(&mut self) -> Result<(), Over> {
        self.answer()?;
        while let Some(wish) = self.machine.next(self.now()) {
            match wish {
                Wish::Write {
                    request,
                    page,
                    bytes,
                    last,
                    head,
                } => {
                    self.feed(Message::text(page))?;
                    self.unflushed += bytes;
                    if let Some(last) = last {
                        self.meter.wrote(request, last, head);
                    }
                }
                Wish::Read(read) => self.reading = Some((read.request, self.read(read))),
                Wish::Ping => {
                    self.feed(Message::Ping(bytes::Bytes::new()))?;
                    self.unflushed += PING_BYTES;
                }
                Wish::Close(end) => {
                    let bye = self.shared.service.farewell(Transport::WebSocket, end);
                    return Err(match end {
                        End::TooSlow | End::Silent => Over::Deaf(bye),
                        _ => Over::Bye(bye),
                    });
                }
            }
        }
        Ok(())
    }

    /// Writes the answers that have gathered.
    fn answer(&mut self) -> Result<(), Over> {
        for answer in self.shared.outbox.take() {
            match answer {
                Answer::Frame(frame, _) => self.say(frame)?,
                Answer::Acknowledged { request, seq } => {
                    self.machine.reached(seq);
                    self.meter.acknowledged(seq);
                    self.say(answers::acknowledged(request, seq))?;
                }
            }
        }
        Ok(())
    }

    /// Writes a frame that is no page.
    pub(super) fn say(&mut self, frame: String) -> Result<(), Over> {
        let bytes = frame.len();
        self.machine.wrote(bytes, self.now());
        self.unflushed += bytes;
        self.feed(Message::text(frame))
    }

    /// Hands a message over without waiting for the peer; what it cannot take at once is kept and flushed later.
    fn feed(&mut self, message: Message) -> Result<(), Over> {
        let socket = Pin::new(&mut self.socket);
        socket.start_send(message).map_err(|_| Over::Gone)
    }

    async fn event(&mut self) -> Event {
        let has_room = self.machine.has_room() && self.shared.outbox.owed() < IN_FLIGHT;
        let unflushed = self.unflushed > 0;
        let wake = self.machine.wakes().map(|wake| self.began + wake);
        let Self {
            shared,
            live,
            socket,
            watches,
            reading,
            presence,
            listener,
            ..
        } = self;
        // A peer that floods must not keep others from this thread.
        tokio::task::coop::consume_budget().await;
        tokio::select! {
            reason = live.closed() => Event::Asked(reason),
            event = poll_fn(|cx| poll(socket, unflushed, has_room, cx)) => event,
            (request, read) = finished(reading) => Event::Read(request, read),
            (request, watch) = watches.grown() => Event::Grown(request, watch),
            (request, users) = come_or_gone(presence), if has_room => Event::Presence(request, users),
            told = listener.next(), if has_room => Event::Told(told),
            () = shared.outbox.filled() => Event::Woken,
            () = until(wake) => Event::Woken,
        }
    }

    fn meet(&mut self, event: Event) -> Result<(), Over> {
        match event {
            Event::Asked(reason) => self.machine.end(reason.into()),
            Event::Flushed => {
                let now = self.now();
                self.machine.room(std::mem::take(&mut self.unflushed), now);
            }
            Event::Frame(frame) => return self.hear(frame),
            Event::Read(request, read) => {
                self.reading = None;
                match read {
                    Ok(took) => {
                        self.machine.took(request, took);
                        self.forget_pull(request);
                    }
                    Err(refused) => {
                        self.forget(request);
                        self.say(refused)?;
                    }
                }
            }
            Event::Grown(request, watch) => {
                if let Some(growth) = watch.told() {
                    let own = watch.user() == self.shared.principal.number;
                    self.meter.grown(request, growth.head, growth.visible, own);
                    self.machine.grown(request, growth.head);
                }
                self.watches.add(request, watch);
            }
            Event::Presence(request, users) => {
                let users = users.iter().map(AsRef::as_ref);
                let frame = answers::presence(&self.shared.service, request, users);
                self.say(frame)?;
            }
            Event::Told(message) => self.say(answers::online(&message))?,
            Event::Woken => {}
        }
        Ok(())
    }

    fn hear(&mut self, frame: Option<Result<Message, SocketError>>) -> Result<(), Over> {
        self.machine.heard(self.now());
        match frame {
            Some(Ok(Message::Text(text))) => self.take(&text),
            Some(Ok(Message::Binary(_))) => {
                let text = "frames are texts";
                Err(Over::Bye(Bye::new(Code::UNEXPECTED_FRAME, text)))
            }
            // The library answers pings.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Close(_))) | None => Err(Over::Gone),
            Some(Err(error)) => Err(broken(&error).map_or(Over::Gone, Over::Deaf)),
        }
    }

    /// Forgets a request altogether.
    pub(super) fn forget(&mut self, request: u64) -> bool {
        self.watches.remove(request);
        self.meter.forget(request);
        self.users.retain(|(of, _)| *of != request);
        // What is being read for it is of no use: were it refused, another request of the same number would be blamed.
        self.reading.take_if(|(of, _)| *of == request);
        self.machine.drop_job(request)
    }

    /// A pull is read once.
    fn forget_pull(&mut self, request: u64) {
        if !self.watches.has(request) {
            self.users.retain(|(of, _)| *of != request);
        }
    }

    fn read(&self, read: Read) -> Reading {
        let shared = Arc::clone(&self.shared);
        let users = self.users.iter();
        let user = users.clone().find(|(request, _)| *request == read.request);
        let user = user.map_or_else(String::new, |(_, user)| user.clone());
        Box::pin(async move { page(&shared, &user, &read).await })
    }

    /// Writes the answers that are owed, says goodbye, and gives the peer a moment to hear it.
    async fn part(&mut self, over: Over) {
        let bye = match over {
            Over::Gone => return,
            Over::Deaf(bye) => bye,
            Over::Bye(bye) => {
                let drain = Duration::from_secs(self.shared.service.limits().drain_seconds);
                // Late answers are lost with the connection; the caller asks again with the same key.
                let _ = timeout_at(Instant::now() + drain, self.settle()).await;
                bye
            }
        };
        greeting::say_last(&mut self.socket, &bye).await;
    }

    async fn settle(&mut self) {
        while self.shared.outbox.owed() > 0 {
            self.shared.outbox.filled().await;
            if self.answer().is_err() {
                return;
            }
        }
    }
}

async fn page(shared: &Shared, user: &str, read: &Read) -> Result<Took<String>, String> {
    let limit = usize::try_from(read.limit.unwrap_or(TAIL_PAGE_ENTRIES)).unwrap_or(usize::MAX);
    let service = &shared.service;
    let refused = |refusal: &Refusal<'_>| answers::refused(read.request, refusal);
    let pulled = service.pull_within(&shared.principal, user, read.after, limit, read.bytes);
    match pulled.await {
        Ok(Pulled::Page(page)) => {
            let label = TransportLabel {
                transport: Transport::WebSocket.name(),
            };
            let count = page.entries.len() as u64;
            let metrics = service.metrics();
            metrics.entries_pulled.get_or_create(&label).inc_by(count);
            let text = answers::page(read.request, &page);
            Ok(Took {
                bytes: text.len(),
                page: text,
                last: page.entries.last().map(|entry| entry.seq),
                head: page.span.head,
            })
        }
        Ok(Pulled::TooOld(span)) => {
            let error = Error::too_old(span.floor);
            Err(refused(&Refusal::from(&error).with_span(service, span)))
        }
        Ok(Pulled::Ahead(span)) => {
            let error = Error::ahead(span.head);
            Err(refused(&Refusal::from(&error).with_span(service, span)))
        }
        Err(error) => Err(refused(&Refusal::from(&error))),
    }
}

/// Flushes and reads, whichever is possible first.
fn poll<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    unflushed: bool,
    may_read: bool,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    if unflushed {
        match Pin::new(&mut *socket).poll_flush(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Event::Flushed),
            Poll::Ready(Err(_)) => return Poll::Ready(Event::Frame(None)),
            Poll::Pending => {}
        }
    }
    if may_read && let Poll::Ready(frame) = Pin::new(socket).poll_next(cx) {
        return Poll::Ready(Event::Frame(frame));
    }
    Poll::Pending
}

async fn finished(reading: &mut Option<(u64, Reading)>) -> (u64, Result<Took<String>, String>) {
    match reading {
        Some((request, reading)) => (*request, reading.await),
        None => std::future::pending().await,
    }
}

async fn come_or_gone(presence: &Option<(u64, PresenceWatch)>) -> (u64, Vec<Box<str>>) {
    match presence {
        Some((request, watch)) => (*request, watch.next().await),
        None => std::future::pending().await,
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => pin!(sleep_until(wake)).await,
        None => std::future::pending().await,
    }
}

/// What a peer is told that broke the rules of WebSocket; nothing when it is gone.
pub(super) fn broken(error: &SocketError) -> Option<Bye> {
    match error {
        SocketError::Capacity(_) => Some(Bye::new(Code::FRAME_TOO_LONG, error.to_string())),
        SocketError::Utf8(_) => Some(Bye::new(Code::MALFORMED_FRAME, "the text is no UTF-8")),
        SocketError::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => None,
        SocketError::Protocol(_) => Some(Bye::new(Code::STREAM_BROKEN, error.to_string())),
        _ => None,
    }
}
