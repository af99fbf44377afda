//! What is measured of live connections: how soon after it was durable an entry was written and acknowledged, how far connections
//! lag, and why they ended.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use waybill_core::id::Seq;

use super::metrics::{LATENCY, TransportLabel};
use crate::live::End;
use crate::registry::Transport;

/// Bounds of how far connections lag, in entries.
const LAG: [f64; 7] = [0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndLabel {
    transport: &'static str,
    reason: &'static str,
}

/// The metrics of live connections.
pub struct LiveMetrics {
    of_transport: [OfTransport; Transport::ALL.len()],
    ended: Family<EndLabel, Counter>,
    /// Online-only messages, by what became of them: connections that took one, and those that had no room.
    pub online_taken: Counter,
    /// Those that had no room.
    pub online_dropped: Counter,
}

/// The metrics of one transport, found once.
struct OfTransport {
    open: Gauge,
    written: Histogram,
    acknowledged: Histogram,
    lag: Histogram,
}

impl LiveMetrics {
    pub(super) fn new(registry: &mut Registry, open: &Family<TransportLabel, Gauge>) -> Self {
        let latencies = || {
            Family::<TransportLabel, Histogram>::new_with_constructor(|| Histogram::new(LATENCY))
        };
        let (written, acknowledged) = (latencies(), latencies());
        let lag = Family::<TransportLabel, Histogram>::new_with_constructor(|| Histogram::new(LAG));
        let of_transport = Transport::ALL.map(|transport| {
            let label = TransportLabel {
                transport: transport.name(),
            };
            OfTransport {
                open: open.get_or_create(&label).clone(),
                written: written.get_or_create(&label).clone(),
                acknowledged: acknowledged.get_or_create(&label).clone(),
                lag: lag.get_or_create(&label).clone(),
            }
        });
        let metrics = Self {
            of_transport,
            ended: Family::default(),
            online_taken: Counter::default(),
            online_dropped: Counter::default(),
        };
        registry.register(
            "live_written_seconds",
            "Time from when an entry was durable until it was written to a live connection.",
            written,
        );
        registry.register(
            "live_acknowledged_seconds",
            "Time from when an entry was durable until a device said that it has it.",
            acknowledged,
        );
        registry.register(
            "live_lag_entries",
            "Entries that a live connection was behind after a page was written.",
            lag,
        );
        registry.register(
            "live_ended",
            "Live connections that the server has ended, by the reason.",
            metrics.ended.clone(),
        );
        registry.register(
            "online_only_taken",
            "Connections that have taken a message for those online only.",
            metrics.online_taken.clone(),
        );
        registry.register(
            "online_only_dropped",
            "Connections that had no room for a message for those online only.",
            metrics.online_dropped.clone(),
        );
        metrics
    }

    fn of(&self, transport: Transport) -> &OfTransport {
        &self.of_transport[transport as usize]
    }

    /// How many connections are open, of a transport.
    #[must_use]
    pub fn open(&self, transport: Transport) -> Gauge {
        self.of(transport).open.clone()
    }

    /// Notes that the server has ended a connection.
    pub fn ended(&self, transport: Transport, end: End) {
        let label = EndLabel {
            transport: transport.name(),
            reason: end.name(),
        };
        self.ended.get_or_create(&label).inc();
    }

    /// A meter for one connection.
    #[must_use]
    pub fn meter(&self, transport: Transport) -> Meter {
        let of = self.of(transport);
        Meter {
            written: of.written.clone(),
            acknowledged: of.acknowledged.clone(),
            lag: of.lag.clone(),
            to_write: None,
            to_acknowledge: None,
        }
    }
}

/// Measures one connection: of each growth that it is told of, the oldest that is not through.
pub struct Meter {
    written: Histogram,
    acknowledged: Histogram,
    lag: Histogram,
    /// The tail, the seq, and since when it is visible.
    to_write: Option<(u64, Seq, Instant)>,
    to_acknowledge: Option<(Seq, Instant)>,
}

impl Meter {
    /// A log that the connection follows has grown; `own`: it is that of its own user, whose device acknowledges it.
    pub fn grown(&mut self, request: u64, head: Seq, visible: Instant, own: bool) {
        self.to_write.get_or_insert((request, head, visible));
        if own {
            self.to_acknowledge.get_or_insert((head, visible));
        }
    }

    /// A page was written, up to `last` of a log that ends at `head`.
    pub fn wrote(&mut self, request: u64, last: Seq, head: Seq) {
        if let Some((of, seq, visible)) = self.to_write
            && of == request
            && seq <= last
        {
            self.written.observe(visible.elapsed().as_secs_f64());
            self.to_write = None;
        }
        #[expect(clippy::cast_precision_loss, reason = "the buckets are coarse")]
        self.lag.observe(head.0.saturating_sub(last.0) as f64);
    }

    /// The device has its log up to here.
    pub fn acknowledged(&mut self, up_to: Seq) {
        if let Some((seq, visible)) = self.to_acknowledge
            && seq <= up_to
        {
            self.acknowledged.observe(visible.elapsed().as_secs_f64());
            self.to_acknowledge = None;
        }
    }

    /// The tail has ended.
    pub fn forget(&mut self, request: u64) {
        if self.to_write.is_some_and(|(of, ..)| of == request) {
            self.to_write = None;
        }
    }
}
