//! `replay verify` can fail: whatever is changed on disk behind the program's back, with checksums that stay right, is found, and
//! its place is named.

mod support;

use support::{Copy, at, clean, closed, found, names};
use waybill_core::conversation::Conversation;
use waybill_core::fact::Fact;
use waybill_core::id::{ConversationSeq, DeviceNo, Hash, KeyedHash, Position, Seq, Time};
use waybill_core::record::Record;
use waybill_core::state::{
    ConversationLogRow, ConversationRow, DedupRow, DevicesRow, FAMILIES, Family, ProfileRow,
    RowKey, TokenRow, UserHeadRow, UserLogRow, UserRow,
};
use waybill_replay::verify::Class;

const RECORDS: &str = "records";
const BODIES: &str = "bodies";
const FAMILY_OF_MARK: &str = "default";
const MARK: &[u8] = b"mark";

#[test]
fn an_untouched_directory_is_clean() {
    let copy = Copy::new();
    let report = copy.verify();
    clean(&report);
    clean(&copy.scan());
    let world = closed();
    assert_eq!(report.ledger.records, world.last);
    assert_eq!(report.ledger.erased, 3);
    let views = report.views.expect("views");
    assert_eq!((views.applied, views.behind), (world.last, 0));
    let hash = views.state_hash.expect("a state hash");
    assert_eq!(hash.ledger, hash.views);
    assert!(views.entries > 400, "{}", views.entries);
    // Opening and closing it with RocksDB alone changes nothing.
    clean(&copy.ledger(|_| {}).views(|_| {}).verify());
}

#[test]
fn a_dropped_record_is_named() {
    let world = closed();
    let middle = world.notices[77].position.0;
    let copy = Copy::new().ledger(|rows| rows.remove(RECORDS, &at(middle)));
    let report = copy.verify();
    names(&report, Class::RecordMissing, &format!("record {middle}"));
    names(
        &report,
        Class::BodyStray,
        &format!("body of record {middle}"),
    );
    names(
        &report,
        Class::FoldStopped,
        &format!("record {}", middle + 1),
    );
    let entry = format!("log of user {}, seq {}", world.ann, seq_of(77));
    names(&report, Class::EntryDangling, &entry);
    names(
        &copy.scan(),
        Class::RecordMissing,
        &format!("record {middle}"),
    );

    let copy = Copy::new().ledger(|rows| {
        rows.remove(RECORDS, &at(world.last));
        rows.remove(BODIES, &at(world.last));
    });
    names(&copy.scan(), Class::TailDiffers, "tail file");
    names(&copy.verify(), Class::MarkDiffers, "views, mark");
    // Without the tail file the views still know.
    std::fs::remove_file(copy.path().join("tail")).expect("removes");
    names(&copy.verify(), Class::MarkDiffers, "views, mark");
    assert_eq!(copy.scan().exit_code(), 2, "a scan cannot tell");

    let copy = Copy::new().ledger(|rows| {
        rows.remove(RECORDS, &at(1));
    });
    names(&copy.verify(), Class::RecordMissing, "record 1");
}

/// The seq of the n-th notice in ann's log.
fn seq_of(n: usize) -> u64 {
    closed().notices[n].seq.expect("a seq").0
}

#[test]
fn swapped_records_are_named() {
    let (one, other) = (
        closed().notices[30].position.0,
        closed().notices[31].position.0,
    );
    let copy = Copy::new().ledger(|rows| {
        for family in [RECORDS, BODIES] {
            let (first, second) = (rows.get(family, &at(one)), rows.get(family, &at(other)));
            rows.put(family, &at(one), &second.expect("is there"));
            rows.put(family, &at(other), &first.expect("is there"));
        }
    });
    for report in [copy.verify(), copy.scan()] {
        names(&report, Class::RecordMisplaced, &format!("record {one}"));
        names(&report, Class::RecordMisplaced, &format!("record {other}"));
    }
}

#[test]
fn swapped_records_that_were_made_to_fit_are_named() {
    let (one, other) = (closed().notices[30].clone(), closed().notices[31].clone());
    let copy = Copy::new().ledger(|rows| {
        let (first, second) = (one.position, other.position);
        let records = [first, second].map(|position| record(rows, position.0));
        let bodies = [first, second].map(|position| rows.get(BODIES, &at(position.0)));
        put_record(rows, first, records[0].time, &records[1]);
        put_record(rows, second, records[1].time, &records[0]);
        rows.put(BODIES, &at(first.0), bodies[1].as_ref().expect("is there"));
        rows.put(BODIES, &at(second.0), bodies[0].as_ref().expect("is there"));
    });
    clean(&copy.scan());
    let report = copy.verify();
    // 31 and 32 of the notices stand within the first 64 entries.
    let log = format!("log of user {}, seqs 1 to 64", closed().ann);
    names(&report, Class::ChainBroken, &log);
    let head = format!("views, user_heads, user {}", closed().ann);
    names(&report, Class::RowDiffers, &head);
}

