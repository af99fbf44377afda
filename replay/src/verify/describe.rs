//! Rows in words: what a key names, and in what two values differ. Never says what a body said: rows of joined families are
//! only compared field by field, not shown.

use serde::Serialize;
use serde_json::Value as Json;
use waybill_core::state::{
    AccountRow, AudienceMemberRow, AudienceNameRow, AudienceRow, ChangesRow, CollapseRow, Contents,
    ControlLogRow, ConversationLogRow, ConversationRow, DedupRow, DeviceNameRow, DevicesRow,
    EarlyRow, ErasedRow, Family, FanoutChunkRow, FanoutRow, GapRow, MarkRow, MembershipRow,
    ProfileRow, RefusedRow, RegistrationRow, RemovedRow, Row, SettingsRow, StatusRow,
    StatusTimeRow, TimerRow, TokenCutRow, TokenRow, UserConversationRow, UserHeadRow, UserIdRow,
    UserLogRow, UserRow, VersionRow,
};

use super::finding::Place;

/// Longest value shown, in characters.
const SHOWN_CHARS: usize = 120;

/// The place of a row.
pub(crate) fn row(family: Family, key: &[u8]) -> Place {
    Place::Row {
        family: family.name().to_owned(),
        key: hex(key),
        names: names(family, key)
            .unwrap_or_else(|| format!("a key that names nothing: {}", hex(key))),
    }
}

/// What a key names; `None` when it has another form than keys of the family have.
fn names(family: Family, key: &[u8]) -> Option<String> {
    Some(match family {
        Family::Settings => match key {
            [1] => "genesis".to_owned(),
            [2] => "rules version".to_owned(),
            [3] => "policy".to_owned(),
            [4] => "number of users".to_owned(),
            [5] => "messages being fanned out".to_owned(),
            [6] => "number of audiences".to_owned(),
            [7] => "number of tracked accounts".to_owned(),
            [8] => "restores".to_owned(),
            _ => return None,
        },
        Family::UserIds => format!("user id hash {}", hash(key)?),
        Family::Tokens => format!("token hash {}", hash(key)?),
        Family::Dedup => format!("key hash {}", hash(key)?),
        Family::Users
        | Family::Registrations
        | Family::Profiles
        | Family::Devices
        | Family::TokenCuts
        | Family::UserHeads => format!("user {}", only(key)?),
        Family::DeviceNames => {
            let (user, device) = key.split_first_chunk::<8>()?;
            let device = u32::from_be_bytes(device.try_into().ok()?);
            format!("user {}, device {device}", u64::from_be_bytes(*user))
        }
        Family::UserLog => {
            let (user, seq) = key.split_first_chunk::<8>()?;
            format!("user {}, seq {}", u64::from_be_bytes(*user), only(seq)?)
        }
        Family::Conversations => conversation(key)?,
        Family::Timers => {
            let (time, message) = key.split_first_chunk::<8>()?;
            format!(
                "time {}, record {}",
                u64::from_be_bytes(*time),
                only(message)?
            )
        }
        Family::Collapses => {
            let (of, key) = key.split_at_checked(17)?;
            format!("{}, key hash {:016x}", conversation(of)?, only(key)?)
        }
        Family::ConversationLog | Family::Changes => {
            let (of, seq) = key.split_at_checked(17)?;
            format!("{}, seq {}", conversation(of)?, only(seq)?)
        }
        Family::Erased => format!("record {}", only(key)?),
        Family::Memberships | Family::UserConversations => {
            let (user, of) = key.split_first_chunk::<8>()?;
            format!("user {}, {}", u64::from_be_bytes(*user), conversation(of)?)
        }
        Family::Removed => {
            let (user, rest) = key.split_first_chunk::<8>()?;
            let (of, seq) = rest.split_at_checked(17)?;
            let (user, of) = (u64::from_be_bytes(*user), conversation(of)?);
            format!("user {user}, {of}, seq {}", only(seq)?)
        }
        Family::ControlLog => {
            let (user, seq) = key.split_first_chunk::<8>()?;
            let user = u64::from_be_bytes(*user);
            format!("user {user}, control seq {}", only(seq)?)
        }
        Family::Versions => {
            let (user, table) = key.split_first_chunk::<8>()?;
            let [table] = table.try_into().ok()?;
            format!("user {}, table {table}", u64::from_be_bytes(*user))
        }
        Family::Fanouts => format!("message {}", only(key)?),
        Family::FanoutChunks | Family::Early => {
            let (message, user) = key.split_first_chunk::<8>()?;
            let message = u64::from_be_bytes(*message);
            format!("message {message}, user {}", only(user)?)
        }
        Family::Audiences => format!("audience {}", only(key)?),
        Family::AudienceNames => format!("audience name hash {}", hash(key)?),
        Family::AudienceMembers => {
            let (audience, user) = key.split_first_chunk::<8>()?;
            let audience = u64::from_be_bytes(*audience);
            format!("audience {audience}, user {}", only(user)?)
        }
        Family::Marks => {
            let (message, user) = key.split_first_chunk::<8>()?;
            let message = u64::from_be_bytes(*message);
            format!("message {message}, user {}", only(user)?)
        }
        Family::Accounts => format!("account {}", only(key)?),
        Family::StatusLog => {
            let (account, n) = key.split_first_chunk::<8>()?;
            let account = u64::from_be_bytes(*account);
            format!("account {account}, change {}", only(n)?)
        }
        Family::StatusTimes => {
            let (account, rest) = key.split_first_chunk::<8>()?;
            let (user, rest) = rest.split_first_chunk::<8>()?;
            let (what, seq) = rest.split_first_chunk::<2>()?;
            let (account, user) = (u64::from_be_bytes(*account), u64::from_be_bytes(*user));
            let [kind, state] = what;
            let seq = only(seq)?;
            format!("account {account}, user {user}, kind {kind}, state {state}, up to {seq}")
        }
        Family::Gaps => {
            let (log, restored) = key.split_last_chunk::<8>()?;
            let restored = u64::from_be_bytes(*restored);
            let log = match log.split_first()? {
                (1, user) => format!("the log of user {}", only(user)?),
                (2, account) => format!("the status log of account {}", only(account)?),
                (3, of) => conversation(of)?,
                _ => return None,
            };
            format!("{log}, restore in record {restored}")
        }
        Family::Refused => {
            let (audience, record) = key.split_first_chunk::<8>()?;
            let audience = u64::from_be_bytes(*audience);
            format!("audience {audience}, record {}", only(record)?)
        }
    })
}

