//! Tests of the log reader, over logs written by RocksDB (`real`) and over logs made here, which can hold
//! what RocksDB never writes (`made`).

mod made;
mod real;

use super::walk::{Walked, walk};

/// Walks a log held in memory.
fn walked(log: &[u8]) -> Walked {
    walk(log, None).unwrap()
}

/// Checks what must hold for any bytes at all, and returns what was found.
fn checked(log: &[u8]) -> Walked {
    let found = walked(log);
    let len = log.len() as u64;
    assert!(found.end_of_intact <= len, "{found:?}");
    assert_eq!(
        found.batches == 0,
        found.last_sequence.is_none(),
        "{found:?}"
    );
    assert_eq!(found.batches == 0, found.end_of_intact == 0, "{found:?}");
    match found.damage {
        Some(damage) => {
            assert!(
                found.end_of_intact <= damage.offset && damage.offset <= len,
                "{found:?}"
            );
            assert!(
                damage
                    .later_batch_at
                    .is_none_or(|at| damage.offset <= at && at < len),
                "{found:?}"
            );
        }
        None => {
            // Nothing but zeros, or filler at the end of a block, can follow.
            let rest = &log[found.end_of_intact as usize..];
            assert!(
                rest.len() < 7 || rest[7..].iter().all(|b| *b == 0),
                "{found:?}"
            );
        }
    }
    found
}

/// Bytes that look random and are the same in every run.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(len)
    .collect()
}
