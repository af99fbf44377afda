//! The edge of Waybill: HTTP and QUIC, tokens, live connections, and the dialects of OpenIM. It turns requests into
//! commands for the log and entries of the log into answers; no rule of the domain lives here.
//!
//! | module | what it is |
//! |---|---|
//! | [`server`] | the whole: starts everything, stops in order |
//! | [`service`] | what can be asked, whatever the transport |
//! | [`http`], [`quic`], `socket` | the transports; `/v1` is below `http`, `socket` is its WebSocket |
//! | [`live`] | when a live connection reads, writes and ends, without any transport |
//! | [`openim`] | the v2 dialect: requests, checks, answers |
//! | [`auth`] | from tokens to principals |
//! | [`registry`] | who is connected |
//! | [`error`] | the one table of errors |
//! | [`config`], [`secrets`], [`tls`] | what an operator can set; what is made at the first start; certificates |
//! | [`ops`], [`telemetry`] | health, metrics, log lines |
//! | [`shutdown`] | the words with which the server stops |

pub mod auth;
pub mod config;
mod content;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod live;
pub mod openim;
pub mod ops;
pub mod quic;
mod random;
pub mod registry;
pub mod secrets;
pub mod server;
pub mod service;
pub mod shutdown;
mod socket;
pub mod telemetry;
pub mod tls;
