//! From the text of a token to a principal: signature, times, and whether it still stands.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use waybill_core::hash::{Domain, HashKey};
use waybill_core::id::{KeyedHash, UserNo};

use super::cache::{Cache, Verified};
use super::keys::KeyRing;
use super::principal::{Principal, Role, platform_number};
use super::token::{Claims, Minted};
use crate::error::{Error, Kind};

/// What the log says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was issued for this user and stands.
    Live(UserNo),
    /// It was issued and revoked.
    Revoked,
    /// It was never issued here.
    Unknown,
}

/// The state of tokens cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of tokens cannot be read")]
pub struct StateUnavailable;

/// Knows which tokens were issued and revoked, as of the durable position.
pub trait TokenState: Send + Sync + 'static {
    /// What became of the token with this keyed hash.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn standing(&self, token: &KeyedHash) -> Result<Standing, StateUnavailable>;
}

/// Makes and verifies tokens.
pub struct Authenticator {
    keys: KeyRing,
    hash_key: HashKey,
    managers: HashSet<String>,
    state: Arc<dyn TokenState>,
    /// Tolerance for callers' clocks, in seconds.
    skew: u64,
    cache: Cache,
    /// Grows with each revocation; what was looked up before is looked up again.
    revocations: AtomicU64,
}

impl Authenticator {
    /// Takes the keys, the ids of managers, and where the state of tokens is found.
    #[must_use]
    pub fn new(
        keys: KeyRing,
        hash_key: HashKey,
        managers: impl IntoIterator<Item = String>,
        state: Arc<dyn TokenState>,
        skew: u64,
        cache_entries: usize,
    ) -> Self {
        Self {
            keys,
            hash_key,
            managers: managers.into_iter().collect(),
            state,
            skew,
            cache: Cache::new(cache_entries),
            revocations: AtomicU64::new(0),
        }
    }

    /// Whether this user is a manager.
    #[must_use]
    pub fn is_manager(&self, user: &str) -> bool {
        self.managers.contains(user)
    }

    /// Makes a token. It is worth nothing until its issue is a fact.
    ///
    /// # Errors
    /// As [`KeyRing::mint`].
    pub fn mint(&self, user: &str, platform: u8, lifetime: u64, now: u64) -> Result<Minted, Error> {
        self.keys.mint(user, platform, lifetime, now)
    }

    /// The keyed hash under which the log knows a token.
    #[must_use]
    pub fn hash(&self, token: &str) -> KeyedHash {
        self.hash_key.hash(Domain::Token, &[token.as_bytes()])
    }

    /// Must be called when a revocation is durable, before its answer goes out.
    pub fn tokens_were_revoked(&self) {
        self.revocations.fetch_add(1, Ordering::AcqRel);
    }

    /// Who calls with this token at `now`, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// One of the kinds of token errors.
    pub fn authenticate(&self, token: &str, now: u64) -> Result<Arc<Principal>, Error> {
        if token.is_empty() {
            return Err(Error::of(Kind::NoToken));
        }
        // Read before the state: a revocation that comes in between makes the entry look old, never current.
        let revocations = self.revocations.load(Ordering::Acquire);
        if let Some(known) = self.cache.get(token) {
            self.check_time(known.not_before, known.principal.expires, now)?;
            if known.is_current(revocations) {
                return Ok(Arc::clone(&known.principal));
            }
            return match self.look_up(&known.principal.token) {
                Ok(_) => {
                    known.refreshed(revocations);
                    Ok(Arc::clone(&known.principal))
                }
                Err(error) => {
                    self.cache.remove(token);
                    Err(error)
                }
            };
        }
        let claims = self.keys.verify(token, now)?;
        self.check_time(claims.not_before, claims.expires, now)?;
        let hash = self.hash(token);
        let number = self.look_up(&hash)?;
        let verified = Arc::new(self.verified(claims, hash, number, revocations));
        self.cache.put(token, Arc::clone(&verified));
        Ok(Arc::clone(&verified.principal))
    }

    /// Whether a token that was good is still.
    ///
    /// # Errors
    /// When it was revoked, or the state of tokens cannot be read.
    pub fn still_stands(&self, token: &KeyedHash) -> Result<(), Error> {
        self.look_up(token).map(|_| ())
    }

    fn verified(&self, claims: Claims, hash: KeyedHash, number: UserNo, seen_at: u64) -> Verified {
        let role = if self.is_manager(&claims.user) {
            Role::Business
        } else {
            Role::User
        };
        Verified {
            principal: Arc::new(Principal {
                number,
                role,
                platform: platform_number(&claims.platform),
                expires: claims.expires,
                user: claims.user,
                token: hash,
            }),
            not_before: claims.not_before,
            seen_at: AtomicU64::new(seen_at),
        }
    }

    fn check_time(&self, not_before: u64, expires: u64, now: u64) -> Result<(), Error> {
        if now >= expires.saturating_add(self.skew) {
            Err(Error::of(Kind::TokenExpired))
        } else if now.saturating_add(self.skew) < not_before {
            Err(Error::of(Kind::TokenEarly))
        } else {
            Ok(())
        }
    }

