//! The machine a figure belongs to: processor, kernel, memory, filesystem.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, IoContext as _, Result};

/// Filesystems that keep nothing across a power cut: a durable figure on one of them would be a lie.
const VOLATILE: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// What the processor calls itself.
    pub cpu_model: Option<String>,
    /// How many of it this process may use.
    pub cpus: usize,
    /// Memory, in MiB.
    pub memory_mib: Option<u64>,
    /// The kernel's release.
    pub kernel: Option<String>,
}

/// What the data directory lies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Filesystem {
    /// For example `ext4`.
    pub kind: String,
    /// Where it is mounted from, for example `/dev/vda`.
    pub source: String,
    /// Options of the mount and of the filesystem.
    pub options: String,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            cpu_model: after(&cpuinfo, "model name"),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: after(&meminfo, "MemTotal")
                .and_then(|v| v.split(' ').next()?.parse::<u64>().ok())
                .map(|kib| kib / 1024),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .ok()
                .map(|s| s.trim().to_owned()),
        }
    }
}

impl Filesystem {
    /// What `dir` lies on; `None` where the kernel does not say.
    ///
    /// # Errors
    /// When `dir` does not exist, and when it lies in memory, where no sync makes anything durable.
    pub fn of(dir: &Path) -> Result<Option<Self>> {
        let dir = dir
            .canonicalize()
            .doing(format!("resolving {}", dir.display()))?;
        let found = innermost(
            &fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(),
            &dir,
        );
        match found {
            Some(fs) if VOLATILE.contains(&fs.kind.as_str()) => Err(Error::Options(format!(
                "{} lies on {}, which keeps nothing across a power cut: choose a directory on a disk with --data",
                dir.display(),
                fs.kind
            ))),
            other => Ok(other),
        }
    }
}

/// The value behind `label` and a colon.
fn after(text: &str, label: &str) -> Option<String> {
    let line = text.lines().find(|l| l.starts_with(label))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The mount with the longest mount point that `dir` lies under; of equal ones the later, which hides the earlier.
fn innermost(mountinfo: &str, dir: &Path) -> Option<Filesystem> {
    let mut best: Option<(usize, Filesystem)> = None;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let (Some(&point), Some(&options), [kind, source, rest @ ..]) =
            (left.get(4), left.get(5), right.as_slice())
        else {
            continue;
        };
        // Blanks in names are written as \040; a data directory under such a mount is reported by its parent.
        if !dir.starts_with(point)
            || best
                .as_ref()
                .is_some_and(|(length, _)| *length > point.len())
        {
            continue;
        }
        let options = std::iter::once(options)
            .chain(rest.iter().copied())
            .collect::<Vec<_>>()
            .join(",");
        best = Some((
            point.len(),
            Filesystem {
                kind: (*kind).to_owned(),
                source: (*source).to_owned(),
                options,
            },
        ));
    }
    best.map(|(_, fs)| fs)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Filesystem, Machine, innermost};

    const MOUNTS: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n\
                          30 22 0:25 / /dev/shm rw,nosuid - tmpfs shm rw,size=64k\n\
                          31 22 0:26 / /data rw master:2 shared:3 - xfs /dev/vdb rw\n";

    #[test]
    fn the_innermost_mount_wins() {
        let kind = |dir| innermost(MOUNTS, Path::new(dir)).map(|fs| fs.kind);
        assert_eq!(kind("/home/x").as_deref(), Some("ext4"));
        assert_eq!(kind("/data/waybill").as_deref(), Some("xfs"));
        // A name that only begins alike is another directory.
        assert_eq!(kind("/database").as_deref(), Some("ext4"));
        assert_eq!(innermost("", Path::new("/")), None);
        let root = innermost(MOUNTS, Path::new("/")).unwrap();
        assert_eq!(root.options, "rw,relatime,rw,discard");
    }

    #[test]
    fn memory_is_refused_as_a_disk() {
        let shm = Path::new("/dev/shm");
        // Not every build machine has one.
        if shm.is_dir()
            && std::fs::read_to_string("/proc/self/mountinfo")
                .unwrap()
                .contains(" /dev/shm ")
        {
            assert!(
                Filesystem::of(shm)
                    .unwrap_err()
                    .to_string()
                    .contains("--data")
            );
        }
    }

    #[test]
    fn this_machine_has_a_processor() {
        assert!(Machine::here().cpus >= 1);
    }
}
