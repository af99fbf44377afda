//! What stands in a token: OpenIM's claims, in OpenIM's order.

use serde::{Deserialize, Serialize};

use crate::telemetry::Secret;

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 1024;

/// How long before its making a token is valid, in seconds, as in the original: callers' clocks are not exact.
pub(super) const VALID_BEFORE: u64 = 300;

/// The claims of a token. Times are in seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Whose token it is.
    #[serde(rename = "UID")]
    pub user: String,
    /// Name of the platform.
    #[serde(rename = "Platform")]
    pub platform: String,
    /// From when it is no longer valid.
    #[serde(rename = "exp")]
    pub expires: u64,
    /// From when it is valid.
    #[serde(rename = "nbf")]
    pub not_before: u64,
    /// When it was made.
    #[serde(rename = "iat")]
    pub issued: u64,
    /// Random, so that no two tokens are the same text: a token made in the second in which another was revoked must
    /// not be that one again. The original's tokens lack it.
    #[serde(rename = "jti", default)]
    pub id: String,
}

/// A token just made.
#[derive(Clone, Debug)]
pub struct Minted {
    /// Its text.
    pub token: Secret,
    /// From when it is no longer valid, in seconds since the Unix epoch.
    pub expires: u64,
}
