//! Values of what becomes of messages, for the golden vectors.

use waybill_core::command::ConversationKind;
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Fact, Mark, PackedCursor, Passed, pack_passed};
use waybill_core::id::{ConversationSeq, DeviceNo, Hash, Position, Seq, StatusNo, Time, UserNo};
use waybill_core::outcome::Outcome;
use waybill_core::state::{
    AccountRow, MarkRow, SettingsRow, StatusRow, StatusState, StatusTimeRow,
};

pub fn facts() -> [Fact; 5] {
    let passed = |receiver, kind| Passed {
        receiver: UserNo(receiver),
        account: UserNo(1),
        kind,
        first: ConversationSeq(7),
        up_to: ConversationSeq(251),
    };
    [
        Fact::Reached {
            cursors: vec![PackedCursor {
                user_step: 300,
                device: DeviceNo(1),
                seq: Seq(65_536),
            }],
            passed: pack_passed(&[
                passed(2, ConversationKind::Single),
                passed(2, ConversationKind::Notification),
                passed(300, ConversationKind::Notification),
            ]),
        },
        Fact::Marked {
            user: UserNo(12),
            message: Position(1_000),
            conversation: Conversation::Notification {
                account: UserNo(1),
                receiver: UserNo(12),
            },
            conversation_seq: ConversationSeq(251),
            mark: Mark::Opened,
            first: true,
        },
        Fact::Marked {
            user: UserNo(12),
            message: Position(1_000),
            conversation: Conversation::single(UserNo(1), UserNo(12)),
            conversation_seq: ConversationSeq(3),
            mark: Mark::Confirmed,
            first: false,
        },
        Fact::AccountTracked {
            account: UserNo(1),
            on: true,
        },
        Fact::OnlineTold {
            sender: UserNo(1),
            audience: 251,
            commitment: Hash([0xc0; 32]),
        },
    ]
}

pub fn outcomes() -> [Outcome; 2] {
    [Outcome::ReachedPartly, Outcome::Marked { confirmed: true }]
}

pub fn tracked() -> SettingsRow {
    SettingsRow::Tracked(3)
}

pub fn account() -> AccountRow {
    AccountRow {
        tracked: true,
        last: StatusNo(300),
    }
}

pub fn marks() -> [MarkRow; 2] {
    let row = MarkRow {
        position: Position(1_003),
        opened: Time(1_700_000_000_003),
        confirmed: None,
    };
    let confirmed = Some(Time(1_700_000_000_004));
    [row, MarkRow { confirmed, ..row }]
}

pub fn changes() -> [StatusRow; 2] {
    let row = StatusRow {
        position: Position(1_002),
        time: Time(1_700_000_000_002),
        receiver: UserNo(12),
        kind: ConversationKind::Notification,
        state: StatusState::Delivered,
        conversation_seq: ConversationSeq(251),
        message: None,
    };
    let marked = StatusRow {
        state: StatusState::Confirmed,
        message: Some(Position(1_000)),
        ..row
    };
    [row, marked]
}

pub fn time() -> StatusTimeRow {
    StatusTimeRow {
        position: Position(1_002),
        time: Time(1_700_000_000_002),
        first: ConversationSeq(7),
    }
}
