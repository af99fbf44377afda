//! How large the steps of a fan-out are. Whoever else waits for the writer waits for the step that it is at, so while others are
//! there the steps are short; a server that does nothing else takes the longest.

use std::time::{Duration, Instant};

use waybill_core::limits::MAX_CHUNK;

/// Receivers of a step while others ask the writer too: some 0.4 ms of its time.
const SHORT: usize = 32;

/// How long nobody else must have asked before steps grow again.
const QUIET: Duration = Duration::from_secs(1);

/// The length of the next step.
#[derive(Debug)]
pub struct Stride {
    receivers: usize,
    /// Commands that the writer had taken before the last step.
    commands: u64,
    others: Option<Instant>,
}

impl Default for Stride {
    fn default() -> Self {
        Self {
            receivers: SHORT,
            commands: 0,
            others: None,
        }
    }
}

impl Stride {
    /// How many receivers the next step looks at, when the writer has taken so many commands until `now`: the steps of this stride
    /// and those of others.
    pub fn next(&mut self, commands: u64, now: Instant) -> usize {
        if commands.saturating_sub(self.commands) > 1 {
            self.others = Some(now);
        }
        self.commands = commands;
        let quiet = self.others.is_none_or(|last| now.duration_since(last) > QUIET);
        self.receivers = match quiet {
            true => (self.receivers * 2).min(MAX_CHUNK),
            false => SHORT,
        };
        self.receivers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_short_while_others_ask_and_grow_when_they_no_longer_do() {
        let mut stride = Stride::default();
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        // Before the first step, others are all who ever asked.
        assert_eq!(stride.next(1_000, at(0)), SHORT);
        assert_eq!(stride.next(1_001, at(1)), SHORT);
        assert_eq!(stride.next(1_003, at(900)), SHORT);
        assert_eq!(stride.next(1_004, at(1_800)), SHORT);
        let grown: Vec<_> = (0..6)
            .map(|step| stride.next(1_005 + step, at(2_000 + step)))
            .collect();
        assert_eq!(grown, [64, 128, 256, 500, 500, 500]);
        assert_eq!(stride.next(1_012, at(2_010)), SHORT);
    }
}
