//! `replay verify` can fail: whatever is changed in the ledger behind the program's back, with checksums that stay right, is found,
//! and its place is named. For the views see `mutations_views.rs`.

mod support;

use support::{Copy, at, clean, closed, found, names};
use waybill_core::fact::Fact;
use waybill_core::id::{Hash, Position, Time};
use waybill_core::record::Record;
use waybill_replay::verify::Class;

const RECORDS: &str = "records";
const BODIES: &str = "bodies";

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
