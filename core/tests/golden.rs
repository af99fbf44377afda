//! The golden files of ledger format 1, views version 1 and rules version 1: what is written today is what was released, byte
//! for byte, and the golden ledger folds to its state hash for ever.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::chronicle::Chronicle;
use support::files::{self, frame, unframe};
use support::script;
use support::vectors::{self, hex};
use waybill_core::codec;
use waybill_core::command::Stamped;
use waybill_core::fact::Fact;
use waybill_core::hash;
use waybill_core::id::Position;
use waybill_core::outcome::Answer;
use waybill_core::record::Record;
use waybill_core::rules::{self, Step, Tail};
use waybill_core::state::{FAMILIES, MapState, Overlay, Row, UserHeadRow};
use waybill_core::versions::{LEDGER_FORMAT, VIEWS_VERSION};

/// The rules that the golden ledger of this folder was written by, whatever the newest are.
const RULES: u32 = 1;

/// `record ‖ stored body`, each after its length, for all positions; the body is empty where there is none.
fn ledger_file(chronicle: &Chronicle) -> Vec<u8> {
    let mut out = Vec::new();
    for (position, record) in &chronicle.state.records {
        frame(&mut out, record);
        let body = chronicle.bodies.get(position);
        frame(&mut out, body.map_or(&[], Vec::as_slice));
    }
    out
}

/// `command ‖ answer`, each after its length.
fn commands_file(commands: &[Stamped], steps: &[Step]) -> Vec<u8> {
    let mut out = Vec::new();
    for (stamped, step) in commands.iter().zip(steps) {
        frame(&mut out, &codec::encode(stamped));
        frame(&mut out, &codec::encode(&step.answer));
    }
    out
}

/// SHA-256 over the leaves of all records in order: for what touches no row.
fn leaves_hash(state: &MapState) -> String {
    let leaves = state.records.values().map(|record| hash::leaf(record).0);
    let leaves: Vec<u8> = leaves.flatten().collect();
    hex(&Sha256::digest(leaves))
}

fn summary(state: &MapState, tail: &Tail) -> Value {
    let families = FAMILIES.iter().map(|info| {
        let rows = state
            .rows
            .keys()
            .filter(|(family, _)| *family == info.family);
        (info.name.to_owned(), json!(rows.count()))
    });
    let heads = state
        .rows
        .iter()
        .filter(|((family, _), _)| *family == UserHeadRow::FAMILY);
    let logs = heads.map(|((_, key), value)| {
        let row = UserHeadRow::decode(value).unwrap();
        let user = u64::from_be_bytes(key.as_slice().try_into().unwrap());
        json!({ "user": user, "head": row.head.0, "floor": row.floor.0, "control": row.control.0, "chain": row.chain.to_string() })
    });
    let joined = state.joined().into_iter();
    let joined =
        joined.map(|(family, key, value)| json!([family, hex(key.as_slice()), hex(&value)]));
    json!({
        "about": "The golden ledger of rules version 1: ledger.bin holds its records and bodies, commands.bin the commands \
                  that made it. docs/formats.md, \"Golden files\".",
        "ledger_format": LEDGER_FORMAT,
        "views_version": VIEWS_VERSION,
        "rules_version": RULES,
        "epoch": script::epoch().to_string(),
        "secrets": { "hash": hex(&script::HASH_SECRET), "message_id": hex(&script::ID_SECRET) },
        "records": tail.position.0,
        "leaves": leaves_hash(state),
        "last": { "position": tail.position.0, "time": tail.time.0, "leaf": tail.leaf.to_string() },
        "state_hash": state.state_hash().to_string(),
        "rows": families.collect::<serde_json::Map<_, _>>(),
        "user_logs": logs.collect::<Vec<_>>(),
        "joined": joined.collect::<Vec<_>>(),
    })
}

#[test]
fn the_vectors_are_as_released() {
    files::compare_json("vectors.json", &vectors::all());
}

