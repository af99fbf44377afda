//! Reading conversations: a user's list of them, the messages of one, what is unread.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::Ordering;

use waybill_core::body::{Body, Message};
use waybill_core::conversation::Conversation;
use waybill_core::fact::Withdrawal;
use waybill_core::id::{ConversationSeq, Position, Seq, Time, UserNo};
use waybill_core::outcome::StateError;
use waybill_core::record::Record;
use waybill_core::rules;
use waybill_core::state::{
    ConversationLogRow, ConversationRow, GapRow, MembershipRow, Numbered, RemovedRow, Scan,
    StateExt, UserConversationRow,
};

use super::{Changed, PAGE_BYTES, Reader, decode_body, decode_record, fetch_entries, last_number};
use crate::store::Stored;

/// Most conversations of a page of the list.
pub const LIST_ENTRIES: usize = 1000;

/// Most messages of a page of a conversation.
pub const HISTORY_ENTRIES: usize = 1000;

/// Rows of a user's list, or of a conversation, that are fetched at a time.
const FETCHED: usize = 4096;

/// Most rows of a conversation that one page looks at: those of other types, or removed, use it up too.
pub const HISTORY_ROWS: usize = 16 * 1024;

/// How often a read that must be of one moment is tried before it is given as it is.
const TRIES: usize = 16;

/// A conversation as one of its readers has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub conversation: Conversation,
    /// Where it ends.
    pub end: ConversationRow,
    /// What the reader has read and set.
    pub membership: MembershipRow,
}

impl Listed {
    /// How many messages the reader has not read.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.membership.unread(&self.end)
    }

    /// Whether the reader has hidden it, and nothing came since.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.membership.hidden_at.0 > 0 && self.membership.hidden_at >= self.end.head
    }

    /// Its place in the list, which is ascending: pinned before others, then by the last message, the latest first.
    #[must_use]
    pub fn place(&self) -> ListPlace {
        ListPlace {
            unpinned: !self.membership.pinned,
            last: Reverse(self.end.last_time),
            conversation: self.conversation,
        }
    }
}

/// Where a conversation stands in a list, and where a page of the list ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListPlace {
    /// Whether it is not pinned.
    pub unpinned: bool,
    /// The time shown on the last message.
    pub last: Reverse<Time>,
    /// Which, so that no two have one place.
    pub conversation: Conversation,
}

