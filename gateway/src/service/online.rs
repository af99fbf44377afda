//! Messages for those who are online: told to live connections, and kept nowhere. They pass the same checks as a send.

use std::sync::Arc;
use std::time::Instant;

use waybill_core::body::Body;
use waybill_core::command::{Ask, Command, Send};
use waybill_core::conversation::Conversation;
use waybill_core::hash::Domain;
use waybill_core::id::{Opening, Position, Time, UserNo};
use waybill_core::message_id::MessageRef;
use waybill_core::record::Surface;

use super::known::FirstUse;
use super::{Allowance, MessageTold, Outgoing, PARTITION, Place, Service, now};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::random;
use crate::registry::Listener;

/// A message on its way to those who are online.
#[derive(Clone, Debug, PartialEq)]
pub struct OnlineMessage {
    /// Who gets it.
    pub receiver: String,
    /// In which conversation, as the receiver has it.
    pub place: Place,
    /// The time shown on it.
    pub time: Time,
    /// What it is and says.
    pub told: MessageTold,
    /// The sender's trace id.
    pub operation_id: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineSent {
    /// The server's id of the message; nothing is found by it.
    pub server_msg_id: String,
    /// The caller's id of the message, or the one made for it.
    pub client_msg_id: String,
    /// The time shown on it.
    pub time: Time,
    /// Who gets it.
    pub receiver: String,
    /// How many live connections took it.
    pub connections: usize,
    /// This is the answer to an earlier one with the same key.
    pub repeated: bool,
    /// What the caller may still send, where a rate holds.
    pub allowance: Option<Allowance>,
}

/// A message for those online that may be told.
pub struct OnlinePrepared(Ready);

enum Ready {
    /// It was told before.
    Known(OnlineSent),
    /// It was not.
    New {
        message: Arc<OnlineMessage>,
        /// What the rules are asked whether it may be sent.
        command: Box<Command>,
        first: Option<FirstUse>,
        allowance: Option<Allowance>,
    },
}

impl Service {
    /// Makes a message for those online ready to be told.
    ///
    /// # Errors
    /// When the caller may not send it, a field is wrong, or its key is another message's.
    pub fn prepare_online(
        &self,
        principal: &Principal,
        surface: Surface,
        outgoing: Outgoing<'_>,
    ) -> Result<OnlinePrepared, Error> {
        let (sender, key) = self.checked(principal, &outgoing)?;
        if !outgoing.terms.collapse_key.is_empty() || outgoing.terms.expires.is_some() {
            let text = "a message for those online only is not kept, so it is neither collapsed nor expires";
            return Err(Error::at(Kind::InvalidField, "/onlineOnly", text));
        }
        let receiver = self.user_ref("/to/user", outgoing.receiver)?;
        let to = receiver.hash;
        let send = self.send_ask(sender, receiver, key, &outgoing)?;
        let first = match send.key {
            None => None,
            Some(key) => match self.0.known.take(key, send.digest, Instant::now())? {
                Ok(first) => Some(first),
                Err(sent) => {
                    return Ok(OnlinePrepared(Ready::Known(OnlineSent {
                        repeated: true,
                        allowance: None,
                        ..sent
                    })));
                }
            },
        };
        let allowance = self.0.rates.take(principal, to)?;
        // What was sent and kept under the key before is another message.
        let ask = Ask::Send(Send { key: None, ..send });
        Ok(OnlinePrepared(Ready::New {
            message: self.online_message(sender, key, &outgoing)?,
            command: Box::new(Command {
                by: principal.number,
                surface,
                ask,
            }),
            first,
            allowance,
        }))
    }

