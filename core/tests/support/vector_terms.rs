//! The golden vectors of messages with terms, and of changes of messages.

use waybill_core::body::{Body, Change, StatusLine};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{ChangedPlace, Fact, Part};
use waybill_core::id::{ConversationSeq, Position, UserNo};
use waybill_core::outcome::Outcome;

pub fn facts() -> [Fact; 5] {
    let message = Position(1_000);
    let place = |receiver| ChangedPlace {
        conversation: Conversation::Notification {
            account: UserNo(1),
            receiver: UserNo(receiver),
        },
        conversation_seq: ConversationSeq(251),
        receiver: UserNo(receiver),
    };
    [
        Fact::FanoutReleased { message },
        Fact::MessageChanged {
            message,
            part: Part::Content,
            echo: true,
            places: vec![place(2), place(300)],
        },
        Fact::FanoutChanged {
            message,
            part: Part::StatusLine,
        },
        Fact::ChangeTold {
            message,
            change: Position(1_005),
            places: vec![place(2)],
            next: UserNo(3),
        },
        Fact::ChangeTold {
            message,
            change: Position(1_005),
            places: Vec::new(),
            next: UserNo(0),
        },
    ]
}

pub fn bodies() -> [Body; 2] {
    [
        Body::Change(Change::Content(r#"{"text":"改"}"#.to_owned())),
        Body::Change(Change::StatusLine(StatusLine {
            text: "已批准".to_owned(),
            color: "#00aa00".to_owned(),
        })),
    ]
}

pub fn outcomes() -> [Outcome; 1] {
    [Outcome::Changed {
        position: Position(1_005),
        receivers: 2,
    }]
}
