//! A message to be sent, and what the server made of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use waybill_core::id::{Seq, Time};
use waybill_core::wire::{Outgoing, SentMessage};

use crate::log_entry::{PushBody, switched_off};

/// OpenIM's contentType of a text.
const TEXT: u32 = 101;

/// Bytes of a key that the library makes.
const KEY_BYTES: usize = 16;

/// A message on its way out.
///
/// ```
/// use waybill_client::Message;
///
/// let hello = Message::text("bob", "hello");
/// let notice = Message::new(
///     "bob",
///     1400,
///     r#"{"notificationName":"HR","notificationType":1,"text":"Welcome","mixType":0}"#,
/// )
/// .key("welcome-bob");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Outgoing);

impl Message {
    /// A message with any content: the JSON text of an object, kept byte for byte. `docs/http.md` has the contentTypes.
    #[must_use]
    pub fn new(receiver: impl Into<String>, content_type: u32, content: impl Into<String>) -> Self {
        Self(Outgoing {
            receiver: receiver.into(),
            content_type,
            content: content.into().into_bytes(),
            ..Outgoing::default()
        })
    }

    /// A text.
    #[must_use]
    pub fn text(receiver: impl Into<String>, text: &str) -> Self {
        Self::new(receiver, TEXT, json!({ "text": text }).to_string())
    }

    /// Gives it a key of the caller's: the same message with the same key is sent once, now and later. Without one the library
    /// makes one up. It is also the message's clientMsgID: 1 to 64 bytes without control characters.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.key = key.into();
        self.0.client_msg_id.clone_from(&self.0.key);
        self
    }

    /// In somebody else's name; for business accounts.
    #[must_use]
    pub fn sender(mut self, sender: impl Into<String>) -> Self {
        self.0.sender = sender.into();
        self
    }

    /// As the binary protocol has it. Its key and client message id must be equal.
    #[must_use]
    pub fn into_outgoing(self) -> Outgoing {
        self.0
    }

    /// With a key in any case.
    pub(crate) fn keyed(self) -> Result<Outgoing, getrandom::Error> {
        if !self.0.key.is_empty() {
            return Ok(self.0);
        }
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(self.key(hex::encode(bytes)).0)
    }
}

impl From<Outgoing> for Message {
    /// What either the key or the client message id says is both.
    fn from(outgoing: Outgoing) -> Self {
        let key = if outgoing.key.is_empty() {
            outgoing.client_msg_id.clone()
        } else {
            outgoing.key.clone()
        };
        Self(outgoing).key(key)
    }
}

/// The server has the message on disk, and it is in its receiver's log exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The key that it was sent with, which is its clientMsgID.
    pub key: String,
    /// The server's id of the message.
    pub server_msg_id: String,
    /// The time shown on it.
    pub time: Time,
    /// Its place in the receiver's log; for business accounts, when already assigned.
    pub seq: Option<Seq>,
}

impl Sent {
    pub(crate) fn of(sent: &SentMessage) -> Self {
        Self {
            key: sent.client_msg_id.clone(),
            server_msg_id: hex::encode(sent.server_msg_id),
            time: sent.time,
            seq: sent.seq,
        }
    }

    /// Reads the answer to `POST /v1/messages`.
    pub(crate) fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "serverMsgID")]
            server_msg_id: String,
            #[serde(rename = "clientMsgID")]
            client_msg_id: String,
            time: u64,
            #[serde(default)]
            receivers: Vec<Receiver>,
        }
        #[derive(Deserialize)]
        struct Receiver {
            seq: Option<u64>,
        }
        let answer: Answer = serde_json::from_slice(json)?;
        Ok(Self {
            key: answer.client_msg_id,
            server_msg_id: answer.server_msg_id,
            time: Time(answer.time),
            seq: answer
                .receivers
                .first()
                .and_then(|receiver| receiver.seq)
                .map(Seq),
        })
    }
}

/// Messages with the same number keep their order: those from one sender to one receiver.
pub(crate) fn lane(message: &Outgoing) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&message.sender, &message.receiver).hash(&mut hasher);
    hasher.finish()
}

/// A message as the body of `POST /v1/messages`.
pub(crate) fn body(message: &Outgoing) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct To<'a> {
        user: &'a str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        to: To<'a>,
        content_type: u32,
        content: &'a RawValue,
        #[serde(skip_serializing_if = "str::is_empty")]
        sender: &'a str,
        #[serde(rename = "clientMsgID", skip_serializing_if = "str::is_empty")]
        client_msg_id: &'a str,
        #[serde(rename = "operationID", skip_serializing_if = "str::is_empty")]
        operation_id: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        sender_nickname: &'a str,
        #[serde(rename = "senderFaceURL", skip_serializing_if = "str::is_empty")]
        sender_face_url: &'a str,
        #[serde(rename = "senderPlatformID")]
        sender_platform: i32,
        #[serde(skip_serializing_if = "Option::is_none")]
        create_time: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        options: Option<Map<String, Value>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        offline_push: Option<PushBody<'a>>,
    }
    serde_json::to_vec(&Body {
        to: To {
            user: &message.receiver,
        },
        content_type: message.content_type,
        content: serde_json::from_slice(&message.content)?,
        sender: &message.sender,
        client_msg_id: &message.client_msg_id,
        operation_id: &message.operation_id,
        sender_nickname: &message.sender_nickname,
        sender_face_url: &message.sender_face_url,
        sender_platform: message.sender_platform,
        create_time: message.created.map(|time| time.0),
        options: switched_off(message.options_off),
        offline_push: message.offline_push.as_ref().map(PushBody::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_the_client_message_id() {
        let made = Message::text("bob", "hi").keyed().unwrap();
        assert_eq!(made.key.len(), 2 * KEY_BYTES);
        assert_eq!(made.client_msg_id, made.key);
        let again = Message::from(made.clone()).keyed().unwrap();
        assert_eq!(again, made);
    }

    #[test]
    fn a_content_is_sent_byte_for_byte() {
        let content = r#"{"text" : "é",  "n":1.50}"#;
        let message = Message::new("bob", 101, content).key("k").into_outgoing();
        let body = String::from_utf8(body(&message).unwrap()).unwrap();
        assert!(body.contains(content), "{body}");
        assert!(body.contains(r#""clientMsgID":"k""#), "{body}");
    }
}
