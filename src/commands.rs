//! One module per command.

pub mod pull;
pub mod replay;
pub mod send;
pub mod serve;
pub mod token;
