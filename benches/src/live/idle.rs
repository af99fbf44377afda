//! Sessions that wait: how long it takes to open so many, what memory each takes and whose it is, what goes over the wire and
//! what it costs while nothing happens, and how sends fare beside them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::bare::Bare;
use super::crowd::{Crowd, Storm};
use super::hub::{Hub, Transport};
use super::sends::{Sender, fill, room};
use super::server::Waybill;
use super::times::{Arrived, Times};
use crate::corpus::Pool;
use crate::error::{Error, Result};
use crate::openloop::{self, Outcome, Plan};
use crate::process::{Memory, Usage};
use crate::progress;
use crate::target::server_error;

/// Sessions opened and closed before the memory is looked at: the first ones make what all share.
const FIRST: u32 = 64;

/// After the last session was opened, so long for what the handshakes needed to be given back.
const SETTLES: Duration = Duration::from_secs(3);

/// Readings of memory while sessions are opened.
const STEPS: u32 = 4;

/// What is asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// How sessions are connected.
    pub transport: Transport,
    /// How many.
    pub sessions: u32,
    /// How many are being opened at a time.
    pub at_once: u32,
    /// Sockets of the client for QUIC.
    pub sockets: u32,
    /// How long they only wait.
    pub wait: Duration,
    /// Sends beside them.
    pub plan: Plan,
    /// Clients that send.
    pub clients: u32,
    /// Sessions on quinn by itself; 0 for none.
    pub bare: u32,
    /// The server's memory, in MiB.
    pub memory_mib: u32,
}

/// Memory with so many sessions.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Step {
    /// How many.
    pub sessions: u64,
    /// The server's memory.
    pub memory: Memory,
}

/// What sessions take.
#[derive(Clone, Debug, Serialize)]
pub struct Weight {
    /// From none to all.
    pub steps: Vec<Step>,
    /// Resident bytes of each: all that came on top of the server without sessions.
    pub bytes_each: f64,
    /// The same between the first and the last step that has any: without what the first ones made for all.
    pub slope: f64,
    /// Resident bytes of each in the client.
    pub client_bytes_each: f64,
}

/// What waiting costs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Waiting {
    /// How long.
    pub seconds: f64,
    /// The server's CPU time, in seconds.
    pub server_cpu_seconds: f64,
    /// The client's.
    pub client_cpu_seconds: f64,
    /// Bytes from the server, a session and minute: payloads of UDP datagrams, or what went through TCP.
    pub received: f64,
    /// Bytes to the server, a session and minute.
    pub sent: f64,
    /// Datagrams, both ways, a session and minute; each has 28 bytes of IPv4 and UDP besides.
    pub datagrams: f64,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The opening.
    pub storm: Storm,
    /// What sessions take.
    pub weight: Weight,
    /// What sessions take on quinn by itself.
    pub bare: Option<Weight>,
    /// Waiting.
    pub waiting: Waiting,
    /// Sends beside them.
    pub sends: Outcome,
    /// Their arrivals.
    pub arrived: Arrived,
    /// Sessions that ended by themselves.
    pub lost: u64,
    /// The first reason.
    pub first_loss: Option<String>,
    /// Seqs that did not follow the one before.
    pub holes: u64,
}

impl Report {
    /// Whether every session stayed, everything arrived once, and the load generator was not the limit.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.storm.failed == 0
            && self.lost == 0
            && self.holes == 0
            && self.arrived.missing == 0
            && self.arrived.repeated == 0
            && self.sends.failed == 0
            && self.sends.limited.is_none()
    }
}

/// Opens sessions, lets them wait, and sends to them.
///
/// # Errors
/// When a server cannot be started or refuses what is not counted.
pub async fn run(
    setup: &Setup,
    server: &mut Waybill,
    dir: &Path,
    pool: &Arc<Pool>,
) -> Result<Report> {
    let bare = match setup.bare {
        0 => None,
        sessions => Some(weigh_bare(setup, sessions, dir).await?),
    };
    let hub = Hub::new(server, setup.sessions, setup.sockets).await?;
    let sender = hub.sender().await?;
    let bar = progress::bar(u64::from(setup.sessions)).with_message("one message to each");
    let users = setup.sessions;
    fill(
        &sender,
        pool,
        0,
        u64::from(users),
        move |index| index as u32 % users,
        &bar,
    )
    .await?;
    bar.finish_and_clear();
    let times = Arc::new(Times::new(1, room(&setup.plan)));
    hub.tell(&times);
    let hub = Arc::new(hub);
    let (crowd, storm, weight) = open(&hub, setup, setup.sessions, server.pid()).await?;
    let waiting = wait(&crowd, setup.wait, server.pid()).await?;
    server.check()?;
    let senders = Sender::several(setup.clients, &sender, pool, &times, setup.sessions);
    let spinner = progress::spinner(format!("{} sends a second beside them", setup.plan.rate));
    let sends = openloop::run(setup.plan, senders).await?;
    let arrived = settle(&times, Duration::ZERO, Duration::MAX).await;
    spinner.finish_and_clear();
    let (lost, first_loss) = crowd.lost();
    Ok(Report {
        storm,
        weight,
        bare,
        waiting,
        sends,
        arrived,
        lost,
        first_loss,
        holes: hub.holes(),
    })
}

