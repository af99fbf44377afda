//! `waybill/1` over QUIC: listening, handshakes, connections, and the frames on their streams. `docs/protocol.md` describes what
//! is said. It knows no log and no token: what is asked for goes to a [`Service`], which answers.
//!
//! | module | what it is |
//! |---|---|
//! | [`service`] | what a connection needs from the server behind it |
//! | `endpoint` | the socket: takes connections in, turns them away, stops |
//! | `gate` | how many connections there may be, in all and from one address |
//! | `transport` | windows, streams, time-outs, keys |
//! | `certificate` | what the server proves itself with |
//! | `connection` | one connection from its handshake to its goodbye |
//! | `handshake` | whether what was read may still be a replay |
//! | `control`, `requests` | the frames of a client, and what becomes of them |
//! | `outbox`, `ticket` | answers on their way out, and the sends that still owe one |
//! | `online` | what is told to live connections only |
//! | `pulls`, `tail` | reading on a client's behalf, as fast as the client takes it |

mod certificate;
mod connection;
mod control;
mod endpoint;
mod gate;
mod handshake;
mod online;
mod options;
mod outbox;
mod page;
mod pulls;
mod requests;
pub mod service;
mod tail;
mod ticket;
mod transport;

pub use certificate::{Certificate, CertificateError};
pub use endpoint::{BindError, Counters, Listener};
pub use options::Options;
pub use service::{Followed, Grown, Opened, PresenceSource, Read, Service, Slice, Watch};
pub use ticket::Ticket;
pub use transport::{ResetKey, endpoint_config, enlarge_buffers, server_config};
