//! Doors for the fuzz targets in `fuzz/` to decoders that nobody else outside has a use for. No part of what this crate offers.

use crate::openim::go::bind::Shape;
use crate::openim::v2::requests;

pub use crate::content::{Demand, check as check_content, check_object};

/// Requests of the v2 dialect, of every kind of field.
pub static SHAPES: [&Shape; 5] = [
    &requests::MANAGEMENT_SEND_MSG,
    &requests::MANAGEMENT_BATCH_SEND_MSG,
    &requests::USER_REGISTER,
    &requests::USER_TOKEN,
    &requests::PARSE_TOKEN,
];

/// The parts of an address.
pub mod address {
    pub use crate::http::address::{Query, segment};
}

/// Reads a frame of the native WebSocket: `None` when it ends the connection, else the number under which it is taken or refused,
/// 0 for one without a number.
#[must_use]
pub fn socket_frame(text: &str) -> Option<u64> {
    use crate::socket::frames::{ClientFrame as Frame, Unreadable};
    match Frame::read(text) {
        Err(Unreadable::Broken(_)) => None,
        Err(Unreadable::Refused(request, _)) => Some(request),
        Ok(frame) => Some(match frame {
            Frame::Pull(pull) => pull.request.0,
            Frame::Tail(tail) => tail.request.0,
            Frame::Watch(watch) => watch.request.0,
            Frame::Send(send) => send.request.0,
            Frame::SendBatch(batch) => batch.request.0,
            Frame::Acknowledge(asked) => asked.request.0,
            Frame::EndTail(request) | Frame::Ping(request) => request,
            Frame::Hello(_) | Frame::Bye | Frame::Misdirected(_) | Frame::Unknown => 0,
        }),
    }
}

/// The gateway for OpenIM's clients.
pub mod ws {
    pub use crate::openim::v3::ws::frame::{Codec, Reply, Request, pong};
    pub use crate::openim::v3::ws::handshake::Hello;
}
