//! Long polls: a caller waits until what it watches has grown.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use waybill_core::outcome::StateError;
use waybill_log::Subscription;

use super::{Service, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::registry::{CloseReason, Transport};

impl Service {
    /// Returns when what is watched has grown, `wait` is over, or the connection should end. Meanwhile the caller counts as a live
    /// connection.
    ///
    /// # Errors
    /// When the caller has too many connections, the token was revoked or ran out meanwhile, or the log cannot be read.
    pub(super) async fn wait_for(
        &self,
        principal: &Principal,
        watch: &mut Subscription,
        has_grown: impl Fn() -> Result<bool, StateError>,
        wait: Duration,
    ) -> Result<(), Error> {
        let until = Instant::now() + wait;
        let live = self.go_live(principal, "", Transport::LongPoll)?;
        // A token may say that it never ends.
        let expires = Instant::now().checked_add(self.left(principal));
        let expires = expires.unwrap_or(until + wait);
        loop {
            tokio::select! {
                () = watch.grown() => {
                    // The watch may tell of what was there before.
                    if has_grown().map_err(unreadable)? {
                        return Ok(());
                    }
                }
                () = sleep_until(until.min(expires)) => {
                    return if expires <= until {
                        Err(Error::of(Kind::TokenExpired))
                    } else {
                        Ok(())
                    };
                }
                reason = live.closed() => return match reason {
                    CloseReason::Revoked | CloseReason::Replaced => Err(Error::of(Kind::TokenRevoked)),
                    CloseReason::Superseded | CloseReason::Stopping => Ok(()),
                },
            }
        }
    }
}
