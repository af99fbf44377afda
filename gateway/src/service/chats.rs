//! What clients that sync conversation by conversation ask: where each of them ends, the messages at given places, and what a
//! log tells besides messages.

use std::collections::BTreeMap;
use waybill_core::body::Profile;

use waybill_core::conversation::Conversation;
use waybill_core::id::{ControlSeq, ConversationSeq, Time, UserNo};
use waybill_core::outcome::StateError;
use waybill_core::state::Table;
use waybill_log::reader::{Direction, Listed, PAGE_BYTES};

use super::conversations::{HistoryView, Named};
use super::pull::{Names, Place, View};
use super::{Service, Span, check, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};

/// Most conversations in one answer: more than anybody has, and few enough for one frame.
pub const MOST_CONVERSATIONS: usize = 10_000;

/// Where a conversation ends, and what its reader has read and set; without any message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Which.
    pub place: Place,
    /// The conversation seq of its last message.
    pub head: ConversationSeq,
    /// The time shown on that message.
    pub last_time: Time,
    /// Up to where the user has read it.
    pub read: ConversationSeq,
    /// Up to where the user has deleted it.
    pub cleared: ConversationSeq,
    /// How many messages the user has not read.
    pub unread: u64,
    /// Whether it stands before the others.
    pub pinned: bool,
    /// OpenIM's `recvMsgOpt`.
    pub receive_option: u8,
}

impl Outline {
    /// Up to where the conversation would be read if every message counted: clients that take the distance to the end for what is
    /// unread are then exact.
    #[must_use]
    pub fn read_as_counted(&self) -> u64 {
        self.head.0.saturating_sub(self.unread)
    }
}

/// Where a user's log and conversations end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The ends of the log.
    pub span: Span,
    /// How many entries of the log are no messages.
    pub control: ControlSeq,
}

impl Service {
    /// Where a user's log ends.
    ///
    /// # Errors
    /// When the principal may not read it.
    pub fn ends(&self, principal: &Principal, user: &str) -> Result<Ends, Error> {
        let owner = self.acting_for(principal, user)?;
        let (span, control) = self.0.reader.ends(owner).map_err(unreadable)?;
        Ok(Ends { span, control })
    }

    /// All conversations of a user, pinned ones first and then the latest first, hidden ones too: at most
    /// [`MOST_CONVERSATIONS`].
    ///
    /// # Errors
    /// When the principal may not read them.
    pub async fn outlines(&self, principal: &Principal, user: &str) -> Result<Vec<Outline>, Error> {
        let owner = self.acting_for(principal, user)?;
        self.read(move |this| {
            let mut names = Names::default();
            let listed = this.0.reader.all_conversations(owner, MOST_CONVERSATIONS)?;
            listed
                .iter()
                .map(|listed| this.outline(owner, listed, &mut names))
                .collect()
        })
        .await
    }

