//! The versions that are written to disk or sent over a wire, each in this one place. They are independent of each other:
//! see `docs/formats.md`, "Versions".

/// Layout of the ledger: record envelope, fact variants, body variants, database families. Every older ledger opens for ever.
pub const LEDGER_FORMAT: u32 = 1;

/// Layout of the views. Views of another version are rebuilt from the ledger, never converted.
pub const VIEWS_VERSION: u32 = 2;

/// Version of the native wire protocol, in its ALPN name `waybill/1`.
pub const WIRE_VERSION: u32 = 1;

/// The newest rules version this program knows: which frozen `decide` and `apply` a new ledger starts with.
pub const RULES_VERSION: u32 = 1;
