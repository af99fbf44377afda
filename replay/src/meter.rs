//! How long a phase took and how much processor time it cost. Knows nothing of what was done in it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Clock ticks per second in `/proc`: fixed at 100 on every architecture that Linux shows to programs (proc(5), `USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a phase took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Wall time, in seconds.
    pub seconds: f64,
    /// Processor time of all threads of the process, those of the database too, in seconds. To 10 ms; absent where the system
    /// does not say.
    pub cpu_seconds: Option<f64>,
}

impl Cost {
    /// How many of `count` per second of wall time; 0 when no time has passed.
    #[must_use]
    pub fn per_second(&self, count: u64) -> f64 {
        rate(count, self.seconds)
    }

    /// How many of `count` per second of processor time: the rate of one core.
    #[must_use]
    pub fn per_core_second(&self, count: u64) -> Option<f64> {
        let cpu = self.cpu_seconds.filter(|cpu| *cpu > 0.0)?;
        Some(rate(count, cpu))
    }
}

fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

/// Runs from its start until it is read.
pub struct Meter {
    started: Instant,
    cpu: Option<f64>,
}

impl Meter {
    /// Starts.
    #[must_use]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            cpu: process_cpu_seconds(),
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What was used since the start.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let now = process_cpu_seconds();
        Cost {
            seconds: self.started.elapsed().as_secs_f64(),
            cpu_seconds: now.zip(self.cpu).map(|(now, then)| now - then),
        }
    }
}

/// Processor time of this process so far, from `/proc/self/stat`.
fn process_cpu_seconds() -> Option<f64> {
    cpu_seconds(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15 (user and system time, in ticks), counted from behind the program's name, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_from_behind_the_name() {
        let stat =
            "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 2 0 100 1000 10 0 0 0 0 0";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("7 (name S 1"), None);
    }

    #[test]
    fn rates_are_by_time() {
        let cost = Cost {
            seconds: 2.0,
            cpu_seconds: Some(4.0),
        };
        assert_eq!(cost.per_second(100), 50.0);
        assert_eq!(cost.per_core_second(100), Some(25.0));
        assert_eq!(Cost::default().per_second(100), 0.0);
        assert_eq!(Cost::default().per_core_second(100), None);
    }
}
