//! An entry of a user's log as a device keeps it: as the JSON that `/v1` has for it, over whatever transport it came.

use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use waybill_core::body::OfflinePush;
use waybill_core::fact::Options;
use waybill_core::id::{Seq, Time};
use waybill_core::wire::{Entry, MARKED, MESSAGE, MessageEntry, NoteEntry, Place, REMOVED};

/// An entry. Its JSON is described in `docs/http.md`, "A user's log".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place in the user's log.
    pub seq: Seq,
    /// What it is: 1 a message, else as in `docs/protocol.md`, "Entries".
    pub kind: u8,
    /// The time shown on it.
    pub time: Time,
    json: Box<str>,
}

/// A conversation, as the owner of the log sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Conversation {
    /// `single`, `notification`; others may come.
    pub kind: String,
    /// The other party.
    pub peer: String,
}

/// The parts of a message that most programs need. The rest stands in [`LogEntry::json`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// In which conversation.
    pub conversation: Conversation,
    /// Its place there.
    pub conversation_seq: u64,
    /// Who it is from.
    pub sender: String,
    /// The server's id of the message.
    pub server_msg_id: String,
    /// The sender's id of the message: of one's own the key that it was sent with.
    pub client_msg_id: String,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// What was said, as the sender wrote it; `None` when it was erased.
    pub content: Option<Box<str>>,
}

/// A text that is no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an entry: {0}")]
pub struct EntryError(String);

impl LogEntry {
    /// Reads the JSON of an entry.
    ///
    /// # Errors
    /// When it has no seq, kind or time.
    pub fn read(json: impl Into<Box<str>>) -> Result<Self, EntryError> {
        #[derive(Deserialize)]
        struct Head {
            seq: u64,
            kind: u8,
            time: u64,
        }
        let json = json.into();
        let Head { seq, kind, time } =
            serde_json::from_str(&json).map_err(|error| EntryError(error.to_string()))?;
        Ok(Self {
            seq: Seq(seq),
            kind,
            time: Time(time),
            json,
        })
    }

    /// An entry that was read before.
    pub(crate) fn stored(seq: u64, kind: u8, time: u64, json: String) -> Self {
        Self {
            seq: Seq(seq),
            kind,
            time: Time(time),
            json: json.into_boxed_str(),
        }
    }

    /// The entry as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The message, or `None` when the entry is of another kind.
    #[must_use]
    pub fn message(&self) -> Option<Received> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Fields<'a> {
            conversation: Conversation,
            conversation_seq: u64,
            sender: String,
            #[serde(rename = "serverMsgID")]
            server_msg_id: String,
            #[serde(rename = "clientMsgID")]
            client_msg_id: String,
            content_type: u32,
            #[serde(borrow)]
            content: Option<&'a RawValue>,
        }
        if self.kind != MESSAGE {
            return None;
        }
        let fields: Fields<'_> = serde_json::from_str(&self.json).ok()?;
        Some(Received {
            conversation: fields.conversation,
            conversation_seq: fields.conversation_seq,
            sender: fields.sender,
            server_msg_id: fields.server_msg_id,
            client_msg_id: fields.client_msg_id,
            content_type: fields.content_type,
            content: fields.content.map(|content| content.get().into()),
        })
    }
}

impl TryFrom<&Entry> for LogEntry {
    type Error = EntryError;

    /// Writes an entry of the binary protocol as JSON. One of a kind that is not known here keeps its payload in hexadecimal.
    fn try_from(entry: &Entry) -> Result<Self, EntryError> {
        let wrong = |error: &dyn std::fmt::Display| EntryError(error.to_string());
        let message = entry.as_message().map_err(|error| wrong(&error))?;
        let note = entry.as_note().map_err(|error| wrong(&error))?;
        let more = message.is_none() && note.is_none() && !entry.payload.is_empty();
        let body = Body {
            seq: entry.seq.0,
            time: entry.time.0,
            kind: entry.kind,
            message: message.as_ref().map(MessageBody::from),
            note: note.as_ref().map(|note| NoteBody::of(entry.kind, note)),
            payload: more.then(|| hex::encode(&entry.payload)),
        };
        let json = serde_json::to_string(&body).map_err(|error| wrong(&error))?;
        Ok(Self {
            seq: entry.seq,
            kind: entry.kind,
            time: entry.time,
            json: json.into_boxed_str(),
        })
    }
}

#[derive(Serialize)]
struct Body<'a> {
    seq: u64,
    time: u64,
    kind: u8,
    #[serde(flatten)]
    message: Option<MessageBody<'a>>,
    #[serde(flatten)]
    note: Option<NoteBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageBody<'a> {
    conversation: PlaceBody<'a>,
    conversation_seq: u64,
    sender: &'a str,
    #[serde(rename = "serverMsgID")]
    server_msg_id: String,
    #[serde(rename = "clientMsgID")]
    client_msg_id: &'a str,
    content_type: u32,
    #[serde(skip_serializing_if = "is_zero")]
    notification_type: i32,
    /// As it was sent, byte for byte; `null` where the message was erased.
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
    options: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offline_push: Option<PushBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NoteBody<'a> {
    conversation: PlaceBody<'a>,
    conversation_seq: u64,
    by: &'a str,
    #[serde(rename = "serverMsgID", skip_serializing_if = "Option::is_none")]
    server_msg_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<SettingsBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conversation_seqs: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<&'static str>,
}

