//! Whether what was read may still be a replay. Until the handshake is complete, everything that arrives is early data, which
//! anybody who recorded it can send again; once it is complete, all that this connection has brought is its peer's own, the
//! early part too, because a replay never completes a handshake.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use quinn::{Connection, ZeroRttAccepted};

/// The state of one connection's handshake. Only one task may wait on it.
pub(super) struct Handshake {
    connection: Connection,
    pending: Mutex<Option<ZeroRttAccepted>>,
}

impl Handshake {
    pub(super) fn new(connection: Connection, pending: ZeroRttAccepted) -> Self {
        Self {
            connection,
            pending: Mutex::new(Some(pending)),
        }
    }

    /// Ready when the handshake is complete; never, when the connection is lost before.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pending = self.pending.lock();
        let Some(future) = pending.as_mut() else {
            return Poll::Ready(());
        };
        // The future also ends when the handshake fails; then the connection has ended too.
        if Pin::new(future).poll(cx).is_ready() && self.connection.close_reason().is_none() {
            *pending = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Returns when the handshake is complete; never, when the connection is lost before.
    pub(super) async fn complete(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    /// Whether the handshake is complete at this moment. Data that was encrypted after the handshake is never read before
    /// this is true.
    pub(super) async fn is_complete(&self) -> bool {
        poll_fn(|cx| Poll::Ready(self.poll(cx).is_ready())).await
    }
}
