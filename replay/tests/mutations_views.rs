//! Whatever is changed in the views behind the program's back is found, and its place is named.

mod support;

use support::{Copy, at, clean, closed, found, names};
use waybill_core::conversation::Conversation;
use waybill_core::fact::Fact;
use waybill_core::id::{ConversationSeq, DeviceNo, Hash, KeyedHash, Position, Seq};
use waybill_core::record::Record;
use waybill_core::state::{
    ConversationLogRow, ConversationRow, DedupRow, DevicesRow, FAMILIES, Family, ProfileRow,
    RowKey, TokenRow, UserHeadRow, UserLogRow, UserRow,
};
use waybill_replay::verify::Class;

const RECORDS: &str = "records";
const FAMILY_OF_MARK: &str = "default";
const MARK: &[u8] = b"mark";

/// The seq of the n-th notice in ann's log.
fn seq_of(n: usize) -> u64 {
    closed().notices[n].seq.expect("a seq").0
}

fn record(rows: &support::Rows, position: u64) -> Record {
    let bytes = rows.get(RECORDS, &at(position)).expect("a record");
    Record::decode(Position(position), &bytes).expect("decodes")
}

#[test]
fn a_changed_user_log_is_named_by_user_and_seq() {
    let world = closed();
    let (ann, seq) = (world.ann, Seq(seq_of(80)));
    let log = |what: &str| format!("log of user {ann}, {what}");
    let row = format!("views, user_log, user {ann}, seq {seq}");
    let copy = Copy::new().views(|rows| rows.remove_row(Family::UserLog, (ann, seq)));
    let report = copy.verify();
    names(&report, Class::EntryMissing, &log(&format!("seq {seq}")));
    names(&report, Class::RowMissing, &row);

    // Delivered by another record, still in order.
    let copy = Copy::new().views(|rows| {
        rows.change_row::<UserLogRow>((ann, seq), |entry| entry.position.0 += 1);
    });
    let report = copy.verify();
    names(&report, Class::RowDiffers, &row);
    let from = (seq.0 - 1) / 64 * 64 + 1;
    let stretch = format!("seqs {from} to {}", from + 63);
    names(&report, Class::ChainBroken, &log(&stretch));
    // Out of order.
    let copy = Copy::new().views(|rows| {
        rows.change_row::<UserLogRow>((ann, seq), |entry| entry.position.0 = 5);
    });
    names(
        &copy.verify(),
        Class::EntryOrder,
        &log(&format!("seq {seq}")),
    );
    // Something that the chain does not cover.
    let copy = Copy::new().views(|rows| {
        rows.change_row::<UserLogRow>((ann, seq), |entry| entry.ahead_ms += 1);
    });
    assert_eq!(found(&copy.verify()), [(Class::RowDiffers, row)]);

    // One more at the end, and one in a log of nobody.
    let head = Copy::new();
    let mut last = Seq(0);
    let copy = head.views(|rows| {
        last = rows.row::<UserHeadRow>(ann).head;
        let entry = rows.row::<UserLogRow>((ann, last));
        rows.put_row((ann, last.next()), &entry);
        rows.put_row((waybill_core::id::UserNo(9999), Seq(1)), &entry);
    });
    let report = copy.verify();
    let beyond = format!("seq {}", last.next());
    names(&report, Class::EntryUnexpected, &log(&beyond));
    names(&report, Class::EntryUnexpected, "log of user 9999, seq 1");
}

#[test]
fn a_changed_head_or_mark_is_named() {
    let world = closed();
    let ann = world.ann;
    let row = format!("views, user_heads, user {ann}");
    let mut last = 0;
    let copy = Copy::new().views(|rows| {
        rows.change_row::<UserHeadRow>(ann, |head| {
            last = head.head.0;
            head.chain = Hash([1; 32]);
        });
    });
    let report = copy.verify();
    names(&report, Class::RowDiffers, &row);
    let from = last / 64 * 64 + 1;
    let log = format!("log of user {ann}, seqs {from} to {last}");
    names(&report, Class::ChainBroken, &log);

    for step in [1, 2] {
        let copy = Copy::new().views(|rows| {
            rows.change_row::<UserHeadRow>(ann, |head| head.head.0 += step);
        });
        let seqs = match step {
            1 => format!("seq {}", last + 1),
            _ => format!("seqs {} to {}", last + 1, last + 2),
        };
        let log = format!("log of user {ann}, {seqs}");
        names(&copy.verify(), Class::EntryMissing, &log);
    }
    let copy = Copy::new().views(|rows| {
        rows.change_row::<UserHeadRow>(ann, |head| head.head.0 -= 1);
    });
    let log = format!("log of user {ann}, seq {last}");
    names(&copy.verify(), Class::EntryUnexpected, &log);
    let copy = Copy::new().views(|rows| {
        rows.change_row::<UserHeadRow>(ann, |head| head.floor.0 += 1);
    });
    names(&copy.verify(), Class::RowDiffers, &row);
    let copy = Copy::new().views(|rows| {
        rows.change_row::<UserHeadRow>(ann, |head| head.floor.0 = last + 2);
    });
    let log = format!("log of user {ann}, seq {}", last + 2);
    names(&copy.verify(), Class::EntryMalformed, &log);
    let log = format!("log of user {ann}, seq 1");
    let copy = Copy::new().views(|rows| rows.remove_row(Family::UserHeads, ann));
    let report = copy.verify();
    names(&report, Class::EntryUnexpected, &log);
    names(&report, Class::RowMissing, &row);

    // The chain hashes stored on the way.
    for (seq, change) in [(64, Some(Hash([2; 32]))), (128, None)] {
        let copy = Copy::new().views(|rows| {
            rows.change_row::<UserLogRow>((ann, Seq(seq)), |entry| entry.mark = change);
        });
        let class = match change {
            Some(_) => Class::ChainBroken,
            None => Class::EntryMalformed,
        };
        let log = format!("log of user {ann}, seq {seq}");
        names(&copy.verify(), class, &log);
    }
}

