//! `waybill replay`: what can be found out from a ledger alone.

use std::process::ExitCode;

use waybill_replay::progress::Bars;
use waybill_replay::verify::{self, CANNOT_VERIFY, Options};

use crate::args::{Replay, Verify};
use crate::output::Failure;

pub fn run(args: Replay) -> Result<ExitCode, Failure> {
    match args {
        Replay::Verify(args) => verify(&args),
    }
}

fn verify(args: &Verify) -> Result<ExitCode, Failure> {
    let options = Options {
        scan_only: args.scan,
        tmp: args.tmp.clone(),
        ..Options::new(&args.data)
    };
    let report = verify::run(&options, &mut *Bars::on_stderr(args.json));
    let report = report.map_err(Failure::with(CANNOT_VERIFY))?;
    if args.json {
        println!(
            "{}",
            serde_json::to_string(&report).map_err(Failure::with(CANNOT_VERIFY))?
        );
    } else {
        print!("{report}");
    }
    Ok(ExitCode::from(report.verdict.exit_code()))
}
