//! Sending: from what a caller said to a command, and from the writer's reply to an answer.

use waybill_core::body::{Body, Message, OfflinePush};
use waybill_core::command::{Ask, Command, ConversationKind, Post, Send, To, UserRef};
use waybill_core::content::Meaning;
use waybill_core::fact::{Options, Terms};
use waybill_core::id::{Digest, KeyedHash, Opening, Seq, Time};
use waybill_core::limits::MAX_TEXT_BYTES;
use waybill_core::outcome::{Outcome, Sent};
use waybill_core::record::Surface;
use waybill_log::{Reply, ReplyTo};

use super::{Allowance, Service, check, check_text, outcome};
use crate::auth::Principal;
use crate::content::Checked;
use crate::error::{Error, Kind};
use crate::random;
use crate::telemetry::metrics::SendOutcome;

/// A message as a caller wants it sent. Its content has been checked by [`crate::content`].
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    /// Who it is from; empty for the caller.
    pub sender: &'a str,
    /// Who gets it.
    pub receiver: &'a str,
    /// In which kind of conversation.
    pub kind: ConversationKind,
    /// What its content is.
    pub checked: Checked,
    /// The content, byte for byte.
    pub content: &'a str,
    /// The caller's id of the message; empty for none.
    pub client_msg_id: &'a str,
    /// What makes a retry a retry; empty to let `client_msg_id` be the key.
    pub key: &'a str,
    /// The caller's trace id.
    pub operation_id: &'a str,
    /// The sender's name to show.
    pub sender_nickname: &'a str,
    /// The sender's picture to show.
    pub sender_face_url: &'a str,
    /// The platform the sender claims.
    pub sender_platform: i32,
    /// Options that are switched off.
    pub options_off: Options,
    /// What a push shows.
    pub offline_push: Option<OfflinePush>,
    /// The caller's own time for the message.
    pub created: Option<Time>,
    /// Where the request came from.
    pub address: String,
    /// When it may be delivered, and how long it counts.
    pub terms: AskedTerms<'a>,
}

/// The terms of a message, as a caller says them.
#[derive(Clone, Copy, Debug, Default)]
pub struct AskedTerms<'a> {
    /// A later message of the sender with the same key takes this one's place; empty for none.
    pub collapse_key: &'a str,
    /// When it is withdrawn.
    pub expires: Option<Time>,
    /// Before when it is delivered to nobody; for tasks.
    pub not_before: Option<Time>,
}

/// A send that is ready for the writer.
#[derive(Debug)]
pub struct Prepared {
    command: Command,
    asked: Asked,
}

/// What an answer needs to know of the request.
#[derive(Debug)]
struct Asked {
    receiver: String,
    client_msg_id: String,
    /// Whether the caller may know where the message stands in the receiver's log, and whether the receiver is new.
    sees_receivers: bool,
    allowance: Option<Allowance>,
    surface: Surface,
}

/// What became of a message: it is on disk, and in the receiver's log exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// The server's id of the message.
    pub server_msg_id: String,
    /// The caller's id of the message, or the one derived for it.
    pub client_msg_id: String,
    /// The time shown on it.
    pub time: Time,
    /// Who gets it.
    pub receiver: String,
    /// Its place in the receiver's log; for business roles.
    pub seq: Option<Seq>,
    /// The receiver was never seen before; for business roles.
    pub new_receiver: Option<bool>,
    /// This is the answer to an earlier send with the same key.
    pub repeated: bool,
    /// What the caller may still send, where a rate holds.
    pub allowance: Option<Allowance>,
}

impl Service {
    /// Makes a send ready for the writer.
    ///
    /// # Errors
    /// When the caller may not send it, or a field is wrong.
    pub fn prepare(
        &self,
        principal: &Principal,
        surface: Surface,
        outgoing: Outgoing<'_>,
    ) -> Result<Prepared, Error> {
        let (sender, key) = self.checked(principal, &outgoing)?;
        let receiver = self.user_ref("/to/user", outgoing.receiver)?;
        let allowance = self.0.rates.take(principal, receiver.hash)?;
        let send = self.send_ask(sender, receiver, key, &outgoing)?;
        Ok(Prepared {
            asked: Asked {
                receiver: outgoing.receiver.to_owned(),
                client_msg_id: outgoing.client_msg_id.to_owned(),
                sees_receivers: principal.is_business(),
                allowance,
                surface,
            },
            command: Command {
                by: principal.number,
                surface,
                ask: Ask::Send(send),
            },
        })
    }