fn record(rows: &support::Rows, position: u64) -> Record {
    let bytes = rows.get(RECORDS, &at(position)).expect("a record");
    Record::decode(Position(position), &bytes).expect("decodes")
}

/// Writes what `from` says as the record of another position and time.
fn put_record(rows: &support::Rows, position: Position, time: Time, from: &Record) {
    let record = Record::new(
        position,
        time,
        from.by,
        from.surface,
        from.fact.clone(),
        from.commitment,
    );
    rows.put(RECORDS, &at(position.0), &record.encode().expect("fits"));
}

#[test]
fn a_repeated_record_is_named() {
    let world = closed();
    let position = world.notices[40].position.0;
    let copy = Copy::new().ledger(|rows| {
        let bytes = rows.get(RECORDS, &at(position)).expect("a record");
        rows.put(RECORDS, &at(position + 1), &bytes);
    });
    names(
        &copy.verify(),
        Class::RecordMisplaced,
        &format!("record {}", position + 1),
    );

    let end = world.last + 1;
    let copy = Copy::new().ledger(|rows| {
        for family in [RECORDS, BODIES] {
            let value = rows.get(family, &at(world.last)).expect("is there");
            rows.put(family, &at(end), &value);
        }
    });
    names(
        &copy.verify(),
        Class::RecordMisplaced,
        &format!("record {end}"),
    );
    // Far behind the end it leaves a hole too; and before the beginning there is nothing.
    let copy = Copy::new().ledger(|rows| {
        let bytes = rows.get(RECORDS, &at(world.last)).expect("is there");
        rows.put(RECORDS, &at(u64::MAX), &bytes);
        rows.put(RECORDS, &at(0), &bytes);
    });
    let report = copy.verify();
    let hole = format!("records {end} to {}", u64::MAX - 1);
    names(&report, Class::RecordMissing, &hole);
    names(&report, Class::RecordUnexpected, "record 0");
}

#[test]
fn every_changed_byte_of_a_body_is_named() {
    let position = closed().notices[9].position.0;
    let mut copy = Copy::new();
    let mut stored = Vec::new();
    copy = copy.ledger(|rows| stored = rows.get(BODIES, &at(position)).expect("a body"));
    let place = format!("body of record {position}");
    for byte in 0..stored.len() {
        let mut changed = stored.clone();
        changed[byte] ^= 1 << (byte % 8);
        copy = copy.ledger(|rows| rows.put(BODIES, &at(position), &changed));
        let report = copy.scan();
        assert_eq!(found(&report), [(Class::BodyChanged, place.clone())]);
    }
    // Longer, shorter, too short for an opening.
    let longer = [&stored[..], b"x"].concat();
    for changed in [&longer[..], &stored[..stored.len() - 1], &stored[..15], b""] {
        copy = copy.ledger(|rows| rows.put(BODIES, &at(position), changed));
        assert_eq!(found(&copy.verify()), [(Class::BodyChanged, place.clone())]);
    }
    copy = copy.ledger(|rows| rows.put(BODIES, &at(position), &stored));
    clean(&copy.verify());
}

#[test]
fn a_changed_commitment_or_time_is_named() {
    let world = closed();
    let position = world.notices[100].position;
    let copy = Copy::new().ledger(|rows| {
        let mut record = record(rows, position.0);
        record.commitment = Some(Hash([7; 32]));
        let time = record.time;
        put_record(rows, position, time, &record);
    });
    let place = format!("body of record {position}");
    names(&copy.scan(), Class::BodyChanged, &place);
    let log = format!("log of user {}, seqs 65 to 128", world.ann);
    names(&copy.verify(), Class::ChainBroken, &log);

    // Out of order.
    let copy = Copy::new().ledger(|rows| {
        let record = record(rows, position.0);
        put_record(rows, position, Time(1), &record);
    });
    names(
        &copy.scan(),
        Class::RecordOlder,
        &format!("record {position}"),
    );
    // In order: the chain, and the head of everybody who has the message, know better.
    let copy = Copy::new().ledger(|rows| {
        let before = record(rows, position.0 - 1).time;
        let record = record(rows, position.0);
        let time = if record.time == before {
            // The next one may be later.
            Time(record.time.0 + 1)
        } else {
            before
        };
        put_record(rows, position, time, &record);
        // Those behind it must not be older.
        for later in position.0 + 1..=world.last {
            let bytes = rows.get(RECORDS, &at(later)).expect("a record");
            let record = Record::decode(Position(later), &bytes).expect("decodes");
            if record.time >= time {
                break;
            }
            put_record(rows, Position(later), time, &record);
        }
    });
    clean(&copy.scan());
    names(&copy.verify(), Class::ChainBroken, &log);
}

