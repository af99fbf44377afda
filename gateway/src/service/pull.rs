//! Reading a user's log: pages from a cursor on, and waiting for it to grow. Reading never writes.

use std::collections::HashMap;
use std::time::Duration;

use waybill_core::body::{Change, Message, StatusLine};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{ChangedPlace, ConversationSettings, Fact, Mark, Options, Withdrawal};
use waybill_core::id::{ConversationSeq, Epoch, Position, Seq, Time, UserNo};
use waybill_core::outcome::StateError;
use waybill_core::record::Record;
use waybill_core::state::EntryKind;
use waybill_log::reader::{Changed, PAGE_BYTES};
use waybill_log::{Entry, Pulled as LogPulled, Subscription};

pub use waybill_log::Span;

use super::{Service, unreadable};
use crate::auth::Principal;
use crate::error::Error;

/// Pages of at most so many entries are read at once; they are nearly always in memory, and going to another thread would
/// cost more than the read.
const READ_HERE: u64 = 8;

/// What a pull gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Entries from after the cursor on, without a gap.
    Page(Page),
    /// What the cursor asks for is no longer there.
    TooOld(Span),
    /// The cursor lies behind the end: it is of another history.
    Ahead(Span),
}

/// Entries of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The identity of the history.
    pub epoch: Epoch,
    /// The ends of the log.
    pub span: Span,
    /// The entries.
    pub entries: Vec<View>,
    /// Whether the log goes on behind them.
    pub more: bool,
}

/// A conversation, as the owner of a log sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// 1 single chat, 2 notification session; 0 of what is of none.
    pub kind: u8,
    /// The other party: of a notification session the sending account, or in that account's own log the receiver.
    pub peer: String,
}

impl Place {
    /// No conversation.
    #[must_use]
    pub fn nowhere() -> Self {
        Self {
            kind: 0,
            peer: String::new(),
        }
    }

    /// A conversation with this party.
    #[must_use]
    pub fn of(conversation: Conversation, peer: String) -> Self {
        let kind = match conversation {
            Conversation::Single { .. } => 1,
            Conversation::Notification { .. } => 2,
        };
        Self { kind, peer }
    }
}

/// One entry, with everything that numbers stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its place in the log.
    pub seq: Seq,
    /// What it is: 1 a message, else as in `docs/protocol.md`.
    pub kind: u8,
    /// The time shown on it.
    pub time: Time,
    /// In which conversation.
    pub place: Place,
    /// Its place there, or the place there that it speaks of.
    pub conversation_seq: ConversationSeq,
    /// The rest.
    pub told: Told,
}

/// What an entry tells.
#[expect(clippy::large_enum_variant, reason = "nearly all are messages")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A message.
    Message(MessageTold),
    /// Something that happened to a conversation.
    Note(Note),
    /// Nothing: a restore left the place out. It is of no conversation.
    Nothing,
}

/// A message, as one of its parties has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageTold {
    /// Who it is from.
    pub sender: String,
    /// Its record.
    pub position: Position,
    /// The server's id of the message.
    pub server_msg_id: String,
    /// The caller's id of the message, or the one derived for it.
    pub client_msg_id: String,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// The notice's type, 0 for anything else.
    pub notification_type: i32,
    /// Options that are switched off.
    pub options_off: Options,
    /// What was said; `None` when it was erased.
    pub message: Option<Message>,
    /// Since when it says something else than what was sent. A log's entry tells what was sent; a later one, that it changed.
    pub edited: Option<Time>,
    /// The business status line shown with it.
    pub status_line: Option<StatusLine>,
}

/// Something that happened to a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Who did it.
    pub by: String,
    /// Of a recall and of a mark: the id of the message.
    pub server_msg_id: Option<String>,
    /// Of settings: how they are now.
    pub settings: Option<ConversationSettings>,
    /// Of deleted messages: their places.
    pub messages: Vec<ConversationSeq>,
    /// Of a message that was withdrawn: why.
    pub withdrawn: Option<Withdrawal>,
    /// Of a message that was changed: when, and to what; no change when that was erased.
    pub change: Option<(Time, Option<Change>)>,
    /// Of a mark: what it is.
    pub mark: Option<Mark>,
}

