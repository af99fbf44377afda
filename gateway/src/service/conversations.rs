//! Conversations of a user: the list, the messages of one, what is read, and what the user does to them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use waybill_core::body::{Message, Profile};
use waybill_core::command::{Ask, Deed};
use waybill_core::conversation::Conversation;
use waybill_core::fact::Withdrawal;
use waybill_core::id::{ConversationSeq, Seq, Time, UserNo};
use waybill_core::outcome::{Outcome, StateError};
use waybill_core::record::Surface;
use waybill_log::reader::{Direction, ListPlace, Listed, Told};

use super::pull::{MessageTold, Names, Place};
use super::{Service, check, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};

/// How a caller names a conversation: its kind, and the other party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// 1 single chat, 2 notification session.
    pub kind: u8,
    /// The other party: of a notification session the sending account.
    pub peer: &'a str,
}

impl<'a> Named<'a> {
    /// Reads `single:<user>` or `notification:<account>`. The kind ends at the first colon, so no user id can look like another
    /// conversation's name.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let (kind, peer) = text.split_once(':')?;
        let kind = match kind {
            "single" => 1,
            "notification" => 2,
            _ => return None,
        };
        Some(Self { kind, peer })
    }
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryView {
    /// Its place in the conversation.
    pub conversation_seq: ConversationSeq,
    /// The time shown on it.
    pub time: Time,
    /// Why it was withdrawn, if it was: then what it said is not shown.
    pub withdrawn: Option<Withdrawal>,
    /// Who withdrew it, empty for the server itself, and when.
    pub withdrawer: Option<(String, Time)>,
    /// The message.
    pub told: MessageTold,
}

/// A page of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// In the order in which the page goes.
    pub messages: Vec<HistoryView>,
    /// From where the next page goes on in the same direction.
    pub next: Option<ConversationSeq>,
}

/// A conversation in a user's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationView {
    /// Which.
    pub place: Place,
    /// Its title: the other party's name, else the last one that a message gave.
    pub title: String,
    /// Its picture, likewise.
    pub face_url: String,
    /// The conversation seq of its last message.
    pub head: ConversationSeq,
    /// Up to where the user has read it.
    pub read: ConversationSeq,
    /// How many messages the user has not read.
    pub unread: u64,
    /// Whether it stands before the others.
    pub pinned: bool,
    /// OpenIM's `recvMsgOpt`.
    pub receive_option: u8,
    /// Whether it is hidden until the next message.
    pub hidden: bool,
    /// Its last message; `None` when the user has deleted it.
    pub latest: Option<HistoryView>,
}

/// A page of a user's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListView {
    /// Pinned ones first, then by their last messages, the latest first.
    pub conversations: Vec<ConversationView>,
    /// Unread messages in all conversations together.
    pub unread: u64,
    /// Where the next page begins.
    pub cursor: Option<String>,
}

/// What a user may change of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether it stands before the others.
    pub pinned: Option<bool>,
    /// OpenIM's `recvMsgOpt`.
    pub receive_option: Option<u8>,
    /// Whether it is hidden until the next message.
    pub hidden: Option<bool>,
}

impl Service {
    /// A page of `user`'s conversations.
    ///
    /// # Errors
    /// When the principal may not read them, the cursor is none, or the log cannot be read.
    pub async fn conversations(
        &self,
        principal: &Principal,
        user: &str,
        cursor: Option<&str>,
        limit: usize,
        hidden: bool,
    ) -> Result<ListView, Error> {
        let owner = self.acting_for(principal, user)?;
        let after = cursor.map(read_cursor).transpose()?;
        self.read(move |this| {
            let page = this.0.reader.conversations(owner, after, limit, hidden)?;
            this.list_view(owner, page)
        })
        .await
    }

    /// The first page of `user`'s conversations, hidden ones too, and the seq of the user's log that it stands for: a new device
    /// pulls from there.
    ///
    /// # Errors
    /// As [`Service::conversations`].
    pub async fn snapshot(
        &self,
        principal: &Principal,
        user: &str,
        limit: usize,
    ) -> Result<(Seq, ListView), Error> {
        let owner = self.acting_for(principal, user)?;
        self.read(move |this| {
            let (seq, page) = this.0.reader.snapshot_of(owner, limit)?;
            Ok((seq, this.list_view(owner, page)?))
        })
        .await
    }

    fn list_view(
        &self,
        owner: UserNo,
        page: waybill_log::reader::ListPage,
    ) -> Result<ListView, StateError> {
        let mut names = Names::default();
        let views = page.conversations.iter();
        Ok(ListView {
            conversations: views
                .map(|listed| self.conversation_view(owner, listed, &mut names))
                .collect::<Result<_, _>>()?,
            unread: page.unread,
            cursor: page.next.as_ref().map(write_cursor),
        })
    }

