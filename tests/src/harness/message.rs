//! One message of a test: what it says, and how it is said over each surface. Everything follows from its number, so that a
//! retry is the same request, and an entry of a log tells which message it is.

use serde_json::{Value, json};
use waybill_client::Outgoing;

use super::{ADMIN, article};

/// Users that messages go to and come from.
const USERS: u64 = 7;

/// The key of a content that tells the number.
const NUMBER: &str = "number";

/// Over which surface it is sent, and sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `POST /v1/messages`.
    V1,
    /// `POST /manager/send_msg` and its twin.
    V2,
    /// `waybill/1` over QUIC.
    Quic,
}

/// A message: its number and its way.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Its number: from 0, each once.
    pub number: u64,
    /// How it is sent.
    pub way: Way,
}

impl Message {
    /// All users that have a log, or may have one.
    pub fn users() -> impl Iterator<Item = String> {
        (0..USERS).map(user)
    }

    /// Two of three are notices of the manager; the others are chats between users.
    fn is_notice(self) -> bool {
        !self.number.is_multiple_of(3)
    }

    /// Some notices over OpenIM's dialect are the article's request, with a key more that tells the number.
    fn is_the_articles(self) -> bool {
        self.way == Way::V2 && self.is_notice() && self.number % 5 < 2
    }

    /// Who it is from.
    #[must_use]
    pub fn sender(self) -> String {
        if self.is_notice() {
            ADMIN.to_owned()
        } else {
            user(self.number / 3)
        }
    }

    /// Who gets it. A chat of a user with himself is among them.
    #[must_use]
    pub fn receiver(self) -> String {
        user(self.number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32)
    }

    /// In which logs it stands: the receiver's, and that of a user who has sent it.
    #[must_use]
    pub fn logs(self) -> Vec<String> {
        let mut logs = vec![self.receiver()];
        if !self.is_notice() && self.sender() != self.receiver() {
            logs.push(self.sender());
        }
        logs
    }

    /// What makes a retry a retry. Half of the messages have it as their clientMsgID.
    fn key(self) -> String {
        format!("key-{}", self.number)
    }

    fn has_client_msg_id(self) -> bool {
        (self.number / 2).is_multiple_of(2)
    }

    /// The key for a header, where it is not the clientMsgID.
    #[must_use]
    pub fn header_key(self) -> Option<String> {
        (!self.has_client_msg_id()).then(|| self.key())
    }

    /// The clientMsgID that the sender gives it.
    #[must_use]
    pub fn client_msg_id(self) -> Option<String> {
        self.has_client_msg_id().then(|| self.key())
    }

    /// OpenIM's contentType.
    #[must_use]
    pub fn content_type(self) -> u32 {
        if self.is_notice() { 1400 } else { 101 }
    }

    /// What it says. The number is a key that no reader of OpenIM knows.
    ///
    /// # Panics
    /// When the article's content is not JSON.
    #[must_use]
    pub fn content(self) -> Value {
        let number = self.number;
        if self.is_the_articles() {
            let content = article::content_with(NUMBER, number);
            return serde_json::from_str(&content).expect("the article's content is JSON");
        }
        // Of different lengths, so that batches and blocks of the log begin and end anywhere.
        let text = format!(
            "第 {number} 条 {}",
            "消息 message ".repeat(number as usize % 41)
        );
        if self.is_notice() {
            json!({
                "notificationName": "公文管理", "notificationFaceURL": "http://www.head1.com",
                "notificationType": number % 5 + 1, "text": text, "mixType": 0, "ex": "",
                "externalUrl": format!("https://oa.example/{number}"), NUMBER: number,
            })
        } else {
            json!({"text": text, NUMBER: number})
        }
    }

    /// The number of the message in a content.
    #[must_use]
    pub fn number_in(content: &Value) -> Option<u64> {
        content[NUMBER].as_u64()
    }

