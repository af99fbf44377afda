//! The right to answer one send. A send that was taken is answered exactly once, whatever becomes of those who work on it.

use std::sync::Arc;

use parking_lot::Mutex;
use waybill_core::wire::{BatchSent, Code, Failure, SentMessage};

use super::outbox::{Answer, Outbox};

/// Answers one send. Dropped unanswered, it says that the outcome is not known.
#[derive(Debug)]
pub struct Ticket(Option<To>);

#[derive(Debug)]
enum To {
    /// A send of its own.
    One { outbox: Arc<Outbox>, request: u64 },
    /// A place in a batch.
    Batch { batch: Arc<Batch>, place: usize },
}

/// A batch whose sends are being decided.
#[derive(Debug)]
struct Batch {
    outbox: Arc<Outbox>,
    request: u64,
    answers: Mutex<Answers>,
}

#[derive(Debug)]
struct Answers {
    given: Vec<Option<Result<SentMessage, Failure>>>,
    missing: usize,
}

fn unknown() -> Failure {
    Failure::new(
        Code::OUTCOME_UNKNOWN,
        "it is not known whether this was done: ask again with the same key",
    )
}

impl Ticket {
    /// For a send of its own.
    pub(super) fn one(outbox: &Arc<Outbox>, request: u64) -> Self {
        Self(Some(To::One {
            outbox: Arc::clone(outbox),
            request,
        }))
    }

    /// For each of `count` sends of a batch; at least one.
    pub(super) fn batch(
        outbox: &Arc<Outbox>,
        request: u64,
        count: usize,
    ) -> impl Iterator<Item = Self> {
        let given = (0..count).map(|_| None).collect();
        let batch = Arc::new(Batch {
            outbox: Arc::clone(outbox),
            request,
            answers: Mutex::new(Answers {
                given,
                missing: count,
            }),
        });
        (0..count).map(move |place| {
            Self(Some(To::Batch {
                batch: Arc::clone(&batch),
                place,
            }))
        })
    }

    /// Answers. Never blocks for long, and may be called from any thread.
    pub fn answer(mut self, result: Result<SentMessage, Failure>) {
        self.give(result);
    }

    fn give(&mut self, result: Result<SentMessage, Failure>) {
        match self.0.take() {
            None => {}
            Some(To::One { outbox, request }) => outbox.put(Answer::Sent { request, result }),
            Some(To::Batch { batch, place }) => batch.give(place, result),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.give(Err(unknown()));
        }
    }
}

impl Batch {
    fn give(&self, place: usize, result: Result<SentMessage, Failure>) {
        let mut answers = self.answers.lock();
        answers.given[place] = Some(result);
        answers.missing -= 1;
        if answers.missing == 0 {
            let given = std::mem::take(&mut answers.given);
            drop(answers);
            let answers = given
                .into_iter()
                .map(|it| it.unwrap_or_else(|| Err(unknown())))
                .collect();
            self.outbox.put(Answer::Batch(BatchSent {
                request: self.request,
                answers,
            }));
        }
    }
}
