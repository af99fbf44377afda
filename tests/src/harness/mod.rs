//! The program as its users meet it: started as a process, spoken to over its sockets, stopped or killed, and asked again.
//! Everything that goes wrong here is a panic with what the program said last, because in a test that is the report.

mod api;
pub mod article;
mod backup;
mod book;
mod check;
mod http;
mod jwt;
mod load;
mod message;
mod output;
mod process;
mod program;
mod quic;
mod raw;
mod server;
mod settle;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::dice::Dice;

pub use api::{ADMIN, Api};
pub use backup::{back_up, copy, put_back, restore};
pub use book::{Answer, Book};
pub use http::{Http, Response, head};
pub use jwt::{Claims, token};
pub use load::{Load, Mix};
pub use message::{Message, Way};
pub use program::{Ran, clean, path, report, run, verify, verify_after_cut, waybill};
pub use quic::Quic;
pub use raw::{Raw, RawQuic};
pub use server::{Exited, Server, Starting};
pub use settle::{lost, settle};

/// How long anything that must happen may take before the test gives up. Far more than it takes; nothing is measured with it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The variable that sets the seed of a test.
const SEED: &str = "WAYBILL_TEST_SEED";

/// The dice of a test: from `WAYBILL_TEST_SEED`, else from the clock. Printed, so that a failure can be repeated.
#[must_use]
pub fn dice() -> Dice {
    let clock = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_nanos() as u64)
    };
    let seed = number(SEED).unwrap_or_else(clock);
    println!("seed {seed}; for the same moments again: {SEED}={seed}");
    Dice::new(seed)
}

/// How often to do something: from a variable, else the quick setting.
#[must_use]
pub fn rounds(variable: &str, quick: u64) -> u64 {
    number(variable).unwrap_or(quick)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")))
}
