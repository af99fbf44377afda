//! What is told to live connections alone, and who they are.

use std::sync::Arc;

use serde::Serialize;

use super::{ConversationBody, MessageToldBody, Receiver, Sent};
use crate::registry::Identity;
use crate::service::{self, OnlineMessage};

/// What became of a message for those online only.
#[derive(Serialize)]
pub struct OnlineSent<'a> {
    #[serde(flatten)]
    sent: Sent<'a>,
    connections: usize,
    repeated: bool,
}

impl<'a> From<&'a service::OnlineSent> for OnlineSent<'a> {
    fn from(sent: &'a service::OnlineSent) -> Self {
        Self {
            sent: Sent {
                server_msg_id: &sent.server_msg_id,
                client_msg_id: &sent.client_msg_id,
                time: sent.time.0,
                receivers: [Receiver {
                    user: &sent.receiver,
                    seq: None,
                    new: None,
                }],
            },
            connections: sent.connections,
            repeated: sent.repeated,
        }
    }
}

/// A message for those online only, as its receiver gets it.
#[derive(Serialize)]
pub struct OnlineBody<'a> {
    time: u64,
    conversation: ConversationBody<'a>,
    #[serde(flatten)]
    told: MessageToldBody<'a>,
}

impl<'a> From<&'a OnlineMessage> for OnlineBody<'a> {
    fn from(message: &'a OnlineMessage) -> Self {
        Self {
            time: message.time.0,
            conversation: (&message.place).into(),
            told: (&message.told).into(),
        }
    }
}

/// Who of a user is online.
#[derive(Serialize)]
pub struct PresenceBody<'a> {
    user: &'a str,
    online: bool,
    connections: Vec<ConnectionBody<'a>>,
}

#[derive(Serialize)]
struct ConnectionBody<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    device: &'a str,
    platform: u8,
    transport: &'static str,
}

impl<'a> PresenceBody<'a> {
    /// A user's live connections.
    pub fn new(user: &'a str, live: &'a [Arc<Identity>]) -> Self {
        let connection = |live: &'a Arc<Identity>| ConnectionBody {
            device: &live.device,
            platform: live.platform,
            transport: live.transport.name(),
        };
        Self {
            user,
            online: !live.is_empty(),
            connections: live.iter().map(connection).collect(),
        }
    }
}
