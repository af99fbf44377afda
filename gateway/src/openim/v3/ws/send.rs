//! 1003: a user sends a message.

use std::collections::BTreeMap;

use waybill_core::command::ConversationKind;
use waybill_core::fact::Options;
use waybill_core::id::Time;
use waybill_core::record::Surface;

use super::frame::Request;
use super::requests::{Asker, read};
use crate::error::{Error, Kind};
use crate::openim::v3::proto::{Message, MsgData, SendMsgResp};
use crate::openim::v3::{content, names, translate};
use crate::service::{AskedTerms, Outgoing};

impl Asker<'_> {
    /// 1003: sends a message of the user's own to another user.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) async fn send(&self, request: &Request) -> Result<Vec<u8>, Error> {
        let asked: MsgData = read(request)?;
        let refused =
            |kind, pointer: &'static str, what: &'static str| Err(Error::at(kind, pointer, what));
        if asked.send_id != self.principal.user {
            return refused(Kind::Forbidden, "sendID", "sendID is another user");
        }
        match asked.session_type {
            names::SINGLE => {}
            2 | 3 => return refused(Kind::UnknownGroup, "groupID", "there are no groups yet"),
            names::NOTIFICATION => {
                return refused(
                    Kind::Forbidden,
                    "sessionType",
                    "notifications are sent over HTTP",
                );
            }
            _ => {
                return refused(
                    Kind::SessionType,
                    "sessionType",
                    "there is no such sessionType",
                );
            }
        }
        if !content::is_chat(asked.content_type.into()) {
            let what = "users cannot send messages of this contentType";
            return refused(Kind::ContentType, "contentType", what);
        }
        if asked.options.get("history") == Some(&false) {
            let what = "messages that are not kept are not offered yet";
            return refused(Kind::NotOffered, "options", what);
        }
        let text = std::str::from_utf8(&asked.content);
        let text = text.map_err(|_| Error::at(Kind::Malformed, "content", "it is not UTF-8"))?;
        let limits = self.service.limits();
        let depth = usize::try_from(limits.json_depth).unwrap_or(usize::MAX);
        let (kept, checked) =
            content::taken(asked.content_type.into(), text, depth, limits.content_bytes)?;
        let push = asked.offline_push_info.as_ref();
        let outgoing = Outgoing {
            sender: &asked.send_id,
            receiver: &asked.recv_id,
            kind: ConversationKind::Single,
            checked,
            content: &kept,
            client_msg_id: &asked.client_msg_id,
            key: "",
            operation_id: &request.operation_id,
            sender_nickname: &asked.sender_nickname,
            sender_face_url: &asked.sender_face_url,
            sender_platform: asked.sender_platform_id,
            options_off: off(&asked.options).with(checked.off),
            offline_push: push.map(translate::push_kept),
            created: u64::try_from(asked.create_time)
                .ok()
                .filter(|time| *time > 0)
                .map(Time),
            address: self.peer.ip().to_string(),
            terms: AskedTerms::default(),
        };
        let prepared = self
            .service
            .prepare(self.principal, Surface::OpenImV3, outgoing)?;
        let sent = self.service.send(prepared).await?;
        let answer = SendMsgResp {
            server_msg_id: sent.server_msg_id,
            client_msg_id: sent.client_msg_id,
            send_time: translate::number(sent.time.0),
        };
        Ok(answer.to_vec())
    }
}

/// Options that the sender has switched off, by the names that v2 has for them too.
fn off(options: &BTreeMap<String, bool>) -> Options {
    let named = |name: &str| Options::NAMES.iter().find(|(known, _)| *known == name);
    let off = options.iter().filter(|(_, on)| !**on);
    // What is kept is kept, and the sender's own devices learn of it.
    let kept = ["history", "persistent", "senderSync", "notPrivate"];
    off.filter(|(name, _)| !kept.contains(&name.as_str()))
        .filter_map(|(name, _)| named(name))
        .fold(Options(0), |all, (_, option)| all.with(*option))
}
