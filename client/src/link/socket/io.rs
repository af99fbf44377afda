//! One WebSocket from its welcome to its end: requests that wait for answers, and the tail. The reader never waits for whoever
//! takes the tail: when that one lags, the tail is ended, and opened again when there is room.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::Message;
use waybill_core::id::Seq;

use super::frames::{self, ServerFrame};
use crate::error::Error;
use crate::link::http::Stream;
use crate::link::silent;
use crate::message::Sent;
use crate::sync::Batch;

/// A server asks a silent peer for a sign of life long before this time: who hears nothing for so long is alone.
const SILENCE: Duration = Duration::from_secs(90);

/// Longest time to write one frame.
const WRITE: Duration = Duration::from_secs(30);

/// Time for the server to answer a goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

pub(super) type Socket = WebSocketStream<Box<dyn Stream>>;

/// What comes back for a request.
pub(super) enum Answer {
    Sent(Sent),
    Acknowledged,
}

type Write = Box<dyn FnOnce(u64) -> Result<String, Error> + Send>;
type Waiting = oneshot::Sender<Result<Answer, Error>>;

/// What a link asks of its task.
pub(super) enum Ask {
    /// Write a frame with a number, and give back the answer.
    Request(Write, Waiting),
    /// Hand the entries from here on to someone.
    Follow {
        user: String,
        after: Seq,
        first: Option<Batch>,
        to: mpsc::Sender<Result<Batch, Error>>,
    },
    /// Say goodbye, and tell when it is over.
    Close(oneshot::Sender<()>),
}

/// Someone who takes the entries of a log.
struct Following {
    user: String,
    after: Seq,
    to: mpsc::Sender<Result<Batch, Error>>,
    /// The tail's request; `None` while there is no room for what it would bring.
    tail: Option<u64>,
}

struct Task {
    to: SplitSink<Socket, Message>,
    last: u64,
    waiting: HashMap<u64, Waiting>,
    following: Option<Following>,
}

pub(super) fn lost(error: &SocketError) -> Error {
    Error::Lost(format!("WebSocket: {error}"))
}

pub(super) fn unexpected() -> Error {
    Error::Protocol("a request was answered by another kind of frame".to_owned())
}

/// Says something before the task runs.
pub(super) async fn say(socket: &mut Socket, text: String) -> Result<(), Error> {
    let said = socket.send(Message::text(text)).await;
    said.map_err(|error| lost(&error))
}

/// Hears the next frame.
pub(super) async fn hear<S>(socket: &mut S) -> Result<ServerFrame, Error>
where
    S: StreamExt<Item = Result<Message, SocketError>> + Unpin,
{
    loop {
        let message = timeout(SILENCE, socket.next()).await;
        return match message.map_err(|_| silent("WebSocket"))? {
            Some(Ok(Message::Text(text))) => ServerFrame::read(&text),
            // The library answers pings.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(_)) | None => Err(Error::Lost("the WebSocket was closed".to_owned())),
            Some(Err(error)) => Err(lost(&error)),
        };
    }
}

/// Runs a connection until it ends or nobody wants it any more.
pub(super) async fn run(socket: Socket, mut asks: mpsc::Receiver<Ask>, last: u64) {
    let (to, from) = socket.split();
    let mut task = Task {
        to,
        last,
        waiting: HashMap::new(),
        following: None,
    };
    let (frames, mut heard) = mpsc::channel(1);
    let reader = tokio::spawn(read(from, frames));
    let mut closed = None;
    let error = loop {
        let done = tokio::select! {
            frame = heard.recv() => match frame {
                Some(Ok(frame)) => task.take(frame).await,
                Some(Err(error)) => Err(error),
                None => Err(Error::Lost("the WebSocket was closed".to_owned())),
            },
            ask = asks.recv() => match ask {
                Some(Ask::Close(end)) => {
                    closed = Some(end);
                    break Error::Lost("closed".to_owned());
                }
                Some(ask) => task.ask(ask).await,
                None => break Error::Lost("closed".to_owned()),
            },
            () = room(task.following.as_ref()) => task.follow().await,
        };
        if let Err(error) = done {
            break error;
        }
    };
    task.end(&error).await;
    // Whoever asks from now on hears that it is over.
    drop(asks);
    let _ = timeout(GOODBYE, async { while heard.recv().await.is_some() {} }).await;
    reader.abort();
    if let Some(closed) = closed {
        let _ = closed.send(());
    }
}

