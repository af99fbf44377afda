//! Harness of the whole-system tests. It knows the product only through its program and its sockets.

pub mod faultfs;
