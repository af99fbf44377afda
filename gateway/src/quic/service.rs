//! What a connection needs from the server behind it. Who may do what, and what a request means, is decided there.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use waybill_core::id::{Epoch, Seq, Time};
use waybill_core::wire::{Bye, Code, Entry, Failure, Hello, Online, Outgoing, Tail, UserPresence};

use super::ticket::Ticket;

/// The server behind the connections.
pub trait Service: Send + Sync + 'static {
    /// What the server knows of a connection: who it is, and its place among the live ones. Dropped when the connection ends.
    type Session: Send + Sync + 'static;
    /// A watch on one log.
    type Watch: Watch;

    /// Finds out who is speaking. May be asked in early data: it must change nothing.
    fn hello(
        &self,
        hello: Hello,
        peer: SocketAddr,
    ) -> impl Future<Output = Result<Opened<Self::Session>, Failure>> + Send;

    /// Takes the connection in among the live ones; the handshake is complete. Nothing but pulls was asked before.
    ///
    /// # Errors
    /// When a bound stands in the way. The connection then ends.
    fn join(&self, session: &Self::Session) -> Result<(), Failure>;

    /// Reads a log. May be asked in early data: it must not write.
    fn pull(
        &self,
        session: &Self::Session,
        read: &Read,
    ) -> impl Future<Output = Result<Slice, Failure>> + Send;

    /// Begins to watch a log: what is delivered after this call is told.
    ///
    /// # Errors
    /// When the caller may not read that log.
    fn watch(&self, session: &Self::Session, user: &str) -> Result<Self::Watch, Failure>;

    /// Takes a message. Must not block: the answer goes to the ticket, now or later, from any thread.
    fn send(&self, session: &Arc<Self::Session>, message: Outgoing, ticket: Ticket);

    /// Takes note that the session's device has stored its log up to `seq`, and gives the device's cursor as it is then.
    fn acknowledge(
        &self,
        session: &Self::Session,
        seq: Seq,
    ) -> impl Future<Output = Result<Seq, Failure>> + Send;

    /// What is told to live connections only: the next message for this session, whose client wants such; never, where it does not.
    fn told(&self, session: &Self::Session) -> impl Future<Output = Online> + Send {
        let _ = session;
        std::future::pending()
    }

    /// Begins to watch who of these users is online.
    ///
    /// # Errors
    /// When the caller may not know it, or it is not offered.
    fn watch_presence(
        &self,
        session: &Self::Session,
        users: &[String],
    ) -> Result<Box<dyn PresenceSource>, Failure> {
        let _ = (session, users);
        let text = "presence is not offered";
        Err(Failure::new(Code::NOT_OFFERED, text))
    }

    /// Told what a tail of the session comes to. It is measured; nothing follows from it.
    fn followed(&self, session: &Self::Session, tail: &Tail, followed: Followed) {
        let _ = (session, tail, followed);
    }

    /// Returns when the connection, which has joined, should end: a token was revoked or ran out, the device came anew, the server stops.
    fn ended(&self, session: &Self::Session) -> impl Future<Output = Bye> + Send;
}

/// A watch on who is online.
pub trait PresenceSource: Send + Sync {
    /// All that are watched, as they are now.
    fn all(&self) -> Vec<UserPresence>;

    /// Those who have come or gone since the last call, as they are then.
    fn changed(&self) -> Pin<Box<dyn Future<Output = Vec<UserPresence>> + Send + '_>>;
}

/// A watch on one log.
pub trait Watch: Send {
    /// Returns when the log has grown since the last call, or since the watch began.
    fn grown(&mut self) -> impl Future<Output = Grown> + Send;
}

/// How far a log has grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grown {
    /// Its end.
    pub head: Seq,
    /// Since when readers see it.
    pub visible: Instant,
}

/// What a tail has come to, for whoever measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Its log has grown.
    Grown(Grown),
    /// A page was written.
    Wrote {
        /// Up to here.
        last: Seq,
        /// The end of the log when it was read.
        head: Seq,
    },
    /// It is over.
    Ended,
}

/// What the answer to a hello needs.
#[derive(Debug)]
pub struct Opened<S> {
    /// What the server knows of it.
    pub session: S,
    /// Whose connection it is.
    pub user: String,
    /// The identity of the history.
    pub epoch: Epoch,
    /// First seq present in that user's log.
    pub floor: Seq,
    /// Last seq of that user's log.
    pub head: Seq,
    /// The server's clock.
    pub time: Time,
}

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Whose log; empty for the session's own.
    pub user: String,
    /// From after this seq.
    pub after: Seq,
    /// Most entries: 1 to [`MAX_PAGE_ENTRIES`](waybill_core::wire::MAX_PAGE_ENTRIES).
    pub limit: u32,
    /// About how many bytes of entries are of use; more are read for nothing.
    pub bytes: usize,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The identity of the history.
    pub epoch: Epoch,
    /// First seq present.
    pub floor: Seq,
    /// Last seq.
    pub head: Seq,
    /// The log goes on after the last entry given.
    pub more: bool,
    /// The entries, without a gap.
    pub entries: Vec<Entry>,
}
