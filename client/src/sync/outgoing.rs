//! Which messages of the outbox are to be sent next. It knows them by their numbers, and by the lane that each is in: what goes
//! from one sender to one receiver. Of a lane one message at a time is without an answer, so that one that the server puts off
//! is not overtaken by the next.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The lane of every message that is not done.
    lane_of: HashMap<u64, u64>,
    lanes: HashMap<u64, Lane>,
    /// The first message of each lane that may send one, and the lane.
    ready: BTreeMap<u64, u64>,
    /// Lanes that send nothing before a time, because the server asked for it.
    paused: BTreeSet<(u64, u64)>,
    in_flight: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeSet<u64>,
    /// One of its messages is on its way.
    busy: bool,
    /// What stands in `ready` for it.
    ready: Option<u64>,
    /// With this time it stands in `paused`.
    pause: Option<u64>,
}

impl Outgoing {
    /// Messages that wait, with their lanes.
    pub(crate) fn new(waiting: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut outgoing = Self::default();
        for (id, lane) in waiting {
            outgoing.add(id, lane);
        }
        outgoing
    }

    /// A message is to be sent. One that is known already stays where it is.
    pub(crate) fn add(&mut self, id: u64, lane: u64) {
        if self.lane_of.insert(id, lane).is_none() {
            self.lanes.entry(lane).or_default().waiting.insert(id);
            self.renew(lane);
        }
    }

    /// The next one to send, oldest first, while there are fewer than `most` on their way.
    pub(crate) fn next(&mut self, now: u64, most: usize) -> Option<u64> {
        if self.in_flight.len() >= most {
            return None;
        }
        while let Some(&(at, lane)) = self.paused.first()
            && at <= now
        {
            self.go_on(lane);
        }
        let (id, lane) = self.ready.pop_first()?;
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.waiting.remove(&id);
            (lane.busy, lane.ready) = (true, None);
        }
        self.in_flight.insert(id);
        Some(id)
    }

    /// A message has its answer, for good; perhaps from a connection before this one.
    pub(crate) fn done(&mut self, id: u64) {
        let Some(lane) = self.lane_of.remove(&id) else {
            return;
        };
        let was_on_its_way = self.in_flight.remove(&id);
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.waiting.remove(&id);
            lane.busy &= !was_on_its_way;
        }
        self.renew(lane);
    }

    /// A message is to be sent again, not before a time. Until then none of its lane is.
    pub(crate) fn again(&mut self, id: u64, at: u64) {
        let number = self.lane_of.get(&id).copied();
        if let Some((number, lane)) = number.and_then(|it| Some((it, self.lanes.get_mut(&it)?)))
            && lane.pause.is_none()
        {
            lane.pause = Some(at);
            self.paused.insert((at, number));
        }
        self.back(id);
    }

    /// The connection is gone: what was on its way is sent again, on the next one, with the same keys.
    pub(crate) fn lost(&mut self) {
        for id in self.in_flight.clone() {
            self.back(id);
        }
        // Another connection may be to another server.
        while let Some(&(_, lane)) = self.paused.first() {
            self.go_on(lane);
        }
    }

    /// Whether any are on their way.
    pub(crate) fn busy(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// When to look again, where that is later.
    pub(crate) fn wake(&self, now: u64) -> Option<u64> {
        let at = self.paused.first().map(|(at, _)| *at);
        at.filter(|at| *at > now)
    }

    /// Puts a message that was on its way back to those that wait.
    fn back(&mut self, id: u64) {
        if !self.in_flight.remove(&id) {
            return;
        }
        let Some(&lane) = self.lane_of.get(&id) else {
            return;
        };
        let waits = self.lanes.entry(lane).or_default();
        waits.waiting.insert(id);
        waits.busy = false;
        self.renew(lane);
    }

    /// Ends the pause of a lane.
    fn go_on(&mut self, number: u64) {
        if let Some(lane) = self.lanes.get_mut(&number)
            && let Some(at) = lane.pause.take()
        {
            self.paused.remove(&(at, number));
        }
        self.renew(number);
    }

    /// Brings `ready` up to what a lane is now.
    fn renew(&mut self, number: u64) {
        let Some(lane) = self.lanes.get_mut(&number) else {
            return;
        };
        if let Some(old) = lane.ready.take() {
            self.ready.remove(&old);
        }
        match lane.waiting.first() {
            Some(first) if !lane.busy && lane.pause.is_none() => {
                lane.ready = Some(*first);
                self.ready.insert(*first, number);
            }
            None if !lane.busy && lane.pause.is_none() => {
                self.lanes.remove(&number);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_again() {
        let mut outgoing = Outgoing::new([(3, 30), (1, 10), (2, 20)]);
        assert_eq!(outgoing.next(0, 2), Some(1));
        assert_eq!(outgoing.next(0, 2), Some(2));
        assert_eq!(outgoing.next(0, 2), None, "two are on their way");
        outgoing.again(1, 50);
        assert_eq!(outgoing.next(49, 2), Some(3), "the others need not wait");
        outgoing.done(3);
        assert_eq!(outgoing.next(49, 2), None);
        assert_eq!(outgoing.wake(49), Some(50));
        assert_eq!(outgoing.next(50, 2), Some(1));
        outgoing.again(1, 99);
        outgoing.lost();
        assert_eq!(outgoing.next(50, 9), Some(1));
        assert_eq!(outgoing.next(50, 9), Some(2));
        assert_eq!(outgoing.next(50, 9), None);
    }

    #[test]
    fn of_a_lane_one_is_on_its_way() {
        let mut outgoing = Outgoing::new([(1, 7), (2, 7), (3, 8)]);
        assert_eq!(outgoing.next(0, 9), Some(1));
        assert_eq!(outgoing.next(0, 9), Some(3), "another lane");
        assert_eq!(outgoing.next(0, 9), None);
        outgoing.again(1, 5);
        assert_eq!(outgoing.next(5, 9), Some(1), "not 2");
        assert_eq!(outgoing.next(5, 9), None);
        outgoing.done(1);
        assert_eq!(outgoing.next(5, 9), Some(2));
        outgoing.done(2);
        outgoing.done(3);
        assert!(outgoing.paused.is_empty() && outgoing.ready.is_empty());
        assert!(outgoing.lanes.is_empty() && outgoing.lane_of.is_empty());
    }

    #[test]
    fn one_that_is_known_is_not_sent_twice() {
        let mut outgoing = Outgoing::new([(1, 7)]);
        assert_eq!(outgoing.next(0, 9), Some(1));
        outgoing.add(1, 7);
        assert_eq!(outgoing.next(0, 9), None);
        // Its answer comes from the connection before, when it waits to be sent again.
        outgoing.lost();
        outgoing.done(1);
        assert_eq!(outgoing.next(0, 9), None);
    }
}