/// Waits until everything has arrived, or for some seconds, and sums up what was sent from `from` to `to`.
pub async fn settle(times: &Times, from: Duration, to: Duration) -> Arrived {
    for _ in 0..50 {
        if times.missing() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    times.summary(from, to)
}

async fn weigh_bare(setup: &Setup, sessions: u32, dir: &Path) -> Result<Weight> {
    let bare = Bare::start(dir).await?;
    let tokens = vec!["none".to_owned(); sessions as usize];
    let hub = Hub::with_tokens(bare.ports(), bare.credentials(), tokens, setup.sockets)?;
    let (_crowd, storm, weight) = open(&Arc::new(hub), setup, sessions, bare.pid()).await?;
    match storm.first_failure {
        Some(why) if storm.failed > 0 => Err(server_error(why)),
        _ => Ok(weight),
    }
}

/// Opens the sessions in steps and weighs the server `pid` after each.
async fn open(
    hub: &Arc<Hub>,
    setup: &Setup,
    sessions: u32,
    pid: u32,
) -> Result<(Crowd, Storm, Weight)> {
    let bar = progress::bar(u64::from(sessions)).with_message("opening sessions");
    let first = FIRST.min(sessions);
    drop(Crowd::open(hub, setup.transport, 0..first, setup.at_once, &bar).await?);
    tokio::time::sleep(SETTLES).await;
    bar.set_position(0);
    let weigh = |sessions| {
        let memory = Memory::of(pid).ok_or_else(gone)?;
        Ok::<_, Error>(Step { sessions, memory })
    };
    let client = Memory::of(std::process::id()).unwrap_or_default();
    let mut steps = vec![weigh(0)?];
    let (mut crowd, mut storm) = Crowd::open(hub, setup.transport, 0..0, 1, &bar).await?;
    for step in 1..=STEPS {
        let at = |step: u32| (u64::from(sessions) * u64::from(step) / u64::from(STEPS)) as u32;
        let part = crowd
            .open_more(at(step - 1)..at(step), setup.at_once, &bar)
            .await?;
        storm.add(part)?;
        if step == STEPS {
            tokio::time::sleep(SETTLES).await;
        }
        steps.push(weigh(storm.opened)?);
    }
    bar.finish_and_clear();
    let client_now = Memory::of(std::process::id()).unwrap_or_default();
    let between = |from: &Step, to: &Step| {
        let bytes = (to.memory.rss_kib as f64 - from.memory.rss_kib as f64) * 1024.0;
        bytes / ((to.sessions - from.sessions) as f64).max(1.0)
    };
    let (last, opened) = (&steps[steps.len() - 1], storm.opened.max(1) as f64);
    let weight = Weight {
        bytes_each: between(&steps[0], last),
        slope: between(&steps[1], last),
        client_bytes_each: (client_now.rss_kib as f64 - client.rss_kib as f64) * 1024.0 / opened,
        steps,
    };
    Ok((crowd, storm, weight))
}

fn gone() -> Error {
    server_error("has ended".into())
}

async fn wait(crowd: &Crowd, span: Duration, pid: u32) -> Result<Waiting> {
    let spinner = progress::spinner("waiting");
    let reading = || {
        let server = Usage::of(pid).ok_or_else(gone)?;
        Ok::<_, Error>((crowd.bytes(), server, Usage::own()))
    };
    let (bytes, server, client) = reading()?;
    tokio::time::sleep(span).await;
    let (bytes_now, server_now, client_now) = reading()?;
    spinner.finish_and_clear();
    let bytes = bytes_now.since(bytes);
    let minutes = crowd.len().max(1) as f64 * span.as_secs_f64().max(f64::MIN_POSITIVE) / 60.0;
    Ok(Waiting {
        seconds: span.as_secs_f64(),
        server_cpu_seconds: server_now.since(server).cpu_seconds,
        client_cpu_seconds: client_now.since(client).cpu_seconds,
        received: bytes.received as f64 / minutes,
        sent: bytes.sent as f64 / minutes,
        datagrams: bytes.datagrams as f64 / minutes,
    })
}
