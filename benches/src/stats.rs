//! Medians, ranges and paired ratios of interleaved rounds.
//!
//! A ratio is taken within one round, where both sides met the same machine, and only then summarised; a ratio of
//! two medians would mix rounds. It must not know what is compared.

use serde::Serialize;

/// A median and the range around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle value; of an even number of values, the mean of the middle two.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many values.
    pub rounds: usize,
}

impl Spread {
    /// The spread of `values`; `None` when there is none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self {
            median,
            min,
            max,
            rounds: sorted.len(),
        })
    }

    /// The spread of `a / b`, round by round. `None` when the rounds do not pair up or a divisor is zero.
    #[must_use]
    pub fn of_ratios(a: &[f64], b: &[f64]) -> Option<Self> {
        if a.len() != b.len() || b.contains(&0.0) {
            return None;
        }
        Self::of(&a.iter().zip(b).map(|(a, b)| a / b).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_median_of_odd_and_even_counts() {
        assert_eq!(
            Spread::of(&[3.0, 1.0, 2.0]).map(|s| (s.median, s.min, s.max)),
            Some((2.0, 1.0, 3.0))
        );
        assert_eq!(
            Spread::of(&[4.0, 1.0, 2.0, 3.0]).map(|s| s.median),
            Some(2.5)
        );
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_paired_by_round() {
        // Both sides are slowed down tenfold in the second round: the ratio does not move.
        let s = Spread::of_ratios(&[20.0, 2.0, 22.0], &[10.0, 1.0, 11.0]).unwrap();
        assert_eq!((s.median, s.min, s.max), (2.0, 2.0, 2.0));
        assert_eq!(Spread::of_ratios(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None);
    }
}
