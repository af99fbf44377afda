//! Open loop against a running server: what to ask, over which connections, and the ramp to the last good rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use waybill_client::Connection;

use crate::corpus::Pool;
use crate::error::{Error, Result};
use crate::http1;
use crate::openloop::{self, Arrivals, Outcome, Plan, Worker};
use crate::rng::Rng;
use crate::table::{Table, micros, number};
use crate::target::{self, Credentials, Requests, refused};
use waybill_core::id::Seq;

/// Factor between the rates of a ramp: fine enough to be within a fifth of the truth.
const RAMP_FACTOR: f64 = 1.2;
/// Most steps of a ramp: from any sensible first rate to any sensible last one.
const RAMP_STEPS: u32 = 60;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Ask {
    /// A durable send to a user of the corpus: a notice.
    Send,
    /// The same text in a single chat.
    Chat,
    /// One notice to several users at once, over HTTP.
    Task,
    /// The first page of the log of a user of the corpus.
    Pull,
}

/// Over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Kept-alive connections, one request at a time on each.
    Http,
    /// A few connections that clients share.
    Quic,
}

/// A server and what is asked of it.
#[derive(Clone)]
pub struct Setup {
    /// What.
    pub ask: Ask,
    /// Over what.
    pub transport: Transport,
    /// Where.
    pub server: SocketAddr,
    /// As whom.
    pub credentials: Credentials,
    /// The messages.
    pub pool: Arc<Pool>,
    /// Clients: the most operations under way.
    pub clients: u32,
    /// Connections that the clients share, over QUIC. Over HTTP each client has its own.
    pub connections: u32,
    /// Entries in a page.
    pub page: u32,
    /// Receivers of a task.
    pub receivers: u32,
    /// The index of the first message: another one in each run, so that no key comes twice.
    pub first: u64,
}

/// A client.
pub enum Client {
    /// Over HTTP.
    Http(Box<HttpClient>),
    /// Over QUIC.
    Quic(QuicClient),
}

/// A client over HTTP.
pub struct HttpClient {
    setup: Setup,
    connection: http1::Connection,
    requests: Requests,
    out: String,
}

/// A client over QUIC.
pub struct QuicClient {
    setup: Setup,
    connection: Connection,
}

impl Setup {
    /// Connects all clients.
    ///
    /// # Errors
    /// When there are none, or the server does not take them.
    pub async fn connect(&self) -> Result<Vec<Client>> {
        if self.clients == 0 || self.connections == 0 || self.page == 0 {
            return Err(Error::Options(
                "clients, connections and page must be at least 1".into(),
            ));
        }
        let mut clients = Vec::new();
        match self.transport {
            Transport::Http => {
                let requests = Requests::new(self.server, &self.credentials.token);
                for _ in 0..self.clients {
                    clients.push(Client::Http(Box::new(HttpClient {
                        setup: self.clone(),
                        connection: target::http(self.server).await?,
                        requests: requests.clone(),
                        out: String::new(),
                    })));
                }
            }
            Transport::Quic => {
                let mut shared = Vec::new();
                for _ in 0..self.connections.min(self.clients) {
                    shared.push(target::quic(self.server, &self.credentials).await?);
                }
                for connection in shared.iter().cycle().take(self.clients as usize) {
                    clients.push(Client::Quic(QuicClient {
                        setup: self.clone(),
                        connection: connection.clone(),
                    }));
                }
            }
        }
        Ok(clients)
    }

    /// Whose page operation `index` asks for.
    fn reader(&self, index: u64) -> u32 {
        Rng::new(self.pool.corpus().seed() ^ 0x7075_6c6c, index).below(self.pool.corpus().users())
    }
}

impl Worker for Client {
    async fn call(&mut self, index: u64) -> Result<()> {
        match self {
            Self::Http(client) => client.call(index).await,
            Self::Quic(client) => client.call(index).await,
        }
    }
}