#[test]
fn changed_conversations_are_named() {
    let world = closed();
    let record = Copy::new();
    let mut conversation = None;
    let record = record.ledger(|rows| {
        let record = self::record(rows, world.notices[0].position.0);
        if let Fact::MessageSent(message) = record.fact {
            conversation = Some(message.conversation);
        }
    });
    drop(record);
    let conversation: Conversation = conversation.expect("a message");
    let Conversation::Notification { account, receiver } = conversation else {
        panic!("a notice")
    };
    let name = format!("notices of account {account} to user {receiver}");
    let seq = ConversationSeq(50);
    let copy =
        Copy::new().views(|rows| rows.remove_row(Family::ConversationLog, (conversation, seq)));
    let report = copy.verify();
    names(&report, Class::EntryMissing, &format!("{name}, seq 50"));
    let row = format!("views, conversation_log, {name}, seq 50");
    names(&report, Class::RowMissing, &row);
    let copy = Copy::new().views(|rows| {
        rows.change_row::<ConversationLogRow>((conversation, seq), |row| {
            row.changed_by = Some(Position(3));
        });
    });
    assert_eq!(found(&copy.verify()), [(Class::RowDiffers, row)]);
    let mut head = 0;
    let copy = Copy::new().views(|rows| {
        rows.change_row::<ConversationRow>(conversation, |row| {
            head = row.head.0;
            row.last.0 -= 1;
        });
    });
    let report = copy.verify();
    names(&report, Class::EntryOrder, &format!("{name}, seq {head}"));
    let row = format!("views, conversations, {name}");
    names(&report, Class::RowDiffers, &row);
}

#[test]
fn changed_rows_of_all_kinds_are_named() {
    let world = closed();
    let key = support::world::key("oa", "ann", 7);
    let dedup = |key: KeyedHash| format!("views, dedup, key hash {key}");
    let copy = Copy::new().views(|rows| rows.remove_row(Family::Dedup, key));
    assert_eq!(found(&copy.verify()), [(Class::RowMissing, dedup(key))]);
    let other = KeyedHash([0xee; 16]);
    let copy = Copy::new().views(|rows| {
        let row = rows.row::<DedupRow>(key);
        rows.put_row(other, &row);
    });
    assert_eq!(
        found(&copy.verify()),
        [(Class::RowUnexpected, dedup(other))]
    );

    // A token that was revoked comes back to life.
    let token = support::world::token(0);
    let copy = Copy::new().views(|rows| {
        rows.change_row::<TokenRow>(token, |row| {
            assert!(row.revoked.is_some());
            row.revoked = None;
        });
    });
    let place = format!("views, tokens, token hash {token}");
    assert_eq!(found(&copy.verify()), [(Class::RowDiffers, place)]);
    let copy = Copy::new().views(|rows| {
        rows.change_row::<DevicesRow>(world.ann, |row| row.devices[0].reached.0 += 1);
    });
    let place = format!("views, devices, user {}", world.ann);
    assert_eq!(found(&copy.verify()), [(Class::RowDiffers, place)]);

    // Joined rows: gone without reason, changed, there without a body.
    let place = format!("views, users, user {}", world.ann);
    let copy = Copy::new().views(|rows| rows.remove_row(Family::Users, world.ann));
    assert_eq!(found(&copy.verify()), [(Class::RowMissing, place.clone())]);
    let copy = Copy::new().views(|rows| {
        rows.change_row::<UserRow>(world.ann, |row| row.id.push('x'));
    });
    let report = copy.verify();
    assert_eq!(found(&report), [(Class::RowDiffers, place)]);
    assert!(!report.to_string().contains("annx"), "{report}");
    let copy = Copy::new().views(|rows| {
        let row = UserRow {
            position: Position(world.gone_seen),
            id: "user8".to_owned(),
        };
        rows.put_row(world.gone, &row);
    });
    let place = format!("views, users, user {}", world.gone);
    assert_eq!(found(&copy.verify()), [(Class::RowUnexpected, place)]);
    let copy = Copy::new().views(|rows| {
        rows.change_row::<ProfileRow>(world.ann, |row| row.profile.nickname.clear());
        rows.remove_row(Family::DeviceNames, (world.ann, DeviceNo(2)));
    });
    let report = copy.verify();
    let place = format!("views, profiles, user {}", world.ann);
    names(&report, Class::RowDiffers, &place);
    let place = format!("views, device_names, user {}, device 2", world.ann);
    names(&report, Class::RowMissing, &place);
}

