//! The yardstick as a column: it lives in this process and has no network.

use std::path::Path;

use super::{Shape, System, Turn};
use crate::error::{Error, Result};
use crate::window::Tally;
use crate::yardstick::{BATCH, Work, Yardstick};

/// The column's system.
#[derive(Default)]
pub struct YardstickSystem(Option<Yardstick>);

impl YardstickSystem {
    fn database(&mut self) -> Result<&mut Yardstick> {
        self.0
            .as_mut()
            .ok_or_else(|| Error::Options("the yardstick was not started".into()))
    }
}

impl System for YardstickSystem {
    fn start(&mut self, dir: &Path) -> Result<()> {
        self.0 = Some(Yardstick::create(dir)?);
        Ok(())
    }

    fn servers(&self) -> Vec<u32> {
        Vec::new()
    }

    fn effective(&self) -> serde_json::Value {
        serde_json::json!({
            "engine": "RocksDB, one database, four column families, lz4, 64 MiB write buffers",
            "batch": BATCH,
            "wal": "on, synced after every batch",
        })
    }

    fn connect(&mut self, _shape: Shape) -> Result<()> {
        Ok(())
    }

    fn drive(&mut self, turn: &Turn) -> Result<Tally> {
        let mut work = Work::new(&turn.pool);
        self.database()?.run(&mut work, turn.window)
    }

    fn stored(&mut self, _turn: &Turn) -> Result<u64> {
        // It reads nothing, so it recognises nothing: a put of the same key would be the same row.
        let counts = self.database()?.count()?;
        if counts.iter().any(|c| *c != counts[0]) {
            return Err(Error::Server {
                system: "yardstick",
                detail: format!("its families differ: {counts:?}"),
            });
        }
        Ok(counts[0])
    }

    fn stop(&mut self) {
        self.0 = None;
    }
}