    /// What is asked of the rules: to send a message that was checked.
    pub(super) fn send_ask(
        &self,
        sender: &str,
        receiver: UserRef,
        key: &str,
        outgoing: &Outgoing<'_>,
    ) -> Result<Send, Error> {
        Ok(Send {
            sender: self.user_ref("/sender", sender)?,
            receiver,
            kind: outgoing.kind,
            account: self.0.authenticator.is_manager(sender),
            content_type: outgoing.checked.content_type,
            notification_type: outgoing.checked.notification_type,
            options_off: outgoing.options_off,
            key: self.dedup_key(sender, key, outgoing),
            digest: self.digest(sender, outgoing),
            terms: self.terms(sender, &outgoing.terms),
            body: Body::Message(self.said(outgoing, outgoing.client_msg_id, key))
                .seal(Opening(random::bytes()?)),
        })
    }

    /// Makes a message to several users ready for the writer, but for its receivers; `about` says of them what a retry must
    /// repeat. The caller's id of the message is a key: every receiver gets the message under an id of their own.
    pub(super) fn prepare_post(
        &self,
        principal: &Principal,
        outgoing: Outgoing<'_>,
        about: &str,
    ) -> Result<Post, Error> {
        let (sender, key) = self.checked(principal, &outgoing)?;
        let digest = self.digest(sender, &outgoing);
        let prefix = || self.0.hash_key.dedup_prefix(sender, key);
        Ok(Post {
            sender: self.user_ref("/sender", sender)?,
            to: To::Users(Vec::new()),
            kind: outgoing.kind,
            content_type: outgoing.checked.content_type,
            notification_type: outgoing.checked.notification_type,
            options_off: outgoing.options_off,
            key: (!key.is_empty()).then(prefix),
            digest: self.post_digest(&digest, about),
            terms: self.terms(sender, &outgoing.terms),
            body: Body::Message(self.said(&outgoing, "", key)).seal(Opening(random::bytes()?)),
        })
    }

