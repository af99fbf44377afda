//! Messages to many: to a list, to a named audience, to everybody; what became of each receiver.

use std::collections::HashSet;

use tracing::warn;
use waybill_core::command::{Ask, Post, To, UserRef};
use waybill_core::fact::{Audience, Fact, MessagePosted};
use waybill_core::id::{AudienceNo, Digest, Position, Seq, Time, UserNo};
use waybill_core::limits::{MAX_FILLED, MAX_LISTED};
use waybill_core::message_id::TASK_ORDINAL;
use waybill_core::outcome::{Outcome, StateError};
use waybill_core::record::Surface;
use waybill_log::reader::Progress;

use super::pull::Names;
use super::status::{Filter, Wanted};
use super::{Outgoing, Service, StandingView, check, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};

/// Who a task goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskTo {
    /// These users.
    Users(Vec<String>),
    /// The named audience, as it is now.
    Audience(String),
    /// Everybody who is registered.
    Registered,
    /// Everybody who was ever seen.
    Seen,
}

/// What a task came to for one receiver, where that is known at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskReceiver {
    /// Who.
    pub user: String,
    /// The place in the log and whether the user is new, or why not.
    pub result: Result<TaskSent, Error>,
}

/// A message of a task in a receiver's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSent {
    /// The server's id of this receiver's message.
    pub server_msg_id: String,
    /// The clientMsgID of this receiver's message.
    pub client_msg_id: String,
    /// The time shown on it.
    pub time: Time,
    /// Its place in the receiver's log.
    pub seq: Option<Seq>,
    /// Whether the receiver was never seen before.
    pub new: bool,
    /// Whether this is the answer to an earlier request.
    pub repeated: bool,
}

/// A task that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskTaken {
    /// Its id; empty when every receiver was refused, so that there is none.
    pub task: String,
    /// Its time.
    pub time: Time,
    /// Whether this is the answer to an earlier request.
    pub repeated: bool,
    /// What became of each receiver, in the order of the request; `None` where they follow.
    pub receivers: Option<Vec<TaskReceiver>>,
}

/// How a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// Its id.
    pub task: String,
    /// Its time.
    pub time: Time,
    /// Its sender.
    pub sender: String,
    /// OpenIM's contentType.
    pub content_type: u32,
    /// How far it is.
    pub progress: Progress,
}

/// One receiver of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskReceiverView {
    /// Who.
    pub user: String,
    /// How the message stands with them, and since when.
    pub standing: StandingView,
    /// The server's id of this receiver's message; empty until it is in their log.
    pub server_msg_id: String,
    /// Its place in their log.
    pub seq: Option<Seq>,
}

/// Some receivers of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskReceivers {
    /// Ascending by when they were first seen.
    pub receivers: Vec<TaskReceiverView>,
    /// Where the next page begins.
    pub cursor: Option<String>,
}

/// Pages of receivers that are looked at for one answer when only some states are asked for.
const PAGES: usize = 8;

impl Service {
    /// Sends a message to several users.
    ///
    /// # Errors
    /// When the principal is no business system, a field is wrong, or the whole was refused. Receivers who are refused one by
    /// one are in the answer.
    pub async fn post(
        &self,
        principal: &Principal,
        surface: Surface,
        outgoing: Outgoing<'_>,
        to: TaskTo,
    ) -> Result<TaskTaken, Error> {
        require_business(principal)?;
        let users = match &to {
            TaskTo::Users(users) if users.is_empty() => {
                return Err(Error::at(Kind::NoReceiver, "/to/users", "it names nobody"));
            }
            TaskTo::Users(users) => {
                if let Some(place) = named_twice(users) {
                    let at = format!("/to/users/{place}");
                    let detail = "a receiver is named twice";
                    return Err(Error::at(Kind::InvalidField, at, detail));
                }
                Some(users.clone())
            }
            _ => None,
        };
        let listed = users
            .as_ref()
            .is_some_and(|users| users.len() <= MAX_LISTED && outgoing.terms.not_before.is_none());
        if let Some(users) = &users
            && !listed
        {
            let mut list = self.begin_list(principal, surface, outgoing).await?;
            self.add_to_list(&mut list, users).await?;
            return self.finish_list(list).await;
        }
        let about = audience_text(&to);
        let mut post = self.prepare_post(principal, outgoing, &about)?;
        match (users, to) {
            (Some(users), _) => {
                post.to = To::Users(self.references(&users)?);
                return self.post_listed(principal, surface, post, users).await;
            }
            (None, TaskTo::Audience(name)) => post.to = To::Audience(self.audience_no(&name)?),
            (None, TaskTo::Seen) => post.to = To::Seen,
            (None, _) => post.to = To::Registered,
        }
        self.post_followed(principal.number, surface, post).await
    }

