//! The frames of each direction, decoded. A kind that is not known is a frame too, so that nothing is lost by skipping it.

use super::frame::Frame;
use super::hello::{Bye, Hello, Refused, Welcome};
use super::kind::Kind;
use super::log::{Acknowledge, Acknowledged, Page, Pull, Tail, TailOpened};
use super::online::{Online, Presence, WatchPresence};
use super::send::{BatchSent, Send, SendBatch, Sent};
use crate::codec::{self, CodecError};

/// A frame from client to server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "sends are the common case, and a frame is handled where it was decoded"
)]
pub enum ClientFrame {
    /// Kind 1.
    Hello(Hello),
    /// Kind 3.
    Pull(Pull),
    /// Kind 5.
    Send(Send),
    /// Kind 7.
    SendBatch(SendBatch),
    /// Kind 9.
    Acknowledge(Acknowledge),
    /// Kind 11.
    Tail(Tail),
    /// Kind 14.
    Bye(Bye),
    /// Kind 16.
    WatchPresence(WatchPresence),
    /// A kind that only a server may send.
    Misdirected(Kind),
    /// A kind that is not known here: to be skipped.
    Unknown(u8),
}

impl ClientFrame {
    /// Decodes a frame.
    ///
    /// # Errors
    /// When the payload is not what its kind says.
    pub fn read(frame: &Frame<'_>) -> Result<Self, CodecError> {
        let Some(kind) = Kind::of(frame.kind) else {
            return Ok(Self::Unknown(frame.kind));
        };
        let bytes = frame.payload;
        Ok(match kind {
            Kind::Hello => Self::Hello(codec::decode(bytes)?),
            Kind::Pull => Self::Pull(codec::decode(bytes)?),
            Kind::Send => Self::Send(codec::decode(bytes)?),
            Kind::SendBatch => Self::SendBatch(SendBatch::read(bytes)?),
            Kind::Acknowledge => Self::Acknowledge(codec::decode(bytes)?),
            Kind::Tail => Self::Tail(codec::decode(bytes)?),
            Kind::Bye => Self::Bye(codec::decode(bytes)?),
            Kind::WatchPresence => Self::WatchPresence(WatchPresence::read(bytes)?),
            other => Self::Misdirected(other),
        })
    }
}

/// A frame from server to client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrame {
    /// Kind 2.
    Welcome(Welcome),
    /// Kind 4.
    Page(Page),
    /// Kind 6.
    Sent(Sent),
    /// Kind 8.
    BatchSent(BatchSent),
    /// Kind 10.
    Acknowledged(Acknowledged),
    /// Kind 12.
    TailOpened(TailOpened),
    /// Kind 13.
    Refused(Refused),
    /// Kind 14.
    Bye(Bye),
    /// Kind 15.
    Online(Box<Online>),
    /// Kind 17.
    Presence(Presence),
    /// A kind that only a client may send.
    Misdirected(Kind),
    /// A kind that is not known here: to be skipped.
    Unknown(u8),
}

impl ServerFrame {
    /// Decodes a frame.
    ///
    /// # Errors
    /// When the payload is not what its kind says.
    pub fn read(frame: &Frame<'_>) -> Result<Self, CodecError> {
        let Some(kind) = Kind::of(frame.kind) else {
            return Ok(Self::Unknown(frame.kind));
        };
        let bytes = frame.payload;
        Ok(match kind {
            Kind::Welcome => Self::Welcome(codec::decode(bytes)?),
            Kind::Page => Self::Page(Page::read(bytes)?),
            Kind::Sent => Self::Sent(codec::decode(bytes)?),
            Kind::BatchSent => Self::BatchSent(BatchSent::read(bytes)?),
            Kind::Acknowledged => Self::Acknowledged(codec::decode(bytes)?),
            Kind::TailOpened => Self::TailOpened(codec::decode(bytes)?),
            Kind::Refused => Self::Refused(codec::decode(bytes)?),
            Kind::Bye => Self::Bye(codec::decode(bytes)?),
            Kind::Online => Self::Online(Box::new(codec::decode(bytes)?)),
            Kind::Presence => Self::Presence(Presence::read(bytes)?),
            other => Self::Misdirected(other),
        })
    }
}