impl Service {
    /// The entries of `user`'s log after a cursor: at most `limit`. An empty user is the principal's own.
    ///
    /// # Errors
    /// When the principal may not read that log, there is no such user, or the log cannot be read.
    pub async fn pull(
        &self,
        principal: &Principal,
        user: &str,
        after: Seq,
        limit: usize,
    ) -> Result<Pulled, Error> {
        self.pull_within(principal, user, after, limit, PAGE_BYTES)
            .await
    }

    /// As [`Service::pull`], and of at most about `bytes` of what is stored; one entry is given even if it is larger.
    ///
    /// # Errors
    /// As [`Service::pull`].
    pub async fn pull_within(
        &self,
        principal: &Principal,
        user: &str,
        after: Seq,
        limit: usize,
        bytes: usize,
    ) -> Result<Pulled, Error> {
        let owner = self.acting_for(principal, user)?;
        self.pull_of(owner, after, limit, bytes).await
    }

    /// As [`Service::pull`], but at the end of the log it returns only when the log grows, `wait` is over, or the
    /// connection should end. While it waits it counts as a live connection of the user.
    ///
    /// # Errors
    /// As [`Service::pull`]; and when the user has too many connections, or the token was revoked meanwhile.
    pub async fn pull_wait(
        &self,
        principal: &Principal,
        user: &str,
        after: Seq,
        limit: usize,
        wait: Duration,
    ) -> Result<Pulled, Error> {
        let owner = self.acting_for(principal, user)?;
        // First the watch, then the head: what comes in between is not missed.
        let mut watch = self.0.reader.subscribe(owner);
        let head = self.0.reader.span(owner).map_err(unreadable)?.head;
        if head == after && !wait.is_zero() {
            let has_grown = || Ok(self.0.reader.span(owner)?.head > after);
            self.wait_for(principal, &mut watch, has_grown, wait)
                .await?;
        }
        self.pull_of(owner, after, limit, PAGE_BYTES).await
    }

    /// Starts to watch a log.
    ///
    /// # Errors
    /// When the principal may not read that log or there is no such user.
    pub fn watch(&self, principal: &Principal, user: &str) -> Result<Subscription, Error> {
        Ok(self.0.reader.subscribe(self.acting_for(principal, user)?))
    }

    /// The ends of a log.
    ///
    /// # Errors
    /// As [`Service::watch`].
    pub fn span(&self, principal: &Principal, user: &str) -> Result<Span, Error> {
        self.0
            .reader
            .span(self.acting_for(principal, user)?)
            .map_err(unreadable)
    }

    async fn pull_of(
        &self,
        owner: UserNo,
        after: Seq,
        limit: usize,
        bytes: usize,
    ) -> Result<Pulled, Error> {
        let span = self.0.reader.span(owner).map_err(unreadable)?;
        let wanted = span.head.0.saturating_sub(after.0).min(limit as u64);
        if wanted <= READ_HERE {
            return self
                .page_now(owner, after, limit, bytes)
                .map_err(unreadable);
        }
        self.read(move |this| this.page_now(owner, after, limit, bytes))
            .await
    }

    pub(super) fn pull_now(
        &self,
        owner: UserNo,
        after: Seq,
        limit: usize,
    ) -> Result<Pulled, StateError> {
        self.page_now(owner, after, limit, PAGE_BYTES)
    }

