//! What clients ask over the gateway.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use waybill_core::id::ControlSeq;

use super::frame::Request;
use super::pushes::{self, FRAME_BYTES};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::openim::v3::names::{self, Name};
use crate::openim::v3::proto::{
    EncodedLastMessages, EncodedMessagesResp, EncodedMsgs, GetHasReadAndMaxSeqReq,
    GetHasReadAndMaxSeqResp, GetLastMessageReq, GetMaxSeqReq, GetMaxSeqResp, GetSeqMessageReq,
    Message, MsgData, Packed, PullMessageBySeqsReq, SeqRange, Seqs, SubUserOnlineStatus,
    UserOnlineStatus, UserOnlineStatusResp,
};
use crate::openim::v3::{platform, translate};
use crate::service::{Named, Outline, Place, Service, Told};

pub const NEWEST_SEQ: i64 = 1001;
pub const PULL_RANGES: i64 = 1002;
pub const SEND: i64 = 1003;
pub const SIGNAL: i64 = 1004;
pub const PULL_SEQS: i64 = 1005;
pub const READ_AND_MAX: i64 = 1006;
pub const LAST_MESSAGE: i64 = 1007;
pub const LOGOUT: i64 = 2003;
pub const BACKGROUND: i64 = 2004;
pub const PRESENCE: i64 = 2005;

/// Most messages in an answer.
const PULLED: u64 = 1_000;
/// No more is read for an answer in which less room than this is left: few messages are so short.
const LEAST_ROOM: usize = 4 * 1024;
/// Most conversations in one request.
const ASKED: usize = 1_000;
/// Most notifications in an answer: the client takes the whole range for received, so the last ones count.
const NOTIFICATIONS: u64 = 1_000;

/// Who asks.
pub struct Asker<'a> {
    pub service: &'a Service,
    pub principal: &'a Principal,
    pub peer: SocketAddr,
}

pub(super) fn read<M: Message>(request: &Request) -> Result<M, Error> {
    M::decode(&request.data).map_err(|error| Error::new(Kind::Malformed, error.to_string()))
}

fn named(place: &Place) -> Named<'_> {
    Named {
        kind: place.kind,
        peer: &place.peer,
    }
}

fn seqs_of(outline: &Outline) -> Seqs {
    Seqs {
        max_seq: translate::number(outline.head.0),
        has_read_seq: translate::number(outline.read_as_counted()),
        max_seq_time: translate::number(outline.last_time.0),
    }
}

