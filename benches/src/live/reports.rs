//! Devices that report up to where they have stored their logs: what that costs the ledger and the processor. A device that gets
//! something reports as the client library does, some time after the first entry that it has not reported. All of them share some
//! connections of a business account, which may report for others; so they can be many, and nothing is measured but their reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::ledger::Reached;
use super::sends::fill;
use super::server::Waybill;
use super::times::mark;
use crate::corpus::Pool;
use crate::error::{Error, Result};
use crate::http1;
use crate::latency::{Latency, Summary};
use crate::openloop::{self, Outcome, Plan, Worker};
use crate::progress;
use crate::rng::Rng;
use crate::target::{self, Requests, server_error};
use crate::window::{Cost, Meter, Span, Window};
use crate::wire::loopback;

/// The device of each user.
const DEVICE: &str = "bench";

/// After all devices have reported, and beyond the interval, so long for that to be in the ledger.
const SETTLES: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// Devices, each of a user of its own.
    pub devices: u32,
    /// Receivers of a message: users who follow each other in number, from a random one on.
    pub receivers: u32,
    /// How long a device waits after the first entry that it has not reported.
    pub report_after: Duration,
    /// Connections over which all report.
    pub connections: u32,
    /// The messages.
    pub plan: Plan,
    /// Clients that send.
    pub clients: u32,
    /// The server's memory, in MiB.
    pub memory_mib: u32,
    /// How long the server keeps cursors before it packs them.
    pub interval: Duration,
}

/// Sends, and what the server spent meanwhile.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// The messages.
    pub sends: Outcome,
    /// Processors and disk, in the measured time.
    pub cost: Cost,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Devices.
    pub devices: u32,
    /// Sends while nobody reports.
    pub silent: Phase,
    /// Sends while everybody does.
    pub reporting: Phase,
    /// Reports a second, over the time of the sends.
    pub reports_per_second: f64,
    /// From when a report is due to its answer.
    pub answered: Summary,
    /// Reports that were refused or failed; the device says it again.
    pub failed: u64,
    /// The first of them.
    pub first_failure: Option<String>,
    /// What the ledger has of them.
    pub ledger: Reached,
    /// Bytes of the ledger a second for them.
    pub bytes_per_second: f64,
    /// The same if every device reported once in each interval of the server.
    pub bytes_per_second_of_all: f64,
    /// The server's CPU time for a report, in µs, with all that HTTP takes.
    pub server_us: f64,
    /// Of it the writer's.
    pub writer_us: f64,
    /// Devices whose last cursor in the ledger is not the one that they reported last.
    pub wrong: u64,
}

impl Report {
    /// Whether the ledger has what was reported, and the load generator was not the limit.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.wrong == 0
            && self.failed == 0
            && [&self.silent, &self.reporting]
                .iter()
                .all(|phase| phase.sends.failed == 0 && phase.sends.limited.is_none())
    }
}

/// One device.
#[derive(Default)]
struct Device {
    /// The end of its log.
    got: AtomicU64,
    /// The last cursor that the server took.
    reported: AtomicU64,
    /// It waits to report.
    waits: AtomicBool,
}

/// All devices, by the numbers of their users.
struct Devices {
    all: Vec<Device>,
    report_after: Duration,
    /// Who reports when; each stands in it once at most.
    due: mpsc::Sender<(Instant, u32)>,
    /// Reports that are due or under way.
    open: AtomicU64,
    seen: std::sync::Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    latency: Latency,
    failed: u64,
    first_failure: Option<String>,
}

impl Devices {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The log of a user has come to `seq`.
    fn got(&self, user: u32, seq: u64) -> &Device {
        let device = &self.all[user as usize];
        device.got.fetch_max(seq, Ordering::Relaxed);
        device
    }

    /// The device of a user reports after a while, unless it is about to.
    fn report(&self, user: u32, after: Duration) {
        if !self.all[user as usize].waits.swap(true, Ordering::Relaxed) {
            self.open.fetch_add(1, Ordering::Relaxed);
            // There is room for all of them.
            let _ = self.due.try_send((Instant::now() + after, user));
        }
    }

