//! Reading: user logs, messages, users, tokens. Whatever a reader sees is durable, because the views change only after the ledger
//! is synced. Reading never writes.

mod changes;
mod control;
mod conversations;
mod history;
mod status;
mod tasks;
mod weigh;

pub use changes::{Changed, Timer};
pub use control::ControlEntry;
pub use conversations::{LIST_ENTRIES, ListPage, ListPlace, Listed};
pub use history::{Direction, HISTORY_ENTRIES, HISTORY_ROWS, History, Told};
pub use status::{STATUS_CHANGES, StatusChange, StatusPage, Times};
pub use tasks::{Due, Progress, RECEIVERS, ReceiverPage, ReceiverStatus, Standing};

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use waybill_core::body::{self, Body, Change, Message, Profile};
use waybill_core::epochs::Epochs;
use waybill_core::fact::Fact;
use waybill_core::id::{DeviceNo, KeyedHash, Position, Seq, Time, UserNo};
use waybill_core::outcome::StateError;
use waybill_core::record::Record;
use waybill_core::rules;
use waybill_core::state::{
    DedupRow, DeviceRow, DevicesRow, ErasedRow, Key, Numbered, ProfileRow, RegistrationRow, Scan,
    StateExt, TokenCutRow, TokenRow, UserHeadRow, UserIdRow, UserLogRow, UserRow,
};

use crate::store::Stored;
use crate::tails::{Subscription, Tails};
use crate::writer::Shared;

/// Bytes of records and bodies that a page holds at most; one entry is given even if it is larger.
pub const PAGE_BYTES: usize = 512 * 1024;

/// Most entries of a page.
pub const PAGE_ENTRIES: usize = 1000;

/// Most entries fetched at a time.
const FETCH_ENTRIES: usize = 64;

/// What an entry is taken to have, in bytes, before any was fetched: few have more, and where all have less it costs one fetch.
const GUESSED_BYTES: usize = 16 * 1024;

/// How many entries to fetch next when `fetched` had `bytes` and the page has room for `room` more: what is fetched and then
/// does not fit stays small, also where entries are long.
fn fetch_entries(fetched: usize, bytes: usize, room: usize) -> usize {
    let each = bytes.checked_div(fetched).unwrap_or(GUESSED_BYTES).max(1);
    (room / each + 1).min(FETCH_ENTRIES)
}

/// Messages that a look-up by key gives at a time: one sender may use one key in very many conversations.
pub const FOUND_BY_KEY: usize = 100;

/// A view of everything durable. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

/// First and last seq present in a user log. An empty log has floor 1 and head 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First.
    pub floor: Seq,
    /// Last.
    pub head: Seq,
}

/// One entry of a user log, with what it points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// The row.
    pub row: UserLogRow,
    /// The message's record.
    pub record: Record,
    /// The message; `None` when it was erased, or the entry is of something else.
    pub message: Option<Message>,
    /// Of a message that was changed: when, and to what; no change when that was erased.
    pub change: Option<(Time, Option<Change>)>,
}

/// What a pull gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Contiguous entries from after the cursor; empty at the head.
    Page {
        /// The log as it was when the page was read.
        span: Span,
        /// The entries.
        entries: Vec<Entry>,
        /// Whether there are more behind them.
        more: bool,
    },
    /// The cursor lies before the floor: what is between is gone.
    TooOld(Span),
    /// The cursor lies behind the head: it is of another history.
    Ahead(Span),
}

/// A token as the ledger knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenState {
    /// The token.
    pub token: TokenRow,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A record and what its body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The record.
    pub record: Record,
    /// The body; `None` when it has none, or none any more.
    pub body: Option<Body>,
    /// Whether the body was erased.
    pub erased: bool,
}

impl Reader {
    /// The histories that the ledger has been; `None` before it has begun.
    ///
    /// # Errors
    /// When the store fails.
    pub fn epochs(&self) -> Result<Option<Epochs>, StateError> {
        rules::epochs(&self.shared.store)
    }

    /// The last record that is durable.
    #[must_use]
    pub fn durable(&self) -> Position {
        *self.shared.durable.borrow()
    }

    /// Follows the durable position.
    #[must_use]
    pub fn watch_durable(&self) -> watch::Receiver<Position> {
        self.shared.durable.subscribe()
    }

