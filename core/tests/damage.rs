//! Rows, records and bodies that no program of ours has written: each is refused by a typed error that names it. None makes the
//! domain panic, count on past the end of a range, or believe it.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use support::cast;
use support::chronicle::Chronicle;
use waybill_core::body::SealedBody;
use waybill_core::command::{Ask, Command, ConversationKind, Send, Stamped, Unknown};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Fact, Options};
use waybill_core::id::{ControlSeq, ConversationSeq, DeviceNo, Hash, Position, Seq, Time, UserNo};
use waybill_core::outcome::{Refusal, StateError};
use waybill_core::policy::Policy;
use waybill_core::record::{Record, Surface};
use waybill_core::rules;
use waybill_core::state::{
    ConversationRow, DevicesRow, Effect, Overlay, Row, RowKey, SettingsKey, SettingsRow,
    UserHeadRow,
};
use waybill_core::versions::RULES_VERSION;

fn command(ask: Ask) -> Stamped {
    Stamped {
        time: Time(1_000),
        command: Command {
            by: UserNo(0),
            surface: Surface::Server,
            ask,
        },
    }
}

fn send(number: u64) -> Stamped {
    command(Ask::Send(Send {
        sender: cast::user(1, number, 1),
        receiver: cast::user(2, number, 2),
        kind: ConversationKind::Single,
        account: false,
        content_type: 101,
        notification_type: 0,
        options_off: Options(0),
        key: Some(cast::dedup(1, 2, false, 1)),
        digest: cast::digest(1),
        terms: None,
        body: cast::message(number).seal(cast::opening(number, 3)),
    }))
}

fn see_device(body: SealedBody) -> Stamped {
    command(Ask::SeeDevice {
        user: UserNo(1),
        id: cast::device(9),
        platform: 1,
        body,
    })
}

/// A ledger with users 1 and 2 and one message between them, sent with a key.
fn begun() -> Chronicle {
    let mut chronicle = Chronicle::new();
    let found = command(Ask::Found {
        epoch: cast::epoch(),
        rules: RULES_VERSION,
    });
    for step in chronicle.take_each(&[found, send(1)]) {
        step.answer.unwrap();
    }
    chronicle
}

fn change<R: Row>(chronicle: &mut Chronicle, key: R::Key, row: &R) {
    let effect = Effect::Put(R::FAMILY, key.key(), row.encode());
    chronicle.state.apply([effect]);
}

/// What the next command comes to.
fn error_of(chronicle: &mut Chronicle, stamped: &Stamped) -> StateError {
    let mut overlay = Overlay::new(&chronicle.state);
    let mut tail = chronicle.tail;
    rules::take(&mut overlay, &mut tail, stamped).unwrap_err()
}

fn assert_corrupt(error: &StateError, expected: &str) {
    match error {
        StateError::Corrupt { family, .. } => assert_eq!(*family, expected, "{error}"),
        other => panic!("{other}"),
    }
}

#[test]
fn rows_at_the_end_of_their_range_are_corrupt() {
    let other_key = |number| {
        let mut stamped = send(number);
        if let Ask::Send(send) = &mut stamped.command.ask {
            send.key = None;
        }
        stamped
    };
    let conversation = Conversation::single(UserNo(1), UserNo(2));

    let mut chronicle = begun();
    let head = UserHeadRow {
        head: Seq(u64::MAX),
        floor: Seq(1),
        control: ControlSeq(0),
        chain: Hash::ZERO,
    };
    change(&mut chronicle, UserNo(2), &head);
    assert_corrupt(&error_of(&mut chronicle, &other_key(2)), "user_heads");
    // The first answer again: the search meets an entry that is not there.
    assert_corrupt(&error_of(&mut chronicle, &send(2)), "user_log");

    let mut chronicle = begun();
    let end = ConversationRow {
        head: ConversationSeq(u64::MAX),
        counted: 1,
        last: Position(4),
        last_time: Time(u64::MAX),
    };
    change(&mut chronicle, conversation, &end);
    assert_corrupt(&error_of(&mut chronicle, &other_key(2)), "conversations");
    assert_corrupt(&error_of(&mut chronicle, &send(2)), "conversation_log");

    let mut chronicle = begun();
    let users = SettingsRow::Users(UserNo(u64::MAX));
    change(&mut chronicle, SettingsKey::Users, &users);
    let issue = command(Ask::IssueToken {
        user: cast::user(7, 3, 1),
        unknown: Unknown::See,
        platform: 1,
        token: cast::token(1),
        expires: Time(9_999),
        ends: Vec::new(),
    });
    assert_corrupt(&error_of(&mut chronicle, &issue), "settings");

    let mut chronicle = begun();
    let devices = DevicesRow {
        last: DeviceNo(u32::MAX),
        devices: Vec::new(),
        furthest: Seq(0),
    };
    change(&mut chronicle, UserNo(1), &devices);
    let device = waybill_core::body::Body::Device {
        id: cast::device_id(9),
    };
    let seen = see_device(device.seal(cast::opening(5, 1)));
    assert_corrupt(&error_of(&mut chronicle, &seen), "devices");
}

