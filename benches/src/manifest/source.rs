//! What was measured: the revision, the compiler, the profile, and the bytes of the program itself.

use std::process::Command;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Where the program comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The checkout's revision, when the benchmark is run inside one.
    pub git_revision: Option<String>,
    /// Whether the checkout differs from that revision.
    pub git_dirty: Option<bool>,
    /// The compiler that built this program.
    pub rustc: &'static str,
    /// What it compiled for.
    pub target: &'static str,
    /// The `target-cpu` it was told, or `generic`.
    pub target_cpu: &'static str,
    /// The allocator of this program, RocksDB included, as of the server.
    pub allocator: &'static str,
    /// The build profile.
    pub profile: &'static str,
    /// SHA-256 of this program: two results are of the same build when this is equal.
    pub program_sha256: Option<String>,
}

impl Source {
    /// This program.
    #[must_use]
    pub fn here() -> Self {
        let status = git(&["status", "--porcelain", "--untracked-files=no"]);
        Self {
            git_revision: git(&["rev-parse", "HEAD"]),
            git_dirty: status.map(|text| !text.is_empty()),
            rustc: env!("WAYBILL_RUSTC"),
            target: env!("WAYBILL_TARGET"),
            target_cpu: env!("WAYBILL_TARGET_CPU"),
            allocator: "mimalloc",
            profile: env!("WAYBILL_PROFILE"),
            program_sha256: std::env::current_exe()
                .and_then(std::fs::read)
                .ok()
                .map(|bytes| hex::encode(Sha256::digest(&bytes))),
        }
    }
}

/// The trimmed output of a git command, `None` when git or the checkout is missing.
fn git(args: &[&str]) -> Option<String> {
    let out = Command::new("git").args(args).output().ok()?;
    out.status
        .success()
        .then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn the_build_describes_itself() {
        let source = Source::here();
        assert!(source.rustc.starts_with("rustc "), "{}", source.rustc);
        assert_eq!(source.program_sha256.map(|s| s.len()), Some(64));
        assert!(!source.target_cpu.is_empty() && !source.profile.is_empty());
    }
}
