//! The columns of the comparison: which system, asked how, doing what for each message.

use std::path::PathBuf;

use serde::Serialize;

use super::engine::EngineSystem;
use super::jetstream::JetStreamSystem;
use super::redis::{RedisSystem, Work};
use super::waybill::{Way, WaybillSystem};
use super::yardstick::YardstickSystem;
use super::{Shape, System};
use crate::error::Result;

/// Connections of a pipelined column: enough to keep a server busy, few enough to share its reads and writes.
const PIPELINES: u32 = 8;

/// The programs that columns start.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The `waybill` program.
    pub waybill: PathBuf,
    /// Debian's `redis-server`.
    pub redis: PathBuf,
    /// The pinned `nats-server`.
    pub nats: PathBuf,
}

/// A column, by the name used on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// Four puts a message straight into RocksDB.
    Yardstick,
    /// Waybill's engine in this process, without a network.
    Engine,
    /// Waybill over HTTP, one request at a time on each of many kept-alive connections.
    WaybillHttp,
    /// Waybill over QUIC, one message a frame, many in flight on a few connections.
    WaybillQuic,
    /// Waybill over QUIC, several messages in one frame.
    WaybillBatch,
    /// Redis, one script a request, pipelined.
    Redis,
    /// Redis, one script a request, one request at a time on each of many connections.
    RedisOneByOne,
    /// Redis, several messages in one script call.
    RedisBatch,
    /// Redis, a bare XADD, pipelined.
    RedisXadd,
    /// JetStream, one atomic batch of two a send, pipelined.
    Jetstream,
    /// JetStream, one atomic batch of two a send, one request at a time on each of many connections.
    JetstreamOneByOne,
    /// JetStream, several sends in one atomic batch.
    JetstreamBatch,
}

/// What a column is, in words and numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// Its name.
    pub name: Name,
    /// What is done for each message before it is answered.
    pub work: &'static str,
    /// What an answer means.
    pub durability: &'static str,
    /// How it is asked.
    pub shape: Shape,
}

const ENGINE_WORK: &str = "everything but the network: hashes and sealing, decide, dedup, record, body, conversation, user log, heads";
const WAYBILL_WORK: &str = "the whole server: token, checks, hashes and sealing, decide, dedup, record, body, conversation, user log, heads";
const WAYBILL_DURABILITY: &str = "one server, ledger synced per batch";
const SCRIPT_WORK: &str =
    "one Lua script: dedup check, XADD ledger, HINCRBY head, RPUSH receiver entry, dedup row";
const REDIS_DURABILITY: &str = "one server, appendfsync always";
const BATCH_WORK: &str = "atomic batch: ledger message with dedup key, entry on the receiver's subject (its head is kept \
                          by the server)";
const NATS_DURABILITY: &str = "three servers, R3, sync_interval always";

