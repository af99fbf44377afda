//! Where a frame begins and ends: `length u32 little-endian ‖ kind u8 ‖ payload`, where the length counts kind and payload.

use super::kind::Payload;
use super::limits::KEPT_BUFFER_BYTES;
use crate::codec;

/// Bytes of the length.
pub const HEADER_BYTES: usize = 4;

/// Why bytes are no frame. The connection cannot go on: where the next frame begins is unknown, or not worth knowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It says that it is longer than the other side takes.
    #[error("the frame has {length} bytes; at most {limit} are taken")]
    TooLong {
        /// The length it claims, or would have.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// It has no kind.
    #[error("the frame is empty; it must have at least a kind")]
    Empty,
}

/// One frame, not decoded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which kind, known here or not.
    pub kind: u8,
    /// The rest.
    pub payload: &'a [u8],
}

/// Cuts a stream of bytes into frames. It never holds more than one unfinished frame, which has passed the bound, and never
/// more than twice what has arrived of it.
#[derive(Debug)]
pub struct FrameReader {
    limit: usize,
    /// The beginning of a frame whose end has not arrived, or, with `finished`, the frame handed out last.
    partial: Vec<u8>,
    finished: bool,
}

impl FrameReader {
    /// A reader that refuses frames of more than `limit` bytes (kind and payload).
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            partial: Vec::new(),
            finished: false,
        }
    }

    /// Changes the bound for the frames to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether a frame has begun and not ended.
    #[must_use]
    pub fn in_frame(&self) -> bool {
        !self.finished && !self.partial.is_empty()
    }

    /// Bytes of memory that it holds.
    #[cfg(test)]
    pub(super) fn kept_capacity(&self) -> usize {
        self.partial.capacity()
    }

    /// The next frame, taken from what is kept of earlier input and from `input`, which moves past what was used. `None`
    /// means that all of `input` was taken and more is needed.
    ///
    /// # Errors
    /// When a frame is too long or empty, as soon as its length has arrived. The reader must then not be used again.
    pub fn next<'f, 'i: 'f>(
        &'f mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'f>>, FrameError> {
        if self.finished {
            self.finished = false;
            self.partial.clear();
            if self.partial.capacity() > KEPT_BUFFER_BYTES {
                self.partial = Vec::new();
            }
        }
        if self.partial.is_empty()
            && let Some((header, rest)) = input.split_first_chunk::<HEADER_BYTES>()
        {
            let length = self.length(*header)?;
            if let Some((body, rest)) = rest.split_at_checked(length) {
                *input = rest;
                return Ok(Some(frame(body)));
            }
        }
        self.fill(HEADER_BYTES, input);
        let Some(header) = self.partial.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let whole = HEADER_BYTES + self.length(*header)?;
        self.fill(whole, input);
        if self.partial.len() < whole {
            return Ok(None);
        }
        self.finished = true;
        Ok(Some(frame(&self.partial[HEADER_BYTES..])))
    }

    /// The length that a header tells, when it is allowed.
    fn length(&self, header: [u8; HEADER_BYTES]) -> Result<usize, FrameError> {
        let length = u32::from_le_bytes(header) as usize;
        if length == 0 {
            Err(FrameError::Empty)
        } else if length > self.limit {
            Err(FrameError::TooLong {
                length,
                limit: self.limit,
            })
        } else {
            Ok(length)
        }
    }

    /// Moves bytes from the input until `whole` are kept. Memory grows with what arrives, not with what was announced.
    fn fill(&mut self, whole: usize, input: &mut &[u8]) {
        let missing = whole.saturating_sub(self.partial.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        *input = rest;
        let needed = self.partial.len() + taken.len();
        if needed > self.partial.capacity() {
            let room = (2 * needed).min(whole);
            self.partial.reserve_exact(room - self.partial.len());
        }
        self.partial.extend_from_slice(taken);
    }
}

/// The frame in these bytes, of which there is at least one.
fn frame(body: &[u8]) -> Frame<'_> {
    Frame {
        kind: body[0],
        payload: &body[1..],
    }
}

/// Appends a frame to `out`.
///
/// # Errors
/// When it would be longer than `limit`; `out` is then as it was before.
pub fn write<P: Payload>(payload: &P, limit: usize, out: &mut Vec<u8>) -> Result<(), FrameError> {
    write_with(P::KIND as u8, limit, out, |out| {
        codec::encode_into(payload, out);
    })
}

/// Appends a frame whose payload is written by `payload`.
pub(super) fn write_with(
    kind: u8,
    limit: usize,
    out: &mut Vec<u8>,
    payload: impl FnOnce(&mut Vec<u8>),
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.push(kind);
    payload(out);
    let length = out.len() - start - HEADER_BYTES;
    match u32::try_from(length) {
        Ok(header) if length <= limit => {
            out[start..start + HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(FrameError::TooLong { length, limit })
        }
    }
}
