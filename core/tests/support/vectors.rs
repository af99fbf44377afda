//! The golden vectors: values of every kind, each with its bytes and its fields.

use serde::Serialize;
use serde_json::{Value, json};
use waybill_core::body::{Body, Profile};
use waybill_core::codec;
use waybill_core::command::{Ask, Command, Stamped, Unknown};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Fact, MessageSent, Options, Revoked, pack_cursors};
use waybill_core::hash::{self, Domain, HashKey};
use waybill_core::id::{
    ConversationSeq, DeviceNo, Digest, Hash, KeyedHash, Opening, Position, Seq, Time, UserNo,
};
use waybill_core::message_id::{CLIENT_ORDINAL, MessageIdKey, MessageRef};
use waybill_core::outcome::{Answer, Outcome, Refusal, Sent};
use waybill_core::policy::{Policy, UnknownReceiver};
use waybill_core::record::{Record, Surface};
use waybill_core::state::{
    ConversationLogRow, ConversationRow, DedupRow, DeviceNameRow, DeviceRow, DevicesRow, EntryKind,
    ErasedRow, ProfileRow, RegistrationRow, Row, RowKey, SettingsKey, SettingsRow, TokenCutRow,
    TokenRow, UserHeadRow, UserIdRow, UserLogRow, UserRow,
};

use super::script::{self, HASH_SECRET, ID_SECRET};

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A value's fields as JSON: byte strings as hexadecimal text, numbers as numbers.
fn fields<T: Serialize + ?Sized>(value: &T) -> Value {
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
        "rows": rows(),
        "conversation_keys": conversation_keys(),
        "commitments": commitments(),
        "leafs": leafs(),
        "chains": chains(),
        "keyed_hashes": keyed_hashes(),
        "dedup_keys": dedup_keys(),
        "message_ids": message_ids(),
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

fn wide_hash() -> Hash {
    Hash(std::array::from_fn(|at| 0xff - at as u8))
}

fn keyed(first: u8) -> KeyedHash {
    KeyedHash(std::array::from_fn(|at| first.wrapping_add(at as u8)))
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
    };
    let cursors = [
        (UserNo(1), DeviceNo(1), Seq(7)),
        (UserNo(1), DeviceNo(300), Seq(300)),
        (UserNo(70_001), DeviceNo(2), Seq(1 << 33)),
    ];
    let revoked = [
        Revoked::One(keyed(0x30)),
        Revoked::Platform(255),
        Revoked::All,
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
        },
        Fact::BodyErased {
            position: Position(u64::MAX),
        },
    ];
    let revoked = revoked.map(|which| Fact::TokensRevoked {
        user: UserNo(2),
        which,
    });
    facts.extend(revoked);
    facts
}

fn record_values() -> Vec<Record> {
    let surfaces = [
        Surface::Server,
        Surface::NativeHttp,
        Surface::NativeQuic,
        Surface::OpenImV2,
    ];
    let facts = facts().into_iter().zip(surfaces.into_iter().cycle());
    let records = facts.zip([1, 2, 250, 251, 70_000, 1 << 40].into_iter().cycle());
    records
        .map(|((fact, surface), position)| {
            let commitment = matches!(
                fact,
                Fact::UserSeen { .. }
                    | Fact::UserRegistered { .. }
                    | Fact::DeviceSeen { .. }
                    | Fact::MessageSent(_)
            );
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
        ("a surface that is unknown", changed(4, &[4])),
        ("a fact that is unknown", changed(5, &[11])),
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
    ];
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
    ];
    answers.extend(refusals.map(Err));
    answers
}

fn row<R: Row>(key: R::Key, parts: Value, row: &R) -> Value {
    json!({
        "family": R::FAMILY.name(),
        "number": R::FAMILY as u8,
        "key": hex(key.key().as_slice()),
        "key_parts": parts,
        "hex": hex(&row.encode()),
        "value": fields(row),
    })
}

