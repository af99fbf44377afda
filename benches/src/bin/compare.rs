//! `compare`: durable appends of one corpus by different systems, in interleaved turns on this machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::ValueEnum as _;
use waybill_benches::compare::columns::{Name, Programs};
use waybill_benches::compare::report::Report;
use waybill_benches::compare::runner::{self, Options};
use waybill_benches::compare::waybill;
use waybill_benches::corpus::{Corpus, DEFAULT_SEED, DEFAULT_USERS, POOL_SIZE, Pool};
use waybill_benches::error::Result;
use waybill_benches::manifest::{Recording, calibration};
use waybill_benches::window::Span;

/// Most receivers in a quick run.
const QUICK_USERS: u32 = 1_000;

/// Durable appends of one corpus by different systems, in interleaved turns on this machine.
///
/// Exit codes: 0 when every column ran and every answered message was found stored once; 1 otherwise.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Columns, in the order of their turns; all of them by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Name>,
    /// How often each column has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Measured time of a turn, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Time before it that is not counted, in seconds.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Messages in flight.
    #[arg(long, default_value_t = 512)]
    in_flight: u32,
    /// Messages in a request of the columns that send batches.
    #[arg(long, default_value_t = 64)]
    batch: u32,
    /// Receivers.
    #[arg(long, default_value_t = DEFAULT_USERS)]
    users: u32,
    /// Seed of the corpus.
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// Where the systems put their data: a directory on the disk to be measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    data: PathBuf,
    /// The waybill program; by default the one that lies beside this one.
    #[arg(long)]
    waybill: Option<PathBuf>,
    /// Debian's redis-server.
    #[arg(long, default_value = "redis-server")]
    redis_server: PathBuf,
    /// The pinned nats-server; where benches/scripts/fetch-nats.sh puts it by default.
    #[arg(long, default_value_os_t = default_nats())]
    nats_server: PathBuf,
    /// One short round, to see whether everything works; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Print the whole result as JSON on stdout; the table then goes to stderr.
    #[arg(long)]
    json: bool,
}

/// Where the script puts the pinned server: `$WAYBILL_CACHE`, else `~/.cache/waybill`.
fn default_nats() -> PathBuf {
    let cache = std::env::var_os("WAYBILL_CACHE").map(PathBuf::from);
    let home =
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/waybill");
    cache
        .unwrap_or_else(home)
        .join("nats-server-2.15.1/nats-server")
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("compare: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let options = options(args)?;
    let calibrate = if args.quick {
        calibration::QUICK
    } else {
        calibration::FULL
    };
    let recording = Recording::begin("compare", &options.data, calibrate)?;
    let results = runner::run(&options)?;
    let config = serde_json::json!({
        "rounds": options.rounds, "seconds": options.span.measure.as_secs_f64(),
        "warm_up_seconds": options.span.warm_up.as_secs_f64(), "in_flight": args.in_flight,
        "batch": args.batch, "users": options.users, "pool": options.pool, "quick": args.quick,
        "client": "one thread for all connections",
    });
    let manifest = recording.end(
        "every answer after a sync: see each column",
        config,
        options.seed,
    )?;
    let mean = Pool::new(
        Corpus::new(options.seed, options.users),
        options.pool.min(10_000),
    )
    .mean_body();
    let report = Report::new(manifest, mean, results);
    if args.json {
        eprintln!("{}", report.markdown());
        let text = serde_json::to_string_pretty(&report);
        println!(
            "{}",
            text.map_err(|e| waybill_benches::error::Error::Options(format!("writing JSON: {e}")))?
        );
    } else {
        println!("{}", report.markdown());
    }
    if args.quick {
        eprintln!("a quick run: the figures show that it works, nothing else");
    }
    Ok(())
}

fn options(args: &Args) -> Result<Options> {
    let seconds = |s: f64| Duration::try_from_secs_f64(s).unwrap_or(Duration::ZERO);
    let span = if args.quick {
        Span {
            warm_up: Duration::from_millis(100),
            measure: Duration::from_millis(500),
        }
    } else {
        Span {
            warm_up: seconds(args.warm_up),
            measure: seconds(args.seconds),
        }
    };
    let names = if args.only.is_empty() {
        Name::value_variants()
    } else {
        &args.only[..]
    };
    let columns = names
        .iter()
        .map(|name| name.column(args.in_flight, args.batch));
    Ok(Options {
        columns: columns.collect::<Result<_>>()?,
        rounds: if args.quick { 1 } else { args.rounds },
        span,
        seed: args.seed,
        users: if args.quick {
            args.users.min(QUICK_USERS)
        } else {
            args.users
        },
        pool: if args.quick { 2_000 } else { POOL_SIZE },
        data: args.data.clone(),
        programs: Programs {
            waybill: match &args.waybill {
                Some(program) => program.clone(),
                None => waybill::beside_this_program()?,
            },
            redis: args.redis_server.clone(),
            nats: args.nats_server.clone(),
        },
    })
}
