//! The ledger and the views on disk, the writer that alone appends, and the readers.
//!
//! Built on [`waybill_core`], which decides everything; this crate makes it durable, keeps it in order and hands it out. It knows
//! no transport, no token and no JSON. Only [`rocks`] names RocksDB; everything else runs over the contract in [`store`], which
//! the in-memory twin in [`memory`] keeps too.

pub mod clock;
pub mod config;
pub mod directory;
pub mod erasures;
pub mod error;
mod flush;
pub mod hot;
mod log;
pub mod memory;
pub mod reader;
pub mod recovery;
pub mod restore;
mod ring;
pub mod rocks;
mod snapshot;
pub mod source;
pub mod store;
mod stride;
mod tails;
pub mod view_store;
pub mod witness;
mod writer;

pub use config::LogConfig;
pub use error::{OpenError, StoreError, WriterError};
pub use log::{ControlHandle, Log, Options};
pub use reader::{Entry, Opened, Pulled, Reader, Span, TokenState};
pub use source::{QueueHandle, Reply, ReplyTo};
pub use stride::Stride;
pub use tails::{Growth, Subscription, Tails};
pub use writer::{Counters, Fatal, Observer};
