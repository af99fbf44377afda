//! Mutations without a guide: what the quick run does to the inputs of the corpus.

/// Bytes and words at which decoders change their mind.
const EDGES: [&[u8]; 22] = [
    b"\x00",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xfa",
    b"\xfb",
    b"\xfc",
    b"\xfd",
    b"\xfe",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\\u0000",
    b"\\ud83d",
    b"1e999",
    b"null",
    b"[[[[[[[[",
    b"%ff",
    b"\"",
    b"_",
];

/// Random numbers from a seed, the same each time (SplitMix64). Not for secrets.
pub struct Dice(u64);

impl Dice {
    /// The dice of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}

/// One of `corpus`, changed in one to eight places, and no longer than `longest`.
#[must_use]
pub fn mutated(corpus: &[Vec<u8>], longest: usize, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = corpus
        .get(dice.below(corpus.len()))
        .cloned()
        .unwrap_or_default();
    for _ in 0..=dice.below(8) {
        change(&mut bytes, corpus, dice);
    }
    bytes.truncate(longest);
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    let length = dice.below(1 + 16.min(bytes.len() - at));
    match dice.below(7) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.below(256) as u8;
            }
        }
        2 => {
            let edge = EDGES[dice.below(EDGES.len())];
            bytes.splice(at..at, edge.iter().copied());
        }
        3 => {
            let edge = EDGES[dice.below(EDGES.len())];
            let end = bytes.len().min(at + edge.len());
            bytes.splice(at..end, edge.iter().copied());
        }
        4 => drop(bytes.drain(at..at + length)),
        5 => {
            let again = bytes[at..at + length].to_vec();
            bytes.splice(at..at, again);
        }
        // The beginning of this one, the end of another.
        _ => {
            if let Some(other) = corpus.get(dice.below(corpus.len())) {
                bytes.truncate(at);
                bytes.extend_from_slice(&other[dice.below(other.len() + 1)..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_inputs_and_most_are_new() {
        let corpus = [b"hello".to_vec(), Vec::new(), vec![7; 100]];
        let some = |seed| {
            let mut dice = Dice::new(seed);
            let inputs = (0..200).map(|_| mutated(&corpus, 64, &mut dice));
            inputs.collect::<Vec<_>>()
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let mut inputs = some(3);
        assert!(inputs.iter().all(|input| input.len() <= 64));
        inputs.sort_unstable();
        inputs.dedup();
        assert!(inputs.len() > 100, "{}", inputs.len());
        assert!(mutated(&[], 64, &mut Dice::new(1)).len() <= 64);
    }
}
