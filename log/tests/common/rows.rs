//! Whole stores as plain data, to compare them: every record and body, every row, and what a fresh fold makes of a ledger.

use std::collections::BTreeMap;
use std::path::Path;

use waybill_core::id::{Hash, Position};
use waybill_core::record::Record;
use waybill_core::rules::{self, Tail};
use waybill_core::state::{FAMILIES, Family, Key, MapState, Overlay, Value};
use waybill_log::rocks::{Access, Memory, RocksLedger, RocksViews};
use waybill_log::store::{Bodies, Ledger, Views};

/// All rows of all families.
pub type Rows = BTreeMap<(Family, Key), Value>;

/// All records from the first, each with its body.
pub type Records = Vec<(Vec<u8>, Option<Vec<u8>>)>;

pub fn rows(views: &dyn Views) -> Rows {
    let mut rows = Rows::new();
    for info in &FAMILIES {
        let mut last = None;
        views
            .walk(info.family, &mut |key, value| {
                let key = Key::from_slice(key).expect("no longer than a key");
                assert!(last < Some(key), "rows ascend");
                last = Some(key);
                rows.insert((info.family, key), value.to_vec());
            })
            .expect("walks");
    }
    rows
}

pub fn records(ledger: &dyn Ledger) -> Records {
    let mut records = Records::new();
    ledger
        .walk(Position(1), Bodies::With, &mut |position, record, body| {
            records.push((record.to_vec(), body.map(<[u8]>::to_vec)));
            assert_eq!(position.0, records.len() as u64, "positions are dense");
            true
        })
        .expect("walks");
    records
}

pub fn state_hash(rows: &Rows) -> Hash {
    let state = MapState {
        rows: rows.clone(),
        ..MapState::default()
    };
    state.state_hash()
}

/// What an auditor makes of a ledger: one record after the other, over a map.
pub fn fold(records: &Records) -> Rows {
    let (mut state, mut tail) = (MapState::default(), Tail::EMPTY);
    for ((bytes, body), position) in records.iter().zip(1..) {
        let record = Record::decode_canonical(Position(position), bytes).expect("is a record");
        let mut overlay = Overlay::new(&state);
        rules::fold(&mut overlay, &mut tail, &record, bytes, body.as_deref()).expect("follows");
        let effects = overlay.take_effects();
        drop(overlay);
        state.apply(effects);
        state.records.insert(position, bytes.clone());
    }
    state.rows
}

/// Compares two sets of rows and names the first that differs.
pub fn assert_same(found: &Rows, expected: &Rows, what: &str) {
    for (place, value) in expected {
        assert_eq!(found.get(place), Some(value), "{what}: {place:?}");
    }
    let extra = found
        .iter()
        .find(|(place, _)| !expected.contains_key(*place));
    assert_eq!(extra, None, "{what}: a row too many");
}

/// The records in a data directory that nobody has open.
pub fn records_in(path: &Path) -> Records {
    let memory = Memory::new(&super::small()).expect("has an environment");
    let ledger = RocksLedger::open(&path.join("ledger"), &memory, Access::Read).expect("opens");
    records(&ledger)
}

/// The rows in a data directory that nobody has open.
pub fn rows_in(path: &Path) -> Rows {
    let memory = Memory::new(&super::small()).expect("has an environment");
    let views = RocksViews::open(&path.join("views"), &memory, Access::Read).expect("opens");
    rows(&views)
}
