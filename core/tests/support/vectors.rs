//! The golden vectors: values of every kind, each with its bytes and its fields.

use serde::Serialize;
use serde_json::{Value, json};
use waybill_core::body::{Body, Profile};
use waybill_core::codec;
use waybill_core::command::{Ask, Command, Stamped, Unknown};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Fact, MessageSent, Options, Revoked, Terms, pack_cursors};
use waybill_core::hash;
use waybill_core::id::{
    ConversationSeq, DeviceNo, Digest, Hash, KeyedHash, Position, Seq, Time, UserNo,
};
use waybill_core::outcome::{Answer, Outcome, Refusal, Sent};
use waybill_core::policy::{Policy, UnknownReceiver};
use waybill_core::record::{Record, Surface};

use super::script::{self, HASH_SECRET, ID_SECRET};
use super::vector_many;
use super::vector_restore;
use super::vector_status;
use super::vector_terms;
use super::{vector_hashes, vector_rows};

/// Bytes as hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A value's fields as JSON: byte strings as hexadecimal text, numbers as numbers.
pub fn fields<T: Serialize + ?Sized>(value: &T) -> Value {
    fn tidy(value: Value) -> Value {
        match value {
            // No list of numbers is longer than a cursor but one of bytes.
            Value::Array(list) if list.len() > 3 && list.iter().all(Value::is_u64) => {
                let bytes = list.iter().map(|byte| byte.as_u64().unwrap());
                let bytes: Vec<u8> = bytes.map(|byte| byte.try_into().unwrap()).collect();
                Value::String(hex(&bytes))
            }
            Value::Array(list) => Value::Array(list.into_iter().map(tidy).collect()),
            Value::Object(map) => Value::Object(
                map.into_iter()
                    .map(|(key, value)| (key, tidy(value)))
                    .collect(),
            ),
            other => other,
        }
    }
    tidy(serde_json::to_value(value).unwrap())
}

fn vector<T: Serialize + ?Sized>(value: &T) -> Value {
    json!({ "hex": hex(&codec::encode(value)), "value": fields(value) })
}

/// All vectors.
pub fn all() -> Value {
    json!({
        "about": "Golden vectors of ledger format 1 and views version 1. docs/formats.md describes every byte; \
                  tests/golden/check.py decodes them from that page alone.",
        "secrets": { "hash": hex(&HASH_SECRET), "message_id": hex(&ID_SECRET) },
        "plain": plain(),
        "facts": facts().iter().map(vector).collect::<Vec<_>>(),
        "records": records(),
        "refused_records": refused(),
        "bodies": bodies(),
        "commands": commands().iter().map(vector).collect::<Vec<_>>(),
        "answers": answers().iter().map(vector).collect::<Vec<_>>(),
        "rows": vector_rows::rows(),
        "conversation_keys": vector_rows::conversation_keys(),
        "commitments": vector_hashes::commitments(),
        "leafs": vector_hashes::leafs(),
        "chains": vector_hashes::chains(),
        "keyed_hashes": vector_hashes::keyed_hashes(),
        "dedup_keys": vector_hashes::dedup_keys(),
        "message_ids": vector_hashes::message_ids(),
    })
}

/// Plain values, to learn the encoding by.
fn plain() -> Value {
    fn of<T: Serialize>(kind: &str, values: &[T]) -> Vec<Value> {
        let vector =
            |value| json!({ "kind": kind, "hex": hex(&codec::encode(value)), "value": value });
        values.iter().map(vector).collect()
    }
    let u64s = [
        0,
        1,
        250,
        251,
        255,
        256,
        65_535,
        65_536,
        0xffff_ffff,
        0x1_0000_0000,
        u64::MAX,
    ];
    let i32s = [
        0,
        -1,
        1,
        -125,
        125,
        -126,
        126,
        32_767,
        -32_769,
        i32::MAX,
        i32::MIN,
    ];
    Value::Array(
        [
            of("u8", &[0_u8, 1, 250, 251, 255]),
            of("u16", &[0_u16, 250, 251, 65_535]),
            of("u32", &[0_u32, 250, 251, 65_535, 65_536, u32::MAX]),
            of("u64", &u64s),
            of("i32", &i32s),
            of("bool", &[false, true]),
            of("text", &["", "abc", "张三", &"x".repeat(251)]),
            of("option u64", &[None, Some(0_u64), Some(251)]),
            of("list of u64", &[vec![], vec![1_u64, 300]]),
        ]
        .concat(),
    )
}

/// A hash that looks like none.
pub fn wide_hash() -> Hash {
    Hash(std::array::from_fn(|at| 0xff - at as u8))
}

/// A keyed hash that looks like none.
pub fn keyed(first: u8) -> KeyedHash {
    KeyedHash(std::array::from_fn(|at| first.wrapping_add(at as u8)))
}

fn revocations() -> [Revoked; 3] {
    [
        Revoked::One(keyed(0x30)),
        Revoked::Platform(255),
        Revoked::All,
    ]
}

