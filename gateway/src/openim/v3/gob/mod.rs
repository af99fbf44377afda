//! The part of Go's gob encoding that OpenIM's clients use: one flat struct of whole numbers, texts and bytes in one stream. It
//! knows no message of the dialect, only names and values of fields.

mod decode;
mod encode;

pub use decode::{Malformed, Struct, Value, decode};
pub use encode::response;

/// Most fields of a struct.
pub const MAX_FIELDS: usize = 16;

/// The ids of the built-in types that fields may have, as gob numbers them.
mod types {
    pub const INT: i64 = 2;
    pub const BYTES: i64 = 5;
    pub const STRING: i64 = 6;
}

#[cfg(test)]
mod tests;
