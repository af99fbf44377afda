//! Pages of a user's log.

use serde::Serialize;
use serde_json::value::RawValue;
use waybill_core::body::Change;
use waybill_core::fact::Mark;

use super::{ConversationBody, LineBody, MessageToldBody};
use crate::service::{Note, Page, Told, View, gone};

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
