//! The rows that the model says the views must consist of: all of them, and nothing else.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use waybill_core::id::{ConversationSeq, DeviceNo, Hash, Position, Seq, Time, UserNo};
use waybill_core::state::{
    ConversationLogRow, ConversationRow, DedupRow, DeviceNameRow, DeviceRow, DevicesRow, EntryKind,
    ErasedRow, Family, Key, ProfileRow, RegistrationRow, Row, RowKey, SettingsKey, SettingsRow,
    TokenCutRow, TokenRow, UserHeadRow, UserIdRow, UserLogRow, UserRow, Value,
};

use super::model::{Model, Person};

/// Rows by family and key.
pub type Rows = BTreeMap<(Family, Key), Value>;

/// How often a chain hash is kept with an entry.
const MARKS: usize = 64;

fn put<R: Row>(rows: &mut Rows, key: R::Key, row: R) {
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
        put(rows, user, RegistrationRow { position });
        if let Some(profile) = person.profile.clone() {
            put(rows, user, ProfileRow { position, profile });
        }
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
    for (index, entry) in person.log.iter().enumerate() {
        let seq = index as u64 + 1;
        let record = &model.ledger[entry.position as usize - 1].bytes;
        let leaf = Sha256::digest([&[0], record.as_slice()].concat());
        let link = [&chain[..], &seq.to_be_bytes(), &[1], &leaf, &leaf].concat();
        chain = Sha256::digest(link).into();
        put(
            rows,
            (UserNo(person.number), Seq(seq)),
            UserLogRow {
                position: Position(entry.position),
                kind: EntryKind::Message,
                message: None,
                conversation_seq: ConversationSeq(entry.conversation_seq),
                ahead_ms: u16::try_from(entry.ahead).unwrap(),
                mark: ((index + 1) % MARKS == 0).then_some(Hash(chain)),
            },
        );
    }
    put(
        rows,
        UserNo(person.number),
        UserHeadRow {
            head: Seq(person.log.len() as u64),
            floor: Seq(1),
            chain: Hash(chain),
        },
    );
}

fn conversations(model: &Model, rows: &mut Rows) {
    for talk in &model.talks {
        let last = talk.messages.last().expect("it began with a message");
        put(
            rows,
            talk.name,
            ConversationRow {
                head: ConversationSeq(talk.messages.len() as u64),
                last: Position(last.position),
                last_time: Time(last.shown),
            },
        );
        for (seq, said) in (1..).map(ConversationSeq).zip(&talk.messages) {
            put(
                rows,
                (talk.name, seq),
                ConversationLogRow {
                    position: Position(said.position),
                    ahead_ms: u16::try_from(said.shown - said.record_time).unwrap(),
                    changed_by: said.erased_by.map(Position),
                },
            );
        }
    }
}
