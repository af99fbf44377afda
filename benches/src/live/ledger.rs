//! What a ledger has of cursors, read once its server has ended.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use waybill_core::fact::{Fact, unpack_cursors};
use waybill_core::id::{DeviceNo, Position, Seq, UserNo};
use waybill_core::record::Record;
use waybill_log::directory::LEDGER_DIR;
use waybill_log::rocks::{Access, Memory, RocksLedger};
use waybill_log::store::{Bodies, Ledger as _};
use waybill_log::{LogConfig, StoreError};

use crate::error::Result;
use crate::target::server_error;

/// Bytes of a record's key.
const KEY: u64 = 8;

/// The `Reached` records from a time on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// Records.
    pub records: u64,
    /// Cursors in them.
    pub cursors: u64,
    /// Most cursors in one.
    pub most: u64,
    /// Cursors of the median record.
    pub median: u64,
    /// Stretches of messages of tracked accounts that are thereby delivered.
    pub passed: u64,
    /// Bytes of their keys and values, before compression.
    pub bytes: u64,
    /// The same of all records of that time.
    pub bytes_of_all: u64,
}

impl Reached {
    /// Bytes of one cursor, with its share of everything.
    #[must_use]
    pub fn bytes_each(&self) -> f64 {
        self.bytes as f64 / (self.cursors.max(1)) as f64
    }

    /// Reads the ledger of the directory `data` and counts its records from `from` on, in milliseconds since 1970. Returns also the
    /// newest cursor of each device of the whole ledger, in no order.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn read(data: &Path, from: u64) -> Result<(Self, Vec<u64>)> {
        let failed = |e: StoreError| server_error(e.to_string());
        let memory = Memory::new(&LogConfig::default()).map_err(failed)?;
        let path = data.join(LEDGER_DIR);
        let ledger = RocksLedger::open(&path, &memory, Access::Read).map_err(failed)?;
        let mut counting = Counting::default();
        let mut broken = None;
        ledger
            .walk(Position(1), Bodies::Without, &mut |position, bytes, _| {
                match Record::decode(position, bytes) {
                    Ok(record) => counting.take(&record, bytes.len() as u64, from),
                    Err(error) => broken = Some(error),
                }
                broken.is_none()
            })
            .map_err(failed)?;
        match broken {
            Some(error) => Err(server_error(format!("its ledger: {error}"))),
            None => Ok(counting.end()),
        }
    }
}

#[derive(Default)]
struct Counting {
    reached: Reached,
    /// Cursors of each record.
    each: Vec<u64>,
    newest: HashMap<(UserNo, DeviceNo), Seq>,
}

impl Counting {
    fn take(&mut self, record: &Record, bytes: u64, from: u64) {
        let counts = record.time.0 >= from;
        if counts {
            self.reached.bytes_of_all += KEY + bytes;
        }
        let Fact::Reached { cursors, passed } = &record.fact else {
            return;
        };
        for (user, device, seq) in unpack_cursors(cursors) {
            let newest = self.newest.entry((user, device)).or_default();
            *newest = seq.max(*newest);
        }
        if counts {
            self.reached.bytes += KEY + bytes;
            self.reached.passed += passed.len() as u64;
            self.each.push(cursors.len() as u64);
        }
    }

    fn end(mut self) -> (Reached, Vec<u64>) {
        self.each.sort_unstable();
        let reached = Reached {
            records: self.each.len() as u64,
            cursors: self.each.iter().sum(),
            most: self.each.last().copied().unwrap_or(0),
            median: self.each.get(self.each.len() / 2).copied().unwrap_or(0),
            ..self.reached
        };
        (
            reached,
            self.newest.into_values().map(|seq| seq.0).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use waybill_core::fact::{Fact, pack_cursors};
    use waybill_core::id::{DeviceNo, Position, Seq, Time, UserNo};
    use waybill_core::record::{Record, Surface};

    use super::{Counting, KEY};

    fn record(position: u64, time: u64, cursors: &[(u64, u64)]) -> Record {
        let cursors: Vec<_> = cursors
            .iter()
            .map(|(user, seq)| (UserNo(*user), DeviceNo(1), Seq(*seq)))
            .collect();
        let fact = Fact::Reached {
            cursors: pack_cursors(&cursors),
            passed: Vec::new(),
        };
        Record::new(
            Position(position),
            Time(time),
            UserNo(0),
            Surface::Server,
            fact,
            None,
        )
    }

    #[test]
    fn records_count_from_a_time_on_and_the_newest_cursors_are_of_all() {
        let mut counting = Counting::default();
        counting.take(&record(1, 10, &[(1, 5), (2, 6), (3, 7)]), 40, 20);
        counting.take(&record(2, 20, &[(1, 9)]), 30, 20);
        counting.take(&record(3, 21, &[(2, 8), (4, 1)]), 35, 20);
        let (reached, mut newest) = counting.end();
        newest.sort_unstable();
        assert_eq!(newest, [1, 7, 8, 9]);
        assert_eq!((reached.records, reached.cursors, reached.most), (2, 3, 2));
        assert_eq!(reached.bytes, 30 + 35 + 2 * KEY);
        assert!((reached.bytes_each() - 27.0).abs() < 1e-9);
    }
}
