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

/// The gateway for OpenIM's clients.
pub mod ws {
    pub use crate::openim::v3::ws::frame::{Codec, Reply, Request, pong};
    pub use crate::openim::v3::ws::handshake::Hello;
}
