//! Tokens made by hand, good and bad, so that a test does not ask the product what a good one is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

/// What stands in a token.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// Whose it is.
    pub user: &'a str,
    /// From when it is valid, in seconds since the Unix epoch.
    pub from: u64,
    /// Until when.
    pub until: u64,
}

/// A token: `algorithm` is what its header says, `key` what it is signed with by HMAC-SHA-256, or not at all.
///
/// # Panics
/// Never: any key is one.
#[must_use]
pub fn token(algorithm: &str, claims: &Claims<'_>, key: Option<&[u8]>) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({"alg": algorithm, "typ": "JWT"}));
    let body = part(json!({
        "UID": claims.user, "Platform": "Linux", "exp": claims.until, "nbf": claims.from,
        "iat": claims.from,
    }));
    let signed = format!("{head}.{body}");
    let signature = key.map_or_else(String::new, |key| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key is one");
        mac.update(signed.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    });
    format!("{signed}.{signature}")
}
