//! What every result carries: what was measured, where, how durable, and how quiet the machine was.
//!
//! A figure without its manifest is not a result. What the machine does not tell is `null`, never left out.

pub mod calibration;
pub mod machine;
pub mod pressure;
pub mod source;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::error::Result;
use crate::process::Usage;
use calibration::Calibration;
use machine::{Filesystem, Machine};
use pressure::{Pressure, Stalled};
use source::Source;

/// The layout of the JSON; raised when a field changes its meaning.
pub const SCHEMA: &str = "waybill-bench/1";

/// Above this share of time with tasks waiting for a CPU before the run, the machine was not quiet.
pub const QUIET_CPU_PERCENT: f64 = 10.0;

/// The manifest of one result.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Which benchmark.
    pub tool: &'static str,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// How long it took, in seconds.
    pub took_seconds: f64,
    /// What was measured.
    pub source: Source,
    /// What it ran on.
    pub machine: Machine,
    /// What the data lay on.
    pub filesystem: Option<Filesystem>,
    /// What an answer meant: for example `fdatasync before the answer, grouped`.
    pub durability: String,
    /// The options in force.
    pub config: serde_json::Value,
    /// The seed of everything random.
    pub seed: u64,
    /// The disk before the run.
    pub calibration_before: Calibration,
    /// The disk after the run.
    pub calibration_after: Calibration,
    /// Pressure before the run.
    pub pressure_before: Pressure,
    /// The share of the run under pressure. The run itself makes pressure: read it beside the one before.
    pub pressure_during: Stalled,
    /// Pressure after the run.
    pub pressure_after: Pressure,
    /// The most memory this process held, in KiB; servers report their own.
    pub peak_rss_kib: u64,
    /// What the reader should know before believing the figures.
    pub warnings: Vec<String>,
}

/// A run under way: everything that is known before it ends.
pub struct Recording {
    tool: &'static str,
    began_ms: u64,
    began: Instant,
    data: PathBuf,
    calibrate_for: Duration,
    calibration_before: Calibration,
    pressure_before: Pressure,
    filesystem: Option<Filesystem>,
}

impl Recording {
    /// Looks at the machine, then calibrates the disk under `data` (which must exist) for `calibrate_for`.
    ///
    /// # Errors
    /// When `data` cannot be written or lies in memory.
    pub fn begin(tool: &'static str, data: &Path, calibrate_for: Duration) -> Result<Self> {
        let filesystem = Filesystem::of(data)?;
        // Read before the calibration, which makes pressure of its own.
        let pressure_before = Pressure::now();
        Ok(Self {
            tool,
            began_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            data: data.to_owned(),
            calibrate_for,
            calibration_before: calibration::run(data, calibrate_for)?,
            pressure_before,
            filesystem,
            began: Instant::now(),
        })
    }

    /// Calibrates again and closes the manifest.
    ///
    /// # Errors
    /// When the data directory cannot be written any more.
    pub fn end(
        self,
        durability: impl Into<String>,
        config: serde_json::Value,
        seed: u64,
    ) -> Result<Manifest> {
        let took = self.began.elapsed();
        let pressure_after = Pressure::now();
        let calibration_after = calibration::run(&self.data, self.calibrate_for)?;
        let warnings = warnings(
            &self.pressure_before,
            &self.calibration_before,
            &calibration_after,
        );
        Ok(Manifest {
            schema: SCHEMA,
            tool: self.tool,
            began_ms: self.began_ms,
            took_seconds: took.as_secs_f64(),
            source: Source::here(),
            machine: Machine::here(),
            filesystem: self.filesystem,
            durability: durability.into(),
            config,
            seed,
            pressure_during: pressure_after.since(&self.pressure_before, took),
            calibration_before: self.calibration_before,
            calibration_after,
            pressure_before: self.pressure_before,
            pressure_after,
            peak_rss_kib: Usage::own().peak_rss_kib,
            warnings,
        })
    }
}

