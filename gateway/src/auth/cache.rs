//! Tokens that were verified a moment ago, so that a busy caller does not pay for a signature with every request. Bounded:
//! what was not asked for during a whole generation of the cache is forgotten.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::principal::Principal;
use parking_lot::RwLock;

/// What is remembered of a token with a good signature.
pub(super) struct Verified {
    pub principal: Arc<Principal>,
    pub not_before: u64,
    /// The count of revocations when its state was last looked up.
    pub seen_at: AtomicU64,
}

/// The cache. It lives in two generations: entries are added to the young one, and when that is full it becomes the old
/// one, whose entries are forgotten unless they are asked for.
pub(super) struct Cache {
    half: usize,
    generations: RwLock<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Box<str>, Arc<Verified>>,
    old: HashMap<Box<str>, Arc<Verified>>,
}

impl Cache {
    /// A cache of at most `entries` tokens.
    pub fn new(entries: usize) -> Self {
        Self {
            half: (entries / 2).max(1),
            generations: RwLock::default(),
        }
    }

    pub fn get(&self, token: &str) -> Option<Arc<Verified>> {
        let generations = self.generations.read();
        if let Some(found) = generations.young.get(token) {
            return Some(Arc::clone(found));
        }
        let found = Arc::clone(generations.old.get(token)?);
        drop(generations);
        self.put(token, Arc::clone(&found));
        Some(found)
    }

    pub fn put(&self, token: &str, verified: Arc<Verified>) {
        let mut generations = self.generations.write();
        if generations.young.len() >= self.half {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(token.into(), verified);
    }

    pub fn remove(&self, token: &str) {
        let mut generations = self.generations.write();
        generations.young.remove(token);
        generations.old.remove(token);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let generations = self.generations.read();
        generations.young.len() + generations.old.len()
    }
}

impl Verified {
    /// Whether its state was looked up at this count of revocations.
    pub fn is_current(&self, revocations: u64) -> bool {
        self.seen_at.load(Ordering::Acquire) == revocations
    }

    /// Notes that its state was looked up when the count was `revocations`.
    pub fn refreshed(&self, revocations: u64) {
        self.seen_at.fetch_max(revocations, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use waybill_core::id::{KeyedHash, UserNo};

    use super::*;
    use crate::auth::Role;

    fn verified(user: &str) -> Arc<Verified> {
        let principal = Principal {
            user: user.to_owned(),
            number: UserNo(1),
            role: Role::User,
            platform: 1,
            expires: 0,
            token: KeyedHash([0; 16]),
        };
        Arc::new(Verified {
            principal: Arc::new(principal),
            not_before: 0,
            seen_at: AtomicU64::new(0),
        })
    }

    #[test]
    fn it_stays_within_its_bound_and_keeps_what_is_used() {
        let cache = Cache::new(10);
        cache.put("kept", verified("kept"));
        for number in 0..1_000 {
            cache.put(&format!("t{number}"), verified("x"));
            assert_eq!(
                cache.get("kept").expect("is asked for").principal.user,
                "kept"
            );
            assert!(cache.len() <= 10);
        }
        assert!(cache.get("t0").is_none());
        cache.remove("kept");
        assert!(cache.get("kept").is_none());
    }
}
