//! Which faults are switched on, and what has been counted for them. It knows numbers only.

use std::time::Duration;

use super::Options;

/// What becomes of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It does what it says.
    Durable,
    /// It fails, and what it should have saved is given up.
    Fails,
    /// It says that it succeeded, and nothing is durable.
    Lies,
}

pub(super) struct Faults {
    pub(super) sync_delay: Duration,
    pub(super) lying_syncs: bool,
    /// How many bytes files may still grow by; `None`: as many as the backing file system takes.
    pub(super) space_left: Option<u64>,
    /// Syncs that still succeed, and how many fail after them.
    pub(super) failing_syncs: Option<(u64, u64)>,
    /// Syncs asked for since the file system was mounted, those of directories included.
    pub(super) syncs: u64,
}

impl Faults {
    pub(super) fn new(options: &Options) -> Faults {
        Faults {
            sync_delay: options.sync_delay,
            lying_syncs: options.lying_syncs,
            space_left: options.space_left,
            failing_syncs: None,
            syncs: 0,
        }
    }

    /// Counts a sync and says what becomes of it.
    pub(super) fn next_sync(&mut self) -> Outcome {
        self.syncs += 1;
        match &mut self.failing_syncs {
            Some((before @ 1.., _)) => *before -= 1,
            Some((0, failures @ 1..)) => {
                *failures -= 1;
                return Outcome::Fails;
            }
            _ => {}
        }
        if self.lying_syncs {
            Outcome::Lies
        } else {
            Outcome::Durable
        }
    }

    /// How many of `length` bytes, written at `offset` to a file of `size` bytes, find room. Takes the room.
    pub(super) fn take_space(&mut self, size: u64, offset: u64, length: u64) -> u64 {
        let Some(left) = &mut self.space_left else {
            return length;
        };
        let growth = (offset + length).saturating_sub(size);
        let granted = growth.min(*left);
        // What does not fit is cut off at the end, which may leave less than the hole before `offset`.
        let fits = length.saturating_sub(growth - granted);
        if fits > 0 || length == 0 {
            *left -= (offset + fits).saturating_sub(size);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_fail_when_they_are_told_to() {
        let mut faults = Faults::new(&Options::default());
        faults.failing_syncs = Some((2, 1));
        let outcomes: Vec<Outcome> = (0..4).map(|_| faults.next_sync()).collect();
        use Outcome::{Durable, Fails};
        assert_eq!(outcomes, [Durable, Durable, Fails, Durable]);
        assert_eq!(faults.syncs, 4);
    }

    #[test]
    fn space_is_taken_by_growth_alone() {
        let mut faults = Faults::new(&Options {
            space_left: Some(100),
            ..Options::default()
        });
        assert_eq!(
            faults.take_space(1000, 0, 1000),
            1000,
            "overwriting takes none"
        );
        assert_eq!(faults.take_space(1000, 980, 80), 80, "60 of it are new");
        assert_eq!(
            faults.take_space(1060, 1060, 50),
            40,
            "the rest fits in part"
        );
        assert_eq!(faults.take_space(1100, 1100, 1), 0, "full");
        assert_eq!(
            faults.take_space(1100, 500, 600),
            600,
            "overwriting still works"
        );
    }

    #[test]
    fn a_hole_larger_than_the_space_takes_nothing() {
        let mut faults = Faults::new(&Options {
            space_left: Some(100),
            ..Options::default()
        });
        assert_eq!(faults.take_space(0, 1000, 10), 0);
        assert_eq!(faults.space_left, Some(100));
    }
}
