//! The edge over real sockets and a real log: what callers send, byte for byte, and what they get.

mod live;
mod ops;
mod support;
mod tokens;
mod v1;
mod v2;
mod v2_auth;
