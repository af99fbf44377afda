//! The state hash: one value for all folded rows, so that two views can be compared in a line. `docs/formats.md`, "State hash".

use sha2::{Digest, Sha256};

use super::family::{Contents, Family};
use crate::id::Hash;
use crate::versions::VIEWS_VERSION;

/// Takes the folded rows in ascending order of (family number, key) and hashes each as
/// `family u8 ‖ key length u32 big-endian ‖ key ‖ value length u32 big-endian ‖ value`, after the text `waybill/state/` and
/// the views version in decimal. Rows of joined families are passed over.
pub struct StateHasher {
    hasher: Sha256,
    buffer: Vec<u8>,
}

/// SHA-256 is faster over few large pieces.
const BUFFER_BYTES: usize = 16 * 1024;

impl Default for StateHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl StateHasher {
    /// Starts with no rows.
    #[must_use]
    pub fn new() -> Self {
        let mut hasher = Sha256::new();
        hasher.update(format!("waybill/state/{VIEWS_VERSION}"));
        Self {
            hasher,
            buffer: Vec::with_capacity(BUFFER_BYTES + 1024),
        }
    }

    /// Takes the next row.
    pub fn row(&mut self, family: Family, key: &[u8], value: &[u8]) {
        if family.info().contents == Contents::Joined {
            return;
        }
        self.buffer.push(family as u8);
        for part in [key, value] {
            self.buffer
                .extend_from_slice(&(part.len() as u32).to_be_bytes());
            self.buffer.extend_from_slice(part);
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    /// The hash of the rows taken.
    #[must_use]
    pub fn finish(mut self) -> Hash {
        self.hasher.update(&self.buffer);
        Hash(self.hasher.finalize().into())
    }
}
