//! The client and the QUIC surface of the gateway, over real sockets on loopback, with a service in memory.

mod early;
mod ending;
mod flow;
mod memory;
mod raw;
mod refusals;
mod relay;
mod requests;
mod server;
