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
    /// User number, conversation → how far the user has read it, and what the user has set for it.
    Memberships,
    /// User number, conversation → since when the user has it.
    UserConversations,
    /// User number, conversation, conversation seq → that the message is not there any more for this user.
    Removed,
    /// User number, control seq → the entry that is no message.
    ControlLog,
    /// User number, table → the last record that changed the table.
    Versions,
    /// Message → how far it is fanned out.
    Fanouts,
    /// Message, last receiver of a chunk → the chunk's record.
    FanoutChunks,
    /// Message, receiver → the record that delivered it before its turn.
    Early,
    /// Audience number → its name, how it is filled.
    Audiences,
    /// Keyed hash of an audience's name → its newest complete generation.
    AudienceNames,
    /// Audience number, user number → membership.
    AudienceMembers,
    /// Audience number, position → a record of refused lines.
    Refused,
    /// Due time, message → that something is to happen to it then.
    Timers,
    /// Conversation, hash of a collapse key → the newest message with it.
    Collapses,
    /// Conversation, conversation seq → the records that changed the message.
    Changes,
    /// Message, receiver → since when it is opened and confirmed.
    Marks,
    /// User number → whether the account is tracked, and the end of its status log.
    Accounts,
    /// User number of an account, place → a change of what its messages have become.
    StatusLog,
    /// Account, receiver, kind of conversation, state, conversation seq → since when.
    StatusTimes,
    /// A log, the record of a restore → the places that the log left out after it.
    Gaps,
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
    /// Whether rows are looked for by ranges of their keys within a batch: see [`Scan`](super::Scan).
    pub scanned: bool,
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
    ($(($family:ident, $name:literal, $contents:ident, $writing:ident, $cached:literal, $scanned:literal, $erased:literal, $key:literal, $value:literal),)*) => {
        /// Every family of the views, in the order of their numbers.
        pub const FAMILIES: [FamilyInfo; 35] = [$(FamilyInfo {
            family: Family::$family, name: $name, contents: $contents, writing: $writing, cached: $cached,
            scanned: $scanned, erased_by: $erased, key: $key, value: $value,
        }),*];
    };
}

families! {
    (Settings, "settings", Folded, Updated, true, false, "never", "setting u8", "the setting"),
    (UserIds, "user_ids", Folded, Appended, true, false, "never", "keyed hash of the id 16", "position, user number"),
    (Users, "users", Joined, Appended, true, false, "erasing the body of UserSeen", "user number u64", "position, id"),
    (Registrations, "registrations", Folded, Appended, false, true, "never", "user number u64", "position, later ends and beginnings"),
    (Profiles, "profiles", Joined, Updated, false, false, "erasing the body it is from", "user number u64", "position, profile"),
    (Devices, "devices", Folded, Updated, true, false, "never", "user number u64", "last number given; devices with platform and reached"),
    (DeviceNames, "device_names", Joined, Appended, false, false, "erasing the body of DeviceSeen", "user number u64, device number u32", "position, id"),
    (Tokens, "tokens", Folded, Appended, true, false, "never", "keyed hash of the token 16", "position, user number, platform, end, revoked"),
    (TokenCuts, "token_cuts", Folded, Updated, true, false, "never", "user number u64", "positions before which tokens are revoked"),
    (UserHeads, "user_heads", Folded, Updated, true, false, "never", "user number u64", "head, floor, control head, chain hash"),
    (UserLog, "user_log", Folded, Appended, false, false, "never", "user number u64, seq u64", "delivering position, kind, conversation seq, …"),
    (Conversations, "conversations", Folded, Updated, true, false, "never", "conversation 17", "head, counted messages, last message, last time"),
    (ConversationLog, "conversation_log", Folded, Appended, false, false, "erasing the message", "conversation 17, conversation seq u64", "position, message, time ahead, type, counted messages so far, changed by"),
    (Dedup, "dedup", Folded, Appended, false, false, "never", "dedup key 16", "position"),
    (Erased, "erased", Folded, Appended, false, false, "never", "position u64", "position of the erasure"),
    (Memberships, "memberships", Folded, Updated, true, false, "never", "user number u64, conversation 17", "read, counted there, removed above, hidden, settings"),
    (UserConversations, "user_conversations", Folded, Appended, false, false, "never", "user number u64, conversation 17", "position"),
    (Removed, "removed", Folded, Appended, false, true, "never", "user number u64, conversation 17, conversation seq u64", "position, counted, by the user alone"),
    (ControlLog, "control_log", Folded, Appended, false, false, "never", "user number u64, control seq u64", "position, seq"),
    (Versions, "versions", Folded, Updated, false, false, "never", "user number u64, table u8", "position"),
    (Fanouts, "fanouts", Folded, Updated, true, false, "never", "position u64", "progress, counts"),
    (FanoutChunks, "fanout_chunks", Folded, Appended, false, true, "never", "position u64, user number u64", "position"),
    (Early, "early", Folded, Appended, false, false, "never", "position u64, user number u64", "position"),
    (Audiences, "audiences", Folded, Updated, true, false, "never", "audience number u64", "name, lines, members, refused, complete"),
    (AudienceNames, "audience_names", Folded, Updated, false, false, "never", "keyed hash of the name 16", "audience number"),
    (AudienceMembers, "audience_members", Folded, Appended, false, true, "never", "audience number u64, user number u64", "position"),
    (Refused, "refused", Folded, Appended, false, false, "never", "audience number u64, position u64", "position, count"),
    (Timers, "timers", Folded, Appended, false, true, "when it was met", "time u64, position u64", "position, what is due"),
    (Collapses, "collapses", Folded, Updated, false, false, "never", "conversation 17, hash of the key 8", "conversation seq"),
    (Changes, "changes", Folded, Updated, false, false, "never", "conversation 17, conversation seq u64", "last change of the content, of the status line"),
    (Marks, "marks", Folded, Appended, false, false, "never", "position u64, user number u64", "position, opened, confirmed"),
    (Accounts, "accounts", Folded, Updated, true, false, "never", "user number u64", "tracked, end of the status log"),
    (StatusLog, "status_log", Folded, Appended, false, false, "never", "user number u64, place u64", "position, time, receiver, kind, state, conversation seq, message"),
    (StatusTimes, "status_times", Folded, Appended, false, false, "never", "user number u64, user number u64, kind u8, state u8, conversation seq u64", "position, time, first place"),
    (Gaps, "gaps", Folded, Appended, true, false, "never", "log u8 and user number u64 or conversation 17, position u64", "position, first place left out, how many"),
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