impl HttpClient {
    async fn call(&mut self, index: u64) -> Result<()> {
        let Self {
            setup,
            connection,
            requests,
            out,
        } = self;
        match setup.ask {
            Ask::Send | Ask::Chat => {
                let chat = setup.ask == Ask::Chat;
                requests.send(&setup.pool, setup.first + index, chat, out);
                target::check_sent(connection.call(out.as_bytes()).await?)
            }
            Ask::Task => {
                let from = Rng::new(setup.pool.corpus().seed() ^ 0x7461_736b, index)
                    .below(setup.pool.corpus().users());
                requests.task(&setup.pool, setup.first + index, from, setup.receivers, out);
                let answer = connection.call(out.as_bytes()).await?;
                target::check_task(answer, setup.receivers)
            }
            Ask::Pull => {
                requests.pull(setup.reader(index), setup.page, out);
                target::check_page(connection.call(out.as_bytes()).await?).map(drop)
            }
        }
    }
}

impl QuicClient {
    async fn call(&mut self, index: u64) -> Result<()> {
        let Self { setup, connection } = self;
        let failed = |e: waybill_client::Error| refused(e.to_string());
        match setup.ask {
            Ask::Send | Ask::Chat => {
                let mut outgoing = target::outgoing(&setup.pool, setup.first + index);
                if setup.ask == Ask::Chat {
                    target::as_chat(&mut outgoing);
                }
                connection.send(outgoing).await.map_err(failed)?;
            }
            Ask::Task => return Err(Error::Options("tasks go over HTTP".into())),
            Ask::Pull => {
                let user = crate::corpus::user_id(setup.reader(index));
                let page = connection
                    .pull(&user, Seq(0), setup.page)
                    .await
                    .map_err(failed)?;
                if page
                    .entries
                    .iter()
                    .zip(1..)
                    .any(|(entry, seq)| entry.seq != Seq(seq))
                {
                    return Err(target::server_error("a page with a hole".into()));
                }
            }
        }
        Ok(())
    }
}

/// What a rate must hold to be good.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Objective {
    /// 99 of 100 responses must come within this, from the planned time.
    pub p99: Duration,
}

impl Objective {
    /// Whether `outcome` holds it: no failure, not limited by the load generator, and quick enough.
    #[must_use]
    pub fn is_met(&self, outcome: &Outcome) -> bool {
        outcome.failed == 0
            && outcome.limited.is_none()
            && outcome.response.count > 0
            && outcome.response.p99_us <= self.p99.as_secs_f64() * 1e6
    }
}

/// A ramp: the rates tried, in order.
#[derive(Clone, Debug, Serialize)]
pub struct Ramp {
    /// What a rate must hold.
    pub objective: Objective,
    /// What came of each rate.
    pub steps: Vec<Outcome>,
    /// The highest rate that held it before one did not.
    pub last_good_rate: Option<f64>,
    /// The 99th percentile at half of that rate, in microseconds from the planned time.
    pub p99_at_half_us: Option<f64>,
}

/// Raises the rate from `plan`'s until `objective` is missed, then measures at half of the last good one.
///
/// # Errors
/// When the server does not take the clients. A rate that is out of reach ends the ramp.
pub async fn ramp(setup: &Setup, plan: Plan, objective: Objective) -> Result<Ramp> {
    let mut ramp = Ramp {
        objective,
        steps: Vec::new(),
        last_good_rate: None,
        p99_at_half_us: None,
    };
    let mut setup = setup.clone();
    let mut plan = plan;
    for _ in 0..RAMP_STEPS {
        let outcome = run_once(&mut setup, plan).await?;
        let good = objective.is_met(&outcome);
        ramp.steps.push(outcome);
        if !good {
            break;
        }
        ramp.last_good_rate = Some(plan.rate);
        plan.rate *= RAMP_FACTOR;
    }
    if let Some(rate) = ramp.last_good_rate {
        let half = run_once(
            &mut setup,
            Plan {
                rate: rate / 2.0,
                ..plan
            },
        )
        .await?;
        ramp.p99_at_half_us = Some(half.response.p99_us);
        ramp.steps.push(half);
    }
    Ok(ramp)
}

