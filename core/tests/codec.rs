//! The codec: everything that is written is read again as it was, and whatever else is read is refused without harm.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use support::{cast, shapes};
use waybill_core::body::{self, Body};
use waybill_core::codec::{self, CodecError};
use waybill_core::command::{Ask, Command, Stamped};
use waybill_core::fact::{Fact, MessageSent, PackedCursor, pack_cursors, unpack_cursors};
use waybill_core::id::{ControlSeq, DeviceNo, Hash, Position, Seq, Time, UserNo};
use waybill_core::limits::{MAX_BODY_BYTES, MAX_COMMAND_BYTES, MAX_REACHED, MAX_RECORD_BYTES};
use waybill_core::outcome::{Answer, Refusal};
use waybill_core::record::{Record, RecordError, Surface};
use waybill_core::rules::{self, Tail};
use waybill_core::state::{
    ConversationLogRow, ConversationRow, DeviceRow, DevicesRow, MapState, Overlay, Row,
    SettingsKey, SettingsRow, TokenCutRow, TokenRow, UserHeadRow, UserLogRow,
};

/// Encodes, decodes, and tries what is too short or too long.
fn round_trip<T>(value: &T, cut: usize) -> Result<(), TestCaseError>
where
    T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug,
{
    let bytes = codec::encode(value);
    let decoded: T =
        codec::decode(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&decoded, value);
    prop_assert_eq!(codec::encode(&decoded), bytes.clone());
    let short = &bytes[..cut % bytes.len()];
    prop_assert!(
        codec::decode::<T>(short).is_err(),
        "{} of {}",
        short.len(),
        bytes.len()
    );
    let mut long = bytes.clone();
    long.extend_from_slice(&[0, 1]);
    let trailing = matches!(
        codec::decode::<T>(&long),
        Err(CodecError::Trailing { extra: 2, .. })
    );
    prop_assert!(trailing);
    let (again, rest) = codec::decode_prefix::<T>(&long).unwrap();
    prop_assert_eq!(&again, value);
    prop_assert_eq!(rest, &[0, 1]);
    Ok(())
}

