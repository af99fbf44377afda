//! How fast messages of ordinary users are taken: so many a second of one sender, and for one receiver, with room for a burst.
//! Business accounts are bounded by what is under way instead, unless the configuration gives them a rate too.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use waybill_core::id::{KeyedHash, UserNo};

use crate::auth::Principal;
use crate::config::Limits;
use crate::error::{Error, Kind};

/// How many keys a rate remembers before it looks for those that need not be remembered: who has the whole burst again. So it
/// holds no more than twice as many as sent, or got, a message within the time that a burst takes to come back.
const FEW_KEYS: usize = 4_096;

/// The rates of one server.
pub(super) struct Rates<C: Clock = DefaultClock> {
    users: Option<Rate<UserNo, C>>,
    accounts: Option<Rate<UserNo, C>>,
    receivers: Option<Rate<KeyedHash, C>>,
}

/// What a sender may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Messages at once after a pause.
    pub burst: u64,
    /// Messages a second, on average.
    pub per_second: u64,
    /// Messages that would be taken now.
    pub left: u64,
}

impl Allowance {
    /// Seconds in which a used burst comes back.
    #[must_use]
    pub const fn window(&self) -> u64 {
        self.burst.div_ceil(self.per_second)
    }
}

impl Rates {
    pub fn new(limits: &Limits) -> Self {
        Self::with_clock(limits, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(limits: &Limits, clock: &C) -> Self {
        let (business, burst) = (
            limits.business_sends_per_second,
            limits.business_sends_burst,
        );
        Self {
            users: Rate::new(limits.sends_per_second, limits.sends_burst, clock),
            accounts: Rate::new(business, burst, clock),
            receivers: Rate::new(limits.receives_per_second, limits.receives_burst, clock),
        }
    }

    /// Counts a message of this caller to this receiver, and says what the caller may still do; nothing when no rate holds.
    ///
    /// # Errors
    /// [`Kind::RateLimited`] when it comes too soon.
    pub fn take(
        &self,
        principal: &Principal,
        receiver: KeyedHash,
    ) -> Result<Option<Allowance>, Error> {
        let number = principal.number;
        if principal.is_business() {
            let accounts = self.accounts.as_ref();
            return accounts
                .map(|rate| rate.take(&number, "you send"))
                .transpose();
        }
        let users = self.users.as_ref();
        let allowance = users
            .map(|rate| rate.take(&number, "you send"))
            .transpose()?;
        if let Some(rate) = &self.receivers {
            rate.take(&receiver, "this receiver gets")?;
        }
        Ok(allowance)
    }

    /// What a caller may do who has paused; nothing when no rate holds.
    pub fn allowance(&self, principal: &Principal) -> Option<Allowance> {
        let rate = match principal.is_business() {
            true => &self.accounts,
            false => &self.users,
        };
        rate.as_ref().map(|rate| rate.whole)
    }
}

/// A rate for each of many keys.
struct Rate<K: Hash + Eq + Clone, C: Clock> {
    limiter: RateLimiter<K, HashMapStateStore<K>, C, StateInformationMiddleware>,
    whole: Allowance,
    /// With how many keys it looks for those that need not be remembered.
    sweep_at: AtomicUsize,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Rate<K, C> {
    /// `None` when the rate is 0, which stands for none.
    fn new(per_second: u64, burst: u64, clock: &C) -> Option<Self> {
        let number = |value: u64| NonZeroU32::new(u32::try_from(value).unwrap_or(u32::MAX));
        let quota = Quota::per_second(number(per_second)?).allow_burst(number(burst)?);
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), clock.clone());
        Some(Self {
            limiter,
            whole: Allowance {
                burst,
                per_second,
                left: burst,
            },
            sweep_at: AtomicUsize::new(FEW_KEYS),
        })
    }

    fn take(&self, key: &K, whose: &str) -> Result<Allowance, Error> {
        if self.limiter.len() >= self.sweep_at.load(Ordering::Relaxed) {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
            let next = (self.limiter.len() * 2).max(FEW_KEYS);
            self.sweep_at.store(next, Ordering::Relaxed);
        }
        match self.limiter.check_key(key) {
            Ok(state) => Ok(Allowance {
                left: u64::from(state.remaining_burst_capacity()),
                ..self.whole
            }),
            Err(_) => {
                let Allowance {
                    per_second, burst, ..
                } = self.whole;
                let detail = format!(
                    "{whose} more than {per_second} messages a second, or {burst} at once: nothing was done, try again in a second"
                );
                Err(Error::new(Kind::RateLimited, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::auth::Role;

    fn principal(number: u64, role: Role) -> Principal {
        Principal {
            user: format!("u{number}"),
            number: UserNo(number),
            role,
            platform: 1,
            expires: 0,
            token: KeyedHash([0; 16]),
        }
    }

    fn receiver(number: u8) -> KeyedHash {
        KeyedHash([number; 16])
    }

    fn taken<C: Clock + Clone>(
        rates: &Rates<C>,
        by: &Principal,
        to: impl Fn(u8) -> KeyedHash,
    ) -> usize {
        let refused = |error: Error| assert_eq!(error.kind, Kind::RateLimited);
        let results = (0..250).map(|n| rates.take(by, to(n)).map_err(refused));
        results.filter(Result::is_ok).count()
    }

    #[test]
    fn a_sender_has_a_burst_and_then_the_rate() {
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(&Limits::default(), &clock);
        let (one, other) = (principal(1, Role::User), principal(2, Role::User));
        assert_eq!(taken(&rates, &one, receiver), 100);
        assert_eq!(taken(&rates, &other, receiver), 100, "each has their own");
        clock.advance(Duration::from_secs(1));
        assert_eq!(taken(&rates, &one, receiver), 20);
        clock.advance(Duration::from_secs(60));
        let first = rates.take(&one, receiver(1)).ok().flatten();
        let left = first.map(|allowance| (allowance.left, allowance.window()));
        assert_eq!(left, Some((99, 5)));
        assert_eq!(taken(&rates, &one, receiver), 99);
    }

    #[test]
    fn a_receiver_is_spared_whoever_sends() {
        let clock = FakeRelativeClock::default();
        let limits = Limits {
            receives_per_second: 5,
            receives_burst: 10,
            ..Limits::default()
        };
        let rates = Rates::with_clock(&limits, &clock);
        let sent = (1..=10).map(|n| taken(&rates, &principal(n, Role::User), |_| receiver(7)));
        assert_eq!(sent.sum::<usize>(), 10);
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            taken(&rates, &principal(11, Role::User), |_| receiver(7)),
            5
        );
        assert_eq!(
            taken(&rates, &principal(12, Role::User), |_| receiver(8)),
            10
        );
    }

    #[test]
    fn business_accounts_have_no_rate_unless_they_are_given_one() {
        let clock = FakeRelativeClock::default();
        let account = principal(1, Role::Business);
        let rates = Rates::with_clock(&Limits::default(), &clock);
        assert_eq!(taken(&rates, &account, |_| receiver(1)), 250);
        assert_eq!(rates.allowance(&account), None);
        let limits = Limits {
            business_sends_per_second: 50,
            business_sends_burst: 60,
            sends_per_second: 0,
            receives_per_second: 0,
            ..Limits::default()
        };
        let rates = Rates::with_clock(&limits, &clock);
        assert_eq!(taken(&rates, &account, |_| receiver(1)), 60);
        let user = principal(2, Role::User);
        assert_eq!(taken(&rates, &user, |_| receiver(1)), 250, "0 is no rate");
    }

    #[test]
    fn who_has_paused_is_forgotten() {
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(&Limits::default(), &clock);
        let remembered = |rates: &Rates<_>| rates.users.as_ref().map(|rate| rate.limiter.len());
        for number in 0..4 * FEW_KEYS as u64 {
            let hash = receiver((number % 250) as u8);
            assert!(rates.take(&principal(number, Role::User), hash).is_ok() || number > 0);
            clock.advance(Duration::from_millis(1));
        }
        assert!(
            remembered(&rates) < Some(2 * FEW_KEYS),
            "{:?}",
            remembered(&rates)
        );
    }
}
