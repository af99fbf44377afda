//! What `decide` reads and `apply` changes: rows in families, behind one trait. The server answers it from its databases and
//! hot table, a batch from its overlay, a test from a map.

mod family;
mod key;
mod map;
mod overlay;
mod row;
mod state_hash;

pub use family::{Contents, FAMILIES, Family, FamilyInfo, Writing};
pub use key::{Key, RowKey};
pub use map::MapState;
pub use overlay::{Effect, Overlay};
pub use row::{
    AccountRow, AudienceMemberRow, AudienceNameRow, AudienceRow, ChangesRow, CollapseRow,
    ControlLogRow, ConversationLogRow, ConversationRow, DedupRow, DeviceNameRow, DeviceRow,
    DevicesRow, EarlyRow, EntryKind, ErasedRow, Errand, FanoutChunkRow, FanoutRow, GapRow, MarkRow,
    MembershipRow, Numbered, ProfileRow, RefusedRow, RegistrationRow, RemovedRow, Row, Running,
    SettingsKey, SettingsRow, StatusPlace, StatusRow, StatusState, StatusTimeRow, Table, TimerKind,
    TimerRow, TokenCutRow, TokenRow, UserConversationRow, UserHeadRow, UserIdRow, UserLogRow,
    UserRow, VersionRow,
};
pub use state_hash::StateHasher;

use crate::id::Position;
use crate::outcome::StateError;
use crate::record::Record;

/// Stored bytes of a row.
pub type Value = Vec<u8>;

/// Read access to the views and to the ledger beneath them, at one moment.
pub trait State {
    /// The bytes of one row.
    ///
    /// # Errors
    /// When the store fails.
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StateError>;

    /// The bytes of several rows of a family, in the order asked for: ascending keys are found fastest.
    ///
    /// # Errors
    /// When the store fails.
    fn get_many(&self, family: Family, keys: &[Key]) -> Result<Vec<Option<Value>>, StateError> {
        keys.iter().map(|key| self.get(family, key)).collect()
    }

    /// The bytes of one record.
    ///
    /// # Errors
    /// When the store fails.
    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StateError>;
}

impl<S: State + ?Sized> State for &S {
    fn get(&self, family: Family, key: &Key) -> Result<Option<Value>, StateError> {
        (**self).get(family, key)
    }

    fn get_many(&self, family: Family, keys: &[Key]) -> Result<Vec<Option<Value>>, StateError> {
        (**self).get_many(family, keys)
    }

    fn record(&self, position: Position) -> Result<Option<Vec<u8>>, StateError> {
        (**self).record(position)
    }
}

/// What `decide` and readers may do besides: look for rows by ranges of keys. `apply` may not, and so does not see this: after a
/// crash it would find what no other run has found.
pub trait Scan: State {
    /// The rows of a [scanned](FamilyInfo::scanned) family from `from` up to but not including `to`, ascending by key, at most
    /// `limit`.
    ///
    /// # Errors
    /// When the store fails.
    fn scan(
        &self,
        family: Family,
        from: &Key,
        to: &Key,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, StateError>;

    /// Rows with keys from `from` up to but not including `to`, ascending, at most `limit`.
    ///
    /// # Errors
    /// When the store fails or a row is corrupt.
    fn rows<R: Row>(
        &self,
        from: &R::Key,
        to: &R::Key,
        limit: usize,
    ) -> Result<Vec<(Key, R)>, StateError> {
        let found = self.scan(R::FAMILY, &from.key(), &to.key(), limit)?;
        found
            .into_iter()
            .map(|(key, value)| Ok((key, R::decode(&value)?)))
            .collect()
    }
}

impl<S: Scan + ?Sized> Scan for &S {
    fn scan(
        &self,
        family: Family,
        from: &Key,
        to: &Key,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, StateError> {
        (**self).scan(family, from, to, limit)
    }
}

/// Typed access on top of [`State`].
pub trait StateExt: State {
    /// One row.
    ///
    /// # Errors
    /// When the store fails or the row is corrupt.
    fn row<R: Row>(&self, key: R::Key) -> Result<Option<R>, StateError> {
        match self.get(R::FAMILY, &key.key())? {
            None => Ok(None),
            Some(value) => R::decode(&value).map(Some),
        }
    }

    /// One record, decoded.
    ///
    /// # Errors
    /// When the store fails or the bytes are no record.
    fn decoded_record(&self, position: Position) -> Result<Option<Record>, StateError> {
        match self.record(position)? {
            None => Ok(None),
            Some(bytes) => Record::decode(position, &bytes)
                .map(Some)
                .map_err(|error| StateError::Record { position, error }),
        }
    }
}

impl<S: State + ?Sized> StateExt for S {}
