//! The keys of tokens: one that signs, and for a while a former one that still verifies. HS256 and nothing else, whatever
//! a token says of itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Deserialize;

use super::principal::platform_name;
use super::token::{Claims, MAX_TOKEN_BYTES, Minted, VALID_BEFORE};
use crate::error::{Error, Kind};
use crate::telemetry::Secret;

/// The keys that make and verify tokens.
pub struct KeyRing {
    signing: EncodingKey,
    current: DecodingKey,
    old: Option<OldKey>,
    validation: Validation,
}

struct OldKey {
    key: DecodingKey,
    /// In seconds since the Unix epoch.
    until: u64,
}

#[derive(Deserialize)]
struct AnyHeader {
    alg: String,
}

impl KeyRing {
    /// Takes the secret that signs, and a former one with the second from which it no longer verifies.
    #[must_use]
    pub fn new(current: &Secret, old: Option<(&Secret, u64)>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked by the authenticator against its own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let key = |secret: &Secret| DecodingKey::from_secret(secret.expose().as_bytes());
        Self {
            signing: EncodingKey::from_secret(current.expose().as_bytes()),
            current: key(current),
            old: old.map(|(secret, until)| OldKey {
                key: key(secret),
                until,
            }),
            validation,
        }
    }

    /// Makes a token.
    ///
    /// # Errors
    /// When the platform is none, or the operating system gives no random bytes.
    pub fn mint(&self, user: &str, platform: u8, lifetime: u64, now: u64) -> Result<Minted, Error> {
        let platform = platform_name(platform).ok_or_else(|| {
            Error::at(
                Kind::InvalidField,
                "platform",
                "platform must be from 1 to 8",
            )
        })?;
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|_| Error::of(Kind::Internal))?;
        let claims = Claims {
            user: user.to_owned(),
            platform: platform.to_owned(),
            expires: now.saturating_add(lifetime),
            not_before: now.saturating_sub(VALID_BEFORE),
            issued: now,
            id: hex::encode(id),
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .map_err(|_| Error::of(Kind::Internal))?;
        Ok(Minted {
            token: Secret::new(token),
            expires: claims.expires,
        })
    }

    /// The claims of a token with a good signature; their `expires` is no later than the end of the key that verified
    /// it. Times are not checked otherwise.
    ///
    /// # Errors
    /// [`Kind::TokenMalformed`] when it is no token, [`Kind::TokenUnknown`] when no key of ours signed it with HS256.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Error::of(Kind::TokenMalformed));
        }
        require_hs256(token)?;
        let error = match self.decode(token, &self.current) {
            Ok(claims) => return Ok(claims),
            Err(error) => error,
        };
        if error.kind == Kind::TokenUnknown
            && let Some(old) = self.old.as_ref().filter(|old| now < old.until)
        {
            let mut claims = self.decode(token, &old.key)?;
            claims.expires = claims.expires.min(old.until);
            return Ok(claims);
        }
        Err(error)
    }

    fn decode(&self, token: &str, key: &DecodingKey) -> Result<Claims, Error> {
        match jsonwebtoken::decode::<Claims>(token, key, &self.validation) {
            Ok(data) => Ok(data.claims),
            Err(error) => Err(Error::of(match error.kind() {
                ErrorKind::InvalidToken
                | ErrorKind::Base64(_)
                | ErrorKind::Json(_)
                | ErrorKind::Utf8(_)
                | ErrorKind::InvalidClaimFormat(_)
                | ErrorKind::MissingRequiredClaim(_) => Kind::TokenMalformed,
                _ => Kind::TokenUnknown,
            })),
        }
    }
}

