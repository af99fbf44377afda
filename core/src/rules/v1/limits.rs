//! The bounds that these rules consult. They decide what stands in ledgers and views, so they are frozen with the rules.

/// Most cursors in one `Reached` command: one record holds them all.
pub const MAX_REACHED: usize = 4096;

/// Most devices kept per user; the one that has reported least recently makes room for a new one.
pub const MAX_DEVICES_PER_USER: usize = 64;

/// A shown time runs at most this far ahead of the record's time, in milliseconds.
pub const MAX_TIME_AHEAD_MS: u16 = 1_000;

/// Every so many entries of a user log the chain hash is stored beside the entry, so that a proof never needs to hash more
/// than this many links.
pub const CHAIN_MARK_EVERY: u64 = 64;
