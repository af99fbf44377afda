//! OpenIM's v3 protocol, for its callers and its client SDKs: HTTP, and a gateway over WebSocket. It translates between OpenIM's
//! numbers, names and shapes and the service; no rule of the domain lives here, and it knows no store.

pub mod content;
pub mod gob;
pub mod gzip;
mod http;
pub mod names;
mod online;
pub mod platform;
pub mod proto;
pub mod translate;
pub mod ws;

pub use http::{answer, body_bytes, refuse};
pub use online::Online;
