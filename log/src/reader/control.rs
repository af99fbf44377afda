//! Reading what a user's log tells besides messages, by the dense numbers that such entries have of their own.

use waybill_core::id::{ControlSeq, Position, UserNo};
use waybill_core::outcome::StateError;
use waybill_core::rules;
use waybill_core::state::{ControlLogRow, StateExt, Table, UserHeadRow, UserLogRow, VersionRow};

use super::{Entry, PAGE_ENTRIES, Reader, Span, last_number};

/// An entry that is no message, and its number among such.
pub type ControlEntry = (ControlSeq, Entry);

impl Reader {
    /// The ends of a user's log, and how many of its entries are no messages; all of one moment.
    ///
    /// # Errors
    /// When the store fails.
    pub fn ends(&self, user: UserNo) -> Result<(Span, ControlSeq), StateError> {
        let span = self.span(user)?;
        let row = self.shared.store.row::<UserHeadRow>(user)?;
        Ok(row.map_or((span, ControlSeq(0)), |row| {
            let span = Span {
                floor: row.floor,
                head: row.head,
            };
            (span, row.control)
        }))
    }

    /// The record that last changed a table of a user; 0 for none.
    ///
    /// # Errors
    /// When the store fails.
    pub fn version(&self, user: UserNo, table: Table) -> Result<Position, StateError> {
        let row = self.shared.store.row::<VersionRow>((user, table))?;
        Ok(row.map_or(Position(0), |row| row.position))
    }

    /// The entries of a user's log that are no messages, from after a control seq on: at most `limit` (no more than
    /// [`PAGE_ENTRIES`]). Those below the floor of the log are left out.
    ///
    /// # Errors
    /// When the store fails or what it holds does not fit together.
    pub fn control(
        &self,
        user: UserNo,
        after: ControlSeq,
        limit: usize,
    ) -> Result<Vec<ControlEntry>, StateError> {
        let (span, head) = self.ends(user)?;
        let limit = limit.clamp(1, PAGE_ENTRIES);
        let first = ControlSeq(after.0.saturating_add(1));
        let end = ControlSeq(
            head.0
                .min(after.0.saturating_add(limit as u64))
                .saturating_add(1),
        );
        if first >= end {
            return Ok(Vec::new());
        }
        let store = &self.shared.store;
        let rows = store.range::<ControlLogRow>(&(user, first), &(user, end), limit)?;
        let mut entries = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter().peekable();
        for number in (first.0..end.0).map(ControlSeq) {
            let found = match rows.next_if(|(key, _)| last_number(key) == number.0) {
                Some((_, control)) => {
                    let row = store.row::<UserLogRow>((user, control.seq))?;
                    row.map(|row| (control.seq, row))
                }
                None => rules::control_left_out(store, user, number)?,
            };
            let (seq, row) = found.ok_or_else(|| StateError::Corrupt {
                family: "control_log",
                reason: "it names an entry that is not there, or is not there itself".to_owned(),
            })?;
            if seq < span.floor {
                continue;
            }
            let stored = self.one(row.message_position())?;
            let (entry, _) = self.entry(seq, row, &stored)?;
            entries.push((number, entry));
        }
        Ok(entries)
    }
}
