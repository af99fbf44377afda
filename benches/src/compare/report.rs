//! The comparison as JSON and as a Markdown table.

use std::collections::BTreeMap;

use serde::Serialize;

use super::columns::{Column, Name};
use super::runner::{ColumnResult, Round};
use crate::latency::Summary;
use crate::manifest::Manifest;
use crate::stats::Spread;
use crate::table::{Table, micros, number};

/// The whole result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where the figures come from.
    pub manifest: Manifest,
    /// The mean length of a body, in bytes.
    pub mean_body_bytes: f64,
    /// The columns, in the order of their turns.
    pub columns: Vec<ColumnReport>,
}

/// One column.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnReport {
    /// What it is.
    #[serde(flatten)]
    pub column: Column,
    /// What the system said it ran with.
    pub effective: serde_json::Value,
    /// Messages a second.
    pub rate: Option<Spread>,
    /// The rate as a share of the yardstick's in the same round.
    pub of_yardstick: Option<Spread>,
    /// Latencies of all rounds.
    pub latency: Summary,
    /// Each round.
    pub rounds: Vec<Round>,
}

impl Report {
    /// The report of `results`.
    #[must_use]
    pub fn new(manifest: Manifest, mean_body_bytes: f64, results: Vec<ColumnResult>) -> Self {
        let rates =
            |result: &ColumnResult| result.rounds.iter().map(|r| r.rate).collect::<Vec<_>>();
        let yardstick = results
            .iter()
            .find(|r| r.column.name == Name::Yardstick)
            .map(rates);
        let columns = results
            .into_iter()
            .map(|result| ColumnReport {
                rate: Spread::of(&rates(&result)),
                of_yardstick: yardstick
                    .as_ref()
                    .and_then(|y| Spread::of_ratios(&rates(&result), y)),
                latency: result.latency.summary(),
                column: result.column,
                effective: result.effective,
                rounds: result.rounds,
            })
            .collect();
        Self {
            manifest,
            mean_body_bytes,
            columns,
        }
    }

    /// The headline and the table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut table = Table::new([
            "column",
            "messages/s",
            "range",
            "of yardstick",
            "in flight",
            "batch",
            "connections",
            "p50",
            "p99",
            "server µs/msg",
            "client µs/msg",
            "server RSS MiB",
        ]);
        for c in &self.columns {
            let shape = c.column.shape;
            let over = |f: fn(&Round) -> f64| {
                Spread::of(&c.rounds.iter().map(f).collect::<Vec<_>>())
                    .map_or_else(String::new, |s| number(s.median))
            };
            let own = c.column.name.is_in_process();
            table.row([
                c.column.name.to_string(),
                c.rate.map_or_else(String::new, |s| number(s.median)),
                c.rate.map_or_else(String::new, |s| {
                    format!("{} to {}", number(s.min), number(s.max))
                }),
                c.of_yardstick
                    .map_or_else(|| "n/a".into(), |s| format!("{:.1} %", 100.0 * s.median)),
                shape.in_flight.to_string(),
                shape.batch.to_string(),
                if own {
                    "none".into()
                } else {
                    shape.connections.to_string()
                },
                micros(c.latency.p50_us),
                micros(c.latency.p99_us),
                if own {
                    "in client".into()
                } else {
                    over(|r| r.server_us_per_message)
                },
                over(|r| r.client_us_per_message),
                if own {
                    "in client".into()
                } else {
                    over(|r| r.cost.server.peak_rss_kib as f64 / 1024.0)
                },
            ]);
        }
        let rounds = self.columns.first().map_or(0, |c| c.rounds.len());
        let mut threads = Table::new([
            "column",
            "threads that used more than 0.1 µs of CPU time for a message",
        ]);
        for c in &self.columns {
            threads.row([c.column.name.to_string(), busiest(&c.rounds)]);
        }
        let mut work = Table::of_words(["column", "work per message", "an answer means"]);
        for c in &self.columns {
            work.row([
                c.column.name.to_string(),
                c.column.work.to_owned(),
                c.column.durability.to_owned(),
            ]);
        }
        format!(
            "{}\nbodies: {:.0} bytes on average; {rounds} interleaved rounds, medians; latencies of all rounds merged\n\n\
             {}\n{}\n{}",
            self.manifest.headline(),
            self.mean_body_bytes,
            table.markdown(),
            threads.markdown(),
            work.markdown(),
        )
    }
}

/// The threads that used the most CPU time over all rounds, with their microseconds for a message.
fn busiest(rounds: &[Round]) -> String {
    let messages: f64 = rounds.iter().map(|r| r.counted as f64).sum();
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, seconds) in rounds.iter().flat_map(|r| &r.cost.threads.0) {
        *sums.entry(name).or_default() += seconds * 1e6 / messages.max(1.0);
    }
    let mut sums: Vec<_> = sums
        .into_iter()
        .filter(|(_, micros)| *micros > 0.1)
        .collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    sums.iter()
        .map(|(name, micros)| format!("{name} {micros:.1}"))
        .collect::<Vec<_>>()
        .join(", ")
}