    /// Those of these conversations that the user has.
    ///
    /// # Errors
    /// When the principal may not read them.
    pub async fn outlines_of(
        &self,
        principal: &Principal,
        user: &str,
        named: &[Named<'_>],
    ) -> Result<Vec<Outline>, Error> {
        let owner = self.acting_for(principal, user)?;
        let named: Vec<_> = named
            .iter()
            .map(|named| (named.kind, named.peer.to_owned()))
            .collect();
        self.read(move |this| {
            let mut names = Names::default();
            let mut outlines = Vec::with_capacity(named.len());
            for (kind, peer) in &named {
                let conversation = match this.known(owner, Named { kind: *kind, peer }) {
                    Ok(Some(conversation)) => conversation,
                    Ok(None) => continue,
                    Err(error) => return Ok(Err(error)),
                };
                if let Some(listed) = this.0.reader.conversation(owner, conversation)? {
                    outlines.push(this.outline(owner, &listed, &mut names)?);
                }
            }
            Ok(Ok(outlines))
        })
        .await?
    }

    fn outline(
        &self,
        owner: UserNo,
        listed: &Listed,
        names: &mut Names,
    ) -> Result<Outline, StateError> {
        let peer = listed.conversation.other(owner);
        Ok(Outline {
            place: Place::of(listed.conversation, names.find(self, peer)?),
            head: listed.end.head,
            last_time: listed.end.last_time,
            read: listed.membership.read,
            cleared: listed.membership.cleared,
            unread: listed.unread(),
            pinned: listed.membership.pinned,
            receive_option: listed.membership.receive_option,
        })
    }

    /// The messages at these places of a conversation that the user may see, ascending; none of a conversation that there is not.
    /// Of very many, those that a page holds.
    ///
    /// # Errors
    /// When the principal may not read it.
    pub async fn messages_at(
        &self,
        principal: &Principal,
        user: &str,
        named: Named<'_>,
        seqs: Vec<u64>,
    ) -> Result<Vec<HistoryView>, Error> {
        let (found, _) = self
            .newest_at(principal, user, named, seqs, PAGE_BYTES)
            .await?;
        Ok(found)
    }

    /// As [`Service::messages_at`], the newest of them whose contents are no more than `most` bytes, or one; and from which place on
    /// they are all.
    ///
    /// # Errors
    /// When the principal may not read it.
    pub async fn newest_at(
        &self,
        principal: &Principal,
        user: &str,
        named: Named<'_>,
        mut seqs: Vec<u64>,
        most: usize,
    ) -> Result<(Vec<HistoryView>, u64), Error> {
        let owner = self.acting_for(principal, user)?;
        let Some(conversation) = self.known(owner, named)? else {
            return Ok((Vec::new(), 0));
        };
        seqs.sort_unstable();
        seqs.dedup();
        seqs.retain(|seq| *seq > 0);
        self.read(move |this| {
            let Some(listed) = this.0.reader.conversation(owner, conversation)? else {
                return Ok((Vec::new(), 0));
            };
            let (mut names, mut found) = (Names::default(), Vec::with_capacity(seqs.len()));
            let mut bytes = 0;
            // Places in a row are read together, the last first.
            for run in seqs.chunk_by(|one, next| one + 1 == *next).rev() {
                let (Some(first), Some(last)) = (run.first(), run.last()) else {
                    continue;
                };
                let mut before = last + 1;
                while before > *first {
                    let limit = usize::try_from(before - first).unwrap_or(usize::MAX);
                    let direction = Direction::Before(ConversationSeq(before));
                    let page = this
                        .0
                        .reader
                        .history(owner, &listed, direction, limit, None)?;
                    let messages = page.messages.into_iter();
                    for told in messages.take_while(|told| told.conversation_seq.0 >= *first) {
                        let seq = told.conversation_seq.0;
                        bytes += told.said_bytes();
                        if bytes > most && !found.is_empty() {
                            found.reverse();
                            return Ok((found, seq + 1));
                        }
                        found.push(this.history_view(owner, told, &mut names)?);
                    }
                    before = page.next.map_or(*first, |next| next.0);
                }
            }
            found.reverse();
            Ok((found, 0))
        })
        .await
    }

    /// The times of these places of a conversation, which it reaches: of what stands there, shown or not, and of a place that a restore
    /// left out that of the restore.
    ///
    /// # Errors
    /// When the principal may not read it.
    pub async fn times_at(
        &self,
        principal: &Principal,
        user: &str,
        named: Named<'_>,
        seqs: Vec<u64>,
    ) -> Result<BTreeMap<u64, Time>, Error> {
        let owner = self.acting_for(principal, user)?;
        let Some(conversation) = self.known(owner, named)? else {
            return Ok(BTreeMap::new());
        };
        self.read(move |this| this.0.reader.times_at(conversation, &seqs))
            .await
    }

    /// How the user's notification sessions with these accounts are called, and their pictures; in the same order. Empty where there is
    /// no session.
    ///
    /// # Errors
    /// When the principal's conversations cannot be read.
    pub async fn session_titles(
        &self,
        principal: &Principal,
        accounts: &[&str],
    ) -> Result<Vec<(String, String)>, Error> {
        let owner = principal.number;
        let accounts: Vec<String> = accounts
            .iter()
            .map(|account| (*account).to_owned())
            .collect();
        self.read(move |this| {
            let mut names = Names::default();
            let mut titles = Vec::with_capacity(accounts.len());
            for peer in &accounts {
                let session = match this.known(owner, Named { kind: 2, peer }) {
                    Ok(session) => session,
                    Err(error) => return Ok(Err(error)),
                };
                let listed = session.map(|session| this.0.reader.conversation(owner, session));
                titles.push(match listed.transpose()?.flatten() {
                    Some(listed) => {
                        let view = this.conversation_view(owner, &listed, &mut names)?;
                        (view.title, view.face_url)
                    }
                    None => Default::default(),
                });
            }
            Ok(Ok(titles))
        })
        .await?
    }

    /// What a user's log tells besides messages, from after a control seq on; at most `limit`.
    ///
    /// # Errors
    /// When the principal may not read it.
    pub async fn control(
        &self,
        principal: &Principal,
        user: &str,
        after: ControlSeq,
        limit: usize,
    ) -> Result<Vec<(ControlSeq, View)>, Error> {
        let owner = self.acting_for(principal, user)?;
        self.read(move |this| {
            let mut names = Names::default();
            let entries = this.0.reader.control(owner, after, limit)?;
            entries
                .into_iter()
                .map(|(number, entry)| Ok((number, this.view(owner, entry, &mut names)?)))
                .collect()
        })
        .await
    }

    /// The version of what conversations a user has, and what is set for them: it changes with every change of that.
    ///
    /// # Errors
    /// When the principal may not read them.
    pub fn conversations_version(&self, principal: &Principal, user: &str) -> Result<u64, Error> {
        let owner = self.acting_for(principal, user)?;
        let version = self.0.reader.version(owner, Table::Conversations);
        version.map(|position| position.0).map_err(unreadable)
    }

    /// A conversation whose other party is known.
    fn known(&self, owner: UserNo, named: Named<'_>) -> Result<Option<Conversation>, Error> {
        if check("conversation", named.peer).is_err() {
            return Ok(None);
        }
        match self.conversation_with(owner, named) {
            Ok(conversation) => Ok(Some(conversation)),
            Err(error) if error.kind == Kind::UnknownConversation => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Those of these users who were ever seen, registered or not, with their profiles, in the order asked for. What is no id is
    /// nobody's.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn seen(&self, users: Vec<String>) -> Result<Vec<(String, Option<Profile>)>, Error> {
        self.read(move |this| {
            let mut found = Vec::with_capacity(users.len());
            for user in users {
                let number = match check("userID", &user) {
                    Ok(()) => this.0.reader.user_no(this.user_hash(&user))?,
                    Err(_) => None,
                };
                if let Some(number) = number {
                    found.push((user, this.0.reader.profile(number)?));
                }
            }
            Ok(found)
        })
        .await
    }

    /// Whether each of these users is registered. What is no id is nobody's.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn are_registered(&self, users: Vec<String>) -> Result<Vec<bool>, Error> {
        self.read(move |this| {
            let registered = |user: &String| match check("userID", user) {
                Ok(()) => match this.0.reader.user_no(this.user_hash(user))? {
                    Some(number) => this.0.reader.is_registered(number),
                    None => Ok(false),
                },
                Err(_) => Ok(false),
            };
            users.iter().map(registered).collect()
        })
        .await
    }

    /// Whether an account is a configured manager.
    #[must_use]
    pub fn is_manager(&self, user: &str) -> bool {
        self.0.authenticator.is_manager(user)
    }
}
