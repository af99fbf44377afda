//! A session at OpenIM's gateway, as one of its SDKs written in Go: it asks once where its conversations end, and is pushed
//! what comes from then on. Such a session has no log of its own, so only marks tell what arrived.

use std::sync::Arc;

use futures_util::SinkExt as _;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::gob;
use super::hub::{Hub, PLATFORM, Taker};
use super::session::Counted;
use super::websocket::{self, PATIENCE, Socket, broken, stalled};
use crate::corpus::user_id;
use crate::error::{IoContext as _, Result};
use crate::target::server_error;

/// Asks for the newest seq of each conversation.
const NEWEST: i64 = 1001;
/// A push.
const PUSH: i64 = 2001;

/// See the module.
pub struct Session {
    socket: Socket,
    unpacked: Vec<u8>,
    counted: Arc<Counted>,
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(hub: &Hub, user: u32) -> Result<Self> {
        let (address, id, token) = (hub.ws(), user_id(user), hub.token(user)?);
        let url = format!(
            "ws://{address}/?compression=gzip&isBackground=false&operationID=bench&platformID={PLATFORM}&sendID={id}&token={token}"
        );
        let counted = Arc::<Counted>::default();
        let mut session = Self {
            socket: websocket::open(address, url, false, &counted).await?,
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
        let asked = self.socket.send(Message::Binary(frame.into())).await;
        asked.map_err(|e| broken(&e))?;
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

    /// The next frame, unpacked.
    async fn frame(&mut self) -> Result<gob::Head> {
        match websocket::next(&mut self.socket).await? {
            Message::Binary(frame) => gob::read(&frame, &mut self.unpacked)
                .ok_or_else(|| server_error("a frame that is none".into())),
            other => Err(server_error(format!("an unexpected frame: {other}"))),
        }
    }
}
