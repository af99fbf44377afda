//! Whether what a server brings follows what is stored. It is asked before the store has it: a store that fails is the end of a
//! client, and no server may bring that about.

use waybill_core::id::Seq;

use super::Batch;
use super::words::Reached;
use crate::error::Error;
use crate::store::{LARGEST, Position, Snapshot};

/// Whether entries begin right after the cursor and have no hole among them.
///
/// # Errors
/// [`Error::Protocol`] when they do not, are of another history, or have numbers that no store can hold.
pub(super) fn batch(position: &Position, batch: &Batch) -> Result<(), Error> {
    if position.epoch != Some(batch.epoch) {
        // The server changed its history under a connection. The next one sorts it out.
        return Err(Error::Protocol("entries of another history".to_owned()));
    }
    let mut last = position.cursor;
    for entry in &batch.entries {
        if entry.seq != last.next() {
            let text = format!("after {last} comes {}", entry.seq);
            return Err(Error::Protocol(text));
        }
        if entry.seq.0 > LARGEST || entry.time.0 > LARGEST {
            let text = format!("entry {} of the time {}", entry.seq, entry.time.0);
            return Err(Error::Protocol(text));
        }
        last = entry.seq;
    }
    Ok(())
}

/// Whether a snapshot leads over the entries that are missing: it reaches the first one that is still there. So it lies behind
/// the cursor, because it is asked for only where the cursor does not reach that far.
///
/// # Errors
/// [`Error::Protocol`] when it does not, is of another history, or has a number that no store can hold.
pub(super) fn snapshot(reached: &Reached, snapshot: &Snapshot) -> Result<(), Error> {
    if snapshot.epoch != reached.epoch {
        return Err(Error::Protocol("a snapshot of another history".to_owned()));
    }
    let Seq(seq) = snapshot.seq;
    if seq.saturating_add(1) < reached.floor.0 || seq > LARGEST {
        let text = format!(
            "a snapshot of {seq}, where the log begins at {}",
            reached.floor
        );
        return Err(Error::Protocol(text));
    }
    Ok(())
}