/// Reads beside the writing, so that two sides that write cannot wait for each other.
async fn read(mut from: SplitStream<Socket>, to: mpsc::Sender<Result<ServerFrame, Error>>) {
    loop {
        let frame = hear(&mut from).await;
        let over = frame.is_err();
        if to.send(frame).await.is_err() || over {
            return;
        }
    }
}

/// Waits until there is room for someone who lags. Whoever has gone away is no matter.
async fn room(following: Option<&Following>) {
    match following {
        Some(Following { to, tail: None, .. }) if to.reserve().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

impl Task {
    async fn say(&mut self, text: String) -> Result<(), Error> {
        let said = timeout(WRITE, self.to.send(Message::text(text))).await;
        let said = said.map_err(|_| silent("WebSocket"))?;
        said.map_err(|error| lost(&error))
    }

    async fn ask(&mut self, ask: Ask) -> Result<(), Error> {
        match ask {
            Ask::Request(write, waiting) => {
                self.last += 1;
                match write(self.last) {
                    Ok(text) => {
                        // Those who have given up waiting are forgotten with the next request.
                        self.waiting.retain(|_, waiting| !waiting.is_closed());
                        self.waiting.insert(self.last, waiting);
                        self.say(text).await
                    }
                    Err(error) => {
                        let _ = waiting.send(Err(error));
                        Ok(())
                    }
                }
            }
            Ask::Follow {
                user,
                mut after,
                first,
                to,
            } => {
                if let Some(first) = first {
                    after = first.entries.last().map_or(after, |last| last.seq);
                    // A fresh channel has room.
                    let _ = to.try_send(Ok(first));
                }
                let tail = None;
                self.following = Some(Following {
                    user,
                    after,
                    to,
                    tail,
                });
                self.follow().await
            }
            Ask::Close(_) => Ok(()),
        }
    }

    /// Opens a tail.
    async fn follow(&mut self) -> Result<(), Error> {
        self.last += 1;
        let Some(following) = &mut self.following else {
            return Ok(());
        };
        following.tail = Some(self.last);
        let text = frames::tail(self.last, &following.user, following.after)?;
        self.say(text).await
    }

    async fn take(&mut self, frame: ServerFrame) -> Result<(), Error> {
        match frame {
            ServerFrame::Page(request, _, batch) => self.page(request, batch).await,
            ServerFrame::Sent(request, sent) => {
                self.answer(request, Ok(Answer::Sent(sent)));
                Ok(())
            }
            ServerFrame::Acknowledged(request) => {
                self.answer(request, Ok(Answer::Acknowledged));
                Ok(())
            }
            ServerFrame::Refused(request, failure, _) => {
                let of_tail = self.following.as_ref();
                if of_tail.is_some_and(|it| it.tail == Some(request)) {
                    return Err(Error::Refused(failure));
                }
                self.answer(request, Err(Error::Refused(failure)));
                Ok(())
            }
            ServerFrame::Bye(error) => Err(error),
            ServerFrame::Welcome | ServerFrame::Unknown => Ok(()),
        }
    }

    fn answer(&mut self, request: u64, answer: Result<Answer, Error>) {
        if let Some(waiting) = self.waiting.remove(&request) {
            // One who has gone away is no matter.
            let _ = waiting.send(answer);
        }
    }

    async fn page(&mut self, request: u64, batch: Batch) -> Result<(), Error> {
        let Some(following) = &mut self.following else {
            return Ok(());
        };
        // What an ended tail still brings was not taken.
        if following.tail != Some(request) {
            return Ok(());
        }
        let Some(last) = batch.entries.last().map(|last| last.seq) else {
            return Ok(());
        };
        match following.to.try_send(Ok(batch)) {
            Ok(()) => {
                following.after = last;
                Ok(())
            }
            Err(_) => {
                following.tail = None;
                self.say(frames::end_tail(request)?).await
            }
        }
    }

    /// Says goodbye where that is still possible, and tells everybody.
    async fn end(mut self, error: &Error) {
        for (_, waiting) in self.waiting.drain() {
            let _ = waiting.send(Err(error.clone()));
        }
        if let Some(following) = self.following.take() {
            let error = error.clone();
            // Who lags takes it later, or never.
            tokio::spawn(async move {
                let _ = following.to.send(Err(error)).await;
            });
        }
        if !matches!(error, Error::Ended { .. }) && self.say(frames::goodbye()).await.is_err() {
            return;
        }
        let _ = timeout(GOODBYE, self.to.close()).await;
    }
}
