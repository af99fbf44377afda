//! The control stream of one connection, as its client speaks: bytes become frames, one after another.

use bytes::{Buf, Bytes};
use quinn::{ReadError, RecvStream};
use waybill_core::wire::{
    Bye, ClientFrame, Code, FrameError, FrameReader, MAX_CLIENT_FRAME, MAX_HELLO_FRAME,
};

/// Why there is no further frame.
#[derive(Debug)]
pub(super) enum End {
    /// The client has said all it wants to say.
    Finished,
    /// The connection is gone.
    Lost,
    /// The connection cannot go on.
    Broken(Bye),
}

/// Reads frames.
pub(super) struct Control {
    stream: RecvStream,
    reader: FrameReader,
    /// What is not used up of what one packet brought. One at a time: each connection keeps the room for as many as it can take at once.
    piece: Bytes,
}

impl Control {
    /// Reads from a stream whose client is not known yet: only short frames are taken.
    pub(super) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            reader: FrameReader::new(MAX_HELLO_FRAME),
            piece: Bytes::new(),
        }
    }

    /// The client is known.
    pub(super) fn trust(&mut self) {
        self.reader.set_limit(MAX_CLIENT_FRAME);
    }

    /// The next frame. Nothing is lost when this is dropped before it returns.
    pub(super) async fn next(&mut self) -> Result<ClientFrame, End> {
        loop {
            while !self.piece.is_empty() {
                let mut input = &self.piece[..];
                let frame = match self.reader.next(&mut input) {
                    Ok(Some(frame)) => Some(
                        ClientFrame::read(&frame)
                            .map_err(|error| broken(Code::MALFORMED_FRAME, error.to_string()))?,
                    ),
                    Ok(None) => None,
                    Err(error @ FrameError::Empty) => {
                        return Err(broken(Code::MALFORMED_FRAME, error.to_string()));
                    }
                    Err(error @ FrameError::TooLong { .. }) => {
                        return Err(broken(Code::FRAME_TOO_LONG, error.to_string()));
                    }
                };
                let used = self.piece.len() - input.len();
                self.piece.advance(used);
                if self.piece.is_empty() {
                    // Gives the packet's memory back.
                    self.piece = Bytes::new();
                }
                if let Some(frame) = frame {
                    return Ok(frame);
                }
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), End> {
        match self.stream.read_chunk(usize::MAX, true).await {
            Ok(Some(chunk)) => {
                self.piece = chunk.bytes;
                Ok(())
            }
            Ok(None) if self.reader.in_frame() => Err(broken(
                Code::STREAM_BROKEN,
                "the control stream ended within a frame",
            )),
            Ok(None) => Err(End::Finished),
            Err(ReadError::Reset(_)) => {
                Err(broken(Code::STREAM_BROKEN, "the control stream was reset"))
            }
            Err(_) => Err(End::Lost),
        }
    }
}

pub(super) fn broken(code: Code, reason: impl Into<String>) -> End {
    End::Broken(Bye::new(code, reason))
}
