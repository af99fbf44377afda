//! From what the service shows to OpenIM's messages: a message of a conversation, what became of it, and the notifications by
//! which a user's own devices learn of everything else.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use waybill_core::body::OfflinePush;
use waybill_core::content::NOTICE_TYPE;
use waybill_core::fact::{Options, Withdrawal};
use waybill_core::id::{ConversationSeq, Time};

use super::content;
use super::names;
use super::proto::{MsgData, OfflinePushInfo};
use crate::service::{HistoryView, MessageTold, Note, OnlineMessage, Outline, Place, View};

/// Longest content that is told with a change, in bytes.
const TOLD_CONTENT_BYTES: usize = 4 * 1024;

/// OpenIM's status of a message that is there, and of one that is gone.
const THERE: i32 = 2;
const GONE: i32 = 4;

/// From whom a message is, by OpenIM's numbers.
const FROM_USER: i32 = 100;
const FROM_SYSTEM: i32 = 200;

/// The contentTypes of OpenIM's notifications.
const RECALLED: i32 = 2101;
const REMOVED: i32 = 2102;
const READ: i32 = 2200;
const SET: i32 = 1300;
const CLEARED: i32 = 1703;
const BUSINESS: i32 = 2001;

/// The key of the business notification that tells of a changed message.
pub const CHANGED_KEY: &str = "waybill.message_changed";

/// Places that one receipt names: the client looks each of them up.
pub const RECEIPT_SEQS: u64 = 100;

/// Options of a message, as far as clients ask for them when they are off. A message that is kept has a seq, so what says
/// otherwise is not repeated.
const OPTIONS: [(Options, &str); 4] = [
    (Options::UNREAD_COUNT, "unreadCount"),
    (Options::CONVERSATION_UPDATE, "conversationUpdate"),
    (
        Options::SENDER_CONVERSATION_UPDATE,
        "senderConversationUpdate",
    ),
    (Options::OFFLINE_PUSH, "offlinePush"),
];

/// Options of every notification: none of them is shown, counted or pushed.
const NOTIFICATION_OFF: [&str; 8] = [
    "isNotNotification",
    "isSendMsg",
    "offlinePush",
    "unreadCount",
    "conversationUpdate",
    "notPrivate",
    "senderConversationUpdate",
    "reactionFromCache",
];

/// What stands where nothing is to be shown: it keeps the numbers dense. Clients order a conversation by time, and page through its
/// history by the time of the last message that they have: without a time it would be the first of all.
#[must_use]
pub fn placeholder(seq: u64, time: Time) -> MsgData {
    MsgData {
        seq: number(seq),
        status: GONE,
        send_time: number(time.0),
        create_time: number(time.0),
        ..MsgData::default()
    }
}

/// A number of ours as one of theirs.
#[must_use]
pub fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A message of one of `own`'s conversations.
#[must_use]
pub fn message(own: &str, place: &Place, view: &HistoryView) -> MsgData {
    let seq = view.conversation_seq.0;
    let told = &view.told;
    match view.withdrawn {
        Some(Withdrawal::Recalled) => return recalled(own, place, view),
        // A later notice has taken its place, or its time is over: nothing is to be seen of it.
        Some(_) => return placeholder(seq, view.time),
        None => {}
    }
    let Some(said) = told
        .message
        .as_ref()
        .filter(|_| content::is_shown(told.content_type))
    else {
        return placeholder(seq, view.time);
    };
    let created = said.created.map_or(view.time.0, |created| created.0);
    let content = content::given(told.content_type, &said.content);
    MsgData {
        sender_platform_id: said.sender_platform,
        sender_nickname: said.sender_nickname.clone(),
        sender_face_url: said.sender_face_url.clone(),
        content_type: i32::try_from(told.content_type).unwrap_or(0),
        content: content.into(),
        create_time: number(created),
        options: options(told.options_off),
        offline_push_info: said.offline_push.as_ref().map(push_shown),
        msg_from: if told.content_type == NOTICE_TYPE {
            FROM_SYSTEM
        } else {
            FROM_USER
        },
        ..envelope(own, place, view)
    }
}

/// What a push shows, as it is kept.
#[must_use]
pub fn push_kept(push: &OfflinePushInfo) -> OfflinePush {
    OfflinePush {
        title: push.title.clone(),
        desc: push.desc.clone(),
        ex: push.ex.clone(),
        ios_push_sound: push.ios_push_sound.clone(),
        ios_badge_count: push.ios_badge_count,
    }
}