    /// Tells it to the live connections of its receiver. Nothing is kept: who is not connected, or has no room for it, never gets it.
    ///
    /// # Errors
    /// When the writer would refuse it, or it is to be noted in the ledger and that cannot be done: then nobody has heard it.
    pub async fn tell_online(&self, prepared: OnlinePrepared) -> Result<OnlineSent, Error> {
        let (message, command, first, allowance) = match prepared.0 {
            Ready::Known(sent) => return Ok(sent),
            Ready::New {
                message,
                command,
                first,
                allowance,
            } => (message, command, first, allowance),
        };
        let (by, surface) = (command.by, command.surface);
        self.weigh(*command).await?;
        if self.config().audit_online_only {
            self.note_online(by, surface, &message).await?;
        }
        let (taken, dropped) = self.0.online.tell(&message.receiver, &message);
        self.metrics().live.online_taken.inc_by(taken as u64);
        self.metrics().live.online_dropped.inc_by(dropped as u64);
        let sent = OnlineSent {
            server_msg_id: message.told.server_msg_id.clone(),
            client_msg_id: message.told.client_msg_id.clone(),
            time: message.time,
            receiver: message.receiver.clone(),
            connections: taken,
            repeated: false,
            allowance,
        };
        if let Some(first) = first {
            first.keep(sent.clone());
        }
        Ok(sent)
    }

    /// Both, one after the other.
    ///
    /// # Errors
    /// As both.
    pub async fn send_online(
        &self,
        principal: &Principal,
        surface: Surface,
        outgoing: Outgoing<'_>,
    ) -> Result<OnlineSent, Error> {
        let prepared = self.prepare_online(principal, surface, outgoing)?;
        self.tell_online(prepared).await
    }

    /// Notes in the ledger that it is told: who, to how many, and by its hash what. It is durable before anybody hears it.
    async fn note_online(
        &self,
        by: UserNo,
        surface: Surface,
        message: &OnlineMessage,
    ) -> Result<(), Error> {
        let told = &message.told;
        let opening = self
            .0
            .hash_key
            .hash(Domain::Request, &[b"online", told.server_msg_id.as_bytes()]);
        let body = Body::Message(told.message.clone().unwrap_or_default());
        let ask = Ask::NoteOnline {
            sender: self.user_ref("/sender", &told.sender)?,
            audience: 1,
            commitment: body.seal(Opening(opening.0)).commitment,
        };
        self.ask(by, surface, ask).await.map(drop)
    }

    /// Begins to listen for what is told to a user's live connections only.
    #[must_use]
    pub fn listen(&self, principal: &Principal) -> Listener<OnlineMessage> {
        self.0.online.listen(&principal.user)
    }

    /// Has the rules decide it like any send, and forgets what they would make of it.
    async fn weigh(&self, command: Command) -> Result<(), Error> {
        match self
            .read(|this| this.0.reader.weigh(command, now()))
            .await?
        {
            Some(answer) => answer.map(drop).map_err(Error::from),
            None => Err(Error::of(Kind::Busy)),
        }
    }

    fn online_message(
        &self,
        sender: &str,
        key: &str,
        outgoing: &Outgoing<'_>,
    ) -> Result<Arc<OnlineMessage>, Error> {
        // Position 0 is no record's: it says that nothing was kept.
        let id = || -> Result<String, Error> {
            Ok(self.0.message_ids.id(&MessageRef {
                epoch: self.epoch().number(),
                partition: PARTITION,
                position: Position(0),
                ordinal: u32::from_le_bytes(random::bytes()?),
            }))
        };
        let client_msg_id = match outgoing.client_msg_id {
            "" => id()?,
            given => given.to_owned(),
        };
        // Which users stand on both sides is told by the place; the kind alone is looked at.
        let conversation: Conversation = outgoing.kind.between(UserNo(1), UserNo(2));
        Ok(Arc::new(OnlineMessage {
            receiver: outgoing.receiver.to_owned(),
            place: Place::of(conversation, sender.to_owned()),
            time: now(),
            operation_id: outgoing.operation_id.to_owned(),
            told: MessageTold {
                sender: sender.to_owned(),
                position: Position(0),
                server_msg_id: id()?,
                client_msg_id,
                content_type: outgoing.checked.content_type,
                notification_type: outgoing.checked.notification_type,
                options_off: outgoing.options_off,
                message: Some(self.said(outgoing, outgoing.client_msg_id, key)),
                edited: None,
                status_line: None,
            },
        }))
    }
}
