//! What becomes of messages: marks of receivers, how a message stands with a receiver, and the changes that an account is told.

use std::time::Duration;

use waybill_core::command::Ask;
use waybill_core::fact::{Mark, Withdrawal};
use waybill_core::id::{ConversationSeq, Seq, StatusNo, Time, UserNo};
use waybill_core::outcome::{Outcome, StateError};
use waybill_core::record::Surface;
use waybill_core::state::StatusState;
use waybill_log::reader::{ReceiverStatus, Standing, StatusChange, Times};

use super::pull::{Names, Place, Span};
use super::{Service, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};

/// How a message stands with one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingView {
    /// Its name.
    pub state: &'static str,
    /// Why it was refused.
    pub reason: Option<Kind>,
    /// Since when it is how, where the sender's messages are tracked.
    pub times: Option<Times>,
}

impl StandingView {
    /// Of somebody whom the list of receivers named and who was not taken.
    pub const REFUSED: Self = Self {
        state: "refused",
        reason: Some(Kind::UnknownReceiver),
        times: None,
    };
}

impl From<&ReceiverStatus> for StandingView {
    fn from(status: &ReceiverStatus) -> Self {
        Self {
            state: match status.withdrawn {
                Some(why) => gone(why),
                None => name(status.standing),
            },
            reason: None,
            times: status.times,
        }
    }
}

/// The standings, from least to most.
const STANDINGS: [Standing; 6] = [
    Standing::Underway,
    Standing::Durable,
    Standing::Delivered,
    Standing::Read,
    Standing::Opened,
    Standing::Confirmed,
];

fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Underway => "underway",
        Standing::Durable => "durable",
        Standing::Delivered => "delivered",
        Standing::Read => "read",
        Standing::Opened => "opened",
        Standing::Confirmed => "confirmed",
    }
}

/// The ways in which a receiver no longer has a message.
const GONE: [Withdrawal; 3] = [
    Withdrawal::Recalled,
    Withdrawal::Expired,
    Withdrawal::Superseded,
];

/// What a withdrawal is called.
#[must_use]
pub fn gone(why: Withdrawal) -> &'static str {
    match why {
        Withdrawal::Recalled => "recalled",
        Withdrawal::Expired => "expired",
        Withdrawal::Superseded => "superseded",
    }
}

/// Which receivers of a task are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// All who were taken.
    All,
    /// Those in this state.
    State(&'a str),
    /// Those who have not come as far as this state, and still have it or will.
    Not(&'a str),
    /// Those who were not taken.
    Refused,
}

/// As [`Wanted`], checked.
#[derive(Clone, Copy)]
pub(super) enum Filter {
    All,
    Gone(Withdrawal),
    State(Standing),
    Not(Standing),
}

impl Filter {
    pub(super) fn of(wanted: Wanted<'_>) -> Result<Self, Error> {
        let find = |pointer, text: &str, others: &str| {
            let found = STANDINGS.into_iter().find(|known| name(*known) == text);
            found.ok_or_else(|| {
                let names = STANDINGS.map(name).join(", ");
                let detail = format!("{text:?} is no state; states are: {names}{others}");
                Error::at(Kind::InvalidField, pointer, detail)
            })
        };
        Ok(match wanted {
            Wanted::All | Wanted::Refused => Self::All,
            Wanted::State(text) => match GONE.into_iter().find(|why| gone(*why) == text) {
                Some(why) => Self::Gone(why),
                None => {
                    let others = format!(", {}, refused", GONE.map(gone).join(", "));
                    Self::State(find("state", text, &others)?)
                }
            },
            Wanted::Not(text) => Self::Not(find("not", text, "")?),
        })
    }

    pub(super) fn takes(self, status: &ReceiverStatus) -> bool {
        match self {
            Self::All => true,
            Self::Gone(why) => status.withdrawn == Some(why),
            Self::State(standing) => status.withdrawn.is_none() && status.standing == standing,
            Self::Not(standing) => status.withdrawn.is_none() && status.standing < standing,
        }
    }
}

/// A change of what messages of an account have become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeView {
    /// Its place among the account's changes.
    pub n: StatusNo,
    /// When it happened.
    pub time: Time,
    /// What the messages are now.
    pub state: &'static str,
    /// For whom.
    pub receiver: String,
    /// In which kind of conversation with the receiver, as in [`Place`].
    pub place_kind: u8,
    /// Up to where; of a mark, the place of the message.
    pub conversation_seq: ConversationSeq,
    /// Of a mark: the id of the message.
    pub server_msg_id: Option<String>,
}