/// What makes the figures doubtful.
fn warnings(before: &Pressure, first: &Calibration, last: &Calibration) -> Vec<String> {
    let mut out = Vec::new();
    match before.cpu_some {
        Some(line) if line.avg10 > QUIET_CPU_PERCENT => out.push(format!(
            "the machine was not quiet: tasks waited for a CPU in {:.0} % of the ten seconds before the run",
            line.avg10
        )),
        Some(_) => {}
        None => out.push("the kernel reports no pressure: nobody knows whether the machine was quiet".to_owned()),
    }
    let drift =
        first.p50_us.max(last.p50_us) / first.p50_us.min(last.p50_us).max(f64::MIN_POSITIVE);
    if drift > 2.0 {
        out.push(format!(
            "the disk changed during the run: median fdatasync {:.0} µs before, {:.0} µs after",
            first.p50_us, last.p50_us
        ));
    }
    out
}

impl Manifest {
    /// The lines that go above every printed table.
    #[must_use]
    pub fn headline(&self) -> String {
        use std::fmt::Write as _;
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        let percent =
            |p: Option<f64>| p.map_or_else(|| "unknown".to_owned(), |p| format!("{p:.0} %"));
        let revision = self
            .source
            .git_revision
            .as_deref()
            .map_or("unknown", |r| &r[..r.len().min(12)]);
        let dirty = if self.source.git_dirty == Some(true) {
            "+changes"
        } else {
            ""
        };
        let mut out = format!(
            "machine: {} × {}, kernel {}, {}; revision {revision}{dirty}, {}, target-cpu {}\n\
             durability: {}\n\
             fdatasync (4 KiB appends): {:.0}/s, p50 {:.0} µs, p99 {:.0} µs before; {:.0}/s, p50 {:.0} µs after\n\
             pressure: cpu {} in the 10 s before, {} during; io {} during; seed {}",
            self.machine.cpus,
            or(&self.machine.cpu_model),
            or(&self.machine.kernel),
            self.filesystem
                .as_ref()
                .map_or("unknown filesystem", |f| f.kind.as_str()),
            self.source.rustc,
            self.source.target_cpu,
            self.durability,
            self.calibration_before.per_second,
            self.calibration_before.p50_us,
            self.calibration_before.p99_us,
            self.calibration_after.per_second,
            self.calibration_after.p50_us,
            percent(self.pressure_before.cpu_some.map(|l| l.avg10)),
            percent(self.pressure_during.cpu_some_percent),
            percent(self.pressure_during.io_some_percent),
            self.seed,
        );
        for warning in &self.warnings {
            let _ = write!(out, "\nwarning: {warning}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::calibration::Calibration;
    use super::pressure::{Line, Pressure};
    use super::{Recording, SCHEMA, warnings};

    #[test]
    fn a_manifest_is_complete_json() {
        let dir = tempfile::tempdir().unwrap();
        let recording = Recording::begin("test", dir.path(), Duration::from_millis(1)).unwrap();
        let manifest = recording
            .end("none", serde_json::json!({"batch": 1}), 9)
            .unwrap();
        let json = serde_json::to_value(&manifest).unwrap();
        assert_eq!(json["schema"], SCHEMA);
        assert_eq!(json["config"]["batch"], 1);
        for key in [
            "source",
            "machine",
            "filesystem",
            "calibration_before",
            "calibration_after",
            "pressure_before",
            "pressure_during",
            "pressure_after",
            "peak_rss_kib",
            "durability",
            "seed",
            "warnings",
        ] {
            assert!(json.get(key).is_some(), "{key} is missing");
        }
        assert!(manifest.headline().contains("durability: none"));
    }

    #[test]
    fn a_busy_machine_and_a_changed_disk_are_named() {
        let disk = |p50_us| Calibration {
            syncs: 1,
            per_second: 1.0,
            p50_us,
            p99_us: p50_us,
            max_us: p50_us,
        };
        let cpu = |avg10| Pressure {
            cpu_some: Some(Line {
                avg10,
                ..Line::default()
            }),
            ..Pressure::default()
        };
        assert!(warnings(&cpu(5.0), &disk(100.0), &disk(150.0)).is_empty());
        assert_eq!(warnings(&cpu(50.0), &disk(100.0), &disk(150.0)).len(), 1);
        assert_eq!(warnings(&cpu(50.0), &disk(100.0), &disk(500.0)).len(), 2);
        assert_eq!(
            warnings(&Pressure::default(), &disk(100.0), &disk(100.0)).len(),
            1
        );
    }
}
