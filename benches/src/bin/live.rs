//! `live`: sessions on a server: how many, how soon, at what cost.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use waybill_benches::compare::runtime;
use waybill_benches::compare::waybill::beside_this_program;
use waybill_benches::corpus::{Corpus, DEFAULT_SEED, POOL_SIZE, Pool};
use waybill_benches::error::{Error, IoContext as _, Result};
use waybill_benches::live::hub::{SOCKETS, Transport};
use waybill_benches::live::server::Waybill;
use waybill_benches::live::{arrival, bare, drain, group, idle, report, reports, storm};
use waybill_benches::manifest::{Manifest, Recording, calibration};
use waybill_benches::openloop::{Arrivals, Plan};
use waybill_gateway::config::Limits;

/// Exit code of a run whose figures may not be believed.
const DOUBTFUL: u8 = 3;

/// Sessions, entries and seconds of a quick run.
const QUICK_SESSIONS: u32 = 200;
const QUICK_ENTRIES: u64 = 5_000;
const QUICK_RATE: f64 = 200.0;
const QUICK_SECONDS: f64 = 1.0;

/// Messages prepared in a quick run.
const QUICK_POOL: u32 = 2_000;

/// Live delivery, by a server that this program starts and sessions that it plays itself.
///
/// Exit codes: 0 when everything arrived once, no session failed or was lost, and the load generator was not the limit; 3 when
/// something of that is not so; 1 when it could not run.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Many sessions that wait: opening them, memory, traffic, and sends beside them.
    Idle(IdleArgs),
    /// From a send to its arrival at a live session, and what delivery costs, by transport in turns.
    Arrival(ArrivalArgs),
    /// Messages to several hundred who are all connected: when the last has each.
    Group(GroupArgs),
    /// Sessions drop at once and come back while sends go on.
    Storm(StormArgs),
    /// A device far behind catches up: from the ring, from files in memory, from the disk.
    Drain(DrainArgs),
    /// Devices that report how far they have stored their logs: what it costs the ledger.
    Reports(ReportsArgs),
    /// The server of connections that are quinn's alone.
    #[command(name = bare::COMMAND, hide = true)]
    Bare { dir: PathBuf, port: u16 },
}

/// What all take.
#[derive(Args)]
struct Common {
    /// Where data is put: a directory on the disk to be measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    data: PathBuf,
    /// The server's program [default: waybill beside this one].
    #[arg(long)]
    waybill: Option<PathBuf>,
    /// The server's memory, in MiB; a sixteenth of three quarters of it is the ring of recent records.
    #[arg(long, default_value_t = 2048)]
    memory_mib: u32,
    /// Seed of corpus and schedule.
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// Small and short, to see whether everything works; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Print the whole result as JSON on stdout; the tables then go to stderr.
    #[arg(long)]
    json: bool,
}

/// Sessions and how they are opened.
#[derive(Args)]
struct Many {
    /// Sessions that are being opened at a time.
    #[arg(long, default_value_t = 200)]
    at_once: u32,
    /// Sockets of the client for QUIC.
    #[arg(long, default_value_t = SOCKETS)]
    sockets: u32,
    /// Clients that send: the most sends under way.
    #[arg(long, default_value_t = 256)]
    clients: u32,
}

#[derive(Args)]
struct IdleArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    many: Many,
    /// How sessions are connected.
    #[arg(long, value_enum, default_value_t = Transport::Quic)]
    transport: Transport,
    /// Sessions.
    #[arg(long, default_value_t = 100_000)]
    sessions: u32,
    /// Sessions on quinn by itself, to tell its memory from ours; 0 for none. For QUIC only.
    #[arg(long, default_value_t = 10_000)]
    bare: u32,
    /// How long they only wait, in seconds.
    #[arg(long, default_value_t = 60.0)]
    wait: f64,
    /// Sends a second beside them afterwards.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Args)]
struct ArrivalArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    many: Many,
    /// How sessions are connected, in turns; ratios are to the first.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Transport::Quic, Transport::Websocket, Transport::Sse, Transport::Poll, Transport::Openim])]
    transports: Vec<Transport>,
    /// Sessions of each.
    #[arg(long, default_value_t = 2_000)]
    sessions: u32,
    /// How often each has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Sends a second.
    #[arg(long, default_value_t = 5000.0)]
    rate: f64,
    /// Measured time of a turn, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Args)]
struct GroupArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    many: Many,
    /// How sessions are connected.
    #[arg(long, value_enum, default_value_t = Transport::Quic)]
    transport: Transport,
    /// Sessions: each message is to all of them.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=512))]
    sessions: u32,
    /// Messages a second.
    #[arg(long, default_value_t = 5.0)]
    rate: f64,
    /// Measured time, in seconds.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
}

#[derive(Args)]
struct StormArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    many: Many,
    /// How sessions are connected.
    #[arg(long, value_enum, default_value_t = Transport::Quic)]
    transport: Transport,
    /// Sessions.
    #[arg(long, default_value_t = 10_000)]
    sessions: u32,
    /// Sends a second.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// How long sends go on after the drop, in seconds.
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
}