    /// One conversation of `user`, and how many messages of each notification type are unread.
    ///
    /// # Errors
    /// When the principal may not read it, or there is none.
    pub async fn conversation(
        &self,
        principal: &Principal,
        user: &str,
        named: Named<'_>,
    ) -> Result<(ConversationView, BTreeMap<i32, u64>), Error> {
        let (owner, conversation) = self.find_conversation(principal, user, named)?;
        self.read(move |this| {
            let Some(listed) = this.0.reader.conversation(owner, conversation)? else {
                return Ok(None);
            };
            let view = this.conversation_view(owner, &listed, &mut Names::default())?;
            Ok(Some((view, this.0.reader.unread_by_type(owner, &listed)?)))
        })
        .await?
        .ok_or_else(|| Error::of(Kind::UnknownConversation))
    }

    /// A page of the messages of a conversation.
    ///
    /// # Errors
    /// As [`Service::conversation`].
    pub async fn history(
        &self,
        principal: &Principal,
        user: &str,
        named: Named<'_>,
        direction: Direction,
        limit: usize,
        of_type: Option<i32>,
    ) -> Result<HistoryPage, Error> {
        let (owner, conversation) = self.find_conversation(principal, user, named)?;
        self.read(move |this| {
            let Some(listed) = this.0.reader.conversation(owner, conversation)? else {
                return Ok(None);
            };
            let page = this
                .0
                .reader
                .history(owner, &listed, direction, limit, of_type)?;
            let mut names = Names::default();
            let messages = page.messages.into_iter();
            Ok(Some(HistoryPage {
                messages: messages
                    .map(|told| this.history_view(owner, told, &mut names))
                    .collect::<Result<_, _>>()?,
                next: page.next,
            }))
        })
        .await?
        .ok_or_else(|| Error::of(Kind::UnknownConversation))
    }

    /// Takes note that `user` has read a conversation up to a place, and gives that place as it is then, with what is unread.
    ///
    /// # Errors
    /// When the principal may not act for the user, there is no such conversation, or the place is beyond its end.
    pub async fn read_conversation(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        named: Named<'_>,
        up_to: ConversationSeq,
    ) -> Result<(ConversationSeq, u64), Error> {
        let deed = Deed::Read { up_to };
        self.tend_up_to(principal, surface, user, named, deed, up_to)
            .await
    }

    /// Reads or clears up to a place: one command stops where it has passed very many removed messages, and the next goes on
    /// from there.
    async fn tend_up_to(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        named: Named<'_>,
        deed: Deed,
        aim: ConversationSeq,
    ) -> Result<(ConversationSeq, u64), Error> {
        loop {
            let deed = deed.clone();
            match self.tend(principal, surface, user, named, deed).await? {
                Outcome::Read { up_to, .. } if up_to < aim => {}
                Outcome::Read { up_to, unread } => return Ok((up_to, unread)),
                _ => return Err(Error::of(Kind::Internal)),
            }
        }
    }

    /// Changes settings of a conversation of `user`.
    ///
    /// # Errors
    /// As [`Service::read_conversation`]; and when a setting has no such value.
    pub async fn set_conversation(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        named: Named<'_>,
        change: Change,
    ) -> Result<(), Error> {
        let deed = Deed::Set {
            pinned: change.pinned,
            receive_option: change.receive_option,
            hidden: change.hidden,
        };
        self.tend(principal, surface, user, named, deed)
            .await
            .map(drop)
    }

    /// Deletes messages of a conversation for `user` alone.
    ///
    /// # Errors
    /// As [`Service::read_conversation`].
    pub async fn remove_messages(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        named: Named<'_>,
        messages: Vec<ConversationSeq>,
    ) -> Result<(), Error> {
        let deed = Deed::Remove { messages };
        self.tend(principal, surface, user, named, deed)
            .await
            .map(drop)
    }

    /// Deletes everything up to a place of a conversation for `user` alone.
    ///
    /// # Errors
    /// As [`Service::read_conversation`].
    pub async fn clear_conversation(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        named: Named<'_>,
        up_to: ConversationSeq,
    ) -> Result<(), Error> {
        let deed = Deed::Clear { up_to };
        self.tend_up_to(principal, surface, user, named, deed, up_to)
            .await
            .map(drop)
    }

    async fn tend(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        named: Named<'_>,
        deed: Deed,
    ) -> Result<Outcome, Error> {
        let (user, conversation) = self.find_conversation(principal, user, named)?;
        let ask = Ask::Tend {
            user,
            conversation,
            deed,
        };
        self.ask(principal.number, surface, ask).await
    }

    fn find_conversation(
        &self,
        principal: &Principal,
        user: &str,
        named: Named<'_>,
    ) -> Result<(UserNo, Conversation), Error> {
        let owner = self.acting_for(principal, user)?;
        check("conversation", named.peer)?;
        Ok((owner, self.conversation_with(owner, named)?))
    }

