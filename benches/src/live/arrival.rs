//! From a send to its arrival at a live session, and what delivery costs: the same sends to the same users, who are connected
//! by one transport after another, and once not at all.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::crowd::{Crowd, Storm};
use super::hub::{Hub, Transport};
use super::idle::settle;
use super::sends::{Sender, fill, room};
use super::server::Waybill;
use super::times::{Arrived, Times};
use crate::corpus::Pool;
use crate::error::{Error, Result};
use crate::openloop::{self, Outcome, Plan};
use crate::progress;
use crate::stats::Spread;
use crate::window::{Cost, Meter, Span, Window};

/// Between turns, for what the last one left behind.
const REST: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// In the order of their turns.
    pub transports: Vec<Transport>,
    /// Sessions of each.
    pub sessions: u32,
    /// How many are being opened at a time.
    pub at_once: u32,
    /// Sockets of the client for QUIC.
    pub sockets: u32,
    /// How often each has its turn.
    pub rounds: u32,
    /// The sends of a turn.
    pub plan: Plan,
    /// Clients that send.
    pub clients: u32,
    /// The server's memory, in MiB.
    pub memory_mib: u32,
}

/// One turn.
#[derive(Clone, Debug, Serialize)]
pub struct Turn {
    /// Which round, from 0.
    pub round: u32,
    /// `None` when nobody was connected.
    pub transport: Option<Transport>,
    /// The opening of the sessions.
    pub storm: Storm,
    /// The sends.
    pub sends: Outcome,
    /// Their arrivals.
    pub arrived: Arrived,
    /// What the measured time cost.
    pub cost: Cost,
    /// The server's CPU time for a message, in microseconds: taking it, storing it, and delivering it.
    pub server_us: f64,
    /// Bytes from the server and to it for a message that arrived: payloads of UDP datagrams, or what went through TCP.
    pub received: f64,
    /// Bytes to the server.
    pub sent: f64,
    /// Datagrams, both ways; each has 28 bytes of IPv4 and UDP besides.
    pub datagrams: f64,
    /// Sessions that ended by themselves.
    pub lost: u64,
    /// The first reason.
    pub first_loss: Option<String>,
}

impl Turn {
    /// Whether all sessions stayed, everything arrived once, and the load generator was not the limit.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        let arrived =
            self.transport.is_none() || (self.arrived.missing == 0 && self.arrived.repeated == 0);
        arrived
            && self.storm.failed == 0
            && self.lost == 0
            && self.sends.failed == 0
            && self.sends.limited.is_none()
    }
}

/// What a transport's delivery costs, over the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Which.
    pub transport: Transport,
    /// The server's CPU time for a message, less what it is in the same round when nobody is connected, in microseconds.
    pub own_us: Option<Spread>,
    /// That, of the first transport's in the same round.
    pub own_of_first: Option<Spread>,
    /// The server's whole CPU time for a message, of the first transport's in the same round.
    pub whole_of_first: Option<Spread>,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// All turns, in their order.
    pub turns: Vec<Turn>,
    /// By transport.
    pub deliveries: Vec<Delivery>,
    /// Seqs that did not follow the one before.
    pub holes: u64,
}

