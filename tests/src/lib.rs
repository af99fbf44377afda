//! Harness of the whole-system tests. It knows the product through its program, its sockets and the client of its protocol;
//! only the program that skips syncs, to show that the tests can fail, reaches further in.

pub mod dice;
pub mod faultfs;
pub mod harness;
pub mod live;
