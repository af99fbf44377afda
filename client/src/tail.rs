//! A tail: the entries of a log from a cursor on, now and as they come.

use waybill_core::wire::{Page, ServerFrame, TailOpened};

use crate::connection::Connection;
use crate::error::Error;
use crate::frames::Frames;

/// A tail. Dropped, it tells the server to stop. Entries that are not taken wait on the server, in the log.
pub struct Tail {
    opened: TailOpened,
    frames: Frames,
    connection: Connection,
}

impl Tail {
    pub(crate) fn new(opened: TailOpened, frames: Frames, connection: Connection) -> Self {
        Self {
            opened,
            frames,
            connection,
        }
    }

    /// The log as it was when the tail began.
    #[must_use]
    pub fn opened(&self) -> &TailOpened {
        &self.opened
    }

    /// The next entries: at least one, beginning right after the last ones. Waits for as long as there are none.
    ///
    /// # Errors
    /// When the tail cannot go on.
    pub async fn next(&mut self) -> Result<Page, Error> {
        let frame = self.frames.next().await;
        match frame.map_err(|error| self.connection.why(error))? {
            Some(ServerFrame::Page(page)) => Ok(page),
            Some(ServerFrame::Refused(refused)) => Err(Error::Refused(refused.failure)),
            Some(_) => Err(Error::Protocol(
                "another frame than a page on a tail".to_owned(),
            )),
            None => Err(Error::Lost("the tail has ended".to_owned())),
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.frames.stop();
    }
}
