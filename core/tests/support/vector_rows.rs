//! The golden vectors of the views: a row or two of every family.

use serde_json::{Value, json};
use waybill_core::body::Profile;
use waybill_core::conversation::Conversation;
use waybill_core::fact::{ConversationKind, Withdrawal};
use waybill_core::id::{
    AudienceNo, ControlSeq, ConversationSeq, DeviceNo, KeyedHash, Position, Seq, StatusNo, Time,
    UserNo,
};
use waybill_core::policy::{Policy, UnknownReceiver};
use waybill_core::state::{
    AudienceMemberRow, AudienceNameRow, AudienceRow, ChangesRow, CollapseRow, ControlLogRow,
    ConversationLogRow, ConversationRow, DedupRow, DeviceNameRow, DeviceRow, DevicesRow, EarlyRow,
    EntryKind, ErasedRow, Errand, FanoutChunkRow, FanoutRow, MembershipRow, ProfileRow, RefusedRow,
    RegistrationRow, RemovedRow, Row, RowKey, Running, SettingsKey, SettingsRow, StatusPlace,
    StatusState, Table, TimerKind, TimerRow, TokenCutRow, TokenRow, UserConversationRow,
    UserHeadRow, UserIdRow, UserLogRow, UserRow, VersionRow,
};

use super::script;
use super::vector_restore;
use super::vector_status;
use super::vectors::{fields, hex, keyed, wide_hash};

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

/// All rows.
pub fn rows() -> Value {
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
        (
            SettingsKey::Running,
            SettingsRow::Running(vec![Running {
                message: Position(1_000),
                sender: UserNo(300),
                kind: ConversationKind::Notification,
                since: Position(1_000),
                errand: Errand::Withdraw(Withdrawal::Expired),
            }]),
        ),
        (
            SettingsKey::Audiences,
            SettingsRow::Audiences(AudienceNo(2)),
        ),
        (SettingsKey::Tracked, vector_status::tracked()),
        (SettingsKey::Restores, vector_restore::restores()),
    ];
    let mut rows: Vec<Value> = settings
        .iter()
        .map(|(key, value)| row(*key, json!([*key as u8]), value))
        .collect();
    rows.extend(directory_rows());
    rows.extend(token_rows());
    rows.extend(log_rows());
    rows.extend(reader_rows());
    rows.extend(fanout_rows());
    rows.extend(terms_rows());
    rows.extend(status_rows());
    rows.extend(gap_rows());
    Value::Array(rows)
}

