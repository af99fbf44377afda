//! A ledger and its views in memory: what a server holds, without the server.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use waybill_core::command::Stamped;
use waybill_core::id::Position;
use waybill_core::record::Record;
use waybill_core::rules::{self, Step, Tail};
use waybill_core::state::{Effect, MapState, Overlay};

/// A ledger and its views.
#[derive(Clone)]
pub struct Chronicle {
    /// Rows and records.
    pub state: MapState,
    /// The last record.
    pub tail: Tail,
    /// The bodies that still exist.
    pub bodies: BTreeMap<u64, Vec<u8>>,
    /// All bodies that ever existed.
    pub all_bodies: BTreeMap<u64, Vec<u8>>,
}

impl Chronicle {
    /// Before the first record.
    pub fn new() -> Self {
        Self {
            state: MapState::default(),
            tail: Tail::EMPTY,
            bodies: BTreeMap::new(),
            all_bodies: BTreeMap::new(),
        }
    }

    /// Takes commands as one batch.
    pub fn take(&mut self, batch: &[Stamped]) -> Vec<Step> {
        let mut overlay = Overlay::new(&self.state);
        let mut tail = self.tail;
        let steps: Vec<Step> = batch
            .iter()
            .map(|stamped| rules::take(&mut overlay, &mut tail, stamped).unwrap())
            .collect();
        let effects = overlay.take_effects();
        drop(overlay);
        self.state.apply(effects);
        self.tail = tail;
        for step in &steps {
            for new in &step.records {
                self.state.records.insert(new.position.0, new.bytes.clone());
                if let Some(body) = &new.body {
                    self.bodies.insert(new.position.0, body.clone());
                    self.all_bodies.insert(new.position.0, body.clone());
                }
            }
            for erased in &step.erased {
                self.bodies.remove(&erased.0);
            }
        }
        steps
    }

    /// Takes commands one by one.
    pub fn take_each(&mut self, commands: &[Stamped]) -> Vec<Step> {
        commands
            .iter()
            .flat_map(|stamped| self.take(std::slice::from_ref(stamped)))
            .collect()
    }

    /// The decoded record at a position.
    pub fn record(&self, position: u64) -> Record {
        Record::decode_canonical(Position(position), &self.state.records[&position]).unwrap()
    }

    /// What batches that end after `cuts` and at the end do to the rows, each with its last position, while every body is still
    /// there: what the live server did.
    pub fn effects(&self, cuts: &[u64]) -> Vec<(u64, Vec<Effect>)> {
        let mut state = MapState::default();
        let mut tail = Tail::EMPTY;
        let mut batches = Vec::new();
        for &end in cuts.iter().chain([&self.tail.position.0]) {
            let first = tail.position.0 + 1;
            let effects = self.fold_batch(&state, &mut tail, first..=end, &self.all_bodies);
            state.apply(effects.clone());
            self.copy_records(&mut state, first..=end);
            batches.push((end, effects));
        }
        batches
    }

    /// Folds the records from `from` on into `state`, in batches that end after `cuts`, with the bodies that still exist.
    pub fn fold_into(&self, state: &mut MapState, from: u64, cuts: &[u64]) {
        let mut tail = self.tail_at(from - 1);
        let last = self.tail.position.0;
        for &end in cuts.iter().chain([&last]) {
            let positions = tail.position.0 + 1..=end.min(last);
            let effects = self.fold_batch(state, &mut tail, positions.clone(), &self.bodies);
            state.apply(effects);
            self.copy_records(state, positions);
        }
        assert_eq!(tail, self.tail);
    }

    /// The views as of an earlier position, folded with the bodies that exist now.
    pub fn as_of(&self, position: u64) -> MapState {
        let mut state = MapState::default();
        let mut tail = Tail::EMPTY;
        let effects = self.fold_batch(&state, &mut tail, 1..=position, &self.bodies);
        state.apply(effects);
        self.copy_records(&mut state, 1..=position);
        state
    }

    /// Folds some records in one batch over `state`.
    fn fold_batch(
        &self,
        state: &MapState,
        tail: &mut Tail,
        positions: RangeInclusive<u64>,
        bodies: &BTreeMap<u64, Vec<u8>>,
    ) -> Vec<Effect> {
        let mut overlay = Overlay::new(state);
        for position in positions {
            let record = self.record(position);
            let bytes = &self.state.records[&position];
            let body = bodies.get(&position).map(Vec::as_slice);
            rules::fold(&mut overlay, tail, &record, bytes, body).unwrap();
        }
        overlay.take_effects()
    }

    fn copy_records(&self, state: &mut MapState, positions: RangeInclusive<u64>) {
        for position in positions {
            let bytes = self.state.records[&position].clone();
            state.records.insert(position, bytes);
        }
    }

    /// The tail as it was when the record at `position` was the last.
    pub fn tail_at(&self, position: u64) -> Tail {
        match self.state.records.get(&position) {
            None => Tail::EMPTY,
            Some(bytes) => Tail {
                position: Position(position),
                time: self.record(position).time,
                leaf: waybill_core::hash::leaf(bytes),
            },
        }
    }
}
