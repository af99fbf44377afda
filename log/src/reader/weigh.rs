//! What the writer would say to a command, without having it done.

use std::sync::atomic::Ordering;

use waybill_core::command::{Command, Stamped};
use waybill_core::id::{Hash, Time};
use waybill_core::outcome::{Outcome, Refusal, StateError};
use waybill_core::rules::{self, Tail};
use waybill_core::state::Overlay;

use super::Reader;

/// How often it is tried when the views move meanwhile.
const TRIES: u32 = 16;

impl Reader {
    /// Decides a command against what is durable now, as the writer would, and forgets what would come of it. What is decided over
    /// rows of two moments stands, as between any two sends; where they do not fit together it is tried again, and `None` when they
    /// never did. It reads the store, and may wait
    /// a moment for the writer: not for a thread that others wait for.
    ///
    /// # Errors
    /// When the store fails or what it holds does not fit together.
    pub fn weigh(
        &self,
        command: Command,
        time: Time,
    ) -> Result<Option<Result<Outcome, Refusal>>, StateError> {
        let stamped = Stamped { time, command };
        for _ in 0..TRIES {
            self.settle();
            let before = self.shared.changes.load(Ordering::SeqCst);
            let mut overlay = Overlay::new(&self.shared.store);
            // The leaf goes into what is forgotten alone.
            let mut tail = Tail {
                position: self.durable(),
                time,
                leaf: Hash::ZERO,
            };
            match rules::take(&mut overlay, &mut tail, &stamped) {
                Ok(step) => return Ok(Some(step.answer)),
                // Rows of two moments need not go together.
                Err(_)
                    if before % 2 == 1 || self.shared.changes.load(Ordering::SeqCst) != before => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
