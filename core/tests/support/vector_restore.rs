//! Values of restores, for the golden vectors.

use serde_json::{Value, json};
use waybill_core::conversation::Conversation;
use waybill_core::epochs::Restore;
use waybill_core::fact::Fact;
use waybill_core::id::{Position, UserNo};
use waybill_core::state::{GapRow, Numbered, SettingsRow};

use super::script;

pub fn fact() -> Fact {
    Fact::Restored {
        epoch: script::restored_epoch(2),
        from: script::epoch(),
        gap: 1_000,
    }
}

pub fn restores() -> SettingsRow {
    let restore = |position, number, gap| Restore {
        position: Position(position),
        epoch: script::restored_epoch(number),
        gap,
    };
    SettingsRow::Restores(vec![restore(1_001, 2, 1_000), restore(70_000, 5, 3)])
}

/// Logs, as they stand in keys, and what they left out.
pub fn gaps() -> [(Numbered, Value, GapRow); 3] {
    let gap = |before| GapRow {
        position: Position(1_004),
        first: 251,
        count: 1_000,
        before,
    };
    let conversation = Conversation::Notification {
        account: UserNo(300),
        receiver: UserNo(2),
    };
    [
        (Numbered::User(UserNo(300)), json!({ "User": 300 }), gap(7)),
        (Numbered::Status(UserNo(1)), json!({ "Status": 1 }), gap(0)),
        (
            Numbered::Conversation(conversation),
            json!({ "Conversation": { "Notification": { "account": 300, "receiver": 2 } } }),
            gap(240),
        ),
    ]
}