fn rows() -> Value {
    let settings = [
        (SettingsKey::Genesis, SettingsRow::Genesis(script::epoch())),
        (SettingsKey::Rules, SettingsRow::Rules(1)),
        (
            SettingsKey::Policy,
            SettingsRow::Policy(Policy {
                unknown_receiver: UnknownReceiver::Refuse,
            }),
        ),
        (SettingsKey::Users, SettingsRow::Users(UserNo(300))),
    ];
    let mut rows: Vec<Value> = settings
        .iter()
        .map(|(key, value)| row(*key, json!([*key as u8]), value))
        .collect();
    rows.extend(directory_rows());
    rows.extend(token_rows());
    rows.extend(log_rows());
    Value::Array(rows)
}

fn directory_rows() -> Vec<Value> {
    let position = Position(251);
    let user = UserNo(258);
    let number = json!([258]);
    let device = |device, seq| DeviceRow {
        device: DeviceNo(device),
        id: keyed(device as u8),
        platform: 2,
        reached: Seq(seq),
        heard: position,
    };
    let devices = DevicesRow {
        last: DeviceNo(70),
        devices: vec![device(1, 0), device(70, 1_000)],
    };
    let profile = Profile {
        nickname: "张三".to_owned(),
        face_url: "http://www.head.com".to_owned(),
        rest: String::new(),
    };
    let id = "李四".to_owned();
    let name = DeviceNameRow {
        position,
        id: "phone".to_owned(),
    };
    vec![
        row(
            keyed(1),
            json!([hex(&keyed(1).0)]),
            &UserIdRow { position, user },
        ),
        row(user, number.clone(), &UserRow { position, id }),
        row(user, number.clone(), &RegistrationRow { position }),
        row(user, number.clone(), &ProfileRow { position, profile }),
        row(user, number, &devices),
        row((user, DeviceNo(513)), json!([258, 513]), &name),
    ]
}

fn token_rows() -> Vec<Value> {
    let token = TokenRow {
        position: Position(300),
        user: UserNo(2),
        platform: 8,
        expires: Time(1_707_776_000_000),
        revoked: None,
    };
    let revoked = TokenRow {
        revoked: Some(Position(301)),
        ..token
    };
    let cuts = TokenCutRow {
        all: Position(9),
        platforms: vec![(1, Position(10)), (255, Position(300))],
    };
    let parts = |hash: KeyedHash| json!([hex(&hash.0)]);
    vec![
        row(keyed(5), parts(keyed(5)), &token),
        row(keyed(6), parts(keyed(6)), &revoked),
        row(UserNo(2), json!([2]), &cuts),
        row(UserNo(3), json!([3]), &TokenCutRow::default()),
    ]
}

fn log_rows() -> Vec<Value> {
    let conversation = Conversation::single(UserNo(9), UserNo(3));
    let session = Conversation::Notification {
        account: UserNo(9),
        receiver: UserNo(3),
    };
    let head = UserHeadRow {
        head: Seq(64),
        floor: Seq(1),
        chain: wide_hash(),
    };
    let entry = UserLogRow {
        position: Position(1_000),
        kind: EntryKind::Message,
        message: None,
        conversation_seq: ConversationSeq(4),
        ahead_ms: 0,
        mark: None,
    };
    let marked = UserLogRow {
        message: Some(Position(990)),
        ahead_ms: 1_000,
        mark: Some(wide_hash()),
        ..entry
    };
    let end = ConversationRow {
        head: ConversationSeq(4),
        last: Position(1_000),
        last_time: Time(1_700_000_000_000),
    };
    let said = ConversationLogRow {
        position: Position(1_000),
        ahead_ms: 3,
        changed_by: None,
    };
    let erased = ConversationLogRow {
        changed_by: Some(Position(1_001)),
        ..said
    };
    let position = Position(1_001);
    vec![
        row(UserNo(3), json!([3]), &head),
        row((UserNo(3), Seq(63)), json!([3, 63]), &entry),
        row((UserNo(3), Seq(64)), json!([3, 64]), &marked),
        row(conversation, json!([fields(&conversation)]), &end),
        row(
            (conversation, ConversationSeq(4)),
            json!([fields(&conversation), 4]),
            &said,
        ),
        row(
            (session, ConversationSeq(5)),
            json!([fields(&session), 5]),
            &erased,
        ),
        row(
            keyed(7),
            json!([hex(&keyed(7).0)]),
            &DedupRow {
                position: Position(1_000),
            },
        ),
        row(Position(1_000), json!([1_000]), &ErasedRow { position }),
    ]
}

