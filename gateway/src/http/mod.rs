//! HTTP: connections with their timers and bounds, and what is served over them.

mod admission;
pub mod body;
pub mod listener;
mod pace;
pub mod respond;
