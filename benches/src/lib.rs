//! Benchmarks of Waybill, and side-by-side runs against other systems.
//!
//! | module | what it is for |
//! |---|---|
//! | [`corpus`] | the one generator of messages |
//! | [`manifest`] | what every result carries about its machine, its build and its disk |
//! | [`openloop`], [`load`] | operations at planned times, latency from the plan; the same against a running server |
//! | [`window`], [`latency`], [`process`] | closed loops: the measured time, its histogram, its cost |
//! | [`stats`], [`table`], [`progress`] | medians of interleaved rounds; how results look |
//! | [`engine`], [`life`] | Waybill's engine in this process, without a network; the life of a data directory |
//! | [`yardstick`] | the fixed yardstick that goals are shares of |
//! | [`compare`] | the systems compared, and the runner that gives them turns |
//! | [`target`] | a running server: how a send, a pull and a batch are worded |
//! | [`live`] | sessions on a server: how many, how soon, at what cost |
//! | [`http1`], [`wire`], [`child`], [`rng`], [`error`] | connections, servers, randomness, failures |
//!
//! Nothing in the product depends on this crate.

pub mod child;
pub mod compare;
pub mod corpus;
pub mod engine;
pub mod error;
pub mod fanout;
pub mod http1;
pub mod latency;
pub mod life;
pub mod live;
pub mod load;
pub mod manifest;
pub mod openloop;
pub mod process;
pub mod progress;
pub mod rng;
pub mod stats;
pub mod table;
pub mod target;
pub mod window;
pub mod wire;
pub mod yardstick;

/// The allocator of the `waybill` program, so that the engine costs here what it costs there. The yardstick has it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