impl Asker<'_> {
    /// Answers a request; `None` for what no client may ask.
    ///
    /// # Errors
    /// What the client is told.
    pub async fn answer(&self, request: &Request) -> Option<Result<Vec<u8>, Error>> {
        Some(match request.identifier {
            NEWEST_SEQ => self.newest(request).await,
            PULL_RANGES => self.ranges(request).await,
            SEND => self.send(request).await,
            PULL_SEQS => self.by_seq(request).await,
            READ_AND_MAX => self.read_and_max(request).await,
            LAST_MESSAGE => self.last(request).await,
            SIGNAL => Err(Error::new(Kind::NotOffered, "calls are not offered")),
            LOGOUT | BACKGROUND => Ok(Vec::new()),
            PRESENCE => self.presence(request),
            _ => return None,
        })
    }

    /// Everybody asks for themselves.
    fn own(&self, user: &str) -> Result<(), Error> {
        if user.is_empty() || user == self.principal.user {
            Ok(())
        } else {
            Err(Error::of(Kind::Forbidden))
        }
    }

    async fn newest(&self, request: &Request) -> Result<Vec<u8>, Error> {
        let asked: GetMaxSeqReq = read(request)?;
        self.own(&asked.user_id)?;
        let own = &self.principal.user;
        let outlines = self.service.outlines(self.principal, "").await?;
        let mut max_seqs: BTreeMap<String, i64> = outlines
            .iter()
            .map(|outline| {
                (
                    names::of(own, &outline.place),
                    translate::number(outline.head.0),
                )
            })
            .filter(|(_, head)| *head > 0)
            .collect();
        let ends = self.service.ends(self.principal, "")?;
        if ends.control.0 > 0 {
            max_seqs.insert(names::own(own), translate::number(ends.control.0));
        }
        let answer = GetMaxSeqResp {
            max_seqs,
            ..GetMaxSeqResp::default()
        };
        Ok(answer.to_vec())
    }

    async fn ranges(&self, request: &Request) -> Result<Vec<u8>, Error> {
        let asked: PullMessageBySeqsReq = read(request)?;
        self.own(&asked.user_id)?;
        check_count(asked.seq_ranges.len())?;
        let mut answer = EncodedMessagesResp::default();
        let mut room = Room::new();
        // What is no message is told once, so it comes first; messages come again through the history.
        for range in &asked.seq_ranges {
            let own = names::read(&self.principal.user, &range.conversation_id) == Some(Name::Own);
            if own && answer.notification_msgs.is_empty() {
                let found = self.notifications(range, &mut room).await?;
                answer
                    .notification_msgs
                    .insert(range.conversation_id.clone(), found);
            }
        }
        for range in &asked.seq_ranges {
            let name = names::read(&self.principal.user, &range.conversation_id);
            if answer.msgs.contains_key(&range.conversation_id) {
                continue;
            }
            let found = match name {
                Some(Name::Own) => continue,
                Some(Name::Chat(named)) => self.range(named, range, &mut room).await?,
                None if range.conversation_id.starts_with("n_") => {
                    let none = EncodedMsgs::default();
                    answer
                        .notification_msgs
                        .insert(range.conversation_id.clone(), none);
                    continue;
                }
                None => EncodedMsgs::default(),
            };
            answer.msgs.insert(range.conversation_id.clone(), found);
        }
        Ok(answer.to_vec())
    }

    /// The last messages of a range.
    async fn range(
        &self,
        named: Named<'_>,
        range: &SeqRange,
        room: &mut Room,
    ) -> Result<EncodedMsgs, Error> {
        if room.is_used_up() {
            return Ok(EncodedMsgs::default());
        }
        let Some(outline) = self.outline(named).await? else {
            return Ok(EncodedMsgs::default());
        };
        let end = unsigned(range.end).min(outline.head.0);
        let first = unsigned(range.begin).max(outline.cleared.0 + 1);
        let count = unsigned(range.num).clamp(1, room.messages);
        let first = first.max(end.saturating_sub(count - 1)).max(1);
        if first > end {
            return Ok(EncodedMsgs::default());
        }
        let seqs: Vec<u64> = (first..=end).collect();
        // The newest fit; the others come through the history.
        let messages = self.messages(&outline.place, &seqs, true, room).await?;
        Ok(EncodedMsgs {
            msgs: messages,
            ..EncodedMsgs::default()
        })
    }

    /// All of a range of the user's own notifications, or the last ones of a long one.
    async fn notifications(&self, range: &SeqRange, room: &mut Room) -> Result<EncodedMsgs, Error> {
        let control = self.service.ends(self.principal, "")?.control.0;
        let end = unsigned(range.end).min(control);
        let begin = unsigned(range.begin).max(1);
        let first = begin.max(end.saturating_sub(NOTIFICATIONS - 1)).max(1);
        if first > end {
            return Ok(EncodedMsgs::default());
        }
        let count = usize::try_from(end - first + 1).unwrap_or(usize::MAX);
        let after = ControlSeq(first - 1);
        let found = self
            .service
            .control(self.principal, "", after, count)
            .await?;
        let mut messages = Vec::with_capacity(found.len());
        for (number, view) in &found {
            let asker = self.principal;
            match &view.told {
                Told::Note(note) => {
                    let note = pushes::of_note(self.service, asker, number.0, view, note);
                    messages.push(note.await?);
                }
                // Of places that a restore left out, the last one shows how far the range goes.
                Told::Nothing if number.0 == end => {
                    messages.push(translate::placeholder(number.0, view.time));
                }
                Told::Message(_) | Told::Nothing => {}
            }
        }
        Ok(EncodedMsgs {
            msgs: room.newest_of(messages),
            ..EncodedMsgs::default()
        })
    }

    async fn outline(&self, named: Named<'_>) -> Result<Option<Outline>, Error> {
        let found = self
            .service
            .outlines_of(self.principal, "", &[named])
            .await?;
        Ok(found.into_iter().next())
    }

    /// The messages at these places, the newest for which there is room; with `dense`, what is gone has a placeholder.
    async fn messages(
        &self,
        place: &Place,
        seqs: &[u64],
        dense: bool,
        room: &mut Room,
    ) -> Result<Vec<Bytes>, Error> {
        let service = self.service;
        let (found, from) = service
            .newest_at(self.principal, "", named(place), seqs.to_vec(), room.bytes)
            .await?;
        let own = &self.principal.user;
        let view = |seq: &u64| {
            let at = found.binary_search_by_key(seq, |view| view.conversation_seq.0);
            at.ok().and_then(|at| found.get(at))
        };
        let wanted = || seqs.iter().filter(|seq| **seq >= from);
        let gone = wanted().filter(|seq| dense && view(seq).is_none());
        let gone: Vec<u64> = gone.copied().collect();
        let times = match gone.is_empty() {
            true => BTreeMap::new(),
            false => {
                let times = service.times_at(self.principal, "", named(place), gone);
                times.await?
            }
        };
        let message = |seq: &u64| match (view(seq), times.get(seq)) {
            (Some(view), _) => Some(translate::message(own, place, view)),
            (None, Some(time)) => Some(translate::placeholder(*seq, *time)),
            (None, None) => None,
        };
        Ok(room.newest_of(wanted().filter_map(message).collect()))
    }

    async fn by_seq(&self, request: &Request) -> Result<Vec<u8>, Error> {
        let asked: GetSeqMessageReq = read(request)?;
        self.own(&asked.user_id)?;
        check_count(asked.conversations.len())?;
        let mut answer = EncodedMessagesResp::default();
        let mut room = Room::new();
        for conversation in &asked.conversations {
            let id = &conversation.conversation_id;
            if answer.msgs.contains_key(id) {
                continue;
            }
            let mut seqs: Vec<u64> = conversation
                .seqs
                .0
                .iter()
                .map(|seq| unsigned(*seq))
                .collect();
            seqs.sort_unstable();
            seqs.dedup();
            seqs.retain(|seq| *seq > 0);
            seqs.truncate(usize::try_from(room.messages).unwrap_or(usize::MAX));
            let found = match names::read(&self.principal.user, id) {
                Some(Name::Chat(named)) => {
                    self.listed(named, &seqs, asked.order, &mut room).await?
                }
                _ => EncodedMsgs::default(),
            };
            if id.starts_with("n_") {
                answer.notification_msgs.insert(id.clone(), found);
            } else {
                answer.msgs.insert(id.clone(), found);
            }
        }
        Ok(answer.to_vec())
    }

    async fn listed(
        &self,
        named: Named<'_>,
        seqs: &[u64],
        order: i32,
        room: &mut Room,
    ) -> Result<EncodedMsgs, Error> {
        if room.is_used_up() {
            return Ok(EncodedMsgs::default());
        }
        let Some(outline) = self.outline(named).await? else {
            return Ok(EncodedMsgs::default());
        };
        let there: Vec<u64> = seqs
            .iter()
            .copied()
            .filter(|seq| *seq <= outline.head.0)
            .collect();
        // What does not fit is asked for again.
        let messages = self.messages(&outline.place, &there, true, room).await?;
        let min = outline.cleared.0 + 1;
        let before = order == 1 && seqs.first().is_some_and(|seq| *seq < min);
        let behind = order == 0 && seqs.last().is_some_and(|seq| *seq > outline.head.0);
        let end_seq = match (before, behind) {
            (true, _) => translate::number(min),
            (_, true) => translate::number(outline.head.0),
            _ => 0,
        };
        Ok(EncodedMsgs {
            msgs: messages,
            is_end: before || behind,
            end_seq,
        })
    }

    async fn chosen(&self, ids: &[String]) -> Result<Vec<Outline>, Error> {
        check_count(ids.len())?;
        if ids.is_empty() {
            return self.service.outlines(self.principal, "").await;
        }
        let chats: Vec<Named<'_>> = ids
            .iter()
            .filter_map(|id| match names::read(&self.principal.user, id)? {
                Name::Chat(named) => Some(named),
                Name::Own => None,
            })
            .collect();
        self.service.outlines_of(self.principal, "", &chats).await
    }

    async fn read_and_max(&self, request: &Request) -> Result<Vec<u8>, Error> {
        let asked: GetHasReadAndMaxSeqReq = read(request)?;
        self.own(&asked.user_id)?;
        let own = &self.principal.user;
        let mut answer = GetHasReadAndMaxSeqResp::default();
        for outline in self.chosen(&asked.conversation_ids).await? {
            let id = names::of(own, &outline.place);
            answer.seqs.insert(id.clone(), seqs_of(&outline));
            if asked.return_pinned && outline.pinned {
                answer.pinned_conversation_ids.push(id);
            }
        }
        Ok(answer.to_vec())
    }

    async fn last(&self, request: &Request) -> Result<Vec<u8>, Error> {
        let asked: GetLastMessageReq = read(request)?;
        self.own(&asked.user_id)?;
        let own = &self.principal.user;
        let mut answer = EncodedLastMessages::default();
        let mut room = Room::new();
        for outline in self.chosen(&asked.conversation_ids).await? {
            // It asks only where it has nothing better; what does not fit comes with the next message.
            if room.is_used_up() {
                break;
            }
            let messages = self
                .messages(&outline.place, &[outline.head.0], false, &mut room)
                .await?;
            if let Some(message) = messages.into_iter().next() {
                answer.msgs.insert(names::of(own, &outline.place), message);
            }
        }
        Ok(answer.to_vec())
    }

    /// Who of these is connected. Users see it of everybody, as in the original.
    fn presence(&self, request: &Request) -> Result<Vec<u8>, Error> {
        let asked: SubUserOnlineStatus = read(request)?;
        check_count(asked.subscribe.len())?;
        let status = |user: &String| {
            let platforms = platform::online(self.service.registry(), user);
            UserOnlineStatus {
                user_id: user.clone(),
                platforms: Packed(platforms.into_iter().map(i64::from).collect()),
            }
        };
        let answer = UserOnlineStatusResp {
            users: asked.subscribe.iter().map(status).collect(),
        };
        Ok(answer.to_vec())
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn check_count(count: usize) -> Result<(), Error> {
    if count <= ASKED {
        return Ok(());
    }
    let what = format!("a request names at most {ASKED} conversations or users");
    Err(Error::new(Kind::InvalidField, what))
}

/// What is left of an answer: frames have a bound, and so has what is read for one.
struct Room {
    bytes: usize,
    messages: u64,
}

impl Room {
    fn new() -> Self {
        Self {
            bytes: FRAME_BYTES,
            messages: PULLED,
        }
    }

    fn is_used_up(&self) -> bool {
        self.bytes < LEAST_ROOM || self.messages == 0
    }

    /// The last messages that fit, encoded, which then take their room.
    fn newest_of(&mut self, messages: Vec<MsgData>) -> Vec<Bytes> {
        let mut fitting = Vec::with_capacity(messages.len());
        for message in messages.iter().rev() {
            let message = Bytes::from(message.to_vec());
            match self.bytes.checked_sub(pushes::size(&message)) {
                Some(left) if self.messages > 0 => {
                    self.bytes = left;
                    self.messages -= 1;
                }
                _ => break,
            }
            fitting.push(message);
        }
        fitting.reverse();
        fitting
    }
}
