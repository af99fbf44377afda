//! `storage`: the engine without a network. Beside the yardstick, and through the life of a data directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use waybill_benches::compare::columns::{Name, Programs};
use waybill_benches::compare::{report, runner};
use waybill_benches::corpus::{Corpus, DEFAULT_SEED, DEFAULT_USERS, POOL_SIZE, Pool};
use waybill_benches::error::{Error, IoContext as _, Result};
use waybill_benches::fanout;
use waybill_benches::life::{self, restart};
use waybill_benches::manifest::{Recording, calibration};
use waybill_benches::window::Span;
use waybill_log::LogConfig;

/// Most receivers in a quick run.
const QUICK_USERS: u32 = 1_000;
/// Messages of a quick life.
const QUICK_MESSAGES: u64 = 20_000;

/// The engine without a network: the writer, its stores and its readers in this process.
///
/// Exit codes: 0 when everything ran and everything answered was found stored once; 1 otherwise.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Without one, `engine` with its defaults.
    #[command(subcommand)]
    command: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Durable sends with different numbers under way, in interleaved turns with the yardstick.
    Engine(EngineArgs),
    /// Fill a data directory, read pages, kill it under load, rebuild its views, and weigh it.
    Life(LifeArgs),
    /// Messages to many: to everybody, beside single sends; lists of conversations, receivers of tasks.
    Fanout(FanoutArgs),
    /// What `life` kills.
    #[command(name = restart::VICTIM, hide = true)]
    Victim(VictimArgs),
}

/// What both benchmarks take.
#[derive(Args)]
struct Common {
    /// Receivers.
    #[arg(long, default_value_t = DEFAULT_USERS)]
    users: u32,
    /// Seed of the corpus.
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// Where data is put: a directory on the disk to be measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    data: PathBuf,
    /// Small and short, to see whether everything works; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Print the whole result as JSON on stdout; the tables then go to stderr.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct EngineArgs {
    #[command(flatten)]
    common: Common,
    /// Sends under way, one column each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64, 256, 512, 4096])]
    in_flight: Vec<u32>,
    /// How often each has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Measured time of a turn, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Args)]
struct LifeArgs {
    #[command(flatten)]
    common: Common,
    /// Messages.
    #[arg(long, default_value_t = 10_000_000)]
    messages: u64,
    /// Distinct messages; others repeat a body with another key and receiver. Two million need 2 GiB of memory.
    #[arg(long, default_value_t = 2_000_000)]
    distinct: u32,
    /// Sends under way.
    #[arg(long, default_value_t = 512)]
    in_flight: usize,
    /// Kills under full load.
    #[arg(long, default_value_t = 3)]
    kills: u32,
    /// How long the load lasts before the first kill, in seconds; each later one waits a third of this longer.
    #[arg(long, default_value_t = 20.0)]
    seconds_to_kill: f64,
    /// Memory budget of the engine, in MiB.
    #[arg(long, default_value_t = LogConfig::default().memory_mib)]
    memory_mib: usize,
    /// Keep the data directory.
    #[arg(long)]
    keep: bool,
}

#[derive(Args)]
struct FanoutArgs {
    #[command(flatten)]
    common: Common,
    /// Memory budget of the engine, in MiB.
    #[arg(long, default_value_t = LogConfig::default().memory_mib)]
    memory_mib: usize,
}

#[derive(Args)]
struct VictimArgs {
    data: PathBuf,
    from: u64,
    seed: u64,
    users: u32,
    pool: u32,
    in_flight: usize,
    memory_mib: usize,
}

fn main() -> ExitCode {
    let task = Cli::parse().command;
    let task = task.or_else(|| Cli::parse_from(["storage", "engine"]).command);
    let result = match task {
        Some(Task::Engine(args)) => engine(&args),
        Some(Task::Life(args)) => live(&args),
        Some(Task::Fanout(args)) => fan_out(&args),
        Some(Task::Victim(args)) => victim(&args),
        None => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("storage: {e}");
            ExitCode::FAILURE
        }
    }
}

