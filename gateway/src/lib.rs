//! The edge of Waybill: HTTP and QUIC, tokens, live connections, and the dialects of OpenIM. It turns requests into
//! commands for the log and entries of the log into answers; no rule of the domain lives here.
//!
//! | module | what it is |
//! |---|---|
//! | [`config`], [`secrets`] | what an operator can set; what is made at the first start |
//! | [`auth`] | from tokens to principals |
//! | [`error`] | the one table of errors |
//! | [`openim`] | the v2 dialect: requests, checks, answers |
//! | [`registry`] | who is connected |
//! | [`telemetry`] | log lines and metrics |

pub mod auth;
pub mod config;
pub mod error;
pub mod http;
pub mod openim;
pub mod registry;
pub mod secrets;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
