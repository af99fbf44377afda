//! Every conversation by itself: dense from 1 to its head, in the ledger's order, its head pointing at its last message. Knows
//! nothing of the fold.

use std::ops::RangeInclusive;

use waybill_core::state::{ConversationLogRow, ConversationRow, Family, Row};

use super::Error;
use super::compare::AsOf;
use super::dense::{self, Families, Stray, Visitor};
use super::describe;
use super::finding::{Class, Findings, Place};
use super::leaves::Leaves;
use super::rows::Rows;
use super::user_logs::explain;
use crate::progress::Progress;

/// What was looked at.
pub(crate) struct Counted {
    pub conversations: u64,
    pub messages: u64,
}

/// Looks at all conversations.
///
/// # Errors
/// When a disk fails.
pub(crate) fn check(
    views: &dyn Rows,
    as_of: AsOf<'_>,
    leaves: &Leaves,
    findings: &mut Findings,
    progress: &mut dyn Progress,
) -> Result<Counted, Error> {
    let mut logs = Conversations {
        leaves,
        findings,
        conversations: 0,
        head: None,
        position: 0,
        message: 0,
        counted: 0,
    };
    let families = Families {
        heads: Family::Conversations,
        entries: Family::ConversationLog,
        gaps: 3,
    };
    let messages = dense::walk(views, families, as_of, &mut logs, progress)?;
    Ok(Counted {
        conversations: logs.conversations,
        messages,
    })
}

struct Conversations<'a> {
    leaves: &'a Leaves,
    findings: &'a mut Findings,
    conversations: u64,
    head: Option<ConversationRow>,
    /// Position of the record that delivered the message before.
    position: u64,
    /// Position of the message before.
    message: u64,
    /// Messages up to it that count as unread until they are read.
    counted: u64,
}

impl Conversations<'_> {
    fn add(
        &mut self,
        class: Class,
        owner: &[u8],
        seqs: RangeInclusive<u64>,
        what: impl FnOnce() -> String,
    ) {
        let place = Place::Conversation {
            conversation: describe::conversation(owner).unwrap_or_else(|| describe::hex(owner)),
            from: *seqs.start(),
            to: *seqs.end(),
        };
        self.findings.add(class, place, what);
    }
}

impl Visitor for Conversations<'_> {
    fn owner(&self, key: &[u8]) -> Option<()> {
        describe::conversation(key).map(|_| ())
    }

    fn begin(&mut self, owner: &[u8], head: &[u8]) -> Result<Option<RangeInclusive<u64>>, Error> {
        self.conversations += 1;
        (self.position, self.message, self.counted) = (0, 0, 0);
        match ConversationRow::decode(head) {
            Ok(row) => {
                self.head = Some(row);
                Ok(Some(1..=row.head.0))
            }
            Err(error) => {
                self.head = None;
                self.add(Class::EntryMalformed, owner, 0..=0, || {
                    format!("its head: {error}")
                });
                Ok(None)
            }
        }
    }

    fn entry(&mut self, owner: &[u8], seq: u64, value: &[u8]) -> Result<(), Error> {
        let row = match ConversationLogRow::decode(value) {
            Ok(row) => row,
            Err(error) => {
                self.add(Class::EntryMalformed, owner, seq..=seq, || {
                    error.to_string()
                });
                return Ok(());
            }
        };
        let (position, before) = (row.position.0, self.position);
        if position <= before {
            self.add(Class::EntryOrder, owner, seq..=seq, || {
                format!("it is record {position}, the message before it is record {before}")
            });
        }
        self.position = position;
        self.message = row.message_position().0;
        for position in [position, self.message] {
            if self.leaves.get(position)?.is_none() {
                self.add(Class::EntryDangling, owner, seq..=seq, || {
                    format!("it points to record {position}, which is not there")
                });
            }
        }
        let (counted, before) = (row.counted, self.counted);
        if counted != before && Some(counted) != before.checked_add(1) {
            self.add(Class::EntryOrder, owner, seq..=seq, || {
                format!("it says that {counted} messages count, the one before it {before}")
            });
        }
        self.counted = counted;
        Ok(())
    }

    fn missing(&mut self, owner: &[u8], seqs: RangeInclusive<u64>) {
        self.add(Class::EntryMissing, owner, seqs, || {
            "there is no message, and the head is behind it".to_owned()
        });
    }

    fn stray(&mut self, owner: &[u8], seq: u64, why: Stray) {
        self.add(Class::EntryUnexpected, owner, seq..=seq, || {
            explain(why).to_owned()
        });
    }

    fn end(&mut self, owner: &[u8]) {
        let Some(head) = self.head else {
            return;
        };
        let (last, seq) = (head.last.0, head.head.0);
        if head.counted != self.counted {
            let counted = self.counted;
            self.add(Class::EntryOrder, owner, seq..=seq, || {
                let says = head.counted;
                format!("the head says that {says} messages count, and it is {counted}")
            });
        }
        if self.message != last {
            let position = self.message;
            self.add(Class::EntryOrder, owner, seq..=seq, || {
                format!("the head says that record {last} is the last message, and it is record {position}")
            });
        }
    }

    fn findings(&mut self) -> &mut Findings {
        self.findings
    }
}
