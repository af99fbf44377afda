//! What there is once in the views: the identity of the history, what is in force, the last numbers, and what is under way.

use serde::{Deserialize, Serialize};

use super::{Row, Running};
use crate::epochs::Restore;
use crate::id::{AudienceNo, Epoch, UserNo};
use crate::policy::Policy;
use crate::state::family::Family;
use crate::state::key::{Key, RowKey};

/// Which setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SettingsKey {
    /// [`SettingsRow::Genesis`].
    Genesis = 1,
    /// [`SettingsRow::Rules`].
    Rules = 2,
    /// [`SettingsRow::Policy`].
    Policy = 3,
    /// [`SettingsRow::Users`].
    Users = 4,
    /// [`SettingsRow::Running`].
    Running = 5,
    /// [`SettingsRow::Audiences`].
    Audiences = 6,
    /// [`SettingsRow::Tracked`].
    Tracked = 7,
    /// [`SettingsRow::Restores`].
    Restores = 8,
}

impl RowKey for SettingsKey {
    fn key(&self) -> Key {
        (*self as u8).key()
    }
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettingsRow {
    /// The identity of the history with which the ledger began.
    Genesis(Epoch),
    /// The rules version in force.
    Rules(u32),
    /// The switches in force.
    Policy(Policy),
    /// The last user number given.
    Users(UserNo),
    /// The fan-outs under way, and withdrawals and changes of such; ascending by `since`, at most
    /// [`MAX_RUNNING`](crate::limits::MAX_RUNNING).
    Running(Vec<Running>),
    /// The last audience number given.
    Audiences(AudienceNo),
    /// How many accounts are tracked.
    Tracked(u64),
    /// The restores of the ledger, ascending; at most [`MAX_RESTORES`](crate::limits::MAX_RESTORES).
    Restores(Vec<Restore>),
}
row!(SettingsRow, Settings, SettingsKey);
