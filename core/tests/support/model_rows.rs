//! The rows that the model says the views must consist of: all of them, and nothing else.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use waybill_core::epochs::Restore;
use waybill_core::fact::Withdrawal;
use waybill_core::id::{
    AudienceNo, ControlSeq, ConversationSeq, DeviceNo, Hash, Position, Seq, Time, UserNo,
};
use waybill_core::state::{
    AudienceMemberRow, AudienceNameRow, AudienceRow, ControlLogRow, ConversationLogRow,
    ConversationRow, DedupRow, DeviceNameRow, DeviceRow, DevicesRow, EarlyRow, EntryKind,
    ErasedRow, Errand, Family, FanoutChunkRow, FanoutRow, Key, MembershipRow, Numbered, ProfileRow,
    RefusedRow, RegistrationRow, RemovedRow, Row, RowKey, Running, SettingsKey, SettingsRow, Table,
    TokenCutRow, TokenRow, UserConversationRow, UserHeadRow, UserIdRow, UserLogRow, UserRow, Value,
    VersionRow,
};

use super::model::{Model, Person};
use super::model_restore::HOLE;
use super::{model_status, model_tend};

/// Rows by family and key.
pub type Rows = BTreeMap<(Family, Key), Value>;

/// How often a chain hash is kept with an entry.
const MARKS: usize = 64;

pub fn put<R: Row>(rows: &mut Rows, key: R::Key, row: R) {
    let before = rows.insert((R::FAMILY, key.key()), row.encode());
    assert_eq!(before, None, "the model has two rows of one key");
}

/// All rows.
pub fn rows(model: &Model) -> Rows {
    let mut rows = Rows::new();
    settings(model, &mut rows);
    for person in &model.people {
        directory(person, &mut rows);
        devices(person, &mut rows);
        log(model, person, &mut rows);
    }
    for token in &model.tokens {
        put(
            &mut rows,
            token.hash,
            TokenRow {
                position: Position(token.position),
                user: UserNo(token.user),
                platform: token.platform,
                expires: token.expires,
                revoked: token.revoked.map(Position),
            },
        );
    }
    conversations(model, &mut rows);
    readers(model, &mut rows);
    lists(model, &mut rows);
    fanouts(model, &mut rows);
    model_status::rows(model, &mut rows);
    for keyed in &model.keyed {
        let position = keyed.first.position;
        put(&mut rows, keyed.key, DedupRow { position });
    }
    for (whose, by) in &model.erased {
        let position = Position(*by);
        put(&mut rows, Position(*whose), ErasedRow { position });
    }
    rows
}

fn settings(model: &Model, rows: &mut Rows) {
    let Some(epoch) = model.epoch else {
        return;
    };
    put(rows, SettingsKey::Genesis, SettingsRow::Genesis(epoch));
    put(rows, SettingsKey::Rules, SettingsRow::Rules(1));
    if !model.restores.is_empty() {
        let restores = model.restores.iter().map(|restored| Restore {
            position: Position(restored.position),
            epoch: restored.epoch,
            gap: restored.gap,
        });
        let row = SettingsRow::Restores(restores.collect());
        put(rows, SettingsKey::Restores, row);
    }
    if let Some(policy) = model.policy {
        put(rows, SettingsKey::Policy, SettingsRow::Policy(policy));
    }
    if let Some(last) = model.people.last() {
        let last = UserNo(last.number);
        put(rows, SettingsKey::Users, SettingsRow::Users(last));
    }
}

fn directory(person: &Person, rows: &mut Rows) {
    let user = UserNo(person.number);
    let position = Position(person.seen_at);
    put(rows, person.hash, UserIdRow { position, user });
    if let Some(id) = person.id.clone() {
        put(rows, user, UserRow { position, id });
    }
    if let Some(position) = person.registered_at.map(Position) {
        let turns = person.turns.iter().copied().map(Position).collect();
        put(rows, user, RegistrationRow { position, turns });
    }
    if let Some((position, profile)) = person.profile.clone() {
        let position = Position(position);
        put(rows, user, ProfileRow { position, profile });
    }
    if person.all_cut > 0 || !person.platform_cuts.is_empty() {
        let cuts = person.platform_cuts.iter();
        put(
            rows,
            user,
            TokenCutRow {
                all: Position(person.all_cut),
                platforms: cuts
                    .map(|(platform, cut)| (*platform, Position(*cut)))
                    .collect(),
            },
        );
    }
}

