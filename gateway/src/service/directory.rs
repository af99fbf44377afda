//! The directory, and the ends of users' logs, as business systems tend them: profiles, registrations, who is connected.

use waybill_core::body::{Body, Profile};
use waybill_core::command::{Ask, Deed};
use waybill_core::conversation::Conversation;
use waybill_core::fact::Fact;
use waybill_core::id::{ConversationSeq, Opening, Seq, UserNo};
use waybill_core::limits::MAX_REMOVED;
use waybill_core::outcome::StateError;
use waybill_core::record::Surface;
use waybill_log::reader::PAGE_BYTES;

use super::accounts::check_profile;
use super::{Pulled, Registration, Service, Told, View, check, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::random;
use crate::registry::CloseReason;

/// How often an update is tried again when somebody else's came first.
const UPDATE_TRIES: usize = 8;

/// Seqs that are looked at in one read when messages are deleted by them.
const REMOVED_AT_ONCE: usize = 64;

/// Most bytes of contents at seqs that are asked for together: eight pages.
const MOST_BYTES_AT: usize = 8 * PAGE_BYTES;

impl Service {
    /// What became of recent sends, by operationID.
    pub(crate) fn note_operation(&self, principal: &Principal, id: &str, succeeded: bool) {
        let key = self.text_key(&principal.user, id);
        self.0.operations.note(key, succeeded);
    }

    /// Whether the last send of this caller with this operationID succeeded; `None` when that is not known.
    #[must_use]
    pub fn operation(&self, principal: &Principal, id: &str) -> Option<bool> {
        self.0.operations.find(&self.text_key(&principal.user, id))
    }

    /// The profile of a registered user; `None` of anybody else, and when it was erased.
    ///
    /// # Errors
    /// When the id is none or the log cannot be read.
    pub fn profile(&self, user: &str) -> Result<Option<Profile>, Error> {
        check("userID", user)?;
        let reader = &self.0.reader;
        let Some(number) = reader.user_no(self.user_hash(user)).map_err(unreadable)? else {
            return Ok(None);
        };
        reader.profile(number).map_err(unreadable)
    }

    /// The profiles of those of these users who are registered, in the order asked for. What is no id is nobody's.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn profiles(&self, users: Vec<String>) -> Result<Vec<(String, Profile)>, Error> {
        self.read(move |this| {
            let mut found = Vec::new();
            for user in users {
                let number = this.0.reader.user_no(this.user_hash(&user))?;
                let profile = number.map(|number| this.0.reader.profile(number));
                found.extend(
                    profile
                        .transpose()?
                        .flatten()
                        .map(|profile| (user, profile)),
                );
            }
            Ok(found)
        })
        .await
    }

    /// Changes the profile of a registered user: `change` gets it as it is now.
    ///
    /// # Errors
    /// When the principal may not act for the user, who is not registered, or a text is wrong.
    pub async fn update_profile(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        change: impl Fn(&mut Profile),
    ) -> Result<(), Error> {
        let number = self.acting_for(principal, user)?;
        for _ in 0..UPDATE_TRIES {
            let row = self.0.reader.profile_row(number).map_err(unreadable)?;
            let (base, mut profile) = match row {
                Some(row) => (Some(row.position), row.profile),
                None => (None, Profile::default()),
            };
            change(&mut profile);
            check_profile(&profile)?;
            let ask = Ask::UpdateProfile {
                user: number,
                base,
                profile: Body::Profile(profile).seal(Opening(random::bytes()?)),
            };
            match self.ask(principal.number, surface, ask).await {
                // Somebody else was first.
                Err(error) if error.kind == Kind::Stale => {}
                other => return other.map(drop),
            }
        }
        Err(Error::of(Kind::Busy))
    }

    /// Registers a user, or changes the profile of one who is: `change` gets it as it is now. Says whether the user was registered by
    /// this.
    ///
    /// # Errors
    /// When the principal may not, or a text is wrong.
    pub async fn put_user(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        change: impl Fn(&mut Profile),
    ) -> Result<bool, Error> {
        for _ in 0..UPDATE_TRIES {
            if self.is_registered(user)? {
                let changed = self.update_profile(principal, surface, user, &change).await;
                return changed.map(|()| false);
            }
            self.may_issue_for(principal, user)?;
            let mut profile = Profile::default();
            change(&mut profile);
            let registration = Registration {
                user,
                nickname: &profile.nickname,
                face_url: &profile.face_url,
                rest: &profile.rest,
            };
            match self.register(principal.number, surface, registration).await {
                // Somebody else was first.
                Err(error) if error.kind == Kind::AlreadyRegistered => {}
                other => return other.map(|()| true),
            }
        }
        Err(Error::of(Kind::Busy))
    }

    /// A user's profile as the directory has it; `None` of one who is seen but not registered.
    ///
    /// # Errors
    /// When the principal may not act for the user, or there is none.
    pub fn user(&self, principal: &Principal, user: &str) -> Result<Option<Profile>, Error> {
        self.acting_for(principal, user)?;
        let registered = self.is_registered(user)?;
        Ok(self.profile(user)?.filter(|_| registered))
    }

    /// Ends a user's registration: the tokens are revoked, live connections end, the profile is erased; number and log stay.
    ///
    /// # Errors
    /// When the principal may not, or the user is not registered.
    pub async fn unregister(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
    ) -> Result<(), Error> {
        let number = self.acting_for(principal, user)?;
        self.may_issue_for(principal, user)?;
        let ask = Ask::Unregister { user: number };
        self.ask(principal.number, surface, ask).await?;
        self.0.authenticator.tokens_were_revoked();
        self.registry().close_user(user, CloseReason::Revoked);
        Ok(())
    }

    /// Registered users from a number on, ascending: at most `limit` ids, and the number to go on with.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn registered(
        &self,
        from: UserNo,
        limit: usize,
    ) -> Result<(Vec<String>, Option<UserNo>), Error> {
        self.read(move |this| {
            let (numbers, next) = this.0.reader.registered(from, limit)?;
            let mut ids = Vec::with_capacity(numbers.len());
            for number in numbers {
                ids.extend(this.0.reader.user_id(number)?);
            }
            Ok((ids, next))
        })
        .await
    }

    /// Lets a user's log begin at `floor`; with `None`, behind its end.
    ///
    /// # Errors
    /// When the principal may not act for the user, or the floor lies beyond the end of the log.
    pub async fn trim_log(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        floor: Option<Seq>,
    ) -> Result<(), Error> {
        let user = self.acting_for(principal, user)?;
        let floor = match floor {
            Some(floor) => floor,
            None => self.0.reader.span(user).map_err(unreadable)?.head.next(),
        };
        let ask = Ask::TrimLog { user, floor };
        self.ask(principal.number, surface, ask).await.map(drop)
    }

    /// The entries at these seqs, ascending; those that are not there are left out.
    ///
    /// # Errors
    /// When the principal may not read the log, what they say together is longer than [`MOST_BYTES_AT`], or the log cannot be
    /// read.
    pub async fn entries_at(
        &self,
        principal: &Principal,
        user: &str,
        seqs: &[u64],
    ) -> Result<Vec<View>, Error> {
        let owner = self.acting_for(principal, user)?;
        let mut wanted = seqs.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|seq| *seq > 0);
        let found = self.read(move |this| this.found_at(owner, &wanted)).await?;
        found.ok_or_else(|| {
            let detail =
                format!("these entries are more than {MOST_BYTES_AT} bytes: ask for fewer");
            Error::new(Kind::InvalidField, detail)
        })
    }

    fn found_at(&self, owner: UserNo, wanted: &[u64]) -> Result<Option<Vec<View>>, StateError> {
        let mut found = Vec::with_capacity(wanted.len());
        let (mut at, mut bytes) = (0, 0);
        while let Some(first) = wanted.get(at).copied() {
            // Seqs in a row come with one page.
            let row = wanted[at..].iter().zip(first..);
            let count = row.take_while(|(seq, expected)| *seq == expected).count();
            match self.pull_now(owner, Seq(first - 1), count)? {
                Pulled::Page(page) if !page.entries.is_empty() => {
                    at += page.entries.len().min(count);
                    bytes += page.entries.iter().map(said_bytes).sum::<usize>();
                    found.extend(page.entries);
                }
                _ => at += 1,
            }
            if bytes > MOST_BYTES_AT {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    /// Deletes the messages at these seqs of a user's log, for that user alone. What is no message is passed over.
    ///
    /// # Errors
    /// As [`Service::entries_at`].
    pub async fn remove_at(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        seqs: &[u64],
    ) -> Result<(), Error> {
        let owner = self.acting_for(principal, user)?;
        let mut places: Vec<(Conversation, ConversationSeq)> = Vec::new();
        for seqs in seqs.chunks(REMOVED_AT_ONCE) {
            let seqs = seqs.to_vec();
            let found = self.read(move |this| this.places_at(owner, &seqs)).await?;
            places.extend(found);
        }
        places.sort_unstable();
        for group in places.chunk_by(|one, other| one.0 == other.0) {
            for part in group.chunks(MAX_REMOVED) {
                let ask = Ask::Tend {
                    user: owner,
                    conversation: group[0].0,
                    deed: Deed::Remove {
                        messages: part.iter().map(|(_, seq)| *seq).collect(),
                    },
                };
                self.ask(principal.number, surface, ask).await?;
            }
        }
        Ok(())
    }

    /// Where the messages at these seqs stand in their conversations.
    fn places_at(
        &self,
        owner: UserNo,
        seqs: &[u64],
    ) -> Result<Vec<(Conversation, ConversationSeq)>, StateError> {
        let mut places = Vec::with_capacity(seqs.len());
        for seq in seqs.iter().filter(|seq| **seq > 0) {
            let Pulled::Page(page) = self.pull_now(owner, Seq(seq - 1), 1)? else {
                continue;
            };
            for view in page.entries {
                let Told::Message(told) = &view.told else {
                    continue;
                };
                let opened = self.0.reader.open(told.position)?;
                let conversation = opened.and_then(|opened| match opened.record.fact {
                    Fact::MessageSent(sent) => Some(sent.conversation),
                    Fact::MessagePosted(posted) => Some(posted.kind.between(posted.sender, owner)),
                    _ => None,
                });
                places.extend(conversation.map(|found| (found, view.conversation_seq)));
            }
        }
        Ok(places)
    }
}

/// Bytes of what an entry says.
fn said_bytes(view: &View) -> usize {
    match &view.told {
        Told::Message(told) => told.message.as_ref().map_or(0, |said| said.content.len()),
        Told::Note(_) | Told::Nothing => 0,
    }
}
