//! Pressure stall information: how much of the time somebody waited for a CPU or for the disk.
//!
//! Wall-clock figures of a machine under pressure say more about its neighbours than about the program measured.

use std::fs;
use std::time::Duration;

use serde::Serialize;

/// One line of `/proc/pressure/*`: shares of time, and the total behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Line {
    /// Percent of the last ten seconds.
    pub avg10: f64,
    /// Percent of the last minute.
    pub avg60: f64,
    /// Microseconds since boot.
    pub total_us: u64,
}

/// CPU and disk pressure at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// Some task waited for a CPU.
    pub cpu_some: Option<Line>,
    /// Some task waited for the disk.
    pub io_some: Option<Line>,
    /// All tasks that had anything to do waited for the disk.
    pub io_full: Option<Line>,
}

/// The share of a span of time under pressure, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stalled {
    /// Some task waited for a CPU.
    pub cpu_some_percent: Option<f64>,
    /// Some task waited for the disk.
    pub io_some_percent: Option<f64>,
    /// All tasks that had anything to do waited for the disk.
    pub io_full_percent: Option<f64>,
}

impl Pressure {
    /// The pressure now; `None` inside where the kernel does not say.
    #[must_use]
    pub fn now() -> Self {
        let cpu = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
        let io = fs::read_to_string("/proc/pressure/io").unwrap_or_default();
        Self {
            cpu_some: line(&cpu, "some"),
            io_some: line(&io, "some"),
            io_full: line(&io, "full"),
        }
    }

    /// How much of `elapsed` was under pressure between `earlier` and this reading.
    #[must_use]
    pub fn since(&self, earlier: &Self, elapsed: Duration) -> Stalled {
        let share = |now: Option<Line>, then: Option<Line>| {
            let stalled = now?.total_us.saturating_sub(then?.total_us) as f64;
            Some((100.0 * stalled / elapsed.as_micros().max(1) as f64).min(100.0))
        };
        Stalled {
            cpu_some_percent: share(self.cpu_some, earlier.cpu_some),
            io_some_percent: share(self.io_some, earlier.io_some),
            io_full_percent: share(self.io_full, earlier.io_full),
        }
    }
}

fn line(text: &str, kind: &str) -> Option<Line> {
    let rest = text
        .lines()
        .find_map(|l| l.strip_prefix(kind)?.strip_prefix(' '))?;
    let field = |name: &str| {
        rest.split_ascii_whitespace()
            .find_map(|pair| pair.split_once('=').filter(|(k, _)| *k == name))
            .map(|(_, v)| v)
    };
    Some(Line {
        avg10: field("avg10")?.parse().ok()?,
        avg60: field("avg60")?.parse().ok()?,
        total_us: field("total")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Line, Pressure, line};

    const SAMPLE: &str = "some avg10=10.78 avg60=4.05 avg300=2.89 total=26840399\n\
                          full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";

    #[test]
    fn both_lines_are_read() {
        assert_eq!(
            line(SAMPLE, "some"),
            Some(Line {
                avg10: 10.78,
                avg60: 4.05,
                total_us: 26_840_399
            })
        );
        assert_eq!(line(SAMPLE, "full").map(|l| l.total_us), Some(7));
        assert_eq!(line("", "some"), None);
    }

    #[test]
    fn the_share_is_of_the_time_that_passed() {
        let at = |total_us| Pressure {
            cpu_some: Some(Line {
                total_us,
                ..Line::default()
            }),
            ..Pressure::default()
        };
        let stalled = at(3_500_000).since(&at(1_000_000), Duration::from_secs(10));
        assert_eq!(stalled.cpu_some_percent, Some(25.0));
        assert_eq!(stalled.io_some_percent, None);
    }
}