fn engine(args: &EngineArgs) -> Result<()> {
    let Common {
        users,
        seed,
        ref data,
        quick,
        json,
    } = args.common;
    let seconds = |s: f64| Duration::try_from_secs_f64(s).unwrap_or(Duration::ZERO);
    let span = if quick {
        Span {
            warm_up: Duration::from_millis(100),
            measure: Duration::from_millis(500),
        }
    } else {
        Span {
            warm_up: seconds(2.0),
            measure: seconds(args.seconds),
        }
    };
    let mut columns = vec![Name::Yardstick.column(512, 1)?];
    for &in_flight in &args.in_flight {
        columns.push(Name::Engine.column(in_flight, 1)?);
    }
    let options = runner::Options {
        columns,
        rounds: if quick { 1 } else { args.rounds },
        span,
        seed,
        users: if quick { users.min(QUICK_USERS) } else { users },
        pool: if quick { 2_000 } else { POOL_SIZE },
        data: data.clone(),
        // No column here starts one.
        programs: Programs {
            waybill: PathBuf::new(),
            redis: PathBuf::new(),
            nats: PathBuf::new(),
        },
    };
    let recording = Recording::begin("storage engine", data, calibration_time(quick))?;
    let results = runner::run(&options)?;
    let config = serde_json::json!({
        "rounds": options.rounds, "seconds": span.measure.as_secs_f64(), "warm_up_seconds": span.warm_up.as_secs_f64(),
        "users": options.users, "pool": options.pool, "quick": quick, "log": format!("{:?}", LogConfig::default()),
    });
    let manifest = recording.end("every answer after a sync of its batch", config, seed)?;
    let mean = Pool::new(Corpus::new(seed, options.users), options.pool.min(10_000)).mean_body();
    let report = report::Report::new(manifest, mean, results);
    print(&report, &report.markdown(), json)
}

fn live(args: &LifeArgs) -> Result<()> {
    let Common {
        users,
        seed,
        ref data,
        quick,
        json,
    } = args.common;
    let directory = directory("waybill-life-", data)?;
    let options = life::Options {
        messages: if quick {
            args.messages.min(QUICK_MESSAGES)
        } else {
            args.messages
        },
        users: if quick { users.min(QUICK_USERS) } else { users },
        pool: args.distinct,
        seed,
        in_flight: args.in_flight,
        pages: if quick { 500 } else { 20_000 },
        kills: args.kills,
        seconds_to_kill: if quick { 0.5 } else { args.seconds_to_kill },
        data: directory.path().join("data"),
        config: with_memory(args.memory_mib),
    };
    let recording = Recording::begin("storage life", directory.path(), calibration_time(quick))?;
    let life = life::run(&options)?;
    let config = serde_json::json!({
        "messages": options.messages, "users": options.users, "distinct": options.pool, "in_flight": options.in_flight,
        "kills": options.kills, "seconds_to_kill": options.seconds_to_kill, "quick": quick,
        "log": format!("{:?}", options.config),
    });
    let manifest = recording.end("every answer after a sync of its batch", config, seed)?;
    if args.keep {
        eprintln!("kept: {}", directory.keep().display());
    }
    let report = life::report::Report { manifest, life };
    print(&report, &report.markdown(), json)
}

/// A directory of its own in `data`, which goes when it is dropped.
fn directory(prefix: &str, data: &Path) -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(data)
        .doing(format!("making a directory in {}", data.display()))
}

/// The engine's configuration with this memory budget.
fn with_memory(memory_mib: usize) -> LogConfig {
    LogConfig {
        memory_mib,
        ..LogConfig::default()
    }
}

/// What `fanout` gives.
#[derive(serde::Serialize)]
struct FanoutReport {
    manifest: waybill_benches::manifest::Manifest,
    #[serde(flatten)]
    fanout: fanout::Fanout,
}

fn fan_out(args: &FanoutArgs) -> Result<()> {
    let Common {
        users,
        seed,
        ref data,
        quick,
        json,
    } = args.common;
    let directory = directory("waybill-fanout-", data)?;
    let options = fanout::Options {
        users: if quick { users.min(QUICK_USERS) } else { users },
        seed,
        data: directory.path().join("data"),
        config: with_memory(args.memory_mib),
    };
    let recording = Recording::begin("storage fanout", directory.path(), calibration_time(quick))?;
    let fanout = fanout::run(&options)?;
    let config = serde_json::json!({
        "users": options.users, "quick": quick, "log": format!("{:?}", options.config),
    });
    let manifest = recording.end("every answer after a sync of its batch", config, seed)?;
    let markdown = fanout.markdown();
    print(&FanoutReport { manifest, fanout }, &markdown, json)
}

fn victim(args: &VictimArgs) -> Result<()> {
    let pool = Arc::new(Pool::new(
        Corpus::new(args.seed, args.users),
        args.pool.min(POOL_SIZE),
    ));
    restart::write_until_killed(
        Path::new(&args.data),
        args.from,
        &pool,
        args.in_flight,
        with_memory(args.memory_mib),
    )
}

fn calibration_time(quick: bool) -> Duration {
    if quick {
        calibration::QUICK
    } else {
        calibration::FULL
    }
}

fn print(report: &impl serde::Serialize, markdown: &str, json: bool) -> Result<()> {
    if json {
        eprintln!("{markdown}");
        let text = serde_json::to_string_pretty(report)
            .map_err(|e| Error::Options(format!("writing JSON: {e}")))?;
        println!("{text}");
    } else {
        println!("{markdown}");
    }
    Ok(())
}