    /// Sends a message to several users at once, however many: those who have it, and those who do not. OpenIM's batches are so.
    ///
    /// # Errors
    /// When nobody has got it, or it is not known who has.
    pub async fn post_batch(
        &self,
        principal: &Principal,
        surface: Surface,
        outgoing: Outgoing<'_>,
        users: &[String],
    ) -> Result<(Vec<(String, TaskSent)>, Vec<String>), Error> {
        let (mut sent, mut failed) = (Vec::with_capacity(users.len()), Vec::new());
        for part in users.chunks(MAX_LISTED) {
            let to = TaskTo::Users(part.to_vec());
            let taken = match self.post(principal, surface, outgoing.clone(), to).await {
                Ok(taken) => taken,
                Err(error) if sent.is_empty() || error.kind == Kind::OutcomeUnknown => {
                    return Err(error);
                }
                // Some have it, so the whole is no failure: a caller who sent it again without a key would send it to them
                // twice.
                Err(error) => {
                    warn!(%error, receivers = part.len(), "a part of a batch was not sent");
                    failed.extend_from_slice(part);
                    continue;
                }
            };
            for receiver in taken.receivers.unwrap_or_default() {
                match receiver.result {
                    Ok(one) => sent.push((receiver.user, one)),
                    Err(_) => failed.push(receiver.user),
                }
            }
        }
        Ok((sent, failed))
    }

    /// Whether the principal is a business system, before anything else is done for it.
    ///
    /// # Errors
    /// When it is none.
    pub fn require_business(&self, principal: &Principal) -> Result<(), Error> {
        require_business(principal)
    }

    /// Has a message sent whose receivers follow.
    pub(super) async fn post_followed(
        &self,
        by: UserNo,
        surface: Surface,
        post: Post,
    ) -> Result<TaskTaken, Error> {
        match self.ask(by, surface, Ask::Post(post)).await? {
            Outcome::Begun {
                position,
                time,
                repeated,
            } => Ok(self.taken(position, time, repeated, None)),
            _ => Err(Error::of(Kind::Internal)),
        }
    }

    async fn post_listed(
        &self,
        principal: &Principal,
        surface: Surface,
        post: Post,
        users: Vec<String>,
    ) -> Result<TaskTaken, Error> {
        let outcome = self.ask(principal.number, surface, Ask::Post(post)).await?;
        let Outcome::Posted(results) = outcome else {
            return Err(Error::of(Kind::Internal));
        };
        let first = results.iter().flatten().next();
        let (position, time) =
            first.map_or((Position(0), Time(0)), |sent| (sent.position, sent.time));
        let repeated = results.iter().flatten().all(|sent| sent.repeated);
        let receivers = users.into_iter().zip(results).map(|(user, result)| {
            let result = result.map_err(Error::from).and_then(|sent| {
                Ok(TaskSent {
                    server_msg_id: self.posted_id(sent.position, sent.receiver)?,
                    client_msg_id: self.posted_client_id(sent.position, sent.receiver)?,
                    time: sent.time,
                    seq: sent.seq,
                    new: sent.new_receiver,
                    repeated: sent.repeated,
                })
            });
            TaskReceiver { user, result }
        });
        let receivers = receivers.collect();
        Ok(self.taken(position, time, repeated, Some(receivers)))
    }

    fn taken(
        &self,
        position: Position,
        time: Time,
        repeated: bool,
        receivers: Option<Vec<TaskReceiver>>,
    ) -> TaskTaken {
        TaskTaken {
            task: match position.0 {
                0 => String::new(),
                _ => self.message_id(position, TASK_ORDINAL),
            },
            time,
            repeated,
            receivers,
        }
    }

    pub(super) fn references(&self, users: &[String]) -> Result<Vec<UserRef>, Error> {
        users
            .iter()
            .map(|user| self.user_ref("/to/users", user))
            .collect()
    }

    fn audience_no(&self, name: &str) -> Result<AudienceNo, Error> {
        check("/to/audience", name)?;
        let name = self.audience_hash(name);
        let found = self.0.reader.audience_named(name).map_err(unreadable)?;
        found.ok_or_else(|| Error::of(Kind::UnknownAudience))
    }

    /// The message that a task id stands for.
    pub(super) fn task_position(&self, task: &str) -> Result<Position, Error> {
        let (position, ordinal) = self.open_id(task)?;
        if ordinal == TASK_ORDINAL {
            Ok(position)
        } else {
            Err(Error::of(Kind::UnknownTask))
        }
    }

    /// How a task is.
    ///
    /// # Errors
    /// When the principal is no business system, or there is no such task.
    pub async fn task(&self, principal: &Principal, task: &str) -> Result<TaskView, Error> {
        require_business(principal)?;
        let position = self.task_position(task).map_err(unknown_task)?;
        let task = task.to_lowercase();
        self.read(move |this| {
            let Some((time, posted)) = this.posted(position)? else {
                return Ok(None);
            };
            Ok(Some(TaskView {
                task,
                time,
                sender: Names::default().find(this, posted.sender)?,
                content_type: posted.content_type,
                progress: this.0.reader.progress(position, &posted)?,
            }))
        })
        .await?
        .ok_or_else(|| Error::of(Kind::UnknownTask))
    }

    fn posted(&self, position: Position) -> Result<Option<(Time, MessagePosted)>, StateError> {
        let opened = self.0.reader.open(position)?;
        Ok(opened.and_then(|opened| match opened.record.fact {
            Fact::MessagePosted(posted) => Some((opened.record.time, posted)),
            _ => None,
        }))
    }

