//! Reading what happened to messages after they were sent: changes, withdrawals, and what is due at a time.

use waybill_core::body::{Change, StatusLine};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Fact, Withdrawal};
use waybill_core::id::{ConversationSeq, Position, Time, UserNo};
use waybill_core::outcome::StateError;
use waybill_core::record::Record;
use waybill_core::state::{ChangesRow, FanoutRow, Key, Scan, StateExt, TimerKind, TimerRow};

use super::{Opened, Reader, change_in};

/// What a message says now, where that is not what was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Since when it says something else, and what; no text when that was erased.
    pub content: Option<(Time, Option<String>)>,
    /// The business status line shown with it.
    pub status_line: Option<StatusLine>,
}

impl Changed {
    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        let text = self.content.as_ref().and_then(|(_, text)| text.as_ref());
        let line = self.status_line.as_ref();
        text.map_or(0, String::len) + line.map_or(0, |line| line.text.len() + line.color.len())
    }
}

/// Something that is to happen to a message at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// When.
    pub time: Time,
    /// The message's record.
    pub message: Position,
    /// What.
    pub due: TimerKind,
}

impl Reader {
    /// What the message at this place says now.
    ///
    /// # Errors
    /// When the store fails.
    pub fn changes(
        &self,
        conversation: Conversation,
        conversation_seq: ConversationSeq,
    ) -> Result<Changed, StateError> {
        let row = self.shared.store.row((conversation, conversation_seq))?;
        let row: ChangesRow = row.unwrap_or_default();
        let mut changed = Changed::default();
        if let Some((time, change)) = self.change(row.content)? {
            let text = match change {
                Some(Change::Content(text)) => Some(text),
                _ => None,
            };
            changed.content = Some((time, text));
        }
        if let Some((_, Some(Change::StatusLine(line)))) = self.change(row.status_line)? {
            changed.status_line = Some(line).filter(|line| !line.text.is_empty());
        }
        Ok(changed)
    }

    /// The change that the record at a position made, with its time; no change when its body was erased.
    fn change(
        &self,
        position: Option<Position>,
    ) -> Result<Option<(Time, Option<Change>)>, StateError> {
        let opened = position.map(|position| self.open(position)).transpose()?;
        let made = |opened: Opened| (opened.record.time, change_in(opened.body));
        Ok(opened.flatten().map(made))
    }

    /// Why the record at a position withdrew a message.
    pub(super) fn withdrawal(&self, position: Position) -> Result<Withdrawal, StateError> {
        self.withdrawn_by(position).map(|(why, _, _)| why)
    }

    /// Why the record at a position withdrew a message, and by whom and when that was.
    pub(super) fn withdrawn_by(
        &self,
        position: Position,
    ) -> Result<(Withdrawal, UserNo, Time), StateError> {
        let record = self.open(position)?.map(|opened| opened.record);
        let found = record.map(|record| (record.fact, record.by, record.time));
        match found {
            Some((
                Fact::MessageRecalled { why, .. } | Fact::FanoutRecalled { why, .. },
                by,
                time,
            )) => Ok((why, by, time)),
            _ => Err(StateError::Impossible {
                position,
                reason: "a message was withdrawn by it, and it withdraws none",
            }),
        }
    }

    /// The time shown on a message, which is `ahead_ms` ahead: of one that has waited, from when it no longer did.
    ///
    /// # Errors
    /// When the store fails.
    pub fn shown_time(&self, record: &Record, ahead_ms: u16) -> Result<Time, StateError> {
        let waits = record.fact.terms().and_then(|terms| terms.not_before);
        let since = match waits {
            None => None,
            Some(_) => self.shared.store.row::<FanoutRow>(record.position)?,
        };
        let time = since.map_or(record.time, |row| row.since_time.max(record.time));
        Ok(Time(time.0.saturating_add(u64::from(ahead_ms))))
    }

    /// What is due next, the earliest first; at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn timers(&self, limit: usize) -> Result<Vec<Timer>, StateError> {
        let (from, to) = ((Time(0), Position(0)), (Time(u64::MAX), Position(u64::MAX)));
        let rows = self.shared.store.rows::<TimerRow>(&from, &to, limit)?;
        let timer = |(key, row): (Key, TimerRow)| Timer {
            time: Time(key.first_number()),
            message: row.position,
            due: row.due,
        };
        Ok(rows.into_iter().map(timer).collect())
    }
}
