//! How many logins of a user stand beside each other: by the configuration a new token ends earlier ones, and whoever came with them
//! is told why.

use tokio::sync::{Mutex, MutexGuard};
use waybill_core::command::Ask;
use waybill_core::fact::Revoked;
use waybill_core::id::{KeyedHash, UserNo};
use waybill_core::record::Surface;

use super::{Service, unreadable};
use crate::config::LoginPolicy;
use crate::error::Error;
use crate::registry::CloseReason;

/// Platforms by class: phones, computers, browsers. Those of one class stand for one another.
const CLASSES: [&[u8]; 3] = [&[1, 2], &[3, 4, 7], &[5, 6]];

/// Logins of different users that go on at one time, where each takes its turn among those of its user.
const TURNS: usize = 64;

/// The turns of logins: of two of one user at the same time, the later one ends the earlier.
pub(super) struct Logins([Mutex<()>; TURNS]);

impl Default for Logins {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Logins {
    async fn turn(&self, user: &KeyedHash) -> MutexGuard<'_, ()> {
        self.0[usize::from(user.0[0]) % TURNS].lock().await
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

impl Service {
    /// Waits for the turn of a login of this user on this platform, and ends the earlier ones that it takes the place of. The login
    /// is to be made before what this returns is dropped. Business accounts have as many logins as they like.
    ///
    /// # Errors
    /// When the earlier ones cannot be ended; then the new one may not be made.
    pub(super) async fn take_turn(
        &self,
        by: UserNo,
        surface: Surface,
        user: &str,
        platform: u8,
    ) -> Result<Option<MutexGuard<'_, ()>>, Error> {
        let policy = self.config().login;
        let ended = ended(policy, platform);
        if ended.is_empty() || self.0.authenticator.is_manager(user) {
            return Ok(None);
        }
        let hash = self.user_hash(user);
        let turn = self.0.logins.turn(&hash).await;
        let Some(number) = self.0.reader.user_no(hash).map_err(unreadable)? else {
            return Ok(Some(turn));
        };
        for which in ended {
            let ask = Ask::RevokeTokens {
                user: number,
                which,
            };
            self.ask(by, surface, ask).await?;
            self.0.authenticator.tokens_were_revoked();
            let registry = self.registry();
            match which {
                Revoked::Platform(platform) => {
                    registry.close_platform(user, platform, CloseReason::Replaced)
                }
                Revoked::All | Revoked::One(_) => registry.close_user(user, CloseReason::Replaced),
            };
        }
        Ok(Some(turn))
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
