//! One connection that follows a log, whatever carries it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use waybill_client::Fingerprint;

use super::events::Events;
use super::http::{self, Http};
use super::poll::Poll;
use super::socket::Socket;
use super::tail::Follow;
use crate::harness::{Message, Server};

/// How long a connection may take to be opened, and an answer to come, before a device gives it up and tries again.
pub(super) const SOON: Duration = Duration::from_secs(15);

/// A way of following a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `GET …/log?wait=`.
    LongPoll,
    /// `GET …/log` as server-sent events.
    Sse,
    /// A tail over the native WebSocket.
    WebSocket,
    /// A tail over QUIC.
    Quic,
}

impl Transport {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::LongPoll, Self::Sse, Self::WebSocket, Self::Quic];
}

/// Who follows which server.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Where it takes HTTP.
    pub http: SocketAddr,
    /// Where it takes QUIC.
    pub quic: SocketAddr,
    /// What is pinned over QUIC.
    pub pin: Fingerprint,
    /// The history that the device's log is of.
    pub epoch: Arc<str>,
    /// A token of the user.
    pub token: Arc<str>,
    /// Whose log it is.
    pub user: String,
    /// Which device follows it.
    pub device: String,
}

impl Ask {
    /// A device of a user of this server.
    #[must_use]
    pub fn new(server: &Server, epoch: &str, token: &str, user: &str, device: &str) -> Self {
        Self {
            http: server.http(),
            quic: server.quic(),
            pin: server.fingerprint(),
            epoch: epoch.into(),
            token: token.into(),
            user: user.to_owned(),
            device: device.to_owned(),
        }
    }
}

/// What a device keeps of an entry: its place, and which message it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log.
    pub seq: u64,
    /// Its serverMsgID.
    pub id: String,
    /// The number in its content.
    pub number: u64,
}

impl Entry {
    /// An entry as `/v1` and WebSocket write it.
    ///
    /// # Panics
    /// When it is none of the test's messages.
    #[must_use]
    pub fn read(entry: &Value) -> Self {
        let found = entry["seq"]
            .as_u64()
            .zip(entry["serverMsgID"].as_str())
            .zip(Message::number_in(&entry["content"]));
        let ((seq, id), number) =
            found.unwrap_or_else(|| panic!("an entry that nobody has sent: {entry}"));
        Self {
            seq,
            id: id.to_owned(),
            number,
        }
    }
}

/// What a session brings.
#[derive(Debug)]
pub enum Got {
    /// Entries, at least one.
    Entries(Vec<Entry>),
    /// Nothing for now.
    Nothing,
    /// The server ends the session: the name of the code, and how long to stay away, in milliseconds.
    Bye(String, u64),
    /// The connection is gone.
    Gone,
}

/// Why a session cannot be had now.
#[derive(Debug)]
pub enum NotNow {
    /// Nobody answers.
    Silent,
    /// The server says no: the name of the code, and how long to stay away, in milliseconds.
    Refused(String, u64),
}

/// A session. Dropped, its connection is cut.
pub enum Session {
    /// By long poll.
    Poll(Box<Poll>),
    /// By server-sent events.
    Events(Box<Events>),
    /// By WebSocket.
    Socket(Box<Socket>),
    /// By QUIC.
    Tail(Box<Follow>),
}

impl Session {
    /// Follows the log after a seq.
    ///
    /// # Errors
    /// When there is no session to be had.
    pub async fn open(transport: Transport, ask: &Ask, after: u64) -> Result<Self, NotNow> {
        let opening = async {
            Ok(match transport {
                Transport::LongPoll => Self::Poll(Poll::open(ask, after).await?.into()),
                Transport::Sse => Self::Events(Events::open(ask, after).await?.into()),
                Transport::WebSocket => Self::Socket(Socket::open(ask, after).await?.into()),
                Transport::Quic => Self::Tail(Follow::open(ask, after).await?.into()),
            })
        };
        timeout(SOON, opening).await.map_err(|_| NotNow::Silent)?
    }

    /// What comes next. Nothing is lost when this is dropped before it returns, but over long poll.
    pub async fn next(&mut self) -> Got {
        match self {
            Self::Poll(poll) => poll.next().await,
            Self::Events(events) => events.next().await,
            Self::Socket(socket) => socket.next().await,
            Self::Tail(tail) => tail.next().await,
        }
    }

    /// Says that the device has stored its log up to here. It is not said again when that fails.
    ///
    /// # Panics
    /// When it is refused, or answered with another seq.
    pub async fn acknowledge(&mut self, ask: &Ask, seq: u64) {
        let said = async {
            match self {
                Self::Socket(socket) => socket.acknowledge(seq).await,
                Self::Tail(tail) => tail.acknowledge(seq).await,
                Self::Poll(_) | Self::Events(_) => put_cursor(ask, seq).await,
            }
        };
        let _ = timeout(SOON, said).await;
    }
}

/// The word of devices that have no way back over their session.
async fn put_cursor(ask: &Ask, seq: u64) {
    let Ok(mut http) = Http::connect(ask.http, &ask.token).await else {
        return;
    };
    let path = format!("/v1/users/{}/devices/{}/cursor", ask.user, ask.device);
    let body = serde_json::json!({ "seq": seq }).to_string();
    let Ok(response) = http.ask("PUT", &path, "application/json", body).await else {
        return;
    };
    let status = response.status().as_u16();
    let Ok(answer) = http::json(response).await else {
        return;
    };
    match status {
        200 => assert_eq!(answer["seq"], seq, "{} of {}", ask.device, ask.user),
        503 => {}
        _ => panic!("the cursor {seq} of {}: {status} {answer}", ask.user),
    }
}

/// The name of a code, from a problem's type.
pub(super) fn name_of(problem: &Value) -> String {
    let slug = problem["type"].as_str().unwrap_or_default();
    let slug = slug.rsplit(':').next().unwrap_or_default();
    slug.replace('-', "_").to_uppercase()
}
