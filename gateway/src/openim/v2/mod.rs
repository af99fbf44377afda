//! OpenIM's v2 business API: the requests, checks, answers and error texts of Open-IM-Server v2.0.6 to v2.3.0. It
//! translates; what a message does is decided in the core.

mod asked;
mod directory;
mod handlers;
mod inbox;
pub mod offered;
pub mod reply;
pub mod requests;

pub use handlers::{answer, refuse};
