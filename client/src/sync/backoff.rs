//! How long to wait before the next attempt: exponential, with full jitter, so that clients that were cut off together do not
//! come back together.

use std::time::Duration;

/// Most doublings; the longest wait is reached long before.
const DOUBLINGS: u32 = 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: u64,
    most: u64,
    failures: u32,
    /// State of a generator of numbers that need not be secret (SplitMix64).
    dice: u64,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration, seed: u64) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            first: millis(first),
            most: millis(most),
            failures: 0,
            dice: seed,
        }
    }

    /// How long to wait now, in milliseconds: between nothing and the bound, which doubles each time; and at least `asked`,
    /// when the server has asked for a time, so that the jitter comes on top of it.
    pub(crate) fn next(&mut self, asked: u64) -> u64 {
        let doubled = self.first.saturating_mul(1 << self.failures.min(DOUBLINGS));
        self.failures += 1;
        let bound = doubled.min(self.most);
        asked.saturating_add(self.roll(bound))
    }

    /// The last connection was a good one.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// A number from 0 to `bound`.
    fn roll(&mut self, bound: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        match bound.checked_add(1) {
            Some(sides) => mixed % sides,
            None => mixed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_are_spread_over_all_of_it() {
        let (first, most) = (Duration::from_millis(100), Duration::from_millis(3_000));
        let mut seen = [0_u64; 12];
        for seed in 0..500 {
            let mut backoff = Backoff::new(first, most, seed);
            for (failures, longest) in seen.iter_mut().enumerate() {
                let wait = backoff.next(0);
                let bound = (100_u64 << failures).min(3_000);
                assert!(wait <= bound, "{wait} of {bound}");
                *longest = wait.max(*longest);
            }
            backoff.reset();
            assert!(backoff.next(0) <= 100);
        }
        for (failures, longest) in seen.into_iter().enumerate() {
            let bound = (100_u64 << failures).min(3_000);
            assert!(longest > bound * 9 / 10, "{longest} of {bound}");
        }
    }

    #[test]
    fn a_wait_that_the_server_asks_for_is_kept() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(10), 1);
        for _ in 0..100 {
            assert!((5_000..=5_010).contains(&backoff.next(5_000)));
        }
    }
}
