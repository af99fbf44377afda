//! `load`: open loop against a running server. Latencies count from the planned times.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;
use waybill_benches::compare::runtime;
use waybill_benches::corpus::{Corpus, DEFAULT_SEED, DEFAULT_USERS, POOL_SIZE, Pool};
use waybill_benches::error::{Error, Result};
use waybill_benches::load::{self, Ask, Objective, Setup, Transport};
use waybill_benches::manifest::{Manifest, Recording, calibration};
use waybill_benches::openloop::{Arrivals, Outcome, Plan};
use waybill_benches::process::Usage;
use waybill_benches::progress;
use waybill_benches::target::Credentials;

/// Exit code of a run whose figures may not be believed.
const DOUBTFUL: u8 = 3;

/// Open loop against a running server on this machine. Latencies count from the planned times.
///
/// Exit codes: 0 when every operation succeeded in a run that the load generator did not limit (of a ramp: at least one
/// rate was good); 3 when it was limited, or operations failed; 1 when it could not run.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// What to ask for.
    #[arg(long, value_enum, default_value_t = Ask::Send)]
    ask: Ask,
    /// Over what.
    #[arg(long, value_enum, default_value_t = Transport::Http)]
    transport: Transport,
    /// The server's address, for HTTP or for QUIC [default: 127.0.0.1:10002 and 127.0.0.1:10003].
    #[arg(long)]
    server: Option<SocketAddr>,
    /// The server's data directory: its secrets are read, and its disk is calibrated.
    #[arg(long, default_value = "./data")]
    data: PathBuf,
    /// Operations a second; the first rate of a ramp.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// How they follow each other.
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    arrivals: Arrivals,
    /// Measured time, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Time before it that is not counted, in seconds.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Raise the rate step by step until 99 of 100 responses take longer than this, in milliseconds, or one fails.
    #[arg(long, value_name = "MS")]
    ramp: Option<f64>,
    /// Clients: the most operations under way.
    #[arg(long, default_value_t = 256)]
    clients: u32,
    /// Connections that they share over QUIC; over HTTP each has its own.
    #[arg(long, default_value_t = 8)]
    connections: u32,
    /// Entries in a pulled page.
    #[arg(long, default_value_t = 200)]
    page: u32,
    /// Receivers of a task: each operation is so many.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=512))]
    receivers: u32,
    /// Receivers.
    #[arg(long, default_value_t = DEFAULT_USERS)]
    users: u32,
    /// Seed of corpus and schedule. Sends with a seed that the server has seen are retries: name another.
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// The index of the first message, where earlier runs with this seed have sent some.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Process number of the server, to report its CPU time and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// One short run, to see whether everything works; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Print the whole result as JSON on stdout; the table then goes to stderr.
    #[arg(long)]
    json: bool,
}