/// Decodes anything as everything. What is accepted encodes and decodes again to the same.
fn decode_all(bytes: &[u8]) {
    fn one<T>(bytes: &[u8])
    where
        T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug,
    {
        if let Ok(value) = codec::decode::<T>(bytes) {
            let encoded = codec::encode(&value);
            assert!(
                encoded.len() <= bytes.len(),
                "the shortest form is the canonical one"
            );
            assert_eq!(codec::decode::<T>(&encoded).unwrap(), value);
        }
    }
    one::<Fact>(bytes);
    one::<Record>(bytes);
    one::<Body>(bytes);
    one::<Stamped>(bytes);
    one::<Answer>(bytes);
    one::<SettingsRow>(bytes);
    one::<DevicesRow>(bytes);
    one::<TokenRow>(bytes);
    one::<TokenCutRow>(bytes);
    one::<UserHeadRow>(bytes);
    one::<UserLogRow>(bytes);
    one::<ConversationRow>(bytes);
    one::<ConversationLogRow>(bytes);
    let _ = body::decode_stored(bytes);
    for position in [0, 1, 250] {
        let position = Position(position);
        let decoded = Record::decode(position, bytes);
        match Record::decode_canonical(position, bytes) {
            Ok(record) => {
                assert_eq!(record.encode().as_deref(), Some(bytes));
                assert_eq!(decoded, Ok(record));
            }
            Err(RecordError::NotCanonical) => assert!(decoded.is_ok()),
            Err(error) => assert_eq!(decoded, Err(error)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn records_round_trip(record in shapes::records(), cut: usize) {
        round_trip(&record, cut)?;
        let bytes = record.encode().unwrap();
        let decoded = Record::decode_canonical(record.position, &bytes);
        prop_assert_eq!(decoded, Ok(record.clone()));
        let elsewhere = Position(record.position.0 ^ 1);
        let misplaced = RecordError::Misplaced { stored: elsewhere, claimed: record.position };
        prop_assert_eq!(Record::decode(elsewhere, &bytes), Err(misplaced));
    }

    #[test]
    fn bodies_round_trip(body in shapes::bodies(), opening: [u8; 16], cut: usize) {
        round_trip(&body, cut)?;
        let sealed = body.seal(waybill_core::id::Opening(opening));
        let stored = sealed.stored();
        prop_assert_eq!(&stored[..16], &opening);
        prop_assert_eq!(body::decode_stored(&stored), Ok(body));
        prop_assert_eq!(body::commitment_of_stored(&stored), Some(sealed.commitment));
        let mut other = stored.clone();
        let at = cut % other.len();
        other[at] ^= 1;
        prop_assert_ne!(body::commitment_of_stored(&other), Some(sealed.commitment));
    }

    #[test]
    fn commands_and_answers_round_trip(
        command in shapes::commands(), answer in shapes::answers(), sealed in shapes::sealed(), cut: usize,
    ) {
        round_trip(&command, cut)?;
        round_trip(&answer, cut)?;
        round_trip(&sealed, cut)?;
    }

    #[test]
    fn rows_round_trip(
        rows in (
            shapes::settings(), shapes::device_rows(), shapes::token_rows(), shapes::cut_rows(),
            shapes::head_rows(), shapes::log_rows(), shapes::conversation_rows(),
            shapes::conversation_log_rows(),
        ),
        cut: usize,
    ) {
        round_trip(&rows.0, cut)?;
        round_trip(&rows.1, cut)?;
        round_trip(&rows.2, cut)?;
        round_trip(&rows.3, cut)?;
        round_trip(&rows.4, cut)?;
        round_trip(&rows.5, cut)?;
        round_trip(&rows.6, cut)?;
        round_trip(&rows.7, cut)?;
        prop_assert_eq!(DevicesRow::decode(&rows.1.encode()).unwrap(), rows.1);
    }

    #[test]
    fn garbage_does_no_harm(bytes in vec(any::<u8>(), 0..400)) {
        decode_all(&bytes);
    }

    #[test]
    fn damage_does_no_harm(
        record in shapes::records(), body in shapes::bodies(), command in shapes::commands(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for mut bytes in [codec::encode(&record), codec::encode(&body), codec::encode(&command)] {
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            decode_all(&bytes);
        }
    }

    #[test]
    fn cursors_pack_and_unpack(cursors in vec((shapes::numbers(), any::<u32>(), any::<u64>()), 0..50)) {
        let mut cursors: Vec<_> = cursors
            .into_iter()
            .map(|(user, device, seq)| (UserNo(user), DeviceNo(device), Seq(seq)))
            .collect();
        cursors.sort_unstable();
        let packed = pack_cursors(&cursors);
        prop_assert_eq!(unpack_cursors(&packed).collect::<Vec<_>>(), cursors);
    }
}

/// A record whose canonical bytes begin `1, position, time, by, surface`.
fn plain() -> Record {
    let fact = Fact::BodyErased {
        position: Position(5),
    };
    Record::new(Position(7), Time(9), UserNo(0), Surface::Server, fact, None)
}

#[test]
fn only_the_shortest_form_is_canonical() {
    let canonical = plain().encode().unwrap();
    assert_eq!(canonical, [1, 7, 9, 0, 0, 10, 5, 0]);
    let decoded = Record::decode_canonical(Position(7), &canonical);
    assert_eq!(decoded, Ok(plain()));
    // The time, 9, written in each of the longer forms.
    let longer: [&[u8]; 3] = [
        &[251, 9, 0],
        &[252, 9, 0, 0, 0],
        &[253, 9, 0, 0, 0, 0, 0, 0, 0],
    ];
    for form in longer {
        let bytes = [&canonical[..2], form, &canonical[3..]].concat();
        assert_eq!(Record::decode(Position(7), &bytes), Ok(plain()));
        let decoded = Record::decode_canonical(Position(7), &bytes);
        assert_eq!(decoded, Err(RecordError::NotCanonical));
    }
    // The number of the fact in a longer form.
    let bytes = [&canonical[..5], &[251, 10, 0], &canonical[6..]].concat();
    let decoded = Record::decode_canonical(Position(7), &bytes);
    assert_eq!(decoded, Err(RecordError::NotCanonical));
}

#[test]
fn what_no_encoder_writes_is_refused() {
    let canonical = plain().encode().unwrap();
    // Byte, and values that it must not have: markers of wider numbers, unknown variants, Option tags beyond 1.
    let wrong: [(usize, &[u8]); 4] = [
        (2, &[254, 255]),
        (4, &[5, 250, 254]),
        (5, &[11, 250, 255]),
        (7, &[2, 255]),
    ];
    for (at, values) in wrong {
        for value in values {
            let mut bytes = canonical.clone();
            bytes[at] = *value;
            let decoded = Record::decode(Position(7), &bytes);
            assert!(
                matches!(decoded, Err(RecordError::Codec(_))),
                "{at} {value}: {decoded:?}"
            );
        }
    }
    for version in [0, 2, 255] {
        let mut bytes = canonical.clone();
        bytes[0] = version;
        let decoded = Record::decode(Position(7), &bytes);
        assert_eq!(decoded, Err(RecordError::Version { found: version }));
    }
    // A text that is not UTF-8, a bool that is neither.
    assert!(codec::decode::<Body>(&[0, 2, 0xc3, 0x28]).is_err());
    assert!(codec::decode::<Body>(&[0, 2, 0xc3, 0xa4]).is_ok());
    let push = codec::encode(&body::OfflinePush::default());
    let wrong = [&push[..4], &[2]].concat();
    assert_eq!(push, [0; 5]);
    assert!(codec::decode::<body::OfflinePush>(&wrong).is_err());
}

fn reached(cursor: PackedCursor, cursors: usize) -> Record {
    let fact = Fact::Reached {
        cursors: vec![cursor; cursors],
        passed: Vec::new(),
    };
    Record::new(Position(7), Time(9), UserNo(0), Surface::Server, fact, None)
}

#[test]
fn a_record_is_never_longer_than_it_may_be() {
    // One cursor of 23 bytes after another: as many as fit, and one more.
    let wide = PackedCursor {
        user_step: 1 << 40,
        device: DeviceNo(70_000),
        seq: Seq(1 << 40),
    };
    let record = |cursors| reached(wide, cursors);
    // version, position, time, by, surface, fact, length of the list (3 bytes), commitment
    let overhead = 6 + 3 + 1;
    let most = (MAX_RECORD_BYTES - overhead) / 23;
    let longest = record(most).encode().unwrap();
    assert!(longest.len() > MAX_RECORD_BYTES - 23);
    let decoded = Record::decode(Position(7), &longest);
    assert!(decoded == Ok(record(most)));
    assert!(record(most + 1).encode().is_none());
    let bytes = codec::encode(&record(most + 1));
    let decoded = Record::decode(Position(7), &bytes);
    assert!(decoded == Err(RecordError::TooLong { len: bytes.len() }));
    // The decoder's limit counts numbers with their full width: as many narrow ones as a command may have still fit.
    let narrow = PackedCursor {
        user_step: 1,
        device: DeviceNo(1),
        seq: Seq(1),
    };
    let narrow = reached(narrow, MAX_REACHED);
    let decoded = Record::decode(Position(7), &narrow.encode().unwrap());
    assert!(decoded == Ok(narrow));
}

/// A ledger with one user for each of as many cursors as a command may have, with numbers so far apart and logs so long that
/// the cursors do not fit into one record.
fn crowded() -> (MapState, Tail, Vec<(UserNo, DeviceNo, Seq)>) {
    let mut chronicle = support::chronicle::Chronicle::new();
    let ask = Ask::Found {
        epoch: cast::epoch(),
        rules: 1,
    };
    chronicle.take(&[stamped(ask)]);
    let mut overlay = Overlay::new(&chronicle.state);
    let mut cursors = Vec::new();
    for number in 1..=MAX_REACHED as u64 {
        let (user, seq) = (UserNo(number << 40), Seq(1 << 40));
        let device = DeviceRow {
            device: DeviceNo(70_000),
            id: cast::device(1),
            platform: 1,
            reached: Seq(0),
            heard: Position(1),
        };
        let row = DevicesRow {
            last: device.device,
            devices: vec![device],
            furthest: Seq(9),
        };
        overlay.put(user, &row);
        let head = UserHeadRow {
            head: seq,
            floor: Seq(1),
            control: ControlSeq(0),
            chain: Hash::ZERO,
        };
        overlay.put(user, &head);
        cursors.push((user, device.device, seq));
    }
    overlay.put(
        SettingsKey::Users,
        &SettingsRow::Users(UserNo((MAX_REACHED as u64) << 40)),
    );
    let effects = overlay.take_effects();
    drop(overlay);
    chronicle.state.apply(effects);
    (chronicle.state, chronicle.tail, cursors)
}

fn stamped(ask: Ask) -> Stamped {
    Stamped {
        time: Time(1_000_000),
        command: Command {
            by: UserNo(0),
            surface: Surface::Server,
            ask,
        },
    }
}

/// Takes a command that must be refused as too large, and checks that it has left no trace.
fn too_large(state: &MapState, tail: Tail, ask: Ask) {
    let mut overlay = Overlay::new(state);
    let mut after = tail;
    let step = rules::take(&mut overlay, &mut after, &stamped(ask)).unwrap();
    assert_eq!(step.answer, Err(Refusal::TooLarge));
    assert!(step.records.is_empty() && step.erased.is_empty() && step.delivered.is_empty());
    assert_eq!(overlay.take_effects(), []);
    assert_eq!(after, tail);
}

#[test]
fn a_command_for_too_large_a_record_is_refused() {
    let (state, tail, mut cursors) = crowded();
    too_large(
        &state,
        tail,
        Ask::Reach {
            cursors: cursors.clone(),
        },
    );
    // Half of them fit.
    let half = cursors[..MAX_REACHED / 2].to_vec();
    let mut overlay = Overlay::new(&state);
    let mut after = tail;
    let step = rules::take(
        &mut overlay,
        &mut after,
        &stamped(Ask::Reach { cursors: half }),
    )
    .unwrap();
    assert_eq!(step.records.len(), 1);
    assert_eq!(after.position, tail.position.next());
    // A longer list is refused before it is looked at.
    cursors.push(cursors[0]);
    too_large(&state, tail, Ask::Reach { cursors });
}

#[test]
fn a_body_that_no_reader_would_decode_is_refused() {
    let (state, tail, _) = crowded();
    let send = |content: usize| {
        let message = body::Message {
            content: "x".repeat(content),
            ..body::Message::default()
        };
        let mut ask = support::plan::letter(1, 2, 1);
        if let Ask::Send(send) = &mut ask {
            send.body = Body::Message(message).seal(cast::opening(1, 2));
        }
        ask
    };
    let Ask::Send(empty) = send(251) else {
        unreachable!()
    };
    // The two bytes by which the length of a longer content is written longer.
    let most = MAX_BODY_BYTES - empty.body.bytes.len() + 251 - 2;
    too_large(&state, tail, send(most + 1));
    let mut overlay = Overlay::new(&state);
    let mut after = tail;
    let step = rules::take(&mut overlay, &mut after, &stamped(send(most))).unwrap();
    let stored = step.records.last().unwrap().body.as_ref().unwrap();
    assert_eq!(stored.len(), 16 + MAX_BODY_BYTES);
    assert!(body::decode_stored(stored).is_ok());
    // Also a command of that size is decoded again.
    let command = stamped(send(most));
    let bytes = codec::encode(&command);
    assert!(bytes.len() <= MAX_COMMAND_BYTES);
    assert_eq!(codec::decode(&bytes), Ok(command));
}

/// A new member of a set of refused things is noticed here: the largest list and text that a few bytes can claim.
#[test]
fn claims_beyond_the_limit_are_refused() {
    for len in [MAX_COMMAND_BYTES as u64 + 1, 1 << 32, u64::MAX] {
        // `User` with so long an id, all of which is there where memory can hold it: what is refused is the length.
        let mut text = [&[0_u8, 253][..], &len.to_le_bytes()].concat();
        text.resize(
            text.len() + len.min(4 * MAX_COMMAND_BYTES as u64) as usize,
            b'x',
        );
        let error = codec::decode::<Body>(&text).unwrap_err().to_string();
        assert!(error.contains("LimitExceeded"), "{len}: {error}");
        // `Reached` with so many cursors: the list ends before its length does.
        let list = [&[9_u8, 253][..], &len.to_le_bytes(), &[1, 1, 1]].concat();
        assert!(codec::decode::<Fact>(&list).is_err());
    }
}

/// `MessageSent` is the fact that every message pays for: its size is watched.
#[test]
fn the_skeleton_of_a_notification_is_small() {
    let fact = Fact::MessageSent(MessageSent {
        conversation: waybill_core::conversation::Conversation::Notification {
            account: UserNo(3),
            receiver: UserNo(90_000),
        },
        sender: UserNo(3),
        content_type: 1400,
        notification_type: 1,
        options_off: waybill_core::fact::Options(0),
        echo: false,
        new_receiver: false,
        key: Some(cast::token(1)),
        digest: cast::digest(1),
        terms: None,
    });
    let record = Record::new(
        Position(10_000_000),
        Time(1_700_000_000_000),
        UserNo(3),
        Surface::OpenImV2,
        fact,
        Some(Hash::ZERO),
    );
    assert!(
        record.encode().unwrap().len() <= 94,
        "the yardstick's record"
    );
}
