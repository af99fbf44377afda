//! The body of a request: all of it, within a bound and a time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::CONTENT_ENCODING;

use crate::error::{Error, Kind};

/// Reads a body of at most `max` bytes that comes within `patience`.
///
/// # Errors
/// When it is longer, slower, compressed, or breaks off.
pub async fn read<B>(
    headers: &HeaderMap,
    body: B,
    max: u64,
    patience: Duration,
) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    check_encoding(headers)?;
    let too_large = || {
        Error::new(
            Kind::BodyTooLarge,
            format!("the body of the request is longer than {max} bytes"),
        )
    };
    // A declared length is refused before a byte is read.
    if body.size_hint().lower() > max {
        return Err(too_large());
    }
    match tokio::time::timeout(patience, collect(body, max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Broken::TooLong)) => Err(too_large()),
        Ok(Err(Broken::Off)) => Err(broke_off()),
        Err(_) => Err(Error::of(Kind::BodyTimeout)),
    }
}

/// Refuses a compressed body.
pub fn check_encoding(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Error::of(Kind::Encoding))
        }
        _ => Ok(()),
    }
}

/// Of a body that ended before it was over.
pub fn broke_off() -> Error {
    Error::new(Kind::Malformed, "the body of the request broke off")
}

enum Broken {
    TooLong,
    Off,
}

async fn collect<B: Body<Data = Bytes> + Unpin>(mut body: B, max: u64) -> Result<Bytes, Broken> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    let mut total: u64 = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Broken::Off)?.into_data() else {
            continue;
        };
        total = total.saturating_add(data.len() as u64);
        if total > max {
            return Err(Broken::TooLong);
        }
        // Most bodies come as one piece, which needs no copy.
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut both = BytesMut::with_capacity(first.len() + data.len());
                both.extend_from_slice(&first);
                both.extend_from_slice(&data);
                rest = Some(both);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

#[cfg(test)]
pub(super) mod pieces {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use hyper::body::{Body, Frame};

    /// A body in pieces, which may never end.
    pub struct Pieces {
        pub pieces: Vec<&'static [u8]>,
        pub ends: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.pieces.is_empty() {
                return if self.ends {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                };
            }
            let piece = self.pieces.remove(0);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece)))))
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::pieces::Pieces;
    use super::*;

    async fn kind<B: Body<Data = Bytes> + Unpin>(body: B, max: u64) -> Kind {
        let patience = Duration::from_millis(20);
        read(&HeaderMap::new(), body, max, patience)
            .await
            .unwrap_err()
            .kind
    }

    #[tokio::test]
    async fn bodies_come_whole() {
        let headers = HeaderMap::new();
        let patience = Duration::from_secs(60);
        let pieces = Pieces {
            pieces: vec![b"a", b"", b"bc", b"d"],
            ends: true,
        };
        assert_eq!(read(&headers, pieces, 4, patience).await.unwrap(), "abcd");
        let full = Full::new(Bytes::from_static(b"abcd"));
        assert_eq!(read(&headers, full, 4, patience).await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn long_slow_and_compressed_bodies_are_refused() {
        assert_eq!(
            kind(Full::new(Bytes::from_static(b"abcde")), 4).await,
            Kind::BodyTooLarge
        );
        let pieces = Pieces {
            pieces: vec![b"abc", b"de"],
            ends: false,
        };
        assert_eq!(kind(pieces, 4).await, Kind::BodyTooLarge);
        let pieces = Pieces {
            pieces: vec![b"abc"],
            ends: false,
        };
        assert_eq!(kind(pieces, 4).await, Kind::BodyTimeout);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        let body = Full::new(Bytes::from_static(b"x"));
        let error = read(&headers, body, 4, Duration::from_secs(60))
            .await
            .unwrap_err();
        assert_eq!(error.kind, Kind::Encoding);
    }
}
