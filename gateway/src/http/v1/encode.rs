//! The JSON of the native surface. Contents are put in as they were written, byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use waybill_core::body::{Change, Message, OfflinePush, StatusLine};
use waybill_core::fact::{Mark, Options};
use waybill_core::id::Time;

use crate::registry::Identity;
use crate::service::{
    self, ConversationView, HistoryPage, HistoryView, ListView, MessageTold, MessageView, Note,
    OnlineMessage, Page, Place, SentMessage, StandingView, Told, View, gone,
};

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

/// What became of a message for those online only.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnlineSent<'a> {
    #[serde(rename = "serverMsgID")]
    server_msg_id: &'a str,
    #[serde(rename = "clientMsgID")]
    client_msg_id: &'a str,
    time: u64,
    receivers: [Receiver<'a>; 1],
    connections: usize,
    repeated: bool,
}

impl<'a> From<&'a service::OnlineSent> for OnlineSent<'a> {
    fn from(sent: &'a service::OnlineSent) -> Self {
        Self {
            server_msg_id: &sent.server_msg_id,
            client_msg_id: &sent.client_msg_id,
            time: sent.time.0,
            receivers: [Receiver {
                user: &sent.receiver,
                seq: None,
                new: None,
            }],
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

#[derive(Serialize)]
struct Receiver<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<bool>,
}

/// A pulled page.
#[derive(Serialize)]
pub struct PageBody<'a> {
    epoch: String,
    floor: u64,
    head: u64,
    entries: Vec<EntryBody<'a>>,
    more: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryBody<'a> {
    seq: u64,
    time: u64,
    kind: u8,
    /// Not there where a restore left the place out.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<ConversationBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_seq: Option<u64>,
    #[serde(flatten)]
    told: Option<ToldBody<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ToldBody<'a> {
    Message(MessageToldBody<'a>),
    Note(NoteBody<'a>),
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
#[serde(rename_all = "camelCase")]
struct NoteBody<'a> {
    by: &'a str,
    #[serde(rename = "serverMsgID", skip_serializing_if = "Option::is_none")]
    server_msg_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<SettingsBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conversation_seqs: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// What the message says from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_line: Option<LineBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SettingsBody {
    pinned: bool,
    receive_option: u8,
    hidden: bool,
}

/// A message of a conversation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HistoryBody<'a> {
    conversation_seq: u64,
    time: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recalled: bool,
    /// Why: `recalled`, `superseded` or `expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(flatten)]
    told: MessageToldBody<'a>,
}

/// A page of a conversation.
#[derive(Serialize)]
pub struct HistoryPageBody<'a> {
    messages: Vec<HistoryBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// A conversation in a user's list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedBody<'a> {
    conversation: ConversationBody<'a>,
    title: &'a str,
    #[serde(rename = "faceURL")]
    face_url: &'a str,
    head: u64,
    read: u64,
    unread: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread_by_type: Option<&'a BTreeMap<i32, u64>>,
    pinned: bool,
    receive_option: u8,
    hidden: bool,
    latest: Option<HistoryBody<'a>>,
}

/// A page of a user's list.
#[derive(Serialize)]
pub struct ListBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    unread: u64,
    conversations: Vec<ListedBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
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

impl<'a> From<&'a Page> for PageBody<'a> {
    fn from(page: &'a Page) -> Self {
        Self {
            epoch: page.epoch.to_string(),
            floor: page.span.floor.0,
            head: page.span.head.0,
            entries: page.entries.iter().map(Into::into).collect(),
            more: page.more,
        }
    }
}

impl<'a> From<&'a View> for EntryBody<'a> {
    fn from(view: &'a View) -> Self {
        Self {
            seq: view.seq.0,
            time: view.time.0,
            kind: view.kind,
            conversation: (view.told != Told::Nothing).then(|| (&view.place).into()),
            conversation_seq: (view.told != Told::Nothing).then_some(view.conversation_seq.0),
            told: match &view.told {
                Told::Message(told) => Some(ToldBody::Message(told.into())),
                Told::Note(note) => Some(ToldBody::Note(note.into())),
                Told::Nothing => None,
            },
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

impl<'a> From<&'a Note> for NoteBody<'a> {
    fn from(note: &'a Note) -> Self {
        let change = note.change.as_ref();
        let change = change.and_then(|(_, change)| change.as_ref());
        Self {
            by: &note.by,
            server_msg_id: note.server_msg_id.as_deref(),
            settings: note.settings.map(|settings| SettingsBody {
                pinned: settings.pinned,
                receive_option: settings.receive_option,
                hidden: settings.hidden_at.0 > 0,
            }),
            conversation_seqs: note.messages.iter().map(|seq| seq.0).collect(),
            reason: note.withdrawn.map(gone),
            content: match change {
                Some(Change::Content(text)) => serde_json::from_str(text).ok(),
                _ => None,
            },
            status_line: match change {
                Some(Change::StatusLine(line)) => Some(line.into()),
                _ => None,
            },
            mark: note.mark.map(|mark| match mark {
                Mark::Opened => "opened",
                Mark::Confirmed => "confirmed",
            }),
        }
    }
}

impl<'a> From<&'a HistoryView> for HistoryBody<'a> {
    fn from(view: &'a HistoryView) -> Self {
        let mut told = MessageToldBody::from(&view.told);
        // What was recalled is not shown; that is not to say that it was erased.
        told.said.erased &= view.withdrawn.is_none();
        Self {
            conversation_seq: view.conversation_seq.0,
            time: view.time.0,
            recalled: view.withdrawn.is_some(),
            reason: view.withdrawn.map(gone),
            told,
        }
    }
}

impl<'a> From<&'a HistoryPage> for HistoryPageBody<'a> {
    fn from(page: &'a HistoryPage) -> Self {
        Self {
            messages: page.messages.iter().map(Into::into).collect(),
            next: page.next.map(|next| next.0),
        }
    }
}

impl<'a> From<&'a ConversationView> for ListedBody<'a> {
    fn from(view: &'a ConversationView) -> Self {
        Self {
            conversation: (&view.place).into(),
            title: &view.title,
            face_url: &view.face_url,
            head: view.head.0,
            read: view.read.0,
            unread: view.unread,
            unread_by_type: None,
            pinned: view.pinned,
            receive_option: view.receive_option,
            hidden: view.hidden,
            latest: view.latest.as_ref().map(Into::into),
        }
    }
}

impl<'a> ListedBody<'a> {
    /// With the unread messages of each notification type.
    pub fn with_types(self, types: &'a BTreeMap<i32, u64>) -> Self {
        Self {
            unread_by_type: Some(types),
            ..self
        }
    }
}

impl<'a> ListBody<'a> {
    /// A page of a list.
    pub fn page(list: &'a ListView) -> Self {
        Self {
            epoch: None,
            seq: None,
            unread: list.unread,
            conversations: list.conversations.iter().map(Into::into).collect(),
            cursor: list.cursor.as_deref(),
        }
    }

    /// A list as of a place of the log.
    pub fn snapshot(list: &'a ListView, epoch: String, seq: u64) -> Self {
        Self {
            epoch: Some(epoch),
            seq: Some(seq),
            ..Self::page(list)
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
