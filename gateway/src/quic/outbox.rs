//! Answers on their way out of one connection. They come from any thread and in any order; one task at a time writes them, all that
//! have gathered, and ends when there are no more: most connections have nothing to say most of the time. What is owed is bounded,
//! because a request counts until its answer is written.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{Connection, SendStream, WriteError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use waybill_core::wire::{
    self, Acknowledged, BatchSent, Bye, Code, Failure, FrameError, MAX_SERVER_FRAME, Refused, Sent,
    SentMessage, Welcome,
};

use super::connection::close;

use super::options::SENDS_IN_FLIGHT;

/// An answer that waits to be written.
#[derive(Debug)]
pub(super) enum Answer {
    Welcome(Box<Welcome>),
    Sent {
        request: u64,
        result: Result<SentMessage, Failure>,
    },
    Batch(BatchSent),
    Acknowledged(Acknowledged),
    Refused(Refused),
    /// What nobody has asked for just now; room for another when it is written.
    Told {
        frame: Vec<u8>,
        _room: OwnedSemaphorePermit,
    },
    /// A page, encoded; room for another when it is written.
    Page {
        frame: Vec<u8>,
        _room: OwnedSemaphorePermit,
    },
}

impl Answer {
    /// How many sends it answers, and other requests as one.
    fn weight(&self) -> usize {
        match self {
            Self::Welcome(_) | Self::Told { .. } => 0,
            Self::Batch(batch) => batch.answers.len(),
            _ => 1,
        }
    }
}

/// The answers of one connection.
#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// Something was written, or nothing will be any more.
    written: Notify,
    connection: Connection,
    /// Where it is written: answers come from threads of no runtime too.
    runtime: Handle,
}

#[derive(Debug)]
struct State {
    answers: Vec<Answer>,
    /// Weight of the requests taken and not yet answered in writing.
    owed: usize,
    way: Way,
    /// The connection says goodbye: why it ends is known.
    parts: bool,
}

/// Where the control stream is.
#[derive(Debug)]
enum Way {
    /// Here: there is nothing to write.
    Free(SendStream),
    /// With the task that writes.
    Taken,
    /// Nothing is written any more.
    Gone,
}

impl Outbox {
    /// For the answers of a connection, on this stream. Within a runtime.
    pub(super) fn new(connection: Connection, to: SendStream) -> Self {
        Self {
            state: Mutex::new(State {
                answers: Vec::new(),
                owed: 0,
                way: Way::Free(to),
                parts: false,
            }),
            written: Notify::new(),
            connection,
            runtime: Handle::current(),
        }
    }

    /// Notes that answers of this weight are owed from now on.
    pub(super) fn owe(&self, weight: usize) {
        self.state.lock().owed += weight;
    }

