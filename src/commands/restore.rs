//! `waybill restore`: a data directory that was put back from a copy goes on as another history.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use waybill_gateway::config::{Config, Overrides};
use waybill_gateway::server::restore;
use waybill_log::restore::{RestoreError, Restored};

use crate::args::Restore;
use crate::output::{DIRECTORY, Failure, STOPPED, USAGE, print, print_line};

pub fn run(args: Restore) -> Result<ExitCode, Failure> {
    let overrides = Overrides {
        data: args.data,
        ..Overrides::default()
    };
    let config = Config::load(args.config.as_deref(), std::env::vars(), overrides);
    let mut config = config.map_err(Failure::with(USAGE))?;
    if let Some(gap) = args.gap {
        config.restore.gap = gap;
    }
    if let Some(erasures) = args.erasures {
        // A register that is named must be there: one that is left out by mistake would bring back what was erased.
        if !erasures.exists() {
            let text = format!("{}: there is no such file", erasures.display());
            return Err(Failure::new(USAGE, text));
        }
        config.restore.erasures = Some(erasures);
    }
    let done = restore(&config, args.number, &mut |_, _| {}).map_err(|error| {
        let code = match &error {
            RestoreError::Refused(_) | RestoreError::Erasures { .. } => USAGE,
            RestoreError::Failed(_) => STOPPED,
            _ => DIRECTORY,
        };
        Failure::new(code, error)
    })?;
    // Whether or not anybody reads it, it is done.
    let _ = if args.json {
        print_line(as_json(&config.data, &done))?
    } else {
        print(Told(&config.data, &done))?
    };
    Ok(ExitCode::SUCCESS)
}

fn as_json(data: &Path, done: &Restored) -> serde_json::Value {
    json!({
        "data": data.display().to_string(),
        "from": done.from.to_string(),
        "epoch": done.epoch.to_string(),
        "last": done.last.0,
        "gap": done.gap,
        "erasures": { "again": done.erased, "known": done.known, "lost": done.lost },
    })
}

/// What was done, for a person.
struct Told<'a>(&'a Path, &'a Restored);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(data, done) = self;
        writeln!(f, "directory    {}", data.display())?;
        writeln!(
            f,
            "was          epoch {}, up to record {}",
            done.from, done.last
        )?;
        writeln!(f, "is           epoch {}", done.epoch)?;
        writeln!(
            f,
            "gap          every log leaves out {} places before its next entry",
            done.gap
        )?;
        writeln!(
            f,
            "erasures     {} made again, {} made before the copy, {} of records that the copy does not have",
            done.erased, done.known, done.lost
        )
    }
}
