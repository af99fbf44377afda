//! A copy of both stores at one position, in the layout of a data directory, for auditors and backups.

use std::path::Path;

use waybill_core::rules::Tail;

use crate::directory::{FORMAT_FILE, LEDGER_DIR, TAIL_FILE, VIEWS_DIR, format_text};
use crate::error::StoreError;
use crate::recovery::stored_epoch;
use crate::store::Applied;
use crate::view_store::ViewStore;
use crate::witness::Witness;

/// Copies into `to`, which must not exist. The views must have been flushed at `tail`, and nothing may be written meanwhile: the
/// writer calls this between two batches.
pub(crate) fn copy(
    store: &ViewStore,
    with_witness: bool,
    tail: &Tail,
    to: &Path,
) -> Result<(), StoreError> {
    let failed = |reason: String| StoreError::Failed {
        store: "snapshot",
        reason,
    };
    std::fs::create_dir(to).map_err(|error| failed(format!("{}: {error}", to.display())))?;
    store.ledger().snapshot(&to.join(LEDGER_DIR))?;
    store.views().snapshot(&to.join(VIEWS_DIR))?;
    let io = |error: std::io::Error| failed(error.to_string());
    if with_witness && let Ok(Some(epoch)) = stored_epoch(store) {
        let (mut witness, _) = Witness::open(&to.join(TAIL_FILE)).map_err(io)?;
        witness
            .set(&Applied {
                epoch,
                position: tail.position,
                leaf: tail.leaf,
            })
            .map_err(io)?;
        witness.sync().map_err(io)?;
    }
    // The format file is written last: without it the copy is no data directory.
    std::fs::write(to.join(FORMAT_FILE), format_text()).map_err(io)
}
