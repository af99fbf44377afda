//! A connection that was welcomed: many requests at a time, answered in any order.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Endpoint, VarInt};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use waybill_core::id::Seq;
use waybill_core::wire::{
    self, Acknowledge, Bye, Code, Failure, MAX_CLIENT_FRAME, Outgoing, Page, Pull, Send, SendBatch,
    SentMessage, ServerFrame, Welcome,
};

use crate::error::Error;
use crate::frames::{Control, Frames};
use crate::requests::{Answer, Requests};
use crate::tail::Tail;

/// Time for the server to answer what is in flight and to say goodbye.
const GOODBYE: Duration = Duration::from_secs(15);

/// A rough size of a frame without long fields, in bytes.
const SMALL: usize = 64;

/// A connection. Clones share it; it is closed when the last one and the last of its tails are gone.
#[derive(Clone)]
pub struct Connection(Arc<Handle>);

struct Handle {
    quic: quinn::Connection,
    welcome: Welcome,
    requests: Arc<Requests>,
    /// Sends that the server takes at a time.
    sends: Semaphore,
    /// The socket stays open for as long as the connection does, so that the server hears of its end.
    _endpoint: Endpoint,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.quic.close(VarInt::from(Code::CLOSED.0), b"");
    }
}

impl Connection {
    /// Takes over a connection whose hello was answered.
    pub(crate) fn new(
        endpoint: Endpoint,
        quic: quinn::Connection,
        control: Control,
        welcome: Welcome,
    ) -> Self {
        let requests = Arc::new(Requests::new());
        let Control { mut to, from } = control;
        let writing = Arc::clone(&requests);
        tokio::spawn(async move {
            if let Err(error) = writing.write(&mut to).await {
                writing.fail(error);
            }
        });
        tokio::spawn(read(from, quic.clone(), Arc::clone(&requests)));
        tokio::spawn(take_tails(quic.clone(), Arc::clone(&requests)));
        let sends = Semaphore::new(welcome.limits.sends_in_flight as usize);
        Self(Arc::new(Handle {
            quic,
            welcome,
            requests,
            sends,
            _endpoint: endpoint,
        }))
    }

    /// What the server said of itself and its limits.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.0.welcome
    }

    /// Reads a log from after a seq; an empty `user` is the caller.
    ///
    /// # Errors
    /// When the server refuses or the connection is gone.
    pub async fn pull(&self, user: &str, after: Seq, limit: u32) -> Result<Page, Error> {
        let answer = self.0.requests.ask(SMALL, |request, out| {
            let pull = Pull {
                request,
                user: user.to_owned(),
                after,
                limit,
            };
            wire::write(&pull, MAX_CLIENT_FRAME, out)
        });
        match frame(answer.await?)? {
            ServerFrame::Page(page) => Ok(page),
            _ => Err(unexpected("a pull")),
        }
    }

    /// Sends a message. When it returns `Ok`, the message is on disk and in its receiver's log.
    ///
    /// # Errors
    /// When the server refuses or the connection is gone. In the latter case the message may have been sent: with a key, ask
    /// again.
    pub async fn send(&self, message: Outgoing) -> Result<SentMessage, Error> {
        let _place = self.place(1).await?;
        let bytes = SMALL + message.content.len();
        let answer = self.0.requests.ask(bytes, |request, out| {
            wire::write(&Send { request, message }, MAX_CLIENT_FRAME, out)
        });
        match frame(answer.await?)? {
            ServerFrame::Sent(sent) => Ok(sent.message),
            _ => Err(unexpected("a send")),
        }
    }

    /// Sends many messages in one frame. Each is a send of its own.
    ///
    /// # Errors
    /// As [`Self::send`], and when there are more messages, or more bytes, than a frame may have.
    pub async fn send_batch(
        &self,
        messages: Vec<Outgoing>,
    ) -> Result<Vec<Result<SentMessage, Failure>>, Error> {
        let count = messages.len();
        let _places = self.place(count).await?;
        let bytes = messages
            .iter()
            .map(|message| SMALL + message.content.len())
            .sum();
        let answer = self.0.requests.ask(bytes, |request, out| {
            SendBatch { request, messages }.write(out)
        });
        match frame(answer.await?)? {
            ServerFrame::BatchSent(sent) if sent.answers.len() == count => Ok(sent.answers),
            _ => Err(unexpected("a batch")),
        }
    }

    /// Reports that this device has stored its log up to `seq`; returns the device's cursor.
    ///
    /// # Errors
    /// When the server refuses or the connection is gone.
    pub async fn acknowledge(&self, seq: Seq) -> Result<Seq, Error> {
        let answer = self.0.requests.ask(SMALL, |request, out| {
            wire::write(&Acknowledge { request, seq }, MAX_CLIENT_FRAME, out)
        });
        match frame(answer.await?)? {
            ServerFrame::Acknowledged(acknowledged) => Ok(acknowledged.seq),
            _ => Err(unexpected("an acknowledgement")),
        }
    }

    /// Follows a log from after a seq; an empty `user` is the caller.
    ///
    /// # Errors
    /// When the server refuses or the connection is gone.
    pub async fn tail(&self, user: &str, after: Seq) -> Result<Tail, Error> {
        let answer = self.0.requests.ask(SMALL, |request, out| {
            let tail = wire::Tail {
                request,
                user: user.to_owned(),
                after,
            };
            wire::write(&tail, MAX_CLIENT_FRAME, out)
        });
        match answer.await? {
            Answer::Tail(opened, frames) => Ok(Tail::new(opened, frames, self.clone())),
            Answer::Frame(ServerFrame::Refused(refused)) => Err(Error::Refused(refused.failure)),
            Answer::Frame(_) => Err(unexpected("a tail")),
        }
    }

    /// Says goodbye, waits for the answers in flight, and closes.
    pub async fn close(self) {
        self.0
            .requests
            .finish(|out| wire::write(&Bye::new(Code::CLOSED, ""), MAX_CLIENT_FRAME, out));
        // A server that does not close is left.
        let _ = timeout(GOODBYE, self.0.quic.closed()).await;
    }

    /// Waits until the connection is gone and says why.
    pub async fn closed(&self) -> Error {
        let error = Error::from(self.0.quic.closed().await);
        // A goodbye says more than the close that follows it.
        self.0.requests.fail(error);
        self.0.requests.end()
    }

    /// Why a stream of this connection failed: for the connection's reason, where there is one.
    pub(crate) fn why(&self, error: Error) -> Error {
        match error {
            Error::Lost(_) if self.0.quic.close_reason().is_some() => self.0.requests.end(),
            other => other,
        }
    }

    /// The QUIC connection, for its statistics.
    #[must_use]
    pub fn quic(&self) -> &quinn::Connection {
        &self.0.quic
    }

    async fn place(&self, sends: usize) -> Result<SemaphorePermit<'_>, Error> {
        let most = self.0.welcome.limits.sends_in_flight as usize;
        let permits = u32::try_from(sends.min(most)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        self.0
            .sends
            .acquire_many(permits)
            .await
            .map_err(|_| self.0.requests.end())
    }
}

