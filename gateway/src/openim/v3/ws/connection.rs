//! One connection: a cursor on its user's log. It reads a page when its peer has taken the one before, so a slow peer lags and
//! costs nothing; what it owes is in the log, not in a queue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tracing::debug;
use waybill_core::id::{ControlSeq, Seq};
use waybill_core::record::Surface;

use super::frame::{Codec, Reply, Request, pong};
use super::left::Left;
use super::pushes::{self, Push};
use super::requests::{self, Asker};
use crate::auth::Principal;
use crate::error::Error;
use crate::live;
use crate::openim::v3::online::Listening;
use crate::registry::{CloseReason, Listener, Registration, Transport};
use crate::service::{OnlineMessage, Pulled, Service, Subscription, now_seconds};
use crate::telemetry::metrics::TransportLabel;

/// Identifiers of what the server says unasked.
const PUSH: i32 = 2001;
const KICK: i32 = 2002;

/// How much longer than the time between two pings an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How soon after a push the client is asked whether it has arrived.
const PING_AFTER_PUSH: Duration = Duration::from_millis(500);

/// How long after its sync, and after its last pull, a client is taken to have asked for all that it missed.
const SETTLES: Duration = Duration::from_secs(2);

/// A client that has not asked for what it missed until then will not do so by itself: it syncs at most every five seconds.
const ASKS_WITHIN: Duration = Duration::from_millis(1_500);
/// The same of one of which is not known whether it has missed anything: a new one may still be starting.
const ASKS_AT_LAST: Duration = Duration::from_secs(6);

/// Of a conversation that it sees a gap in, a client asks for so many messages and counts those alone as unread. One that may have
/// missed more is sent away once it would sync again, and counts right when it is back.
const COUNTED: u64 = 10;
const SYNCS_AGAIN: Duration = Duration::from_secs(6);

/// Conversations whose newest messages such a client is shown.
const SHOWN: usize = 100;

/// How long the client in JavaScript needs to learn from the answer that a message is its own: an echo that comes sooner is a new
/// message to it, and counts as unread.
const ECHO_AFTER: Duration = Duration::from_millis(50);

/// Entries of a page of the log.
const PAGE: usize = 200;

/// What a connection is made of.
pub struct Parts {
    pub service: Service,
    pub principal: Arc<Principal>,
    pub live: Registration,
    pub codec: Codec,
    pub peer: SocketAddr,
    /// The name under which the user's devices of this platform report.
    pub device: String,
    pub left: Arc<Left>,
    /// What is told to who is connected.
    pub online: Listening,
    /// Messages for those who are online.
    pub listener: Listener<OnlineMessage>,
    /// Whether the first frame says that the client is welcome.
    pub welcome: bool,
}