fn facts() -> Vec<Fact> {
    let message = MessageSent {
        conversation: Conversation::single(UserNo(300), UserNo(2)),
        sender: UserNo(300),
        content_type: 101,
        notification_type: 0,
        options_off: Options(0),
        echo: true,
        new_receiver: false,
        key: None,
        digest: Digest([1, 2, 3, 4, 5, 6, 7, 8]),
        terms: None,
    };
    let notice = MessageSent {
        conversation: Conversation::Notification {
            account: UserNo(1),
            receiver: UserNo(100_000),
        },
        sender: UserNo(1),
        content_type: 1400,
        notification_type: -2,
        options_off: Options(0x1ff),
        echo: false,
        new_receiver: true,
        key: Some(keyed(0x20)),
        digest: Digest([0xff; 8]),
        terms: Some(Terms {
            collapse: None,
            expires: None,
            not_before: Some(Time(1_700_000_200_000)),
        }),
    };
    let cursors = [
        (UserNo(1), DeviceNo(1), Seq(7)),
        (UserNo(1), DeviceNo(300), Seq(300)),
        (UserNo(70_001), DeviceNo(2), Seq(1 << 33)),
    ];
    let mut facts = vec![
        Fact::Genesis {
            epoch: script::epoch(),
            rules: 1,
        },
        Fact::RulesChanged { rules: 2 },
        Fact::PolicyChanged(Policy {
            unknown_receiver: UnknownReceiver::Accept,
        }),
        Fact::PolicyChanged(Policy {
            unknown_receiver: UnknownReceiver::Refuse,
        }),
        Fact::UserSeen {
            user: UserNo(251),
            id: keyed(0),
        },
        Fact::UserRegistered {
            user: UserNo(65_536),
        },
        Fact::DeviceSeen {
            user: UserNo(9),
            device: DeviceNo(1),
            id: keyed(0x10),
            platform: 255,
        },
        Fact::TokenIssued {
            user: UserNo(9),
            platform: 8,
            token: keyed(0x40),
            expires: Time(1_707_776_000_000),
        },
        Fact::MessageSent(message),
        Fact::MessageSent(notice),
        Fact::Reached {
            cursors: pack_cursors(&cursors),
            passed: Vec::new(),
        },
        Fact::BodyErased {
            position: Position(u64::MAX),
        },
    ];
    let revoked = revocations().map(|which| Fact::TokensRevoked {
        user: UserNo(2),
        which,
    });
    facts.extend(revoked);
    facts.extend(vector_many::facts());
    let user = UserNo(300);
    facts.extend([
        Fact::UserUpdated { user },
        Fact::UserUnregistered {
            user,
            turns: Vec::new(),
        },
        Fact::UserUnregistered {
            user,
            turns: vec![Position(251), Position(70_000)],
        },
        Fact::UserRegisteredAgain {
            user,
            turns: vec![Position(251)],
        },
        Fact::LogTrimmed {
            user,
            floor: Seq(251),
        },
    ]);
    facts.extend(vector_terms::facts());
    facts.extend(vector_status::facts());
    facts.push(vector_restore::fact());
    facts
}

fn record_values() -> Vec<Record> {
    let surfaces = [
        Surface::Server,
        Surface::NativeHttp,
        Surface::NativeQuic,
        Surface::OpenImV2,
        Surface::OpenImV3,
    ];
    let facts = facts().into_iter().zip(surfaces.into_iter().cycle());
    let records = facts.zip([1, 2, 250, 251, 70_000, 1 << 40].into_iter().cycle());
    records
        .map(|((fact, surface), position)| {
            let commitment = fact.has_body();
            Record::new(
                Position(position),
                Time(1_700_000_000_000 + position),
                UserNo(position % 5),
                surface,
                fact,
                commitment.then(wide_hash),
            )
        })
        .collect()
}

fn records() -> Value {
    let vector = |record: Record| {
        let bytes = record.encode().unwrap();
        json!({ "hex": hex(&bytes), "leaf": hash::leaf(&bytes).to_string(), "value": fields(&record) })
    };
    record_values().into_iter().map(vector).collect()
}

/// Bytes that are no record at position 7.
fn refused() -> Value {
    let fact = Fact::BodyErased {
        position: Position(5),
    };
    let record = Record::new(Position(7), Time(9), UserNo(0), Surface::Server, fact, None);
    let good = record.encode().unwrap();
    assert_eq!(good, [1, 7, 9, 0, 0, 10, 5, 0]);
    let changed = |at: usize, bytes: &[u8]| [&good[..at], bytes, &good[at + 1..]].concat();
    let cases = [
        ("the record of another position", changed(1, &[8])),
        ("a format version that is unknown", changed(0, &[2])),
        (
            "a number in more bytes than it needs",
            changed(2, &[251, 9, 0]),
        ),
        (
            "a number in more bytes than it needs",
            changed(2, &[253, 9, 0, 0, 0, 0, 0, 0, 0]),
        ),
        (
            "a marker that no number of this width has",
            changed(2, &[254; 17]),
        ),
        ("a surface that is unknown", changed(4, &[5])),
        ("a fact that is unknown", changed(5, &[33])),
        ("an option that is neither 0 nor 1", changed(7, &[2])),
        ("a byte too many", [&good[..], &[0]].concat()),
        ("a byte too few", good[..7].to_vec()),
        ("nothing", Vec::new()),
    ];
    let refused = cases.map(|(why, bytes)| {
        assert!(
            Record::decode_canonical(Position(7), &bytes).is_err(),
            "{why}"
        );
        json!({ "position": 7, "hex": hex(&bytes), "why": why })
    });
    Value::Array(refused.into())
}