    /// Some receivers of a task, and how the message stands with each; only those that are wanted.
    ///
    /// # Errors
    /// As [`Service::task`]; and when there is no such state or the cursor is none.
    pub async fn task_receivers(
        &self,
        principal: &Principal,
        task: &str,
        wanted: Wanted<'_>,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<TaskReceivers, Error> {
        require_business(principal)?;
        let position = self.task_position(task).map_err(unknown_task)?;
        if wanted == Wanted::Refused {
            return self
                .read(move |this| this.refused_receivers(position, cursor.unwrap_or(0), limit))
                .await?
                .ok_or_else(|| Error::of(Kind::UnknownTask));
        }
        let wanted = Filter::of(wanted)?;
        let from = UserNo(cursor.unwrap_or(0));
        self.read(move |this| {
            let mut names = Names::default();
            let mut receivers = Vec::new();
            let mut next = Some(from);
            for _ in 0..PAGES {
                let Some(from) = next else { break };
                let Some(page) = this.0.reader.receivers(position, from, limit)? else {
                    return Ok(None);
                };
                next = page.next;
                for status in page.receivers {
                    if !wanted.takes(&status) {
                        continue;
                    }
                    receivers.push(TaskReceiverView {
                        user: names.find(this, status.user)?,
                        standing: StandingView::from(&status),
                        server_msg_id: match status.seq {
                            Some(_) => this.posted_id(position, status.user).unwrap_or_default(),
                            None => String::new(),
                        },
                        seq: status.seq,
                    });
                }
                // Names of a page are let go with it: a task may have very many receivers.
                names = Names::default();
                if !receivers.is_empty() {
                    break;
                }
            }
            Ok(Some(TaskReceivers {
                receivers,
                cursor: next.map(|next| next.0.to_string()),
            }))
        })
        .await?
        .ok_or_else(|| Error::of(Kind::UnknownTask))
    }

    /// The lines of a task's list that were refused: of a list that was an audience. The cursor is a record's position and a place
    /// among the lines that it names.
    fn refused_receivers(
        &self,
        position: Position,
        cursor: u64,
        limit: usize,
    ) -> Result<Option<TaskReceivers>, StateError> {
        let Some((_, posted)) = self.posted(position)? else {
            return Ok(None);
        };
        let mut page = TaskReceivers {
            receivers: Vec::new(),
            cursor: None,
        };
        // Those of a short list were named in the answer, and of everybody nobody is refused.
        let Audience::Members { audience, .. } = posted.audience else {
            return Ok(Some(page));
        };
        let lines = MAX_FILLED.next_power_of_two() as u64;
        let (mut record, mut place) = (cursor / lines, cursor % lines);
        while page.receivers.len() < limit {
            let after = Position(record.saturating_sub(1));
            let Some((found, ids)) = self.0.reader.refused(audience, after)? else {
                page.cursor = None;
                return Ok(Some(page));
            };
            if found.0 != record {
                place = 0;
            }
            let left = limit - page.receivers.len();
            let rest = ids
                .into_iter()
                .skip(usize::try_from(place).unwrap_or(usize::MAX));
            let mut rest = rest.peekable();
            for user in rest.by_ref().take(left) {
                place += 1;
                page.receivers.push(TaskReceiverView {
                    user,
                    standing: StandingView::REFUSED,
                    server_msg_id: String::new(),
                    seq: None,
                });
            }
            record = found.0;
            if rest.peek().is_none() {
                (record, place) = (found.0.saturating_add(1), 0);
            }
            page.cursor = record
                .checked_mul(lines)
                .map(|cursor| (cursor + place).to_string());
        }
        Ok(Some(page))
    }

    /// The digest of a message to many: all that it says, and to whom.
    pub(super) fn post_digest(&self, base: &Digest, about: &str) -> Digest {
        self.0.hash_key.digest(&[&base.0, about.as_bytes()])
    }
}

pub(super) fn require_business(principal: &Principal) -> Result<(), Error> {
    if principal.is_business() {
        Ok(())
    } else {
        let text = "only business systems may do this";
        Err(Error::new(Kind::Forbidden, text))
    }
}

/// Where in a list somebody is named again. A short list that names somebody twice is refused by the rules, and a long one or one
/// that waits is to be no different.
fn named_twice(users: &[String]) -> Option<usize> {
    let mut seen = HashSet::with_capacity(users.len());
    users.iter().position(|user| !seen.insert(user.as_str()))
}

/// What of the receivers a retry must repeat. The receivers of a short list are each decided for themselves.
fn audience_text(to: &TaskTo) -> String {
    match to {
        TaskTo::Users(_) => "listed".to_owned(),
        TaskTo::Audience(name) => format!("audience\n{name}"),
        TaskTo::Registered => "registered".to_owned(),
        TaskTo::Seen => "seen".to_owned(),
    }
}

pub(super) fn unknown_task(error: Error) -> Error {
    match error.kind {
        Kind::UnknownMessage => Error::of(Kind::UnknownTask),
        _ => error,
    }
}