fn conversation_keys() -> Value {
    let conversations = [
        Conversation::single(UserNo(300), UserNo(2)),
        Conversation::single(UserNo(2), UserNo(2)),
        Conversation::Notification {
            account: UserNo(300),
            receiver: UserNo(2),
        },
    ];
    let vector = |conversation: &Conversation| json!({ "conversation": fields(conversation), "key": hex(&conversation.key()) });
    conversations.iter().map(vector).collect()
}

fn commitments() -> Value {
    let texts: [&[u8]; 3] = [b"", b"hello", &[0xff; 100]];
    let opening = Opening(script::ascending());
    let vector = |body: &&[u8]| {
        let commitment = hash::commitment(&opening, body).to_string();
        json!({ "opening": hex(&opening.0), "body": hex(body), "commitment": commitment })
    };
    texts.iter().map(vector).collect()
}

fn leafs() -> Value {
    let texts: [&[u8]; 3] = [b"", b"abc", &[1, 2, 3]];
    let vector =
        |text: &&[u8]| json!({ "record": hex(text), "leaf": hash::leaf(text).to_string() });
    texts.iter().map(vector).collect()
}

fn chains() -> Value {
    let user = UserNo(258);
    let start = hash::chain_start(&script::epoch(), user);
    let (one, two) = (hash::leaf(b"one"), hash::leaf(b"two"));
    let first = hash::chain_link(&start, Seq(1), 1, &one, &one);
    let second = hash::chain_link(&first, Seq(2), 1, &two, &one);
    let link = |seq: u64, delivering: Hash, message: Hash, chain: Hash| {
        json!({
            "seq": seq, "kind": 1, "delivering": delivering.to_string(),
            "message": message.to_string(), "chain": chain.to_string(),
        })
    };
    json!({
        "epoch": script::epoch().to_string(),
        "user": 258,
        "start": start.to_string(),
        "links": [link(1, one, one, first), link(2, two, one, second)],
    })
}

fn keyed_hashes() -> Value {
    let key = HashKey::new(&HASH_SECRET);
    let cases: [(Domain, &[&[u8]]); 6] = [
        (Domain::User, &[b"openIM123456"]),
        (Domain::User, &["李四".as_bytes()]),
        (Domain::Device, &[b"18712345678", b"phone"]),
        (Domain::Token, &[b"android token"]),
        (Domain::Conversation, &[&[2], b"18712345678"]),
        (Domain::Request, &[b"any", b"", b"parts"]),
    ];
    let vector = |(domain, parts): &(Domain, &[&[u8]])| {
        json!({
            "domain": *domain as u8,
            "parts": parts.iter().map(|part| hex(part)).collect::<Vec<_>>(),
            "hash": key.hash(*domain, parts).to_string(),
        })
    };
    cases.iter().map(vector).collect()
}

fn dedup_keys() -> Value {
    let key = HashKey::new(&HASH_SECRET);
    let vector = |kind: u8, receiver: &str| {
        let dedup = key.dedup("openIM123456", "notice-1", &[&[kind], receiver.as_bytes()]);
        json!({
            "sender": "openIM123456", "key": "notice-1", "kind": kind, "receiver": receiver,
            "hash": dedup.to_string(),
        })
    };
    json!([
        vector(1, "18712345678"),
        vector(2, "18712345678"),
        vector(2, "李四")
    ])
}

fn message_ids() -> Value {
    let key = MessageIdKey::new(&ID_SECRET);
    let message = |epoch, partition, position, ordinal| MessageRef {
        epoch,
        partition,
        position: Position(position),
        ordinal,
    };
    let messages = [
        message(0x0011, 0x2233, 0x4455_6677_8899_aabb, 0xccdd_eeff),
        message(1, 0, 1, 0),
        message(1, 0, 10_000_000, 0),
        message(1, 0, 10_000_000, CLIENT_ORDINAL),
        message(2, 1, 0, 12),
    ];
    let vector = |message: &MessageRef| {
        json!({
            "epoch": message.epoch, "partition": message.partition, "position": message.position.0,
            "ordinal": message.ordinal, "id": key.id(message),
        })
    };
    messages.iter().map(vector).collect()
}
