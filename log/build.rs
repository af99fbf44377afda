//! Does nothing: Cargo takes note of build dependencies only where there is a build script. See `Cargo.toml`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
