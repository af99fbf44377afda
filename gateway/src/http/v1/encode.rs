//! The JSON of the native surface. Contents are put in as they were written, byte for byte.

mod lists;
mod log;
mod online;

use serde::Serialize;
use serde_json::value::RawValue;
use waybill_core::body::{Message, OfflinePush, StatusLine};
use waybill_core::fact::Options;
use waybill_core::id::Time;

use crate::service::{MessageTold, MessageView, Place, SentMessage, StandingView, gone};

pub use lists::{HistoryPageBody, ListBody, ListedBody};
pub use log::{EntryBody, PageBody};
pub use online::{OnlineBody, OnlineSent, PresenceBody};

/// `{serverMsgID, clientMsgID, time, receivers}`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent<'a> {
    #[serde(rename = "serverMsgID")]
    server_msg_id: &'a str,
    #[serde(rename = "clientMsgID")]
    client_msg_id: &'a str,
    time: u64,
    receivers: [Receiver<'a>; 1],
}

#[derive(Serialize)]
struct Receiver<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageToldBody<'a> {
    sender: &'a str,
    #[serde(rename = "serverMsgID")]
    server_msg_id: &'a str,
    #[serde(rename = "clientMsgID")]
    client_msg_id: &'a str,
    #[serde(flatten)]
    said: SaidBody<'a>,
}

#[derive(Serialize)]
struct ConversationBody<'a> {
    kind: &'static str,
    peer: &'a str,
}

/// A message found by its id or key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageBody<'a> {
    #[serde(rename = "serverMsgID")]
    server_msg_id: &'a str,
    #[serde(rename = "clientMsgID")]
    client_msg_id: &'a str,
    time: u64,
    sender: &'a str,
    receivers: [Receiver<'a>; 1],
    /// How it stands with its receiver; for business roles.
    #[serde(flatten)]
    standing: Option<StandingBody>,
    conversation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recalled: bool,
    /// Why: `recalled`, `superseded` or `expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(flatten)]
    said: SaidBody<'a>,
}

/// How a message stands with one receiver, and since when.
#[derive(Serialize)]
pub(super) struct StandingBody {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<TimesBody>,
}

#[derive(Serialize)]
struct TimesBody {
    durable: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed: Option<u64>,
}

impl From<&StandingView> for StandingBody {
    fn from(view: &StandingView) -> Self {
        let millis = |time: Option<Time>| time.map(|time| time.0);
        Self {
            state: view.state,
            times: view.times.map(|times| TimesBody {
                durable: times.durable.0,
                delivered: millis(times.delivered),
                read: millis(times.read),
                opened: millis(times.opened),
                confirmed: millis(times.confirmed),
            }),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SaidBody<'a> {
    content_type: u32,
    #[serde(skip_serializing_if = "is_zero")]
    notification_type: i32,
    /// `null` where the message was erased.
    content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    erased: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    sender_nickname: &'a str,
    #[serde(rename = "senderFaceURL", skip_serializing_if = "str::is_empty")]
    sender_face_url: &'a str,
    #[serde(rename = "senderPlatformID", skip_serializing_if = "is_zero")]
    sender_platform: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offline_push: Option<PushBody<'a>>,
    /// Since when it says something else than what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    edited: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_line: Option<LineBody<'a>>,
}

impl<'a> SaidBody<'a> {
    fn changed(self, edited: Option<Time>, line: Option<&'a StatusLine>) -> Self {
        Self {
            edited: edited.map(|time| time.0),
            status_line: line.map(Into::into),
            ..self
        }
    }
}

/// A business status line.
#[derive(Serialize)]
struct LineBody<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    color: &'a str,
}

impl<'a> From<&'a StatusLine> for LineBody<'a> {
    fn from(line: &'a StatusLine) -> Self {
        Self {
            text: &line.text,
            color: &line.color,
        }
    }
}

