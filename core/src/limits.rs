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

// What `decide` and `apply` consult is frozen with their version.
pub use crate::rules::v1::limits::{
    CHAIN_MARK_EVERY, MAX_CHUNK, MAX_DEVICES_PER_USER, MAX_ENDED, MAX_FILLED, MAX_LISTED,
    MAX_PASSED, MAX_REACHED, MAX_RECALLED, MAX_REMOVED, MAX_RESTORE_GAP, MAX_RESTORES, MAX_RUNNING,
    MAX_TIME_AHEAD_MS, MAX_TURNS, MAX_WALKED,
};

/// Longest encoded command, in bytes: a body, three user references and room for packed lists.
pub const MAX_COMMAND_BYTES: usize = MAX_BODY_BYTES + 64 * 1024;
