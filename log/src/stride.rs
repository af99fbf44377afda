//! How large the steps of a fan-out are. Whoever else waits for the writer waits for the step that it is at, so while others are
//! there the steps are short; a server that does nothing else takes the longest.

use std::time::{Duration, Instant};

use waybill_core::limits::MAX_CHUNK;

/// Receivers of a step while others ask the writer too: some 0.4 ms of its time.
const SHORT: u16 = 32;

/// Receivers of a step while nobody else does.
const LONG: u16 = MAX_CHUNK as u16;

/// How long nobody else must have asked before steps grow again.
const QUIET: Duration = Duration::from_secs(1);

/// The length of the next step.
#[derive(Debug)]
pub struct Stride {
    receivers: u16,
    /// Commands that the writer had taken before the last step.
    commands: Option<u64>,
    others: Option<Instant>,
}

impl Default for Stride {
    fn default() -> Self {
        Self {
            receivers: SHORT,
            commands: None,
            others: None,
        }
    }
}

impl Stride {
    /// How many receivers the next step looks at, when the writer has taken so many commands until `now`: the steps of this stride
    /// and those of others.
    pub fn next(&mut self, commands: u64, now: Instant) -> u16 {
        if self
            .commands
            .is_some_and(|before| commands.saturating_sub(before) > 1)
        {
            self.others = Some(now);
        }
        self.commands = Some(commands);
        let quiet = self
            .others
            .is_none_or(|last| now.duration_since(last) > QUIET);
        self.receivers = match quiet {
            true => (self.receivers * 2).min(LONG),
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
        assert_eq!(stride.next(1_000, at(0)), 64);
        assert_eq!(stride.next(1_001, at(1)), 128);
        assert_eq!(stride.next(1_003, at(900)), SHORT);
        assert_eq!(stride.next(1_004, at(1_800)), SHORT);
        let grown: Vec<_> = (0..6)
            .map(|step| stride.next(1_005 + step, at(2_000 + step)))
            .collect();
        assert_eq!(grown, [64, 128, 256, 500, 500, 500]);
        assert_eq!(stride.next(1_012, at(2_010)), SHORT);
    }
}
