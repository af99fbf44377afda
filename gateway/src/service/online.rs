//! Messages for those who are online: told to live connections, and kept nowhere. They pass the same checks as a send.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use waybill_core::body::Body;
use waybill_core::command::{Ask, Command, Send};
use waybill_core::conversation::Conversation;
use waybill_core::hash::Domain;
use waybill_core::id::{Digest, KeyedHash, Opening, Position, Time, UserNo};
use waybill_core::message_id::MessageRef;
use waybill_core::record::Surface;

use super::{MessageTold, Outgoing, PARTITION, Place, Service, now, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::random;
use crate::registry::Listener;

/// How long a repeated key is known again. It is known to this process alone.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Most keys that are known; beyond it the oldest are forgotten early.
const MAX_KNOWN: usize = 64 * 1024;

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
}

/// A message for those online that may be told.
pub struct OnlinePrepared(Ready);

enum Ready {
    /// It was told before.
    Known(OnlineSent),
    /// It was not.
    New {
        message: Arc<OnlineMessage>,
        /// With what it asks for, by which a repetition is told from another request.
        key: Option<(KeyedHash, Digest)>,
        by: UserNo,
        surface: Surface,
    },
}

/// The keys that were used lately, and what came of them.
#[derive(Default)]
pub struct Known(Mutex<Table>);

#[derive(Default)]
struct Table {
    answers: HashMap<KeyedHash, (Digest, OnlineSent)>,
    order: VecDeque<(Instant, KeyedHash)>,
}

impl Known {
    /// What came of the request with this key; or that it was another request.
    fn find(
        &self,
        key: &KeyedHash,
        digest: &Digest,
        now: Instant,
    ) -> Option<Result<OnlineSent, Error>> {
        let mut table = self.0.lock();
        while let Some((since, oldest)) = table.order.front().copied() {
            if now - since < KNOWN_FOR {
                break;
            }
            table.order.pop_front();
            table.answers.remove(&oldest);
        }
        let (first, sent) = table.answers.get(key)?;
        let same = first == digest;
        Some(
            same.then(|| sent.clone())
                .ok_or_else(|| Error::of(Kind::KeyReused)),
        )
    }

    fn keep(&self, key: KeyedHash, digest: Digest, sent: OnlineSent, now: Instant) {
        let mut table = self.0.lock();
        if table.order.len() >= MAX_KNOWN
            && let Some((_, oldest)) = table.order.pop_front()
        {
            table.answers.remove(&oldest);
        }
        if table.answers.insert(key, (digest, sent)).is_none() {
            table.order.push_back((now, key));
        }
    }
}

impl Service {
    /// Makes a message for those online ready to be told.
    ///
    /// # Errors
    /// When the caller may not send it, a field is wrong, or the writer would refuse it.
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
        let known = self.dedup_key(sender, key, &outgoing);
        let digest = self.digest(sender, &outgoing);
        let found = known.and_then(|key| self.0.known.find(&key, &digest, Instant::now()));
        if let Some(sent) = found {
            return Ok(OnlinePrepared(Ready::Known(OnlineSent {
                repeated: true,
                ..sent?
            })));
        }
        let receiver = self.user_hash(outgoing.receiver);
        self.0.rates.take(principal, receiver)?;
        self.weigh(principal, surface, sender, &outgoing)?;
        Ok(OnlinePrepared(Ready::New {
            message: self.online_message(sender, key, &outgoing)?,
            key: known.map(|key| (key, digest)),
            by: principal.number,
            surface,
        }))
    }

    /// Tells it to the live connections of its receiver. Nothing is kept: who is not connected, or has no room for it, never gets it.
    ///
    /// # Errors
    /// When it is to be noted in the ledger and that cannot be done: then nobody has heard it.
    pub async fn tell_online(&self, prepared: OnlinePrepared) -> Result<OnlineSent, Error> {
        let (message, key) = match prepared.0 {
            Ready::Known(sent) => return Ok(sent),
            Ready::New {
                message,
                key,
                by,
                surface,
            } => {
                if self.config().audit_online_only {
                    self.note_online(by, surface, &message).await?;
                }
                (message, key)
            }
        };
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
        };
        if let Some((key, digest)) = key {
            self.0.known.keep(key, digest, sent.clone(), Instant::now());
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
    fn weigh(
        &self,
        principal: &Principal,
        surface: Surface,
        sender: &str,
        outgoing: &Outgoing<'_>,
    ) -> Result<(), Error> {
        let send = Send {
            sender: self.user_ref("/sender", sender)?,
            receiver: self.user_ref("/to/user", outgoing.receiver)?,
            kind: outgoing.kind,
            account: self.0.authenticator.is_manager(sender),
            content_type: outgoing.checked.content_type,
            notification_type: outgoing.checked.notification_type,
            options_off: outgoing.options_off,
            key: None,
            digest: self.digest(sender, outgoing),
            terms: None,
            body: Body::Message(self.said(outgoing, outgoing.client_msg_id, ""))
                .seal(Opening(random::bytes()?)),
        };
        let command = Command {
            by: principal.number,
            surface,
            ask: Ask::Send(send),
        };
        match self.0.reader.weigh(&command, now()).map_err(unreadable)? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal.into()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: &str) -> OnlineSent {
        OnlineSent {
            server_msg_id: id.to_owned(),
            client_msg_id: String::new(),
            time: Time(0),
            receiver: String::new(),
            connections: 0,
            repeated: false,
        }
    }

    #[test]
    fn a_key_is_known_for_a_minute_and_what_is_known_is_bounded() {
        let (known, now) = (Known::default(), Instant::now());
        let key = |number: u64| {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&number.to_le_bytes());
            KeyedHash(key)
        };
        let (first, other) = (Digest([1; 8]), Digest([2; 8]));
        let find = |number, digest, now| match known.find(&key(number), digest, now) {
            Some(Ok(sent)) => Some(Ok(sent)),
            Some(Err(error)) => Some(Err(error.kind)),
            None => None,
        };
        known.keep(key(1), first, sent("a"), now);
        assert_eq!(find(1, &first, now), Some(Ok(sent("a"))));
        assert_eq!(find(1, &other, now), Some(Err(Kind::KeyReused)));
        assert_eq!(find(2, &first, now), None);
        assert_eq!(find(1, &first, now + KNOWN_FOR), None);
        for number in 0..=MAX_KNOWN as u64 {
            known.keep(key(number), first, sent("b"), now);
        }
        assert_eq!(known.0.lock().answers.len(), MAX_KNOWN);
        assert_eq!(find(0, &first, now), None, "the oldest");
    }
}
