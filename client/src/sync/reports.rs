//! How far the server knows what this device has stored, and when to tell it: packed, so that a burst of entries costs few
//! acknowledgements.

use waybill_core::id::Seq;

use super::{Pace, millis};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// Reported up to there.
    seq: Seq,
    /// An acknowledgement is under way.
    under_way: bool,
    /// Since when something waits to be reported.
    since: u64,
    /// The server asked not to be told before.
    not_before: u64,
}

impl Reports {
    /// Whether there is nothing to report and nothing under way.
    pub(crate) fn is_done(&self, cursor: Seq) -> bool {
        !self.under_way && self.seq >= cursor
    }

    /// When to report that everything up to `cursor` is stored; `at_once` when the client is closing.
    pub(crate) fn due(&self, pace: &Pace, cursor: Seq, at_once: bool) -> Option<u64> {
        let waiting = cursor.0.saturating_sub(self.seq.0);
        if self.under_way || waiting == 0 {
            None
        } else if at_once || waiting >= pace.acknowledge_entries {
            Some(self.not_before)
        } else {
            let due = self.since.saturating_add(millis(pace.acknowledge_after));
            Some(due.max(self.not_before))
        }
    }

    /// The cursor has moved. The time counts from the first entry that waits.
    pub(crate) fn moved(&mut self, from: Seq, now: u64) {
        if self.seq >= from {
            self.since = now;
        }
    }

    pub(crate) fn begin(&mut self) {
        self.under_way = true;
    }

    /// The server has no room for it now, and is told again from then on.
    pub(crate) fn later(&mut self, not_before: u64) {
        self.under_way = false;
        self.not_before = not_before;
    }

    /// The server has taken note, or will not.
    pub(crate) fn end(&mut self, seq: Seq, now: u64) {
        self.under_way = false;
        self.seq = seq.max(self.seq);
        self.since = now;
        self.not_before = 0;
    }

    /// The connection is gone, or the history is another one. A server that has crashed may have forgotten the last reports:
    /// the next connection hears them again.
    pub(crate) fn again(&mut self, now: u64) {
        *self = Self {
            since: now,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn reports_are_packed_by_time_and_by_number() {
        let pace = Pace {
            acknowledge_after: Duration::from_millis(100),
            acknowledge_entries: 10,
            ..Pace::default()
        };
        let mut reports = Reports::default();
        assert_eq!(reports.due(&pace, Seq(0), false), None);
        reports.moved(Seq(0), 7);
        assert_eq!(reports.due(&pace, Seq(3), false), Some(107));
        reports.moved(Seq(3), 50);
        assert_eq!(
            reports.due(&pace, Seq(9), false),
            Some(107),
            "from the first"
        );
        assert_eq!(reports.due(&pace, Seq(9), true), Some(0));
        reports.begin();
        reports.later(200);
        assert_eq!(reports.due(&pace, Seq(9), false), Some(200));
        assert_eq!(
            reports.due(&pace, Seq(10), false),
            Some(200),
            "however many"
        );
        assert!(!reports.is_done(Seq(9)), "it is still to be told");
        reports.end(Seq(0), 7);
        assert_eq!(reports.due(&pace, Seq(9), false), Some(107), "told");
        assert_eq!(reports.due(&pace, Seq(10), false), Some(0));
        reports.begin();
        assert_eq!(reports.due(&pace, Seq(10), true), None, "one at a time");
        reports.end(Seq(10), 60);
        assert!(reports.is_done(Seq(10)));
        reports.again(70);
        assert_eq!(reports.due(&pace, Seq(10), false), Some(0));
    }
}
