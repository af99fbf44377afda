//! Reading what was said in a conversation: pages of it in both directions, and the times of its places.

use std::collections::BTreeMap;

use waybill_core::body::{Body, Message};
use waybill_core::conversation::Conversation;
use waybill_core::fact::Withdrawal;
use waybill_core::id::{ConversationSeq, Position, Time, UserNo};
use waybill_core::outcome::StateError;
use waybill_core::record::Record;
use waybill_core::rules;
use waybill_core::state::{ConversationLogRow, GapRow, Numbered, RemovedRow, Scan};

use super::conversations::{FETCHED, Listed};
use super::{Changed, PAGE_BYTES, Reader, decode_body, decode_record, fetch_entries, last_number};
use crate::store::Stored;

/// Most messages of a page of a conversation.
pub const HISTORY_ENTRIES: usize = 1000;

/// Most rows of a conversation that one page looks at: those of other types, or removed, use it up too.
pub const HISTORY_ROWS: usize = 16 * 1024;

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its place.
    pub conversation_seq: ConversationSeq,
    /// The row.
    pub row: ConversationLogRow,
    /// The message's record.
    pub record: Record,
    /// The message as it was sent; `None` when it was erased.
    pub message: Option<Message>,
    /// What it says now.
    pub changed: Changed,
    /// Why nobody has it any more.
    pub withdrawn: Option<Withdrawal>,
    /// Who withdrew it, 0 for the server itself, and when.
    pub withdrawer: Option<(UserNo, Time)>,
}

impl Told {
    /// Bytes of what it says now.
    #[must_use]
    pub fn said_bytes(&self) -> usize {
        let sent = self.message.as_ref().map_or(0, |said| said.content.len());
        sent.max(self.changed.bytes())
    }
}

/// Which way a page of a conversation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the message before this one towards the first.
    Before(ConversationSeq),
    /// From the message after this one towards the last.
    After(ConversationSeq),
}

/// A page of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The messages, in the order in which the page goes.
    pub messages: Vec<Told>,
    /// From where the next page goes on in the same direction; `None` at the end.
    pub next: Option<ConversationSeq>,
}

impl Reader {
    /// A page of a conversation as `user` may see it: at most `limit` messages, no less than 1 and no more than
    /// [`HISTORY_ENTRIES`], at most [`PAGE_BYTES`], and after looking at no more than [`HISTORY_ROWS`]. Left out is what the
    /// user has deleted; what was recalled is there, and says so. With `of_type`, only notices of that type.
    ///
    /// # Errors
    /// When the store fails or what it holds does not fit together.
    pub fn history(
        &self,
        user: UserNo,
        listed: &Listed,
        direction: Direction,
        limit: usize,
        of_type: Option<i32>,
    ) -> Result<History, StateError> {
        let limit = limit.clamp(1, HISTORY_ENTRIES);
        let first = listed.membership.cleared.0.saturating_add(1);
        let last = listed
            .end
            .head
            .min(listed.membership.until.unwrap_or(listed.end.head))
            .0;
        let gaps = rules::gaps(
            &self.shared.store,
            Numbered::Conversation(listed.conversation),
        )?;
        let mut walk = Walk::new(direction, first, last, gaps);
        let mut history = History {
            messages: Vec::new(),
            next: None,
        };
        let (mut bytes, mut looked_at) = (0, 0);
        while let Some((from, to)) = walk.next_stretch(limit) {
            let found = self.visible(user, listed.conversation, from, to, of_type)?;
            looked_at += to - from + 1;
            let found: Vec<_> = match direction {
                Direction::After(_) => found,
                Direction::Before(_) => found.into_iter().rev().collect(),
            };
            let mut rest = found.as_slice();
            while !rest.is_empty() {
                let room = PAGE_BYTES.saturating_sub(bytes);
                let next = fetch_entries(history.messages.len(), bytes, room);
                let (fetched, later) = rest.split_at(next.min(rest.len()));
                rest = later;
                let positions = fetched.iter().map(|(_, row)| row.message_position());
                let stored = self.stored(&positions.collect::<Vec<_>>())?;
                for ((seq, row), stored) in fetched.iter().zip(stored) {
                    let told = self.told(listed.conversation, *seq, *row, &stored)?;
                    bytes += stored.bytes() + told.changed.bytes();
                    let full = history.messages.len() == limit
                        || (bytes > PAGE_BYTES && !history.messages.is_empty());
                    if full {
                        history.next = history.messages.last().map(|told| told.conversation_seq);
                        return Ok(history);
                    }
                    history.messages.push(told);
                }
            }
            if looked_at >= HISTORY_ROWS as u64 {
                history.next = walk.reached();
                return Ok(history);
            }
        }
        Ok(history)
    }

    /// The times shown at these places of a conversation, none of them behind its end: of what stands there, and of a place that a
    /// restore left out that of the restore.
    ///
    /// # Errors
    /// When the store fails or what it holds does not fit together.
    pub fn times_at(
        &self,
        conversation: Conversation,
        places: &[u64],
    ) -> Result<BTreeMap<u64, Time>, StateError> {
        let mut times = BTreeMap::new();
        let mut last: Option<(Position, Record)> = None;
        for place in places {
            let seq = ConversationSeq(*place);
            let row = rules::conversation_log_row(&self.shared.store, conversation, seq)?;
            let position = row.message_position();
            // Of places that were left out together it is the same record.
            let record = match last.take() {
                Some((known, record)) if known == position => record,
                _ => decode_record(position, &*self.one(position)?)?,
            };
            times.insert(*place, self.shown_time(&record, row.ahead_ms)?);
            last = Some((position, record));
        }
        Ok(times)
    }

