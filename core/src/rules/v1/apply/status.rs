//! `apply` for what becomes of messages: the status log of each tracked account, marks, and cursors of devices.

use super::super::counted_on;
use super::super::gaps;
use super::super::search::present;
use super::deliver::{deliver, entry};
use crate::conversation::Conversation;
use crate::fact::{
    ConversationKind, Fact, Mark, PackedCursor, PackedPassed, unpack_cursors, unpack_passed,
};
use crate::id::{ConversationSeq, DeviceNo, Hash, Position, Seq, StatusNo, Time, UserNo};
use crate::outcome::StateError;
use crate::record::Record;
use crate::rules::{Applied, Changed};
use crate::state::{
    AccountRow, DevicesRow, EntryKind, Family, MarkRow, Numbered, Overlay, SettingsKey,
    SettingsRow, State, StateExt, StatusPlace, StatusRow, StatusState, StatusTimeRow,
};

/// What messages of an account have become for one receiver.
pub struct Change {
    pub receiver: UserNo,
    pub account: UserNo,
    pub kind: ConversationKind,
    pub state: StatusState,
    /// The first place that it is news of.
    pub first: ConversationSeq,
    pub conversation_seq: ConversationSeq,
    /// Of a mark: the message.
    pub message: Option<Position>,
}

impl Change {
    /// That a reader who had read a conversation up to a place has now read it up to another: for the other party.
    pub fn read(
        reader: UserNo,
        conversation: Conversation,
        before: ConversationSeq,
        up_to: ConversationSeq,
    ) -> Self {
        Self {
            receiver: reader,
            account: conversation.other(reader),
            kind: conversation.kind(),
            state: StatusState::Read,
            first: before.next(),
            conversation_seq: up_to,
            message: None,
        }
    }

    /// Puts the change at the end of the account's status log, if the account is tracked. What somebody sends to himself has
    /// no status.
    pub fn tell<S: State>(
        &self,
        state: &mut Overlay<S>,
        position: Position,
        time: Time,
    ) -> Result<Option<Changed>, StateError> {
        if self.receiver == self.account {
            return Ok(None);
        }
        let row = state.row::<AccountRow>(self.account)?;
        let Some(mut account) = row.filter(|row| row.tracked) else {
            return Ok(None);
        };
        let log = Numbered::Status(self.account);
        let left_out = gaps::leave_out(state, log, position, account.last.0, 0)?;
        let place = StatusNo(account.last.0.saturating_add(left_out));
        account.last = counted_on(place.checked_next(), Family::Accounts.name())?;
        state.put(self.account, &account);
        let row = StatusRow {
            position,
            time,
            receiver: self.receiver,
            kind: self.kind,
            state: self.state,
            conversation_seq: self.conversation_seq,
            message: self.message,
        };
        state.append((self.account, account.last), &row);
        if self.message.is_none() {
            let place = StatusPlace {
                account: self.account,
                receiver: self.receiver,
                kind: self.kind,
                state: self.state,
                up_to: self.conversation_seq,
            };
            state.append(
                place,
                &StatusTimeRow {
                    position,
                    time,
                    first: self.first,
                },
            );
        }
        Ok(Some(Changed {
            account: self.account,
            last: account.last,
        }))
    }
}

pub fn reached<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    cursors: &[PackedCursor],
    passed: &[PackedPassed],
) -> Result<Applied, StateError> {
    let mut applied = Applied::default();
    for (user, device, seq) in unpack_cursors(cursors) {
        reach(state, record.position, user, device, seq)?;
    }
    for passed in unpack_passed(passed) {
        let change = Change {
            receiver: passed.receiver,
            account: passed.account,
            kind: passed.kind,
            state: StatusState::Delivered,
            first: passed.first,
            conversation_seq: passed.up_to,
            message: None,
        };
        let told = change.tell(state, record.position, record.time)?;
        applied.changed.extend(told);
    }
    Ok(applied)
}

fn reach<S: State>(
    state: &mut Overlay<S>,
    position: Position,
    user: UserNo,
    device: DeviceNo,
    seq: Seq,
) -> Result<(), StateError> {
    let Some(mut row) = state.row::<DevicesRow>(user)? else {
        return Ok(());
    };
    if let Some(known) = row.devices.iter_mut().find(|known| known.device == device) {
        known.reached = known.reached.max(seq);
        known.heard = position;
        row.furthest = row.furthest.max(seq);
        state.put(user, &row);
    }
    Ok(())
}

/// A receiver has opened or confirmed a message.
pub fn marked<S: State>(
    state: &mut Overlay<S>,
    record: &Record,
    leaf: &Hash,
) -> Result<Applied, StateError> {
    let mut applied = Applied::default();
    let Fact::Marked {
        user,
        message,
        conversation,
        conversation_seq,
        mark,
        first,
    } = record.fact
    else {
        return Ok(applied);
    };
    let (position, time) = (record.position, record.time);
    let key = (message, user);
    let confirmed = (mark == Mark::Confirmed).then_some(time);
    if first {
        let row = MarkRow {
            position,
            opened: time,
            confirmed,
        };
        state.append(key, &row);
    } else {
        // Which record opened the message, and when, never changes.
        let row = present(state.row::<MarkRow>(key)?, Family::Marks.name())?;
        state.put(key, &MarkRow { confirmed, ..row });
    }
    let entry = entry(position, EntryKind::Marked, conversation_seq);
    applied
        .delivered
        .push(deliver(state, user, entry, leaf, leaf)?);
    let change = Change {
        receiver: user,
        account: conversation.other(user),
        kind: conversation.kind(),
        state: match mark {
            Mark::Opened => StatusState::Opened,
            Mark::Confirmed => StatusState::Confirmed,
        },
        first: conversation_seq,
        conversation_seq,
        message: Some(message),
    };
    applied.changed.extend(change.tell(state, position, time)?);
    Ok(applied)
}

/// An account begins or ends to be tracked.
pub fn tracked<S: State>(
    state: &mut Overlay<S>,
    account: UserNo,
    on: bool,
) -> Result<(), StateError> {
    let mut row = state.row::<AccountRow>(account)?.unwrap_or_default();
    let count = match state.row(SettingsKey::Tracked)? {
        Some(SettingsRow::Tracked(count)) => count,
        _ => 0,
    };
    let count = match (row.tracked, on) {
        (false, true) => count.saturating_add(1),
        (true, false) => count.saturating_sub(1),
        _ => count,
    };
    row.tracked = on;
    state.put(account, &row);
    state.put(SettingsKey::Tracked, &SettingsRow::Tracked(count));
    Ok(())
}
