//! The rules over a map, one command at a time: what a writer must come to, without a writer, a batch, a store or a thread.

use waybill_core::command::Stamped;
use waybill_core::outcome::Answer;
use waybill_core::rules::{self, Tail};
use waybill_core::state::{MapState, Overlay};

use super::rows::Records;

#[derive(Clone)]
pub struct Oracle {
    pub state: MapState,
    pub tail: Tail,
    pub records: Records,
}

impl Default for Oracle {
    fn default() -> Self {
        Self {
            state: MapState::default(),
            tail: Tail::EMPTY,
            records: Records::new(),
        }
    }
}

impl Oracle {
    pub fn take(&mut self, stamped: &Stamped) -> Answer {
        let mut overlay = Overlay::new(&self.state);
        let step =
            rules::take(&mut overlay, &mut self.tail, stamped).expect("the map does not fail");
        let effects = overlay.take_effects();
        drop(overlay);
        self.state.apply(effects);
        for record in step.records {
            self.state
                .records
                .insert(record.position.0, record.bytes.clone());
            self.records.push((record.bytes, record.body));
        }
        for erased in step.erased {
            self.records[erased.0 as usize - 1].1 = None;
        }
        step.answer
    }
}
