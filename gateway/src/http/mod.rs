//! HTTP: connections with their timers and bounds, and what is served over them.

pub(crate) mod address;
pub(crate) mod admission;
mod app;
mod body;
mod call;
pub mod examples;
mod lines;
pub mod listener;
pub(crate) mod origin;
mod pace;
pub mod respond;
pub(crate) mod v1;

pub use app::App;
pub use call::{Answered, Call};