/// What is due, what gives way, what was changed.
fn terms_rows() -> Vec<Value> {
    let session = Conversation::Notification {
        account: UserNo(1),
        receiver: UserNo(300),
    };
    let parts = |rest: Value| {
        let name = json!({ "Notification": { "account": 1, "receiver": 300 } });
        json!([name, rest])
    };
    let (time, position) = (Time(1_700_000_100_000), Position(1_000));
    let seq = ConversationSeq(251);
    let timer = |due| {
        let key = json!([time.0, position.0]);
        row((time, position), key, &TimerRow { position, due })
    };
    let changes = ChangesRow {
        content: Some(Position(1_005)),
        status_line: None,
    };
    vec![
        timer(TimerKind::Release),
        timer(TimerKind::Expire),
        row(
            (session, [8, 7, 6, 5, 4, 3, 2, 1]),
            parts(json!("0807060504030201")),
            &CollapseRow {
                conversation_seq: seq,
            },
        ),
        row((session, seq), parts(json!(251)), &changes),
    ]
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
        furthest: Seq(2_000),
    };
    let profile = Profile {
        nickname: "张三".to_owned(),
        face_url: "http://www.head.com".to_owned(),
        rest: String::new(),
    };
    let turned = RegistrationRow {
        position,
        turns: vec![Position(251), Position(70_000)],
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
        row(user, number.clone(), &RegistrationRow::new(position)),
        row(user, number.clone(), &turned),
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
        control: ControlSeq(2),
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
        counted: 3,
        last: Position(1_000),
        last_time: Time(1_700_000_000_000),
    };
    let said = ConversationLogRow {
        position: Position(1_000),
        message: None,
        ahead_ms: 3,
        notification_type: 7,
        counted: 2,
        recalled_by: None,
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

/// What users make of their conversations.
fn reader_rows() -> Vec<Value> {
    let user = UserNo(2);
    let session = Conversation::Notification {
        account: UserNo(300),
        receiver: user,
    };
    let position = Position(1_002);
    let membership = MembershipRow {
        read: ConversationSeq(4),
        read_counted: 3,
        removed: 1,
        cleared: ConversationSeq(2),
        until: None,
        pinned: true,
        receive_option: 2,
        hidden_at: ConversationSeq(0),
    };
    let left = MembershipRow {
        until: Some(ConversationSeq(300)),
        ..MembershipRow::default()
    };
    let chat = Conversation::single(user, UserNo(300));
    let removed = RemovedRow {
        position,
        counted: true,
        by_user: false,
    };
    vec![
        row((user, session), json!([2, fields(&session)]), &membership),
        row((user, chat), json!([2, fields(&chat)]), &left),
        row(
            (user, session),
            json!([2, fields(&session)]),
            &UserConversationRow { position },
        ),
        row(
            (user, session, ConversationSeq(5)),
            json!([2, fields(&session), 5]),
            &removed,
        ),
        row(
            (user, ControlSeq(2)),
            json!([2, 2]),
            &ControlLogRow {
                position,
                seq: Seq(64),
            },
        ),
        row(
            (user, Table::Conversations),
            json!([2, 1]),
            &VersionRow { position },
        ),
    ]
}

/// Messages on their way to many, and audiences.
fn fanout_rows() -> Vec<Value> {
    let (message, user) = (Position(1_000), UserNo(300));
    let position = Position(1_003);
    let audience = AudienceNo(2);
    let fanout = FanoutRow {
        next: UserNo(251),
        delivered: 1_000,
        early: 1,
        cut: Some(UserNo(301)),
        recalled: 250,
        since: Position(1_000),
        since_time: Time(1_700_000_000_000),
        done: true,
        withdrawn: Some(Position(1_002)),
    };
    let list = AudienceRow {
        begun: Position(998),
        by: UserNo(1),
        name: keyed(0x50),
        lines: 1_000,
        members: 997,
        refused: 2,
        complete: None,
    };
    let pair = json!([1_000, 300]);
    vec![
        row(message, json!([1_000]), &fanout),
        row((message, user), pair.clone(), &FanoutChunkRow { position }),
        row((message, user), pair, &EarlyRow { position }),
        row(audience, json!([2]), &list),
        row(
            keyed(0x50),
            json!([hex(&keyed(0x50).0)]),
            &AudienceNameRow { audience },
        ),
        row(
            (audience, user),
            json!([2, 300]),
            &AudienceMemberRow { position },
        ),
        row(
            (audience, position),
            json!([2, 1_003]),
            &RefusedRow { position, count: 2 },
        ),
    ]
}

/// Conversations as keys.
pub fn conversation_keys() -> Value {
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

fn gap_rows() -> impl Iterator<Item = Value> {
    let gaps = vector_restore::gaps().into_iter();
    gaps.map(|(log, parts, gap)| {
        let key = (log, Position(1_001));
        row(key, json!([parts, 1_001]), &gap)
    })
}

fn status_rows() -> Vec<Value> {
    let [opened, confirmed] = vector_status::marks();
    let [delivered, marked] = vector_status::changes();
    let (account, receiver) = (UserNo(1), UserNo(12));
    let place = StatusPlace {
        account,
        receiver,
        kind: ConversationKind::Notification,
        state: StatusState::Read,
        up_to: ConversationSeq(251),
    };
    let mark = |message| (Position(message), receiver);
    vec![
        row(mark(1_000), json!([1_000, 12]), &opened),
        row(mark(1_001), json!([1_001, 12]), &confirmed),
        row(account, json!([1]), &vector_status::account()),
        row((account, StatusNo(299)), json!([1, 299]), &delivered),
        row((account, StatusNo(300)), json!([1, 300]), &marked),
        row(place, json!([1, 12, 2, 2, 251]), &vector_status::time()),
    ]
}
