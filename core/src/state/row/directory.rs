//! Users: their ids and numbers, registrations and profiles, their devices and their tokens.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::body::Profile;
use crate::id::{DeviceNo, KeyedHash, Position, Seq, Time, UserNo};
use crate::state::family::Family;

/// The number behind a user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIdRow {
    /// The `UserSeen` record.
    pub position: Position,
    /// The number.
    pub user: UserNo,
}
row!(UserIdRow, UserIds, KeyedHash);

/// The id behind a user number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// The `UserSeen` record, whose body it is from.
    pub position: Position,
    /// The id.
    pub id: String,
}
row!(UserRow, Users, UserNo);

/// That a user is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationRow {
    /// The `UserRegistered` record.
    pub position: Position,
    /// The records at which the registration ended and began again, in turn; at most
    /// [`MAX_TURNS`](crate::limits::MAX_TURNS).
    pub turns: Vec<Position>,
}

impl RegistrationRow {
    /// Of a user who is registered for the first time.
    #[must_use]
    pub fn new(position: Position) -> Self {
        Self {
            position,
            turns: Vec::new(),
        }
    }

    /// Whether the user is registered now.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.turns.len().is_multiple_of(2)
    }

    /// Whether the user was registered when the record at `position` was written.
    #[must_use]
    pub fn stood_at(&self, position: Position) -> bool {
        let turns = self.turns.iter().take_while(|turn| **turn < position);
        self.position < position && turns.count().is_multiple_of(2)
    }
}
row!(RegistrationRow, Registrations, UserNo);

/// What is known of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRow {
    /// The record whose body it is from.
    pub position: Position,
    /// The profile.
    pub profile: Profile,
}
row!(ProfileRow, Profiles, UserNo);

/// The devices of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesRow {
    /// The last device number given; numbers are never given twice.
    pub last: DeviceNo,
    /// At most [`MAX_DEVICES_PER_USER`](crate::limits::MAX_DEVICES_PER_USER), ascending by number.
    pub devices: Vec<DeviceRow>,
    /// How far the furthest device that the user ever had has stored the log: what is up to here is delivered.
    pub furthest: Seq,
}
row!(DevicesRow, Devices, UserNo);

/// One device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Its number.
    pub device: DeviceNo,
    /// Keyed hash of its id.
    pub id: KeyedHash,
    /// Platform number.
    pub platform: u8,
    /// How far it has stored its user's log.
    pub reached: Seq,
    /// The record that last said anything of it.
    pub heard: Position,
}

/// A device's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNameRow {
    /// The `DeviceSeen` record, whose body it is from.
    pub position: Position,
    /// The id.
    pub id: String,
}
row!(DeviceNameRow, DeviceNames, (UserNo, DeviceNo));

/// An issued token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// The `TokenIssued` record.
    pub position: Position,
    /// Whose.
    pub user: UserNo,
    /// Platform number.
    pub platform: u8,
    /// Its end.
    pub expires: Time,
    /// The record that revoked it alone, if any. See also [`TokenCutRow`].
    pub revoked: Option<Position>,
}
row!(TokenRow, Tokens, KeyedHash);

/// Before which positions the tokens of a user are revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCutRow {
    /// Tokens issued before this are revoked.
    pub all: Position,
    /// Tokens of the platform issued before this are revoked. Ascending by platform; at most 256.
    pub platforms: Vec<(u8, Position)>,
}
row!(TokenCutRow, TokenCuts, UserNo);

impl TokenCutRow {
    /// Whether this cut revokes the token.
    #[must_use]
    pub fn revokes(&self, token: &TokenRow) -> bool {
        let platform = self
            .platforms
            .iter()
            .find(|(platform, _)| *platform == token.platform);
        token.position < self.all || platform.is_some_and(|(_, cut)| token.position < *cut)
    }
}
