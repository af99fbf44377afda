//! From entries of a user's log to pushes: one conversation a frame, in the order of the log, each frame below the size at
//! which clients break off.

use std::collections::BTreeMap;

use bytes::Bytes;
use waybill_core::fact::Withdrawal;
use waybill_core::id::{ControlSeq, ConversationSeq};

use crate::auth::Principal;
use crate::error::Error;
use crate::openim::v3::names;
use crate::openim::v3::online::Told;
use crate::openim::v3::proto::{EncodedMessagesResp, EncodedMsgs, Message, MsgData};
use crate::openim::v3::translate::{self, Aside};
use crate::service::{
    Named, Note, OnlineMessage, Outline, Service, Told as Entry, View, now_seconds,
};

/// Most bytes of messages in a frame: clients take 1 MiB, and gzip may not help.
pub const FRAME_BYTES: usize = 900 * 1024;

/// Bytes of a message in a frame besides its own: the field and its length.
const FRAMING_BYTES: usize = 16;

/// Messages of one conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    conversation: String,
    notifications: bool,
    /// Encoded.
    messages: Vec<Bytes>,
    bytes: usize,
    number: i64,
    /// The trace id of the request that sent the message.
    pub operation_id: String,
}

/// How many bytes an encoded message takes in a frame. Its envelope is counted too: senders choose most of it.
#[must_use]
pub fn size(message: &Bytes) -> usize {
    message.len() + FRAMING_BYTES
}

impl Push {
    fn of(
        conversation: String,
        notifications: bool,
        message: &MsgData,
        operation_id: &str,
    ) -> Self {
        let encoded = Bytes::from(message.to_vec());
        Self {
            conversation,
            notifications,
            bytes: size(&encoded),
            messages: vec![encoded],
            number: if message.seq > 0 {
                message.seq
            } else {
                message.send_time
            },
            operation_id: operation_id.to_owned(),
        }
    }

    /// Of what was told and is kept nowhere.
    #[must_use]
    pub fn told(told: &Told) -> Self {
        let name = told.conversation.clone();
        Self::of(name, true, &told.message, &told.operation_id)
    }

    /// Of a message for those who are online. It has no seq.
    #[must_use]
    pub fn online(own: &str, online: &OnlineMessage) -> Self {
        let message = translate::online(own, online);
        let name = names::of(own, &online.place);
        Self::of(name, online.place.kind == 2, &message, &online.operation_id)
    }

    /// What tells it from other pushes of its conversation: the seq of its last message, or its time.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Its message on the wire.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let messages = EncodedMsgs {
            msgs: self.messages,
            ..EncodedMsgs::default()
        };
        let one = BTreeMap::from([(self.conversation, messages)]);
        let mut frame = EncodedMessagesResp::default();
        if self.notifications {
            frame.notification_msgs = one;
        } else {
            frame.msgs = one;
        }
        frame.to_vec()
    }

    /// Takes in the next one, if both belong into one frame.
    fn join(&mut self, next: Self) -> Option<Self> {
        let same = self.conversation == next.conversation
            && self.operation_id == next.operation_id
            && self.bytes + next.bytes <= FRAME_BYTES;
        if !same {
            return Some(next);
        }
        self.bytes += next.bytes;
        self.number = next.number;
        self.messages.extend(next.messages);
        None
    }
}

/// Makes pushes of entries; `control` is the number of the last entry before them that is no message, and moves on.
///
/// # Errors
/// When what an entry speaks of cannot be read.
pub async fn of_entries(
    service: &Service,
    principal: &Principal,
    views: &[View],
    control: &mut ControlSeq,
) -> Result<Vec<Push>, Error> {
    let mut pushes: Vec<Push> = Vec::new();
    for view in views {
        let push = match &view.told {
            Entry::Message(told) => of_message(&principal.user, view, told),
            // The client sees a gap and asks for the last of it.
            Entry::Nothing => {
                control.0 += 1;
                continue;
            }
            Entry::Note(note) => {
                control.0 += 1;
                let message = of_note(service, principal, control.0, view, note).await?;
                Push::of(names::own(&principal.user), true, &message, "")
            }
        };
        let apart = match pushes.last_mut() {
            Some(last) => last.join(push),
            None => Some(push),
        };
        pushes.extend(apart);
    }
    Ok(pushes)
}

