//! Reading what becomes of messages to many: how far they are fanned out, and how each receiver stands.

use tokio::sync::watch;
use waybill_core::body::Body;
use waybill_core::fact::{Audience, Fact, MessagePosted, Withdrawal};
use waybill_core::id::{AudienceNo, ConversationSeq, KeyedHash, Position, Seq, Time, UserNo};
use waybill_core::outcome::StateError;
use waybill_core::state::{
    AccountRow, AudienceNameRow, AudienceRow, ConversationLogRow, DevicesRow, FanoutRow, MarkRow,
    MembershipRow, RefusedRow, Running, SettingsKey, SettingsRow, StateExt, StatusState,
};

use super::{Reader, Times};

/// Most receivers that one page looks at.
pub const RECEIVERS: usize = 1000;

/// A fan-out that can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The message's record.
    pub message: Position,
    /// The first user number not looked at yet.
    pub from: UserNo,
}

/// How a message stands with one of its receivers, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is certain to reach the receiver's log, and has not yet.
    Underway,
    /// It is in the receiver's log.
    Durable,
    /// One of the receiver's devices has stored it.
    Delivered,
    /// The receiver has read it.
    Read,
    /// The receiver has opened it.
    Opened,
    /// The receiver has confirmed it.
    Confirmed,
}

/// One receiver of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverStatus {
    /// Who.
    pub user: UserNo,
    /// How it stands.
    pub standing: Standing,
    /// Why this receiver has it no more, or will not get it.
    pub withdrawn: Option<Withdrawal>,
    /// Its place in the receiver's log.
    pub seq: Option<Seq>,
    /// Its place in the conversation.
    pub conversation_seq: Option<ConversationSeq>,
    /// Since when it is how; where the sender's messages are tracked, or were.
    pub times: Option<Times>,
}

/// Some receivers of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverPage {
    /// Ascending by number.
    pub receivers: Vec<ReceiverStatus>,
    /// With whom to go on; `None` at the end.
    pub next: Option<UserNo>,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// In how many logs it is.
    pub delivered: u64,
    /// To how many receivers it goes, where that is known without counting.
    pub receivers: Option<u64>,
    /// Whether all are served.
    pub done: bool,
    /// Whether it was recalled as a whole.
    pub recalled: bool,
    /// How many receivers were told that it was recalled as a whole.
    pub told: u64,
}

impl Reader {
    /// Follows what is being fanned out: changes whenever something begins or ends.
    #[must_use]
    pub fn watch_fanouts(&self) -> watch::Receiver<u64> {
        self.shared.fanouts.subscribe()
    }

    /// Fan-outs that can go on: of each sender the earliest.
    ///
    /// # Errors
    /// When the store fails.
    pub fn due_fanouts(&self) -> Result<Vec<Due>, StateError> {
        let running: Vec<Running> = match self.shared.store.row(SettingsKey::Running)? {
            Some(SettingsRow::Running(running)) => running,
            _ => Vec::new(),
        };
        let mut due = Vec::new();
        for (at, one) in running.iter().enumerate() {
            if running[..at]
                .iter()
                .any(|earlier| earlier.sender == one.sender)
            {
                continue;
            }
            if let Some(row) = self.shared.store.row::<FanoutRow>(one.message)? {
                due.push(Due {
                    message: one.message,
                    from: row.next,
                });
            }
        }
        Ok(due)
    }

    /// How far the message at `position` is, whose fact this is.
    ///
    /// # Errors
    /// When the store fails.
    pub fn progress(
        &self,
        position: Position,
        posted: &MessagePosted,
    ) -> Result<Progress, StateError> {
        if let Audience::Listed { receivers, .. } = &posted.audience {
            let count = receivers.len() as u64;
            return Ok(Progress {
                delivered: count,
                receivers: Some(count),
                done: true,
                recalled: false,
                told: 0,
            });
        }
        let row = self
            .shared
            .store
            .row::<FanoutRow>(position)?
            .unwrap_or_default();
        let receivers = match posted.audience {
            Audience::Members { count, .. } => Some(count),
            _ => None,
        };
        Ok(Progress {
            delivered: row.delivered,
            receivers: receivers.or(row.done.then_some(row.delivered)),
            done: match row.cut {
                Some(_) => row.next.0 == 0,
                None => row.done,
            },
            recalled: row.cut.is_some(),
            told: row.recalled,
        })
    }

