//! The engine as a column: the writer and its stores in this process, without a network.

use std::path::Path;
use std::time::Instant;

use waybill_log::LogConfig;

use super::{Shape, System, Turn};
use crate::engine::{Engine, NAME};
use crate::error::{Error, Result};

/// The column's system.
pub struct EngineSystem {
    config: LogConfig,
    seed: u64,
    running: Option<Engine>,
}

impl EngineSystem {
    /// A column with the default configuration; `seed` makes its openings and keys.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            config: LogConfig::default(),
            seed,
            running: None,
        }
    }

    fn running(&self) -> Result<&Engine> {
        self.running
            .as_ref()
            .ok_or_else(|| Error::Options("the engine was not started".into()))
    }
}

impl System for EngineSystem {
    fn start(&mut self, dir: &Path) -> Result<()> {
        self.running = Some(Engine::open(dir, self.config, self.seed)?);
        Ok(())
    }

    fn servers(&self) -> Vec<u32> {
        Vec::new()
    }

    fn effective(&self) -> serde_json::Value {
        serde_json::json!({ "config": format!("{:?}", self.config), "durability": "synced before the answer" })
    }

    fn connect(&mut self, _shape: Shape) -> Result<()> {
        Ok(())
    }

    fn drive(&mut self, turn: &Turn) -> Result<()> {
        let engine = self.running()?;
        let mut pump = engine.pump(turn.shape.in_flight as usize);
        loop {
            let mut now = Instant::now();
            while pump.has_room() && !turn.is_over(now) {
                let command = engine.maker().send(&turn.pool, turn.take(1));
                // Making the command is the gateway's work, not a wait for the writer.
                now = Instant::now();
                pump.submit(command, now)?;
            }
            if pump.is_empty() {
                return Ok(());
            }
            pump.wait(|sent| turn.answered(sent, Instant::now(), 1))?;
        }
    }

    fn stored(&mut self, turn: &Turn) -> Result<u64> {
        let engine = self.running()?;
        if !engine.send(&turn.pool, 0)?.repeated {
            return Err(Error::Server {
                system: NAME,
                detail: "took a key twice".into(),
            });
        }
        engine.delivered(turn.pool.corpus())
    }

    fn stop(&mut self) {
        if let Some(engine) = self.running.take() {
            // The directory is thrown away; that the writer ended well was seen in its answers.
            let _ = engine.close();
        }
    }
}
