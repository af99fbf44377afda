//! A user's conversations, and pages of one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ConversationBody, MessageToldBody};
use crate::service::{ConversationView, HistoryPage, HistoryView, ListView, gone};

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