fn frame(answer: Answer) -> Result<ServerFrame, Error> {
    match answer {
        Answer::Frame(ServerFrame::Refused(refused)) => Err(Error::Refused(refused.failure)),
        Answer::Frame(frame) => Ok(frame),
        Answer::Tail(..) => Err(unexpected("another request than a tail")),
    }
}

fn unexpected(what: &str) -> Error {
    Error::Protocol(format!("{what} was answered by another kind of frame"))
}

/// Hands out the answers of the control stream until it ends.
async fn read(mut from: Frames, quic: quinn::Connection, requests: Arc<Requests>) {
    let error = loop {
        let (request, frame) = match from.next().await {
            Ok(Some(ServerFrame::Bye(bye))) => {
                let Bye {
                    code,
                    retry_after_ms,
                    reason,
                } = bye;
                break Error::Ended {
                    code,
                    reason,
                    retry_after_ms,
                };
            }
            Ok(Some(frame)) => match request_of(&frame) {
                Some(request) => (request, frame),
                None => break Error::Protocol("an answer to nothing".to_owned()),
            },
            Ok(None) => break Error::Lost("the control stream has ended".to_owned()),
            Err(error) => break error,
        };
        requests.answer(request, Answer::Frame(frame));
    };
    requests.fail(error);
    quic.close(VarInt::from(Code::CLOSED.0), b"");
}

/// Which request a frame of the control stream answers.
fn request_of(frame: &ServerFrame) -> Option<u64> {
    match frame {
        ServerFrame::Page(page) => Some(page.head.request),
        ServerFrame::Sent(sent) => Some(sent.request),
        ServerFrame::BatchSent(sent) => Some(sent.request),
        ServerFrame::Acknowledged(acknowledged) => Some(acknowledged.request),
        ServerFrame::Refused(refused) => Some(refused.request),
        _ => None,
    }
}

/// Hands tail streams to those who have asked for them.
async fn take_tails(quic: quinn::Connection, requests: Arc<Requests>) {
    while let Ok(stream) = quic.accept_uni().await {
        let requests = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut frames = Frames::new(stream);
            // Streams of other kinds may come one day; they are not for this client.
            if let Ok(Some(ServerFrame::TailOpened(opened))) = frames.next().await {
                requests.answer(opened.request, Answer::Tail(opened, frames));
            }
        });
    }
}