fn of_message(own: &str, view: &View, told: &crate::service::MessageTold) -> Push {
    let message = translate::message(own, &view.place, &translate::as_history(view, told));
    let said = told.message.as_ref();
    let operation_id = said.map_or("", |said| said.operation_id.as_str());
    Push::of(names::of(own, &view.place), false, &message, operation_id)
}

/// An entry that is no message, with the message that it speaks of.
///
/// # Errors
/// When that cannot be read.
pub async fn of_note(
    service: &Service,
    principal: &Principal,
    number: u64,
    view: &View,
    note: &Note,
) -> Result<MsgData, Error> {
    let named = Named {
        kind: view.place.kind,
        peer: &view.place.peer,
    };
    let mut aside = Aside::default();
    if matches!(view.kind, 4 | 8) {
        let seqs = vec![view.conversation_seq.0];
        let found = service.messages_at(principal, "", named, seqs).await?;
        aside.message = found.into_iter().next();
    }
    if view.kind == 6 {
        let found = service.outlines_of(principal, "", &[named]).await?;
        aside.head = found.first().map_or(0, |outline| outline.head.0);
    }
    Ok(translate::control(
        &principal.user,
        number,
        view,
        note,
        &aside,
    ))
}

/// What is unread in the notification sessions in which messages were recalled: the client goes on counting those, but believes
/// the server. What is deleted it counts itself, and of single chats it would not look at it.
///
/// # Errors
/// When the conversations cannot be read.
pub async fn unread(
    service: &Service,
    principal: &Principal,
    views: &[View],
) -> Result<Vec<Push>, Error> {
    let recalled = |view: &&View| match &view.told {
        Entry::Note(note) => note.withdrawn == Some(Withdrawal::Recalled),
        Entry::Message(_) | Entry::Nothing => false,
    };
    let gone = views
        .iter()
        .filter(|view| view.place.kind == 2)
        .filter(recalled);
    let mut accounts: Vec<&str> = gone.map(|view| view.place.peer.as_str()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let named: Vec<Named<'_>> = accounts
        .iter()
        .map(|peer| Named { kind: 2, peer })
        .collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let own = &principal.user;
    let outlines = service.outlines_of(principal, "", &named).await?;
    let push = |outline: &Outline| {
        let message = translate::unread(own, outline, now_ms());
        Push::of(names::own(own), true, &message, "")
    };
    Ok(outlines.iter().map(push).collect())
}

fn now_ms() -> u64 {
    now_seconds().saturating_mul(1_000)
}

/// The newest message of each of these conversations, and the last notification: a client that missed some sees the gap and
/// asks; what it has, it passes over.
///
/// # Errors
/// When they cannot be read.
pub async fn newest(
    service: &Service,
    principal: &Principal,
    most: usize,
    control: ControlSeq,
) -> Result<Vec<Push>, Error> {
    let mut pushes = Vec::new();
    for outline in service
        .outlines(principal, "")
        .await?
        .into_iter()
        .take(most)
    {
        let named = Named {
            kind: outline.place.kind,
            peer: &outline.place.peer,
        };
        let ConversationSeq(head) = outline.head;
        let found = service
            .messages_at(principal, "", named, vec![head])
            .await?;
        let message = match found.first() {
            Some(view) => translate::message(&principal.user, &outline.place, view),
            None => translate::placeholder(head, outline.last_time),
        };
        let name = names::of(&principal.user, &outline.place);
        pushes.push(Push::of(name, false, &message, ""));
    }
    let before = ControlSeq(control.0.saturating_sub(1));
    for (number, view) in service.control(principal, "", before, 1).await? {
        let message = match &view.told {
            Entry::Note(note) => of_note(service, principal, number.0, &view, note).await?,
            Entry::Message(_) | Entry::Nothing => translate::placeholder(number.0, view.time),
        };
        pushes.push(Push::of(names::own(&principal.user), true, &message, ""));
    }
    Ok(pushes)
}