    /// The body of `POST /v1/messages`.
    #[must_use]
    pub fn v1_body(self) -> String {
        let mut body = json!({
            "sender": self.sender(), "to": {"user": self.receiver()},
            "contentType": self.content_type(), "content": self.content(),
        });
        if let Some(id) = self.client_msg_id() {
            body["clientMsgID"] = json!(id);
        }
        body.to_string()
    }

    /// The path for OpenIM's dialect: both of them are used.
    #[must_use]
    pub fn v2_path(self) -> &'static str {
        if self.number.is_multiple_of(2) {
            "/manager/send_msg"
        } else {
            "/msg/manage_send_msg"
        }
    }

    /// The body for OpenIM's dialect.
    #[must_use]
    pub fn v2_body(self) -> String {
        if self.is_the_articles() {
            return self.articles_body();
        }
        let mut body = json!({
            "operationID": format!("op-{}", self.number), "sendID": self.sender(),
            "recvID": self.receiver(), "senderPlatformID": 2, "senderNickname": "系统通知2",
            "senderFaceURL": "http://www.head.com", "content": self.content(),
            "contentType": self.content_type(), "sessionType": if self.is_notice() { 4 } else { 1 },
            "offlinePushInfo": {"title": "公文", "iOSPushSound": "default"},
        });
        if let Some(id) = self.client_msg_id() {
            body["clientMsgID"] = json!(id);
        }
        body.to_string()
    }

    /// The article's request: other bytes than its receiver's, the key's and the number's are as they were.
    fn articles_body(self) -> String {
        let body = article::with_content(&article::content_with(NUMBER, self.number));
        let body = body.replace(article::RECEIVER, &self.receiver());
        match self.client_msg_id() {
            Some(id) => body.replacen('{', &format!("{{\"clientMsgID\": {id:?},"), 1),
            None => body,
        }
    }

    /// The frame's message for `waybill/1`.
    #[must_use]
    pub fn outgoing(self) -> Outgoing {
        Outgoing {
            sender: self.sender(),
            receiver: self.receiver(),
            content_type: self.content_type(),
            client_msg_id: self.client_msg_id().unwrap_or_default(),
            key: self.header_key().unwrap_or_default(),
            content: self.content().to_string().into_bytes(),
            ..Outgoing::default()
        }
    }
}

fn user(number: u64) -> String {
    format!("user-{}", number % USERS)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Message, Way};

    #[test]
    fn some_notices_are_the_articles_request() {
        let messages = (0..500).map(|number| Message {
            number,
            way: Way::V2,
        });
        let (articles, others): (Vec<_>, Vec<_>) = messages.partition(|m| m.is_the_articles());
        assert!(articles.len() > 50 && others.len() > 300);
        for message in articles {
            let body: serde_json::Value = serde_json::from_str(&message.v2_body()).unwrap();
            assert_eq!(body["operationID"], "Oa notification operationID111");
            assert_eq!(body["recvID"], message.receiver());
            assert_eq!(body["content"], message.content());
            assert!(body["content"]["soundElem"].is_object());
            assert_eq!(Message::number_in(&body["content"]), Some(message.number));
            let id = message.client_msg_id().map(serde_json::Value::from);
            assert_eq!(body.get("clientMsgID"), id.as_ref());
        }
    }

    #[test]
    fn messages_are_of_every_sort_and_tell_their_number() {
        let messages = (0..500).map(|number| Message {
            number,
            way: Way::V1,
        });
        let receivers: HashSet<String> = messages.clone().map(Message::receiver).collect();
        assert_eq!(receivers, Message::users().collect());
        let logs: HashSet<usize> = messages
            .clone()
            .map(|message| message.logs().len())
            .collect();
        assert_eq!(logs, HashSet::from([1, 2]));
        let keyed = messages
            .clone()
            .filter(|message| message.header_key().is_some())
            .count();
        assert!((200..300).contains(&keyed));
        for message in messages {
            assert_eq!(Message::number_in(&message.content()), Some(message.number));
            assert_ne!(
                message.header_key().is_some(),
                message.client_msg_id().is_some()
            );
        }
    }
}