    /// Some receivers of the message at `position`, from user number `from` on, each as it stands; `None` when there is no such
    /// message. Looks at no more than `limit` candidates, at most [`RECEIVERS`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn receivers(
        &self,
        position: Position,
        from: UserNo,
        limit: usize,
    ) -> Result<Option<ReceiverPage>, StateError> {
        let store = &self.shared.store;
        if position.0 == 0 || position > self.durable() {
            return Ok(None);
        }
        let limit = limit.clamp(1, RECEIVERS);
        let found = waybill_core::rules::receivers(store, position, from, limit)?;
        let Some((users, next)) = found else {
            return Ok(None);
        };
        let mut receivers = Vec::with_capacity(users.len());
        let Some(mut of) = Standings::new(self, position)? else {
            return Ok(None);
        };
        for user in users {
            receivers.push(of.receiver(user)?);
        }
        Ok(Some(ReceiverPage {
            receivers,
            next: Some(next).filter(|next| next.0 > 0),
        }))
    }

    /// How the message at `position` stands with one receiver of it; `None` when there is no such message.
    ///
    /// # Errors
    /// When the store fails.
    pub fn receiver(
        &self,
        position: Position,
        user: UserNo,
    ) -> Result<Option<ReceiverStatus>, StateError> {
        if position.0 == 0 || position > self.durable() {
            return Ok(None);
        }
        let of = Standings::new(self, position)?;
        of.map(|mut of| of.receiver(user)).transpose()
    }

    /// One generation of an audience.
    ///
    /// # Errors
    /// When the store fails.
    pub fn audience(&self, audience: AudienceNo) -> Result<Option<AudienceRow>, StateError> {
        self.shared.store.row(audience)
    }

    /// What the name of an audience stands for.
    ///
    /// # Errors
    /// When the store fails.
    pub fn audience_named(&self, name: KeyedHash) -> Result<Option<AudienceNo>, StateError> {
        let row = self.shared.store.row::<AudienceNameRow>(name)?;
        Ok(row.map(|row| row.audience))
    }

    /// The ids that an audience's list named and that were refused, from the record after `after` on; at most those of one
    /// record, with its position.
    ///
    /// # Errors
    /// When the store fails.
    pub fn refused(
        &self,
        audience: AudienceNo,
        after: Position,
    ) -> Result<Option<(Position, Vec<String>)>, StateError> {
        let (from, to) = ((audience, after.next()), (audience, Position(u64::MAX)));
        let rows = self.shared.store.range::<RefusedRow>(&from, &to, 1)?;
        let Some((_, row)) = rows.into_iter().next() else {
            return Ok(None);
        };
        let opened = self.open(row.position)?;
        let ids = match opened.and_then(|opened| opened.body) {
            Some(Body::Refused { ids }) => ids,
            _ => Vec::new(),
        };
        Ok(Some((row.position, ids)))
    }
}

/// Finds out how one message stands with its receivers.
struct Standings<'r> {
    reader: &'r Reader,
    position: Position,
    fact: Fact,
    /// Why it was withdrawn as a whole.
    cut: Option<Withdrawal>,
    /// Whether its sender's messages are tracked, or were.
    timed: bool,
    /// The record that was looked at last, and its time: one delivers to many.
    delivered: (Position, Time),
    /// The record that withdrew it from the last receiver from whom it was, and why: one withdraws from many.
    withdrawn: Option<(Position, Withdrawal)>,
}

impl<'r> Standings<'r> {
    fn new(reader: &'r Reader, position: Position) -> Result<Option<Self>, StateError> {
        let store = &reader.shared.store;
        let Some(record) = store.decoded_record(position)? else {
            return Ok(None);
        };
        let sender = match &record.fact {
            Fact::MessageSent(sent) => sent.sender,
            Fact::MessagePosted(posted) => posted.sender,
            _ => return Ok(None),
        };
        let cut = store
            .row::<FanoutRow>(position)?
            .and_then(|row| row.withdrawn);
        Ok(Some(Self {
            reader,
            position,
            cut: cut.map(|by| reader.withdrawal(by)).transpose()?,
            timed: store.row::<AccountRow>(sender)?.is_some(),
            delivered: (position, record.time),
            withdrawn: None,
            fact: record.fact,
        }))
    }

    fn receiver(&mut self, user: UserNo) -> Result<ReceiverStatus, StateError> {
        let store = &self.reader.shared.store;
        let mut status = ReceiverStatus {
            user,
            standing: Standing::Underway,
            withdrawn: self.cut,
            seq: None,
            conversation_seq: None,
            times: None,
        };
        let (conversation, sender) = match &self.fact {
            Fact::MessageSent(sent) => (sent.conversation, sent.sender),
            Fact::MessagePosted(posted) => {
                (posted.kind.between(posted.sender, user), posted.sender)
            }
            _ => return Ok(status),
        };
        let Some((seq, row)) = self.reader.find_entry(user, self.position)? else {
            return Ok(status);
        };
        let place = (conversation, row.conversation_seq);
        let told = store.row::<ConversationLogRow>(place)?;
        let by = told.and_then(|told| told.recalled_by);
        status.withdrawn = by.map(|by| self.why(by)).transpose()?;
        status.seq = Some(seq);
        status.conversation_seq = Some(row.conversation_seq);
        let membership = store.row::<MembershipRow>((user, conversation))?;
        let furthest = store.row::<DevicesRow>(user)?.unwrap_or_default().furthest;
        let marks = store.row::<MarkRow>((self.position, user))?;
        status.standing = if let Some(marks) = marks {
            match marks.confirmed {
                Some(_) => Standing::Confirmed,
                None => Standing::Opened,
            }
        } else if membership.is_some_and(|membership| membership.read >= row.conversation_seq) {
            Standing::Read
        } else if furthest >= seq {
            Standing::Delivered
        } else {
            Standing::Durable
        };
        if self.timed {
            let since = |state| {
                let kind = conversation.kind();
                self.reader
                    .since(sender, user, kind, state, row.conversation_seq)
            };
            status.times = Some(Times {
                delivered: since(StatusState::Delivered)?,
                read: since(StatusState::Read)?,
                opened: marks.map(|marks| marks.opened),
                confirmed: marks.and_then(|marks| marks.confirmed),
                durable: self.time_of(row.position)?,
            });
        }
        Ok(status)
    }

    fn why(&mut self, by: Position) -> Result<Withdrawal, StateError> {
        match self.withdrawn {
            Some((known, why)) if known == by => Ok(why),
            _ => {
                let why = self.reader.withdrawal(by)?;
                self.withdrawn = Some((by, why));
                Ok(why)
            }
        }
    }

    fn time_of(&mut self, position: Position) -> Result<Time, StateError> {
        if self.delivered.0 != position {
            let store = &self.reader.shared.store;
            if let Some(record) = store.decoded_record(position)? {
                self.delivered = (position, record.time);
            }
        }
        Ok(self.delivered.1)
    }
}
