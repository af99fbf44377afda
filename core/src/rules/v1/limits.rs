//! The bounds that these rules consult. They decide what stands in ledgers and views, so they are frozen with the rules.

/// Most cursors in one `Reached` command: one record holds them all.
pub const MAX_REACHED: usize = 4096;

/// Most terms by which a login says which earlier ones it ends: as many as there are platforms.
pub const MAX_ENDED: usize = 8;

/// Most devices kept per user; the one that has reported least recently makes room for a new one.
pub const MAX_DEVICES_PER_USER: usize = 64;

/// Most receivers whose entries go in with the message's own record. With the longest numbers the record stays far below
/// its bound.
pub const MAX_LISTED: usize = 512;

/// Most receivers of one chunk of a fan-out, and most rows looked at for it. Other commands wait for a chunk: it must be short.
pub const MAX_CHUNK: usize = 500;

/// Most receivers whom one step of a recall reaches: each costs `decide` some look-ups.
pub const MAX_RECALLED: usize = 250;

/// Most fan-outs and their recalls that run at once.
pub const MAX_RUNNING: usize = 256;

/// Longest time that a message waits before it is delivered, in milliseconds: 366 days.
pub const MAX_WAIT_MS: u64 = 366 * 24 * 60 * 60 * 1000;

/// Most lines of an audience's list in one command.
pub const MAX_FILLED: usize = 1000;

/// Most ends and new beginnings that are known of a registration; even. Each costs a record, and its row is written whole.
pub const MAX_TURNS: usize = 32;

/// Most messages that one command removes for a user.
pub const MAX_REMOVED: usize = 256;

/// Most rows of removed messages that one reading passes; a reading that would pass more stops there.
pub const MAX_PASSED: usize = 4096;

/// Most places that a restore leaves out in each log. Clients that know no epoch may ask for every one of them.
pub const MAX_RESTORE_GAP: u64 = 1_000_000;

/// Most restores of a ledger. Whoever looks for a place that was left out looks through all of them.
pub const MAX_RESTORES: usize = 100;

/// A shown time runs at most this far ahead of the record's time, in milliseconds.
pub const MAX_TIME_AHEAD_MS: u16 = 1_000;

/// Every so many entries of a user log the chain hash is stored beside the entry, so that a proof never needs to hash more
/// than this many links.
pub const CHAIN_MARK_EVERY: u64 = 64;

/// Most entries of user logs that one `Reached` command looks at for messages of tracked accounts. Other commands wait for it:
/// it must be short.
pub const MAX_WALKED: usize = 1000;

/// While accounts are tracked, a `Reached` record takes no more users once it may be this long, in bytes: what one user adds still
/// fits into a record.
pub const MAX_PACKED_BYTES: usize = 32 * 1024;
