//! The body of a request line by line, however long it is: no more of it is held than a line and what came with its end.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Body;

use super::body;
use crate::error::{Error, Kind};

/// The lines of a body.
pub struct Lines<B> {
    body: B,
    /// What was read and not given yet.
    rest: BytesMut,
    /// How much of it is known to hold no line's end.
    searched: usize,
    ended: bool,
    number: u64,
    patience: Duration,
}

impl<B: Body<Data = Bytes> + Unpin> Lines<B> {
    /// The lines of a body, each piece of which comes within `patience`.
    ///
    /// # Errors
    /// When the body is compressed.
    pub fn new(headers: &HeaderMap, body: B, patience: Duration) -> Result<Self, Error> {
        body::check_encoding(headers)?;
        Ok(Self {
            body,
            rest: BytesMut::new(),
            searched: 0,
            ended: false,
            number: 0,
            patience,
        })
    }

    /// The next line that is not blank, without its end, and its number, from 1; `None` at the end of the body.
    ///
    /// # Errors
    /// When the line is longer than `max` bytes, or the body is slow or breaks off.
    pub async fn next(&mut self, max: usize) -> Result<Option<(u64, Bytes)>, Error> {
        loop {
            let Some(line) = self.take(max).await? else {
                return Ok(None);
            };
            self.number += 1;
            if !line.trim_ascii().is_empty() {
                return Ok(Some((self.number, line)));
            }
        }
    }

    async fn take(&mut self, max: usize) -> Result<Option<Bytes>, Error> {
        loop {
            let unseen = self.rest.get(self.searched..).unwrap_or_default();
            if let Some(at) = unseen.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(self.searched + at + 1).freeze();
                self.searched = 0;
                return self.within(max, line.slice(..line.len() - 1)).map(Some);
            }
            self.searched = self.rest.len();
            if self.ended {
                self.searched = 0;
                let last = self.rest.split().freeze();
                return match last.len() {
                    0 => Ok(None),
                    _ => self.within(max, last).map(Some),
                };
            }
            self.within(max, Bytes::new())?;
            self.more().await?;
        }
    }

    /// Passes a line on, if neither it nor what is held of the next one is too long.
    fn within(&self, max: usize, line: Bytes) -> Result<Bytes, Error> {
        if line.len().max(self.searched) <= max {
            return Ok(line);
        }
        let number = self.number + 1;
        let detail = format!("line {number} is longer than {max} bytes");
        Err(Error::new(Kind::BodyTooLarge, detail))
    }

    async fn more(&mut self) -> Result<(), Error> {
        let frame = tokio::time::timeout(self.patience, self.body.frame()).await;
        match frame.map_err(|_| Error::of(Kind::BodyTimeout))? {
            None => self.ended = true,
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.rest.extend_from_slice(&data);
                }
            }
            Some(Err(_)) => return Err(body::broke_off()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::super::body::pieces::Pieces;
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    async fn read(pieces: &[&'static str], max: usize) -> (Vec<(u64, String)>, Option<Kind>) {
        let pieces = pieces.iter().map(|piece| piece.as_bytes()).collect();
        let body = Pieces { pieces, ends: true };
        let mut lines = Lines::new(&HeaderMap::new(), body, PATIENCE).unwrap();
        let mut found = Vec::new();
        loop {
            match lines.next(max).await {
                Ok(Some((number, line))) => {
                    found.push((number, String::from_utf8(line.to_vec()).unwrap()));
                }
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error.kind)),
            }
        }
    }

    #[tokio::test]
    async fn lines_do_not_depend_on_the_pieces() {
        let expected: Vec<_> = [(1, "ab"), (3, "c\r"), (4, "d")]
            .map(|(number, line)| (number, line.to_owned()))
            .to_vec();
        for pieces in [
            &["ab\n\nc\r\nd"][..],
            &["a", "b\n", "\nc", "\r\n", "d"],
            &["", "ab\n\nc\r\nd\n", ""],
        ] {
            assert_eq!(read(pieces, 2).await, (expected.clone(), None));
        }
        assert_eq!(read(&[], 2).await, (Vec::new(), None));
    }

    #[tokio::test]
    async fn a_long_line_is_refused_before_its_end() {
        let (found, kind) = read(&["ab\nabc", "de\n"], 2).await;
        assert_eq!((found.len(), kind), (1, Some(Kind::BodyTooLarge)));
        let (found, kind) = read(&["ab\nabc"], 2).await;
        assert_eq!((found.len(), kind), (1, Some(Kind::BodyTooLarge)));
    }

    #[tokio::test]
    async fn a_slow_or_compressed_body_is_refused() {
        let never = Pieces {
            pieces: vec![b"a"],
            ends: false,
        };
        let mut lines = Lines::new(&HeaderMap::new(), never, PATIENCE).unwrap();
        let error = lines.next(9).await.unwrap_err();
        assert_eq!(error.kind, Kind::BodyTimeout);
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", "gzip".parse().unwrap());
        let full = Full::new(Bytes::new());
        let error = Lines::new(&headers, full, PATIENCE).err().unwrap();
        assert_eq!(error.kind, Kind::Encoding);
    }
}
