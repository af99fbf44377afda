//! The service as connections of `waybill/1` see it: frames to calls, and answers to frames.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use waybill_core::command::ConversationKind;
use waybill_core::fact::Mark;
use waybill_core::id::{ConversationSeq, Seq};
use waybill_core::record::Surface;
use waybill_core::wire::{
    Bye, Capabilities, Code, Entry, Failure, Hello, LiveConnection, MessageEntry, NoteEntry,
    Online, Outgoing as WireOutgoing, Place as WirePlace, SentMessage as WireSent, Settings, Tail,
    UserPresence,
};
use waybill_log::{Growth, Subscription};

use super::{
    LivePlace, MessageTold, OnlineMessage, Outgoing, Page, Pulled, SentMessage, Service, Told,
    View, check, now,
};
use crate::auth::Principal;
use crate::content;
use crate::error::{Error, Kind};
use crate::live::End;
use crate::quic::{
    Followed, Grown, Opened, PresenceSource, Read, Service as QuicService, Slice, Ticket, Watch,
};
use crate::registry::{Full, Identity, Listener, PresenceWatch, Transport};
use crate::telemetry::Meter;
use crate::telemetry::metrics::TransportLabel;

/// What the server knows of a connection.
pub struct Session {
    principal: Arc<Principal>,
    /// Empty when the client named none.
    device: String,
    peer: SocketAddr,
    /// Its place among the live connections, once it has joined.
    live: OnceLock<LivePlace>,
    /// Whether the client takes what is told to live connections only, and once it has joined, the place where it is told.
    hears: bool,
    listener: OnceLock<Listener<OnlineMessage>>,
    meter: Mutex<Meter>,
}

impl QuicService for Service {
    type Session = Session;
    type Watch = Subscription;

    async fn hello(
        &self,
        hello: Hello,
        peer: SocketAddr,
    ) -> Result<Opened<Self::Session>, Failure> {
        let principal = self.authenticate(&hello.token).map_err(Failure::from)?;
        if !hello.device.id.is_empty() {
            check("device", &hello.device.id).map_err(Failure::from)?;
        }
        let span = self.span(&principal, "").map_err(Failure::from)?;
        Ok(Opened {
            user: principal.user.clone(),
            session: Session {
                principal,
                device: hello.device.id,
                peer,
                live: OnceLock::new(),
                hears: hello.capabilities.contains(Capabilities::ONLINE),
                listener: OnceLock::new(),
                meter: Mutex::new(self.metrics().live.meter(Transport::Quic)),
            },
            epoch: self.epoch(),
            floor: span.floor,
            head: span.head,
            time: now(),
        })
    }

    fn join(&self, session: &Session) -> Result<(), Failure> {
        let live = self
            .go_live(&session.principal, &session.device, Transport::Quic)
            .map_err(Failure::from)?;
        // A connection joins once.
        let _ = session.live.set(live);
        if session.hears {
            let _ = session.listener.set(self.listen(&session.principal));
        }
        Ok(())
    }

    async fn pull(&self, session: &Session, read: &Read) -> Result<Slice, Failure> {
        let limit = usize::try_from(read.limit).unwrap_or(usize::MAX);
        let bytes = read.bytes;
        let pulled = self.pull_within(&session.principal, &read.user, read.after, limit, bytes);
        match pulled.await.map_err(Failure::from)? {
            Pulled::Page(page) => {
                let label = TransportLabel { transport: "quic" };
                let count = page.entries.len() as u64;
                self.metrics()
                    .entries_pulled
                    .get_or_create(&label)
                    .inc_by(count);
                Ok(slice(page))
            }
            Pulled::TooOld(span) => {
                let text = format!("the log begins at {}; it ends at {}", span.floor, span.head);
                Err(Failure::new(Code::TOO_OLD, text))
            }
            Pulled::Ahead(span) => {
                let text = format!("the log ends at {}: yours is of another history", span.head);
                Err(Failure::new(Code::AHEAD, text))
            }
        }
    }

    fn watch(&self, session: &Session, user: &str) -> Result<Subscription, Failure> {
        Service::watch(self, &session.principal, user).map_err(Failure::from)
    }