#[derive(Serialize)]
struct PlaceBody<'a> {
    kind: &'static str,
    peer: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SettingsBody {
    pinned: bool,
    receive_option: u8,
    hidden: bool,
}

/// What a push shows, with the names that it has over `/v1`.
#[derive(Serialize)]
pub(crate) struct PushBody<'a> {
    title: &'a str,
    desc: &'a str,
    ex: &'a str,
    #[serde(rename = "iOSPushSound")]
    ios_push_sound: &'a str,
    #[serde(rename = "iOSBadgeCount")]
    ios_badge_count: bool,
}

impl<'a> From<&'a OfflinePush> for PushBody<'a> {
    fn from(push: &'a OfflinePush) -> Self {
        Self {
            title: &push.title,
            desc: &push.desc,
            ex: &push.ex,
            ios_push_sound: &push.ios_push_sound,
            ios_badge_count: push.ios_badge_count,
        }
    }
}

impl<'a> From<&'a Place> for PlaceBody<'a> {
    fn from(place: &'a Place) -> Self {
        Self {
            kind: match place.kind {
                Place::SINGLE => "single",
                Place::NOTIFICATION => "notification",
                _ => "other",
            },
            peer: &place.peer,
        }
    }
}

impl<'a> From<&'a MessageEntry> for MessageBody<'a> {
    fn from(message: &'a MessageEntry) -> Self {
        let content = std::str::from_utf8(&message.content).ok();
        Self {
            conversation: (&message.place).into(),
            conversation_seq: message.conversation_seq.0,
            sender: &message.sender,
            server_msg_id: hex::encode(message.server_msg_id),
            client_msg_id: &message.client_msg_id,
            content_type: message.content_type,
            notification_type: message.notification_type,
            content: content.and_then(|content| serde_json::from_str(content).ok()),
            erased: message.erased,
            sender_nickname: &message.sender_nickname,
            sender_face_url: &message.sender_face_url,
            sender_platform: message.sender_platform,
            options: switched_off(message.options_off),
            offline_push: message.offline_push.as_ref().map(PushBody::from),
        }
    }
}

impl<'a> NoteBody<'a> {
    fn of(kind: u8, note: &'a NoteEntry) -> Self {
        let seqs = note.messages.iter().map(|seq| seq.0);
        Self {
            conversation: (&note.place).into(),
            conversation_seq: note.conversation_seq.0,
            by: &note.by,
            server_msg_id: note.server_msg_id.map(hex::encode),
            settings: note.settings.map(|settings| SettingsBody {
                pinned: settings.pinned,
                receive_option: settings.receive_option,
                hidden: settings.hidden,
            }),
            conversation_seqs: if kind == REMOVED {
                seqs.collect()
            } else {
                Vec::new()
            },
            mark: (kind == MARKED).then_some(if note.confirmed {
                "confirmed"
            } else {
                "opened"
            }),
        }
    }
}

/// The options that are off, by name; `None` when all are on.
pub(crate) fn switched_off(off: Options) -> Option<Map<String, Value>> {
    let named = Options::NAMES.iter().filter(|(_, bit)| off.contains(*bit));
    let map: Map<_, _> = named
        .map(|(name, _)| ((*name).to_owned(), false.into()))
        .collect();
    (!map.is_empty()).then_some(map)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_an_unknown_kind_keeps_its_payload() {
        let entry = Entry {
            seq: Seq(7),
            kind: 99,
            time: Time(5),
            payload: vec![1, 0xab],
        };
        let stored = LogEntry::try_from(&entry).unwrap();
        let expected = r#"{"seq":7,"time":5,"kind":99,"payload":"01ab"}"#;
        assert_eq!(stored.json(), expected);
        assert_eq!(LogEntry::read(expected).unwrap(), stored);
        assert_eq!(stored.message(), None);
    }

    #[test]
    fn a_place_that_was_left_out_is_an_entry_without_more() {
        let entry = Entry::skipped(Seq(7), Time(5));
        let stored = LogEntry::try_from(&entry).unwrap();
        assert_eq!(stored.json(), r#"{"seq":7,"time":5,"kind":9}"#);
    }

    #[test]
    fn a_text_without_a_seq_is_no_entry() {
        for wrong in ["", "{}", "[]", r#"{"seq":-1,"kind":1,"time":1}"#] {
            assert!(LogEntry::read(wrong).is_err(), "{wrong}");
        }
    }
}
