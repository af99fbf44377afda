//! Live delivery: many sessions on one server, and what they cost.
//!
//! | module | what it is for |
//! |---|---|
//! | [`idle`] | sessions that wait: connect storm, memory, traffic, sends beside them |
//! | [`arrival`] | from a send to its arrival at a live session, and what delivery costs, by transport |
//! | [`group`] | a message to several hundred at once, until the last of them has it |
//! | [`storm`] | sessions that drop and come back while sends go on |
//! | [`drain`] | a device far behind catches up |
//! | [`reports`] | what devices that report their cursors cost |
//! | [`report`] | how results look |
//! | [`server`], [`bare`], [`ledger`] | the server under test; quinn by itself; what a ledger has of cursors |
//! | [`hub`], [`crowd`], [`session`] | many sessions; one, whatever its transport |
//! | [`quic`], [`websocket`], [`sse`], [`poll`], [`openim`] | the transports |
//! | [`gob`], [`socket`] | frames of OpenIM's clients; bytes that are counted |
//! | [`times`], [`sends`] | when messages are sent and seen; what sends them |

pub mod arrival;
pub mod bare;
pub mod crowd;
pub mod drain;
pub mod gob;
pub mod group;
pub mod hub;
pub mod idle;
pub mod ledger;
pub mod openim;
pub mod poll;
pub mod quic;
pub mod report;
pub mod reports;
pub mod sends;
pub mod server;
pub mod session;
pub mod socket;
pub mod sse;
pub mod storm;
pub mod times;
pub mod websocket;
