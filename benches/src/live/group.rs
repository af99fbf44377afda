//! A message to several hundred who are all connected: when the last of them has it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::crowd::{Crowd, Storm};
use super::hub::{Hub, Transport};
use super::idle::settle;
use super::sends::room;
use super::server::Waybill;
use super::times::{Arrived, Times, mark};
use crate::corpus::Pool;
use crate::error::Result;
use crate::http1;
use crate::openloop::{self, Outcome, Plan, Worker};
use crate::progress;
use crate::target::{self, Requests};

/// What is asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// How sessions are connected.
    pub transport: Transport,
    /// How many: each message is to all of them.
    pub sessions: u32,
    /// How many are being opened at a time.
    pub at_once: u32,
    /// Sockets of the client for QUIC.
    pub sockets: u32,
    /// The messages.
    pub plan: Plan,
    /// Clients that send.
    pub clients: u32,
    /// The server's memory, in MiB.
    pub memory_mib: u32,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The opening.
    pub storm: Storm,
    /// The sends.
    pub sends: Outcome,
    /// When the last session had each message.
    pub arrived: Arrived,
    /// Sessions that ended by themselves.
    pub lost: u64,
    /// The first reason.
    pub first_loss: Option<String>,
    /// Seqs that did not follow the one before.
    pub holes: u64,
}

impl Report {
    /// Whether every session stayed, everything arrived once at each, and the load generator was not the limit.
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

/// One client that sends to all, over HTTP.
struct Sender {
    connection: http1::Connection,
    requests: Requests,
    pool: Arc<Pool>,
    times: Arc<Times>,
    receivers: u32,
    out: String,
}

impl Worker for Sender {
    async fn call(&mut self, index: u64) -> Result<()> {
        // Of a message to many, each receiver has a clientMsgID of its own; the sender's name all have.
        let key = mark(self.times.run(), index);
        let message = (&*self.pool, index);
        self.requests
            .task_of(message, (&key, &key), 0, self.receivers, &mut self.out);
        self.times.sent(index);
        let answer = self.connection.call(self.out.as_bytes()).await?;
        target::check_task(answer, self.receivers)?;
        self.times.answered(index);
        Ok(())
    }
}

/// Opens the sessions and sends to all of them at once.
///
/// # Errors
/// When the server refuses what is not counted.
pub async fn run(setup: &Setup, server: &mut Waybill, pool: &Arc<Pool>) -> Result<Report> {
    let hub = Arc::new(Hub::new(server, setup.sessions, setup.sockets).await?);
    let times = Arc::new(Times::of_many(1, room(&setup.plan), setup.sessions));
    hub.tell(&times);
    let bar = progress::bar(u64::from(setup.sessions)).with_message("opening sessions");
    let users = 0..setup.sessions;
    let (crowd, storm) = Crowd::open(&hub, setup.transport, users, setup.at_once, &bar).await?;
    bar.finish_and_clear();
    let mut senders = Vec::new();
    for _ in 0..setup.clients {
        senders.push(Sender {
            connection: target::http(hub.http()).await?,
            requests: Requests::new(hub.http(), &server.credentials.token),
            pool: Arc::clone(pool),
            times: Arc::clone(&times),
            receivers: setup.sessions,
            out: String::new(),
        });
    }
    let spinner = progress::spinner(format!("{} messages a second to all", setup.plan.rate));
    let begun = times.elapsed();
    let sends = openloop::run(setup.plan, senders).await?;
    let from = begun + setup.plan.warm_up;
    // What was planned in the measured time may have been sent a little later.
    let to = from + setup.plan.measure + Duration::from_secs(60);
    let arrived = settle(&times, from, to).await;
    spinner.finish_and_clear();
    server.check()?;
    let (lost, first_loss) = crowd.lost();
    Ok(Report {
        storm,
        sends,
        arrived,
        lost,
        first_loss,
        holes: hub.holes(),
    })
}
