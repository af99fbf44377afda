//! Requests of one connection: those on their way out, gathered into few writes, and those that wait for an answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use quinn::SendStream;
use tokio::sync::{Notify, Semaphore, oneshot};
use waybill_core::wire::{FrameError, ServerFrame, TailOpened};

use crate::error::Error;
use crate::frames::{Frames, write_error};

/// Bytes of requests that may wait to be written; beyond it callers wait.
const OUTGOING_BYTES: usize = 4 * 1024 * 1024;

/// What comes back.
pub(crate) enum Answer {
    /// On the control stream.
    Frame(ServerFrame),
    /// A stream of its own.
    Tail(TailOpened, Frames),
}

/// See the module.
pub(crate) struct Requests {
    state: Mutex<State>,
    room: Semaphore,
    filled: Notify,
}

#[derive(Default)]
struct State {
    last: u64,
    outgoing: Vec<u8>,
    /// Room that `outgoing` takes.
    permits: usize,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    /// Nothing more goes out after what is there.
    finished: bool,
    /// Why there is no connection any more.
    end: Option<Error>,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            room: Semaphore::new(OUTGOING_BYTES),
            filled: Notify::new(),
        }
    }

    /// No code that holds the lock can panic half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks and waits for the answer. `write` writes the frame for the request number that it is given; `bytes` is about how
    /// long it is.
    pub(crate) async fn ask(
        &self,
        bytes: usize,
        write: impl FnOnce(u64, &mut Vec<u8>) -> Result<(), FrameError>,
    ) -> Result<Answer, Error> {
        let answer = self.begin(bytes, write).await?;
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.end()),
        }
    }

    async fn begin(
        &self,
        bytes: usize,
        write: impl FnOnce(u64, &mut Vec<u8>) -> Result<(), FrameError>,
    ) -> Result<oneshot::Receiver<Answer>, Error> {
        let permits = bytes.min(OUTGOING_BYTES) as u32;
        let Ok(room) = self.room.acquire_many(permits).await else {
            return Err(self.end());
        };
        let (to, answer) = oneshot::channel();
        let mut state = self.state();
        if let Some(end) = &state.end {
            return Err(end.clone());
        }
        let request = state.last + 1;
        write(request, &mut state.outgoing)?;
        state.last = request;
        state.waiting.insert(request, to);
        // Given back when the bytes are gone.
        room.forget();
        state.permits += permits as usize;
        drop(state);
        self.filled.notify_one();
        Ok(answer)
    }

    /// Writes a last frame and lets the writer end.
    pub(crate) fn finish(&self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), FrameError>) {
        let mut state = self.state();
        state.finished = true;
        // Only a goodbye is written here, which always fits.
        let _ = write(&mut state.outgoing);
        drop(state);
        self.filled.notify_one();
    }

    /// Hands an answer to the one who waits for it. One who has gone away is no matter.
    pub(crate) fn answer(&self, request: u64, answer: Answer) {
        let waiting = self.state().waiting.remove(&request);
        if let Some(waiting) = waiting {
            let _ = waiting.send(answer);
        }
    }

    /// The connection is gone: everybody who waits learns it, and who comes later too. The first reason stays.
    pub(crate) fn fail(&self, error: Error) {
        let mut state = self.state();
        state.end.get_or_insert(error);
        state.waiting.clear();
        drop(state);
        self.room.close();
    }

    /// Why the connection is gone.
    pub(crate) fn end(&self) -> Error {
        let end = self.state().end.clone();
        end.unwrap_or_else(|| Error::Lost("closed".to_owned()))
    }

    /// Writes requests as they come, all that have gathered at a time, until [`Self::finish`].
    pub(crate) async fn write(&self, to: &mut SendStream) -> Result<(), Error> {
        loop {
            let (outgoing, permits, finished) = {
                let mut state = self.state();
                let outgoing = std::mem::take(&mut state.outgoing);
                (outgoing, std::mem::take(&mut state.permits), state.finished)
            };
            if outgoing.is_empty() {
                if finished {
                    // The server may have been faster.
                    let _ = to.finish();
                    return Ok(());
                }
                self.filled.notified().await;
                continue;
            }
            to.write_chunk(Bytes::from(outgoing))
                .await
                .map_err(write_error)?;
            self.room.add_permits(permits);
        }
    }
}