    /// Waits until nobody has anything to report.
    async fn all_reported(&self, bar: &indicatif::ProgressBar) {
        loop {
            let open = self.open.load(Ordering::Relaxed);
            bar.set_position((self.all.len() as u64).saturating_sub(open));
            if open == 0 {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A connection over which devices report.
struct Lane {
    connection: http1::Connection,
    requests: Requests,
    devices: Arc<Devices>,
    due: Arc<Mutex<mpsc::Receiver<(Instant, u32)>>>,
}

impl Lane {
    async fn run(mut self) -> Result<()> {
        let mut out = String::new();
        loop {
            let next = self.due.lock().await.recv().await;
            let Some((at, user)) = next else {
                return Ok(());
            };
            sleep_until(at).await;
            let device = &self.devices.all[user as usize];
            device.waits.store(false, Ordering::Relaxed);
            let seq = device.got.load(Ordering::Relaxed);
            self.requests.cursor(user, DEVICE, seq, &mut out);
            let answer = self.connection.call(out.as_bytes()).await?;
            let taken = target::check_sent(answer);
            {
                let mut seen = self.devices.seen();
                seen.latency.record(at.elapsed());
                if let Err(error) = &taken {
                    seen.failed += 1;
                    seen.first_failure.get_or_insert_with(|| error.to_string());
                }
            }
            match taken {
                Ok(()) => _ = device.reported.fetch_max(seq, Ordering::Relaxed),
                Err(_) => self.devices.report(user, self.devices.report_after),
            }
            self.devices.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// One client that sends.
struct Sender {
    connection: http1::Connection,
    requests: Requests,
    pool: Arc<Pool>,
    devices: Arc<Devices>,
    receivers: u32,
    run: u32,
    /// Whether devices report what they get.
    reports: bool,
    out: String,
}

#[derive(Deserialize)]
struct Answered {
    receivers: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    seq: u64,
}

impl Worker for Sender {
    async fn call(&mut self, index: u64) -> Result<()> {
        let key = mark(self.run, index);
        let name = &self.pool.message(index).sender_nickname;
        let users = self.devices.all.len() as u32;
        let seed = self.pool.corpus().seed() ^ u64::from(self.run);
        let from = Rng::new(seed, index).below(users);
        let message = (&*self.pool, index);
        self.requests
            .task_of(message, (&key, name), from, self.receivers, &mut self.out);
        let answer = self.connection.call(self.out.as_bytes()).await?;
        let body = answer.body;
        target::check_sent(answer)?;
        let answered: Answered = serde_json::from_slice(body)
            .map_err(|e| server_error(format!("a message to many: {e}")))?;
        for (step, place) in (0..).zip(answered.receivers) {
            let user = (from + step) % users;
            self.devices.got(user, place.seq);
            if self.reports {
                self.devices.report(user, self.devices.report_after);
            }
        }
        Ok(())
    }
}

/// Has devices report what they get, and looks at the ledger afterwards.
///
/// # Errors
/// When the server refuses what is not counted, or its ledger cannot be read.
pub async fn run(setup: &Setup, server: Waybill, pool: &Arc<Pool>) -> Result<Report> {
    let (mut lanes, devices) = begin(setup, &server, pool).await?;
    let silent = phase(setup, &server, (pool, &devices), 1, false).await?;
    // What came meanwhile is no part of what is measured.
    all_report(setup, &devices, &mut lanes).await?;
    let from = wall_clock();
    drop(std::mem::take(&mut *devices.seen()));
    let reporting = phase(setup, &server, (pool, &devices), 2, true).await?;
    let bar = progress::bar(u64::from(setup.devices)).with_message("the last reports");
    devices.all_reported(&bar).await;
    bar.finish_and_clear();
    drop(lanes);
    let data = server.end()?;
    let spinner = progress::spinner("reading the ledger");
    let (ledger, newest) = Reached::read(&data, from)?;
    spinner.finish_and_clear();
    let seen = devices.seen();
    let answered = seen.latency.summary();
    let seconds = (setup.plan.warm_up + setup.plan.measure).as_secs_f64();
    let reports_per_second = answered.count as f64 / seconds.max(f64::MIN_POSITIVE);
    let reports = reports_per_second * setup.plan.measure.as_secs_f64();
    let each = |cost: fn(&Cost) -> f64| {
        (cost(&reporting.cost) - cost(&silent.cost)) * 1e6 / reports.max(1.0)
    };
    let writer = |cost: &Cost| cost.threads.0.get("writer").copied().unwrap_or(0.0);
    let of_all = f64::from(setup.devices) / setup.interval.as_secs_f64();
    Ok(Report {
        devices: setup.devices,
        reports_per_second,
        failed: seen.failed,
        first_failure: seen.first_failure.clone(),
        bytes_per_second: ledger.bytes as f64 / seconds.max(f64::MIN_POSITIVE),
        bytes_per_second_of_all: ledger.bytes_each() * of_all,
        server_us: each(|cost| cost.server.cpu_seconds),
        writer_us: each(writer),
        wrong: wrong(&devices, newest),
        answered,
        silent,
        reporting,
        ledger,
    })
}

/// The time as records have it: server and load generator share a clock.
fn wall_clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// Devices for which the ledger has another cursor than they reported last. Users have numbers of their own there, so that the
/// cursors are compared sorted.
fn wrong(devices: &Devices, mut newest: Vec<u64>) -> u64 {
    let reported = devices.all.iter();
    let reported = reported.map(|device| device.reported.load(Ordering::Relaxed));
    let mut reported: Vec<u64> = reported.collect();
    reported.sort_unstable();
    newest.sort_unstable();
    let missing = reported.len().abs_diff(newest.len()) as u64;
    let pairs = reported.iter().zip(&newest);
    missing + pairs.filter(|(one, other)| one != other).count() as u64
}

/// A message to each user, and the first report of each device, by which it becomes known.
async fn begin(
    setup: &Setup,
    server: &Waybill,
    pool: &Arc<Pool>,
) -> Result<(JoinSet<Result<()>>, Arc<Devices>)> {
    let users = setup.devices;
    let sender = target::quic(loopback(server.ports().quic), &server.credentials).await?;
    let bar = progress::bar(u64::from(users)).with_message("one message to each");
    let receiver = move |index| (index % u64::from(users)) as u32;
    fill(&sender, pool, 0, u64::from(users), receiver, &bar).await?;
    let (due, queue) = mpsc::channel(users as usize);
    let devices = Arc::new(Devices {
        all: (0..users).map(|_| Device::default()).collect(),
        report_after: setup.report_after,
        due,
        open: AtomicU64::new(0),
        seen: std::sync::Mutex::default(),
    });
    let (queue, http) = (Arc::new(Mutex::new(queue)), loopback(server.ports().http));
    let mut lanes = JoinSet::new();
    for _ in 0..setup.connections.max(1) {
        let lane = Lane {
            connection: target::http(http).await?,
            requests: Requests::new(http, &server.credentials.token),
            devices: Arc::clone(&devices),
            due: Arc::clone(&queue),
        };
        lanes.spawn(lane.run());
    }
    bar.finish_and_clear();
    for user in 0..users {
        devices.got(user, 1);
    }
    all_report(setup, &devices, &mut lanes).await?;
    Ok((lanes, devices))
}

/// Every device reports now, and what it says comes into the ledger.
async fn all_report(
    setup: &Setup,
    devices: &Devices,
    lanes: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let bar = progress::bar(u64::from(setup.devices)).with_message("all report");
    for user in 0..setup.devices {
        devices.report(user, Duration::ZERO);
    }
    tokio::select! {
        () = devices.all_reported(&bar) => {}
        Some(ended) = lanes.join_next() => {
            ended.map_err(|e| Error::Options(format!("a client task failed: {e}")))??;
        }
    }
    bar.set_message("waiting until that is in the ledger");
    sleep(setup.interval + SETTLES).await;
    bar.finish_and_clear();
    Ok(())
}

async fn phase(
    setup: &Setup,
    server: &Waybill,
    (pool, devices): (&Arc<Pool>, &Arc<Devices>),
    run: u32,
    reports: bool,
) -> Result<Phase> {
    let http = loopback(server.ports().http);
    let mut senders = Vec::new();
    for _ in 0..setup.clients {
        senders.push(Sender {
            connection: target::http(http).await?,
            requests: Requests::new(http, &server.credentials.token),
            pool: Arc::clone(pool),
            devices: Arc::clone(devices),
            receivers: setup.receivers,
            run,
            reports,
            out: String::new(),
        });
    }
    let who = if reports { "all" } else { "nobody" };
    let spinner = progress::spinner(format!(
        "{} messages a second, {who} reports",
        setup.plan.rate
    ));
    let window = Window::start(Span {
        warm_up: setup.plan.warm_up,
        measure: setup.plan.measure,
    });
    let meter = Meter::start(window, vec![server.pid()])?;
    let sends = openloop::run(setup.plan, senders).await?;
    let cost = meter.finish()?;
    spinner.finish_and_clear();
    Ok(Phase { sends, cost })
}
