//! A ledger and its views in memory: what a server holds, without the server.

use std::collections::BTreeMap;

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

    /// What each record does to the rows, when folded while every body is still there: what the live server did.
    pub fn effects(&self) -> Vec<Vec<Effect>> {
        let mut state = MapState::default();
        let mut tail = Tail::EMPTY;
        (1..=self.tail.position.0)
            .map(|position| {
                let body = self.all_bodies.get(&position);
                let effects = self.fold_one(&state, &mut tail, position, body);
                state.apply(effects.clone());
                state
                    .records
                    .insert(position, self.state.records[&position].clone());
                effects
            })
            .collect()
    }

    /// Folds the records from `from` on into `state`, in batches that end after `cuts`, with the bodies that still exist.
    pub fn fold_into(&self, state: &mut MapState, from: u64, cuts: &[u64]) {
        let mut tail = self.tail_at(from - 1);
        let mut first = from;
        let last = self.tail.position.0;
        for &end in cuts.iter().chain([&last]) {
            let mut overlay = Overlay::new(&*state);
            let end = end.min(last);
            for position in first..=end {
                let bytes = &self.state.records[&position];
                let body = self.bodies.get(&position).map(Vec::as_slice);
                let record = self.record(position);
                rules::fold(&mut overlay, &mut tail, &record, bytes, body).unwrap();
            }
            let effects = overlay.take_effects();
            drop(overlay);
            state.apply(effects);
            for position in first..=end {
                state
                    .records
                    .insert(position, self.state.records[&position].clone());
            }
            first = first.max(end + 1);
        }
        assert_eq!(tail, self.tail);
    }

    fn fold_one(
        &self,
        state: &MapState,
        tail: &mut Tail,
        position: u64,
        body: Option<&Vec<u8>>,
    ) -> Vec<Effect> {
        let mut overlay = Overlay::new(state);
        let record = self.record(position);
        let bytes = &self.state.records[&position];
        rules::fold(&mut overlay, tail, &record, bytes, body.map(Vec::as_slice)).unwrap();
        overlay.take_effects()
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