    fn send(&self, session: &Arc<Session>, message: WireOutgoing, ticket: Ticket) {
        match prepared(self, session, &message) {
            Ok(prepared) => self.submit(prepared, move |result| {
                ticket.answer(result.map(sent).map_err(Failure::from));
            }),
            Err(error) => ticket.answer(Err(error.into())),
        }
    }

    async fn acknowledge(&self, session: &Session, seq: Seq) -> Result<Seq, Failure> {
        if session.device.is_empty() {
            return Err(Failure::new(Code::NO_DEVICE, "the hello named no device"));
        }
        let acknowledged = Service::acknowledge(
            self,
            &session.principal,
            Surface::NativeQuic,
            "",
            &session.device,
            seq,
        );
        let seq = acknowledged.await.map_err(Failure::from)?;
        session.meter.lock().acknowledged(seq);
        Ok(seq)
    }

    async fn told(&self, session: &Session) -> Online {
        match session.listener.get() {
            Some(listener) => online(&*listener.next().await),
            None => std::future::pending().await,
        }
    }

    fn watch_presence(
        &self,
        session: &Session,
        users: &[String],
    ) -> Result<Box<dyn PresenceSource>, Failure> {
        let watch =
            Service::watch_presence(self, &session.principal, users).map_err(Failure::from)?;
        Ok(Box::new(Watching {
            service: self.clone(),
            watch,
        }))
    }

    fn followed(&self, session: &Session, tail: &Tail, followed: Followed) {
        let own = tail.user.is_empty() || tail.user == session.principal.user;
        let mut meter = session.meter.lock();
        match followed {
            Followed::Grown(grown) => {
                meter.grown(tail.request, grown.head, grown.visible, own);
            }
            Followed::Wrote { last, head } => meter.wrote(tail.request, last, head),
            Followed::Ended => meter.forget(tail.request),
        }
    }

    async fn ended(&self, session: &Session) -> Bye {
        let left = self.left(&session.principal);
        let closed = async {
            match session.live.get() {
                Some(live) => live.closed().await,
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            reason = closed => reason.into(),
            () = tokio::time::sleep(left) => End::Expired,
        };
        self.farewell(Transport::Quic, end)
    }
}

impl Watch for Subscription {
    async fn grown(&mut self) -> Grown {
        loop {
            Subscription::grown(self).await;
            if let Some(Growth { head, visible }) = self.told() {
                return Grown { head, visible };
            }
        }
    }
}

impl From<Full> for Error {
    fn from(full: Full) -> Self {
        let kind = match full {
            Full::Server | Full::User => Kind::Connections,
            Full::Stopping => Kind::Stopping,
        };
        Self::new(kind, full.to_string())
    }
}

fn prepared(
    service: &Service,
    session: &Session,
    message: &WireOutgoing,
) -> Result<super::Prepared, Error> {
    let limits = service.limits();
    let content = std::str::from_utf8(&message.content)
        .map_err(|_| Error::at(Kind::Malformed, "/content", "the content is not UTF-8"))?;
    let depth = usize::try_from(limits.json_depth).unwrap_or(usize::MAX);
    let content_type = i64::from(message.content_type);
    let checked = content::check(content_type, content, depth, limits.content_bytes)?;
    let kind = match message.conversation_kind {
        0 => checked.conversation,
        1 => ConversationKind::Single,
        2 => ConversationKind::Notification,
        kind => {
            let detail = format!("{kind} is no kind of conversation");
            return Err(Error::at(Kind::SessionType, "/conversationKind", detail));
        }
    };
    let outgoing = Outgoing {
        sender: &message.sender,
        receiver: &message.receiver,
        kind,
        checked,
        content,
        client_msg_id: &message.client_msg_id,
        key: &message.key,
        operation_id: &message.operation_id,
        sender_nickname: &message.sender_nickname,
        sender_face_url: &message.sender_face_url,
        sender_platform: message.sender_platform,
        options_off: checked.off.with(message.options_off),
        offline_push: message.offline_push.clone(),
        created: message.created,
        address: session.peer.ip().to_string(),
        terms: super::AskedTerms::default(),
    };
    service.prepare(&session.principal, Surface::NativeQuic, outgoing)
}

fn sent(sent: SentMessage) -> WireSent {
    WireSent {
        server_msg_id: bytes_of(&sent.server_msg_id),
        client_msg_id: sent.client_msg_id,
        time: sent.time,
        seq: sent.seq,
        new_receiver: sent.new_receiver.unwrap_or(false),
        repeated: sent.repeated,
    }
}

fn slice(page: Page) -> Slice {
    Slice {
        epoch: page.epoch,
        floor: page.span.floor,
        head: page.span.head,
        more: page.more,
        entries: page.entries.into_iter().map(entry).collect(),
    }
}

/// A watch on who is online, as connections of `waybill/1` see it.
struct Watching {
    service: Service,
    watch: PresenceWatch,
}

impl Watching {
    fn of<'a>(&self, users: impl Iterator<Item = &'a str>) -> Vec<UserPresence> {
        let connection = |live: &Arc<Identity>| LiveConnection {
            device: live.device.clone(),
            platform: live.platform,
            transport: live.transport.name().to_owned(),
        };
        let user = |user: &str| UserPresence {
            user: user.to_owned(),
            connections: self
                .service
                .registry()
                .shown_of_user(user)
                .iter()
                .map(connection)
                .collect(),
        };
        users.map(user).collect()
    }
}

