//! Random numbers of the tests: a seed in, always the same numbers out. Not for secrets. It knows nobody who throws them.

/// SplitMix64 (Steele, Lea, Flood 2014): tiny, and good enough to choose sectors and moments.
pub struct Dice(u64);

impl Dice {
    /// The dice of a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `limit`, both included. The bias is far below what a test could see.
    pub fn up_to(&mut self, limit: u64) -> u64 {
        match limit.checked_add(1) {
            Some(count) => self.next() % count,
            None => self.next(),
        }
    }

    /// A seed for somebody else's dice.
    pub fn seed(&mut self) -> u64 {
        self.next()
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn a_seed_gives_the_same_numbers_and_both_sides_of_the_coin() {
        let roll = |seed| {
            let mut dice = Dice::new(seed);
            (0..64).map(|_| dice.coin()).collect::<Vec<_>>()
        };
        assert_eq!(roll(7), roll(7));
        assert_ne!(roll(7), roll(8));
        assert!(roll(7).contains(&true) && roll(7).contains(&false));
    }

    #[test]
    fn a_number_stays_within_its_limit_and_reaches_it() {
        let mut dice = Dice::new(1);
        let rolls: Vec<u64> = (0..200).map(|_| dice.up_to(3)).collect();
        assert_eq!(rolls.iter().max(), Some(&3));
        assert_eq!(rolls.iter().min(), Some(&0));
    }
}
