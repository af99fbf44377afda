//! What became of recent sends, by their operationIDs: kept in memory, so it tells of this run of the server and of the last
//! ones only. Whatever it does not know, it says so.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

/// Most operationIDs that are remembered; the oldest make room.
const REMEMBERED: usize = 65_536;

/// Whether sends succeeded.
#[derive(Default)]
pub struct Operations(Mutex<Known>);

#[derive(Default)]
struct Known {
    succeeded: HashMap<String, bool>,
    order: VecDeque<String>,
}

impl Operations {
    /// Notes what became of a send; of several with one operationID the last counts.
    pub fn note(&self, key: String, succeeded: bool) {
        let mut known = self.0.lock();
        if known.succeeded.insert(key.clone(), succeeded).is_some() {
            return;
        }
        known.order.push_back(key);
        if known.order.len() > REMEMBERED
            && let Some(oldest) = known.order.pop_front()
        {
            known.succeeded.remove(&oldest);
        }
    }

    /// Whether the send succeeded; `None` when that is not known.
    pub fn find(&self, key: &str) -> Option<bool> {
        self.0.lock().succeeded.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_the_last_outcome_counts() {
        let operations = Operations::default();
        operations.note("first".to_owned(), false);
        operations.note("first".to_owned(), true);
        assert_eq!(operations.find("first"), Some(true));
        for number in 0..REMEMBERED {
            operations.note(number.to_string(), false);
        }
        assert_eq!(operations.find("first"), None);
        assert_eq!(operations.find("0"), Some(false));
    }
}
