//! Answers on their way out of one connection. They come from any thread and in any order; one task writes them, all that
//! have gathered at a time. What is owed is bounded, because a request counts until its answer is written.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{SendStream, WriteError};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use waybill_core::wire::{
    self, Acknowledged, BatchSent, Failure, FrameError, MAX_SERVER_FRAME, Refused, Sent,
    SentMessage, Welcome,
};

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
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// There is an answer to write.
    filled: Notify,
    /// Something was written.
    written: Notify,
}

#[derive(Debug, Default)]
struct State {
    answers: Vec<Answer>,
    /// Weight of the requests taken and not yet answered in writing.
    owed: usize,
    /// No answer is owed any more once those here are written.
    last: bool,
}

impl Outbox {
    /// Notes that answers of this weight are owed from now on.
    pub(super) fn owe(&self, weight: usize) {
        self.state.lock().owed += weight;
    }

    /// Takes an answer to be written.
    pub(super) fn put(&self, answer: Answer) {
        let first = {
            let mut state = self.state.lock();
            state.answers.push(answer);
            state.answers.len() == 1
        };
        if first {
            self.filled.notify_one();
        }
    }

    /// Notes that a request was answered on another stream.
    pub(super) fn answered_elsewhere(&self) {
        self.state.lock().owed -= 1;
        self.written.notify_waiters();
    }

    /// Refuses a request that was noted as owed.
    pub(super) fn refuse(&self, request: u64, failure: Failure) {
        self.put(Answer::Refused(Refused { request, failure }));
    }

    /// Returns when another request may be taken.
    pub(super) async fn room(&self) {
        self.until(|state| state.owed < SENDS_IN_FLIGHT).await;
    }

    /// Returns when nothing is owed.
    pub(super) async fn settled(&self) {
        self.until(|state| state.owed == 0 && state.answers.is_empty())
            .await;
    }

    async fn until(&self, done: impl Fn(&State) -> bool) {
        loop {
            let written = self.written.notified();
            if done(&self.state.lock()) {
                return;
            }
            written.await;
        }
    }

    /// Lets [`Self::write`] end when it has written what is there.
    pub(super) fn finish(&self) {
        self.state.lock().last = true;
        self.filled.notify_one();
    }

    /// Writes answers as they come, until [`Self::finish`]; gives the stream back.
    pub(super) async fn write(
        self: Arc<Self>,
        mut to: SendStream,
    ) -> Result<SendStream, WriteError> {
        let mut answers = Vec::new();
        loop {
            let last = {
                let mut state = self.state.lock();
                if state.answers.is_empty() {
                    // No room is kept while nothing happens.
                    answers = Vec::new();
                    state.answers = Vec::new();
                }
                std::mem::swap(&mut state.answers, &mut answers);
                state.last
            };
            if answers.is_empty() {
                if last {
                    return Ok(to);
                }
                self.filled.notified().await;
                continue;
            }
            let weight = answers.iter().map(Answer::weight).sum::<usize>();
            // In a box, so that a connection that waits does not keep the room for it.
            Box::pin(write_all(&mut answers, &mut to)).await?;
            self.state.lock().owed -= weight;
            self.written.notify_waiters();
        }
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