/// Why a connection ends.
enum End {
    /// The peer has gone, or said that it goes.
    Gone,
    /// The peer has broken a rule.
    Broken(&'static str),
    /// Its time is over, in one way or another.
    Over(live::End, &'static str),
    /// The server wants it to end.
    Asked(CloseReason),
    /// The peer is to come again.
    Again,
}

struct Connection<S> {
    parts: Parts,
    socket: WebSocketStream<S>,
    /// Up to where the log has been pushed.
    cursor: Seq,
    /// How many of the entries up to there are no messages.
    control: ControlSeq,
    /// Up to where the client has been told, by pushes or by answers since its sync.
    told: Seq,
    /// Up to where it will have been told when it has pulled what it missed, and when that is.
    syncing: Option<(Seq, Instant)>,
    /// Up to where it is known to have the log.
    reached: Seq,
    heard: Instant,
    /// How often a connection that says nothing is asked whether it is still there.
    every: Duration,
    ping: Instant,
    /// Where the client was when it left; `None` when that is not known.
    missed: Option<Seq>,
    /// When a client that has not synced is shown what is newest.
    show: Option<Instant>,
    /// When one that has not synced and has missed much is sent away.
    renew: Option<Instant>,
    /// When its token is over.
    expires: Instant,
}

/// Serves a connection until it ends.
pub async fn serve<S>(socket: WebSocketStream<S>, parts: Parts)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    // First the watch, then the head: what comes in between is not missed.
    let watch = parts.service.watch(&parts.principal, "");
    let ends = parts.service.ends(&parts.principal, "");
    let (Ok(watch), Ok(ends)) = (watch, ends) else {
        return;
    };
    let now = Instant::now();
    let every = Duration::from_secs(parts.service.limits().ws_ping_seconds);
    let missed = parts.left.take(&parts.principal.user, &parts.device);
    let shows = match missed {
        _ if parts.codec == Codec::Json => None,
        Some(left) => (left < ends.span.head).then_some(ASKS_WITHIN),
        // Nothing is known of it, as after a start of the server.
        None => Some(ASKS_AT_LAST),
    };
    let connection = Connection {
        cursor: ends.span.head,
        control: ends.control,
        told: Seq(0),
        syncing: None,
        reached: Seq(0),
        heard: now,
        every,
        ping: now + every,
        missed,
        show: shows.map(|within| now + within),
        renew: missed
            .filter(|left| shows.is_some() && ends.span.head.0 > left.0.saturating_add(COUNTED))
            .map(|_| now + SYNCS_AGAIN),
        expires: now + Duration::from_secs(parts.principal.expires.saturating_sub(now_seconds())),
        parts,
        socket,
    };
    connection.run(watch).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    async fn run(mut self, mut watch: Subscription) {
        let end = match self.welcome().await {
            Ok(()) => {
                self.be_seen().await;
                self.follow(&mut watch).await
            }
            Err(end) => end,
        };
        self.leave(&end);
        let close = match end {
            End::Gone => None,
            End::Broken(reason) | End::Over(_, reason) => {
                debug!(peer = %self.parts.peer, reason, "a connection breaks off");
                Some((CloseCode::Policy, reason))
            }
            End::Again => Some((CloseCode::Again, "sync again")),
            End::Asked(CloseReason::Stopping) => Some((CloseCode::Away, "the server stops")),
            End::Asked(_) => {
                let kick = Reply {
                    identifier: KICK,
                    ..Reply::default()
                };
                let bytes = self.parts.codec.write(&kick);
                let _ = self.put(Frame::binary(bytes)).await;
                Some((CloseCode::Normal, "logged in elsewhere, or logged out"))
            }
        };
        let ended = match end {
            End::Asked(reason) => Some(live::End::from(reason)),
            End::Over(end, _) => Some(end),
            End::Gone | End::Broken(_) | End::Again => None,
        };
        if let Some(end) = ended {
            let live = &self.parts.service.metrics().live;
            live.ended(Transport::OpenIm, end);
        }
        if let Some((code, reason)) = close {
            let frame = CloseFrame {
                code,
                reason: reason.into(),
            };
            let _ = timeout(Duration::from_secs(1), self.socket.close(Some(frame))).await;
        }
    }

    /// Notes where the client is when it leaves. One that has not caught up is where it was; but one that was sent away once is
    /// not sent away again for the same.
    fn leave(&self, end: &End) {
        let behind = self.show.is_some() || self.renew.is_some();
        let at = match end {
            End::Again => Some(self.cursor),
            // What was written may not have arrived.
            _ if !behind && self.reached.0 > 0 => Some(self.reached),
            _ => self.missed,
        };
        let parts = &self.parts;
        if let Some(seq) = at {
            parts.left.note(&parts.principal.user, &parts.device, seq);
        }
    }

    async fn welcome(&mut self) -> Result<(), End> {
        if !self.parts.welcome {
            return Ok(());
        }
        self.send(Frame::text(super::WELCOME)).await
    }

    /// The user has a device from now on: who has none is not told of receipts.
    async fn be_seen(&mut self) {
        let parts = &self.parts;
        let seen = parts
            .service
            .acknowledge(
                &parts.principal,
                Surface::OpenImV3,
                "",
                &parts.device,
                Seq(0),
            )
            .await;
        if let Err(error) = seen {
            debug!(%error, "a device was not taken note of");
        }
    }

    async fn follow(&mut self, watch: &mut Subscription) -> End {
        loop {
            let syncs = self.syncing.map(|(_, at)| at);
            let wakes = [
                Some(self.ping),
                self.show,
                self.renew,
                syncs,
                Some(self.expires),
            ];
            let wake = wakes.into_iter().flatten().min().unwrap_or(self.ping);
            let done = tokio::select! {
                biased;
                reason = self.parts.live.closed() => Err(End::Asked(reason)),
                frame = self.socket.next() => match frame {
                    Some(Ok(frame)) => self.take(frame).await,
                    Some(Err(_)) | None => Err(End::Gone),
                },
                () = watch.grown() => self.push().await,
                told = self.parts.online.next() => self.push_one(Push::told(&told)).await,
                told = self.parts.listener.next() => {
                    let push = Push::online(&self.parts.principal.user, &told);
                    self.push_one(push).await
                }
                () = sleep_until(wake) => self.due().await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Asks for a sign of life, or shows what is newest.
    async fn due(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.show.is_some_and(|show| show <= now) {
            self.show = None;
            self.show_newest().await?;
        }
        if self.renew.is_some_and(|renew| renew <= now) {
            return Err(End::Again);
        }
        if self.expires <= now {
            return Err(End::Over(live::End::Expired, "the token is over"));
        }
        if let Some((seq, at)) = self.syncing
            && at <= now
        {
            self.syncing = None;
            self.tell(seq);
        }
        if self.ping <= now {
            if now - self.heard > 2 * self.every + PATIENCE {
                return Err(End::Over(live::End::Silent, "no sign of life"));
            }
            self.ping = now + self.every;
            // Its answer shows that everything written before it has arrived.
            let told = self.told.0.to_be_bytes().to_vec();
            self.send(Frame::Ping(told.into())).await?;
        }
        Ok(())
    }

    async fn take(&mut self, frame: Frame) -> Result<(), End> {
        self.heard = Instant::now();
        match frame {
            Frame::Binary(bytes) => {
                let request = self.parts.codec.read(&bytes);
                let request = request.ok_or(End::Broken("a frame that is no request"))?;
                self.answer(&request).await
            }
            Frame::Text(text) => match pong(&text) {
                Some(answer) => self.send(Frame::text(answer)).await,
                None => Err(End::Broken("a text that is no ping")),
            },
            Frame::Pong(bytes) => {
                if let Ok(seq) = bytes.as_ref().try_into() {
                    self.reached(self.told.min(Seq(u64::from_be_bytes(seq))))
                        .await;
                }
                Ok(())
            }
            Frame::Close(_) => Err(End::Gone),
            // Answered by the library.
            Frame::Ping(_) | Frame::Frame(_) => Ok(()),
        }
    }

    async fn answer(&mut self, request: &Request) -> Result<(), End> {
        let own = &self.parts.principal.user;
        if request.send_id != *own {
            return Err(End::Broken("a request in another's name"));
        }
        let head = self.cursor;
        let asker = Asker {
            service: &self.parts.service,
            principal: &self.parts.principal,
            peer: self.parts.peer,
        };
        let answered = asker.answer(request).await;
        let answered = answered.ok_or(End::Broken("a request that there is not"))?;
        let synced = matches!(
            request.identifier,
            requests::NEWEST_SEQ | requests::READ_AND_MAX
        );
        if synced && answered.is_ok() {
            (self.show, self.renew) = (None, None);
            self.syncing = Some((head, Instant::now() + SETTLES));
        }
        let (error, text, data) = match &answered {
            Ok(data) => (0, String::new(), &data[..]),
            Err(error) => (error.row().v3, error.to_string(), &[][..]),
        };
        let reply = Reply {
            identifier: i32::try_from(request.identifier).unwrap_or(0),
            msg_incr: &request.msg_incr,
            operation_id: &request.operation_id,
            error,
            text: &text,
            data,
        };
        self.reply(&reply).await?;
        let pulled = matches!(
            request.identifier,
            requests::PULL_RANGES | requests::PULL_SEQS
        );
        if pulled && let Some((_, at)) = &mut self.syncing {
            *at = Instant::now() + SETTLES;
        }
        if request.identifier == requests::SEND && self.parts.codec == Codec::Json {
            sleep(ECHO_AFTER).await;
        }
        if request.identifier == requests::LOGOUT {
            return Err(End::Gone);
        }
        Ok(())
    }

    /// Pushes what the log has grown by.
    async fn push(&mut self) -> Result<(), End> {
        loop {
            let parts = &self.parts;
            let pulled = parts
                .service
                .pull(&parts.principal, "", self.cursor, PAGE)
                .await;
            let page = match pulled {
                Ok(Pulled::Page(page)) => page,
                // The log was trimmed, or is another one: the client learns where it is when it syncs.
                Ok(Pulled::TooOld(_) | Pulled::Ahead(_)) => return self.start_anew(),
                Err(error) => return Err(failed(&error)),
            };
            let Some(last) = page.entries.last().map(|entry| entry.seq) else {
                return Ok(());
            };
            let label = TransportLabel {
                transport: "openim",
            };
            let metrics = parts.service.metrics();
            metrics
                .entries_pulled
                .get_or_create(&label)
                .inc_by(page.entries.len() as u64);
            let mut control = self.control;
            let made = pushes::of_entries(
                &parts.service,
                &parts.principal,
                &page.entries,
                &mut control,
            );
            let made = made.await.map_err(|error| failed(&error))?;
            for push in made {
                self.push_one(push).await?;
            }
            let unread = pushes::unread(&self.parts.service, &self.parts.principal, &page.entries);
            for push in unread.await.map_err(|error| failed(&error))? {
                self.push_one(push).await?;
            }
            (self.cursor, self.control) = (last, control);
            self.tell(last);
            if !page.more {
                return Ok(());
            }
        }
    }

    fn start_anew(&mut self) -> Result<(), End> {
        let ends = self.parts.service.ends(&self.parts.principal, "");
        let ends = ends.map_err(|error| failed(&error))?;
        (self.cursor, self.control) = (ends.span.head, ends.control);
        Ok(())
    }

    async fn show_newest(&mut self) -> Result<(), End> {
        let parts = &self.parts;
        let newest = pushes::newest(&parts.service, &parts.principal, SHOWN, self.control).await;
        for push in newest.map_err(|error| failed(&error))? {
            self.push_one(push).await?;
        }
        Ok(())
    }

    async fn push_one(&mut self, push: Push) -> Result<(), End> {
        // The client asks for the users and conversations of a push under its trace id, and asks for nothing without one.
        let operation_id = match push.operation_id.as_str() {
            "" => format!("push-{}", push.number()),
            given => given.to_owned(),
        };
        let data = push.encode();
        let reply = Reply {
            identifier: PUSH,
            operation_id: &operation_id,
            data: &data,
            ..Reply::default()
        };
        self.reply(&reply).await
    }

    /// Notes what the client was told, and asks soon whether that has arrived.
    fn tell(&mut self, seq: Seq) {
        if seq > self.told {
            self.told = seq;
            self.ping = self.ping.min(Instant::now() + PING_AFTER_PUSH);
        }
    }

    /// A sign of life came after the client was told so much: that is what "delivered" rests on.
    async fn reached(&mut self, seq: Seq) {
        if seq <= self.reached {
            return;
        }
        let parts = &self.parts;
        let noted = parts
            .service
            .acknowledge(&parts.principal, Surface::OpenImV3, "", &parts.device, seq)
            .await;
        match noted {
            Ok(_) => self.reached = seq,
            // The next sign of life says it again.
            Err(error) => debug!(%error, "a cursor was not taken"),
        }
    }

    async fn reply(&mut self, reply: &Reply<'_>) -> Result<(), End> {
        let bytes = self.parts.codec.write(reply);
        self.send(Frame::binary(bytes)).await
    }

    /// Sends a frame, unless the connection is to end meanwhile: a slow peer does not put that off.
    async fn send(&mut self, frame: Frame) -> Result<(), End> {
        if let Some(reason) = self.parts.live.close_reason() {
            return Err(End::Asked(reason));
        }
        self.put(frame).await
    }

    async fn put(&mut self, frame: Frame) -> Result<(), End> {
        let patience = Duration::from_secs(self.parts.service.limits().take_seconds);
        match timeout(patience, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Over(live::End::TooSlow, "a peer that takes nothing")),
        }
    }
}

fn failed(error: &Error) -> End {
    debug!(%error, "a connection cannot go on");
    End::Broken("the log cannot be read now")
}
