//! How often somebody who was refused may try again: clients whose token is rejected come back every few seconds, for ever.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::http::admission::network;

/// The time over which refusals are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Refusals within it of one user from one address.
const OF_USER: u32 = 20;
/// Refusals within it of one address.
const OF_ADDRESS: u32 = 200;
/// Most addresses and users that are remembered; beyond it the oldest windows end early.
const REMEMBERED: usize = 16 * 1024;

type Key = (IpAddr, Option<u64>);

/// Who was refused lately.
#[derive(Default)]
pub struct Attempts(Mutex<HashMap<Key, (Instant, u32)>>);

impl Attempts {
    /// Whether somebody may try: this user, from this address.
    pub fn may_try(&self, address: IpAddr, user: &str, now: Instant) -> bool {
        let counts = self.0.lock();
        keys(address, user).iter().all(|(key, most)| {
            let count = counts.get(key).filter(|(since, _)| now - *since < WINDOW);
            count.is_none_or(|(_, count)| count < most)
        })
    }

    /// Notes a refusal.
    pub fn refused(&self, address: IpAddr, user: &str, now: Instant) {
        let mut counts = self.0.lock();
        if counts.len() >= REMEMBERED {
            counts.retain(|_, (since, _)| now - *since < WINDOW);
            if counts.len() >= REMEMBERED {
                // The newer half stays: whoever fills the table does not set everybody free.
                let mut begun: Vec<Instant> = counts.values().map(|(since, _)| *since).collect();
                let (_, middle, _) = begun.select_nth_unstable(REMEMBERED / 2);
                let middle = *middle;
                counts.retain(|_, (since, _)| *since > middle);
            }
        }
        for (key, _) in keys(address, user) {
            let count = counts.entry(key).or_insert((now, 0));
            if now - count.0 >= WINDOW {
                *count = (now, 0);
            }
            count.1 = count.1.saturating_add(1);
        }
    }
}

fn keys(address: IpAddr, user: &str) -> [(Key, u32); 2] {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let (address, mut hasher) = (network(address), DefaultHasher::new());
    user.hash(&mut hasher);
    [
        ((address, Some(hasher.finish())), OF_USER),
        ((address, None), OF_ADDRESS),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_too_often_waits() {
        let attempts = Attempts::default();
        let (address, now) = ("192.0.2.1".parse().unwrap(), Instant::now());
        for _ in 0..OF_USER {
            assert!(attempts.may_try(address, "u", now));
            attempts.refused(address, "u", now);
        }
        assert!(!attempts.may_try(address, "u", now));
        assert!(attempts.may_try(address, "v", now));
        assert!(attempts.may_try(address, "u", now + WINDOW));
        for user in 0..OF_ADDRESS {
            attempts.refused(address, &user.to_string(), now);
        }
        assert!(!attempts.may_try(address, "v", now), "the whole address");
        assert!(attempts.may_try("192.0.2.2".parse().unwrap(), "u", now));
        // Of IPv6 a network counts as one address: one peer has all of it.
        for user in 0..OF_ADDRESS {
            let address = format!("2001:db8::{user:x}").parse().unwrap();
            attempts.refused(address, &user.to_string(), now);
        }
        assert!(!attempts.may_try("2001:db8::ffff:1".parse().unwrap(), "v", now));
        assert!(attempts.may_try("2001:db8:0:1::1".parse().unwrap(), "v", now));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for number in 0..40_000_u32 {
            attempts.refused(IpAddr::from(number.to_be_bytes()), "u", now);
        }
        assert!(attempts.0.lock().len() <= REMEMBERED);
        // Whoever fills the table sets nobody free who was refused later.
        let (later, address) = (now + Duration::from_secs(1), "192.0.2.1".parse().unwrap());
        for _ in 0..OF_USER {
            attempts.refused(address, "u", later);
        }
        for number in 0..40_000_u32 {
            let filler = IpAddr::from((number | 1 << 31).to_be_bytes());
            attempts.refused(filler, "u", now);
        }
        assert!(!attempts.may_try(address, "u", later));
        assert!(attempts.0.lock().len() <= REMEMBERED + 2);
    }
}
