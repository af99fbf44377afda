//! The client and the QUIC surface of the gateway, over real sockets on loopback, with a service in memory.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod client;
mod early;
mod ending;
mod flow;
mod memory;
mod raw;
mod refusals;
mod relay;
mod requests;
mod server;
