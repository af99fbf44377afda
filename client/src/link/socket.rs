//! The log over a WebSocket, for networks that let TCP through but no QUIC: JSON frames, subprotocol `waybill.v1+json`.

mod frames;
mod io;

use std::sync::Arc;

use hyper::Request;
use hyper::header::{
    CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use waybill_core::id::Seq;
use waybill_core::wire::Outgoing;

use super::http::{Target, refusal};
use super::{
    ANSWER, CONNECT, Doing, First, Link, Opened, READ_AHEAD, Way, is_elsewhere, json, silent,
};
use crate::error::Error;
use crate::message::Sent;
use crate::sync::Batch;
use frames::{ServerFrame, hello, pull};
use io::{Answer, Ask, Socket};

/// What the server calls the protocol.
const SUBPROTOCOL: &str = "waybill.v1+json";

/// Longest message of a server: a page with the largest entry.
const MAX_MESSAGE: usize = 4 << 20;

/// Requests that may wait to be written; beyond it callers wait.
const ASKED: usize = 64;

/// The number of the pull that goes with the hello. Later requests count from there.
const FIRST_PULL: u64 = 1;

/// A way over a WebSocket.
pub(crate) struct SocketWay(Arc<Inner>);

struct Inner {
    target: Target,
    token: String,
    /// The device whose cursor is reported; empty for none.
    device: String,
    platform: u8,
    /// Whose log; empty for one's own.
    user: String,
}

impl SocketWay {
    pub(crate) fn new(
        target: Target,
        token: &str,
        (device, platform): (&str, u8),
        user: String,
    ) -> Self {
        Self(Arc::new(Inner {
            target,
            token: token.to_owned(),
            device: device.to_owned(),
            platform,
            user,
        }))
    }
}

impl Way for SocketWay {
    fn connect(&self, after: Seq) -> Doing<Result<Opened, Error>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let connecting = timeout(CONNECT, inner.connect(after));
            connecting.await.map_err(|_| silent("WebSocket"))?
        })
    }
}

impl Inner {
    async fn connect(&self, after: Seq) -> Result<Opened, Error> {
        let mut socket = self.upgrade().await?;
        let hello = hello(&self.token, &self.device, self.platform)?;
        io::say(&mut socket, hello).await?;
        io::say(&mut socket, pull(FIRST_PULL, &self.user, after)?).await?;
        let mut welcomed = false;
        let (reached, first) = loop {
            match io::hear(&mut socket).await? {
                ServerFrame::Welcome => welcomed = true,
                ServerFrame::Page(FIRST_PULL, reached, batch) if welcomed => {
                    break (reached, Some(batch));
                }
                // The log is not what was expected; the refusal says what it is.
                ServerFrame::Refused(FIRST_PULL, failure, Some(reached))
                    if welcomed && is_elsewhere(failure.code) =>
                {
                    break (reached, None);
                }
                ServerFrame::Refused(_, failure, _) => return Err(Error::Refused(failure)),
                ServerFrame::Bye(error) => return Err(error),
                ServerFrame::Unknown => {}
                _ => return Err(Error::Protocol("an answer to nothing".to_owned())),
            }
        };
        let (asks, queue) = mpsc::channel(ASKED);
        tokio::spawn(io::run(socket, queue, FIRST_PULL));
        Ok(Opened {
            link: Arc::new(SocketLink {
                asks,
                user: self.user.clone(),
                first: First::new(first),
            }),
            reached,
        })
    }

    async fn upgrade(&self) -> Result<Socket, Error> {
        let stream = self.target.connect().await?;
        let host = self.target.host();
        let uri = format!("ws://{}/v1/socket", host.to_str().unwrap_or_default());
        let request = Request::get(uri)
            .header(HOST, host)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, generate_key())
            .header(
                SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(SUBPROTOCOL),
            )
            .body(())
            .map_err(Error::setup)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(SocketError::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                Err(refusal(response.status(), 0, body))
            }
            Err(error) => Err(io::lost(&error)),
        }
    }
}

struct SocketLink {
    asks: mpsc::Sender<Ask>,
    user: String,
    first: First,
}

/// Asks, and waits for the answer.
async fn ask(
    asks: mpsc::Sender<Ask>,
    write: impl FnOnce(u64) -> Result<String, Error> + Send + 'static,
) -> Result<Answer, Error> {
    let (answer, answered) = oneshot::channel();
    let request = Ask::Request(Box::new(write), answer);
    let gone = || Error::Lost("the WebSocket is closed".to_owned());
    asks.send(request).await.map_err(|_| gone())?;
    let answer = timeout(ANSWER, answered).await;
    answer
        .map_err(|_| silent("WebSocket"))?
        .unwrap_or_else(|_| Err(gone()))
}

impl Link for SocketLink {
    fn follow(&self, after: Seq) -> mpsc::Receiver<Result<Batch, Error>> {
        let (to, batches) = mpsc::channel(READ_AHEAD);
        let first = self.first.take(after);
        let (asks, user) = (self.asks.clone(), self.user.clone());
        tokio::spawn(async move {
            let follow = Ask::Follow {
                user,
                after,
                first,
                to: to.clone(),
            };
            if asks.send(follow).await.is_err() {
                let gone = Error::Lost("the WebSocket is closed".to_owned());
                // Nobody waits any more.
                let _ = to.send(Err(gone)).await;
            }
        });
        batches
    }

    fn send(&self, message: Outgoing) -> Doing<Result<Sent, Error>> {
        let asks = self.asks.clone();
        Box::pin(async move {
            let message = json::message(&message)?;
            match ask(asks, move |request| frames::send(request, &message)).await? {
                Answer::Sent(sent) => Ok(sent),
                Answer::Acknowledged => Err(io::unexpected()),
            }
        })
    }

    fn acknowledge(&self, seq: Seq) -> Doing<Result<(), Error>> {
        let asks = self.asks.clone();
        Box::pin(async move {
            match ask(asks, move |request| frames::acknowledge(request, seq)).await? {
                Answer::Acknowledged => Ok(()),
                Answer::Sent(_) => Err(io::unexpected()),
            }
        })
    }

    fn close(&self) -> Doing<()> {
        let asks = self.asks.clone();
        Box::pin(async move {
            let (closed, end) = oneshot::channel();
            if asks.send(Ask::Close(closed)).await.is_ok() {
                let _ = end.await;
            }
        })
    }
}
