//! One live session, whatever its transport: it is opened at a cursor and brings entries until it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hub::{Hub, Taker, Transport};
use super::{openim, poll, quic, sse, websocket};
use crate::error::Result;
use crate::wire::Moved;

/// An open session.
pub enum Session {
    /// A tail over QUIC.
    Quic(quic::Session),
    /// The native WebSocket.
    Websocket(Box<websocket::Session>),
    /// Server-sent events.
    Sse(Box<sse::Session>),
    /// Long polls.
    Poll(Box<poll::Session>),
    /// OpenIM's gateway.
    Openim(Box<openim::Session>),
}

/// Bytes of one session on the wire.
#[derive(Clone)]
pub enum Traffic {
    /// As the QUIC connection counts its datagrams.
    Quic(quinn::Connection),
    /// As the session counts them.
    Counted(Arc<Counted>),
}

/// Bytes of a session over TCP.
#[derive(Debug, Default)]
pub struct Counted {
    received: AtomicU64,
    sent: AtomicU64,
}

/// What went through, with the datagrams that it came in: 0 where those are not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes {
    /// From the server.
    pub received: u64,
    /// To the server.
    pub sent: u64,
    /// UDP datagrams, both ways.
    pub datagrams: u64,
}

impl Counted {
    /// Takes over what a connection has counted.
    pub fn set(&self, moved: Moved) {
        self.received.store(moved.received, Ordering::Relaxed);
        self.sent.store(moved.sent, Ordering::Relaxed);
    }

    /// Counts more.
    pub fn add(&self, received: usize, sent: usize) {
        self.received.fetch_add(received as u64, Ordering::Relaxed);
        self.sent.fetch_add(sent as u64, Ordering::Relaxed);
    }
}

impl Traffic {
    /// What went through so far.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Quic(connection) => {
                let stats = connection.stats();
                Bytes {
                    received: stats.udp_rx.bytes,
                    sent: stats.udp_tx.bytes,
                    datagrams: stats.udp_rx.datagrams + stats.udp_tx.datagrams,
                }
            }
            Self::Counted(counted) => Bytes {
                received: counted.received.load(Ordering::Relaxed),
                sent: counted.sent.load(Ordering::Relaxed),
                datagrams: 0,
            },
        }
    }
}

impl Bytes {
    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            sent: self.sent + other.sent,
            datagrams: self.datagrams + other.datagrams,
        }
    }

    /// What came since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
            datagrams: self.datagrams.saturating_sub(earlier.datagrams),
        }
    }
}

impl Session {
    /// Opens a session of user number `user`, from after the cursor; one that has none begins at the end of the log and puts its
    /// cursor there.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(
        hub: &Hub,
        transport: Transport,
        user: u32,
        cursor: &AtomicU64,
    ) -> Result<Self> {
        Ok(match transport {
            Transport::Quic => Self::Quic(quic::Session::open(hub, user, cursor).await?),
            Transport::Websocket => {
                Self::Websocket(Box::new(websocket::Session::open(hub, user, cursor).await?))
            }
            Transport::Sse => Self::Sse(Box::new(sse::Session::open(hub, user, cursor).await?)),
            Transport::Poll => Self::Poll(Box::new(poll::Session::open(hub, user, cursor).await?)),
            Transport::Openim => Self::Openim(Box::new(openim::Session::open(hub, user).await?)),
        })
    }

    /// Waits for the next entries and takes them.
    ///
    /// # Errors
    /// When the session has ended.
    pub async fn next(&mut self, taker: &Taker) -> Result<()> {
        match self {
            Self::Quic(session) => session.next(taker).await,
            Self::Websocket(session) => session.next(taker).await,
            Self::Sse(session) => session.next(taker).await,
            Self::Poll(session) => session.next(taker).await,
            Self::Openim(session) => session.next(taker).await,
        }
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        match self {
            Self::Quic(session) => Traffic::Quic(session.connection().quic().clone()),
            Self::Websocket(session) => Traffic::Counted(session.counted()),
            Self::Sse(session) => Traffic::Counted(session.counted()),
            Self::Poll(session) => Traffic::Counted(session.counted()),
            Self::Openim(session) => Traffic::Counted(session.counted()),
        }
    }
}

/// The cursor of a session that has none yet.
pub const NOWHERE: u64 = u64::MAX;
