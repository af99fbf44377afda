//! `waybill replay`: what can be found out from a ledger alone.

use std::process::ExitCode;

use serde_json::json;
use waybill_replay::progress::Bars;
use waybill_replay::verify::Error;
use waybill_replay::verify::{self, CANNOT_VERIFY, Options};

use crate::args::{Replay, Verify};
use crate::output::{Failure, print, print_line};

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
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            if args.json {
                let _ = print_line(unknown(&error))?;
            }
            return Err(Failure::new(CANNOT_VERIFY, error));
        }
    };
    // Whether or not anybody reads it to its end, the exit code is the verdict.
    let _ = if args.json {
        print_line(serde_json::to_string(&report).map_err(Failure::with(CANNOT_VERIFY))?)?
    } else {
        print(&report)?
    };
    Ok(ExitCode::from(report.verdict.exit_code()))
}

/// What a script is told when there is no report.
fn unknown(error: &Error) -> serde_json::Value {
    let reason = match error {
        Error::Torn { .. } => "torn",
        _ => "failed",
    };
    json!({ "verdict": "unknown", "reason": reason, "error": error.to_string() })
}
