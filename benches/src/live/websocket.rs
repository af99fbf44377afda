//! A session over the native WebSocket: a hello, and one tail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Utf8Bytes};

use super::hub::{Hub, Taker};
use super::session::{Counted, NOWHERE};
use super::socket::Metered;
use crate::error::{Error, IoContext as _, Result};
use crate::target::{NAME, PageEntry, server_error};

/// The protocol that is asked for.
const SUBPROTOCOL: HeaderValue = HeaderValue::from_static("waybill.v1+json");

/// Time for an answer.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Room for what is read at a time, in bytes: one for each session.
pub const READ_BUFFER: usize = 4 * 1024;

/// A WebSocket that counts its bytes.
pub type Socket = WebSocketStream<Metered<TcpStream>>;

/// See the module.
pub struct Session {
    socket: Socket,
    counted: Arc<Counted>,
}

/// What is looked at of a frame.
#[derive(Deserialize)]
struct Frame {
    frame: String,
    #[serde(default)]
    head: u64,
    #[serde(default)]
    entries: Vec<PageEntry>,
}

/// Opens a WebSocket at `url` of the server at `address`, with the native subprotocol if `native`.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn open(
    address: std::net::SocketAddr,
    url: String,
    native: bool,
    counted: &Arc<Counted>,
) -> Result<Socket> {
    let doing = || format!("connecting to {NAME} at {address}");
    let stream = TcpStream::connect(address).await.doing(doing())?;
    stream.set_nodelay(true).doing(doing())?;
    let stream = Metered::new(stream, Arc::clone(counted));
    let mut request = url.into_client_request().map_err(|e| broken(&e))?;
    if native {
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", SUBPROTOCOL);
    }
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let opening = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    let opened = timeout(PATIENCE, opening).await.map_err(|_| stalled())?;
    opened.map(|(socket, _)| socket).map_err(|e| broken(&e))
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(hub: &Hub, user: u32, cursor: &AtomicU64) -> Result<Self> {
        let (address, counted) = (hub.http(), Arc::<Counted>::default());
        let socket = open(address, format!("ws://{address}/v1/socket"), true, &counted).await?;
        let mut session = Self { socket, counted };
        let token = hub.token(user)?;
        let hello = format!(r#"{{"frame":"hello","token":"{token}","device":"bench"}}"#);
        let head = session.ask(hello, "welcome").await?.head;
        let after = match cursor.load(Ordering::Relaxed) {
            NOWHERE => head,
            seq => seq,
        };
        cursor.store(after, Ordering::Relaxed);
        let tail = format!(r#"{{"frame":"tail","request":1,"after":{after}}}"#);
        session.ask(tail, "tailOpened").await?;
        Ok(session)
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn counted(&self) -> Arc<Counted> {
        Arc::clone(&self.counted)
    }

    /// Takes the next page.
    ///
    /// # Errors
    /// When the session has ended.
    pub async fn next(&mut self, taker: &Taker) -> Result<()> {
        let text = text(&mut self.socket).await?;
        let frame = read(&text)?;
        if frame.frame != "page" {
            return Err(server_error(format!("unasked, the server said {text}")));
        }
        for entry in frame.entries {
            taker.seq(entry.seq);
        }
        taker.bytes(text.as_bytes());
        Ok(())
    }

    async fn ask(&mut self, frame: String, answer: &str) -> Result<Frame> {
        let asked = self.socket.send(Message::text(frame)).await;
        asked.map_err(|e| broken(&e))?;
        let text = timeout(PATIENCE, text(&mut self.socket)).await;
        let text = text.map_err(|_| stalled())??;
        let frame = read(&text)?;
        if frame.frame == answer {
            Ok(frame)
        } else {
            Err(server_error(format!(
                "in the place of {answer} came {text}"
            )))
        }
    }
}

fn read(text: &str) -> Result<Frame> {
    serde_json::from_str(text).map_err(|e| server_error(format!("a frame: {e}")))
}

/// The next text. Pings are answered on the way.
async fn text(socket: &mut Socket) -> Result<Utf8Bytes> {
    match next(socket).await? {
        Message::Text(text) => Ok(text),
        other => Err(server_error(format!("an unexpected frame: {other}"))),
    }
}

/// The next frame that is no ping; pings are answered on the way.
///
/// # Errors
/// When the connection is gone.
pub async fn next(socket: &mut Socket) -> Result<Message> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                socket.flush().await.map_err(|e| broken(&e))?;
            }
            Some(Ok(message)) => return Ok(message),
            Some(Err(error)) => return Err(broken(&error)),
            None => return Err(server_error("closed the WebSocket".into())),
        }
    }
}

/// A WebSocket that broke, in words.
#[must_use]
pub fn broken(error: &SocketError) -> Error {
    server_error(format!("a WebSocket: {error}"))
}

/// Nothing came back.
#[must_use]
pub fn stalled() -> Error {
    Error::Stalled {
        system: NAME,
        seconds: PATIENCE.as_secs(),
        outstanding: 1,
    }
}
