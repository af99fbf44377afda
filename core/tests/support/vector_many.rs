//! The golden vectors of what concerns messages to many, and what users do to their conversations.

use waybill_core::conversation::Conversation;
use waybill_core::fact::{
    Audience, ConversationKind, ConversationSettings, Counted, Fact, MessagePosted, Options,
    RecalledPlace, RemovedMessage, Terms, Withdrawal,
};
use waybill_core::id::{AudienceNo, ConversationSeq, Digest, Position, Seq, Time, UserNo};
use waybill_core::outcome::{Outcome, Refusal, Sent};

use super::vectors::keyed;

fn posted(audience: Audience) -> Fact {
    let kind = match audience {
        Audience::Listed { .. } => ConversationKind::Single,
        _ => ConversationKind::Notification,
    };
    let key = matches!(audience, Audience::Members { .. });
    Fact::MessagePosted(MessagePosted {
        sender: UserNo(1),
        kind,
        content_type: 1400,
        notification_type: -1,
        options_off: Options(8),
        key: key.then_some([9, 8, 7, 6, 5, 4, 3, 2]),
        digest: Digest([1, 2, 3, 4, 5, 6, 7, 8]),
        audience,
        terms: key.then_some(Terms {
            collapse: Some([8, 7, 6, 5, 4, 3, 2, 1]),
            expires: Some(Time(1_700_000_100_000)),
            not_before: None,
        }),
    })
}

pub fn facts() -> Vec<Fact> {
    let session = Conversation::Notification {
        account: UserNo(1),
        receiver: UserNo(300),
    };
    let seq = ConversationSeq;
    let (user, message) = (UserNo(300), Position(1_000));
    let removed = |at, counted| RemovedMessage {
        conversation_seq: seq(at),
        counted,
    };
    let place = |receiver, counted| RecalledPlace {
        conversation: Conversation::Notification {
            account: UserNo(1),
            receiver: UserNo(receiver),
        },
        conversation_seq: seq(251),
        receiver: UserNo(receiver),
        counted,
    };
    let audience = AudienceNo(2);
    vec![
        posted(Audience::Listed {
            receivers: vec![2, 1, 297],
            new: vec![0, 2],
        }),
        posted(Audience::Members {
            audience,
            count: 70_000,
        }),
        posted(Audience::Registered { last: UserNo(300) }),
        posted(Audience::Seen { last: UserNo(300) }),
        Fact::ConversationRead {
            user,
            conversation: session,
            up_to: seq(251),
            counted: 250,
            removed: 1,
            told: false,
        },
        Fact::ConversationSet {
            user,
            conversation: session,
            settings: ConversationSettings {
                pinned: true,
                receive_option: 2,
                hidden_at: seq(7),
            },
        },
        Fact::MessagesRemoved {
            user,
            conversation: session,
            messages: vec![
                removed(3, Counted::Not),
                removed(4, Counted::Before),
                removed(300, Counted::Now),
            ],
        },
        Fact::ConversationCleared {
            user,
            conversation: session,
            cleared: seq(4),
            read: seq(5),
            counted: 3,
            removed: 0,
        },
        Fact::MessageRecalled {
            message,
            why: Withdrawal::Recalled,
            echo: true,
            places: vec![place(2, true), place(3, false)],
            next: None,
        },
        Fact::MessageRecalled {
            message,
            why: Withdrawal::Expired,
            echo: false,
            places: Vec::new(),
            next: Some(UserNo(251)),
        },
        Fact::Delivered {
            message,
            receivers: vec![2, 1],
            next: UserNo(1_001),
            early: false,
        },
        Fact::Delivered {
            message,
            receivers: vec![300],
            next: UserNo(0),
            early: true,
        },
        Fact::FanoutRecalled {
            message,
            why: Withdrawal::Superseded,
        },
        Fact::AudienceBegun {
            audience,
            name: keyed(0x50),
        },
        Fact::AudienceFilled {
            audience,
            lines: 1_000,
            members: vec![1, 1, 298],
        },
        Fact::ReceiversRefused { audience, count: 2 },
        Fact::AudienceCommitted { audience },
    ]
}

pub fn outcomes() -> [Outcome; 7] {
    let sent = Sent {
        position: Position(1_000),
        time: Time(1_700_000_000_001),
        conversation_seq: ConversationSeq(3),
        receiver: UserNo(12),
        seq: Some(Seq(251)),
        new_receiver: true,
        repeated: false,
    };
    [
        Outcome::Posted(vec![Ok(sent), Err(Refusal::UnknownReceiver)]),
        Outcome::Read {
            up_to: ConversationSeq(251),
            unread: 3,
        },
        Outcome::Recalled { receivers: 2 },
        Outcome::Begun {
            position: Position(1_000),
            time: Time(1_700_000_000_001),
            repeated: true,
        },
        Outcome::Audience {
            audience: AudienceNo(2),
        },
        Outcome::Filled {
            lines: 1_000,
            members: 998,
            refused: 2,
        },
        Outcome::Progress {
            next: UserNo(1_001),
            served: 1_000,
        },
    ]
}
