//! The bounds of the domain, each with its reason. Bounds of transports and queues live with their owners.

/// Longest encoded record, in bytes. C2SP entry bundles carry a 16-bit length; the rest is room for framing.
pub const MAX_RECORD_BYTES: usize = 60 * 1024;

/// Longest `content` of a message, in bytes.
pub const MAX_CONTENT_BYTES: usize = 64 * 1024;

/// Longest body, in bytes: a content, the same again for push texts and names, and framing. Decoders refuse more before
/// they allocate.
pub const MAX_BODY_BYTES: usize = 2 * MAX_CONTENT_BYTES + 16 * 1024;

/// Longest user id, device id, clientMsgID and idempotency key, in bytes.
pub const MAX_ID_BYTES: usize = 64;

/// Longest nickname, face URL, operationID or other free text field outside the content, in bytes.
pub const MAX_TEXT_BYTES: usize = 4 * 1024;

/// Most cursors in one `Reached` command: one record holds them all.
pub const MAX_REACHED: usize = 4096;

/// Most devices kept per user; the one that has reported least recently makes room for a new one.
pub const MAX_DEVICES_PER_USER: usize = 64;

/// A shown time runs at most this far ahead of the record's time, in milliseconds.
pub const MAX_TIME_AHEAD_MS: u64 = 1_000;

/// Every so many entries of a user log the chain hash is stored beside the entry, so that a proof never needs to hash more
/// than this many links.
pub const CHAIN_MARK_EVERY: u64 = 64;

/// Longest encoded command, in bytes: a body, three user references and room for packed lists.
pub const MAX_COMMAND_BYTES: usize = MAX_BODY_BYTES + 64 * 1024;
