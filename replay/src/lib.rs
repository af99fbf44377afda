//! The auditor's library: reads a data directory, never writes to it, and says whether the ledger and the views are what an
//! honest server leaves behind.
//!
//! Built on [`waybill_core`], whose `fold` is the definition of the views, and on the stores of [`waybill_log`]. It knows no
//! network, no configuration file and no command line: the `waybill` command parses, calls [`verify::run`] and prints.

pub mod meter;
pub mod progress;
pub mod verify;
