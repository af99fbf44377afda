//! Sizes of the log, most of them derived from one memory budget, in this one place.

use std::time::Duration;

/// Bytes in a MiB.
const MIB: usize = 1 << 20;

/// What the operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Memory for caches and buffers of both databases, the hot table and the recent ring, in MiB. What the process needs
    /// besides (code, connections, requests in flight) comes on top.
    pub memory_mib: usize,
    /// How much may be applied again after a crash.
    pub recovery: RecoveryBudget,
    /// How much one commit takes.
    pub batch: BatchLimits,
    /// Most commands waiting for the writer.
    pub queue_commands: usize,
    /// Most bytes of commands waiting for the writer.
    pub queue_bytes: usize,
}

/// The bound on what a restart must apply again: the views are flushed when any of these is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryBudget {
    /// Records since the last flush.
    pub records: u64,
    /// Bytes of effects since the last flush.
    pub bytes: usize,
    /// Age of the oldest record that is not flushed.
    pub age: Duration,
}

/// The bound on one commit. No timer makes a batch wait: it holds what was waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Commands in it.
    pub commands: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            memory_mib: 1024,
            recovery: RecoveryBudget {
                records: 50_000,
                bytes: 48 * MIB,
                age: Duration::from_secs(60),
            },
            batch: BatchLimits {
                commands: 1024,
                bytes: 4 * MIB,
            },
            queue_commands: 16 * 1024,
            queue_bytes: 64 * MIB,
        }
    }
}

/// Least memory budget that works, in MiB.
pub const MIN_MEMORY_MIB: usize = 128;

impl LogConfig {
    /// Bytes of the block cache that both databases share: half of the budget.
    #[must_use]
    pub fn block_cache_bytes(&self) -> usize {
        self.budget() / 2
    }

    /// Bytes of one write buffer of the ledger; it may fill two before it must wait.
    #[must_use]
    pub fn ledger_write_buffer_bytes(&self) -> usize {
        (self.budget() / 16).clamp(4 * MIB, 64 * MIB)
    }

    /// Bytes of write buffers of all families of the views together. The writer flushes at the recovery budget, well before
    /// this is full.
    #[must_use]
    pub fn views_write_buffer_bytes(&self) -> usize {
        (self.budget() / 8).clamp(16 * MIB, 256 * MIB)
    }

    /// Rows of the hot table: a sixth of the budget at [`HOT_ROW_BYTES`] each.
    #[must_use]
    pub fn hot_rows(&self) -> usize {
        self.budget() / 6 / HOT_ROW_BYTES
    }

    /// Bytes of the ring of recent records: a sixteenth of the budget.
    #[must_use]
    pub fn ring_bytes(&self) -> usize {
        self.budget() / 16
    }

    /// The recovery budget, no larger than the write buffers can hold with room to spare.
    #[must_use]
    pub fn recovery_bytes(&self) -> usize {
        self.recovery.bytes.min(self.views_write_buffer_bytes() / 2)
    }

    fn budget(&self) -> usize {
        self.memory_mib.max(MIN_MEMORY_MIB) * MIB
    }
}

/// Memory of one row of the hot table with its key, map slot and place in the eviction queue, about.
pub const HOT_ROW_BYTES: usize = 240;
