//! A client of Waybill over QUIC (`waybill/1`): one connection with many requests in flight, tails that keep delivering, and
//! pulls in the first flight of a connection that is resumed. It keeps nothing on disk and never reconnects by itself.
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

mod connection;
mod connector;
mod error;
mod frames;
mod requests;
mod tail;
mod trust;

pub use connection::Connection;
pub use connector::{Connector, Identity, PullFirst};
pub use error::Error;
pub use tail::Tail;
pub use trust::{Fingerprint, FingerprintError, Trust};
pub use waybill_core::wire::{Entry, Failure, MessageEntry, Outgoing, Page, SentMessage, Welcome};
