//! What comes over a link, gathered into batches for the store.

use tokio::sync::mpsc;

use super::Batch;
use super::words::LinkId;
use crate::error::Error;
use crate::link::PAGE;

/// What a link brings.
pub(super) struct Reading {
    pub link: LinkId,
    pub batches: mpsc::Receiver<Result<Batch, Error>>,
    /// What was taken too early.
    pub next: Option<Result<Batch, Error>>,
}

/// The next batch of the link that may be read; waits for ever while none may.
pub(super) async fn next(
    reading: &mut Option<Reading>,
    reads: Option<LinkId>,
) -> (LinkId, Result<Batch, Error>) {
    match reading {
        Some(reading) if Some(reading.link) == reads => {
            let first = match reading.next.take() {
                Some(next) => Some(next),
                None => reading.batches.recv().await,
            };
            let mut batch = match first {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => return (reading.link, Err(error)),
                None => {
                    return (
                        reading.link,
                        Err(Error::Lost("the link has ended".to_owned())),
                    );
                }
            };
            // Small batches that have gathered are stored together.
            while reading.next.is_none() && batch.entries.len() < PAGE as usize {
                match reading.batches.try_recv() {
                    Ok(Ok(more))
                        if more.epoch == batch.epoch
                            && batch.entries.len() + more.entries.len() <= PAGE as usize =>
                    {
                        batch.head = more.head;
                        batch.entries.extend(more.entries);
                    }
                    Ok(other) => reading.next = Some(other),
                    Err(_) => break,
                }
            }
            (reading.link, Ok(batch))
        }
        _ => std::future::pending().await,
    }
}
