//! What the sessions of a run share: where the server is, who they are, and who is told what arrives.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use waybill_client::{Connection, Connector, Identity};

use super::server::{Ports, Waybill};
use super::times::Times;
use crate::corpus::user_id;
use crate::error::{Error, IoContext as _, Result};
use crate::target::{self, Credentials, Requests, server_error};
use crate::wire::loopback;

/// Connections over which tokens are asked for.
const TOKEN_LANES: u32 = 32;

/// Sockets of the client for QUIC, each on an address of its own below 127.0.0.2, unless told otherwise.
pub const SOCKETS: u32 = 4;

/// How sessions are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A tail of `waybill/1`.
    Quic,
    /// A tail of the native WebSocket, `GET /v1/socket`.
    Websocket,
    /// `GET /v1/users/{user}/log` as server-sent events.
    Sse,
    /// Long polls of `GET /v1/users/{user}/log`.
    Poll,
    /// OpenIM's gateway, in the frames of its SDKs written in Go.
    Openim,
}

impl Transport {
    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Websocket => "websocket",
            Self::Sse => "sse",
            Self::Poll => "poll",
            Self::Openim => "openim",
        }
    }

    /// Whether each session takes a file descriptor on either side.
    #[must_use]
    pub fn takes_descriptors(self) -> bool {
        self != Self::Quic
    }
}

/// See the module.
pub struct Hub {
    ports: Ports,
    credentials: Credentials,
    connectors: Vec<Connector>,
    /// By number of the user.
    tokens: Vec<String>,
    /// Who is told of arrivals.
    times: Mutex<Option<Arc<Times>>>,
    holes: Arc<AtomicU64>,
}

#[derive(Deserialize)]
struct Issued {
    token: String,
}

impl Hub {
    /// Has tokens made for the first `users` users, and opens `sockets` sockets for QUIC.
    ///
    /// # Errors
    /// When the server refuses, or there are no sockets to be had.
    pub async fn new(server: &Waybill, users: u32, sockets: u32) -> Result<Self> {
        let tokens = tokens(server, users).await?;
        Self::with_tokens(server.ports(), &server.credentials, tokens, sockets)
    }

    /// As [`Self::new`], with tokens that are there.
    ///
    /// # Errors
    /// When there are no sockets to be had.
    pub fn with_tokens(
        ports: Ports,
        credentials: &Credentials,
        tokens: Vec<String>,
        sockets: u32,
    ) -> Result<Self> {
        let connector = |socket: u32| {
            let last = u8::try_from(2 + socket % 250).unwrap_or(2);
            let own = SocketAddr::from(([127, 0, 0, last], 0));
            Connector::on(own, credentials.trust()?).map_err(|e| server_error(e.to_string()))
        };
        Ok(Self {
            ports,
            credentials: credentials.clone(),
            connectors: (0..sockets.max(1)).map(connector).collect::<Result<_>>()?,
            tokens,
            times: Mutex::default(),
            holes: Arc::default(),
        })
    }

    /// Sessions that are opened from now on tell `times` what arrives.
    pub fn tell(&self, times: &Arc<Times>) {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(times));
    }

    /// Seqs that did not follow the one before, in all sessions so far.
    #[must_use]
    pub fn holes(&self) -> u64 {
        self.holes.load(Ordering::Relaxed)
    }

    /// The token of user number `user`.
    ///
    /// # Errors
    /// When there is none.
    pub fn token(&self, user: u32) -> Result<&str> {
        let token = self.tokens.get(user as usize);
        token
            .map(String::as_str)
            .ok_or_else(|| Error::Options(format!("there is no token of user number {user}")))
    }

    /// Where the server takes HTTP.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        loopback(self.ports.http)
    }

    /// Where it takes OpenIM's clients.
    #[must_use]
    pub fn ws(&self) -> SocketAddr {
        loopback(self.ports.ws)
    }

    /// A QUIC connection of user number `user`, from one of the sockets.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn quic(&self, user: u32) -> Result<Connection> {
        let identity = Identity::new(self.token(user)?).device("bench", PLATFORM);
        let connector = &self.connectors[user as usize % self.connectors.len()];
        connector
            .connect(loopback(self.ports.quic), "localhost", &identity)
            .await
            .map_err(|e| server_error(e.to_string()))
    }

    /// A QUIC connection of the account that sends.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn sender(&self) -> Result<Connection> {
        target::quic(loopback(self.ports.quic), &self.credentials).await
    }

    /// What a session whose cursor is `cursor` does with what it gets.
    #[must_use]
    pub fn taker(&self, cursor: Arc<AtomicU64>) -> Taker {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        Taker {
            times: times.clone(),
            holes: Arc::clone(&self.holes),
            cursor,
        }
    }
}

/// OpenIM's number of the platform of all devices here: Web, as that of a token whose caller names none.
pub const PLATFORM: u8 = 5;

/// Takes what arrives at one session.
pub struct Taker {
    times: Option<Arc<Times>>,
    holes: Arc<AtomicU64>,
    cursor: Arc<AtomicU64>,
}

impl Taker {
    /// The seq of an entry, which must follow the one before.
    pub fn seq(&self, seq: u64) {
        if self.cursor.swap(seq, Ordering::Relaxed) + 1 != seq {
            self.holes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Up to where the session has its log.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor.load(Ordering::Relaxed)
    }

    /// The bytes of entries.
    pub fn bytes(&self, bytes: &[u8]) {
        if let Some(times) = &self.times {
            times.arrived(bytes);
        }
    }
}

/// A token for each of the first `users` users.
async fn tokens(server: &Waybill, users: u32) -> Result<Vec<String>> {
    let address = loopback(server.ports().http);
    let mut set = tokio::task::JoinSet::new();
    for lane in 0..TOKEN_LANES.min(users) {
        let mut requests = Requests::new(address, &server.credentials.token);
        set.spawn(async move {
            let mut connection = target::http(address).await?;
            let (mut out, mut made) = (String::new(), Vec::new());
            for user in (lane..users).step_by(TOKEN_LANES as usize) {
                requests.token(user, &mut out);
                let answer = connection.call(out.as_bytes()).await?;
                let body = answer.body;
                target::check_sent(answer)?;
                let issued: Issued = serde_json::from_slice(body)
                    .map_err(|e| server_error(format!("a token for {}: {e}", user_id(user))))?;
                made.push((user, issued.token));
            }
            Ok::<_, Error>(made)
        });
    }
    let mut tokens = vec![String::new(); users as usize];
    while let Some(lane) = set.join_next().await {
        let lane = lane.map_err(std::io::Error::other);
        for (user, token) in lane.doing("asking for tokens")?? {
            tokens[user as usize] = token;
        }
    }
    Ok(tokens)
}
