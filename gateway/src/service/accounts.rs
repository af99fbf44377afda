//! Users and tokens: registering, issuing, revoking, and who am I.

use waybill_core::body::{Body, Profile};
use waybill_core::command::{Ask, Unknown};
use waybill_core::content::Meaning;
use waybill_core::fact::Revoked;
use waybill_core::id::{KeyedHash, Opening, Time, UserNo};
use waybill_core::limits::MAX_TEXT_BYTES;
use waybill_core::record::Surface;

use super::{Service, Span, check, check_text, now_seconds, unreadable};
use crate::auth::{Minted, Principal, Role, platform_name};
use crate::error::{Error, Kind};
use crate::random;
use crate::registry::CloseReason;

/// Shortest and longest lifetime that a caller may ask for, in seconds: a minute and ten years.
const LIFETIME: std::ops::RangeInclusive<u64> = 60..=315_360_000;

/// A token that was issued: its issue is a fact.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Whose.
    pub user: String,
    /// Platform number.
    pub platform: u8,
    /// The token and its end.
    pub minted: Minted,
}

/// What a registration says.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// Whom to register.
    pub user: &'a str,
    /// Shown name.
    pub nickname: &'a str,
    /// Link to a picture.
    pub face_url: &'a str,
    /// Everything else, as a JSON object, or empty.
    pub rest: &'a str,
}

/// What a caller may know of himself.
#[derive(Clone, Debug)]
pub struct Me {
    /// User id.
    pub user: String,
    /// What the caller may do.
    pub role: Role,
    /// Platform number of the token.
    pub platform: u8,
    /// End of the token, in seconds since the Unix epoch.
    pub expires: u64,
    /// Whether the user is registered.
    pub registered: bool,
    /// The ends of the user's log.
    pub span: Span,
}

/// Which tokens a caller wants revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one with this hash.
    One(KeyedHash),
    /// Those of a platform.
    Platform(u8),
    /// All.
    All,
}

impl Service {
    /// Registers a user.
    ///
    /// # Errors
    /// When a field is wrong or the user is registered already.
    pub async fn register(
        &self,
        by: UserNo,
        surface: Surface,
        registration: Registration<'_>,
    ) -> Result<(), Error> {
        let user = self.user_ref("/userID", registration.user)?;
        let profile = Profile {
            nickname: registration.nickname.to_owned(),
            face_url: registration.face_url.to_owned(),
            rest: registration.rest.to_owned(),
        };
        check_profile(&profile)?;
        let profile = Body::Profile(profile).seal(Opening(random::bytes()?));
        self.ask(by, surface, Ask::Register { user, profile })
            .await
            .map(|_| ())
    }

    /// Whether a user is registered; `false` for one never seen.
    ///
    /// # Errors
    /// When the id is none or the log cannot be read.
    pub fn is_registered(&self, user: &str) -> Result<bool, Error> {
        check("userID", user)?;
        let reader = &self.0.reader;
        match reader.user_no(self.user_hash(user)).map_err(unreadable)? {
            Some(number) => reader.is_registered(number).map_err(unreadable),
            None => Ok(false),
        }
    }

    /// Issues a token: `lifetime` in seconds, or the configured one. The caller has been checked by the surface: it
    /// knows the secret of `/auth/*`, or is [`Service::may_issue_for`].
    ///
    /// # Errors
    /// When a field is wrong, or the user is unknown and may not become known by this.
    pub async fn issue_token(
        &self,
        by: UserNo,
        surface: Surface,
        user: &str,
        platform: u8,
        lifetime: u64,
        unknown: Unknown,
    ) -> Result<Issued, Error> {
        if !LIFETIME.contains(&lifetime) {
            let (min, max) = (LIFETIME.start(), LIFETIME.end());
            let detail = format!("expiresIn must be from {min} to {max}");
            return Err(Error::at(Kind::InvalidField, "/expiresIn", detail));
        }
        let reference = self.user_ref("/user", user)?;
        let authenticator = &self.0.authenticator;
        let minted = authenticator.mint(user, platform, lifetime, now_seconds())?;
        let token = authenticator.hash(minted.token.expose());
        let expires = Time(minted.expires.saturating_mul(1_000));
        let (this, name) = (self.clone(), user.to_owned());
        self.to_the_end(async move {
            let turn = this.take_turn(&name, platform).await;
            let ask = Ask::IssueToken {
                user: reference,
                unknown,
                platform,
                token,
                expires,
                ends: turn.ends(),
            };
            this.ask(by, surface, ask).await?;
            this.logged_in(turn, &name);
            Ok(())
        })
        .await?;
        Ok(Issued {
            user: user.to_owned(),
            platform,
            minted,
        })
    }

