//! The `waybill` program. Parses, wires and prints; everything that it does is done in the libraries.

mod args;
mod commands;
mod http;
mod output;

use std::process::ExitCode;

use clap::Parser;

/// The system's allocator hands memory from thread to thread slowly, and every message is made in one thread and ends in another:
/// see `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let result = match args.command {
        args::Command::Serve(serve) => commands::serve::run(serve),
        args::Command::Token(token) => commands::token::run(&token),
        args::Command::Send(send) => commands::send::run(send),
        args::Command::Pull(pull) => commands::pull::run(&pull),
        args::Command::Bench(bench) => commands::bench::run(&bench),
        args::Command::Replay(replay) => commands::replay::run(replay),
        args::Command::Restore(restore) => commands::restore::run(restore),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            output::complain(&failure);
            failure.code()
        }
    }
}
