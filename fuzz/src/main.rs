//! What `make fuzz` runs: libFuzzer over the target that `WAYBILL_FUZZ` names. libFuzzer has the `main` and reads the
//! arguments.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use waybill_fuzz::{TARGETS, Target};

static CHOSEN: OnceLock<Target> = OnceLock::new();

fn chosen() -> &'static Target {
    CHOSEN.get_or_init(|| {
        let name = std::env::var("WAYBILL_FUZZ").unwrap_or_default();
        Target::named(&name).unwrap_or_else(|| {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("WAYBILL_FUZZ must name a target: {}", names.join(", "));
            std::process::exit(2);
        })
    })
}

fuzz_target!(init: chosen(), |input: &[u8]| chosen().run(input));
