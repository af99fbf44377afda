//! The edge over real sockets and a real log: what callers send, byte for byte, and what they get.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod contents;
mod conversations;
mod events;
mod floods;
mod follow;
mod lists;
mod live;
mod live_table;
mod logins;
mod lost;
mod offered;
mod online;
mod ops;
mod rates;
mod socket;
mod status;
mod strict;
mod support;
mod tasks;
mod terms;
mod tokens;
mod users;
mod v1;
mod v2;
mod v2_auth;
mod v2_manage;
mod v3;
mod v3_ws;
mod v3_ws_bad;
mod v3_ws_life;
mod v3_ws_requests;
mod ws_client;
