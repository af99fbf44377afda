//! When each message was sent, answered and seen by its receiver. Sender and receivers are one process, so one clock serves all.
//! A message carries its number in its clientMsgID, which every transport brings along.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::latency::{Latency, Summary};

/// What a clientMsgID of a measured message begins with. Eight digits that no other text here has.
const MARK: &[u8; 8] = b"a77ba11e";

/// Digits of the number of the run behind it.
const RUN_DIGITS: usize = 8;

/// Digits of the message's number at the end.
const NUMBER_DIGITS: usize = 16;

/// The clientMsgID of message `number` of run `run`.
#[must_use]
pub fn mark(run: u32, number: u64) -> String {
    // The mark is ASCII.
    let mark = String::from_utf8_lossy(MARK);
    format!("{mark}{run:08x}{number:016x}")
}

/// The numbers of the messages of run `run` whose clientMsgIDs stand in `bytes`.
pub fn marked(bytes: &[u8], run: u32) -> impl Iterator<Item = u64> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            let at = rest.windows(MARK.len()).position(|window| window == MARK)?;
            rest = &rest[at + MARK.len()..];
            let digits = rest.get(..RUN_DIGITS + NUMBER_DIGITS)?;
            let (of, number) = digits.split_at(RUN_DIGITS);
            if parse(of) == Some(u64::from(run))
                && let Some(number) = parse(number)
            {
                return Some(number);
            }
        }
    })
}

fn parse(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The times of one run.
pub struct Times {
    run: u32,
    start: Instant,
    /// Per message; nanoseconds since `start`, 0 for never.
    sent: Vec<AtomicU64>,
    answered: Vec<AtomicU64>,
    /// The last arrival.
    arrived: Vec<AtomicU64>,
    /// How many arrivals.
    arrivals: Vec<AtomicU32>,
    /// How many there should be: the receivers of a message.
    receivers: u32,
    repeated: AtomicU64,
}

/// What became of the messages that count.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Arrived {
    /// Messages that were answered: they are durable.
    pub answered: u64,
    /// Of them, those that arrived.
    pub arrived: u64,
    /// Of them, those that did not.
    pub missing: u64,
    /// Messages that arrived more than once.
    pub repeated: u64,
    /// From the request to the arrival; of a message to many, at the last of them.
    pub from_send: Summary,
    /// From the answer's arrival at the sender to the message's arrival; an arrival before the answer counts as none. The
    /// message became durable before its answer came, so this is a lower bound, and the time from the request an upper one.
    pub from_answer: Summary,
    /// Messages that arrived before their answer did.
    pub before_answer: u64,
}

impl Times {
    /// For run `run`, with room for `most` messages to one receiver each.
    #[must_use]
    pub fn new(run: u32, most: usize) -> Self {
        Self::of_many(run, most, 1)
    }

    /// For run `run`, with room for `most` messages to `receivers` each.
    #[must_use]
    pub fn of_many(run: u32, most: usize, receivers: u32) -> Self {
        let column = || (0..most).map(|_| AtomicU64::new(0)).collect();
        Self {
            run,
            start: Instant::now(),
            sent: column(),
            answered: column(),
            arrived: column(),
            arrivals: (0..most).map(|_| AtomicU32::new(0)).collect(),
            receivers,
            repeated: AtomicU64::new(0),
        }
    }

    /// The number of the run.
    #[must_use]
    pub fn run(&self) -> u32 {
        self.run
    }

    /// How long ago it began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Message `number` goes out now.
    pub fn sent(&self, number: u64) {
        self.note(&self.sent, number);
    }

    /// Its answer is there.
    pub fn answered(&self, number: u64) {
        self.note(&self.answered, number);
    }

    /// Notes every message of this run that stands in `bytes` as arrived.
    pub fn arrived(&self, bytes: &[u8]) {
        for number in marked(bytes, self.run) {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            if let Some(arrivals) = self.arrivals.get(at) {
                if arrivals.fetch_add(1, Ordering::Relaxed) >= self.receivers {
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                }
                self.note(&self.arrived, number);
            }
        }
    }

    /// Notes that something happens to message `number` now.
    fn note(&self, column: &[AtomicU64], number: u64) {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if let Some(cell) = usize::try_from(number).ok().and_then(|at| column.get(at)) {
            cell.store(nanos.max(1), Ordering::Relaxed);
        }
    }

