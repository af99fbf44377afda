//! Live connections, whatever carries them: when to read, when to write, when to ask for a sign of life, and when to end.
//! It must not know any transport, runtime, clock, token or JSON: events and times come in, wishes go out.
//!
//! | module | what it is |
//! |---|---|
//! | [`machine`] | one connection: cursors on logs, a window, times |
//! | [`farewell`] | why a connection ends, and when its peer should come again |

pub mod farewell;
pub mod machine;

pub use farewell::{End, RECONNECT_MS, turned_away};
pub use machine::{
    Acknowledgement, Job, Machine, Moment, Read, Refused, Timing, Took, Window, Wish,
};
