//! How many logins of a user stand beside each other: by the configuration a new token ends earlier ones, and whoever came with them
//! is told why.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, Semaphore};
use waybill_core::fact::Revoked;
use waybill_core::id::KeyedHash;

use super::Service;
use crate::config::LoginPolicy;
use crate::error::{Error, Kind};
use crate::registry::CloseReason;

/// Platforms by class: phones, computers, browsers. Those of one class stand for one another.
const CLASSES: [&[u8]; 3] = [&[1, 2], &[3, 4, 7], &[5, 6]];

/// Logins of different users that go on at one time, where each takes its turn among those of its user.
const TURNS: usize = 64;

/// Logins and revocations in hand at one time, their callers there or not. One more is refused.
const IN_HAND: usize = 1_024;

/// The logins in hand.
pub(super) struct Logins {
    /// Of two of one user at the same time, the later one ends the earlier.
    turns: [Mutex<()>; TURNS],
    room: Arc<Semaphore>,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            turns: std::array::from_fn(|_| Mutex::default()),
            room: Arc::new(Semaphore::new(IN_HAND)),
        }
    }
}

impl Logins {
    async fn turn(&self, user: &KeyedHash) -> MutexGuard<'_, ()> {
        self.turns[usize::from(user.0[0]) % TURNS].lock().await
    }
}

/// Whose tokens a login on this platform ends.
fn ended(policy: LoginPolicy, platform: u8) -> Vec<Revoked> {
    match policy {
        LoginPolicy::Several => Vec::new(),
        LoginPolicy::One => vec![Revoked::All],
        LoginPolicy::OnePerClass => {
            let own = CLASSES.iter().find(|class| class.contains(&platform));
            let platforms = own.map_or(&[][..], |class| *class);
            platforms
                .iter()
                .map(|one| Revoked::Platform(*one))
                .collect()
        }
    }
}

/// The turn of a login: that of the next one comes when this is dropped.
pub(super) struct Turn<'s> {
    _guard: Option<MutexGuard<'s, ()>>,
    ends: Vec<Revoked>,
}

impl Turn<'_> {
    /// Which earlier tokens the new one ends. The writer ends them and issues it at once, so a login that fails ends none.
    pub(super) fn ends(&self) -> Vec<Revoked> {
        self.ends.clone()
    }
}

impl Service {
    /// Does what must not stop half-way when the caller goes: tokens that the writer has revoked are to be forgotten here too.
    pub(super) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let room = Arc::clone(&self.0.logins.room).try_acquire_owned();
        let room = room.map_err(|_| Error::of(Kind::Busy))?;
        let done = tokio::spawn(async move {
            let done = work.await;
            drop(room);
            done
        });
        done.await
            .unwrap_or_else(|_| Err(Error::of(Kind::Internal)))
    }

    /// Waits for the turn of a login of this user on this platform. Business accounts have as many logins as they like.
    pub(super) async fn take_turn(&self, user: &str, platform: u8) -> Turn<'_> {
        let mut ends = ended(self.config().login, platform);
        if ends.is_empty() || self.0.authenticator.is_manager(user) {
            ends.clear();
            return Turn { _guard: None, ends };
        }
        let guard = Some(self.0.logins.turn(&self.user_hash(user)).await);
        Turn {
            _guard: guard,
            ends,
        }
    }

    /// The login whose turn it was is made: whoever came with a token that it has ended is told why, and goes. Nobody has come
    /// with the new one yet.
    pub(super) fn logged_in(&self, turn: Turn<'_>, user: &str) {
        if turn.ends.is_empty() {
            return;
        }
        self.0.authenticator.tokens_were_revoked();
        let registry = self.registry();
        for which in turn.ends {
            match which {
                Revoked::Platform(platform) => {
                    registry.close_platform(user, platform, CloseReason::Replaced)
                }
                Revoked::All | Revoked::One(_) => registry.close_user(user, CloseReason::Replaced),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_ends_those_of_its_class_or_all_or_none() {
        assert_eq!(ended(LoginPolicy::Several, 2), []);
        assert_eq!(ended(LoginPolicy::One, 2), [Revoked::All]);
        let of_phone = [Revoked::Platform(1), Revoked::Platform(2)];
        assert_eq!(ended(LoginPolicy::OnePerClass, 2), of_phone);
        assert_eq!(
            ended(LoginPolicy::OnePerClass, 5),
            [Revoked::Platform(5), Revoked::Platform(6)]
        );
        assert_eq!(ended(LoginPolicy::OnePerClass, 8), []);
    }
}