    /// How many messages were answered and have not arrived.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.waiting().len() as u64
    }

    /// The messages that were answered and have not arrived.
    #[must_use]
    pub fn waiting(&self) -> Vec<u64> {
        let columns = self.answered.iter().zip(&self.arrivals);
        let waiting = columns.zip(0..).filter(|((answered, arrivals), _)| {
            read(answered) > 0 && arrivals.load(Ordering::Relaxed) < self.receivers
        });
        waiting.map(|(_, number)| number).collect()
    }

    /// Whether all of these have arrived.
    #[must_use]
    pub fn have_arrived(&self, numbers: &[u64]) -> bool {
        let cell = |number: &u64| self.arrivals.get(usize::try_from(*number).ok()?);
        let mut cells = numbers.iter().filter_map(cell);
        cells.all(|cell| cell.load(Ordering::Relaxed) >= self.receivers)
    }

    /// The figures of messages that were sent from `from` to `to` after the beginning; what is missing or came twice is counted
    /// over all.
    #[must_use]
    pub fn summary(&self, from: Duration, to: Duration) -> Arrived {
        let (mut from_send, mut from_answer) = (Latency::new(), Latency::new());
        let mut out = Arrived {
            missing: self.missing(),
            repeated: self.repeated.load(Ordering::Relaxed),
            ..Arrived::default()
        };
        for ((sent, answered), arrived) in self.sent.iter().zip(&self.answered).zip(&self.arrived) {
            let [sent, answered, arrived] = [sent, answered, arrived].map(read);
            let counts = (from.as_nanos()..to.as_nanos()).contains(&u128::from(sent));
            if !counts || answered == 0 {
                continue;
            }
            out.answered += 1;
            if arrived == 0 {
                continue;
            }
            out.arrived += 1;
            out.before_answer += u64::from(arrived < answered);
            from_send.record(Duration::from_nanos(arrived.saturating_sub(sent)));
            from_answer.record(Duration::from_nanos(arrived.saturating_sub(answered)));
        }
        out.from_send = from_send.summary();
        out.from_answer = from_answer.summary();
        out
    }
}

fn read(cell: &AtomicU64) -> u64 {
    cell.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Times, mark, marked};

    #[test]
    fn a_mark_is_found_wherever_it_stands() {
        let text = format!("a77ba11e {} x{}a77ba1", mark(7, 1), mark(7, 0xffff_ffff));
        assert_eq!(mark(7, 1).len(), 32);
        let found = |run| marked(text.as_bytes(), run).collect::<Vec<_>>();
        assert_eq!(found(7), [1, 0xffff_ffff]);
        assert_eq!(found(8), [0; 0], "of another run");
    }

    #[test]
    fn a_message_to_many_has_arrived_with_the_last() {
        let times = Times::of_many(1, 1, 2);
        times.sent(0);
        times.answered(0);
        times.arrived(mark(1, 0).as_bytes());
        assert_eq!(
            (times.waiting(), times.have_arrived(&[0])),
            (vec![0], false)
        );
        times.arrived(mark(1, 0).as_bytes());
        let all = times.summary(Duration::ZERO, Duration::from_secs(60));
        assert_eq!((all.arrived, all.missing, all.repeated), (1, 0, 0));
        assert!(times.have_arrived(&[0]));
    }

    #[test]
    fn each_message_counts_once() {
        let times = Times::new(1, 3);
        for number in 0..3 {
            times.sent(number);
        }
        times.answered(0);
        times.answered(1);
        times.arrived(mark(1, 0).as_bytes());
        times.arrived(mark(1, 0).as_bytes());
        times.arrived(mark(1, 99).as_bytes());
        let all = times.summary(Duration::ZERO, Duration::from_secs(60));
        assert_eq!((all.answered, all.arrived, all.missing), (2, 1, 1));
        assert_eq!((all.repeated, all.from_send.count), (1, 1));
        assert_eq!(all.before_answer, 0);
        let none = times.summary(Duration::from_secs(60), Duration::from_secs(61));
        assert_eq!((none.answered, none.missing), (0, 1));
    }
}
