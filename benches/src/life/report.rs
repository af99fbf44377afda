//! The life of a data directory as JSON and as Markdown tables.

use serde::Serialize;

use super::Step;
use super::disk::Disk;
use super::pages::Pages;
use super::restart::Start;
use crate::manifest::Manifest;
use crate::table::{Table, micros, number};

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Life {
    /// Messages filled in.
    pub messages: u64,
    /// Distinct messages among them; the others repeat a body with another key and receiver.
    pub distinct: u32,
    /// The mean length of a body, in bytes.
    pub mean_body: f64,
    /// The filling, in tenths.
    pub filled: Vec<Step>,
    /// First pages.
    pub pages: Pages,
    /// Starts after kills.
    pub restarts: Vec<Start>,
    /// The start without views.
    pub rebuild: Start,
    /// The directory at rest.
    pub disk: Disk,
}

/// The whole result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where the figures come from.
    pub manifest: Manifest,
    /// The figures.
    #[serde(flatten)]
    pub life: Life,
}

impl Report {
    /// The headline and the tables.
    #[must_use]
    pub fn markdown(&self) -> String {
        let life = &self.life;
        let mut filling = Table::new(["messages", "messages/s", "CPU µs/msg", "RSS MiB"]);
        for step in &life.filled {
            filling.row([
                number(step.messages as f64),
                number(step.rate),
                number(step.cpu_us_per_message),
                number(step.rss_kib as f64 / 1024.0),
            ]);
        }
        let mut pages = Table::new(["first pages of the log", "pages", "p50", "p99", "max"]);
        for (name, s) in [
            ("first time", life.pages.first_time),
            ("warm", life.pages.warm),
        ] {
            pages.row([
                name.into(),
                s.count.to_string(),
                micros(s.p50_us),
                micros(s.p99_us),
                micros(s.max_us),
            ]);
        }
        let mut starts = Table::new(["start", "records", "seconds", "records/s"]);
        for start in &life.restarts {
            starts.row([
                "after a kill under full load".into(),
                number(start.records as f64),
                number(start.seconds),
            ]);
        }
        starts.row([
            "with all views made anew".into(),
            number(life.rebuild.records as f64),
            number(life.rebuild.seconds),
            life.rebuild
                .records_per_second
                .map_or_else(String::new, number),
        ]);
        let mut disk = Table::new(["on disk after compaction", "MiB", "bytes/message"]);
        let mib = |bytes: u64| number(bytes as f64 / f64::from(1 << 20));
        for family in life.disk.families.iter().filter(|f| f.bytes > 0) {
            let name = format!("{}/{}", family.database, family.family);
            disk.row([name, mib(family.bytes), number(family.bytes_per_message)]);
        }
        let without = life.disk.skeleton_per_message;
        disk.row([
            "all files without bodies".into(),
            String::new(),
            number(without),
        ]);
        disk.row([
            "all files".into(),
            mib(life.disk.bytes),
            number(life.disk.bytes_per_message),
        ]);
        format!(
            "{}\nbodies: {:.0} bytes on average, {} distinct; pages of {} entries of {} users, {} entries/s warm on one \
             thread\n\n{}\n{}\n{}\n{}",
            self.manifest.headline(),
            life.mean_body,
            number(f64::from(life.distinct)),
            life.pages.page,
            life.pages.users,
            number(life.pages.warm_entries_per_second),
            filling.markdown(),
            pages.markdown(),
            starts.markdown(),
            disk.markdown(),
        )
    }
}
