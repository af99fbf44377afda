//! Which messages of the outbox are to be sent next. It knows them by their numbers only.

use std::collections::BTreeSet;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    waiting: BTreeSet<u64>,
    in_flight: BTreeSet<u64>,
    /// Nothing is sent before this time, because the server asked for it.
    pause_until: u64,
}

impl Outgoing {
    pub(crate) fn new(waiting: impl IntoIterator<Item = u64>) -> Self {
        Self {
            waiting: waiting.into_iter().collect(),
            ..Self::default()
        }
    }

    /// A message is to be sent. One that is on its way already stays so.
    pub(crate) fn add(&mut self, id: u64) {
        if !self.in_flight.contains(&id) {
            self.waiting.insert(id);
        }
    }

    /// The next one to send, oldest first, while there are fewer than `most` on their way.
    pub(crate) fn next(&mut self, now: u64, most: usize) -> Option<u64> {
        if now < self.pause_until || self.in_flight.len() >= most {
            return None;
        }
        let id = self.waiting.pop_first()?;
        self.in_flight.insert(id);
        Some(id)
    }

    /// A message has its answer, for good; perhaps from a connection before this one.
    pub(crate) fn done(&mut self, id: u64) {
        self.in_flight.remove(&id);
        self.waiting.remove(&id);
    }

    /// A message is to be sent again, not before a time. Until then none is, so that they keep their order.
    pub(crate) fn again(&mut self, id: u64, at: u64) {
        self.in_flight.remove(&id);
        self.waiting.insert(id);
        self.pause_until = self.pause_until.max(at);
    }

    /// The connection is gone: what was on its way is sent again, on the next one, with the same keys.
    pub(crate) fn lost(&mut self) {
        self.waiting.append(&mut self.in_flight);
        self.pause_until = 0;
    }

    /// Whether any are on their way.
    pub(crate) fn busy(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// When to look again, where that is later.
    pub(crate) fn wake(&self, now: u64) -> Option<u64> {
        (self.pause_until > now && !self.waiting.is_empty()).then_some(self.pause_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_again() {
        let mut outgoing = Outgoing::new([3, 1, 2]);
        assert_eq!(outgoing.next(0, 2), Some(1));
        assert_eq!(outgoing.next(0, 2), Some(2));
        assert_eq!(outgoing.next(0, 2), None, "two are on their way");
        outgoing.again(1, 50);
        assert_eq!(outgoing.next(49, 2), None);
        assert_eq!(outgoing.wake(49), Some(50));
        assert_eq!(outgoing.next(50, 2), Some(1));
        outgoing.done(1);
        outgoing.lost();
        assert_eq!(outgoing.next(50, 9), Some(2));
        assert_eq!(outgoing.next(50, 9), Some(3));
        assert_eq!(outgoing.next(50, 9), None);
    }

    #[test]
    fn one_on_its_way_is_not_sent_twice() {
        let mut outgoing = Outgoing::new([1]);
        assert_eq!(outgoing.next(0, 9), Some(1));
        outgoing.add(1);
        assert_eq!(outgoing.next(0, 9), None);
    }
}
