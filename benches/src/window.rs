//! A measured span of time: warm-up, then the window that counts, then the drain of what is still under way.
//!
//! It must not know what is sent or to whom.

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::latency::Latency;
use crate::manifest::pressure::{Pressure, Stalled};
use crate::process::{Threads, Usage};

/// How long to warm up and how long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Sends of this time are made and checked, but not counted.
    pub warm_up: Duration,
    /// Sends answered in this time count.
    pub measure: Duration,
}

/// A span with a place in time.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    opens: Instant,
    closes: Instant,
}

impl Window {
    /// The window of `span`, starting now.
    #[must_use]
    pub fn start(span: Span) -> Self {
        let opens = Instant::now() + span.warm_up;
        Self {
            opens,
            closes: opens + span.measure,
        }
    }

    /// Whether nothing more should be sent.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.closes
    }

    /// Whether an answer that arrives at `now` counts.
    #[must_use]
    pub fn counts(&self, now: Instant) -> bool {
        now >= self.opens && now < self.closes
    }

    /// How long the counting part is.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.closes - self.opens
    }
}

/// What a closed loop has seen.
#[derive(Clone, Debug)]
pub struct Tally {
    window: Window,
    /// Time from a send to its answer, of answers within the window. A batch is one answer.
    pub latency: Latency,
    /// Messages answered within the window.
    pub counted: u64,
    /// Messages answered at all: warm-up and drain included.
    pub acked: u64,
}

impl Tally {
    /// An empty tally.
    #[must_use]
    pub fn new(window: Window) -> Self {
        Self {
            window,
            latency: Latency::new(),
            counted: 0,
            acked: 0,
        }
    }

    /// Notes an answer for `messages` messages that were sent at `sent`.
    pub fn answered(&mut self, sent: Instant, now: Instant, messages: u64) {
        self.acked += messages;
        if self.window.counts(now) {
            self.counted += messages;
            self.latency.record(now.saturating_duration_since(sent));
        }
    }
}

/// What a window cost.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cost {
    /// This process, which makes the load.
    pub client: Usage,
    /// The servers.
    pub server: Usage,
    /// CPU seconds by the names of threads: of the servers, or of this process when there are none.
    pub threads: Threads,
    /// The share of the window under pressure.
    pub stalled: Stalled,
}

/// Reads clocks and counters at both ends of a window from a thread of its own, so that no sender has to.
pub struct Meter(thread::JoinHandle<Cost>);

impl Meter {
    /// Meters `window` for this process and the servers `pids`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(window: Window, pids: Vec<u32>) -> Result<Self> {
        let worked = if pids.is_empty() {
            vec![std::process::id()]
        } else {
            pids.clone()
        };
        let read = move || {
            (
                Usage::own(),
                Usage::sum(&pids),
                Threads::of(&worked),
                Pressure::now(),
            )
        };
        thread::Builder::new()
            .name("meter".into())
            .spawn(move || {
                sleep_until(window.opens);
                let (client, server, threads, pressure) = read();
                sleep_until(window.closes);
                let (client_end, server_end, threads_end, pressure_end) = read();
                Cost {
                    client: client_end.since(client),
                    server: server_end.since(server),
                    threads: threads_end.since(&threads),
                    stalled: pressure_end.since(&pressure, window.length()),
                }
            })
            .map(Self)
            .map_err(|source| Error::Io {
                what: "starting the meter thread".into(),
                source,
            })
    }

    /// Waits for the end of the window.
    ///
    /// # Errors
    /// When the meter's thread panicked.
    pub fn finish(self) -> Result<Cost> {
        self.0
            .join()
            .map_err(|_| Error::Options("the meter thread panicked".into()))
    }
}

/// Sleeps until `when`; returns at once when that is past.
pub fn sleep_until(when: Instant) {
    thread::sleep(when.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Meter, Span, Tally, Window};

    #[test]
    fn only_answers_within_the_window_count_but_all_are_known() {
        let start = Instant::now();
        let window = Window {
            opens: start + Duration::from_secs(1),
            closes: start + Duration::from_secs(2),
        };
        let mut tally = Tally::new(window);
        let at = |ms| start + Duration::from_millis(ms);
        tally.answered(at(0), at(999), 1);
        tally.answered(at(990), at(1_000), 10);
        tally.answered(at(1_900), at(2_000), 1);
        assert_eq!(
            (tally.acked, tally.counted, tally.latency.count()),
            (12, 10, 1)
        );
        assert!(window.is_over(at(2_000)) && !window.is_over(at(1_999)));
    }

    #[test]
    fn the_meter_sees_work_done_in_the_window() {
        let span = Span {
            warm_up: Duration::ZERO,
            measure: Duration::from_millis(80),
        };
        let window = Window::start(span);
        let meter = Meter::start(window, vec![]).unwrap();
        let mut x = 1u64;
        while !window.is_over(Instant::now()) {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        let cost = meter.finish().unwrap();
        assert!(cost.client.cpu_seconds > 0.0);
        assert_eq!(cost.server.cpu_seconds, 0.0);
    }
}
