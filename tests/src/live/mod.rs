//! Many devices at once, over every way of following a log, that are cut off and stalled at random while the server comes and
//! goes. Each device checks what it is given as it comes. They are plain clients, written from `docs/protocol.md` and
//! `docs/http.md`; over QUIC it is the product's own client.

mod business;
mod device;
mod events;
mod fleet;
mod http;
mod poll;
mod session;
mod socket;
mod tail;
mod tally;

pub use business::{Business, Sent};
pub use device::Kept;
pub use fleet::Fleet;
pub use session::{Ask, Entry, Got, NotNow, Session, Transport};
pub use tally::Tally;
