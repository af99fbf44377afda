//! The part of the configuration that `decide` reads. It is state, set by a fact, so that a replay decides alike.

use serde::{Deserialize, Serialize};

/// What becomes of a message to a receiver who was never seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownReceiver {
    /// The receiver gets a number and a log; registering later keeps the log.
    #[default]
    Accept,
    /// The message is refused.
    Refuse,
}

/// The switches that `decide` consults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// See [`UnknownReceiver`].
    pub unknown_receiver: UnknownReceiver,
}
