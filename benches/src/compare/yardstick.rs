//! The yardstick as a column: it lives in this process and has no network.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::{Shape, System, Turn};
use crate::error::{Error, Result};
use crate::yardstick::{BATCH, Work, Yardstick};

/// The column's system.
#[derive(Default)]
pub struct YardstickSystem(Option<Running>);

struct Running {
    database: Yardstick,
    work: Option<Work>,
}

fn not_started() -> Error {
    Error::Options("the yardstick was not started".into())
}

impl System for YardstickSystem {
    fn start(&mut self, dir: &Path) -> Result<()> {
        self.0 = Some(Running {
            database: Yardstick::create(dir)?,
            work: None,
        });
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

    fn drive(&mut self, turn: &Turn) -> Result<()> {
        let Some(Running { database, work }) = &mut self.0 else {
            return Err(not_started());
        };
        let work = work.get_or_insert_with(|| Work::new(Arc::clone(&turn.pool)));
        let mut begun = Instant::now();
        while !turn.is_over(begun) {
            let _ = turn.take(BATCH as u32);
            database.commit(work, BATCH)?;
            let done = Instant::now();
            turn.answered(begun, done, BATCH as u64);
            begun = done;
        }
        Ok(())
    }

    fn stored(&mut self, _turn: &Turn) -> Result<u64> {
        // It reads nothing, so it recognises nothing: a put of the same key would be the same row.
        let counts = self.0.as_ref().ok_or_else(not_started)?.database.count()?;
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