#[derive(Args)]
struct DrainArgs {
    #[command(flatten)]
    common: Common,
    /// Entries that the device is behind.
    #[arg(long, default_value_t = 100_000)]
    entries: u64,
    /// How often each way has its turn; from the disk once.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

#[derive(Args)]
struct ReportsArgs {
    #[command(flatten)]
    common: Common,
    /// Devices, each of a user of its own.
    #[arg(long, default_value_t = 100_000)]
    devices: u32,
    /// Messages a second.
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Receivers of each message, and so reports.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=512))]
    receivers: u32,
    /// How long a device waits after the first entry that it has not reported, in seconds, as the client library does.
    #[arg(long, default_value_t = 1.0)]
    report_after: f64,
    /// Connections over which all devices report.
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Clients that send: the most messages under way.
    #[arg(long, default_value_t = 64)]
    clients: u32,
    /// Measured time with reports, and without, in seconds.
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
}

fn main() -> ExitCode {
    let done = match &Cli::parse().command {
        Task::Idle(args) => idle_of(args),
        Task::Arrival(args) => arrival_of(args),
        Task::Group(args) => group_of(args),
        Task::Storm(args) => storm_of(args),
        Task::Drain(args) => drain_of(args),
        Task::Reports(args) => reports_of(args),
        Task::Bare { dir, port } => bare::serve(dir, *port).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DOUBTFUL),
        Err(error) => {
            eprintln!("live: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A result with its manifest.
#[derive(Serialize)]
struct Printed<T> {
    manifest: Manifest,
    #[serde(flatten)]
    report: T,
}

/// What a run works with.
struct Bench {
    recording: Recording,
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    server: Waybill,
    pool: Arc<Pool>,
}

impl Common {
    /// Starts everything.
    fn begin(&self, tool: &'static str, users: u32) -> Result<Bench> {
        let span = if self.quick {
            calibration::QUICK
        } else {
            calibration::FULL
        };
        let recording = Recording::begin(tool, &self.data, span)?;
        let dir = tempfile::tempdir_in(&self.data).doing("making a directory")?;
        let program = self.waybill.clone().map_or_else(beside_this_program, Ok)?;
        let runtime = runtime()?;
        let server = runtime.block_on(Waybill::start(&program, dir.path(), self.memory_mib))?;
        let size = if self.quick { QUICK_POOL } else { POOL_SIZE };
        Ok(Bench {
            recording,
            dir,
            runtime,
            server,
            pool: Arc::new(Pool::new(Corpus::new(self.seed, users), size)),
        })
    }

    fn plan(&self, rate: f64, warm_up: f64, seconds: f64) -> Plan {
        let span = |s: f64| Duration::try_from_secs_f64(s).unwrap_or(Duration::ZERO);
        Plan {
            rate: if self.quick { QUICK_RATE } else { rate },
            arrivals: Arrivals::Poisson,
            warm_up: span(if self.quick { QUICK_SECONDS } else { warm_up }),
            measure: span(if self.quick { QUICK_SECONDS } else { seconds }),
            seed: self.seed,
        }
    }

    fn sessions(&self, sessions: u32) -> u32 {
        if self.quick {
            QUICK_SESSIONS.min(sessions)
        } else {
            sessions
        }
    }

    /// Closes the manifest and prints.
    fn end<T: Serialize>(
        &self,
        recording: Recording,
        setup: &impl Serialize,
        server: &str,
        report: T,
        table: &str,
    ) -> Result<()> {
        let config = serde_json::json!({
            "setup": setup, "server": server, "quick": self.quick, "client": "one process, one thread",
        });
        let manifest = recording.end("synced before the answer", config, self.seed)?;
        let text = format!("{}\n\n{table}", manifest.headline());
        if self.json {
            eprintln!("{text}");
            let json = serde_json::to_string_pretty(&Printed { manifest, report })
                .map_err(|e| Error::Options(format!("writing JSON: {e}")))?;
            println!("{json}");
        } else {
            println!("{text}");
        }
        Ok(())
    }
}

/// Time before the measured sends, in seconds.
const WARM_UP: f64 = 2.0;

fn idle_of(args: &IdleArgs) -> Result<bool> {
    let common = &args.common;
    let sessions = common.sessions(args.sessions);
    arrival::check(sessions, &[args.transport])?;
    let setup = idle::Setup {
        transport: args.transport,
        sessions,
        at_once: args.many.at_once,
        sockets: args.many.sockets,
        wait: Duration::try_from_secs_f64(if common.quick {
            QUICK_SECONDS
        } else {
            args.wait
        })
        .unwrap_or(Duration::ZERO),
        plan: common.plan(args.rate, WARM_UP, args.seconds),
        clients: args.many.clients,
        bare: match args.transport {
            Transport::Quic => common.sessions(args.bare),
            _ => 0,
        },
        memory_mib: common.memory_mib,
    };
    let mut bench = common.begin("live idle", sessions)?;
    let report = bench.runtime.block_on(idle::run(
        &setup,
        &mut bench.server,
        bench.dir.path(),
        &bench.pool,
    ))?;
    let (fine, table) = (report.is_fine(), report::idle(&report));
    common.end(
        bench.recording,
        &setup,
        &bench.server.config,
        report,
        &table,
    )?;
    Ok(fine)
}

fn arrival_of(args: &ArrivalArgs) -> Result<bool> {
    let common = &args.common;
    let sessions = common.sessions(args.sessions);
    arrival::check(sessions, &args.transports)?;
    let setup = arrival::Setup {
        transports: args.transports.clone(),
        sessions,
        at_once: args.many.at_once,
        sockets: args.many.sockets,
        rounds: if common.quick { 1 } else { args.rounds },
        plan: common.plan(args.rate, WARM_UP, args.seconds),
        clients: args.many.clients,
        memory_mib: common.memory_mib,
    };
    let mut bench = common.begin("live arrival", sessions)?;
    let running = arrival::run(&setup, &mut bench.server, &bench.pool);
    let report = bench.runtime.block_on(running)?;
    let fine = report.holes == 0 && report.turns.iter().all(arrival::Turn::is_fine);
    let table = report::arrival(&report);
    common.end(
        bench.recording,
        &setup,
        &bench.server.config,
        report,
        &table,
    )?;
    Ok(fine)
}

fn group_of(args: &GroupArgs) -> Result<bool> {
    let common = &args.common;
    let sessions = common.sessions(args.sessions);
    let mut plan = common.plan(args.rate, WARM_UP, args.seconds);
    plan.rate = args.rate;
    let setup = group::Setup {
        transport: args.transport,
        sessions,
        at_once: args.many.at_once,
        sockets: args.many.sockets,
        plan,
        clients: args.many.clients.min(GROUP_CLIENTS),
        memory_mib: common.memory_mib,
    };
    let mut bench = common.begin("live group", sessions)?;
    let running = group::run(&setup, &mut bench.server, &bench.pool);
    let report = bench.runtime.block_on(running)?;
    let (fine, table) = (report.is_fine(), report::group(&report));
    common.end(
        bench.recording,
        &setup,
        &bench.server.config,
        report,
        &table,
    )?;
    Ok(fine)
}

/// Clients that send to all: each has a connection of its own.
const GROUP_CLIENTS: u32 = 32;

fn storm_of(args: &StormArgs) -> Result<bool> {
    let common = &args.common;
    let sessions = common.sessions(args.sessions);
    arrival::check(sessions, &[args.transport])?;
    let setup = storm::Setup {
        transport: args.transport,
        sessions,
        at_once: args.many.at_once,
        sockets: args.many.sockets,
        plan: common.plan(args.rate, WARM_UP, args.seconds),
        clients: args.many.clients,
        memory_mib: common.memory_mib,
    };
    let mut bench = common.begin("live storm", sessions)?;
    let running = storm::run(&setup, &mut bench.server, &bench.pool);
    let report = bench.runtime.block_on(running)?;
    let (fine, table) = (report.is_fine(), report::storm(&report));
    common.end(
        bench.recording,
        &setup,
        &bench.server.config,
        report,
        &table,
    )?;
    Ok(fine)
}

fn drain_of(args: &DrainArgs) -> Result<bool> {
    let common = &args.common;
    let entries = if common.quick {
        QUICK_ENTRIES
    } else {
        args.entries
    };
    let rounds = if common.quick { 1 } else { args.rounds };
    let bench = common.begin("live drain", 1)?;
    let running = drain::run(bench.server, entries, rounds, &bench.pool);
    let (server, drains) = bench.runtime.block_on(running)?;
    let table = report::drain(&drains);
    let setup = serde_json::json!({ "entries": entries, "rounds": rounds, "memory_mib": common.memory_mib });
    let report = serde_json::json!({ "drains": drains });
    common.end(bench.recording, &setup, &server.config, report, &table)?;
    Ok(true)
}

/// The server packs what devices say for some seconds: after that everything goes on as it will.
const REPORTS_WARM_UP: f64 = 8.0;

fn reports_of(args: &ReportsArgs) -> Result<bool> {
    let common = &args.common;
    let devices = common.sessions(args.devices).max(1);
    let setup = reports::Setup {
        devices,
        receivers: args.receivers.min(devices),
        report_after: Duration::try_from_secs_f64(args.report_after).unwrap_or(Duration::ZERO),
        connections: args.connections,
        plan: common.plan(args.rate, REPORTS_WARM_UP, args.seconds),
        clients: args.clients,
        memory_mib: common.memory_mib,
        interval: Duration::from_secs(Limits::default().reached_seconds),
    };
    let bench = common.begin("live reports", devices)?;
    let server = bench.server.config.clone();
    let running = reports::run(&setup, bench.server, &bench.pool);
    let report = bench.runtime.block_on(running)?;
    let (fine, table) = (report.is_fine(), report::reports(&report));
    common.end(bench.recording, &setup, &server, report, &table)?;
    Ok(fine)
}
