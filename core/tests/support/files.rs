//! The golden files: read and compared, or written anew when the environment says so.
#![expect(
    clippy::disallowed_methods,
    reason = "the files of a test are read from where they are committed"
)]

use std::path::PathBuf;

use serde_json::Value;

/// Set to `1` to write the golden files anew. Only before their version is released.
const REGENERATE: &str = "WAYBILL_REGENERATE_GOLDEN";

fn path(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("../tests/golden/v1").join(name)
}

/// Reads a golden file.
pub fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Reads a golden file of JSON.
pub fn read_json(name: &str) -> Value {
    serde_json::from_slice(&read(name)).unwrap()
}

fn regenerates() -> bool {
    std::env::var_os(REGENERATE).is_some_and(|value| value == "1")
}

/// Compares `made` with a golden file.
pub fn compare(name: &str, made: &[u8]) {
    if regenerates() {
        std::fs::write(path(name), made).unwrap();
    }
    let golden = read(name);
    let same = golden
        .iter()
        .zip(made)
        .take_while(|(one, other)| one == other)
        .count();
    assert!(
        golden == made,
        "{name} is {} bytes long, but {} are made now; they differ from byte {same} on",
        golden.len(),
        made.len()
    );
}

/// Compares `made` with a golden file of JSON, whatever the order of its keys.
pub fn compare_json(name: &str, made: &Value) {
    if regenerates() {
        let mut text = serde_json::to_string_pretty(made).unwrap();
        text.push('\n');
        std::fs::write(path(name), text).unwrap();
    }
    let golden = read_json(name);
    if let Some(difference) = difference(&golden, made, "") {
        panic!("{name} differs at {difference}");
    }
}

/// Where two values differ first.
fn difference(golden: &Value, made: &Value, place: &str) -> Option<String> {
    match (golden, made) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys());
            keys.filter(|key| one.get(*key) != other.get(*key))
                .find_map(|key| {
                    let missing = Value::String("(nothing)".to_owned());
                    let one = one.get(key).unwrap_or(&missing);
                    let other = other.get(key).unwrap_or(&missing);
                    difference(one, other, &format!("{place}/{key}"))
                })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            pairs
                .filter(|(_, (one, other))| one != other)
                .find_map(|(at, (one, other))| difference(one, other, &format!("{place}/{at}")))
        }
        (one, other) if one == other => None,
        (one, other) => Some(format!("{place}: {one} in the file, {other} now")),
    }
}

/// Appends a length (u32 big-endian) and so many bytes.
pub fn frame(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Takes a length and so many bytes from the front.
pub fn unframe<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (len, rest) = bytes.split_first_chunk::<4>().unwrap();
    let (piece, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
    *bytes = rest;
    piece
}