fn devices(person: &Person, rows: &mut Rows) {
    let user = UserNo(person.number);
    if person.devices_given > 0 {
        let devices = person.devices.iter().map(|device| DeviceRow {
            device: DeviceNo(device.number),
            id: device.hash,
            platform: device.platform,
            reached: Seq(device.reached),
            heard: Position(device.heard),
        });
        put(
            rows,
            user,
            DevicesRow {
                last: DeviceNo(person.devices_given),
                devices: devices.collect(),
                furthest: Seq(person.furthest),
            },
        );
    }
    for (device, position, id) in &person.device_names {
        put(
            rows,
            (user, DeviceNo(*device)),
            DeviceNameRow {
                position: Position(*position),
                id: id.clone(),
            },
        );
    }
}

fn log(model: &Model, person: &Person, rows: &mut Rows) {
    if person.log.is_empty() {
        return;
    }
    let user = person.number.to_be_bytes();
    let epoch = model.epoch.expect("nobody has a log before the founding");
    let mut chain: [u8; 32] =
        Sha256::digest([b"waybill/log/1", epoch.0.as_slice(), &user].concat()).into();
    let mut control = 0;
    person
        .holes
        .put(Numbered::User(UserNo(person.number)), rows);
    for (index, entry) in person.log.iter().enumerate() {
        let seq = index as u64 + 1;
        if entry.kind == HOLE {
            control += 1;
            continue;
        }
        let leaf_at = |position: u64| {
            let record = &model.ledger[position as usize - 1].bytes;
            Sha256::digest([&[0], record.as_slice()].concat())
        };
        let leaf = leaf_at(entry.position);
        let message_leaf = leaf_at(entry.message.unwrap_or(entry.position));
        let link = [
            &chain[..],
            &seq.to_be_bytes(),
            &[entry.kind],
            &leaf,
            &message_leaf,
        ]
        .concat();
        chain = Sha256::digest(link).into();
        put(
            rows,
            (UserNo(person.number), Seq(seq)),
            UserLogRow {
                position: Position(entry.position),
                kind: KINDS[usize::from(entry.kind) - 1],
                message: entry.message.map(Position),
                conversation_seq: ConversationSeq(entry.conversation_seq),
                ahead_ms: u16::try_from(entry.ahead).unwrap(),
                mark: ((index + 1) % MARKS == 0).then_some(Hash(chain)),
            },
        );
        if entry.kind != 1 {
            control += 1;
            let row = ControlLogRow {
                position: Position(entry.position),
                seq: Seq(seq),
            };
            put(rows, (UserNo(person.number), ControlSeq(control)), row);
        }
    }
    put(
        rows,
        UserNo(person.number),
        UserHeadRow {
            control: ControlSeq(control),
            head: Seq(person.log.len() as u64),
            floor: Seq(person.floor),
            chain: Hash(chain),
        },
    );
}

fn lists(model: &Model, rows: &mut Rows) {
    let mut newest = BTreeMap::new();
    for (audience, list) in (1..).map(AudienceNo).zip(&model.lists) {
        let counts = list.refused.iter().map(|(_, count)| u64::from(*count));
        let row = AudienceRow {
            begun: Position(list.begun),
            by: UserNo(list.by),
            name: list.name,
            lines: list.lines,
            members: list.members.len() as u64,
            refused: counts.sum(),
            complete: list.complete.map(Position),
        };
        put(rows, audience, row);
        for (user, by) in &list.members {
            let position = Position(*by);
            put(
                rows,
                (audience, UserNo(*user)),
                AudienceMemberRow { position },
            );
        }
        for (by, count) in &list.refused {
            let (position, count) = (Position(*by), *count);
            put(rows, (audience, position), RefusedRow { position, count });
        }
        if let Some(complete) = list.complete {
            let slot = newest.entry(list.name).or_insert((complete, audience));
            *slot = (*slot).max((complete, audience));
        }
    }
    for (name, (_, audience)) in newest {
        put(rows, name, AudienceNameRow { audience });
    }
    if !model.lists.is_empty() {
        let last = AudienceNo(model.lists.len() as u64);
        put(rows, SettingsKey::Audiences, SettingsRow::Audiences(last));
    }
}