/// A page of a user's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// In the order of the list.
    pub conversations: Vec<Listed>,
    /// Where it goes on, if it does.
    pub next: Option<ListPlace>,
    /// Unread messages in all conversations together, muted and hidden ones too.
    pub unread: u64,
}

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
    /// A conversation as `user`, who must be one of its readers, has it; `None` when there is no such conversation.
    ///
    /// # Errors
    /// When the store fails.
    pub fn conversation(
        &self,
        user: UserNo,
        conversation: Conversation,
    ) -> Result<Option<Listed>, StateError> {
        if !conversation.has_reader(user) {
            return Ok(None);
        }
        let Some(end) = self.shared.store.row::<ConversationRow>(conversation)? else {
            return Ok(None);
        };
        let membership = self
            .shared
            .store
            .row::<MembershipRow>((user, conversation))?;
        Ok(Some(Listed {
            conversation,
            end,
            membership: membership.unwrap_or_default(),
        }))
    }

    /// A page of a user's list, from after `after` on: at most `limit` conversations, no less than 1 and no more than
    /// [`LIST_ENTRIES`]. Hidden ones are left out unless asked for.
    ///
    /// # Errors
    /// When the store fails.
    pub fn conversations(
        &self,
        user: UserNo,
        after: Option<ListPlace>,
        limit: usize,
        hidden: bool,
    ) -> Result<ListPage, StateError> {
        let limit = limit.clamp(1, LIST_ENTRIES);
        self.first_of(user, after, limit, hidden)
    }

    /// All conversations of a user, hidden ones too, in the order of the list; the first `most` where there are more. They are
    /// looked for by their names, so none is missed whose place in the list changes meanwhile.
    ///
    /// # Errors
    /// When the store fails.
    pub fn all_conversations(&self, user: UserNo, most: usize) -> Result<Vec<Listed>, StateError> {
        Ok(self.first_of(user, None, most, true)?.conversations)
    }

    fn first_of(
        &self,
        user: UserNo,
        after: Option<ListPlace>,
        limit: usize,
        hidden: bool,
    ) -> Result<ListPage, StateError> {
        // The last of those kept is on top, and leaves when an earlier one comes.
        let mut kept: BinaryHeap<ByPlace> = BinaryHeap::with_capacity(limit.min(LIST_ENTRIES) + 2);
        let mut unread = 0_u64;
        self.each_conversation(user, |listed| {
            unread = unread.saturating_add(listed.unread());
            let wanted = hidden || !listed.is_hidden();
            if wanted && after.is_none_or(|after| listed.place() > after) {
                kept.push(ByPlace(listed));
                if kept.len() > limit + 1 {
                    kept.pop();
                }
            }
        })?;
        let mut conversations: Vec<Listed> = kept
            .into_sorted_vec()
            .into_iter()
            .map(|kept| kept.0)
            .collect();
        let more = conversations.len() > limit;
        conversations.truncate(limit);
        let last = conversations.last().map(Listed::place);
        Ok(ListPage {
            conversations,
            next: last.filter(|_| more),
            unread,
        })
    }

    fn each_conversation(
        &self,
        user: UserNo,
        mut visit: impl FnMut(Listed),
    ) -> Result<(), StateError> {
        // Before the first and behind the last conversation that a key can name.
        let (mut from, to) = (key_of(user, 0, false), key_of(user, u8::MAX, true));
        loop {
            let rows = self
                .shared
                .store
                .raw_range::<UserConversationRow>(&from, &to, FETCHED)?;
            for (key, _) in &rows {
                let conversation = key.get(8..).and_then(Conversation::from_key);
                let conversation = conversation.ok_or_else(|| StateError::Corrupt {
                    family: "user_conversations",
                    reason: "a key names no conversation".to_owned(),
                })?;
                // One that is just beginning may have no end yet.
                if let Some(listed) = self.conversation(user, conversation)? {
                    visit(listed);
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == FETCHED => {
                    from.clone_from(last);
                    from.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    /// The first page of a user's list, with hidden ones, and the head of the user's log, both of one moment: what the log says
    /// after that head is not in the list yet, and everything before it is.
    ///
    /// # Errors
    /// When the store fails.
    pub fn snapshot_of(&self, user: UserNo, limit: usize) -> Result<(Seq, ListPage), StateError> {
        let mut tries = 0;
        loop {
            let head = self.span(user)?.head;
            // A change to the views shows a head before the conversations that it changes.
            self.settle();
            let page = self.conversations(user, None, limit, true)?;
            tries += 1;
            if tries == TRIES || self.span(user)?.head == head {
                return Ok((head, page));
            }
        }
    }

    /// Waits for the change to the views that is under way, if one is.
    pub(super) fn settle(&self) {
        let seen = self.shared.changes.load(Ordering::SeqCst);
        while seen % 2 == 1 && self.shared.changes.load(Ordering::SeqCst) == seen {
            std::thread::yield_now();
        }
    }

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
    fn removed(
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

    /// How many messages of each notification type the user has not read. It looks at every message above what is read.
    ///
    /// # Errors
    /// When the store fails.
    pub fn unread_by_type(
        &self,
        user: UserNo,
        listed: &Listed,
    ) -> Result<BTreeMap<i32, u64>, StateError> {
        let mut unread = BTreeMap::new();
        if listed.unread() == 0 {
            return Ok(unread);
        }
        let mut counted = listed.membership.read_counted;
        let mut from = listed.membership.read.0.saturating_add(1);
        while from <= listed.end.head.0 {
            let to = listed
                .end
                .head
                .0
                .min(from.saturating_add(FETCHED as u64 - 1));
            let place = |seq| (listed.conversation, ConversationSeq(seq));
            let store = &self.shared.store;
            let end = to.saturating_add(1);
            let rows = store.range::<ConversationLogRow>(&place(from), &place(end), FETCHED)?;
            let removed = self.removed(user, listed.conversation, (from, to), |_| true)?;
            for (key, row) in rows {
                let seq = last_number(&key);
                if row.counted > counted && removed.binary_search(&seq).is_err() {
                    *unread.entry(row.notification_type).or_default() += 1;
                }
                counted = row.counted;
            }
            from = end;
        }
        Ok(unread)
    }
}

/// Ordered by the place in the list.
struct ByPlace(Listed);

impl PartialEq for ByPlace {
    fn eq(&self, other: &Self) -> bool {
        self.0.place() == other.0.place()
    }
}

impl Eq for ByPlace {}

impl PartialOrd for ByPlace {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByPlace {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.place().cmp(&other.0.place())
    }
}

fn key_of(user: UserNo, kind: u8, end: bool) -> Vec<u8> {
    let mut key = user.0.to_be_bytes().to_vec();
    key.push(kind);
    key.extend_from_slice(&[if end { 0xff } else { 0 }; 16]);
    key
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
