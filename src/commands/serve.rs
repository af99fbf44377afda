//! `waybill serve`: runs the server until it is told to stop.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use waybill_gateway::config::{self, Config, DEFAULT_MANAGER, Overrides};
use waybill_gateway::server::{Server, StartError, StartOptions, Started};
use waybill_gateway::telemetry;
use waybill_replay::progress::{Bars, Progress as _};

use super::FINGERPRINT_FILE;
use crate::args::Serve;
use crate::output::{DIRECTORY, Failure, Reader, STOPPED, USAGE, print, print_line};

/// How long is waited, after the server has stopped, for threads that still end.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// Threads that read from disk. What waits for one is bounded by the connections; the allocator keeps some mebibytes for each thread,
/// so the 512 that the runtime would take are too many.
const READERS: usize = 16;

pub fn run(args: Serve) -> Result<ExitCode, Failure> {
    if args.keys {
        for key in config::help() {
            let line = format_args!("{}  ({})\n    {}", key.key, key.variable, key.text);
            if print_line(line)? == Reader::Gone {
                break;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let overrides = Overrides {
        data: args.data,
        http: args.http,
        quic: args.quic,
        ws: args.ws,
        ops: args.ops,
    };
    let config = Config::load(args.config.as_deref(), std::env::vars(), overrides);
    let config = config.map_err(Failure::with(USAGE))?;
    telemetry::start_logging(&config.log).map_err(Failure::with(USAGE))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(READERS)
        .build();
    let runtime = runtime.map_err(Failure::with(USAGE))?;
    let result = runtime.block_on(serve(config));
    // What still runs lets go of the stores before the process ends: RocksDB aborts when it is used while its globals are
    // destroyed. A start that was given up may open the log for longer than this: it is left behind.
    runtime.shutdown_timeout(LAST_STEPS);
    result
}

async fn serve(config: Config) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let (data, opened) = (config.data.clone(), !config.is_development());
    let manager = config
        .openim
        .managers
        .first()
        .map_or(DEFAULT_MANAGER.to_owned(), |first| first.id.clone());
    let options = StartOptions {
        progress: catch_up_bar(),
        ..StartOptions::default()
    };
    // From the first moment, so that no signal ends the process the hard way.
    let mut stop = Box::pin(told_to_stop()?);
    let started = tokio::select! {
        started = Server::start(config, options) => started,
        () = &mut stop => return Ok(ExitCode::SUCCESS),
    };
    let server = started.map_err(|error| {
        let code = if matches!(error, StartError::Log(_)) {
            DIRECTORY
        } else {
            USAGE
        };
        Failure::new(code, error)
    })?;
    let started = server.started();
    let fingerprint = data.join("secrets").join(FINGERPRINT_FILE);
    if let Err(error) = std::fs::write(&fingerprint, format!("{}\n", started.quic_fingerprint)) {
        return Err(Failure::new(
            USAGE,
            format!("{}: {error}", fingerprint.display()),
        ));
    }
    // It serves, whether or not anybody reads this.
    let _ = print(greeting(started, &manager, opened, began));
    match server.run(stop).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::new(
            STOPPED,
            format!("the server had to stop: {error}"),
        )),
    }
}

/// Shows how far a catch-up has come, when it takes longer than two seconds.
fn catch_up_bar() -> Box<dyn FnMut(waybill_core::id::Position, waybill_core::id::Position) + Send> {
    if !std::io::stderr().is_terminal() {
        return Box::new(|_, _| {});
    }
    let mut bar = Bars::default();
    let mut began = false;
    Box::new(move |reached, last| {
        if !began {
            bar.begin("applying the ledger to the views", last.0);
            began = true;
        }
        bar.reached(reached.0);
        if reached == last {
            bar.end();
            began = false;
        }
    })
}

/// Resolves at the first SIGINT or SIGTERM.
fn told_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::with(USAGE))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::with(USAGE))?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// What is printed once the server serves: addresses, the admin token's place, and a curl line that works as it stands.
fn greeting(started: &Started, manager: &str, opened: bool, began: Instant) -> String {
    let scheme = if started.tls { "https" } else { "http" };
    // The line is used in another terminal, which may stand elsewhere.
    let token = std::path::absolute(&started.admin_token);
    let token = token.as_ref().unwrap_or(&started.admin_token).display();
    let quoted = format!("'{}'", token.to_string().replace('\'', r"'\''"));
    let mut out = format!(
        "waybill serves after {:.1} s\n",
        began.elapsed().as_secs_f64()
    );
    // Writing to a String does not fail.
    for address in &started.http {
        let _ = writeln!(out, "http  {scheme}://{address}");
    }
    let _ = writeln!(out, "quic  {}", started.quic);
    let socket = if started.tls { "wss" } else { "ws" };
    let _ = writeln!(out, "ws    {socket}://{}", started.ws);
    let _ = writeln!(out, "ops   http://{}", started.ops);
    let _ = writeln!(out, "admin token  {token}");
    if !opened {
        let _ = writeln!(
            out,
            "only this machine can reach it; `waybill serve --http 0.0.0.0:10002` opens it to others"
        );
    }
    if let Some(address) = started.http.first() {
        let insecure = if started.tls { " --insecure" } else { "" };
        let _ = write!(
            out,
            "\nSend a first notice:\n\n  \
             curl -sS{insecure} {scheme}://{address}/manager/send_msg -H \"token: $(cat {quoted})\" -d '{}'\n\n",
            first_notice(manager)
        );
        if let Some(path) = started.inbox {
            let _ = write!(
                out,
                "Watch it arrive, as user {FIRST_RECEIVER} with the admin token:\n\n  {scheme}://{address}{path}\n\n"
            );
        }
    }
    out
}

/// Who gets the notice of the printed line.
const FIRST_RECEIVER: &str = "18712345678";

fn first_notice(manager: &str) -> String {
    let content = serde_json::json!({
        "notificationName": "公文管理", "notificationFaceURL": "http://www.head1.com", "notificationType": 1,
        "text": "大家好,今天是...", "externalUrl": "", "mixType": 0, "ex": "",
    });
    let request = serde_json::json!({
        "operationID": "first notice", "sendID": manager, "recvID": FIRST_RECEIVER, "senderPlatformID": 2,
        "senderFaceURL": "http://www.head.com", "senderNickname": "系统通知", "content": content,
        "contentType": 1400, "sessionType": 4, "isOnlineOnly": false,
    });
    // Inside single quotes of a shell.
    request.to_string().replace('\'', "'\\''")
}