    fn look_up(&self, hash: &KeyedHash) -> Result<UserNo, Error> {
        match self.state.standing(hash) {
            Ok(Standing::Live(number)) => Ok(number),
            Ok(Standing::Revoked) => Err(Error::of(Kind::TokenRevoked)),
            Ok(Standing::Unknown) => Err(Error::of(Kind::TokenUnknown)),
            Err(StateUnavailable) => Err(Error::of(Kind::TokenState)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::AtomicUsize;

    use parking_lot::Mutex;

    use super::*;
    use crate::telemetry::Secret;

    const NOW: u64 = 1_800_000_000;

    #[derive(Default)]
    struct Log {
        tokens: Mutex<HashMap<KeyedHash, Standing>>,
        broken: Mutex<bool>,
        asked: AtomicUsize,
    }

    impl TokenState for Log {
        fn standing(&self, token: &KeyedHash) -> Result<Standing, StateUnavailable> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if *self.broken.lock() {
                return Err(StateUnavailable);
            }
            Ok(self
                .tokens
                .lock()
                .get(token)
                .copied()
                .unwrap_or(Standing::Unknown))
        }
    }

    fn setup() -> (Arc<Log>, Authenticator) {
        let log = Arc::new(Log::default());
        let keys = KeyRing::new(&Secret::new("k".repeat(32)), None);
        let managers = ["oa".to_owned()];
        let state: Arc<dyn TokenState> = Arc::<Log>::clone(&log);
        let hash_key = HashKey::new(&[1; 32]);
        (
            log,
            Authenticator::new(keys, hash_key, managers, state, 30, 64),
        )
    }

    fn issue(log: &Log, auth: &Authenticator, user: &str, lifetime: u64) -> String {
        let token = auth
            .mint(user, 1, lifetime, NOW)
            .unwrap()
            .token
            .expose()
            .clone();
        log.tokens
            .lock()
            .insert(auth.hash(&token), Standing::Live(UserNo(9)));
        token
    }

    fn kind(result: Result<Arc<Principal>, Error>) -> Kind {
        result.unwrap_err().kind
    }

    #[test]
    fn a_token_becomes_a_principal_with_its_role() {
        let (log, auth) = setup();
        let token = issue(&log, &auth, "u", 60);
        let who = auth.authenticate(&token, NOW).unwrap();
        assert_eq!(
            (who.user.as_str(), who.number, who.role, who.platform),
            ("u", UserNo(9), Role::User, 1)
        );
        let token = issue(&log, &auth, "oa", 60);
        assert_eq!(auth.authenticate(&token, NOW).unwrap().role, Role::Business);
    }

    #[test]
    fn the_log_is_asked_once_until_something_is_revoked() {
        let (log, auth) = setup();
        let one = issue(&log, &auth, "u", 60);
        let two = issue(&log, &auth, "v", 60);
        for _ in 0..5 {
            auth.authenticate(&one, NOW).unwrap();
            auth.authenticate(&two, NOW).unwrap();
        }
        assert_eq!(log.asked.load(Ordering::SeqCst), 2);
        log.tokens.lock().insert(auth.hash(&one), Standing::Revoked);
        auth.tokens_were_revoked();
        assert_eq!(kind(auth.authenticate(&one, NOW)), Kind::TokenRevoked);
        assert_eq!(kind(auth.authenticate(&one, NOW)), Kind::TokenRevoked);
        assert!(auth.authenticate(&two, NOW).is_ok());
        let asked = log.asked.load(Ordering::SeqCst);
        assert!(auth.authenticate(&two, NOW).is_ok());
        assert_eq!(
            log.asked.load(Ordering::SeqCst),
            asked,
            "is remembered again"
        );
    }

    #[test]
    fn times_are_checked_on_every_call_also_of_remembered_tokens() {
        let (log, auth) = setup();
        let token = issue(&log, &auth, "u", 60);
        assert!(auth.authenticate(&token, NOW).is_ok());
        assert!(
            auth.authenticate(&token, NOW + 89).is_ok(),
            "within the tolerance"
        );
        assert_eq!(
            kind(auth.authenticate(&token, NOW + 90)),
            Kind::TokenExpired
        );
        assert!(auth.authenticate(&token, NOW - 330).is_ok());
        assert_eq!(kind(auth.authenticate(&token, NOW - 331)), Kind::TokenEarly);
        let fresh = issue(&log, &auth, "u", 60);
        assert_eq!(
            kind(auth.authenticate(&fresh, NOW + 90)),
            Kind::TokenExpired
        );
        assert_eq!(kind(auth.authenticate(&fresh, NOW - 331)), Kind::TokenEarly);
    }

    #[test]
    fn a_good_signature_is_not_enough() {
        let (log, auth) = setup();
        assert_eq!(kind(auth.authenticate("", NOW)), Kind::NoToken);
        let token = auth.mint("u", 1, 60, NOW).unwrap().token.expose().clone();
        assert_eq!(kind(auth.authenticate(&token, NOW)), Kind::TokenUnknown);
        log.tokens
            .lock()
            .insert(auth.hash(&token), Standing::Live(UserNo(1)));
        *log.broken.lock() = true;
        assert_eq!(kind(auth.authenticate(&token, NOW)), Kind::TokenState);
        *log.broken.lock() = false;
        assert!(
            auth.authenticate(&token, NOW).is_ok(),
            "a failure is not remembered"
        );
    }
}