    fn page_now(
        &self,
        owner: UserNo,
        after: Seq,
        limit: usize,
        bytes: usize,
    ) -> Result<Pulled, StateError> {
        Ok(
            match self.0.reader.pull_within(owner, after, limit, bytes)? {
                LogPulled::TooOld(span) => Pulled::TooOld(span),
                LogPulled::Ahead(span) => Pulled::Ahead(span),
                LogPulled::Page {
                    span,
                    entries,
                    more,
                } => {
                    let mut names = Names::default();
                    let entries = entries
                        .into_iter()
                        .map(|entry| self.view(owner, entry, &mut names))
                        .collect::<Result<_, _>>()?;
                    Pulled::Page(Page {
                        epoch: self.epoch(),
                        span,
                        entries,
                        more,
                    })
                }
            },
        )
    }

    pub(super) fn view(
        &self,
        owner: UserNo,
        entry: Entry,
        names: &mut Names,
    ) -> Result<View, StateError> {
        let Entry {
            seq,
            row,
            record,
            message,
            change,
        } = entry;
        let time = self.0.reader.shown_time(&record, row.ahead_ms)?;
        if row.kind == EntryKind::Skipped {
            return Ok(View {
                seq,
                kind: row.kind.number(),
                time,
                place: Place::nowhere(),
                conversation_seq: row.conversation_seq,
                told: Told::Nothing,
            });
        }
        let (conversation, told) = match row.kind {
            EntryKind::Message => {
                let (conversation, told) = self.told(owner, record, message, names)?;
                (conversation, Told::Message(told))
            }
            _ => {
                let (conversation, note) = self.note(owner, &record, names)?;
                (conversation, Told::Note(Note { change, ..note }))
            }
        };
        Ok(View {
            seq,
            kind: row.kind.number(),
            time,
            place: Place::of(conversation, names.find(self, conversation.other(owner))?),
            conversation_seq: row.conversation_seq,
            told,
        })
    }

    /// A message as `owner` has it, and in which conversation.
    pub(super) fn told(
        &self,
        owner: UserNo,
        record: Record,
        message: Option<Message>,
        names: &mut Names,
    ) -> Result<(Conversation, MessageTold), StateError> {
        let position = record.position;
        match record.fact {
            Fact::MessageSent(sent) => Ok((
                sent.conversation,
                MessageTold {
                    sender: names.find(self, sent.sender)?,
                    position,
                    server_msg_id: self.server_msg_id(position),
                    client_msg_id: self.client_msg_id(position, message.as_ref()),
                    content_type: sent.content_type,
                    notification_type: sent.notification_type,
                    options_off: sent.options_off,
                    message,
                    edited: None,
                    status_line: None,
                },
            )),
            Fact::MessagePosted(posted) => {
                let conversation = posted.kind.between(posted.sender, owner);
                let id = |id: Result<String, Error>| id.map_err(|_| no_message(position));
                Ok((
                    conversation,
                    MessageTold {
                        sender: names.find(self, posted.sender)?,
                        position,
                        server_msg_id: id(self.posted_id(position, owner))?,
                        client_msg_id: id(self.posted_client_id(position, owner))?,
                        content_type: posted.content_type,
                        notification_type: posted.notification_type,
                        options_off: posted.options_off,
                        message,
                        edited: None,
                        status_line: None,
                    },
                ))
            }
            _ => Err(no_message(position)),
        }
    }

