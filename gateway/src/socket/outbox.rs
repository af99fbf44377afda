//! Answers on their way out of one connection. They come from any thread and in any order; the connection writes those that have
//! gathered. What is owed is bounded, because nothing more is read from a connection that is owed too much.

use parking_lot::Mutex;
use tokio::sync::Notify;
use waybill_core::id::Seq;

/// An answer that waits to be written.
#[derive(Debug)]
pub enum Answer {
    /// A frame, and for how many requests it stands.
    Frame(String, usize),
    /// A device's cursor as it is now.
    Acknowledged { request: u64, seq: Seq },
}

/// The answers of one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    answers: Vec<Answer>,
    /// Requests that were taken and whose answers are not written.
    owed: usize,
}

impl Outbox {
    /// Notes that so many requests are owed an answer.
    pub fn owe(&self, requests: usize) {
        self.state.lock().owed += requests;
    }

    /// How many are.
    pub fn owed(&self) -> usize {
        self.state.lock().owed
    }

    /// Takes an answer to be written.
    pub fn put(&self, answer: Answer) {
        self.state.lock().answers.push(answer);
        self.filled.notify_one();
    }

    /// The answers that have gathered; they are owed no more.
    pub fn take(&self) -> Vec<Answer> {
        let mut state = self.state.lock();
        let taken = std::mem::take(&mut state.answers);
        let weight = |answer: &Answer| match answer {
            Answer::Frame(_, requests) => *requests,
            Answer::Acknowledged { .. } => 1,
        };
        let written: usize = taken.iter().map(weight).sum();
        state.owed = state.owed.saturating_sub(written);
        taken
    }

    /// Returns when there may be answers.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }
}