/// Changes of what messages of an account have become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusView {
    /// Whether the account is tracked now.
    pub tracked: bool,
    /// The last place.
    pub head: StatusNo,
    /// From after the cursor on, without a gap.
    pub changes: Vec<ChangeView>,
}

/// A cursor that lies behind the end, and the ends.
pub type Behind = Span;

impl Service {
    /// Notes that the caller has opened or confirmed a message, and says whether it is confirmed.
    ///
    /// # Errors
    /// When the caller has no such message, is not its receiver, or it was recalled.
    pub async fn mark(
        &self,
        principal: &Principal,
        surface: Surface,
        server_msg_id: &str,
        mark: Mark,
    ) -> Result<bool, Error> {
        let message = self.addressed(server_msg_id).await?;
        if principal.number != message.receiver {
            // Who does not have the message does not learn that there is one.
            let knows = principal.is_business() || principal.number == message.sender;
            return Err(if knows {
                let text = "only its receiver can open or confirm a message";
                Error::new(Kind::Forbidden, text)
            } else {
                Error::of(Kind::UnknownMessage)
            });
        }
        let ask = Ask::Mark {
            user: message.receiver,
            message: message.position,
            mark,
        };
        match self.ask(principal.number, surface, ask).await? {
            Outcome::Marked { confirmed } => Ok(confirmed),
            _ => Err(Error::of(Kind::Internal)),
        }
    }

    /// Has what becomes of an account's messages kept from now on, or no longer.
    ///
    /// # Errors
    /// When the id is none, or the writer cannot be asked.
    pub async fn track(&self, account: &str, on: bool) -> Result<(), Error> {
        let account = self.user_ref("account", account)?;
        let ask = Ask::Track { account, on };
        self.ask(UserNo(0), Surface::Server, ask).await.map(|_| ())
    }

    /// What messages of `account` have become since `after`: at most `limit` changes. At the end it returns only when there is
    /// one more, `wait` is over, or the connection should end; while it waits it counts as a live connection of the caller.
    ///
    /// # Errors
    /// When the principal is neither the account nor a business system, there is no such account, the cursor lies behind the
    /// end, the caller has too many connections, or the token was revoked meanwhile.
    pub async fn status(
        &self,
        principal: &Principal,
        account: &str,
        after: StatusNo,
        limit: usize,
        wait: Duration,
    ) -> Result<Result<StatusView, Behind>, Error> {
        let account = self.acting_for(principal, account)?;
        // First the watch, then the head: what comes in between is not missed.
        let mut watch = self.0.reader.subscribe_status(account);
        let head = self.0.reader.status_head(account).map_err(unreadable)?;
        if after > head {
            return Ok(Err(Span {
                floor: Seq(1),
                head: Seq(head.0),
            }));
        }
        if head == after && !wait.is_zero() {
            let has_grown = || Ok(self.0.reader.status_head(account)? > after);
            self.wait_for(principal, &mut watch, has_grown, wait)
                .await?;
        }
        self.read(move |this| {
            let page = this.0.reader.status(account, after, limit)?;
            let mut names = Names::default();
            let changes = page.changes.into_iter();
            let changes = changes.map(|change| this.change(account, change, &mut names));
            Ok(Ok(StatusView {
                tracked: page.tracked,
                head: page.head,
                changes: changes.collect::<Result<_, _>>()?,
            }))
        })
        .await
    }

    fn change(
        &self,
        account: UserNo,
        change: StatusChange,
        names: &mut Names,
    ) -> Result<ChangeView, StateError> {
        let StatusChange { n, row } = change;
        let id = row
            .message
            .map(|message| self.recalled(message, row.receiver));
        let conversation = row.kind.between(account, row.receiver);
        Ok(ChangeView {
            n,
            time: row.time,
            state: match row.state {
                StatusState::Delivered => name(Standing::Delivered),
                StatusState::Read => name(Standing::Read),
                StatusState::Opened => name(Standing::Opened),
                StatusState::Confirmed => name(Standing::Confirmed),
            },
            receiver: names.find(self, row.receiver)?,
            place_kind: Place::of(conversation, String::new()).kind,
            conversation_seq: row.conversation_seq,
            server_msg_id: id.transpose()?.map(|(id, _)| id),
        })
    }
}
