//! What nobody should send, over real sockets to the running program: each gets its clear, typed refusal, and leaves
//! everything else undisturbed.

mod access;
mod bodies;
mod fields;
mod frames;
mod live;
mod openim;
mod pulls;
mod slow;
mod start;
mod target;
