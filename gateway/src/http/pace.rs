//! A stream that gives up on a peer that is too slow: with the head of a request, with a next request, or with taking an
//! answer. hyper's own timer for heads runs while a connection is idle too, so it cannot tell the two apart, and the
//! detection of HTTP/2 has none.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The requests of one connection, as its stream must know of them.
#[derive(Default)]
pub struct Requests {
    started: AtomicU64,
    running: AtomicUsize,
    /// Odd while the peer takes nothing of what is written, and another number each time.
    blocks: AtomicU64,
}

/// A request in progress.
pub struct Running(Arc<Requests>);

impl Requests {
    /// Notes that a request has begun.
    pub fn begin(self: &Arc<Self>) -> Running {
        self.started.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Returns when the peer has taken nothing for `patience` of what is written for it.
    pub async fn stuck(&self, patience: Duration) {
        loop {
            let before = self.blocks.load(Ordering::Relaxed);
            sleep(patience).await;
            if before % 2 == 1 && before == self.blocks.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the head of a request, from its first byte; also for the first byte of a connection.
    pub head: Duration,
    /// Between requests, and between two steps in taking an answer.
    pub idle: Duration,
}

/// A stream with patience.
pub struct Paced<S> {
    stream: S,
    requests: Arc<Requests>,
    patience: Patience,
    /// HTTP/2 keeps connections open between requests, and finds dead peers by its own pings.
    multiplexed: bool,
    /// How many requests had begun when the current wait for a head began.
    seen: u64,
    waiting_since: Instant,
    head_since: Option<Instant>,
    blocked_since: Option<Instant>,
    /// One timer, set to the nearest deadline known; it is moved only when it fires or must fire earlier.
    timer: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    /// A connection that has just begun.
    pub fn new(stream: S, requests: Arc<Requests>, patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            stream,
            requests,
            patience,
            multiplexed: false,
            seen: 0,
            waiting_since: now,
            head_since: None,
            blocked_since: None,
            timer: Box::pin(sleep_until(now + patience.head)),
        }
    }

    fn took(&mut self, bytes: &[u8]) {
        let first = self.head_since.is_none() && self.seen == 0;
        if first && bytes.starts_with(b"PRI") {
            self.multiplexed = true;
        }
        self.notice_requests();
        if self.requests.running.load(Ordering::Relaxed) == 0 {
            self.head_since.get_or_insert_with(Instant::now);
        }
    }

    /// A request that has begun since the last look has taken the head that was read until then.
    fn notice_requests(&mut self) {
        let started = self.requests.started.load(Ordering::Relaxed);
        if started != self.seen {
            self.seen = started;
            self.waiting_since = Instant::now();
            self.head_since = None;
        }
    }

    /// Until when the peer must have sent more.
    fn read_deadline(&mut self) -> Option<Instant> {
        if self.requests.running.load(Ordering::Relaxed) > 0 {
            return None;
        }
        self.notice_requests();
        // Pings begin with the first request: until then nobody else would notice a peer that goes silent.
        if self.multiplexed && self.seen > 0 {
            return None;
        }
        Some(match self.head_since {
            Some(since) => since + self.patience.head,
            None if self.seen == 0 => self.waiting_since + self.patience.head,
            None => self.waiting_since + self.patience.idle,
        })
    }

    /// Whether the deadline has passed; if not, the task is woken when it does.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Error> {
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn wrote<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            if self.blocked_since.take().is_some() {
                self.requests.blocks.fetch_add(1, Ordering::Relaxed);
            }
            return result;
        }
        let since = *self.blocked_since.get_or_insert_with(|| {
            self.requests.blocks.fetch_add(1, Ordering::Relaxed);
            Instant::now()
        });
        let error = ready!(self.poll_deadline(cx, since + self.patience.idle));
        Poll::Ready(Err(error))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                let taken = buffer.filled().get(before..).unwrap_or_default();
                if !taken.is_empty() {
                    this.took(taken);
                }
                Poll::Ready(result)
            }
            Poll::Pending => match this.read_deadline() {
                Some(deadline) => this.poll_deadline(cx, deadline).map(Err),
                None => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wrote(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3_600);

    fn paced(
        head: Duration,
        idle: Duration,
    ) -> (
        tokio::io::DuplexStream,
        Paced<tokio::io::DuplexStream>,
        Arc<Requests>,
    ) {
        let (near, far) = duplex(64);
        let requests = Arc::new(Requests::default());
        (
            near,
            Paced::new(far, Arc::clone(&requests), Patience { head, idle }),
            requests,
        )
    }

    async fn times_out(stream: &mut Paced<tokio::io::DuplexStream>) {
        let error = stream.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_says_nothing_or_half_a_head_is_given_up() {
        let (_near, mut stream, _) = paced(SHORT, LONG);
        times_out(&mut stream).await;
        let (mut near, mut stream, _) = paced(SHORT, LONG);
        near.write_all(b"GET").await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 3);
        times_out(&mut stream).await;
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_told_from_one_that_is_slow() {
        let (mut near, mut stream, requests) = paced(LONG, LONG);
        stream.write_all(&[0; 64]).await.unwrap();
        // Nothing more fits. Each time that something is taken, the time begins anew.
        let write = tokio::time::timeout(SHORT, stream.write_all(b"more"));
        assert!(write.await.is_err());
        let stuck = requests.stuck(SHORT);
        tokio::time::timeout(LONG, stuck).await.unwrap();
        assert_eq!(near.read(&mut [0; 64]).await.unwrap(), 64);
        stream.write_all(b"more").await.unwrap();
        let stuck = tokio::time::timeout(3 * SHORT, requests.stuck(SHORT));
        assert!(stuck.await.is_err(), "it takes what there is");
    }

    #[tokio::test]
    async fn between_requests_the_longer_patience_holds() {
        let (mut near, mut stream, requests) = paced(LONG, SHORT);
        near.write_all(b"GET").await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 3);
        drop(requests.begin());
        times_out(&mut stream).await;
        // The next head has begun: again its own, longer patience.
        let (mut near, mut stream, requests) = paced(LONG, SHORT);
        drop(requests.begin());
        near.write_all(b"G").await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 1);
        assert_eq!(
            stream.read_deadline().map(|at| at > Instant::now() + SHORT),
            Some(true)
        );
    }

    #[tokio::test]
    async fn a_running_request_and_http2_are_left_alone() {
        let (mut near, mut stream, requests) = paced(SHORT, SHORT);
        near.write_all(b"POST").await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 4);
        let running = requests.begin();
        assert_eq!(stream.read_deadline(), None);
        drop(running);
        assert!(stream.read_deadline().is_some());
        let (mut near, mut stream, requests) = paced(SHORT, SHORT);
        near.write_all(b"PRI * HTTP/2.0").await.unwrap();
        assert_eq!(stream.read(&mut [0; 32]).await.unwrap(), 14);
        drop(requests.begin());
        assert_eq!(stream.read_deadline(), None);
    }

    #[tokio::test]
    async fn a_peer_that_announces_http2_and_says_no_more_is_given_up() {
        for preface in [&b"PRI"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let (mut near, mut stream, _) = paced(SHORT, LONG);
            near.write_all(preface).await.unwrap();
            assert_eq!(stream.read(&mut [0; 32]).await.unwrap(), preface.len());
            times_out(&mut stream).await;
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (_near, mut stream, requests) = paced(LONG, SHORT);
        let _running = requests.begin();
        let error = stream.write_all(&[0; 1_000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