    /// A message of a conversation, with what became of it.
    fn told(
        &self,
        conversation: Conversation,
        conversation_seq: ConversationSeq,
        row: ConversationLogRow,
        stored: &Stored,
    ) -> Result<Told, StateError> {
        let message = match decode_body(stored)? {
            Some(Body::Message(message)) => Some(message),
            _ => None,
        };
        let withdrawn = row
            .recalled_by
            .map(|by| self.withdrawn_by(by))
            .transpose()?;
        let changed = match row.changed_by {
            Some(_) if withdrawn.is_none() => self.changes(conversation, conversation_seq)?,
            _ => Changed::default(),
        };
        Ok(Told {
            conversation_seq,
            row,
            record: decode_record(row.message_position(), stored)?,
            message,
            changed,
            withdrawn: withdrawn.map(|(why, _, _)| why),
            withdrawer: withdrawn.map(|(_, by, time)| (by, time)),
        })
    }

    /// The messages of a stretch that the user has not deleted.
    fn visible(
        &self,
        user: UserNo,
        conversation: Conversation,
        from: u64,
        to: u64,
        of_type: Option<i32>,
    ) -> Result<Vec<(ConversationSeq, ConversationLogRow)>, StateError> {
        let place = |seq| (conversation, ConversationSeq(seq));
        let end = to.saturating_add(1);
        let count = usize::try_from(to - from + 1).unwrap_or(usize::MAX);
        let store = &self.shared.store;
        let rows = store.range::<ConversationLogRow>(&place(from), &place(end), count)?;
        let short = (count - rows.len()) as u64;
        if short > 0 && short != self.left_out(conversation, from, to)? {
            return Err(StateError::Corrupt {
                family: "conversation_log",
                reason: "an entry below the head is missing".to_owned(),
            });
        }
        let removed = self.removed(user, conversation, (from, to), |row| row.by_user)?;
        let seqs = rows.into_iter().map(|(key, row)| (last_number(&key), row));
        let seen = seqs.filter(|(seq, row)| {
            of_type.is_none_or(|of_type| row.notification_type == of_type)
                && removed.binary_search(seq).is_err()
        });
        Ok(seen.map(|(seq, row)| (ConversationSeq(seq), row)).collect())
    }

    /// How many places of a stretch, both ends included, restores left out.
    fn left_out(&self, conversation: Conversation, from: u64, to: u64) -> Result<u64, StateError> {
        let log = Numbered::Conversation(conversation);
        let gaps = rules::gaps(&self.shared.store, log)?;
        Ok(gaps.iter().map(|gap| gap.among(from, to)).sum())
    }

    /// Those places of a stretch, both ends included, ascending, that have such a row of `user`'s.
    pub(super) fn removed(
        &self,
        user: UserNo,
        conversation: Conversation,
        (from, to): (u64, u64),
        wanted: impl Fn(&RemovedRow) -> bool,
    ) -> Result<Vec<u64>, StateError> {
        let place = |seq| (user, conversation, ConversationSeq(seq));
        let count = usize::try_from(to - from + 1).unwrap_or(usize::MAX);
        let store = &self.shared.store;
        let rows = store.rows::<RemovedRow>(&place(from), &place(to.saturating_add(1)), count)?;
        Ok(rows
            .iter()
            .filter(|(_, row)| wanted(row))
            .map(|(key, _)| key.last_number())
            .collect())
    }
}

/// Goes through a conversation stretch by stretch.
struct Walk {
    direction: Direction,
    /// What is left, both ends included; nothing when `first > last`.
    first: u64,
    last: u64,
    /// How much was asked for the last time: more each time, for little may be found.
    size: u64,
    /// What restores left out.
    gaps: Vec<GapRow>,
}

impl Walk {
    fn new(direction: Direction, first: u64, last: u64, gaps: Vec<GapRow>) -> Self {
        let (first, last) = match direction {
            Direction::Before(seq) => (first, last.min(seq.0.saturating_sub(1))),
            Direction::After(seq) => (first.max(seq.0.saturating_add(1)), last),
        };
        Self {
            direction,
            first,
            last,
            size: 0,
            gaps,
        }
    }

    /// The next stretch, both ends included, of about what is wanted.
    fn next_stretch(&mut self, wanted: usize) -> Option<(u64, u64)> {
        self.pass_gap();
        if self.first > self.last || self.last == 0 {
            return None;
        }
        // One more than the page shows whether there is more.
        let least = wanted as u64 + 1;
        self.size = (self.size * 2).clamp(least, (FETCHED as u64).max(least));
        match self.direction {
            Direction::After(_) => {
                let from = self.first;
                let to = self.last.min(from.saturating_add(self.size - 1));
                self.first = to.saturating_add(1);
                Some((from, to))
            }
            Direction::Before(_) => {
                let to = self.last;
                let from = self.first.max(to.saturating_sub(self.size - 1));
                self.last = from - 1;
                Some((from, to))
            }
        }
    }

    /// Goes on behind what a restore left out: it may be more than a page looks at.
    fn pass_gap(&mut self) {
        let here = match self.direction {
            Direction::After(_) => self.first,
            Direction::Before(_) => self.last,
        };
        let Some(gap) = self.gaps.iter().find(|gap| gap.holds(here)) else {
            return;
        };
        match self.direction {
            Direction::After(_) => self.first = gap.last().saturating_add(1),
            Direction::Before(_) => self.last = gap.first.saturating_sub(1),
        }
    }

    /// Where another page goes on when this one ends here; `None` at the end.
    fn reached(&self) -> Option<ConversationSeq> {
        if self.first > self.last || self.last == 0 {
            return None;
        }
        Some(ConversationSeq(match self.direction {
            Direction::After(_) => self.first - 1,
            Direction::Before(_) => self.last + 1,
        }))
    }
}