#[test]
fn the_script_makes_the_golden_ledger() {
    let commands = script::commands();
    let mut chronicle = Chronicle::new();
    let steps = chronicle.take_each(&commands);
    check_script(&chronicle, &steps);
    files::compare("commands.bin", &commands_file(&commands, &steps));
    files::compare("ledger.bin", &ledger_file(&chronicle));
    files::compare_json("ledger.json", &summary(&chronicle.state, &chronicle.tail));
}

/// That the script does what its comments say.
fn check_script(chronicle: &Chronicle, steps: &[Step]) {
    let erased = script::ERASED.map(|position| match chronicle.record(position).fact {
        Fact::UserSeen { .. } => "id",
        Fact::UserRegistered { .. } => "profile",
        Fact::MessageSent(_) => "message",
        Fact::DeviceSeen { .. } => "device",
        _ => "nothing",
    });
    assert_eq!(erased, ["id", "profile", "message", "device"]);
    let mut kinds = std::collections::BTreeSet::new();
    for step in steps {
        // `Ok` or `Err`, then the number of the outcome or refusal.
        kinds.insert(codec::encode(&step.answer)[..2].to_vec());
    }
    // All but `ReachedPartly`, which takes a thousand entries.
    let outcomes = (0..14).filter(|kind| *kind != 12);
    let outcomes = outcomes.map(|kind| vec![0, kind]);
    // All but `BadBody`, which is no honest command's, and `TooManyRunning`, which takes 256 of them.
    let refusals = (0..25).filter(|kind| ![9, 19].contains(kind));
    let refusals = refusals.map(|kind| vec![1, kind]);
    let expected: std::collections::BTreeSet<_> = outcomes.chain(refusals).collect();
    assert_eq!(kinds, expected);
    for info in &FAMILIES {
        let mut families = chronicle.state.rows.keys().map(|(family, _)| *family);
        assert!(
            families.any(|family| family == info.family),
            "no row of {}",
            info.name
        );
    }
}

/// A newer program may decide otherwise under newer rules; this ledger it must fold as ever.
#[test]
fn the_golden_ledger_folds_to_its_state_hash() {
    let file = files::read("ledger.bin");
    let mut rest = file.as_slice();
    let mut overlay = Overlay::new(MapState::default());
    let (mut state, mut tail) = (MapState::default(), Tail::EMPTY);
    while !rest.is_empty() {
        let (bytes, body) = (unframe(&mut rest), unframe(&mut rest));
        let body = (!body.is_empty()).then_some(body);
        let position = tail.position.next();
        let record = Record::decode_canonical(position, bytes).unwrap();
        rules::fold(&mut overlay, &mut tail, &record, bytes, body).unwrap();
        state.records.insert(position.0, bytes.to_vec());
    }
    state.apply(overlay.take_effects());
    let golden = files::read_json("ledger.json");
    assert_eq!(summary(&state, &tail)["state_hash"], golden["state_hash"]);
    assert_eq!(summary(&state, &tail), golden);
}

/// The commands, read from the file, make the records again, in batches of any size.
#[test]
fn the_golden_commands_make_the_golden_ledger() {
    let file = files::read("commands.bin");
    let mut rest = file.as_slice();
    let (mut commands, mut answers) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let stamped: Stamped = codec::decode(unframe(&mut rest)).unwrap();
        let answer: Answer = codec::decode(unframe(&mut rest)).unwrap();
        commands.push(stamped);
        answers.push(answer);
    }
    let ledger = files::read("ledger.bin");
    for size in [1, 7, commands.len()] {
        let mut chronicle = Chronicle::new();
        let steps: Vec<Step> = commands
            .chunks(size)
            .flat_map(|batch| chronicle.take(batch))
            .collect();
        let given: Vec<Answer> = steps.into_iter().map(|step| step.answer).collect();
        assert_eq!(given, answers);
        assert!(ledger_file(&chronicle) == ledger, "in batches of {size}");
        assert_eq!(
            chronicle.tail.position,
            Position(chronicle.state.records.len() as u64)
        );
    }
}
