//! The histories that a ledger has been: the one with which it began, and one more for each restore from a copy. It knows nothing of
//! how a restore is made.

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, Position};

/// A restore of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// Its record, the first of the new history.
    pub position: Position,
    /// The identity of the new history.
    pub epoch: Epoch,
    /// How many places each log leaves out before its next entry.
    pub gap: u64,
}

/// The epochs of a ledger, each from a position on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs {
    first: Epoch,
    restores: Vec<Restore>,
}

impl Epochs {
    /// Of a ledger that began with the epoch `first`; restores ascend by their positions.
    #[must_use]
    pub fn new(first: Epoch, restores: Vec<Restore>) -> Self {
        Self { first, restores }
    }

    /// The epoch with which the ledger began.
    #[must_use]
    pub fn first(&self) -> Epoch {
        self.first
    }

    /// The epoch in force.
    #[must_use]
    pub fn current(&self) -> Epoch {
        self.restores.last().map_or(self.first, |last| last.epoch)
    }

    /// The restores, ascending.
    #[must_use]
    pub fn restores(&self) -> &[Restore] {
        &self.restores
    }

    /// The epoch in which the record at a position was written, or would be.
    #[must_use]
    pub fn of(&self, position: Position) -> Epoch {
        let later = self
            .restores
            .partition_point(|restore| restore.position <= position);
        match later
            .checked_sub(1)
            .and_then(|last| self.restores.get(last))
        {
            Some(restore) => restore.epoch,
            None => self.first,
        }
    }

    /// Whether the record at a position belongs to the epoch of this number. If not, the record that is meant was lost.
    #[must_use]
    pub fn holds(&self, number: u16, position: Position) -> bool {
        self.of(position).number() == number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_belongs_to_the_epoch_in_which_it_was_written() {
        let epoch = |number| Epoch::new(number, [7; 14]);
        let restore = |position, number| Restore {
            position: Position(position),
            epoch: epoch(number),
            gap: 1_000,
        };
        let never = Epochs::new(epoch(1), Vec::new());
        assert_eq!(never.current(), epoch(1));
        assert!(never.holds(1, Position(u64::MAX)) && !never.holds(2, Position(1)));
        let epochs = Epochs::new(epoch(1), vec![restore(10, 2), restore(12, 5)]);
        assert_eq!((epochs.first(), epochs.current()), (epoch(1), epoch(5)));
        for (position, number) in [(1, 1), (9, 1), (10, 2), (11, 2), (12, 5), (13, 5)] {
            assert_eq!(epochs.of(Position(position)).number(), number, "{position}");
            for other in 0..7 {
                assert_eq!(epochs.holds(other, Position(position)), other == number);
            }
        }
    }
}