#[test]
fn a_record_in_another_form_is_named() {
    let position = closed().notices[5].position.0;
    let copy = Copy::new().ledger(|rows| {
        let mut bytes = rows.get(RECORDS, &at(position)).expect("a record");
        bytes.push(0);
        rows.put(RECORDS, &at(position), &bytes);
    });
    names(
        &copy.scan(),
        Class::RecordMalformed,
        &format!("record {position}"),
    );
    let copy = Copy::new().ledger(|rows| {
        let bytes = rows.get(RECORDS, &at(position)).expect("a record");
        // The position, written with more bytes than it needs: version byte, marker of a 64-bit number, the number.
        let used = match bytes[1] {
            0..=250 => 1,
            251 => 3,
            _ => panic!("a small position"),
        };
        let mut other = vec![bytes[0], 253];
        other.extend_from_slice(&position.to_le_bytes());
        other.extend_from_slice(&bytes[1 + used..]);
        rows.put(RECORDS, &at(position), &other);
    });
    names(
        &copy.scan(),
        Class::RecordMalformed,
        &format!("record {position}"),
    );
    let copy = Copy::new().ledger(|rows| rows.put(RECORDS, b"odd", b"x"));
    assert_eq!(copy.scan().exit_code(), 1);
    let copy = Copy::new().ledger(|rows| {
        let genesis = rows.get(RECORDS, &at(1)).expect("a record");
        let genesis = Record::decode(Position(1), &genesis).expect("decodes");
        let time = record(rows, position).time;
        put_record(rows, Position(position), time, &genesis);
    });
    names(
        &copy.verify(),
        Class::GenesisMisplaced,
        &format!("record {position}"),
    );
}

#[test]
fn bodies_and_erasures_must_agree() {
    let world = closed();
    let whose = world.erased.position.0;
    let body = format!("body of record {whose}");
    // Back from the dead.
    let copy = Copy::new().ledger(|rows| rows.put(BODIES, &at(whose), &[1; 40]));
    names(&copy.verify(), Class::BodyNotErased, &body);
    names(&copy.scan(), Class::BodyChanged, &body);
    // Removed without an erasure.
    let other = world.notices[3].position.0;
    let copy = Copy::new().ledger(|rows| rows.remove(BODIES, &at(other)));
    names(
        &copy.verify(),
        Class::BodyMissing,
        &format!("body of record {other}"),
    );
    // The joined row is gone with its body, or is there without it.
    let copy = Copy::new().ledger(|rows| rows.remove(BODIES, &at(world.registered)));
    let row = format!("views, profiles, user {}", world.ann);
    names(&copy.verify(), Class::RowUnexpected, &row);
    // A body for a record that has none, and one for no record.
    let copy = Copy::new().ledger(|rows| {
        rows.put(BODIES, &at(world.erasure), &[1; 40]);
        rows.put(BODIES, &at(world.last + 9), &[1; 40]);
    });
    let report = copy.scan();
    let bodies = [
        (Class::BodyUnexpected, world.erasure),
        (Class::BodyStray, world.last + 9),
    ];
    for (class, position) in bodies {
        names(&report, class, &format!("body of record {position}"));
    }
    // Erasures of nothing, of itself, of something later, of something erased before.
    for whose in [0, 1, world.erasure, world.last, world.gone_seen] {
        let copy = Copy::new().ledger(|rows| {
            let mut record = record(rows, world.erasure);
            record.fact = Fact::BodyErased {
                position: Position(whose),
            };
            let time = record.time;
            put_record(rows, Position(world.erasure), time, &record);
        });
        let report = copy.scan();
        names(&report, Class::BodyMissing, &body);
        let by = if whose == world.gone_seen {
            world.erasure + 1
        } else {
            world.erasure
        };
        names(&report, Class::ErasureImpossible, &format!("record {by}"));
    }
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
    let log = format!("log of user {ann}, seq 1");
    names(&copy.verify(), Class::EntryUnexpected, &log);
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