    /// Whether the writer has stopped because a store failed: nothing is answered any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst)
    }

    /// What the writer has counted.
    #[must_use]
    pub fn counters(&self) -> &crate::writer::Counters {
        &self.shared.counters
    }

    /// Starts to watch a user's log.
    #[must_use]
    pub fn subscribe(&self, user: UserNo) -> Subscription {
        self.tails().subscribe(user)
    }

    /// Who waits for which log.
    #[must_use]
    pub fn tails(&self) -> &Tails {
        &self.shared.tails
    }

    /// The number behind the keyed hash of a user id.
    ///
    /// # Errors
    /// When the store fails.
    pub fn user_no(&self, id: KeyedHash) -> Result<Option<UserNo>, StateError> {
        Ok(self.shared.store.row::<UserIdRow>(id)?.map(|row| row.user))
    }

    /// The id behind a user number; `None` when it was erased.
    ///
    /// # Errors
    /// When the store fails.
    pub fn user_id(&self, user: UserNo) -> Result<Option<String>, StateError> {
        Ok(self.shared.store.row::<UserRow>(user)?.map(|row| row.id))
    }

    /// Whether a user is registered.
    ///
    /// # Errors
    /// When the store fails.
    pub fn is_registered(&self, user: UserNo) -> Result<bool, StateError> {
        let row = self.shared.store.row::<RegistrationRow>(user)?;
        Ok(row.is_some_and(|row| row.stands()))
    }

    /// Registered users whose numbers are `from` or more, ascending: looks at no more than `limit` rows, and says with whom to go
    /// on.
    ///
    /// # Errors
    /// When the store fails.
    pub fn registered(
        &self,
        from: UserNo,
        limit: usize,
    ) -> Result<(Vec<UserNo>, Option<UserNo>), StateError> {
        let end = UserNo(u64::MAX);
        let rows = self
            .shared
            .store
            .rows::<RegistrationRow>(&from, &end, limit)?;
        let number = |(key, _): &(Key, RegistrationRow)| UserNo(key.last_number());
        let last = rows.last().filter(|_| rows.len() >= limit);
        let next = last.and_then(|last| number(last).checked_next());
        let stand = rows.iter().filter(|(_, row)| row.stands());
        Ok((stand.map(number).collect(), next))
    }

    /// The profile of a user, and the record that it is from.
    ///
    /// # Errors
    /// When the store fails.
    pub fn profile_row(&self, user: UserNo) -> Result<Option<ProfileRow>, StateError> {
        self.shared.store.row::<ProfileRow>(user)
    }

    /// The profile of a user.
    ///
    /// # Errors
    /// When the store fails.
    pub fn profile(&self, user: UserNo) -> Result<Option<Profile>, StateError> {
        Ok(self.profile_row(user)?.map(|row| row.profile))
    }

    /// The devices of a user, and how far each has reached.
    ///
    /// # Errors
    /// When the store fails.
    pub fn devices(&self, user: UserNo) -> Result<Vec<DeviceRow>, StateError> {
        Ok(self
            .shared
            .store
            .row::<DevicesRow>(user)?
            .unwrap_or_default()
            .devices)
    }

    /// The number of a user's device.
    ///
    /// # Errors
    /// When the store fails.
    pub fn device_no(&self, user: UserNo, id: KeyedHash) -> Result<Option<DeviceNo>, StateError> {
        Ok(self
            .devices(user)?
            .iter()
            .find(|device| device.id == id)
            .map(|device| device.device))
    }

    /// A token.
    ///
    /// # Errors
    /// When the store fails.
    pub fn token(&self, token: KeyedHash) -> Result<Option<TokenState>, StateError> {
        let Some(token) = self.shared.store.row::<TokenRow>(token)? else {
            return Ok(None);
        };
        let cuts = self
            .shared
            .store
            .row::<TokenCutRow>(token.user)?
            .unwrap_or_default();
        Ok(Some(TokenState {
            token,
            revoked: token.revoked.is_some() || cuts.revokes(&token),
        }))
    }

    /// The ends of a user's log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn span(&self, user: UserNo) -> Result<Span, StateError> {
        let row = self.shared.store.row::<UserHeadRow>(user)?;
        Ok(row.map_or(
            Span {
                floor: Seq(1),
                head: Seq(0),
            },
            |row| Span {
                floor: row.floor,
                head: row.head,
            },
        ))
    }

    /// The entries after a cursor: at most `limit` (no less than 1, no more than [`PAGE_ENTRIES`]) and at most [`PAGE_BYTES`].
    ///
    /// # Errors
    /// When the store fails or what it holds does not fit together.
    pub fn pull(&self, user: UserNo, after: Seq, limit: usize) -> Result<Pulled, StateError> {
        self.pull_within(user, after, limit, PAGE_BYTES)
    }

    /// As [`Reader::pull`], and at most about `bytes` (no more than [`PAGE_BYTES`]) of records and bodies; one entry is given even if
    /// it is larger.
    ///
    /// # Errors
    /// As [`Reader::pull`].
    pub fn pull_within(
        &self,
        user: UserNo,
        after: Seq,
        limit: usize,
        bytes: usize,
    ) -> Result<Pulled, StateError> {
        let span = self.span(user)?;
        if after > span.head {
            return Ok(Pulled::Ahead(span));
        }
        if after.next() < span.floor {
            return Ok(Pulled::TooOld(span));
        }
        let limit = limit.clamp(1, PAGE_ENTRIES);
        let (first, end) = (
            after.next(),
            span.head
                .0
                .min(after.0.saturating_add(limit as u64))
                .saturating_add(1),
        );
        let rows = self.log_rows(user, first, end)?;
        let entries = self.entries(first, &rows, bytes.min(PAGE_BYTES))?;
        let more = entries
            .last()
            .is_some_and(|last: &Entry| last.seq < span.head);
        Ok(Pulled::Page {
            span,
            entries,
            more,
        })
    }

    /// The entries of a stretch of a user's log that ends no later than it does, up to but not including `end`: also those that
    /// stand for places that a restore left out.
    fn log_rows(&self, user: UserNo, first: Seq, end: u64) -> Result<Vec<UserLogRow>, StateError> {
        let store = &self.shared.store;
        let count = usize::try_from(end - first.0).unwrap_or(usize::MAX);
        let stored = store.range::<UserLogRow>(&(user, first), &(user, Seq(end)), count)?;
        if stored.len() == count {
            return Ok(stored.into_iter().map(|(_, row)| row).collect());
        }
        let mut rows = Vec::with_capacity(count);
        let mut stored = stored.into_iter().peekable();
        let mut seq = first.0;
        while seq < end {
            if let Some((_, row)) = stored.next_if(|(key, _)| last_number(key) == seq) {
                rows.push(row);
                seq += 1;
                continue;
            }
            let row = rules::user_log_row(store, user, Seq(seq))?;
            let gap = rules::gap_around(store, Numbered::User(user), seq)?;
            let last = gap.map_or(seq, |gap| gap.last()).min(end - 1);
            rows.resize(
                rows.len() + usize::try_from(last - seq + 1).unwrap_or(1),
                row,
            );
            seq = last + 1;
        }
        Ok(rows)
    }

    /// Opens the entries whose rows these are, until they are a page.
    fn entries(
        &self,
        first: Seq,
        rows: &[UserLogRow],
        most: usize,
    ) -> Result<Vec<Entry>, StateError> {
        let mut entries = Vec::with_capacity(rows.len());
        let (mut bytes, mut rest) = (0, rows);
        let mut seqs = first.0..;
        while !rest.is_empty() {
            let next = fetch_entries(entries.len(), bytes, most.saturating_sub(bytes));
            let (slice, later) = rest.split_at(next.min(rest.len()));
            rest = later;
            let positions: Vec<Position> = slice.iter().map(UserLogRow::message_position).collect();
            let stored = self.stored(&positions)?;
            for ((row, stored), seq) in slice.iter().zip(stored).zip(&mut seqs) {
                let (entry, told_bytes) = self.entry(Seq(seq), *row, &stored)?;
                bytes += stored.bytes() + told_bytes;
                if bytes > most && !entries.is_empty() {
                    return Ok(entries);
                }
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// An entry, and the bytes of what it tells besides what is stored at its own place.
    fn entry(
        &self,
        seq: Seq,
        row: UserLogRow,
        stored: &Stored,
    ) -> Result<(Entry, usize), StateError> {
        let record = decode_record(row.message_position(), stored)?;
        let body = decode_body(stored)?;
        let (mut message, mut change, mut bytes) = (None, None, 0);
        match (&record.fact, body) {
            (Fact::MessageChanged { .. }, body) => change = Some((record.time, change_in(body))),
            (Fact::ChangeTold { change: made, .. }, _) => {
                let stored = self.one(*made)?;
                bytes = stored.bytes();
                let time = decode_record(*made, &stored)?.time;
                change = Some((time, change_in(decode_body(&stored)?)));
            }
            (_, Some(Body::Message(said))) => message = Some(said),
            _ => {}
        }
        let entry = Entry {
            seq,
            row,
            record,
            message,
            change,
        };
        Ok((entry, bytes))
    }

    /// One record with its body; `None` when the position is not durable.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(&self, position: Position) -> Result<Option<Opened>, StateError> {
        if position.0 == 0 || position > self.durable() {
            return Ok(None);
        }
        let stored = self.one(position)?;
        let record = decode_record(position, &stored)?;
        let body = decode_body(&stored)?;
        let erased = body.is_none() && self.shared.store.row::<ErasedRow>(position)?.is_some();
        Ok(Some(Opened {
            record,
            body,
            erased,
        }))
    }

    /// The messages whose dedup keys begin with these bytes: those of one sender and key, in whatever conversation; a message
    /// to several once for each of its receivers. At most [`FOUND_BY_KEY`], from the key `from` on, and with which to go on.
    ///
    /// # Errors
    /// When the store fails.
    pub fn find(
        &self,
        dedup_prefix: [u8; 8],
        from: Option<KeyedHash>,
    ) -> Result<(Vec<Position>, Option<KeyedHash>), StateError> {
        let (mut first, mut end) = ([0; 16], [0xff; 16]);
        first[..8].copy_from_slice(&dedup_prefix);
        end[..8].copy_from_slice(&dedup_prefix);
        // The last possible key is left out; nothing but chance makes one.
        let (from, end) = (from.unwrap_or(KeyedHash(first)), KeyedHash(end));
        let store = &self.shared.store;
        let rows = store.range::<DedupRow>(&from, &end, FOUND_BY_KEY)?;
        let last = rows.last().filter(|_| rows.len() == FOUND_BY_KEY);
        let next = last.and_then(|(key, _)| {
            let last = u128::from_be_bytes(key.as_slice().try_into().ok()?);
            Some(KeyedHash(last.checked_add(1)?.to_be_bytes()))
        });
        Ok((
            rows.into_iter().map(|(_, row)| row.position).collect(),
            next,
        ))
    }

    /// The place of the message at `position` in a user's log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn find_entry(
        &self,
        user: UserNo,
        position: Position,
    ) -> Result<Option<(Seq, UserLogRow)>, StateError> {
        let store = &self.shared.store;
        match rules::delivering(store, position, user)? {
            Some(delivering) => rules::find_user_entry(store, user, delivering),
            None => Ok(None),
        }
    }

    fn one(&self, position: Position) -> Result<Arc<Stored>, StateError> {
        Ok(self.stored(&[position])?.pop().unwrap_or_default())
    }

    /// From the ring where it has them, else from the ledger.
    fn stored(&self, positions: &[Position]) -> Result<Vec<Arc<Stored>>, StateError> {
        let mut found = self.shared.ring.read(positions);
        let missing: Vec<Position> = positions
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(position, _)| *position)
            .collect();
        if !missing.is_empty() {
            let mut read = self.shared.store.ledger().read(&missing)?.into_iter();
            for slot in found.iter_mut().filter(|slot| slot.is_none()) {
                *slot = read.next().map(Arc::new);
            }
        }
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }
}

/// The number with which a stored key ends; 0 for one that is too short.
fn last_number(key: &[u8]) -> u64 {
    let last = key.last_chunk::<8>();
    last.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn change_in(body: Option<Body>) -> Option<Change> {
    match body {
        Some(Body::Change(change)) => Some(change),
        _ => None,
    }
}

fn decode_record(position: Position, stored: &Stored) -> Result<Record, StateError> {
    let Some(bytes) = &stored.record else {
        return Err(StateError::Impossible {
            position,
            reason: "something points to it, and it is not there",
        });
    };
    Record::decode(position, bytes).map_err(|error| StateError::Record { position, error })
}

fn decode_body(stored: &Stored) -> Result<Option<Body>, StateError> {
    let body = stored.body.as_deref().map(body::decode_stored).transpose();
    body.map_err(|error| StateError::Corrupt {
        family: "bodies",
        reason: error.to_string(),
    })
}