impl Name {
    /// The column with `in_flight` messages in flight, `batch` of them in a request where it sends batches.
    ///
    /// # Errors
    /// When these make no sense together.
    pub fn column(self, in_flight: u32, batch: u32) -> Result<Column> {
        let pipelined = Shape {
            in_flight,
            batch: 1,
            connections: PIPELINES.min(in_flight),
        };
        let one_by_one = Shape {
            in_flight,
            batch: 1,
            connections: in_flight,
        };
        let batched = Shape {
            in_flight,
            batch,
            connections: PIPELINES.min(in_flight / batch.max(1)),
        };
        let (work, durability, shape) = match self {
            Self::Yardstick => {
                // In flight and batch are fixed with the yardstick; there is no connection.
                let fixed = crate::yardstick::BATCH as u32;
                let shape = Shape {
                    in_flight: fixed,
                    batch: fixed,
                    connections: 1,
                };
                (
                    "four puts: record, body, user-log entry, dedup row; nothing is read",
                    "WAL synced per batch",
                    shape,
                )
            }
            Self::Engine => (
                ENGINE_WORK,
                "ledger synced per batch",
                Shape {
                    in_flight,
                    batch: 1,
                    connections: 1,
                },
            ),
            Self::WaybillHttp => (WAYBILL_WORK, WAYBILL_DURABILITY, one_by_one),
            Self::WaybillQuic => (WAYBILL_WORK, WAYBILL_DURABILITY, pipelined),
            Self::WaybillBatch => (WAYBILL_WORK, WAYBILL_DURABILITY, batched),
            Self::Redis => (SCRIPT_WORK, REDIS_DURABILITY, pipelined),
            Self::RedisOneByOne => (SCRIPT_WORK, REDIS_DURABILITY, one_by_one),
            Self::RedisBatch => (SCRIPT_WORK, REDIS_DURABILITY, batched),
            Self::RedisXadd => (
                "bare XADD: no dedup, no receiver, no head",
                REDIS_DURABILITY,
                pipelined,
            ),
            Self::Jetstream => (BATCH_WORK, NATS_DURABILITY, pipelined),
            Self::JetstreamOneByOne => (BATCH_WORK, NATS_DURABILITY, one_by_one),
            Self::JetstreamBatch => (BATCH_WORK, NATS_DURABILITY, batched),
        };
        Ok(Column {
            name: self,
            work,
            durability,
            shape: shape.checked()?,
        })
    }

    /// The name of the system behind the column, for errors.
    #[must_use]
    pub fn system_name(self) -> &'static str {
        match self {
            Self::Yardstick => "yardstick",
            Self::Engine => crate::engine::NAME,
            Self::WaybillHttp | Self::WaybillQuic | Self::WaybillBatch => crate::target::NAME,
            Self::Redis | Self::RedisOneByOne | Self::RedisBatch | Self::RedisXadd => "redis",
            Self::Jetstream | Self::JetstreamOneByOne | Self::JetstreamBatch => "jetstream",
        }
    }

    /// Whether it lives in this process, so that its cost is the load generator's.
    #[must_use]
    pub fn is_in_process(self) -> bool {
        matches!(self, Self::Yardstick | Self::Engine)
    }

    /// The system that the column asks.
    ///
    /// # Errors
    /// When its client cannot be set up.
    pub fn system(self, programs: &Programs, seed: u64) -> Result<Box<dyn System>> {
        let waybill = |way| {
            let system = WaybillSystem::new(programs.waybill.clone(), way)?;
            Ok::<Box<dyn System>, crate::error::Error>(Box::new(system))
        };
        Ok(match self {
            Self::Yardstick => Box::new(YardstickSystem::default()),
            Self::Engine => Box::new(EngineSystem::new(seed)),
            Self::WaybillHttp => waybill(Way::Http)?,
            Self::WaybillQuic => waybill(Way::Quic)?,
            Self::WaybillBatch => waybill(Way::QuicBatch)?,
            Self::Redis | Self::RedisOneByOne | Self::RedisBatch => {
                Box::new(RedisSystem::new(programs.redis.clone(), Work::Script)?)
            }
            Self::RedisXadd => Box::new(RedisSystem::new(programs.redis.clone(), Work::Xadd)?),
            Self::Jetstream | Self::JetstreamOneByOne | Self::JetstreamBatch => {
                Box::new(JetStreamSystem::new(programs.nats.clone())?)
            }
        })
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use clap::ValueEnum as _;
        f.write_str(
            self.to_possible_value()
                .as_ref()
                .map_or("?", |v| v.get_name()),
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::Name;

    #[test]
    fn every_column_has_a_possible_shape_and_a_name() {
        for name in Name::value_variants() {
            let column = name.column(512, 64).unwrap();
            assert!(
                column.shape.in_flight <= 512 && !column.work.is_empty(),
                "{name}"
            );
            assert_ne!(name.to_string(), "?");
        }
    }

    #[test]
    fn a_batch_larger_than_what_is_in_flight_is_refused() {
        assert!(Name::RedisBatch.column(8, 64).is_err());
        assert!(Name::RedisBatch.column(64, 0).is_err());
    }
}
