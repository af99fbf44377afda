//! What one `fdatasync` costs on the disk under test: the unit in which every durable figure has to be read.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{IoContext as _, Result};
use crate::latency::Latency;

/// How long a calibration runs unless a quick run is asked for.
pub const FULL: Duration = Duration::from_secs(3);
/// How long it runs in quick runs.
pub const QUICK: Duration = Duration::from_millis(200);

/// What is appended before each sync, in bytes: one page, a small commit.
const BLOCK: usize = 4096;

/// Appends of 4 KiB to a growing file, each followed by `fdatasync`, as a write-ahead log does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// How many there were.
    pub syncs: u64,
    /// How many a second.
    pub per_second: f64,
    /// Half of them took at most this, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 took at most this, in microseconds.
    pub p99_us: f64,
    /// The slowest, in microseconds.
    pub max_us: f64,
}

/// Measures for `span` with a file in `dir`, which is removed again.
///
/// # Errors
/// When the directory cannot be written.
pub fn run(dir: &Path, span: Duration) -> Result<Calibration> {
    let path = dir.join(format!("fdatasync-{}.calibration", std::process::id()));
    let outcome = measure(&path, span);
    // The file has served; a failure to remove it must not hide the outcome.
    let _ = std::fs::remove_file(&path);
    outcome
}

fn measure(path: &Path, span: Duration) -> Result<Calibration> {
    let mut file = File::create(path).doing(format!("creating {}", path.display()))?;
    // Not zeros: some layers below compress or drop them.
    let mut block = [0u8; BLOCK];
    crate::rng::Rng::new(1, 1).fill(&mut block);
    let mut latency = Latency::new();
    let start = Instant::now();
    while latency.count() == 0 || start.elapsed() < span {
        let begun = Instant::now();
        file.write_all(&block)
            .doing("writing the calibration file")?;
        file.sync_data()
            .doing("fdatasync on the calibration file")?;
        latency.record(begun.elapsed());
    }
    let summary = latency.summary();
    Ok(Calibration {
        syncs: summary.count,
        per_second: summary.count as f64 / start.elapsed().as_secs_f64(),
        p50_us: summary.p50_us,
        p99_us: summary.p99_us,
        max_us: summary.max_us,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn it_counts_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let calibration = super::run(dir.path(), Duration::from_millis(1)).unwrap();
        assert!(calibration.syncs >= 1);
        assert!(calibration.max_us >= calibration.p50_us && calibration.p50_us > 0.0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(super::run(&dir.path().join("gone"), Duration::from_millis(1)).is_err());
    }
}