/// What becomes a row must be what the row is made of. A writer that met such a body later, in a fold, would have to stop.
#[test]
fn a_command_with_a_body_of_another_kind_is_refused() {
    let mut chronicle = begun();
    let before = chronicle.clone();
    let opening = cast::opening(8, 1);
    let mut garbage = cast::profile(1).seal(opening);
    garbage.bytes = vec![0xff; 5];
    let bodies = [garbage, cast::message(1).seal(opening)];
    for body in bodies {
        let register = command(Ask::Register {
            user: cast::user(2, 8, 2),
            profile: body.clone(),
        });
        for stamped in [register, see_device(body)] {
            let step = chronicle.take(&[stamped]).remove(0);
            assert_eq!(step.answer, Err(Refusal::BadBody));
        }
    }
    assert_eq!(chronicle.state, before.state);
    assert_eq!(chronicle.tail, before.tail);
}

/// Folds one more record, with the stored value of a body.
fn fold(
    chronicle: &Chronicle,
    fact: Fact,
    commitment: Option<Hash>,
    stored: Option<&[u8]>,
) -> Result<rules::Applied, StateError> {
    let position = chronicle.tail.position.next();
    let record = Record::new(
        position,
        chronicle.tail.time,
        UserNo(0),
        Surface::Server,
        fact,
        commitment,
    );
    let mut overlay = Overlay::new(&chronicle.state);
    let mut tail = chronicle.tail;
    let bytes = record.encode().unwrap();
    rules::fold(&mut overlay, &mut tail, &record, &bytes, stored)
}

#[test]
fn a_fold_wants_a_commitment_exactly_where_a_body_belongs() {
    let chronicle = begun();
    let sealed = cast::message(1).seal(cast::opening(1, 1));
    let seen = Fact::UserSeen {
        user: UserNo(3),
        id: cast::token(3),
    };
    let policy = Fact::PolicyChanged(Policy::default());
    for (fact, commitment) in [(seen.clone(), None), (policy, Some(sealed.commitment))] {
        let error = fold(&chronicle, fact, commitment, None).unwrap_err();
        assert!(error.to_string().contains("commitment"), "{error}");
    }
    // And the body, where it still exists, must be of the fact's kind.
    let error = fold(
        &chronicle,
        seen,
        Some(sealed.commitment),
        Some(&sealed.stored()),
    )
    .unwrap_err();
    assert_corrupt(&error, "bodies");
}

#[test]
fn a_fold_refuses_erasures_of_what_no_earlier_record_has() {
    let chronicle = begun();
    let message = chronicle.tail.position;
    let erased = |position| fold(&chronicle, Fact::BodyErased { position }, None, None);
    erased(message).unwrap();
    // Genesis has no body; the others are the erasure itself and records to come.
    for position in [0, 1, message.0 + 1, message.0 + 2, u64::MAX] {
        let error = erased(Position(position)).unwrap_err();
        let expected = "it erases a body that no earlier record has";
        assert!(error.to_string().contains(expected), "{position}: {error}");
    }
}

#[test]
fn a_ledger_at_the_last_position_takes_nothing_more() {
    let mut chronicle = begun();
    chronicle.tail.position = Position(u64::MAX);
    let error = error_of(
        &mut chronicle,
        &command(Ask::ChangePolicy(Policy {
            unknown_receiver: waybill_core::policy::UnknownReceiver::Refuse,
        })),
    );
    assert!(matches!(error, StateError::Impossible { .. }), "{error}");
}
