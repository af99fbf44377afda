//! Many sessions drop at once and come back, while sends to all of them go on: nothing may be lost or come twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// The sends; the sessions drop at the end of its warm-up.
    pub plan: Plan,
    /// Clients that send.
    pub clients: u32,
    /// The server's memory, in MiB.
    pub memory_mib: u32,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The first opening.
    pub storm: Storm,
    /// The return.
    pub back: Storm,
    /// From the drop until all are back, in seconds.
    pub all_back_seconds: f64,
    /// From the drop until everything that was sent and answered before all were back has arrived, in seconds.
    pub caught_up_seconds: f64,
    /// The sends.
    pub sends: Outcome,
    /// Their arrivals, those of messages that were sent while their receivers were away included.
    pub arrived: Arrived,
    /// Sessions that ended by themselves.
    pub lost: u64,
    /// The first reason.
    pub first_loss: Option<String>,
    /// Seqs that did not follow the one before.
    pub holes: u64,
}

impl Report {
    /// Whether all came back, and nothing was lost or came twice.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.storm.failed == 0
            && self.back.failed == 0
            && self.lost == 0
            && self.holes == 0
            && self.arrived.missing == 0
            && self.arrived.repeated == 0
            && self.sends.failed == 0
    }
}

/// Opens the sessions, drops them while sends go on, and opens them again.
///
/// # Errors
/// When the server refuses what is not counted.
pub async fn run(setup: &Setup, server: &mut Waybill, pool: &Arc<Pool>) -> Result<Report> {
    if setup.transport == Transport::Openim {
        return Err(Error::Options(
            "OpenIM's clients have no cursor: what they missed they ask for by conversation".into(),
        ));
    }
    let hub = Arc::new(Hub::new(server, setup.sessions, setup.sockets).await?);
    let sender = hub.sender().await?;
    let users = setup.sessions;
    let bar = progress::bar(u64::from(users)).with_message("one message to each");
    let receiver = move |index| (index % u64::from(users)) as u32;
    fill(&sender, pool, 0, u64::from(users), receiver, &bar).await?;
    let times = Arc::new(Times::new(1, room(&setup.plan)));
    hub.tell(&times);
    bar.set_position(0);
    bar.set_message("opening sessions");
    let (mut crowd, storm) =
        Crowd::open(&hub, setup.transport, 0..users, setup.at_once, &bar).await?;
    let senders = Sender::several(setup.clients, &sender, pool, &times, users);
    let sends = tokio::spawn(openloop::run(setup.plan, senders));
    tokio::time::sleep(setup.plan.warm_up).await;
    bar.set_position(0);
    bar.set_message("coming back");
    let dropped = Instant::now();
    let gone = crowd.drop_all().await;
    let back = crowd.admit(gone, setup.at_once, &bar).await?;
    let all_back_seconds = dropped.elapsed().as_secs_f64();
    // What was answered by now must arrive soon; what is sent from now on is ordinary.
    let owed = times.waiting();
    while !times.have_arrived(&owed) && dropped.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let caught_up_seconds = dropped.elapsed().as_secs_f64();
    bar.set_message("the last sends");
    let sends = sends
        .await
        .map_err(|e| Error::Options(format!("the sending task failed: {e}")))??;
    let arrived = settle(&times, Duration::ZERO, Duration::MAX).await;
    bar.finish_and_clear();
    server.check()?;
    let (lost, first_loss) = crowd.lost();
    Ok(Report {
        storm,
        back,
        all_back_seconds,
        caught_up_seconds,
        sends,
        arrived,
        lost,
        first_loss,
        holes: hub.holes(),
    })
}

/// Time for what is owed to arrive.
const PATIENCE: Duration = Duration::from_secs(60);
