//! What the log counts, as metrics. Read when somebody asks; nothing is added to the writer's path.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use waybill_log::Reader;

/// Size of a page of memory, as Linux on all machines that are built for counts them.
const PAGE_BYTES: u64 = 4096;

/// The metrics of the log, once it is open, and of the process.
#[derive(Default)]
pub struct LogMetrics {
    reader: OnceLock<Reader>,
    waiting: OnceLock<Box<dyn Fn() -> usize + Send + Sync>>,
}

impl LogMetrics {
    /// Tells where to read, once the log is open. Only the first call counts.
    pub fn open(&self, reader: Reader) {
        let _ = self.reader.set(reader);
    }

    /// Tells how to count the commands that wait for the writer. It must not keep the way to the writer open. Only the first
    /// call counts.
    pub fn count_waiting(&self, waiting: impl Fn() -> usize + Send + Sync + 'static) {
        let _ = self.waiting.set(Box::new(waiting));
    }
}

impl fmt::Debug for LogMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogMetrics")
    }
}

impl Collector for LogMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(bytes) = resident_bytes() {
            gauge(
                &mut encoder,
                "resident_memory_bytes",
                "Resident memory of the process.",
                bytes,
            )?;
        }
        if let Some(waiting) = self.waiting.get() {
            let waiting = u64::try_from(waiting()).unwrap_or(u64::MAX);
            gauge(
                &mut encoder,
                "writer_waiting_commands",
                "Commands that wait.",
                waiting,
            )?;
        }
        let Some(reader) = self.reader.get() else {
            return Ok(());
        };
        let counters = reader.counters();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all = [
            (
                "ledger_records",
                "Records written.",
                read(&counters.records),
            ),
            (
                "writer_batches",
                "Batches made durable.",
                read(&counters.batches),
            ),
            (
                "writer_commands",
                "Commands taken.",
                read(&counters.commands),
            ),
            (
                "writer_expired",
                "Commands dropped for their deadline.",
                read(&counters.expired),
            ),
            (
                "views_flushes",
                "Flushes of the views.",
                read(&counters.flushes),
            ),
            (
                "writer_sync_microseconds",
                "Time in synced writes.",
                read(&counters.sync_us),
            ),
        ];
        for (name, help, value) in all {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        let durable = reader.durable().0;
        gauge(
            &mut encoder,
            "ledger_durable_position",
            "The last record synced.",
            durable,
        )?;
        let behind = read(&counters.unflushed_records);
        let help = "Records that a restart now would apply again.";
        gauge(&mut encoder, "views_unflushed_records", help, behind)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    gauge.encode(metric)
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split(' ')
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|pages| pages * PAGE_BYTES)
}
