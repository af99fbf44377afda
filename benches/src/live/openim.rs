//! A session at OpenIM's gateway, as one of its SDKs written in Go: it asks once where its conversations end, and is pushed
//! what comes from then on. Such a session has no log of its own, so only marks tell what arrived.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::gob;
use super::hub::{Hub, PLATFORM, Taker};
use super::session::Counted;
use super::socket::Metered;
use crate::corpus::user_id;
use crate::error::{Error, IoContext as _, Result};
use crate::target::{NAME, server_error};

/// Asks for the newest seq of each conversation.
const NEWEST: i64 = 1001;
/// A push.
const PUSH: i64 = 2001;

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Room for what is read at a time, in bytes: one for each session.
const READ_BUFFER: usize = 4 * 1024;

/// See the module.
pub struct Session {
    socket: WebSocketStream<Metered<TcpStream>>,
    unpacked: Vec<u8>,
    counted: Arc<Counted>,
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(hub: &Hub, user: u32) -> Result<Self> {
        let id = user_id(user);
        let address = hub.ws();
        let url = format!(
            "ws://{address}/?compression=gzip&isBackground=false&operationID=bench&platformID={PLATFORM}&sendID={id}&token={}",
            hub.token(user)?
        );
        let doing = || format!("connecting to {NAME} at {address}");
        let stream = TcpStream::connect(address).await.doing(doing())?;
        stream.set_nodelay(true).doing(doing())?;
        let counted = Arc::<Counted>::default();
        let stream = Metered::new(stream, Arc::clone(&counted));
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        let opening = tokio_tungstenite::client_async_with_config(url, stream, Some(config));
        let (socket, _) = timeout(PATIENCE, opening)
            .await
            .map_err(|_| stalled())?
            .map_err(|e| server_error(format!("a WebSocket: {e}")))?;
        let mut session = Self {
            socket,
            unpacked: Vec::new(),
            counted,
        };
        session.sync(&id).await?;
        Ok(session)
    }

    /// Asks where the conversations end, and reads the answer.
    async fn sync(&mut self, id: &str) -> Result<()> {
        // Field 1 of the request: the user.
        let length = u8::try_from(id.len()).map_err(|_| server_error("a long user id".into()))?;
        let data = [&[0x0a, length], id.as_bytes()].concat();
        let frame = gob::request(NEWEST, id, "1", &data).doing("packing a request")?;
        let asked = self.socket.send(Message::Binary(frame.into()));
        asked
            .await
            .map_err(|e| server_error(format!("a WebSocket: {e}")))?;
        loop {
            let frame = timeout(PATIENCE, self.frame()).await;
            let head = frame.map_err(|_| stalled())??;
            match head.identifier {
                NEWEST if head.error == 0 => return Ok(()),
                PUSH => {}
                _ => return Err(server_error(format!("a request was answered by {head:?}"))),
            }
        }
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn counted(&self) -> Arc<Counted> {
        Arc::clone(&self.counted)
    }

    /// Takes the next push.
    ///
    /// # Errors
    /// When the session has ended.
    pub async fn next(&mut self, taker: &Taker) -> Result<()> {
        let head = self.frame().await?;
        if head.identifier != PUSH {
            return Err(server_error(format!("unasked, the server said {head:?}")));
        }
        taker.bytes(&self.unpacked);
        Ok(())
    }

    /// The next frame, unpacked. Pings are answered on the way.
    async fn frame(&mut self) -> Result<gob::Head> {
        loop {
            let message = self.socket.next().await;
            match message {
                Some(Ok(Message::Binary(frame))) => {
                    return gob::read(&frame, &mut self.unpacked)
                        .ok_or_else(|| server_error("a frame that is none".into()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                    let flushed = self.socket.flush().await;
                    flushed.map_err(|e| server_error(format!("a WebSocket: {e}")))?;
                }
                Some(Ok(other)) => {
                    return Err(server_error(format!("an unexpected frame: {other}")));
                }
                Some(Err(error)) => return Err(server_error(format!("a WebSocket: {error}"))),
                None => return Err(server_error("closed the WebSocket".into())),
            }
        }
    }
}

fn stalled() -> Error {
    Error::Stalled {
        system: NAME,
        seconds: PATIENCE.as_secs(),
        outstanding: 1,
    }
}
