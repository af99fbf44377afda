//! CPU time, memory and device bytes of processes, read from `/proc`.
//!
//! It must not know what the processes do. Every reading is `Option`: a process may be gone, a kernel may not say.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

/// Linux reports process times in hundredths of a second to user space, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// A reading of one process, or of several added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// User and system time, in seconds, resolution 10 ms.
    pub cpu_seconds: f64,
    /// Memory it holds, in KiB.
    pub rss_kib: u64,
    /// The most memory it ever held, in KiB.
    pub peak_rss_kib: u64,
    /// Bytes handed to the block layer.
    pub written_bytes: u64,
}

impl Usage {
    /// The reading of `pid`.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Self {
            cpu_seconds: cpu_seconds(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?,
            rss_kib: labelled(&status, "VmRSS:").unwrap_or(0),
            peak_rss_kib: labelled(&status, "VmHWM:").unwrap_or(0),
            written_bytes: fs::read_to_string(format!("/proc/{pid}/io"))
                .ok()
                .and_then(|text| labelled(&text, "write_bytes:"))
                .unwrap_or(0),
        })
    }

    /// The reading of this process.
    #[must_use]
    pub fn own() -> Self {
        Self::of(std::process::id()).unwrap_or_default()
    }

    /// The readings of `pids` added up; processes that are gone count nothing.
    #[must_use]
    pub fn sum(pids: &[u32]) -> Self {
        pids.iter()
            .filter_map(|&pid| Self::of(pid))
            .fold(Self::default(), |sum, one| Self {
                cpu_seconds: sum.cpu_seconds + one.cpu_seconds,
                rss_kib: sum.rss_kib + one.rss_kib,
                peak_rss_kib: sum.peak_rss_kib + one.peak_rss_kib,
                written_bytes: sum.written_bytes + one.written_bytes,
            })
    }

    /// What was used between `earlier` and this reading; memory is this reading's.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu_seconds: (self.cpu_seconds - earlier.cpu_seconds).max(0.0),
            rss_kib: self.rss_kib,
            peak_rss_kib: self.peak_rss_kib,
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
        }
    }
}

/// The memory of one process as its pages are, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident.
    pub rss_kib: u64,
    /// Resident and of no file: heaps and stacks.
    pub anonymous_kib: u64,
}

impl Memory {
    /// The reading of `pid`.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        Some(Self {
            rss_kib: labelled(&rollup, "Rss:")?,
            anonymous_kib: labelled(&rollup, "Anonymous:")?,
        })
    }
}

/// Bytes that `pid` has had fetched from the disk.
#[must_use]
pub fn read_bytes(pid: u32) -> Option<u64> {
    labelled(
        &fs::read_to_string(format!("/proc/{pid}/io")).ok()?,
        "read_bytes:",
    )
}

/// CPU seconds of the threads of several processes, added up by the threads' names.
///
/// Threads that have ended are not seen; their time is in [`Usage::cpu_seconds`] only.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Threads(pub BTreeMap<String, f64>);

impl Threads {
    /// The reading of `pids`.
    #[must_use]
    pub fn of(pids: &[u32]) -> Self {
        let mut sums = BTreeMap::new();
        for tasks in pids
            .iter()
            .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok())
        {
            for task in tasks.flatten() {
                let Ok(name) = fs::read_to_string(task.path().join("comm")) else {
                    continue;
                };
                let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                *sums.entry(plain(name.trim())).or_default() += cpu_seconds(&stat).unwrap_or(0.0);
            }
        }
        Self(sums)
    }

    /// What was used between `earlier` and this reading, by threads that used anything.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let used = |name: &str, now: f64| now - earlier.0.get(name).copied().unwrap_or(0.0);
        let spans = self
            .0
            .iter()
            .map(|(name, now)| (name.clone(), used(name, *now)));
        Self(spans.filter(|(_, seconds)| *seconds > 0.0).collect())
    }
}

/// A thread's name without the number that tells it from its siblings.
fn plain(name: &str) -> String {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '#')
        .to_owned()
}

/// Fields 14 and 15 of `stat`: user and system time. The second field is a name in parentheses that may hold
/// anything, so counting starts behind the last one.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let user: f64 = fields.nth(11)?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// The number behind `label` at the start of a line.
fn labelled(text: &str, label: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(label))?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::{Memory, Threads, Usage, cpu_seconds, labelled, plain, read_bytes};

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194304 10 0 0 0 250 50 0 0 20 0 1 0 9 1 2";
        assert_eq!(cpu_seconds(stat), Some(3.0));
    }

    #[test]
    fn a_label_is_found_at_the_start_of_its_line_only() {
        assert_eq!(
            labelled("x VmHWM: 1 kB\nVmHWM:\t  42 kB\n", "VmHWM:"),
            Some(42)
        );
        assert_eq!(labelled("nothing", "VmHWM:"), None);
    }

    #[test]
    fn this_process_has_used_memory() {
        assert!(Usage::own().peak_rss_kib > 0);
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.anonymous_kib > 0 && memory.anonymous_kib <= memory.rss_kib);
        assert!(read_bytes(std::process::id()).is_some());
        assert_eq!(Memory::of(u32::MAX), None);
    }

    #[test]
    fn a_process_that_is_gone_counts_nothing() {
        assert_eq!(Usage::sum(&[u32::MAX]), Usage::default());
    }

    #[test]
    fn siblings_are_added_up_and_differences_are_taken_by_name() {
        assert_eq!(
            (plain("rocksdb:low0"), plain("worker-12"), plain("main")),
            ("rocksdb:low".into(), "worker".into(), "main".into())
        );
        let of = |pairs: &[(&str, f64)]| {
            Threads(pairs.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect())
        };
        let later = of(&[("a", 3.0), ("b", 1.0), ("c", 0.5)]);
        assert_eq!(
            later.since(&of(&[("a", 1.0), ("b", 1.0)])),
            of(&[("a", 2.0), ("c", 0.5)])
        );
        assert!(!Threads::of(&[std::process::id()]).0.is_empty());
        assert_eq!(Threads::of(&[u32::MAX]), Threads::default());
    }
}
