//! The control stream of one connection, as its client speaks: bytes become frames, one after another.

use bytes::{Buf, Bytes};
use quinn::{ReadError, RecvStream};
use waybill_core::wire::{
    Bye, ClientFrame, Code, FrameError, FrameReader, MAX_CLIENT_FRAME, MAX_HELLO_FRAME,
};

/// Pieces taken from the stream at a time. A piece is what one packet brought.
const PIECES: usize = 8;

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
    pieces: [Bytes; PIECES],
    /// Which of the pieces are not used up.
    at: usize,
    filled: usize,
}

impl Control {
    /// Reads from a stream whose client is not known yet: only short frames are taken.
    pub(super) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            reader: FrameReader::new(MAX_HELLO_FRAME),
            pieces: Default::default(),
            at: 0,
            filled: 0,
        }
    }

    /// The client is known.
    pub(super) fn trust(&mut self) {
        self.reader.set_limit(MAX_CLIENT_FRAME);
    }

    /// The next frame. Nothing is lost when this is dropped before it returns.
    pub(super) async fn next(&mut self) -> Result<ClientFrame, End> {
        loop {
            while self.at < self.filled {
                let piece = &mut self.pieces[self.at];
                let mut input = &piece[..];
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
                let used = piece.len() - input.len();
                piece.advance(used);
                match frame {
                    Some(frame) => return Ok(frame),
                    None => {
                        // Gives the packet's memory back.
                        *piece = Bytes::new();
                        self.at += 1;
                    }
                }
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), End> {
        match self.stream.read_chunks(&mut self.pieces).await {
            Ok(Some(filled)) => {
                (self.at, self.filled) = (0, filled);
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
