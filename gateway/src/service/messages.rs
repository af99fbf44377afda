//! Finding a message: by the server's id, or by sender and key.

use waybill_core::body::{Body, Message, StatusLine};
use waybill_core::fact::{Fact, Options};
use waybill_core::id::{Position, Seq, Time, UserNo};
use waybill_core::message_id::TASK_ORDINAL;
use waybill_core::outcome::StateError;
use waybill_log::Opened;

use super::pull::{Names, Place};
use super::{Service, StandingView, check};
use crate::auth::Principal;
use crate::error::{Error, Kind};

/// A message, as its sender, its receiver or a manager sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    /// The server's id of the message.
    pub server_msg_id: String,
    /// The caller's id of the message, or the one derived for it.
    pub client_msg_id: String,
    /// The time shown on it.
    pub time: Time,
    /// Who it is from.
    pub sender: String,
    /// Who gets it.
    pub receiver: String,
    /// Its place in the receiver's log; for business roles.
    pub seq: Option<Seq>,
    /// Its place in the ledger; for business roles.
    pub position: Option<Position>,
    /// How it stands with the receiver; for business roles.
    pub standing: Option<StandingView>,
    /// 1 single chat, 2 notification session.
    pub place_kind: u8,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// The notice's type, 0 for anything else.
    pub notification_type: i32,
    /// Options that are switched off.
    pub options_off: Options,
    /// What was said; `None` when it was erased.
    pub message: Option<Message>,
    /// Since when it says something else than what was sent.
    pub edited: Option<Time>,
    /// The business status line shown with it.
    pub status_line: Option<StatusLine>,
}

impl Service {
    /// The message with this id. One that is not the caller's is told from none at all by nobody.
    ///
    /// # Errors
    /// When there is none for this caller, or the log cannot be read.
    pub async fn message(
        &self,
        principal: &Principal,
        server_msg_id: &str,
    ) -> Result<MessageView, Error> {
        let (position, ordinal) = self.open_id(server_msg_id)?;
        let receiver = match ordinal {
            0 => None,
            1..TASK_ORDINAL => Some(UserNo(u64::from(ordinal))),
            _ => return Err(Error::of(Kind::UnknownMessage)),
        };
        let principal = principal.clone();
        self.read(move |this| this.look(&principal, position, receiver))
            .await?
            .ok_or_else(|| Error::of(Kind::UnknownMessage))
    }

    /// The messages that `sender` sent with this key: one for each conversation it was used in, the oldest first.
    ///
    /// # Errors
    /// When the caller may not ask for this sender, or the log cannot be read.
    pub async fn find(
        &self,
        principal: &Principal,
        sender: &str,
        key: &str,
    ) -> Result<Vec<MessageView>, Error> {
        let sender = if sender.is_empty() {
            principal.user.as_str()
        } else {
            sender
        };
        check("sender", sender)?;
        check("clientMsgID", key)?;
        if !principal.may_act_for(sender) {
            return Err(Error::at(
                Kind::Forbidden,
                "sender",
                "this is another user's",
            ));
        }
        let (principal, sender, key) = (principal.clone(), sender.to_owned(), key.to_owned());
        self.read(move |this| {
            let positions = this.keyed(&sender, &key)?;
            let mut found = Vec::with_capacity(positions.len());
            for position in positions {
                // Half of the hash is compared; the other half is the sender's own.
                if let Some(view) = this.look(&principal, position, None)?
                    && view.sender == sender
                {
                    found.push(view);
                }
            }
            Ok(found)
        })
        .await
    }

    /// The positions of what `sender` sent with this key, the oldest first.
    pub(super) async fn positions_of(
        &self,
        principal: &Principal,
        sender: &str,
        key: &str,
    ) -> Result<Vec<Position>, Error> {
        check("/sender", sender)?;
        check("/clientMsgID", key)?;
        if !principal.may_act_for(sender) {
            return Err(Error::at(
                Kind::Forbidden,
                "/sender",
                "this is another user's",
            ));
        }
        let (sender, key) = (sender.to_owned(), key.to_owned());
        self.read(move |this| {
            let own = this.number_of(&sender)?;
            let mut positions = this.keyed(&sender, &key)?;
            // Half of the hash is compared; the other half is the sender's own.
            let mut all = Vec::with_capacity(positions.len());
            for position in positions.drain(..) {
                let opened = this.0.reader.open(position)?;
                let of = opened.map(|opened| match opened.record.fact {
                    Fact::MessageSent(sent) => sent.sender,
                    Fact::MessagePosted(posted) => posted.sender,
                    _ => UserNo(0),
                });
                if own.is_some() && of == own {
                    all.push(position);
                }
            }
            Ok(all)
        })
        .await
    }

    /// The positions that the dedup rows of one sender and key name: a message to several has one for each of its receivers.
    fn keyed(&self, sender: &str, key: &str) -> Result<Vec<Position>, StateError> {
        let prefix = self.0.hash_key.dedup_prefix(sender, key);
        let mut positions = self.0.reader.find(prefix)?;
        positions.sort_unstable();
        positions.dedup();
        Ok(positions)
    }

    fn number_of(&self, user: &str) -> Result<Option<UserNo>, StateError> {
        self.0.reader.user_no(self.user_hash(user))
    }

    /// The message at a position, as `receiver` has it if it went to several.
    fn look(
        &self,
        principal: &Principal,
        position: Position,
        receiver: Option<UserNo>,
    ) -> Result<Option<MessageView>, StateError> {
        let Some(Opened { record, body, .. }) = self.0.reader.open(position)? else {
            return Ok(None);
        };
        let (sender, receiver) = match (&record.fact, receiver) {
            (Fact::MessageSent(sent), None) => (sent.sender, sent.conversation.other(sent.sender)),
            (Fact::MessagePosted(posted), Some(receiver)) => (posted.sender, receiver),
            // By its key a message to several is found through its first receiver.
            (Fact::MessagePosted(posted), None) => match posted.listed().next() {
                Some(first) => (posted.sender, first),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let business = principal.is_business();
        if !business && principal.number != sender && principal.number != receiver {
            return Ok(None);
        }
        // One that was never on its way to this user, or is not there yet.
        let Some((seq, row)) = self.0.reader.find_entry(receiver, position)? else {
            return Ok(None);
        };
        let message = match body {
            Some(Body::Message(message)) => Some(message),
            _ => None,
        };
        let mut names = Names::default();
        let time = self.0.reader.shown_time(&record, row.ahead_ms)?;
        let (conversation, mut told) = self.told(receiver, record, message, &mut names)?;
        told.change(self.0.reader.changes(conversation, row.conversation_seq)?);
        let standing = if business {
            self.0.reader.receiver(position, receiver)?
        } else {
            None
        };
        Ok(Some(MessageView {
            standing: standing.as_ref().map(StandingView::from),
            server_msg_id: told.server_msg_id,
            client_msg_id: told.client_msg_id,
            time,
            sender: told.sender,
            receiver: names.find(self, receiver)?,
            seq: business.then_some(seq),
            position: business.then_some(position),
            place_kind: Place::of(conversation, String::new()).kind,
            content_type: told.content_type,
            notification_type: told.notification_type,
            options_off: told.options_off,
            message: told.message,
            edited: told.edited,
            status_line: told.status_line,
        }))
    }
}
