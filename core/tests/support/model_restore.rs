//! The sixth part of the naive model: restores. The places that logs leave out stand in them as entries that say nothing.

use waybill_core::fact::Fact;
use waybill_core::id::{Epoch, Position};
use waybill_core::outcome::{Answer, Outcome, Refusal};
use waybill_core::state::{GapRow, Numbered};

use super::model::{Body, Entry, Model, Said};
use super::model_rows::{Rows, put};

/// The most places that a restore leaves out.
const GAP: u64 = 1_000_000;

/// The kind of an entry that says nothing.
pub const HOLE: u8 = 9;

#[derive(Clone)]
pub struct Restored {
    pub position: u64,
    pub epoch: Epoch,
    pub gap: u64,
}

/// What a log has left out.
#[derive(Default)]
pub struct Holes {
    /// How many restores had been made when it last went on.
    seen: usize,
    /// By the restore's position.
    rows: Vec<(u64, GapRow)>,
}

impl Holes {
    /// The log goes on: how many places it leaves out.
    pub fn leave_out(
        &mut self,
        restores: &[Restored],
        position: u64,
        head: u64,
        before: u64,
    ) -> u64 {
        let unseen = &restores[self.seen..];
        self.seen = restores.len();
        let Some(last) = unseen.last() else {
            return 0;
        };
        let count = unseen.iter().map(|restore| restore.gap).sum();
        let row = GapRow {
            position: Position(position),
            first: head + 1,
            count,
            before,
        };
        self.rows.push((last.position, row));
        count
    }

    pub fn put(&self, log: Numbered, rows: &mut Rows) {
        for (restored, row) in &self.rows {
            put(rows, (log, Position(*restored)), *row);
        }
    }
}

impl Said {
    pub fn hole(before: Option<&Self>) -> Self {
        Self {
            sender: 0,
            position: u64::MAX,
            message: None,
            record_time: 0,
            shown: before.map_or(0, |before| before.shown),
            notification_type: 0,
            counts: false,
            recalled_by: None,
            changed_by: None,
            hole: true,
        }
    }
}

impl Entry {
    pub fn hole() -> Self {
        Self {
            position: u64::MAX,
            message: None,
            kind: HOLE,
            conversation_seq: 0,
            ahead: 0,
        }
    }
}

impl Model {
    pub(super) fn restore(
        &mut self,
        epoch: Epoch,
        last: u64,
        gap: u64,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Answer {
        let before = self.restores.last().map(|restore| restore.epoch);
        let from = before.or(self.epoch).unwrap();
        if last + 1 != next {
            return Err(Refusal::Stale);
        }
        if epoch.number() <= from.number() {
            return Err(Refusal::BadEpoch);
        }
        if gap == 0 || gap > GAP {
            return Err(Refusal::BadSetting);
        }
        self.restores.push(Restored {
            position: next,
            epoch,
            gap,
        });
        facts.push((Fact::Restored { epoch, from, gap }, None));
        Ok(Outcome::Done)
    }
}
