//! Everything that a server shows of a data directory, or why it refuses to.

use std::path::Path;

use waybill_core::id::{Position, Seq, UserNo};
use waybill_core::outcome::StateError;
use waybill_log::{Entry, Log, Opened, Options, Pulled, Reader};

use super::image::Image;
use super::small;

/// All records with their bodies, and all user logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub records: Vec<Opened>,
    pub logs: Vec<Vec<Entry>>,
}

impl Served {
    /// Reads everything.
    pub fn by(reader: &Reader) -> Result<Self, StateError> {
        let mut records = Vec::new();
        for position in (1..=reader.durable().0).map(Position) {
            records.extend(reader.open(position)?);
        }
        let mut logs = Vec::new();
        let mut empty = 0;
        // User numbers are dense, and few users have no log.
        while empty < 5 {
            let log = log(reader, UserNo(logs.len() as u64 + 1))?;
            empty = if log.is_empty() { empty + 1 } else { 0 };
            logs.push(log);
        }
        Ok(Self { records, logs })
    }

    /// Serves an image. The error is what the server, or a reader, says.
    pub fn of(image: &Image) -> Result<Self, String> {
        Self::at(image.write_out().path())
    }

    pub fn at(path: &Path) -> Result<Self, String> {
        let options = Options {
            config: small(),
            ..Options::default()
        };
        let opened = Log::open(path, options, &mut |_, _| {});
        let (log, queue) = opened.map_err(|error| error.to_string())?;
        let served = Self::by(&log.reader());
        drop(queue);
        let closed = log.join();
        let served = served.map_err(|error| error.to_string())?;
        closed.map_err(|error| error.to_string())?;
        Ok(served)
    }
}

fn log(reader: &Reader, user: UserNo) -> Result<Vec<Entry>, StateError> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(Seq(0), |last| last.seq);
        match reader.pull(user, after, 100)? {
            Pulled::Page {
                entries: page,
                more,
                ..
            } => {
                entries.extend(page);
                if !more {
                    return Ok(entries);
                }
            }
            other => panic!("no page: {other:?}"),
        }
    }
}
