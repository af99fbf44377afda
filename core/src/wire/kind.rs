//! The numbers of the frames. A number is never given to another frame, even when its frame is no longer used.

use serde::{Deserialize, Serialize};

/// What a frame is: the byte after its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// [`Hello`](super::Hello), client to server: the first frame of the control stream.
    Hello = 1,
    /// [`Welcome`](super::Welcome), server to client.
    Welcome = 2,
    /// [`Pull`](super::Pull), client to server.
    Pull = 3,
    /// [`Page`](super::Page), server to client, on the control stream and on tail streams.
    Page = 4,
    /// [`Send`](super::Send), client to server.
    Send = 5,
    /// [`Sent`](super::Sent), server to client.
    Sent = 6,
    /// [`SendBatch`](super::SendBatch), client to server.
    SendBatch = 7,
    /// [`BatchSent`](super::BatchSent), server to client.
    BatchSent = 8,
    /// [`Acknowledge`](super::Acknowledge), client to server.
    Acknowledge = 9,
    /// [`Acknowledged`](super::Acknowledged), server to client.
    Acknowledged = 10,
    /// [`Tail`](super::Tail), client to server.
    Tail = 11,
    /// [`TailOpened`](super::TailOpened), server to client: the first frame of a tail stream.
    TailOpened = 12,
    /// [`Refused`](super::Refused), server to client, on the control stream and on tail streams.
    Refused = 13,
    /// [`Bye`](super::Bye), either way: the last frame of the control stream.
    Bye = 14,
    /// [`Online`](super::Online), server to client, as a datagram or on the control stream.
    Online = 15,
    /// [`WatchPresence`](super::WatchPresence), client to server.
    WatchPresence = 16,
    /// [`Presence`](super::Presence), server to client.
    Presence = 17,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Hello,
        Self::Welcome,
        Self::Pull,
        Self::Page,
        Self::Send,
        Self::Sent,
        Self::SendBatch,
        Self::BatchSent,
        Self::Acknowledge,
        Self::Acknowledged,
        Self::Tail,
        Self::TailOpened,
        Self::Refused,
        Self::Bye,
        Self::Online,
        Self::WatchPresence,
        Self::Presence,
    ];

    /// The kind with this number, or `None` when this program knows none.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// What a frame of one kind carries, where it is written by the codec as a whole. Frames with long lists are written item
/// by item and have functions of their own.
pub trait Payload: Serialize + for<'a> Deserialize<'a> {
    /// Its kind.
    const KIND: Kind;
}
