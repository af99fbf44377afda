//! Who is meant: users by their references, and numbers for those never seen.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::counted_on;
use crate::command::UserRef;
use crate::fact::Fact;
use crate::id::{KeyedHash, UserNo};
use crate::outcome::StateError;
use crate::policy::Policy;
use crate::rules::Draft;
use crate::state::{DevicesRow, Family, Scan, SettingsKey, SettingsRow, StateExt, UserIdRow};

pub fn policy_in_force<S: Scan>(state: &S) -> Result<Policy, StateError> {
    match state.row(SettingsKey::Policy)? {
        Some(SettingsRow::Policy(policy)) => Ok(policy),
        _ => Ok(Policy::default()),
    }
}

pub fn last_user<S: Scan>(state: &S) -> Result<UserNo, StateError> {
    match state.row(SettingsKey::Users)? {
        Some(SettingsRow::Users(last)) => Ok(last),
        _ => Ok(UserNo(0)),
    }
}

pub fn has_devices<S: Scan>(state: &S, user: UserNo) -> Result<bool, StateError> {
    Ok(state
        .row::<DevicesRow>(user)?
        .is_some_and(|row| !row.devices.is_empty()))
}

/// Finds users by their references, and gives numbers to those never seen.
pub struct Users<'s, S> {
    state: &'s S,
    seen: BTreeMap<KeyedHash, UserNo>,
    last: Option<UserNo>,
}

impl<'s, S: Scan> Users<'s, S> {
    pub fn new(state: &'s S) -> Self {
        Self {
            state,
            seen: BTreeMap::new(),
            last: None,
        }
    }

    pub fn find(&self, user: &UserRef) -> Result<Option<UserNo>, StateError> {
        if let Some(number) = self.seen.get(&user.hash) {
            return Ok(Some(*number));
        }
        Ok(self.state.row::<UserIdRow>(user.hash)?.map(|row| row.user))
    }

    /// The last number given.
    pub fn last(&self) -> Result<UserNo, StateError> {
        match self.last {
            Some(last) => Ok(last),
            None => last_user(self.state),
        }
    }

    /// The user's number, and whether it is given just now.
    pub fn find_or_see(
        &mut self,
        user: &UserRef,
        drafts: &mut Vec<Draft<'_>>,
    ) -> Result<(UserNo, bool), StateError> {
        if let Some(number) = self.find(user)? {
            return Ok((number, false));
        }
        let number = counted_on(self.last()?.checked_next(), Family::Settings.name())?;
        self.seen.insert(user.hash, number);
        self.last = Some(number);
        drafts.push(Draft {
            fact: Fact::UserSeen {
                user: number,
                id: user.hash,
            },
            body: Some(Cow::Owned(user.seal())),
        });
        Ok((number, true))
    }
}