fn fanouts(model: &Model, rows: &mut Rows) {
    for fanout in &model.fanouts {
        let message = Position(fanout.position);
        let row = FanoutRow {
            next: UserNo(fanout.next),
            delivered: fanout.served.len() as u64,
            early: fanout.early.len() as u64,
            cut: fanout.cut.map(UserNo),
            recalled: fanout.recalled,
            since: message,
            since_time: Time(fanout.record_time),
            done: fanout.cut.unwrap_or(fanout.next) == 0,
            withdrawn: fanout.withdrawn.map(Position),
        };
        put(rows, message, row);
        for user in &fanout.early {
            let position = Position(fanout.served[user]);
            put(rows, (message, UserNo(*user)), EarlyRow { position });
        }
        for (last, position) in &fanout.chunks {
            let position = Position(*position);
            put(rows, (message, UserNo(*last)), FanoutChunkRow { position });
        }
    }
    let running = model.fanouts.iter().filter(|fanout| fanout.runs);
    let running = running.map(|fanout| Running {
        message: Position(fanout.position),
        sender: UserNo(fanout.sender),
        kind: fanout.kind,
        since: Position(fanout.position),
        errand: match fanout.cut {
            Some(_) => Errand::Withdraw(Withdrawal::Recalled),
            None => Errand::Deliver,
        },
    });
    if !model.fanouts.is_empty() {
        let row = SettingsRow::Running(running.collect());
        put(rows, SettingsKey::Running, row);
    }
}

/// What an entry tells, in the order of the numbers.
const KINDS: [EntryKind; 7] = [
    EntryKind::Message,
    EntryKind::Read,
    EntryKind::Settings,
    EntryKind::Recalled,
    EntryKind::Removed,
    EntryKind::Cleared,
    EntryKind::Marked,
];

fn readers(model: &Model, rows: &mut Rows) {
    let mut versions = BTreeMap::new();
    for talk in &model.talks {
        let first = talk.messages.iter().find(|said| !said.hole).unwrap();
        let begun = Position(first.position);
        for (user, reader) in &talk.readers {
            let (number, user) = (*user, UserNo(*user));
            let position = begun;
            put(rows, (user, talk.name), UserConversationRow { position });
            let version = versions.entry(number).or_insert(begun);
            *version = begun.max(*version).max(Position(reader.set_by));
            if reader.touched {
                let row = MembershipRow {
                    read: ConversationSeq(reader.read),
                    read_counted: model_tend::counted(talk, reader.read),
                    removed: model_tend::removed(talk, number),
                    cleared: ConversationSeq(reader.cleared),
                    until: None,
                    pinned: reader.pinned,
                    receive_option: reader.receive_option,
                    hidden_at: ConversationSeq(reader.hidden_at),
                };
                put(rows, (user, talk.name), row);
            }
            for (seq, gone) in &reader.gone {
                let row = RemovedRow {
                    position: Position(gone.by),
                    counted: gone.was_unread,
                    by_user: gone.by_reader,
                };
                put(rows, (user, talk.name, ConversationSeq(*seq)), row);
            }
        }
    }
    for (user, position) in versions {
        let key = (UserNo(user), Table::Conversations);
        put(rows, key, VersionRow { position });
    }
}

fn conversations(model: &Model, rows: &mut Rows) {
    for talk in &model.talks {
        let last = talk.messages.last().expect("it began with a message");
        put(
            rows,
            talk.name,
            ConversationRow {
                head: ConversationSeq(talk.messages.len() as u64),
                counted: model_tend::counted(talk, u64::MAX),
                last: Position(last.message.unwrap_or(last.position)),
                last_time: Time(last.shown),
            },
        );
        talk.holes.put(Numbered::Conversation(talk.name), rows);
        for (seq, said) in (1..).map(ConversationSeq).zip(&talk.messages) {
            if said.hole {
                continue;
            }
            put(
                rows,
                (talk.name, seq),
                ConversationLogRow {
                    position: Position(said.position),
                    message: said.message.map(Position),
                    ahead_ms: u16::try_from(said.shown - said.record_time).unwrap(),
                    notification_type: said.notification_type,
                    counted: model_tend::counted(talk, seq.0),
                    recalled_by: said.recalled_by.map(Position),
                    changed_by: said.changed_by.map(Position),
                },
            );
        }
    }
}