/// A conversation by its key.
pub(crate) fn conversation(key: &[u8]) -> Option<String> {
    let ([kind], rest) = key.split_first_chunk::<1>()?;
    let (first, second) = rest.split_first_chunk::<8>()?;
    let (first, second) = (u64::from_be_bytes(*first), only(second)?);
    Some(match kind {
        1 => format!("chat of users {first} and {second}"),
        2 => format!("notices of account {first} to user {second}"),
        _ => return None,
    })
}

fn only(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn hash(key: &[u8]) -> Option<String> {
    (key.len() == 16).then(|| hex(key))
}

/// In what the views' value differs from the ledger's.
pub(crate) fn difference(family: Family, views: &[u8], ledger: &[u8]) -> String {
    let (Some(ours), Some(theirs)) = (fields(family, ledger), fields(family, views)) else {
        return format!(
            "the views' value cannot be read; {}",
            shown(family, ledger, "the ledger gives")
        );
    };
    let hidden = family.info().contents == Contents::Joined;
    let mut differences = Vec::new();
    for (name, ledger) in &ours {
        let views = theirs.iter().find(|(of, _)| of == name);
        if views.is_some_and(|(_, views)| views == ledger) {
            continue;
        }
        differences.push(if hidden {
            format!("{name} is another")
        } else {
            let views = views.map_or("nothing", |(_, views)| views);
            format!("{name} is {views}, the ledger gives {ledger}")
        });
    }
    if differences.is_empty() {
        return "the same fields, written in other bytes".to_owned();
    }
    differences.join("; ")
}

/// A value, where it may be shown.
pub(crate) fn shown(family: Family, value: &[u8], lead: &str) -> String {
    if family.info().contents == Contents::Joined {
        return format!("{lead} {} bytes", value.len());
    }
    match fields(family, value) {
        None => format!("{lead} {} bytes that are no row", value.len()),
        Some(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            format!("{lead} {}", fields.join(", "))
        }
    }
}

type Fields = Vec<(String, String)>;

fn fields(family: Family, value: &[u8]) -> Option<Fields> {
    match family {
        Family::Settings => fields_of::<SettingsRow>(value),
        Family::UserIds => fields_of::<UserIdRow>(value),
        Family::Users => fields_of::<UserRow>(value),
        Family::Registrations => fields_of::<RegistrationRow>(value),
        Family::Profiles => fields_of::<ProfileRow>(value),
        Family::Devices => fields_of::<DevicesRow>(value),
        Family::DeviceNames => fields_of::<DeviceNameRow>(value),
        Family::Tokens => fields_of::<TokenRow>(value),
        Family::TokenCuts => fields_of::<TokenCutRow>(value),
        Family::UserHeads => fields_of::<UserHeadRow>(value),
        Family::UserLog => fields_of::<UserLogRow>(value),
        Family::Conversations => fields_of::<ConversationRow>(value),
        Family::ConversationLog => fields_of::<ConversationLogRow>(value),
        Family::Dedup => fields_of::<DedupRow>(value),
        Family::Erased => fields_of::<ErasedRow>(value),
        Family::Memberships => fields_of::<MembershipRow>(value),
        Family::UserConversations => fields_of::<UserConversationRow>(value),
        Family::Removed => fields_of::<RemovedRow>(value),
        Family::ControlLog => fields_of::<ControlLogRow>(value),
        Family::Versions => fields_of::<VersionRow>(value),
        Family::Fanouts => fields_of::<FanoutRow>(value),
        Family::FanoutChunks => fields_of::<FanoutChunkRow>(value),
        Family::Early => fields_of::<EarlyRow>(value),
        Family::Audiences => fields_of::<AudienceRow>(value),
        Family::AudienceNames => fields_of::<AudienceNameRow>(value),
        Family::AudienceMembers => fields_of::<AudienceMemberRow>(value),
        Family::Refused => fields_of::<RefusedRow>(value),
        Family::Timers => fields_of::<TimerRow>(value),
        Family::Collapses => fields_of::<CollapseRow>(value),
        Family::Changes => fields_of::<ChangesRow>(value),
        Family::Marks => fields_of::<MarkRow>(value),
        Family::Accounts => fields_of::<AccountRow>(value),
        Family::StatusLog => fields_of::<StatusRow>(value),
        Family::StatusTimes => fields_of::<StatusTimeRow>(value),
        Family::Gaps => fields_of::<GapRow>(value),
    }
}

fn fields_of<R: Row + Serialize>(value: &[u8]) -> Option<Fields> {
    let row = R::decode(value).ok()?;
    Some(match serde_json::to_value(&row).ok()? {
        Json::Object(object) => object
            .into_iter()
            .map(|(name, value)| (name, text(&value)))
            .collect(),
        other => vec![("value".to_owned(), text(&other))],
    })
}

/// A field in short; hashes as hexadecimal digits.
fn text(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_owned(),
        Json::Array(items) => match bytes(items) {
            Some(bytes) => hex(&bytes),
            None => cut(format!(
                "[{}]",
                items.iter().map(text).collect::<Vec<_>>().join(", ")
            )),
        },
        Json::Object(object) => {
            let fields: Vec<String> = object
                .iter()
                .map(|(name, value)| format!("{name} {}", text(value)))
                .collect();
            cut(format!("({})", fields.join(", ")))
        }
        Json::String(text) => cut(text.clone()),
        other => other.to_string(),
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => text,
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// The bytes of a hash of ours, which serde writes as a list of numbers.
fn bytes(items: &[Json]) -> Option<Vec<u8>> {
    if ![8, 16, 32].contains(&items.len()) {
        return None;
    }
    items
        .iter()
        .map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok()))
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_core::conversation::Conversation;
    use waybill_core::id::{ConversationSeq, DeviceNo, Hash, Position, Seq, UserNo};
    use waybill_core::state::RowKey;

    #[test]
    fn keys_are_named() {
        let of = |family, key: waybill_core::state::Key| names(family, key.as_slice());
        let chat = Conversation::single(UserNo(9), UserNo(4));
        assert_eq!(
            of(Family::ConversationLog, (chat, ConversationSeq(2)).key()).as_deref(),
            Some("chat of users 4 and 9, seq 2")
        );
        assert_eq!(
            of(Family::UserLog, (UserNo(3), Seq(64)).key()).as_deref(),
            Some("user 3, seq 64")
        );
        assert_eq!(
            of(Family::DeviceNames, (UserNo(3), DeviceNo(2)).key()).as_deref(),
            Some("user 3, device 2")
        );
        for family in waybill_core::state::FAMILIES {
            assert_eq!(names(family.family, &[7; 30]), None, "{}", family.name);
        }
    }

    #[test]
    fn a_difference_names_the_fields_that_differ() {
        let row = UserHeadRow {
            head: Seq(7),
            floor: Seq(1),
            control: waybill_core::id::ControlSeq(0),
            chain: Hash([0xab; 32]),
        };
        let other = UserHeadRow {
            head: Seq(8),
            ..row
        };
        assert_eq!(
            difference(Family::UserHeads, &other.encode(), &row.encode()),
            "head is 8, the ledger gives 7"
        );
        assert!(shown(Family::UserHeads, &row.encode(), "it has").contains(&"ab".repeat(32)));
    }

    #[test]
    fn what_a_body_said_is_not_shown() {
        let row = |id: &str| UserRow {
            position: Position(5),
            id: id.to_owned(),
        };
        let (one, other) = (row("ann"), row("bob"));
        let said = difference(Family::Users, &one.encode(), &other.encode());
        assert_eq!(said, "id is another");
        assert!(!shown(Family::Users, &one.encode(), "it has").contains("ann"));
    }
}
