//! Finding a message: by the server's id, or by sender and key.

use waybill_core::body::{Body, Message, StatusLine};
use waybill_core::fact::{Fact, Options, Withdrawal};
use waybill_core::id::{KeyedHash, Position, Seq, Time, UserNo};
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
    /// Why the receiver has it no more, and whether the caller is shown it all the same.
    pub withdrawn: Option<(Withdrawal, bool)>,
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

    /// The messages that `sender` sent with this key: one for each conversation it was used in, the oldest first. Of very many,
    /// some.
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
        may_ask(principal, ("sender", sender), ("clientMsgID", key))?;
        let (found, _) = self.keyed(sender, key, None).await?;
        let principal = principal.clone();
        self.read(move |this| {
            let looked = found.into_iter().map(|at| this.look(&principal, at, None));
            looked.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// The positions of what `sender` sent with this key, the oldest first: some of them, from the dedup key `from` on, and with
    /// which to go on. A message to several may be among the next ones again.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) async fn keyed(
        &self,
        sender: &str,
        key: &str,
        from: Option<KeyedHash>,
    ) -> Result<(Vec<Position>, Option<KeyedHash>), Error> {
        let prefix = self.0.hash_key.dedup_prefix(sender, key);
        let sender = self.user_hash(sender);
        self.read(move |this| {
            let (mut positions, next) = this.0.reader.find(prefix, from)?;
            positions.sort_unstable();
            positions.dedup();
            let own = this.0.reader.user_no(sender)?;
            let mut found = Vec::with_capacity(positions.len());
            for position in positions {
                // Half of the hash is compared; the other half is the sender's own.
                if own.is_some() && this.sender_of(position)? == own {
                    found.push(position);
                }
            }
            Ok((found, next))
        })
        .await
    }

    fn sender_of(&self, position: Position) -> Result<Option<UserNo>, StateError> {
        let opened = self.0.reader.open(position)?;
        Ok(opened.and_then(|opened| match opened.record.fact {
            Fact::MessageSent(sent) => Some(sent.sender),
            Fact::MessagePosted(posted) => Some(posted.sender),
            _ => None,
        }))
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
        let standing = self.0.reader.receiver(position, receiver)?;
        let withdrawn = standing.as_ref().and_then(|standing| standing.withdrawn);
        // Its sender may see what was withdrawn, as may business systems; the receiver has it no more.
        let shown = business || principal.number == sender || withdrawn.is_none();
        let (conversation, mut told) = self.told(receiver, record, message, &mut names)?;
        match shown {
            true => told.change(self.0.reader.changes(conversation, row.conversation_seq)?),
            false => told.message = None,
        }
        let standing = standing.filter(|_| business);
        Ok(Some(MessageView {
            standing: standing.as_ref().map(StandingView::from),
            withdrawn: withdrawn.map(|why| (why, shown)),
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

/// Checks that a caller may ask what this sender sent with this key; each comes with where it stands in the request.
pub(super) fn may_ask(
    principal: &Principal,
    (sender_at, sender): (&'static str, &str),
    (key_at, key): (&'static str, &str),
) -> Result<(), Error> {
    check(sender_at, sender)?;
    check(key_at, key)?;
    if principal.may_act_for(sender) {
        Ok(())
    } else {
        let text = "this is another user's";
        Err(Error::at(Kind::Forbidden, sender_at, text))
    }
}