    /// What a record that is no message tells the owner of a log.
    fn note(
        &self,
        owner: UserNo,
        record: &Record,
        names: &mut Names,
    ) -> Result<(Conversation, Note), StateError> {
        let mut note = Note::default();
        let (conversation, by) = match &record.fact {
            Fact::ConversationRead {
                conversation, user, ..
            }
            | Fact::ConversationCleared {
                conversation, user, ..
            } => (*conversation, *user),
            Fact::ConversationSet {
                conversation,
                user,
                settings,
            } => {
                note.settings = Some(*settings);
                (*conversation, *user)
            }
            Fact::MessagesRemoved {
                conversation,
                user,
                messages,
            } => {
                let places = messages.iter().map(|message| message.conversation_seq);
                note.messages = places.collect();
                (*conversation, *user)
            }
            Fact::MessageChanged {
                message, places, ..
            } => {
                let by = record.by;
                let place = changed_place(places, owner, record.position)?;
                note.server_msg_id = Some(self.recalled(*message, place.receiver)?.0);
                (place.conversation, by)
            }
            Fact::ChangeTold {
                message, places, ..
            } => {
                let place = changed_place(places, owner, record.position)?;
                let (id, sender) = self.recalled(*message, place.receiver)?;
                note.server_msg_id = Some(id);
                (place.conversation, sender)
            }
            Fact::MessageRecalled {
                message,
                why,
                places,
                ..
            } => {
                note.withdrawn = Some(*why);
                // Of a message to several, the places are sorted by conversation and not by receiver.
                let own = places
                    .iter()
                    .find(|place| place.conversation.has_party(owner));
                let place = own.ok_or_else(|| no_message(record.position))?;
                let (id, sender) = self.recalled(*message, place.receiver)?;
                note.server_msg_id = Some(id);
                // The steps of a long recall are the server's own; it was asked for in the sender's name.
                let by = if record.by.0 == 0 { sender } else { record.by };
                (place.conversation, by)
            }
            Fact::Marked {
                user,
                message,
                conversation,
                mark,
                ..
            } => {
                note.server_msg_id = Some(self.recalled(*message, *user)?.0);
                note.mark = Some(*mark);
                (*conversation, *user)
            }
            _ => return Err(no_message(record.position)),
        };
        note.by = match by.0 {
            0 => String::new(),
            _ => names.find(self, by)?,
        };
        Ok((conversation, note))
    }

    /// The id under which `receiver` has a message, and its sender.
    pub(super) fn recalled(
        &self,
        message: Position,
        receiver: UserNo,
    ) -> Result<(String, UserNo), StateError> {
        let opened = self.0.reader.open(message)?;
        match opened.map(|opened| opened.record.fact) {
            Some(Fact::MessageSent(sent)) => Ok((self.server_msg_id(message), sent.sender)),
            Some(Fact::MessagePosted(posted)) => self
                .posted_id(message, receiver)
                .map(|id| (id, posted.sender))
                .map_err(|_| no_message(message)),
            _ => Err(no_message(message)),
        }
    }

    /// The clientMsgID that the caller gave, or the derived one.
    pub(super) fn client_msg_id(&self, position: Position, message: Option<&Message>) -> String {
        match message {
            Some(message) if !message.client_msg_id.is_empty() => message.client_msg_id.clone(),
            _ => self.derived_client_msg_id(position),
        }
    }
}

/// Where the owner of a log has a message that was changed.
fn changed_place(
    places: &[ChangedPlace],
    owner: UserNo,
    position: Position,
) -> Result<&ChangedPlace, StateError> {
    let own = places
        .iter()
        .find(|place| place.conversation.has_party(owner));
    own.ok_or_else(|| no_message(position))
}

impl MessageTold {
    /// Puts what the message says now in the place of what was sent.
    pub(super) fn change(&mut self, changed: Changed) {
        self.status_line = changed.status_line;
        let Some((time, content)) = changed.content else {
            return;
        };
        self.edited = Some(time);
        match (content, &mut self.message) {
            (Some(content), Some(message)) => message.content = content,
            // A change that was erased takes with it what is shown: what was sent is not what the message says.
            _ => self.message = None,
        }
    }
}

pub(super) fn no_message(position: Position) -> StateError {
    StateError::Impossible {
        position,
        reason: "a log's entry points to it, and it is no message",
    }
}

/// The ids of users, each looked up once for a page.
#[derive(Default)]
pub(super) struct Names(HashMap<UserNo, String>);

impl Names {
    /// The id of a user; empty when it was erased.
    pub(super) fn find(&mut self, service: &Service, user: UserNo) -> Result<String, StateError> {
        if let Some(known) = self.0.get(&user) {
            return Ok(known.clone());
        }
        let id = service.0.reader.user_id(user)?.unwrap_or_default();
        self.0.insert(user, id.clone());
        Ok(id)
    }
}
