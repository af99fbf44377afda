//! What is told to OpenIM's clients who are connected and kept nowhere: business notifications of the lowest reliability. A client that
//! is slow or away does not get them.

use super::proto::MsgData;
use crate::registry::{Hub, Listener};

/// A notification on its way: the conversation that it is told in, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The name of the conversation.
    pub conversation: String,
    /// The notification; it has no seq.
    pub message: MsgData,
    /// The trace id of the request that told it.
    pub operation_id: String,
}

/// Who listens. Cheap to clone.
pub type Online = Hub<Told>;

/// One listener; it is forgotten when this is dropped.
pub type Listening = Listener<Told>;
