//! Latencies as a histogram: recorded one by one, merged, never averaged.
//!
//! It must not know what was timed.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::error::{Error, Result};

/// Finest distinction kept, in nanoseconds.
const LOWEST_NS: u64 = 1_000;
/// Longest latency kept, in nanoseconds: one minute. Longer ones are counted as this, and counted apart.
const HIGHEST_NS: u64 = 60_000_000_000;
/// Three digits: an error of at most one in a thousand.
const DIGITS: u8 = 3;

/// A histogram of latencies.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
    /// Latencies above [`HIGHEST_NS`].
    clipped: u64,
}

/// What is reported of a histogram, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many latencies.
    pub count: u64,
    /// The smallest.
    pub min_us: f64,
    /// Their mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: f64,
    /// 90 of 100 are at most this.
    pub p90_us: f64,
    /// 99 of 100 are at most this.
    pub p99_us: f64,
    /// 999 of 1000 are at most this.
    pub p99_9_us: f64,
    /// The largest.
    pub max_us: f64,
    /// How many were above one minute and are counted as one minute.
    pub clipped: u64,
}

impl Latency {
    /// An empty histogram.
    ///
    /// # Panics
    /// Never: the bounds are constants that the histogram accepts.
    #[must_use]
    #[expect(clippy::expect_used, reason = "constant arguments; a test builds one")]
    pub fn new() -> Self {
        let histogram =
            Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS).expect("constant bounds");
        Self {
            histogram,
            clipped: 0,
        }
    }

    /// Adds one latency.
    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if nanos > HIGHEST_NS {
            self.clipped += 1;
        }
        self.histogram.saturating_record(nanos.min(HIGHEST_NS));
    }

    /// Adds all latencies of `other`.
    ///
    /// # Errors
    /// Never in practice: all histograms here have the same bounds. An error is passed on rather than hidden.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.clipped += other.clipped;
        self.histogram
            .add(&other.histogram)
            .map_err(|e| Error::Options(format!("merging histograms: {e}")))
    }

    /// How many latencies there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that `quantile` (0 to 1) of them do not exceed.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(quantile))
    }

    /// The figures to report.
    #[must_use]
    pub fn summary(&self) -> Summary {
        if self.histogram.is_empty() {
            return Summary::default();
        }
        let at = |quantile| self.histogram.value_at_quantile(quantile) as f64 / 1e3;
        Summary {
            count: self.histogram.len(),
            min_us: self.histogram.min() as f64 / 1e3,
            mean_us: self.histogram.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            max_us: self.histogram.max() as f64 / 1e3,
            clipped: self.clipped,
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Latency, Summary};

    #[test]
    fn quantiles_are_within_a_thousandth() {
        let mut latency = Latency::new();
        for i in 1..=1000u64 {
            latency.record(Duration::from_micros(i * 10));
        }
        let s = latency.summary();
        assert_eq!(s.count, 1000);
        assert!((s.p50_us / 5_000.0 - 1.0).abs() < 0.002, "{s:?}");
        assert!((s.p99_us / 9_900.0 - 1.0).abs() < 0.002, "{s:?}");
        assert!((s.max_us / 10_000.0 - 1.0).abs() < 0.002, "{s:?}");
    }

    #[test]
    fn merging_keeps_every_latency() {
        let (mut a, mut b) = (Latency::new(), Latency::new());
        a.record(Duration::from_millis(1));
        b.record(Duration::from_millis(100));
        b.record(Duration::from_millis(100));
        a.merge(&b).unwrap();
        // The average of the two medians would be 50 ms.
        assert!((a.summary().p50_us / 100_000.0 - 1.0).abs() < 0.002);
    }

    #[test]
    fn what_is_too_long_is_counted_apart() {
        let mut latency = Latency::new();
        latency.record(Duration::from_secs(3600));
        let s = latency.summary();
        assert_eq!((s.count, s.clipped), (1, 1));
        assert!(s.max_us >= 60e6);
    }

    #[test]
    fn nothing_recorded_is_all_zero() {
        assert_eq!(Latency::new().summary(), Summary::default());
    }
}
