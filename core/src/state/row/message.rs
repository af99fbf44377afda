//! Messages beside their places: found again by key, or erased.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::id::{KeyedHash, Position};
use crate::state::family::Family;

/// The message sent with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupRow {
    /// Its record.
    pub position: Position,
}
row!(DedupRow, Dedup, KeyedHash);

/// That a body was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedRow {
    /// The `BodyErased` record.
    pub position: Position,
}
row!(ErasedRow, Erased, Position);