    /// The sender and the key of what this caller may send; the key is empty for none.
    pub(super) fn checked<'a>(
        &self,
        principal: &'a Principal,
        outgoing: &Outgoing<'a>,
    ) -> Result<(&'a str, &'a str), Error> {
        let first = |one: &'a str, other: &'a str| if one.is_empty() { other } else { one };
        let sender = first(outgoing.sender, &principal.user);
        may_send(principal, sender, outgoing.kind)?;
        self.check_texts(outgoing)?;
        Ok((sender, first(outgoing.key, outgoing.client_msg_id)))
    }

    /// What a caller may do who was refused because of their rate; nothing when it was another refusal.
    #[must_use]
    pub fn spent(&self, principal: &Principal, error: &Error) -> Option<Allowance> {
        let limited = error.kind == Kind::RateLimited;
        let whole = self.0.rates.allowance(principal).filter(|_| limited);
        whole.map(|whole| Allowance { left: 0, ..whole })
    }

    /// Has it sent.
    ///
    /// # Errors
    /// When it was refused, when the server is busy (then nothing was done), or when the outcome is not known.
    pub async fn send(&self, prepared: Prepared) -> Result<SentMessage, Error> {
        let Prepared { command, asked } = prepared;
        let reply = match self.queue() {
            Ok(queue) => queue.ask(command, Some(self.deadline())).await,
            Err(error) => return Err(error),
        };
        self.answer(asked, reply)
    }

    /// Has it sent without waiting: `answer` is called when it is decided, now or later, from any thread; it must not
    /// block.
    pub fn submit<F>(&self, prepared: Prepared, answer: F)
    where
        F: FnOnce(Result<SentMessage, Error>) + std::marker::Send + 'static,
    {
        let Prepared { command, asked } = prepared;
        let queue = match self.queue() {
            Ok(queue) => queue,
            Err(error) => return answer(Err(error)),
        };
        // The answer is called once: by the writer, or here when the writer never got the command.
        let once = std::sync::Arc::new(parking_lot::Mutex::new(Some((answer, asked))));
        let here = std::sync::Arc::clone(&once);
        let this = self.clone();
        let call = move |slot: &parking_lot::Mutex<Option<(F, Asked)>>, reply: Reply| {
            let taken = slot.lock().take();
            if let Some((answer, asked)) = taken {
                answer(this.answer(asked, reply));
            }
        };
        let later = call.clone();
        let reply = ReplyTo::new(move |reply| later(&once, reply));
        if let Err(error) = queue.submit(command, Some(self.deadline()), reply) {
            call(&here, Err(error));
        }
    }

    fn answer(&self, asked: Asked, reply: Reply) -> Result<SentMessage, Error> {
        let result = outcome(reply).and_then(|outcome| match outcome {
            Outcome::Sent(sent) => Ok(sent),
            // A send has no other outcome.
            _ => Err(Error::of(Kind::Internal)),
        });
        self.count(asked.surface, &result);
        let sent = result?;
        Ok(SentMessage {
            server_msg_id: self.server_msg_id(sent.position),
            client_msg_id: if asked.client_msg_id.is_empty() {
                self.derived_client_msg_id(sent.position)
            } else {
                asked.client_msg_id
            },
            time: sent.time,
            receiver: asked.receiver,
            seq: sent.seq.filter(|_| asked.sees_receivers),
            new_receiver: asked.sees_receivers.then_some(sent.new_receiver),
            repeated: sent.repeated,
            allowance: asked.allowance,
        })
    }

    fn count(&self, surface: Surface, result: &Result<Sent, Error>) {
        let outcome = match result {
            Ok(sent) if sent.repeated => SendOutcome::Repeated,
            Ok(_) => SendOutcome::Sent,
            Err(error) => match error.kind {
                Kind::Busy | Kind::Stopping => SendOutcome::Busy,
                Kind::OutcomeUnknown | Kind::Internal => SendOutcome::Unknown,
                _ => SendOutcome::Refused,
            },
        };
        self.metrics().sent(surface, outcome);
    }

    fn check_texts(&self, outgoing: &Outgoing<'_>) -> Result<(), Error> {
        let ids = [
            ("/clientMsgID", outgoing.client_msg_id),
            ("Idempotency-Key", outgoing.key),
        ];
        if !outgoing.terms.collapse_key.is_empty() {
            check("/collapseKey", outgoing.terms.collapse_key)?;
        }
        for (pointer, id) in ids.into_iter().filter(|(_, id)| !id.is_empty()) {
            check(pointer, id)?;
        }
        // A message is found again under one key: under two of them a retry with the other would double it.
        if ids.iter().all(|(_, id)| !id.is_empty()) && outgoing.client_msg_id != outgoing.key {
            let detail = "the Idempotency-Key and the clientMsgID differ: give one of them, or the same in both";
            return Err(Error::at(Kind::InvalidField, "Idempotency-Key", detail));
        }
        let texts = usize::try_from(self.limits().operation_id_bytes).unwrap_or(usize::MAX);
        let push = outgoing.offline_push.as_ref();
        let push = |field: fn(&OfflinePush) -> &String| push.map_or("", |push| field(push));
        let shown = [
            ("/operationID", outgoing.operation_id, texts, Meaning::Plain),
            (
                "/senderNickname",
                outgoing.sender_nickname,
                MAX_TEXT_BYTES,
                Meaning::Name,
            ),
            (
                "/senderFaceURL",
                outgoing.sender_face_url,
                MAX_TEXT_BYTES,
                Meaning::Link,
            ),
            (
                "/offlinePush/title",
                push(|push| &push.title),
                MAX_TEXT_BYTES,
                Meaning::Name,
            ),
            (
                "/offlinePush/desc",
                push(|push| &push.desc),
                MAX_TEXT_BYTES,
                Meaning::Lines,
            ),
            (
                "/offlinePush/ex",
                push(|push| &push.ex),
                MAX_TEXT_BYTES,
                Meaning::Plain,
            ),
            (
                "/offlinePush/iOSPushSound",
                push(|push| &push.ios_push_sound),
                MAX_TEXT_BYTES,
                Meaning::Plain,
            ),
        ];
        for (pointer, text, max, meaning) in shown {
            check_text(pointer, text, max, meaning)?;
        }
        Ok(())
    }

    /// The terms, with the hash of the collapse key; nothing when there are none.
    fn terms(&self, sender: &str, asked: &AskedTerms<'_>) -> Option<Terms> {
        let AskedTerms {
            collapse_key,
            expires,
            not_before,
        } = *asked;
        // No id has a control character, so no key of a request hashes alike.
        let hash = || {
            let key = format!("\u{1}{collapse_key}");
            self.0.hash_key.dedup_prefix(sender, &key)
        };
        let terms = Terms {
            collapse: (!collapse_key.is_empty()).then(hash),
            expires,
            not_before,
        };
        (terms != Terms::default()).then_some(terms)
    }

    /// What the ledger keeps of what was said.
    pub(super) fn said(&self, outgoing: &Outgoing<'_>, client_msg_id: &str, key: &str) -> Message {
        Message {
            client_msg_id: client_msg_id.to_owned(),
            key: if key == client_msg_id {
                String::new()
            } else {
                key.to_owned()
            },
            operation_id: outgoing.operation_id.to_owned(),
            sender_nickname: outgoing.sender_nickname.to_owned(),
            sender_face_url: outgoing.sender_face_url.to_owned(),
            sender_platform: outgoing.sender_platform,
            content: outgoing.content.to_owned(),
            offline_push: self.offline_push(outgoing),
            created: outgoing.created,
            address: outgoing.address.clone(),
        }
    }

    /// What a push shows, with the server's title where the caller gives none and there may be a push. It is kept with the
    /// message, so that what was promised does not change with the configuration; and it is no part of the digest, so
    /// that a retry after such a change is still one.
    fn offline_push(&self, outgoing: &Outgoing<'_>) -> Option<OfflinePush> {
        let title = &self.config().push_title;
        let mut push = outgoing.offline_push.clone();
        if !title.is_empty() && !outgoing.options_off.contains(Options::OFFLINE_PUSH) {
            let push = push.get_or_insert_default();
            if push.title.is_empty() {
                push.title.clone_from(title);
            }
        }
        push
    }

    /// The key under which a retry is found: the same key in another conversation is another message.
    pub(super) fn dedup_key(
        &self,
        sender: &str,
        key: &str,
        outgoing: &Outgoing<'_>,
    ) -> Option<KeyedHash> {
        let conversation = [
            &[kind_byte(outgoing.kind)][..],
            outgoing.receiver.as_bytes(),
        ];
        (!key.is_empty()).then(|| self.0.hash_key.dedup(sender, key, &conversation))
    }

    /// What tells a retry from another request with the same key: all that the message says. The trace id and the
    /// caller's clock may differ, and so may the surface.
    pub(super) fn digest(&self, sender: &str, outgoing: &Outgoing<'_>) -> Digest {
        let push = outgoing.offline_push.as_ref();
        let text =
            |field: fn(&OfflinePush) -> &String| push.map_or("", |push| field(push)).as_bytes();
        let badge = push.map_or(0, |push| 1 + u8::from(push.ios_badge_count));
        self.0.hash_key.digest(&[
            sender.as_bytes(),
            outgoing.receiver.as_bytes(),
            &[kind_byte(outgoing.kind)],
            &outgoing.checked.content_type.to_be_bytes(),
            outgoing.content.as_bytes(),
            outgoing.client_msg_id.as_bytes(),
            outgoing.sender_nickname.as_bytes(),
            outgoing.sender_face_url.as_bytes(),
            &outgoing.sender_platform.to_be_bytes(),
            &outgoing.options_off.0.to_be_bytes(),
            &[badge],
            text(|push| &push.title),
            text(|push| &push.desc),
            text(|push| &push.ex),
            text(|push| &push.ios_push_sound),
            outgoing.terms.collapse_key.as_bytes(),
            &moment(outgoing.terms.expires),
            &moment(outgoing.terms.not_before),
        ])
    }
}

/// A time for a digest; no time is none that can be said.
fn moment(time: Option<Time>) -> [u8; 8] {
    time.map_or([0xff; 8], |time| time.0.to_be_bytes())
}

/// A person sends chat messages of his own; a manager sends anything in anybody's name.
fn may_send(principal: &Principal, sender: &str, kind: ConversationKind) -> Result<(), Error> {
    if principal.is_business() {
        return Ok(());
    }
    if principal.user != sender {
        return Err(Error::at(
            Kind::Forbidden,
            "/sender",
            "only managers send in another's name",
        ));
    }
    match kind {
        ConversationKind::Single => Ok(()),
        ConversationKind::Notification => Err(Error::at(
            Kind::Forbidden,
            "/contentType",
            "only managers send notifications",
        )),
    }
}

fn kind_byte(kind: ConversationKind) -> u8 {
    match kind {
        ConversationKind::Single => 1,
        ConversationKind::Notification => 4,
    }
}
