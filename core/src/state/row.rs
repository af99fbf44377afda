//! The rows of the views. Values are encoded by [`codec`]; a row of an appended family begins with the position of the record
//! that wrote it.

/// Says where rows of a type live and what names one.
macro_rules! row {
    ($name:ident, $family:ident, $key:ty) => {
        impl Row for $name {
            const FAMILY: Family = Family::$family;
            type Key = $key;
        }
    };
}

mod audience;
mod conversation;
mod directory;
mod fanout;
mod gap;
mod log;
mod message;
mod settings;
mod status;
mod terms;

pub use audience::{AudienceMemberRow, AudienceNameRow, AudienceRow, RefusedRow};
pub use conversation::{
    ChangesRow, ConversationLogRow, ConversationRow, MembershipRow, RemovedRow, Table,
    UserConversationRow, VersionRow,
};
pub use directory::{
    DeviceNameRow, DeviceRow, DevicesRow, ProfileRow, RegistrationRow, TokenCutRow, TokenRow,
    UserIdRow, UserRow,
};
pub use fanout::{EarlyRow, Errand, FanoutChunkRow, FanoutRow, Running};
pub use gap::{GapRow, Numbered};
pub use log::{ControlLogRow, EntryKind, UserHeadRow, UserLogRow};
pub use message::{DedupRow, ErasedRow};
pub use settings::{SettingsKey, SettingsRow};
pub use status::{AccountRow, MarkRow, StatusPlace, StatusRow, StatusState, StatusTimeRow};
pub use terms::{CollapseRow, TimerKind, TimerRow};

use serde::{Deserialize, Serialize};

use super::Value;
use super::family::Family;
use super::key::RowKey;
use crate::codec;
use crate::outcome::StateError;

/// A typed row of one family.
pub trait Row: Serialize + for<'a> Deserialize<'a> {
    /// Where rows of this type live.
    const FAMILY: Family;
    /// What names one.
    type Key: RowKey;

    /// The stored bytes.
    fn encode(&self) -> Value {
        codec::encode(self)
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// When they are not what [`Row::encode`] writes.
    fn decode(value: &[u8]) -> Result<Self, StateError> {
        codec::decode(value).map_err(|error| StateError::Corrupt {
            family: Self::FAMILY.name(),
            reason: error.to_string(),
        })
    }
}