    /// Whether a principal may issue tokens for this user: a manager for himself and for everybody who is no manager.
    ///
    /// # Errors
    /// When not.
    pub fn may_issue_for(&self, principal: &Principal, user: &str) -> Result<(), Error> {
        let other_manager = self.0.authenticator.is_manager(user) && principal.user != user;
        match principal.role {
            Role::Operator => Ok(()),
            Role::Business if !other_manager => Ok(()),
            Role::Business => Err(Error::new(Kind::Forbidden, "this is another manager")),
            Role::User => Err(Error::new(Kind::Forbidden, "only managers issue tokens")),
        }
    }

    /// The lifetime of tokens from `/auth/*`, in seconds.
    #[must_use]
    pub fn token_lifetime(&self) -> u64 {
        self.config().openim.token_days.saturating_mul(86_400)
    }

    /// Revokes tokens and ends the live connections that came with them. When this returns, they are worth nothing.
    ///
    /// # Errors
    /// When the principal may not act for this user, or there is no such user.
    pub async fn revoke(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        which: Which,
    ) -> Result<(), Error> {
        let number = self.acting_for(principal, user)?;
        let user = if user.is_empty() {
            principal.user.as_str()
        } else {
            user
        };
        if principal.user != user {
            self.may_issue_for(principal, user)?;
        }
        let which_tokens = match which {
            Which::One(token) => Revoked::One(token),
            Which::Platform(platform) if platform_name(platform).is_some() => {
                Revoked::Platform(platform)
            }
            Which::Platform(_) => {
                return Err(Error::at(
                    Kind::InvalidField,
                    "platform",
                    "platform must be from 1 to 8",
                ));
            }
            Which::All => Revoked::All,
        };
        let ask = Ask::RevokeTokens {
            user: number,
            which: which_tokens,
        };
        let (this, by, user) = (self.clone(), principal.number, user.to_owned());
        self.to_the_end(async move {
            this.ask(by, surface, ask).await?;
            this.0.authenticator.tokens_were_revoked();
            let registry = this.registry();
            match which {
                Which::One(token) => registry.close_token(&user, token, CloseReason::Revoked),
                Which::Platform(platform) => {
                    registry.close_platform(&user, platform, CloseReason::Revoked)
                }
                Which::All => registry.close_user(&user, CloseReason::Revoked),
            };
            Ok(())
        })
        .await
    }

    /// The keyed hash by which a token is known.
    #[must_use]
    pub fn token_hash(&self, token: &str) -> KeyedHash {
        self.0.authenticator.hash(token)
    }

    /// Who is calling.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn me(&self, principal: &Principal) -> Result<Me, Error> {
        let reader = &self.0.reader;
        Ok(Me {
            user: principal.user.clone(),
            role: principal.role,
            platform: principal.platform,
            expires: principal.expires,
            registered: reader.is_registered(principal.number).map_err(unreadable)?,
            span: reader.span(principal.number).map_err(unreadable)?,
        })
    }
}

/// Checks the texts of a profile: those that are shown, and how long each is.
pub(super) fn check_profile(profile: &Profile) -> Result<(), Error> {
    let texts = [
        ("/nickname", &profile.nickname, Meaning::Name),
        ("/faceURL", &profile.face_url, Meaning::Link),
        ("/ex", &profile.rest, Meaning::Plain),
    ];
    texts
        .into_iter()
        .try_for_each(|(pointer, text, meaning)| check_text(pointer, text, MAX_TEXT_BYTES, meaning))
}