    pub(super) fn conversation_with(
        &self,
        owner: UserNo,
        named: Named<'_>,
    ) -> Result<Conversation, Error> {
        let peer = self.0.reader.user_no(self.user_hash(named.peer));
        let peer = peer.map_err(unreadable)?;
        let peer = peer.ok_or_else(|| Error::of(Kind::UnknownConversation))?;
        Ok(match named.kind {
            1 => Conversation::single(owner, peer),
            _ => Conversation::Notification {
                account: peer,
                receiver: owner,
            },
        })
    }

    pub(super) fn conversation_view(
        &self,
        owner: UserNo,
        listed: &Listed,
        names: &mut Names,
    ) -> Result<ConversationView, StateError> {
        let peer = listed.conversation.other(owner);
        let before = Direction::Before(listed.end.head.next());
        let latest = self.0.reader.history(owner, listed, before, 1, None)?;
        let latest = latest.messages.into_iter().next();
        // A recalled message still says what its sender is called.
        let said = latest.as_ref().and_then(|told| told.message.clone());
        let latest = latest
            .map(|told| self.history_view(owner, told, names))
            .transpose()?;
        let profile = self.0.reader.profile(peer)?;
        let peer_id = names.find(self, peer)?;
        let theirs = latest
            .as_ref()
            .is_some_and(|latest| latest.told.sender == peer_id);
        let (title, face_url) = title(profile.as_ref(), said.as_ref().filter(|_| theirs));
        Ok(ConversationView {
            place: Place::of(listed.conversation, names.find(self, peer)?),
            title,
            face_url,
            head: listed.end.head,
            read: listed.membership.read,
            unread: listed.unread(),
            pinned: listed.membership.pinned,
            receive_option: listed.membership.receive_option,
            hidden: listed.is_hidden(),
            latest,
        })
    }

    pub(super) fn history_view(
        &self,
        owner: UserNo,
        told: Told,
        names: &mut Names,
    ) -> Result<HistoryView, StateError> {
        let time = self.0.reader.shown_time(&told.record, told.row.ahead_ms)?;
        let withdrawer = match told.withdrawer {
            None => None,
            Some((UserNo(0), time)) => Some((String::new(), time)),
            Some((by, time)) => Some((names.find(self, by)?, time)),
        };
        let (_, mut said) = self.told(owner, told.record, told.message, names)?;
        match told.withdrawn {
            None => said.change(told.changed),
            // It says nothing more, and is still the message that its sender named so.
            Some(_) => said.message = None,
        }
        Ok(HistoryView {
            conversation_seq: told.conversation_seq,
            time,
            withdrawn: told.withdrawn,
            withdrawer,
            told: said,
        })
    }
}

/// The name and picture of a conversation: those of the other party's profile, else those that its latest message came with.
fn title(profile: Option<&Profile>, said: Option<&Message>) -> (String, String) {
    let first = |one: Option<&String>, other: Option<&String>| {
        let filled = |text: &&String| !text.is_empty();
        let found = one.filter(filled).or(other.filter(filled));
        found.cloned().unwrap_or_default()
    };
    (
        first(
            profile.map(|profile| &profile.nickname),
            said.map(|message| &message.sender_nickname),
        ),
        first(
            profile.map(|profile| &profile.face_url),
            said.map(|message| &message.sender_face_url),
        ),
    )
}

/// A place in a list as a text: whether it is not pinned, the time, the conversation's key; in hexadecimal digits. Callers hand
/// it back and need not understand it.
fn write_cursor(place: &ListPlace) -> String {
    let mut bytes = vec![u8::from(place.unpinned)];
    bytes.extend_from_slice(&place.last.0.0.to_be_bytes());
    bytes.extend_from_slice(&place.conversation.key());
    hex::encode(bytes)
}

fn read_cursor(text: &str) -> Result<ListPlace, Error> {
    let read = || {
        let bytes = hex::decode(text).ok()?;
        let (unpinned, rest) = bytes.split_first()?;
        let (last, key) = rest.split_first_chunk::<8>()?;
        Some(ListPlace {
            unpinned: *unpinned != 0,
            last: Reverse(Time(u64::from_be_bytes(*last))),
            conversation: Conversation::from_key(key)?,
        })
    };
    let wrong = || Error::at(Kind::InvalidField, "cursor", "it is no cursor of a list");
    read().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let place = ListPlace {
            unpinned: true,
            last: Reverse(Time(1_700_000_000_000)),
            conversation: Conversation::single(UserNo(3), UserNo(9)),
        };
        assert_eq!(read_cursor(&write_cursor(&place)).unwrap(), place);
        for text in ["", "zz", "00", &"f".repeat(52), &"0".repeat(60)] {
            assert!(read_cursor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_conversations_cannot_be_mistaken() {
        let named = Named::read("notification:single:x").unwrap();
        assert_eq!((named.kind, named.peer), (2, "single:x"));
        assert_eq!(Named::read("single:").map(|named| named.peer), Some(""));
        assert_eq!(Named::read("group:x"), None);
        assert_eq!(Named::read("x"), None);
    }
}
