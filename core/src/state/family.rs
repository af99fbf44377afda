//! The families of the views: one table that says of each what it holds, where its rows come from and how they are written.

/// A family of rows. The numbers are part of the state hash and fixed within a views version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// Genesis, rules version, policy, number of users.
    Settings = 1,
    /// Keyed hash of a user id → user number.
    UserIds,
    /// User number → id.
    Users,
    /// User number → registered since.
    Registrations,
    /// User number → profile.
    Profiles,
    /// User number → devices and how far each has reached.
    Devices,
    /// User number, device number → the device's id.
    DeviceNames,
    /// Keyed hash of a token → whose it is, until when.
    Tokens,
    /// User number → before which position tokens are revoked.
    TokenCuts,
    /// User number → head, floor, chain hash.
    UserHeads,
    /// User number, seq → entry.
    UserLog,
    /// Conversation → head, last message.
    Conversations,
    /// Conversation, conversation seq → message.
    ConversationLog,
    /// Dedup key → message.
    Dedup,
    /// Position → by which record its body was erased.
    Erased,
}

/// Where the rows of a family come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// From records alone. Covered by the state hash.
    Folded,
    /// From bodies that still exist. No row without a body, no body without its row (or a later one's).
    Joined,
}

/// How rows of a family come into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Each row is written once, by the record named at the front of its value, and seldom or never changed after.
    Appended,
    /// Rows change again and again.
    Updated,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct FamilyInfo {
    /// The family.
    pub family: Family,
    /// Its name, also that of its column family.
    pub name: &'static str,
    /// Where its rows come from.
    pub contents: Contents,
    /// How its rows come into being.
    pub writing: Writing,
    /// Whether `decide`, `apply` and readers ask for the same rows so often that they are kept in memory.
    pub cached: bool,
    /// What removes or changes a row besides its own facts.
    pub erased_by: &'static str,
    /// Key, as bytes.
    pub key: &'static str,
    /// Value, in short.
    pub value: &'static str,
}

use Contents::{Folded, Joined};
use Writing::{Appended, Updated};

macro_rules! families {
    ($(($family:ident, $name:literal, $contents:ident, $writing:ident, $cached:literal, $erased:literal, $key:literal, $value:literal),)*) => {
        /// Every family of the views, in the order of their numbers.
        pub const FAMILIES: [FamilyInfo; 15] = [$(FamilyInfo {
            family: Family::$family, name: $name, contents: $contents, writing: $writing, cached: $cached,
            erased_by: $erased, key: $key, value: $value,
        }),*];
    };
}

families! {
    (Settings, "settings", Folded, Updated, true, "never", "setting u8", "the setting"),
    (UserIds, "user_ids", Folded, Appended, true, "never", "keyed hash of the id 16", "position, user number"),
    (Users, "users", Joined, Appended, true, "erasing the body of UserSeen", "user number u64", "position, id"),
    (Registrations, "registrations", Folded, Appended, false, "never", "user number u64", "position"),
    (Profiles, "profiles", Joined, Updated, false, "erasing the body of UserRegistered", "user number u64", "position, profile"),
    (Devices, "devices", Folded, Updated, true, "never", "user number u64", "last number given; devices with platform and reached"),
    (DeviceNames, "device_names", Joined, Appended, false, "erasing the body of DeviceSeen", "user number u64, device number u32", "position, id"),
    (Tokens, "tokens", Folded, Appended, true, "never", "keyed hash of the token 16", "position, user number, platform, end, revoked"),
    (TokenCuts, "token_cuts", Folded, Updated, true, "never", "user number u64", "positions before which tokens are revoked"),
    (UserHeads, "user_heads", Folded, Updated, true, "never", "user number u64", "head, floor, chain hash"),
    (UserLog, "user_log", Folded, Appended, false, "never", "user number u64, seq u64", "delivering position, kind, conversation seq, …"),
    (Conversations, "conversations", Folded, Updated, true, "never", "conversation 17", "head, last message, last time"),
    (ConversationLog, "conversation_log", Folded, Appended, false, "erasing the message", "conversation 17, conversation seq u64", "position, time ahead, changed by"),
    (Dedup, "dedup", Folded, Appended, false, "never", "dedup key 16", "position"),
    (Erased, "erased", Folded, Appended, false, "never", "position u64", "position of the erasure"),
}

impl Family {
    /// The family's line of the table.
    #[must_use]
    pub fn info(self) -> &'static FamilyInfo {
        &FAMILIES[self.index()]
    }

    /// The family's place in [`FAMILIES`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize - 1
    }

    /// The family's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_stands_at_its_own_place() {
        for (index, info) in FAMILIES.iter().enumerate() {
            assert_eq!(info.family.index(), index, "{}", info.name);
        }
    }
}