/// The result.
#[derive(Serialize)]
struct Report {
    manifest: Manifest,
    ask: Ask,
    transport: Transport,
    /// What the server used from the first connection to the last answer.
    server: Option<Usage>,
    /// What this process used.
    client: Usage,
    runs: Vec<Outcome>,
    last_good_rate: Option<f64>,
    p99_at_half_us: Option<f64>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DOUBTFUL),
        Err(e) => {
            eprintln!("load: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    let recording = Recording::begin(
        "load",
        &args.data,
        if args.quick {
            calibration::QUICK
        } else {
            calibration::FULL
        },
    )?;
    let setup = setup(args)?;
    let seconds = |s: f64| Duration::try_from_secs_f64(s).unwrap_or(Duration::ZERO);
    let plan = Plan {
        rate: args.rate,
        arrivals: args.arrivals,
        warm_up: if args.quick {
            Duration::from_millis(100)
        } else {
            seconds(args.warm_up)
        },
        measure: if args.quick {
            Duration::from_secs(1)
        } else {
            seconds(args.seconds)
        },
        seed: args.seed,
    };
    let server = || args.pid.and_then(Usage::of);
    let (server_before, client_before) = (server(), Usage::own());
    let spinner = progress::spinner(format!(
        "{} operations a second, {}",
        args.rate,
        load::arrivals_text(args.arrivals)
    ));
    let (runs, last_good_rate, p99_at_half_us) = runtime()?.block_on(async {
        match args.ramp {
            None => Ok::<_, Error>((
                vec![load::run_once(&mut setup.clone(), plan).await?],
                None,
                None,
            )),
            Some(ms) => {
                let objective = Objective {
                    p99: seconds(ms / 1000.0),
                };
                let ramp = load::ramp(&setup, plan, objective).await?;
                Ok((ramp.steps, ramp.last_good_rate, ramp.p99_at_half_us))
            }
        }
    })?;
    spinner.finish_and_clear();
    let server_used = server()
        .zip(server_before)
        .map(|(now, before)| now.since(before));
    let client = Usage::own().since(client_before);
    let config = serde_json::json!({
        "ask": args.ask, "transport": args.transport, "plan": plan, "clients": args.clients,
        "connections": args.connections, "page": args.page, "receivers": args.receivers, "users": args.users, "ramp_p99_ms": args.ramp,
        "quick": args.quick, "client": "one thread",
    });
    let manifest = recording.end(
        "as the server is configured; synced before the answer by default",
        config,
        args.seed,
    )?;
    let report = Report {
        manifest,
        ask: args.ask,
        transport: args.transport,
        server: server_used,
        client,
        runs,
        last_good_rate,
        p99_at_half_us,
    };
    print(&report, args.json)?;
    let fine = |o: &Outcome| o.limited.is_none() && o.failed == 0;
    Ok(if args.ramp.is_some() {
        last_good_rate.is_some()
    } else {
        report.runs.iter().all(fine)
    })
}

fn setup(args: &Args) -> Result<Setup> {
    let default = match args.transport {
        Transport::Http => 10_002,
        Transport::Quic => 10_003,
    };
    Ok(Setup {
        ask: args.ask,
        transport: args.transport,
        server: args
            .server
            .unwrap_or_else(|| waybill_benches::wire::loopback(default)),
        credentials: Credentials::read(&args.data)?,
        pool: Arc::new(Pool::new(
            Corpus::new(args.seed, args.users),
            if args.quick { 2_000 } else { POOL_SIZE },
        )),
        clients: args.clients,
        connections: args.connections,
        page: args.page,
        receivers: args.receivers,
        first: args.first,
    })
}

fn print(report: &Report, json: bool) -> Result<()> {
    use std::fmt::Write as _;
    let mut text = format!(
        "{}\n\n{}",
        report.manifest.headline(),
        load::table(&report.runs)
    );
    for (name, usage) in [("server", report.server), ("client", Some(report.client))] {
        if let Some(usage) = usage {
            let (cpu, mib) = (usage.cpu_seconds, usage.rss_kib / 1024);
            // Infallible, here and below: the sink is a String.
            let _ = writeln!(text, "{name}: {cpu:.2} s of CPU time, {mib} MiB resident");
        }
    }
    if let Some(rate) = report.last_good_rate {
        let _ = writeln!(
            text,
            "last good rate: {rate:.0}/s; p99 at half of it: {:.0} µs",
            report.p99_at_half_us.unwrap_or(0.0)
        );
    }
    for outcome in &report.runs {
        if let Some(why) = &outcome.limited {
            let _ = writeln!(text, "at {:.0}/s: {why}", outcome.plan.rate);
        }
        if let Some(why) = &outcome.first_failure {
            let _ = writeln!(
                text,
                "at {:.0}/s: {} failed, the first: {why}",
                outcome.plan.rate, outcome.failed
            );
        }
    }
    if json {
        eprintln!("{text}");
        let json = serde_json::to_string_pretty(report)
            .map_err(|e| Error::Options(format!("writing JSON: {e}")))?;
        println!("{json}");
    } else {
        println!("{text}");
    }
    Ok(())
}