/// Gives each transport its turns.
///
/// # Errors
/// When the server refuses what is not counted.
pub async fn run(setup: &Setup, server: &mut Waybill, pool: &Arc<Pool>) -> Result<Report> {
    let hub = Arc::new(Hub::new(server, setup.sessions, setup.sockets).await?);
    let sender = hub.sender().await?;
    let users = setup.sessions;
    let columns = setup.transports.len() as u32 + 1;
    let bar = progress::bar(u64::from(users)).with_message("one message to each");
    let receiver = move |index| (index % u64::from(users)) as u32;
    fill(&sender, pool, 0, u64::from(users), receiver, &bar).await?;
    bar.finish_and_clear();
    let bar = progress::bar(u64::from(setup.rounds * columns));
    let mut turns = Vec::new();
    for round in 0..setup.rounds {
        for transport in setup.transports.iter().copied().map(Some).chain([None]) {
            bar.set_message(transport.map_or("nobody", Transport::name));
            let run = 1 + turns.len() as u32;
            turns.push(
                turn(
                    setup,
                    &hub,
                    &sender,
                    pool,
                    server.pid(),
                    (round, run, transport),
                )
                .await?,
            );
            server.check()?;
            tokio::time::sleep(REST).await;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(Report {
        deliveries: deliveries(&setup.transports, &turns),
        turns,
        holes: hub.holes(),
    })
}

async fn turn(
    setup: &Setup,
    hub: &Arc<Hub>,
    sender: &waybill_client::Connection,
    pool: &Arc<Pool>,
    pid: u32,
    (round, run, transport): (u32, u32, Option<Transport>),
) -> Result<Turn> {
    let times = Arc::new(Times::new(run, room(&setup.plan)));
    hub.tell(&times);
    let hidden = indicatif::ProgressBar::hidden();
    let users = 0..if transport.is_some() {
        setup.sessions
    } else {
        0
    };
    let kind = transport.unwrap_or(Transport::Quic);
    let (crowd, storm) = Crowd::open(hub, kind, users, setup.at_once, &hidden).await?;
    tokio::time::sleep(REST).await;
    let senders = Sender::several(setup.clients, sender, pool, &times, setup.sessions);
    let before = crowd.bytes();
    let window = Window::start(Span {
        warm_up: setup.plan.warm_up,
        measure: setup.plan.measure,
    });
    let (meter, begun) = (Meter::start(window, vec![pid])?, times.elapsed());
    let sends = openloop::run(setup.plan, senders).await?;
    let cost = meter.finish()?;
    let (from, to) = (
        begun + setup.plan.warm_up,
        begun + setup.plan.warm_up + setup.plan.measure,
    );
    let arrived = if transport.is_some() {
        settle(&times, from, to).await
    } else {
        times.summary(from, to)
    };
    let bytes = crowd.bytes().since(before);
    // The bytes are of all messages, those of the warm-up too.
    let all = times.summary(Duration::ZERO, Duration::MAX).arrived.max(1) as f64;
    let (lost, first_loss) = crowd.lost();
    Ok(Turn {
        round,
        transport,
        storm,
        server_us: cost.server.cpu_seconds * 1e6 / arrived.answered.max(1) as f64,
        sends,
        arrived,
        cost,
        received: bytes.received as f64 / all,
        sent: bytes.sent as f64 / all,
        datagrams: bytes.datagrams as f64 / all,
        lost,
        first_loss,
    })
}

fn deliveries(transports: &[Transport], turns: &[Turn]) -> Vec<Delivery> {
    let of = |transport: Option<Transport>| {
        let turns = turns.iter().filter(|turn| turn.transport == transport);
        turns.map(|turn| turn.server_us).collect::<Vec<_>>()
    };
    let nobody = of(None);
    let own = |transport| {
        let each = of(Some(transport));
        each.iter()
            .zip(&nobody)
            .map(|(with, without)| with - without)
            .collect::<Vec<_>>()
    };
    let first = transports.first().copied();
    let delivery = |&transport: &Transport| Delivery {
        transport,
        own_us: Spread::of(&own(transport)),
        own_of_first: first.and_then(|first| Spread::of_ratios(&own(transport), &own(first))),
        whole_of_first: first
            .and_then(|first| Spread::of_ratios(&of(Some(transport)), &of(Some(first)))),
    };
    transports.iter().map(delivery).collect()
}

/// What this program can ask for at most.
///
/// # Errors
/// When a setup is impossible.
pub fn check(sessions: u32, transports: &[Transport]) -> Result<()> {
    /// File descriptors of a process that are not for sessions.
    const OTHERS: u32 = 1_000;
    /// File descriptors that a process may have where this was written.
    const DESCRIPTORS: u32 = 20_000;
    let most = DESCRIPTORS - OTHERS;
    if sessions == 0 {
        return Err(Error::Options("there must be at least one session".into()));
    }
    if sessions > most
        && transports
            .iter()
            .any(|transport| transport.takes_descriptors())
    {
        return Err(Error::Options(format!(
            "each session over TCP takes a file descriptor; at most {most} can be had"
        )));
    }
    Ok(())
}