#[derive(Serialize)]
struct PushBody<'a> {
    title: &'a str,
    desc: &'a str,
    ex: &'a str,
    #[serde(rename = "iOSPushSound")]
    ios_push_sound: &'a str,
    #[serde(rename = "iOSBadgeCount")]
    ios_badge_count: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// A kind of conversation, by name; one that this program does not know has its number.
pub(super) fn conversation_name(kind: u8) -> &'static str {
    match kind {
        1 => "single",
        2 => "notification",
        _ => "other",
    }
}

impl<'a> From<&'a SentMessage> for Sent<'a> {
    fn from(sent: &'a SentMessage) -> Self {
        Self {
            server_msg_id: &sent.server_msg_id,
            client_msg_id: &sent.client_msg_id,
            time: sent.time.0,
            receivers: [Receiver {
                user: &sent.receiver,
                seq: sent.seq.map(|seq| seq.0),
                new: sent.new_receiver,
            }],
        }
    }
}

impl<'a> From<&'a Place> for ConversationBody<'a> {
    fn from(place: &'a Place) -> Self {
        Self {
            kind: conversation_name(place.kind),
            peer: &place.peer,
        }
    }
}

impl<'a> From<&'a MessageTold> for MessageToldBody<'a> {
    fn from(told: &'a MessageTold) -> Self {
        Self {
            sender: &told.sender,
            server_msg_id: &told.server_msg_id,
            client_msg_id: &told.client_msg_id,
            said: said(
                told.content_type,
                told.notification_type,
                told.options_off,
                told.message.as_ref(),
            )
            .changed(told.edited, told.status_line.as_ref()),
        }
    }
}

impl<'a> From<&'a MessageView> for MessageBody<'a> {
    fn from(view: &'a MessageView) -> Self {
        let mut said = said(
            view.content_type,
            view.notification_type,
            view.options_off,
            view.message.as_ref(),
        )
        .changed(view.edited, view.status_line.as_ref());
        // What is not shown was not therefore erased.
        said.erased &= view.withdrawn.is_none_or(|(_, shown)| shown);
        Self {
            server_msg_id: &view.server_msg_id,
            client_msg_id: &view.client_msg_id,
            time: view.time.0,
            sender: &view.sender,
            receivers: [Receiver {
                user: &view.receiver,
                seq: view.seq.map(|seq| seq.0),
                new: None,
            }],
            standing: view.standing.as_ref().map(StandingBody::from),
            conversation: conversation_name(view.place_kind),
            position: view.position.map(|position| position.0),
            recalled: view.withdrawn.is_some(),
            reason: view.withdrawn.map(|(why, _)| gone(why)),
            said,
        }
    }
}

fn said(
    content_type: u32,
    notification_type: i32,
    options_off: Options,
    message: Option<&Message>,
) -> SaidBody<'_> {
    let text = |field: fn(&Message) -> &String| message.map_or("", |message| field(message));
    SaidBody {
        content_type,
        notification_type,
        // What was stored had been checked; were it no JSON, it would be shown as erased rather than break the page.
        content: message.and_then(|message| serde_json::from_str(&message.content).ok()),
        erased: message.is_none(),
        sender_nickname: text(|message| &message.sender_nickname),
        sender_face_url: text(|message| &message.sender_face_url),
        sender_platform: message.map_or(0, |message| message.sender_platform),
        options: options(options_off),
        offline_push: message
            .and_then(|message| message.offline_push.as_ref())
            .map(push),
        edited: None,
        status_line: None,
    }
}

/// The options that are off, as OpenIM writes them; an absent one is on.
fn options(off: Options) -> Option<serde_json::Map<String, serde_json::Value>> {
    let named = Options::NAMES.iter().filter(|(_, bit)| off.contains(*bit));
    let map: serde_json::Map<_, _> = named
        .map(|(name, _)| ((*name).to_owned(), false.into()))
        .collect();
    (!map.is_empty()).then_some(map)
}

fn push(push: &OfflinePush) -> PushBody<'_> {
    PushBody {
        title: &push.title,
        desc: &push.desc,
        ex: &push.ex,
        ios_push_sound: &push.ios_push_sound,
        ios_badge_count: push.ios_badge_count,
    }
}
