//! The domain of Waybill, pure: what a command, a fact, a record, a body and an entry *are*, how a command becomes facts
//! ([`rules`]: `decide`) and how records become views ([`rules`]: `apply`), and how all of it is written as bytes.
//!
//! This crate knows no disk, network, clock, source of randomness, thread or runtime. Everything that `decide` needs from
//! outside stands in the [`command::Command`]; everything it reads stands behind the [`state::State`] trait. Therefore the
//! same commands in the same order give the same ledger and the same views, byte for byte, wherever they are taken.

pub mod body;
pub mod codec;
pub mod command;
pub mod content;
pub mod conversation;
pub mod epochs;
pub mod fact;
pub mod hash;
pub mod id;
pub mod limits;
pub mod message_id;
pub mod outcome;
pub mod policy;
pub mod record;
pub mod rules;
pub mod state;
pub mod versions;
pub mod wire;
