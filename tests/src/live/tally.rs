//! What has happened to the sessions of a test, counted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::session::Transport;

/// Counts of one transport.
#[derive(Debug, Default)]
pub struct Counts {
    /// Sessions that were opened.
    pub opened: AtomicU64,
    /// Of these, after an earlier one of the same device.
    pub again: AtomicU64,
    /// Sessions that were cut by their device without a word.
    pub drops: AtomicU64,
    /// Times that a device did not read.
    pub stalls: AtomicU64,
    /// Sessions that were opened beside an earlier one of the device.
    pub takeovers: AtomicU64,
    /// Sessions that the server ended with a goodbye.
    pub byes: AtomicU64,
    /// Sessions that were gone without one.
    pub gone: AtomicU64,
    /// Entries that came.
    pub entries: AtomicU64,
}

/// All counts.
#[derive(Debug, Default)]
pub struct Tally {
    counts: [Counts; 4],
    open: AtomicU64,
    most: AtomicU64,
    hints: Mutex<Vec<u64>>,
}

impl Tally {
    /// Those of a transport.
    #[must_use]
    pub fn of(&self, transport: Transport) -> &Counts {
        &self.counts[transport as usize]
    }

    /// A session is there.
    pub fn opened(&self, transport: Transport, again: bool) {
        let counts = self.of(transport);
        counts.opened.fetch_add(1, Relaxed);
        if again {
            counts.again.fetch_add(1, Relaxed);
        }
        let open = self.open.fetch_add(1, Relaxed) + 1;
        self.most.fetch_max(open, Relaxed);
    }

    /// A session is there no more.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Sessions that are there.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// The most that were there at one time.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most.load(Relaxed)
    }

    /// A stopping server says when to come again, in milliseconds.
    pub fn hint(&self, milliseconds: u64) {
        self.hints.lock().push(milliseconds);
    }

    /// All such times.
    #[must_use]
    pub fn hints(&self) -> Vec<u64> {
        self.hints.lock().clone()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for transport in Transport::ALL {
            let counts = self.of(transport);
            let [opened, again, drops, stalls, takeovers, byes, gone, entries] = [
                &counts.opened,
                &counts.again,
                &counts.drops,
                &counts.stalls,
                &counts.takeovers,
                &counts.byes,
                &counts.gone,
                &counts.entries,
            ]
            .map(|count| count.load(Relaxed));
            writeln!(
                f,
                "{transport:?}: {opened} sessions opened, {again} of them again; {drops} drops, {stalls} stalls, \
                 {takeovers} taken over; {byes} goodbyes, {gone} broke; {entries} entries"
            )?;
        }
        write!(f, "{} sessions at one time", self.most())
    }
}