/// One run with fresh connections and fresh keys.
///
/// # Errors
/// When the server does not take the clients, or falls so far behind that the plan is given up.
pub async fn run_once(setup: &mut Setup, plan: Plan) -> Result<Outcome> {
    let outcome = openloop::run(plan, setup.connect().await?).await;
    // More indices than the plan can have used: Poisson arrivals vary.
    setup.first += (2.0 * plan.rate * (plan.warm_up + plan.measure).as_secs_f64()) as u64 + 1_000;
    outcome
}

/// A table of runs.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut table = Table::new([
        "planned/s",
        "achieved/s",
        "failed",
        "response p50",
        "p99",
        "p99.9",
        "max",
        "service p50",
        "p99",
        "late p99",
    ]);
    for o in outcomes {
        table.row([
            number(o.plan.rate),
            number(o.achieved_rate),
            o.failed.to_string(),
            micros(o.response.p50_us),
            micros(o.response.p99_us),
            micros(o.response.p99_9_us),
            micros(o.response.max_us),
            micros(o.service.p50_us),
            micros(o.service.p99_us),
            micros(o.lateness.p99_us),
        ]);
    }
    table.markdown()
}

/// How operations arrive, in words for a heading.
#[must_use]
pub fn arrivals_text(arrivals: Arrivals) -> &'static str {
    match arrivals {
        Arrivals::Constant => "at equal distances",
        Arrivals::Poisson => "as a Poisson process",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::{Ask, Objective, Setup, Transport, ramp};
    use crate::corpus::{Corpus, Pool};
    use crate::openloop::{Arrivals, Plan};
    use crate::target::Credentials;

    /// A server that answers every request with `answer` after `delay`.
    async fn serve(answer: &'static [u8], delay: Duration) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut sink = vec![0; 4096];
                    while stream.read(&mut sink).await.is_ok_and(|n| n > 0) {
                        tokio::time::sleep(delay).await;
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn setup(server: std::net::SocketAddr, ask: Ask) -> Setup {
        Setup {
            ask,
            transport: Transport::Http,
            server,
            credentials: Credentials {
                token: "t".into(),
                fingerprint: String::new(),
            },
            pool: std::sync::Arc::new(Pool::new(Corpus::new(1, 10), 10)),
            clients: 2,
            connections: 1,
            page: 10,
            receivers: 10,
            first: 0,
        }
    }

    fn plan(rate: f64) -> Plan {
        Plan {
            rate,
            arrivals: Arrivals::Poisson,
            warm_up: Duration::from_millis(20),
            measure: Duration::from_millis(400),
            seed: 1,
        }
    }

    #[tokio::test]
    async fn a_ramp_ends_where_the_server_does() {
        // Two clients at 20 ms each can do 100 a second: 400 a second is out of reach from the first step on.
        let server = serve(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            Duration::from_millis(20),
        )
        .await;
        let objective = Objective {
            p99: Duration::from_millis(100),
        };
        let ramp = ramp(&setup(server, Ask::Send), plan(400.0), objective)
            .await
            .unwrap();
        assert_eq!((ramp.steps.len(), ramp.last_good_rate), (1, None));
        assert!(!objective.is_met(&ramp.steps[0]));
    }

    #[tokio::test]
    async fn refusals_and_holes_are_failures() {
        let objective = Objective {
            p99: Duration::from_secs(60),
        };
        let busy = serve(
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            Duration::ZERO,
        )
        .await;
        let hole = serve(
            b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n{\"head\":9,\"entries\":[{\"seq\":2}]} ",
            Duration::ZERO,
        )
        .await;
        for (server, ask, words) in [(busy, Ask::Send, "503"), (hole, Ask::Pull, "hole")] {
            let ramp = ramp(&setup(server, ask), plan(50.0), objective)
                .await
                .unwrap();
            assert_eq!(ramp.last_good_rate, None);
            assert!(
                ramp.steps[0]
                    .first_failure
                    .as_ref()
                    .unwrap()
                    .contains(words),
                "{:?}",
                ramp.steps[0]
            );
        }
    }
}
