//! What the [`machine`](super::machine) hears and what it wishes.

use waybill_core::id::{Epoch, Seq};

use super::{Batch, End};
use crate::error::Error;
use crate::store::{Position, Snapshot};

/// Which attempt to connect.
pub(crate) type LinkId = u64;

/// What a server said when it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Which history it has.
    pub epoch: Epoch,
    /// The first entry still present.
    pub floor: Seq,
    /// The last one.
    pub head: Seq,
}

/// What has happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// Time has passed.
    Tick,
    /// A connection was made.
    Connected(LinkId, Reached),
    /// A connection was not made, or has ended.
    Trouble(LinkId, Error),
    /// Entries came.
    Batch(LinkId, Batch),
    /// The store has done what was wished and stands there now.
    Stored(Position),
    /// A message was put into the outbox: its number, and its lane.
    Queued(u64, u64),
    /// The server has answered a send: `None` when it was done.
    Answered(LinkId, u64, Option<Error>),
    /// A message of the outbox is not to be sent any more: it was sent or refused before, or was taken out.
    Gone(u64),
    /// The server has answered an acknowledgement.
    Acknowledged(LinkId, Seq, Option<Error>),
    /// A snapshot was taken, for what the server had said when it was reached.
    Snapshot(LinkId, Reached, Snapshot),
    /// The snapshot could not be had.
    NoSnapshot(LinkId, Error),
    /// Entries were forgotten up to there.
    Forgotten(Seq),
    /// The network has changed: what was tried in vain before may work now.
    Moved,
    /// The program wants an end.
    Close,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Connect by this way. Answered by `Connected` or `Trouble`.
    Connect {
        link: LinkId,
        way: usize,
        after: Seq,
    },
    /// Give a connection up.
    Drop { link: LinkId },
    /// Have the entries after a seq come, now and later.
    Follow { link: LinkId, after: Seq },
    /// Store entries. Answered by `Stored`.
    Store(Batch),
    /// Begin another history. Answered by `Stored`.
    Begin { epoch: Epoch, head: Seq },
    /// Take a snapshot, or make an empty one that ends before the floor. Answered by `Snapshot` or `NoSnapshot`.
    Snapshot { link: LinkId, reached: Reached },
    /// Go on from a snapshot. Answered by `Stored`.
    Skip { head: Seq, snapshot: Snapshot },
    /// Send a message of the outbox. Answered by `Answered` or `Gone`.
    Send { link: LinkId, id: u64 },
    /// Take a message out of the outbox, or mark it as refused.
    Settle { id: u64, refusal: Option<Error> },
    /// Secure what is stored, then report it. Answered by `Acknowledged`.
    Acknowledge { link: LinkId, seq: Seq },
    /// Remember the way that works.
    Remember { way: usize },
    /// Tell the program.
    Tell(News),
    /// It is over.
    End(End),
}

/// What the program is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Connected, by this way.
    Online { way: usize },
    /// Not connected, and why; the next attempt comes in so many milliseconds.
    Offline { error: Error, retry_ms: u64 },
}
