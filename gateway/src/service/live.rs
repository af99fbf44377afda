//! What live connections need of the service, whatever carries them: a place among the live ones, pages of a bounded size, the
//! end of a log, tickets, and the words of a goodbye.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use waybill_core::wire::Bye;

use super::{Service, Span, check, now_seconds, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::live::End;
use crate::random;
use crate::registry::{Identity, PresenceWatch, Registration, Transport, WATCHED_USERS};

/// A connection's place among the live ones, counted while it is held.
pub struct LivePlace {
    live: Registration,
    open: Gauge,
}

impl std::ops::Deref for LivePlace {
    type Target = Registration;

    fn deref(&self) -> &Registration {
        &self.live
    }
}

impl Drop for LivePlace {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Service {
    /// Takes a connection in among the live ones. The device may be empty: then it is none, and cannot come anew.
    ///
    /// # Errors
    /// When a bound stands in the way, the device id is none, or the token was revoked meanwhile.
    pub fn go_live(
        &self,
        principal: &Principal,
        device: &str,
        transport: Transport,
    ) -> Result<LivePlace, Error> {
        if !device.is_empty() {
            check("device", device)?;
        }
        let live = self.registry().open(Identity {
            user: principal.user.clone(),
            device: device.to_owned(),
            platform: principal.platform,
            transport,
            token: principal.token,
            business: principal.is_business(),
        })?;
        // A revocation between the authentication and now found no connection to end.
        self.still_stands(principal)?;
        let open = self.metrics().live.open(transport);
        open.inc();
        Ok(LivePlace { live, open })
    }

    /// A ticket that opens one connection in this principal's name.
    ///
    /// # Errors
    /// When too many wait to be used.
    pub fn give_ticket(&self, principal: &Arc<Principal>) -> Result<String, Error> {
        self.0.tickets.give(principal, Instant::now())
    }

    /// Who has asked for this ticket; it is used up by this.
    ///
    /// # Errors
    /// When it is none, or the token that it was asked for with is good no more.
    pub fn redeem_ticket(&self, ticket: &str) -> Result<Arc<Principal>, Error> {
        let principal = self.0.tickets.redeem(ticket, Instant::now())?;
        if self.left(&principal).is_zero() {
            return Err(Error::of(Kind::TokenExpired));
        }
        self.still_stands(&principal)?;
        Ok(principal)
    }

    /// How long a principal's token is still good.
    #[must_use]
    pub fn left(&self, principal: &Principal) -> Duration {
        let skew = self.limits().clock_skew_seconds;
        let expires = principal.expires.saturating_add(skew);
        Duration::from_secs(expires.saturating_sub(now_seconds()))
    }

    /// The ends of the log that a watch is on.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn span_of(&self, watch: &waybill_log::Subscription) -> Result<Span, Error> {
        self.0.reader.span(watch.user()).map_err(unreadable)
    }

    /// The live connections of a user, as many as are shown.
    ///
    /// # Errors
    /// When the principal may not act for that user, or there is none.
    pub fn presence(&self, principal: &Principal, user: &str) -> Result<Vec<Arc<Identity>>, Error> {
        self.acting_for(principal, user)?;
        Ok(self.registry().shown_of_user(user))
    }

    /// A watch on who of these users comes and goes.
    ///
    /// # Errors
    /// When there are too many, or the principal may not act for one of them.
    pub fn watch_presence(
        &self,
        principal: &Principal,
        users: &[impl AsRef<str>],
    ) -> Result<PresenceWatch, Error> {
        if users.len() > WATCHED_USERS {
            let text = format!("at most {WATCHED_USERS} users are watched at one time");
            return Err(Error::at(Kind::InvalidField, "users", text));
        }
        for user in users.iter().map(AsRef::as_ref) {
            check("users", user)?;
            if !principal.may_act_for(user) {
                return Err(Error::new(Kind::Forbidden, "this is another user's"));
            }
        }
        let users = users.iter().map(AsRef::as_ref);
        Ok(self.registry().watchers().watch(users))
    }

    /// A goodbye, with a time of its own to come again where that is called for.
    #[must_use]
    pub fn farewell(&self, transport: Transport, end: End) -> Bye {
        self.metrics().live.ended(transport, end);
        end.bye(random::spread())
    }
}
