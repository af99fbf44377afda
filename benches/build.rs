//! Hands the compiler's version and flags to the manifest of every result.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .filter(|out| out.status.success())
        .map_or_else(
            || "rustc unknown".to_owned(),
            |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
        );
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    // Both spellings are legal: `-Ctarget-cpu=x` in one argument, `-C` and `target-cpu=x` in two.
    let cpu = flags
        .split('\u{1f}')
        .find_map(|flag| {
            flag.trim_start_matches("-C")
                .trim()
                .strip_prefix("target-cpu=")
        })
        .unwrap_or("generic")
        .to_owned();
    let of = |name: &str| std::env::var(name).unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo::rustc-env=WAYBILL_RUSTC={version}");
    println!("cargo::rustc-env=WAYBILL_TARGET={}", of("TARGET"));
    println!("cargo::rustc-env=WAYBILL_TARGET_CPU={cpu}");
    println!(
        "cargo::rustc-env=WAYBILL_PROFILE={} (opt-level {})",
        of("PROFILE"),
        of("OPT_LEVEL")
    );
}