fn push_shown(push: &OfflinePush) -> OfflinePushInfo {
    OfflinePushInfo {
        title: push.title.clone(),
        desc: push.desc.clone(),
        ex: push.ex.clone(),
        ios_push_sound: push.ios_push_sound.clone(),
        ios_badge_count: push.ios_badge_count,
        signal_info: String::new(),
    }
}

/// A message that is told to those who are online and kept nowhere.
#[must_use]
pub fn online(own: &str, online: &OnlineMessage) -> MsgData {
    let view = HistoryView {
        conversation_seq: ConversationSeq(0),
        time: online.time,
        told: online.told.clone(),
        withdrawn: None,
        withdrawer: None,
    };
    message(own, &online.place, &view)
}

/// What every message has, whatever it says.
fn envelope(own: &str, place: &Place, view: &HistoryView) -> MsgData {
    let told = &view.told;
    let receiver = if told.sender == own { &place.peer } else { own };
    MsgData {
        send_id: told.sender.clone(),
        recv_id: receiver.to_owned(),
        client_msg_id: told.client_msg_id.clone(),
        server_msg_id: told.server_msg_id.clone(),
        session_type: names::session_type(place),
        msg_from: FROM_USER,
        seq: number(view.conversation_seq.0),
        send_time: number(view.time.0),
        create_time: number(view.time.0),
        status: THERE,
        ..MsgData::default()
    }
}

fn options(off: Options) -> BTreeMap<String, bool> {
    let off = OPTIONS.iter().filter(|(option, _)| off.contains(*option));
    off.map(|(_, name)| ((*name).to_owned(), false)).collect()
}

/// A recalled message: a line that says so, in its place.
fn recalled(own: &str, place: &Place, view: &HistoryView) -> MsgData {
    let told = &view.told;
    let (by, when) = match &view.withdrawer {
        Some((by, time)) => (by.as_str(), *time),
        None => (told.sender.as_str(), view.time),
    };
    let detail = json!({
        "revokerID": by,
        "revokerRole": 0,
        "clientMsgID": told.client_msg_id,
        "revokerNickname": "",
        "revokeTime": when.0,
        "sourceMessageSendTime": view.time.0,
        "sourceMessageSendID": told.sender,
        "sourceMessageSenderNickname": "",
        "sessionType": names::session_type(place),
        "seq": view.conversation_seq.0,
        "ex": "",
        "isAdminRevoke": place.kind == 2 || by != told.sender,
    });
    MsgData {
        content_type: RECALLED,
        content: content::framed(&detail.to_string()).into(),
        ..envelope(own, place, view)
    }
}

/// A message of a log's entry, as of its conversation; `None` when the entry is no message.
#[must_use]
pub fn as_history(view: &View, told: &MessageTold) -> HistoryView {
    HistoryView {
        conversation_seq: view.conversation_seq,
        time: view.time,
        withdrawn: None,
        withdrawer: None,
        told: told.clone(),
    }
}

/// What an entry that is no message needs to know besides itself.
#[derive(Clone, Debug, Default)]
pub struct Aside {
    /// The message that it speaks of.
    pub message: Option<HistoryView>,
    /// The last seq of the conversation.
    pub head: u64,
}

/// An entry that is no message, as a notification to the owner's devices; `seq` is its number among such entries.
#[must_use]
pub fn control(own: &str, seq: u64, view: &View, note: &Note, aside: &Aside) -> MsgData {
    let Some((content_type, tips)) = tips(own, view, note, aside) else {
        return placeholder(seq, view.time);
    };
    let by = if note.by.is_empty() { own } else { &note.by };
    MsgData {
        send_id: by.to_owned(),
        recv_id: own.to_owned(),
        // Of all devices of the user the same, and of no other notification.
        client_msg_id: format!("control-{}-{seq}", view.seq),
        server_msg_id: format!("control-{}-{seq}", view.seq),
        session_type: names::SINGLE,
        msg_from: FROM_SYSTEM,
        content_type,
        content: Bytes::from(content::framed(&tips.to_string())),
        seq: number(seq),
        send_time: number(view.time.0),
        create_time: number(view.time.0),
        status: THERE,
        options: notification_options(),
        ..MsgData::default()
    }
}

fn notification_options() -> BTreeMap<String, bool> {
    let off = NOTIFICATION_OFF
        .iter()
        .map(|name| ((*name).to_owned(), false));
    off.chain([("senderSync".to_owned(), true)]).collect()
}

