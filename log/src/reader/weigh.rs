//! What the writer would say to a command, without having it done.

use waybill_core::command::{Command, Stamped};
use waybill_core::id::{Hash, Time};
use waybill_core::outcome::{Outcome, Refusal, StateError};
use waybill_core::rules::{self, Tail};
use waybill_core::state::Overlay;

use super::Reader;

/// How often it is tried again when the views have moved meanwhile.
const TRIES: u32 = 3;

impl Reader {
    /// Decides a command against what is durable now, as the writer would, and forgets what would come of it.
    ///
    /// # Errors
    /// When the store fails or what it holds does not fit together.
    pub fn weigh(
        &self,
        command: &Command,
        time: Time,
    ) -> Result<Result<Outcome, Refusal>, StateError> {
        let stamped = Stamped {
            time,
            command: command.clone(),
        };
        let mut tries = 0;
        loop {
            self.settle();
            let mut overlay = Overlay::new(&self.shared.store);
            // The leaf goes into what is forgotten alone.
            let mut tail = Tail {
                position: self.durable(),
                time,
                leaf: Hash::ZERO,
            };
            let decided = rules::take(&mut overlay, &mut tail, &stamped);
            tries += 1;
            match decided {
                Ok(step) => return Ok(step.answer),
                Err(error) if tries == TRIES => return Err(error),
                // Rows of two moments need not go together.
                Err(_) => {}
            }
        }
    }
}