    /// Takes an answer to be written.
    pub(super) fn put(self: &Arc<Self>, answer: Answer) {
        let to = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut state.way, Way::Taken) {
                Way::Free(to) => {
                    state.answers.push(answer);
                    to
                }
                Way::Taken => return state.answers.push(answer),
                Way::Gone => {
                    state.way = Way::Gone;
                    return;
                }
            }
        };
        self.runtime.spawn(Arc::clone(self).write(to));
    }

    /// Notes that a request was answered on another stream.
    pub(super) fn answered_elsewhere(&self) {
        self.state.lock().owed -= 1;
        self.written.notify_waiters();
    }

    /// Refuses a request that was noted as owed.
    pub(super) fn refuse(self: &Arc<Self>, request: u64, failure: Failure) {
        self.put(Answer::Refused(Refused { request, failure }));
    }

    /// Returns when another request may be taken, or no answer is written any more.
    pub(super) async fn room(&self) {
        self.until(|state| state.owed < SENDS_IN_FLIGHT).await;
    }

    /// Returns when nothing is owed, or no answer is written any more.
    pub(super) async fn settled(&self) {
        self.until(|state| state.owed == 0 && state.answers.is_empty())
            .await;
    }

    /// Notes that the connection ends by itself, with a reason of its own.
    pub(super) fn part(&self) {
        self.state.lock().parts = true;
    }

    /// Whether no answer is written any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.state.lock().way, Way::Gone)
    }

    /// Takes the stream when what is there was written; answers that come later are lost. `None` when it is gone.
    pub(super) async fn take(&self) -> Option<SendStream> {
        loop {
            self.until(|state| matches!(state.way, Way::Free(_))).await;
            let way = &mut self.state.lock().way;
            match std::mem::replace(way, Way::Gone) {
                Way::Free(to) => return Some(to),
                // An answer came just now.
                Way::Taken => *way = Way::Taken,
                Way::Gone => return None,
            }
        }
    }

    async fn until(&self, done: impl Fn(&State) -> bool) {
        loop {
            let written = self.written.notified();
            {
                let state = self.state.lock();
                if done(&state) || matches!(state.way, Way::Gone) {
                    return;
                }
            }
            written.await;
        }
    }

    /// Writes what there is, until there is no more.
    async fn write(self: Arc<Self>, mut to: SendStream) {
        let mut answers = Vec::new();
        loop {
            {
                let mut state = self.state.lock();
                if state.answers.is_empty() {
                    // No room is kept while nothing happens.
                    state.answers = Vec::new();
                    state.way = Way::Free(to);
                    break;
                }
                std::mem::swap(&mut state.answers, &mut answers);
            }
            let weight = answers.iter().map(Answer::weight).sum::<usize>();
            if write_all(&mut answers, &mut to).await.is_err() {
                return self.give_up();
            }
            self.state.lock().owed -= weight;
            self.written.notify_waiters();
        }
        self.written.notify_waiters();
    }

    /// Nobody takes the answers any more.
    fn give_up(&self) {
        {
            let mut state = self.state.lock();
            state.way = Way::Gone;
            state.answers = Vec::new();
            if !state.parts {
                let bye = Bye::new(Code::STREAM_BROKEN, "the control stream was stopped");
                close(&self.connection, &bye);
            }
        }
        self.written.notify_waiters();
    }
}

/// Answers are gathered into pieces of about this many bytes.
const PIECE_BYTES: usize = 32 * 1024;

async fn write_all(answers: &mut Vec<Answer>, to: &mut SendStream) -> Result<(), WriteError> {
    let mut piece = Vec::with_capacity(PIECE_BYTES.min(128 * answers.len()));
    for answer in answers.drain(..) {
        let Some(page) = encode(answer, &mut piece) else {
            if piece.len() >= PIECE_BYTES {
                to.write_chunk(Bytes::from(std::mem::take(&mut piece)))
                    .await?;
            }
            continue;
        };
        let (frame, _room) = page;
        if !piece.is_empty() {
            to.write_chunk(Bytes::from(std::mem::take(&mut piece)))
                .await?;
        }
        to.write_chunk(Bytes::from(frame)).await?;
    }
    if piece.is_empty() {
        Ok(())
    } else {
        to.write_chunk(Bytes::from(piece)).await
    }
}

/// Appends an answer to `piece`, or gives back a page, which is written by itself.
fn encode(answer: Answer, piece: &mut Vec<u8>) -> Option<(Vec<u8>, OwnedSemaphorePermit)> {
    let written = match answer {
        Answer::Page { frame, _room } | Answer::Told { frame, _room } => {
            return Some((frame, _room));
        }
        Answer::Welcome(welcome) => wire::write(&*welcome, MAX_SERVER_FRAME, piece),
        Answer::Sent {
            request,
            result: Ok(message),
        } => wire::write(&Sent { request, message }, MAX_SERVER_FRAME, piece),
        Answer::Sent {
            request,
            result: Err(failure),
        } => refused(request, failure, piece),
        Answer::Batch(batch) => batch.write(piece),
        Answer::Acknowledged(acknowledged) => wire::write(&acknowledged, MAX_SERVER_FRAME, piece),
        Answer::Refused(Refused { request, failure }) => refused(request, failure, piece),
    };
    // All of these have bounded fields and are far shorter than a frame may be.
    debug_assert_eq!(written, Ok(()));
    None
}

fn refused(request: u64, failure: Failure, piece: &mut Vec<u8>) -> Result<(), FrameError> {
    wire::write(&Refused { request, failure }, MAX_SERVER_FRAME, piece)
}
