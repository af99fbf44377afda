//! How large the steps of a fan-out are. Whoever else waits for the writer waits for the step that it is at, so while others are
//! there the steps are short; a server that does nothing else takes the longest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use waybill_core::limits::MAX_CHUNK;

use crate::writer::Counters;

/// Receivers of a step at least, while others ask the writer too: some 0.2 ms of its time.
const SHORT: u16 = 16;

/// What a receiver costs the writer, in microseconds. Where a sync takes longer than [`SHORT`] of them, whoever waits for a step waits
/// for the disk anyway, and a step is as much work as a sync takes.
const RECEIVER_US: u64 = 12;

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
    /// How many receivers the next step looks at, by what the writer has counted.
    pub fn after(&mut self, counters: &Counters) -> u16 {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sync_us = count(&counters.sync_us).checked_div(count(&counters.batches));
        self.next(
            count(&counters.commands),
            sync_us.unwrap_or(0),
            Instant::now(),
        )
    }

    /// How many receivers the next step looks at. Until `now` the writer has taken so many commands, the steps of this stride and those of
    /// others, and a sync takes it so many microseconds.
    fn next(&mut self, commands: u64, sync_us: u64, now: Instant) -> u16 {
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
            false => u16::try_from(sync_us / RECEIVER_US)
                .unwrap_or(LONG)
                .clamp(SHORT, LONG),
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
        assert_eq!(stride.next(1_000, 150, at(0)), 2 * SHORT);
        assert_eq!(stride.next(1_001, 150, at(1)), 4 * SHORT);
        assert_eq!(stride.next(1_003, 150, at(900)), SHORT);
        assert_eq!(stride.next(1_004, 150, at(1_800)), SHORT);
        let grown: Vec<_> = (0..6)
            .map(|step| stride.next(1_005 + step, 150, at(2_000 + step)))
            .collect();
        assert_eq!(grown, [32, 64, 128, 256, 500, 500]);
        assert_eq!(stride.next(1_012, 150, at(2_010)), SHORT);
        // On a slow disk the steps are as long as a sync.
        assert_eq!(stride.next(1_014, 2_400, at(2_011)), 200);
        assert_eq!(stride.next(1_016, 10_000, at(2_012)), 500);
    }
}
