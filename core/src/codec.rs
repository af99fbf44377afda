//! The one module that names bincode: every record, body, command, row and frame goes through here.
//!
//! bincode 2 with its standard configuration (little-endian, variable-length integers), as `docs/formats.md` describes byte
//! by byte. Decoding is bounded and strict. No text or byte string longer than the limit is allocated, no list is given more
//! than [`MAX_LIST_RESERVE_BYTES`] before its elements are there, and left-over bytes are an error.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_BODY_BYTES, MAX_COMMAND_BYTES};

/// Why bytes could not be decoded, or a value not encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes are no encoding of the expected value.
    #[error("cannot decode {what}: {reason}")]
    Malformed {
        /// The type that was expected.
        what: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// A complete value was followed by this many more bytes.
    #[error("{extra} bytes follow {what}")]
    Trailing {
        /// The type that was expected.
        what: &'static str,
        /// How many bytes were left over.
        extra: usize,
    },
}

type Bounded<const LIMIT: usize> = Configuration<LittleEndian, Varint, Limit<LIMIT>>;

const fn bounded<const LIMIT: usize>() -> Bounded<LIMIT> {
    bincode::config::standard().with_limit::<LIMIT>()
}

/// The largest thing that is ever decoded here. bincode counts a number with its full width against the limit, however few
/// bytes it was written in; the longest list there is ([`MAX_REACHED`](crate::limits::MAX_REACHED)) stays far below.
const LARGEST: usize = if MAX_COMMAND_BYTES > MAX_BODY_BYTES {
    MAX_COMMAND_BYTES
} else {
    MAX_BODY_BYTES
};

/// What serde reserves at most for a list on the word of its length alone. Beyond it the list grows as elements are decoded.
pub const MAX_LIST_RESERVE_BYTES: usize = 1024 * 1024;

/// Appends the encoding of `value` to `out`.
///
/// # Panics
/// Only if a type's `Serialize` reports an error of its own; none of the types in this crate does.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let written = bincode::serde::encode_into_std_write(value, out, bincode::config::standard());
    assert!(
        written.is_ok(),
        "a value of this crate could not be encoded: {written:?}"
    );
}

/// The encoding of `value`.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    encode_into(value, &mut out);
    out
}

/// Decodes exactly one value from all of `bytes`, borrowing from them where the type can.
///
/// # Errors
/// When the bytes are malformed, claim more than the limit, or go on after the value.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    let (value, rest) = decode_prefix(bytes)?;
    match rest.len() {
        0 => Ok(value),
        extra => Err(CodecError::Trailing {
            what: short_name::<T>(),
            extra,
        }),
    }
}

/// Decodes one value from the front of `bytes` and returns what follows it.
///
/// # Errors
/// When the bytes are malformed or claim more than the limit.
pub fn decode_prefix<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), CodecError> {
    match bincode::serde::borrow_decode_from_slice(bytes, bounded::<LARGEST>()) {
        Ok((value, used)) => Ok((value, &bytes[used..])),
        Err(error) => Err(CodecError::Malformed {
            what: short_name::<T>(),
            reason: error.to_string(),
        }),
    }
}

/// The last part of a type's path, for messages.
fn short_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    let end = name.find('<').unwrap_or(name.len());
    name[..end].rsplit("::").next().unwrap_or(name)
}

/// Serde helpers for fields that are raw bytes: length, then the bytes as they are.
pub mod raw {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    /// Writes a byte string.
    ///
    /// # Errors
    /// What the serializer reports.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    /// Reads a byte string.
    ///
    /// # Errors
    /// What the deserializer reports.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