/// Three parts, of which the first says HS256. Another algorithm is not malformed, but nothing of ours.
fn require_hs256(token: &str) -> Result<(), Error> {
    let malformed = || Error::of(Kind::TokenMalformed);
    let mut parts = token.split('.');
    let header = parts.next().ok_or_else(malformed)?;
    if parts.count() != 2 {
        return Err(malformed());
    }
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed())?;
    let header: AnyHeader = serde_json::from_slice(&header).map_err(|_| malformed())?;
    if header.alg == "HS256" {
        Ok(())
    } else {
        Err(Error::of(Kind::TokenUnknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn secret(text: &str) -> Secret {
        Secret::new(text.repeat(8))
    }

    fn ring() -> KeyRing {
        KeyRing::new(&secret("current-"), Some((&secret("former--"), NOW + 100)))
    }

    fn kind(result: Result<Claims, Error>) -> Kind {
        result.unwrap_err().kind
    }

    fn part(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    #[test]
    fn a_token_has_the_claims_of_the_original_in_their_order() {
        let minted = ring().mint("u1", 2, 60, NOW).unwrap();
        let parts: Vec<_> = minted.token.expose().split('.').collect();
        let header = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
        assert_eq!(header, r#"{"typ":"JWT","alg":"HS256"}"#);
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let expected = format!(
            r#"{{"UID":"u1","Platform":"Android","exp":{},"nbf":{},"iat":{NOW},"jti":""#,
            NOW + 60,
            NOW - 300
        );
        assert!(claims.starts_with(&expected), "{claims}");
        assert_eq!(minted.expires, NOW + 60);
        let claims = ring().verify(minted.token.expose(), NOW).unwrap();
        assert_eq!(
            (claims.user.as_str(), claims.platform.as_str()),
            ("u1", "Android")
        );
        let again = ring().mint("u1", 2, 60, NOW).unwrap();
        assert_ne!(
            minted.token.expose(),
            again.token.expose(),
            "no two tokens are the same"
        );
        assert_eq!(
            ring().mint("u1", 0, 60, NOW).unwrap_err().kind,
            Kind::InvalidField
        );
        assert_eq!(
            ring().mint("u1", 9, 60, NOW).unwrap_err().kind,
            Kind::InvalidField
        );
    }

    #[test]
    fn an_old_secret_verifies_until_its_day() {
        let old = KeyRing::new(&secret("former--"), None)
            .mint("u", 1, 1_000, NOW)
            .unwrap();
        let claims = ring().verify(old.token.expose(), NOW + 99).unwrap();
        assert_eq!(claims.expires, NOW + 100, "not longer than the old secret");
        assert_eq!(
            kind(ring().verify(old.token.expose(), NOW + 100)),
            Kind::TokenUnknown
        );
        let alone = KeyRing::new(&secret("current-"), None);
        assert_eq!(
            kind(alone.verify(old.token.expose(), NOW)),
            Kind::TokenUnknown
        );
    }

    #[test]
    fn forged_and_broken_tokens_are_refused() {
        let good = ring().mint("u", 1, 60, NOW).unwrap();
        let good = good.token.expose();
        let parts: Vec<_> = good.split('.').collect();
        let claims = parts[1];
        let hs384 = jsonwebtoken::encode(
            &Header::new(Algorithm::HS384),
            &ring().verify(good, NOW).unwrap(),
            &EncodingKey::from_secret(secret("current-").expose().as_bytes()),
        )
        .unwrap();
        let none = part(r#"{"alg":"none","typ":"JWT"}"#);
        let other = KeyRing::new(&secret("another-"), None)
            .mint("u", 1, 60, NOW)
            .unwrap();
        let signed_junk = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &serde_json::json!({"UID": 5}),
            &EncodingKey::from_secret(secret("current-").expose().as_bytes()),
        )
        .unwrap();
        let table = [
            (String::new(), Kind::TokenMalformed),
            ("abc".to_owned(), Kind::TokenMalformed),
            ("a.b.c".to_owned(), Kind::TokenMalformed),
            (format!("{good}.x"), Kind::TokenMalformed),
            (format!("{}.{}.!", parts[0], claims), Kind::TokenMalformed),
            ("a".repeat(MAX_TOKEN_BYTES + 1), Kind::TokenMalformed),
            (signed_junk, Kind::TokenMalformed),
            (format!("{none}.{claims}."), Kind::TokenUnknown),
            (format!("{none}.{claims}.{}", parts[2]), Kind::TokenUnknown),
            (format!("{}.{claims}.", parts[0]), Kind::TokenUnknown),
            (
                format!("{}.{}.{}", parts[0], part(r#"{"UID":"root"}"#), parts[2]),
                Kind::TokenUnknown,
            ),
            (hs384, Kind::TokenUnknown),
            (other.token.expose().clone(), Kind::TokenUnknown),
        ];
        for (token, expected) in table {
            assert_eq!(kind(ring().verify(&token, NOW)), expected, "{token}");
        }
    }
}
