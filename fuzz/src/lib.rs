//! Fuzz targets: one for each decoder of what peers, callers and disks hand in. A target takes any bytes and panics when its
//! decoder breaks a promise: it refuses by a typed error or accepts, never stops the program, never takes more memory than
//! its input is worth, and what it has accepted it writes again. `make fuzz` runs them with coverage to guide them, the test
//! `corpus` runs each over the inputs in `corpus/` and over mutations of them.

#![allow(clippy::unwrap_used, reason = "in a fuzz target a panic is the report")]

mod domain;
mod edge;
mod json;
pub mod memory;
pub mod mutate;
mod openim;
mod wire;

/// One decoder, or several that read the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also that of its folder in `corpus/`.
    pub name: &'static str,
    /// Longest input that is tried, in bytes: what is long says nothing new, and takes time.
    pub longest: usize,
    run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("gob", 2_048, openim::gob),
    target("gzip", 4_096, openim::gzip),
    target("protobuf", 2_048, openim::protobuf),
    target("ws-frames", 4_096, openim::frames),
    target("ws-address", 2_048, openim::address),
    target("openim-names", 256, openim::names),
    target("openim-content", 2_048, json::openim_content),
    target("content", 2_048, json::content),
    target("go-json", 2_048, json::go_json),
    target("socket-frames", 4_096, json::socket_frames),
    target("query", 512, edge::query),
    target("tokens", 1_536, edge::tokens),
    target("ids", 256, domain::ids),
    target("records", 4_096, domain::records),
    target("rows", 2_048, domain::rows),
    target("wire", 4_096, wire::frames),
];

const fn target(name: &'static str, longest: usize, run: fn(&[u8])) -> Target {
    Target { name, longest, run }
}

/// Memory that any input may take, in bytes.
const ALLOWED: usize = 8 * 1024 * 1024;
/// Memory that an input may take for each of its bytes: an empty message in a list has two bytes, and some hundred in memory.
const ALLOWED_PER_BYTE: usize = 512;

impl Target {
    /// The target with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.iter().find(|target| target.name == name).copied()
    }

    /// The inputs of the repository: `corpus/NAME.hex` has one in a line, in hexadecimal digits; lines with `#` say what they are.
    ///
    /// # Panics
    /// When there is no such file, or it holds something else.
    #[must_use]
    pub fn corpus(&self) -> Vec<Vec<u8>> {
        let path = format!("{}/corpus/{}.hex", env!("CARGO_MANIFEST_DIR"), self.name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let inputs = text.lines().filter(|line| !line.starts_with('#'));
        inputs
            .map(|line| hex::decode(line).unwrap_or_else(|error| panic!("{path}: {line}: {error}")))
            .collect()
    }

    /// Hands `input` to its decoder.
    ///
    /// # Panics
    /// When the decoder breaks a promise.
    pub fn run(&self, input: &[u8]) {
        let most = memory::most_of(|| (self.run)(input));
        let allowed = ALLOWED + ALLOWED_PER_BYTE * input.len();
        assert!(
            most <= allowed,
            "{} bytes of input took {most} bytes of memory",
            input.len()
        );
    }
}
