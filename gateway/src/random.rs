//! Random bytes by the handful, from the operating system, fetched by the page: openings and ids are made for every send.

use std::cell::RefCell;

use crate::error::{Error, Kind};

/// Bytes fetched at a time.
const PAGE: usize = 1024;

struct Pool {
    bytes: [u8; PAGE],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; PAGE], used: PAGE }) };
}

/// Random bytes that nobody else gets.
///
/// # Errors
/// When the operating system has none.
pub fn bytes<const LEN: usize>() -> Result<[u8; LEN], Error> {
    const { assert!(LEN <= PAGE) };
    POOL.with_borrow_mut(|pool| {
        if pool.used + LEN > PAGE {
            getrandom::fill(&mut pool.bytes).map_err(|_| Error::of(Kind::Internal))?;
            pool.used = 0;
        }
        let mut out = [0; LEN];
        let taken = &mut pool.bytes[pool.used..pool.used + LEN];
        out.copy_from_slice(taken);
        // What was given out is not kept.
        taken.fill(0);
        pool.used += LEN;
        Ok(out)
    })
}

/// A number to spread out those who would else all come at the same time. Without randomness they do, which is better than that
/// they are not told.
#[must_use]
pub fn spread() -> u32 {
    bytes().map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_alike() {
        let drawn: HashSet<[u8; 16]> = (0..1_000).map(|_| bytes().unwrap()).collect();
        assert_eq!(drawn.len(), 1_000);
        assert!(!drawn.contains(&[0; 16]));
    }
}