/// A business notification that is kept nowhere: it has no seq.
#[must_use]
pub fn business(from: &str, to: &str, id: &str, time: u64, key: &str, data: &str) -> MsgData {
    let mut options = notification_options();
    for name in ["history", "persistent"] {
        options.insert(name.to_owned(), false);
    }
    let detail = json!({ "key": key, "data": data }).to_string();
    MsgData {
        send_id: from.to_owned(),
        recv_id: to.to_owned(),
        client_msg_id: id.to_owned(),
        server_msg_id: id.to_owned(),
        session_type: names::SINGLE,
        msg_from: FROM_SYSTEM,
        content_type: BUSINESS,
        content: content::framed(&detail).into(),
        send_time: number(time),
        create_time: number(time),
        status: THERE,
        options,
        ..MsgData::default()
    }
}

/// How much of a conversation is read, counted back from its end, as a notification that is kept nowhere.
#[must_use]
pub fn unread(own: &str, outline: &Outline, time: u64) -> MsgData {
    let read = outline.head.0.saturating_sub(outline.unread);
    let tips = json!({
        "markAsReadUserID": own,
        "conversationID": names::of(own, &outline.place),
        "seqs": [outline.head.0],
        "hasReadSeq": read,
    });
    let mut options = notification_options();
    for name in ["history", "persistent"] {
        options.insert(name.to_owned(), false);
    }
    let id = format!("unread-{}-{read}-{time}", names::of(own, &outline.place));
    MsgData {
        send_id: own.to_owned(),
        recv_id: own.to_owned(),
        client_msg_id: id.clone(),
        server_msg_id: id,
        session_type: names::SINGLE,
        msg_from: FROM_SYSTEM,
        content_type: READ,
        content: content::framed(&tips.to_string()).into(),
        send_time: number(time),
        create_time: number(time),
        status: THERE,
        options,
        ..MsgData::default()
    }
}

/// The contentType and the contents of a notification; `None` when clients have none for it.
fn tips(own: &str, view: &View, note: &Note, aside: &Aside) -> Option<(i32, Value)> {
    let conversation = names::of(own, &view.place);
    let up_to = view.conversation_seq.0;
    Some(match view.kind {
        2 => {
            let first = up_to.saturating_sub(RECEIPT_SEQS - 1).max(1);
            let tips = json!({
                "markAsReadUserID": note.by,
                "conversationID": conversation,
                "seqs": (first..=up_to).collect::<Vec<_>>(),
                "hasReadSeq": up_to,
            });
            (READ, tips)
        }
        3 => (
            SET,
            json!({ "userID": own, "conversationIDList": [conversation] }),
        ),
        4 if note.withdrawn == Some(Withdrawal::Recalled) => {
            let message = aside.message.as_ref()?;
            let tips = json!({
                "revokerUserID": note.by,
                "clientMsgID": message.told.client_msg_id,
                "revokeTime": view.time.0,
                "sesstionType": names::session_type(&view.place),
                "seq": up_to,
                "conversationID": conversation,
                "isAdminRevoke": view.place.kind == 2 || note.by != message.told.sender,
            });
            (RECALLED, tips)
        }
        4 => (REMOVED, removed(own, &conversation, &[up_to])),
        5 => {
            let seqs: Vec<u64> = note.messages.iter().map(|seq| seq.0).collect();
            (REMOVED, removed(own, &conversation, &seqs))
        }
        // The client deletes all that it has, so it may not be told when there is more by now.
        6 if up_to < aside.head => {
            let first = up_to.saturating_sub(RECEIPT_SEQS - 1).max(1);
            let seqs: Vec<u64> = (first..=up_to).collect();
            (REMOVED, removed(own, &conversation, &seqs))
        }
        6 => (
            CLEARED,
            json!({ "userID": own, "conversationIDs": [conversation] }),
        ),
        8 => (BUSINESS, changed(&conversation, up_to, aside)?),
        _ => return None,
    })
}

fn removed(own: &str, conversation: &str, seqs: &[u64]) -> Value {
    json!({ "userID": own, "conversationID": conversation, "seqs": seqs })
}

/// The client has no notification for a changed message, but a channel for what it does not know.
fn changed(conversation: &str, seq: u64, aside: &Aside) -> Option<Value> {
    let told = &aside.message.as_ref()?.told;
    let line = told.status_line.as_ref();
    // It is escaped once for each text that it stands in; a long one is asked for where the message is.
    let said = told.message.as_ref();
    let said = said.filter(|said| said.content.len() <= TOLD_CONTENT_BYTES);
    let data = json!({
        "conversationID": conversation,
        "seq": seq,
        "clientMsgID": told.client_msg_id,
        "serverMsgID": told.server_msg_id,
        "contentType": told.content_type,
        "content": said.map(|said| content::given(told.content_type, &said.content)),
        "statusLine": line.map(|line| json!({ "text": line.text, "color": line.color })),
    });
    Some(json!({ "key": CHANGED_KEY, "data": data.to_string() }))
}

#[cfg(test)]
mod tests;