#[test]
fn any_byte_of_any_family_is_covered() {
    let mut copy = Copy::new();
    for info in FAMILIES {
        let name = info.name;
        let mut row = None;
        copy = copy.views(|rows| row = rows.all(name).into_iter().next_back());
        let (key, value) = row.unwrap_or_else(|| panic!("{name} has no row"));
        let mut changed = value.clone();
        *changed.last_mut().expect("a value") ^= 1;
        let mut longer = key.clone();
        longer.push(0);
        type Change<'a> = Box<dyn Fn(&support::Rows) + 'a>;
        let changes: [Change<'_>; 4] = [
            Box::new(|rows| rows.remove(name, &key)),
            Box::new(|rows| rows.put(name, &key, &changed)),
            Box::new(|rows| rows.put(name, &key, b"")),
            Box::new(|rows| rows.put(name, &longer, &value)),
        ];
        for change in changes {
            copy = copy.views(|rows| change(rows));
            let report = copy.verify();
            assert_eq!(report.exit_code(), 1, "{name}");
            let named = found(&report);
            let lead = format!("views, {name}, ");
            assert!(
                named.iter().any(|(_, place)| place.starts_with(&lead)),
                "{name} is not named in {report}"
            );
            copy = copy.views(|rows| {
                rows.put(name, &key, &value);
                if rows.get(name, &longer).is_some() {
                    rows.remove(name, &longer);
                }
            });
        }
    }
    clean(&copy.verify());
}

#[test]
fn a_changed_mark_of_the_views_is_named() {
    let world = closed();
    let change = |change: &dyn Fn(&mut Vec<u8>)| {
        Copy::new().views(|rows| {
            let mut mark = rows.get(FAMILY_OF_MARK, MARK).expect("a mark");
            change(&mut mark);
            rows.put(FAMILY_OF_MARK, MARK, &mark);
        })
    };
    // Version u32, whole u8, epoch 16, position u64, leaf 32.
    let position = 21..29;
    for byte in 5..61 {
        let report = change(&|mark| mark[byte] ^= 1).verify();
        names(&report, Class::MarkDiffers, "views, mark");
    }
    // An earlier record, with the right leaf hash: then the rows are not those of that record.
    let earlier = world.last - 1;
    let mut leaf = Hash::ZERO;
    let ledger = Copy::new().ledger(|rows| {
        leaf = waybill_core::hash::leaf(&rows.get(RECORDS, &at(earlier)).expect("a record"));
    });
    drop(ledger);
    let report = change(&|mark| {
        mark[position.clone()].copy_from_slice(&at(earlier));
        mark[29..].copy_from_slice(&leaf.0);
    })
    .verify();
    assert_eq!(report.exit_code(), 1, "{report}");
    // Views that are of another version, or in the middle of a flush, are made anew: nothing can be said of them.
    for byte in [3, 4] {
        let report = change(&|mark| mark[byte] ^= 1).verify();
        assert_eq!(report.exit_code(), 2, "{report}");
        assert_eq!(report.unverified.len(), 1, "{report}");
    }
    let report = change(&|mark| mark.truncate(20)).verify();
    assert_eq!(report.exit_code(), 1, "{report}");
    // Without a mark nothing is applied, and rows of updated families must not be there.
    let copy = Copy::new().views(|rows| rows.remove(FAMILY_OF_MARK, MARK));
    let report = copy.verify();
    let head = format!("views, user_heads, user {}", world.ann);
    names(&report, Class::RowUnexpected, &head);
}

#[test]
fn the_key_of_a_row_is_part_of_its_place() {
    let key = (closed().ann, Seq(1)).key();
    let copy = Copy::new().views(|rows| rows.remove("user_log", key.as_slice()));
    let json = serde_json::to_value(copy.verify()).expect("JSON");
    let places: Vec<&serde_json::Value> = json["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|finding| &finding["place"])
        .collect();
    let row = places.iter().find(|place| place["in"] == "row");
    let hex: String = key
        .as_slice()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(row.expect("a row")["key"], hex);
    assert_eq!(json["verdict"], "findings");
}