fn bodies() -> Value {
    let bodies = [
        Body::User {
            id: "openIM123456".to_owned(),
        },
        Body::User {
            id: "李四".to_owned(),
        },
        Body::Profile(Profile {
            nickname: "张三".to_owned(),
            face_url: String::new(),
            rest: "{\"gender\":1}".to_owned(),
        }),
        Body::Device {
            id: "phone".to_owned(),
        },
        Body::Message(script::notice(1)),
        Body::Message(script::text(&"长".repeat(100))),
        Body::Audience {
            name: "全体员工".to_owned(),
        },
        Body::Refused {
            ids: vec!["a".to_owned(), "李四".to_owned()],
        },
    ];
    let bodies: Vec<Body> = bodies.into_iter().chain(vector_terms::bodies()).collect();
    let mut script = script::Script::new();
    let vector = |body: &Body| {
        let opening = script.opening();
        let sealed = body.seal(opening);
        json!({
            "hex": hex(&sealed.bytes),
            "value": fields(body),
            "opening": hex(&opening.0),
            "stored": hex(&sealed.stored()),
            "commitment": sealed.commitment.to_string(),
        })
    };
    bodies.iter().map(vector).collect()
}

/// The commands of the script that are not mere variations of others, and some that it has no use for.
fn commands() -> Vec<Stamped> {
    let mut commands = Vec::new();
    let mut known = Vec::new();
    for stamped in script::commands() {
        let kind = std::mem::discriminant(&stamped.command.ask);
        if known.iter().filter(|other| **other == kind).count() < 2 {
            known.push(kind);
            commands.push(stamped);
        }
    }
    let mut script = script::Script::new();
    let issue = Ask::IssueToken {
        user: script.user("u"),
        unknown: Unknown::See,
        platform: 3,
        token: script.token("t"),
        expires: Time(u64::MAX),
        ends: revocations().into(),
    };
    let revoke = |which| Ask::RevokeTokens {
        user: UserNo(4),
        which,
    };
    let reach = Ask::Reach {
        cursors: vec![
            (UserNo(300), DeviceNo(1), Seq(2)),
            (UserNo(4), DeviceNo(300), Seq(251)),
        ],
    };
    let asks = [
        issue,
        revoke(Revoked::Platform(1)),
        revoke(Revoked::All),
        reach,
    ];
    commands.extend(asks.map(|ask| Stamped {
        time: Time(0),
        command: Command {
            by: UserNo(1),
            surface: Surface::NativeQuic,
            ask,
        },
    }));
    commands
}

fn answers() -> Vec<Answer> {
    let sent = Sent {
        position: Position(1_000),
        time: Time(1_700_000_000_001),
        conversation_seq: ConversationSeq(3),
        receiver: UserNo(12),
        seq: Some(Seq(251)),
        new_receiver: true,
        repeated: false,
    };
    let again = Sent {
        seq: None,
        new_receiver: false,
        repeated: true,
        ..sent.clone()
    };
    let mut answers = vec![
        Ok(Outcome::Done),
        Ok(Outcome::Sent(sent)),
        Ok(Outcome::Sent(again)),
        Ok(Outcome::User {
            user: UserNo(7),
            new: true,
        }),
        Ok(Outcome::Device {
            device: DeviceNo(65),
        }),
    ];
    answers.extend(vector_many::outcomes().map(Ok));
    answers.extend(vector_terms::outcomes().map(Ok));
    answers.extend(vector_status::outcomes().map(Ok));
    let refusals = [
        Refusal::KeyReused,
        Refusal::UnknownReceiver,
        Refusal::UnknownUser,
        Refusal::AlreadyRegistered,
        Refusal::NothingToErase,
        Refusal::AlreadyFounded,
        Refusal::NotFounded,
        Refusal::BadRules,
        Refusal::TooLarge,
        Refusal::BadBody,
        Refusal::UnknownConversation,
        Refusal::BeyondConversation,
        Refusal::UnknownMessage,
        Refusal::BadSetting,
        Refusal::NamedTwice,
        Refusal::UnknownAudience,
        Refusal::AudienceState,
        Refusal::Underway,
        Refusal::Stale,
        Refusal::TooManyRunning,
        Refusal::BeyondLog,
        Refusal::Expired,
        Refusal::TooFarAhead,
        Refusal::Withdrawn,
        Refusal::BadEpoch,
    ];
    answers.extend(refusals.map(Err));
    answers
}
