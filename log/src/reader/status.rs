//! Reading what messages of an account have become: its status log, and since when they are so.

use waybill_core::fact::ConversationKind;
use waybill_core::id::{ConversationSeq, StatusNo, Time, UserNo};
use waybill_core::outcome::StateError;
use waybill_core::rules;
use waybill_core::state::{
    AccountRow, Numbered, StateExt, StatusPlace, StatusRow, StatusState, StatusTimeRow,
};

use super::{Reader, last_number};
use crate::tails::Subscription;

/// Most changes of a page of a status log.
pub const STATUS_CHANGES: usize = 1000;

/// Since when a message is how for one receiver. A time is missing where nobody has said so while the account was tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// In the receiver's log.
    pub durable: Time,
    /// Stored by a device of the receiver.
    pub delivered: Option<Time>,
    /// Read.
    pub read: Option<Time>,
    /// Opened; known whether the account is tracked or not.
    pub opened: Option<Time>,
    /// Confirmed; known whether the account is tracked or not.
    pub confirmed: Option<Time>,
}

/// A change in a status log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// Its place.
    pub n: StatusNo,
    /// What it says.
    pub row: StatusRow,
}

/// A page of a status log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusPage {
    /// Whether the account is tracked now.
    pub tracked: bool,
    /// The last place of the log.
    pub head: StatusNo,
    /// The changes from after the cursor, contiguous but for numbers that a restore left out; empty at the head, and behind it.
    pub changes: Vec<StatusChange>,
}

impl Reader {
    /// Starts to watch an account's status log.
    #[must_use]
    pub fn subscribe_status(&self, account: UserNo) -> Subscription {
        self.shared.status_tails.subscribe(account)
    }

    /// The last place of an account's status log; 0 when it was never tracked.
    ///
    /// # Errors
    /// When the store fails.
    pub fn status_head(&self, account: UserNo) -> Result<StatusNo, StateError> {
        let row = self.shared.store.row::<AccountRow>(account)?;
        Ok(row.unwrap_or_default().last)
    }

    /// The changes after a cursor: at most `limit`, no less than 1 and no more than [`STATUS_CHANGES`].
    ///
    /// # Errors
    /// When the store fails or what it holds does not fit together.
    pub fn status(
        &self,
        account: UserNo,
        after: StatusNo,
        limit: usize,
    ) -> Result<StatusPage, StateError> {
        let store = &self.shared.store;
        let row = store.row::<AccountRow>(account)?.unwrap_or_default();
        let limit = limit.clamp(1, STATUS_CHANGES);
        let gaps = rules::gaps(store, Numbered::Status(account))?;
        // Nobody was told anything by the numbers that a restore left out.
        let passed = gaps.iter().find(|gap| gap.holds(after.next().0));
        let after = passed.map_or(after, |gap| StatusNo(gap.last()));
        let last = row.last.0.min(after.0.saturating_add(limit as u64));
        let mut page = StatusPage {
            tracked: row.tracked,
            head: row.last,
            changes: Vec::new(),
        };
        if last <= after.0 {
            return Ok(page);
        }
        let (from, to) = ((account, after.next()), (account, StatusNo(last).next()));
        let rows = store.range::<StatusRow>(&from, &to, limit)?;
        let left_out: u64 = gaps.iter().map(|gap| gap.among(after.next().0, last)).sum();
        if rows.len() as u64 + left_out != last - after.0 {
            return Err(StateError::Corrupt {
                family: "status_log",
                reason: "a change below the head is missing".to_owned(),
            });
        }
        let changes = rows.into_iter().map(|(key, row)| StatusChange {
            n: StatusNo(last_number(&key)),
            row,
        });
        page.changes = changes.collect();
        Ok(page)
    }

    /// Since when what stands at a place of a conversation is delivered to its receiver, or read: the time of the first change
    /// that passes the place. What became so while the account was not tracked has none.
    pub(super) fn since(
        &self,
        account: UserNo,
        receiver: UserNo,
        kind: ConversationKind,
        state: StatusState,
        at: ConversationSeq,
    ) -> Result<Option<Time>, StateError> {
        let place = |up_to| StatusPlace {
            account,
            receiver,
            kind,
            state,
            up_to,
        };
        let (from, to) = (place(at), place(ConversationSeq(u64::MAX)));
        let rows = self.shared.store.range::<StatusTimeRow>(&from, &to, 1)?;
        let change = rows.first().filter(|(_, row)| row.first <= at);
        Ok(change.map(|(_, row)| row.time))
    }
}
