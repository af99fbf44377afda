//! Following a log over the native WebSocket.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::events::bye;
use super::http::{Gone, tcp};
use super::session::{Ask, Entry, Got, NotNow};

/// The number of the tail; acknowledgements count from the next one.
const TAIL: u64 = 1;

/// A connection with one tail.
pub struct Socket {
    socket: WebSocketStream<TcpStream>,
    request: u64,
    /// The acknowledgement that is under way: its number and its seq.
    acknowledging: Option<(u64, u64)>,
}

impl Socket {
    pub(super) async fn open(ask: &Ask, after: u64) -> Result<Self, NotNow> {
        let stream = tcp(ask.http).await.map_err(|Gone| NotNow::Silent)?;
        let request = format!("ws://{}/v1/socket", ask.http).into_client_request();
        let mut request = request.expect("a good address");
        let protocol = "waybill.v1+json".parse().expect("a header");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let upgraded = client_async(request, stream).await;
        // A stopping server takes no upgrade any more.
        let (socket, _) = upgraded.map_err(|_| NotNow::Silent)?;
        let mut this = Self {
            socket,
            request: TAIL,
            acknowledging: None,
        };
        let hello = json!({ "frame": "hello", "token": &*ask.token, "device": ask.device });
        let tail =
            json!({ "frame": "tail", "request": TAIL, "after": after, "epoch": &*ask.epoch });
        let said = async {
            this.say(&hello).await?;
            this.say(&tail).await
        };
        said.await.map_err(|Gone| NotNow::Silent)?;
        loop {
            let Some(frame) = this.hear().await else {
                return Err(NotNow::Silent);
            };
            match frame["frame"].as_str().expect("a kind") {
                "welcome" => assert_eq!(frame["epoch"], &*ask.epoch),
                "tailOpened" => return Ok(this),
                "refused" | "bye" => {
                    let name = frame["name"].as_str().unwrap_or_default().to_owned();
                    let retry = frame["retryAfterMs"].as_u64().unwrap_or(0);
                    return Err(NotNow::Refused(name, retry));
                }
                other => panic!("{other}: {frame}"),
            }
        }
    }

    pub(super) async fn next(&mut self) -> Got {
        let Some(frame) = self.hear().await else {
            return Got::Gone;
        };
        match frame["frame"].as_str().expect("a kind") {
            "page" => {
                let entries = frame["entries"].as_array().expect("entries");
                assert!(!entries.is_empty(), "a page of a tail is never empty");
                Got::Entries(entries.iter().map(Entry::read).collect())
            }
            "acknowledged" => {
                let (request, seq) = self.acknowledging.take().expect("it was asked for");
                assert_eq!(
                    (&frame["request"], &frame["seq"]),
                    (&json!(request), &json!(seq))
                );
                Got::Nothing
            }
            "bye" => bye(&frame),
            // What is not done because of a stop may be said again.
            "refused" if frame["retryable"] == true => Got::Nothing,
            other => panic!("{other}: {frame}"),
        }
    }

    pub(super) async fn acknowledge(&mut self, seq: u64) {
        if self.acknowledging.is_some() {
            return;
        }
        self.request += 1;
        self.acknowledging = Some((self.request, seq));
        let frame = json!({ "frame": "acknowledge", "request": self.request, "seq": seq });
        // That the connection is gone is found out by the next one who listens.
        let _ = self.say(&frame).await;
    }

    async fn say(&mut self, frame: &Value) -> Result<(), Gone> {
        let said = self.socket.send(Frame::text(frame.to_string())).await;
        said.map_err(|_| Gone)
    }

    async fn hear(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await? {
                Ok(Frame::Text(text)) => {
                    return Some(serde_json::from_str(&text).expect("JSON"));
                }
                // The library answers pings.
                Ok(Frame::Ping(_) | Frame::Pong(_)) => {}
                Ok(Frame::Close(_)) | Err(_) => return None,
                Ok(other) => panic!("{other:?}"),
            }
        }
    }
}
