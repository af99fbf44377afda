//! A stream from the server, as frames.

use bytes::{Buf, Bytes};
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use waybill_core::wire::{FrameReader, MAX_SERVER_FRAME, ServerFrame};

use crate::error::Error;

/// Longest piece taken from a stream at a time, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// Reads frames.
pub(crate) struct Frames {
    stream: RecvStream,
    reader: FrameReader,
    piece: Bytes,
}

impl Frames {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            reader: FrameReader::new(MAX_SERVER_FRAME),
            piece: Bytes::new(),
        }
    }

    /// The next frame of a kind that is known here; `None` when the server has finished the stream. Nothing is lost when
    /// this is dropped before it returns.
    pub(crate) async fn next(&mut self) -> Result<Option<ServerFrame>, Error> {
        loop {
            while !self.piece.is_empty() {
                let mut input = &self.piece[..];
                let frame = match self.reader.next(&mut input) {
                    Ok(Some(frame)) => Some(ServerFrame::read(&frame)?),
                    Ok(None) => None,
                    Err(error) => return Err(Error::Protocol(error.to_string())),
                };
                let used = self.piece.len() - input.len();
                self.piece.advance(used);
                match frame {
                    Some(ServerFrame::Unknown(_)) | None => {}
                    Some(ServerFrame::Misdirected(kind)) => {
                        return Err(Error::Protocol(format!("a server sent a {kind:?}")));
                    }
                    Some(frame) => return Ok(Some(frame)),
                }
            }
            match self
                .stream
                .read_chunk(PIECE_BYTES, true)
                .await
                .map_err(read_error)?
            {
                Some(chunk) => self.piece = chunk.bytes,
                None => return Ok(None),
            }
        }
    }

    /// Tells the server that no more is wanted.
    pub(crate) fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.stream.stop(0_u32.into());
    }
}

pub(crate) fn read_error(error: ReadError) -> Error {
    match error {
        ReadError::ConnectionLost(error) => error.into(),
        other => Error::Lost(other.to_string()),
    }
}

pub(crate) fn write_error(error: WriteError) -> Error {
    match error {
        WriteError::ConnectionLost(error) => error.into(),
        other => Error::Lost(other.to_string()),
    }
}

/// Both directions of the control stream.
pub(crate) struct Control {
    pub to: SendStream,
    pub from: Frames,
}
