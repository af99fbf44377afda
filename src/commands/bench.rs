//! `waybill bench`: runs a benchmark program that lies beside this one. They are programs of their own, so that the server does not
//! carry them.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::args::Bench;
use crate::output::{Failure, USAGE};

pub fn run(args: &Bench) -> Result<ExitCode, Failure> {
    let name = args.program.name();
    let own = std::env::current_exe().map_err(Failure::with(USAGE))?;
    let program = own.with_file_name(name);
    if !program.is_file() {
        let text = format!(
            "{} is not there; `make build-all` builds it",
            program.display()
        );
        return Err(Failure::new(USAGE, text));
    }
    // Takes the place of this process, so the exit code is the benchmark's; it comes back only with an error.
    let error = Command::new(&program).args(&args.args).exec();
    Err(Failure::new(
        USAGE,
        format!("{}: {error}", program.display()),
    ))
}