impl PresenceSource for Watching {
    fn all(&self) -> Vec<UserPresence> {
        self.of(self.watch.users())
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = Vec<UserPresence>> + Send + '_>> {
        Box::pin(async {
            let changed = self.watch.next().await;
            self.of(changed.iter().map(AsRef::as_ref))
        })
    }
}

fn online(message: &OnlineMessage) -> Online {
    let place = WirePlace {
        kind: message.place.kind,
        peer: message.place.peer.clone(),
    };
    Online {
        time: message.time,
        message: message_entry(place, ConversationSeq(0), message.told.clone()),
    }
}

fn entry(view: View) -> Entry {
    let place = WirePlace {
        kind: view.place.kind,
        peer: view.place.peer,
    };
    let conversation_seq = view.conversation_seq;
    let told = match view.told {
        Told::Message(told) => told,
        Told::Nothing => return Entry::skipped(view.seq, view.time),
        Told::Note(note) => {
            let note = NoteEntry {
                place,
                conversation_seq,
                by: note.by,
                server_msg_id: note.server_msg_id.as_deref().map(bytes_of),
                settings: note.settings.map(|settings| Settings {
                    pinned: settings.pinned,
                    receive_option: settings.receive_option,
                    hidden: settings.hidden_at.0 > 0,
                }),
                messages: note.messages,
                confirmed: note.mark == Some(Mark::Confirmed),
            };
            return Entry::note(view.seq, view.kind, view.time, &note);
        }
    };
    let entry = message_entry(place, conversation_seq, told);
    Entry::message(view.seq, view.time, &entry)
}

fn message_entry(
    place: WirePlace,
    conversation_seq: ConversationSeq,
    told: MessageTold,
) -> MessageEntry {
    let erased = told.message.is_none();
    let message = told.message.unwrap_or_default();
    MessageEntry {
        place,
        conversation_seq,
        sender: told.sender,
        server_msg_id: bytes_of(&told.server_msg_id),
        client_msg_id: told.client_msg_id,
        content_type: told.content_type,
        notification_type: told.notification_type,
        options_off: told.options_off,
        sender_nickname: message.sender_nickname,
        sender_face_url: message.sender_face_url,
        sender_platform: message.sender_platform,
        created: message.created,
        offline_push: message.offline_push,
        erased,
        content: message.content.into_bytes(),
    }
}

/// The bytes behind the 32 digits of an id that this server has made.
fn bytes_of(id: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    // Our own ids are always 32 digits.
    let _ = hex::decode_to_slice(id, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use waybill_core::wire::CODES;

    use super::*;
    use crate::error::TABLE;

    #[test]
    fn frames_and_the_table_of_errors_number_alike() {
        for row in TABLE {
            let info = Code(row.wire)
                .info()
                .unwrap_or_else(|| panic!("{} has no code", row.slug));
            assert_eq!(
                info.name.to_lowercase().replace('_', "-"),
                row.slug,
                "{}",
                row.wire
            );
            assert_eq!(info.retryable, row.retry_after > 0, "{}", row.slug);
        }
        let shared = CODES
            .iter()
            .filter(|info| (1..100).contains(&info.code.0))
            .count();
        assert_eq!(shared, TABLE.len());
    }
}
