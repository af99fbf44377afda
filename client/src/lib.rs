//! A client of Waybill.
//!
//! [`Client`] is what a program wants: it keeps a user's log in step with the server, over the best transport that works, in an
//! SQLite file of its own; sends messages exactly once; and reconnects by itself. `docs/client.md` tells how.
//!
//! Below it, for those who keep nothing and reconnect by their own rules, stands one connection of `waybill/1` over QUIC, with
//! many requests in flight, tails that keep delivering, and pulls in the first flight of a connection that is resumed:
//!
//! ```no_run
//! # async fn example() -> Result<(), waybill_client::Error> {
//! use waybill_client::{Connector, Identity, Trust};
//! use waybill_core::id::Seq;
//!
//! let trust = Trust::Pinned("9f86…".parse().map_err(waybill_client::Error::setup)?);
//! let connector = Connector::new(trust)?;
//! let me = Identity::new("token").device("phone-1", 2);
//! let connection = connector.connect("127.0.0.1:10003".parse().unwrap(), "localhost", &me).await?;
//! let page = connection.pull("", Seq(0), 200).await?;
//! connection.acknowledge(page.head.head).await?;
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
mod connection;
mod connector;
mod error;
mod event;
mod frames;
mod link;
mod log_entry;
mod message;
mod requests;
pub mod store;
mod sync;
mod tail;
mod trust;

pub use client::{Client, Events, Follow, FollowError, OpenError};
pub use config::Config;
pub use connection::Connection;
pub use connector::{Connector, Identity, PullFirst};
pub use error::Error;
pub use event::{Event, SendError};
pub use link::Transport;
pub use log_entry::{Conversation, EntryError, LogEntry, Received};
pub use message::{Message, Sent};
pub use sync::End;
pub use tail::Tail;
pub use trust::{Fingerprint, FingerprintError, Trust};
pub use waybill_core::wire::{Entry, Failure, MessageEntry, Outgoing, Page, SentMessage, Welcome};
