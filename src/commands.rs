//! One module per command.

pub mod bench;
pub mod pull;
pub mod replay;
pub mod restore;
pub mod send;
pub mod serve;
pub mod token;

/// Where `serve` leaves the fingerprint of its QUIC certificate, beside the secrets, and `pull --quic` looks for it.
const FINGERPRINT_FILE: &str = "quic.fingerprint";
