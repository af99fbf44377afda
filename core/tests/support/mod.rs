//! What the tests of this crate share: a cast of users, random plans, a naive model and a ledger in memory.
#![allow(dead_code, reason = "each test program takes the part that it needs")]

pub mod cast;
pub mod chronicle;
pub mod crowd;
pub mod files;
pub mod model;
pub mod model_directory;
pub mod model_fanout;
pub mod model_log;
pub mod model_restore;
pub mod model_rows;
pub mod model_status;
pub mod model_tend;
pub mod plan;
pub mod script;
pub mod script_directory;
pub mod script_many;
pub mod script_restore;
pub mod script_status;
pub mod script_terms;
pub mod shapes;
pub mod terms;
pub mod told;
pub mod vector_hashes;
pub mod vector_many;
pub mod vector_restore;
pub mod vector_rows;
pub mod vector_status;
pub mod vector_terms;
pub mod vectors;
