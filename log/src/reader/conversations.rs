//! Reading conversations: a user's list of them, and what is unread in each. Their messages: [`history`](super::history).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::Ordering;

use waybill_core::conversation::Conversation;
use waybill_core::id::{ConversationSeq, Seq, Time, UserNo};
use waybill_core::outcome::StateError;
use waybill_core::state::{
    ConversationLogRow, ConversationRow, MembershipRow, StateExt, UserConversationRow,
};

use super::{Reader, last_number};

/// Most conversations of a page of the list.
pub const LIST_ENTRIES: usize = 1000;

/// Rows of a user's list, or of a conversation, that are fetched at a time.
pub(super) const FETCHED: usize = 4096;

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
