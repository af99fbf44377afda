//! Reading a user's log: pages from a cursor on, and waiting for it to grow. Reading never writes.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use waybill_core::body::Message;
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Fact, MessageSent, Options};
use waybill_core::id::{ConversationSeq, Epoch, Position, Seq, Time, UserNo};
use waybill_core::outcome::StateError;
use waybill_log::{Entry, Pulled as LogPulled, Subscription};

pub use waybill_log::Span;

use super::{Service, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::registry::{CloseReason, Identity, Transport};

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
    /// 1 single chat, 2 notification session.
    pub kind: u8,
    /// The other party: of a notification session the sending account, or in that account's own log the receiver.
    pub peer: String,
}

/// One entry, with everything that numbers stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its place in the log.
    pub seq: Seq,
    /// What it is: 1 a message.
    pub kind: u8,
    /// The time shown on it.
    pub time: Time,
    /// In which conversation.
    pub place: Place,
    /// Its place there.
    pub conversation_seq: ConversationSeq,
    /// Who it is from.
    pub sender: String,
    /// The record it points to.
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
        let owner = self.acting_for(principal, user)?;
        self.pull_of(owner, after, limit).await
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
            self.wait_for_growth(principal, owner, after, &mut watch, Instant::now() + wait)
                .await?;
        }
        self.pull_of(owner, after, limit).await
    }

    async fn wait_for_growth(
        &self,
        principal: &Principal,
        owner: UserNo,
        after: Seq,
        watch: &mut Subscription,
        until: Instant,
    ) -> Result<(), Error> {
        let live = self.registry().open(Identity {
            user: principal.user.clone(),
            device: String::new(),
            platform: principal.platform,
            transport: Transport::LongPoll,
            token: principal.token,
            business: principal.is_business(),
        })?;
        // A revocation between the authentication and now found no connection to end.
        self.still_stands(principal)?;
        loop {
            tokio::select! {
                () = watch.grown() => {
                    // The watch may tell of an entry that was there before.
                    if self.0.reader.span(owner).map_err(unreadable)?.head > after {
                        return Ok(());
                    }
                }
                () = sleep_until(until) => return Ok(()),
                reason = live.closed() => return match reason {
                    CloseReason::Revoked => Err(Error::of(Kind::TokenRevoked)),
                    CloseReason::Superseded | CloseReason::Stopping => Ok(()),
                },
            }
        }
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

    async fn pull_of(&self, owner: UserNo, after: Seq, limit: usize) -> Result<Pulled, Error> {
        let span = self.0.reader.span(owner).map_err(unreadable)?;
        let wanted = span.head.0.saturating_sub(after.0).min(limit as u64);
        if wanted <= READ_HERE {
            return self.pull_now(owner, after, limit).map_err(unreadable);
        }
        self.read(move |this| this.pull_now(owner, after, limit))
            .await
    }

    fn pull_now(&self, owner: UserNo, after: Seq, limit: usize) -> Result<Pulled, StateError> {
        Ok(match self.0.reader.pull(owner, after, limit)? {
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
                    epoch: self.0.epoch,
                    span,
                    entries,
                    more,
                })
            }
        })
    }

    fn view(&self, owner: UserNo, entry: Entry, names: &mut Names) -> Result<View, StateError> {
        let Entry {
            seq,
            row,
            record,
            message,
        } = entry;
        let position = record.position;
        let Fact::MessageSent(sent) = record.fact else {
            return Err(no_message(position));
        };
        Ok(View {
            seq,
            kind: row.kind.number(),
            time: Time(record.time.0.saturating_add(u64::from(row.ahead_ms))),
            place: Place {
                kind: place_kind(&sent),
                peer: names.find(self, sent.conversation.other(owner))?,
            },
            conversation_seq: row.conversation_seq,
            sender: names.find(self, sent.sender)?,
            position,
            server_msg_id: self.server_msg_id(position),
            client_msg_id: self.client_msg_id(position, message.as_ref()),
            content_type: sent.content_type,
            notification_type: sent.notification_type,
            options_off: sent.options_off,
            message,
        })
    }

    /// The clientMsgID that the caller gave, or the derived one.
    pub(super) fn client_msg_id(&self, position: Position, message: Option<&Message>) -> String {
        match message {
            Some(message) if !message.client_msg_id.is_empty() => message.client_msg_id.clone(),
            _ => self.derived_client_msg_id(position),
        }
    }
}

pub(super) fn no_message(position: Position) -> StateError {
    StateError::Impossible {
        position,
        reason: "a log's entry points to it, and it is no message",
    }
}

pub(super) fn place_kind(sent: &MessageSent) -> u8 {
    match sent.conversation {
        Conversation::Single { .. } => 1,
        Conversation::Notification { .. } => 2,
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
