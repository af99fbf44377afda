//! Plain clients that follow a log, one for each transport, written from `docs/protocol.md` and nothing else of the program than
//! its frames. What they get goes into a channel of one place, so that who does not take it does not read.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};
use waybill_core::id::Seq;
use waybill_core::wire::{
    self, Capabilities, Device, FrameReader, Hello, MAX_SERVER_FRAME, MessageEntry, ServerFrame,
    Tail,
};

use crate::support::Running;

/// Long enough for a slow machine; a test that hangs fails by it.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A way to follow a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    LongPoll,
    Quic,
    Sse,
    Socket,
}

impl Way {
    pub const ALL: [Self; 4] = [Self::LongPoll, Self::Quic, Self::Sse, Self::Socket];
}

/// Who follows what.
#[derive(Clone, Debug)]
pub struct Asked {
    pub token: String,
    pub device: String,
    /// Empty for one's own; SSE and long poll name it always.
    pub user: String,
    pub after: u64,
    pub epoch: Option<String>,
}

/// A user's own device, from after this entry.
pub async fn asked(server: &Running, user: &str, device: &str, after: u64) -> Asked {
    Asked {
        token: server.token_of(user).await,
        device: device.to_owned(),
        user: user.to_owned(),
        after,
        epoch: None,
    }
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// It follows.
    Follows,
    /// An entry: its seq and the text of a message.
    Entry(u64, String),
    /// Something was refused: the name of the code.
    Refused(String),
    /// The connection ends: the name of the code, and when to come again.
    Bye(String, u64),
    /// The connection is gone.
    Gone,
}

/// A client.
pub struct Follower {
    got: mpsc::Receiver<Got>,
    task: JoinHandle<()>,
}

impl Follower {
    pub fn start(server: &Running, way: Way, asked: Asked) -> Self {
        let (to, got) = mpsc::channel(1);
        let started = server.started.clone();
        let task = tokio::spawn(async move {
            let _ = match way {
                Way::LongPoll => long_poll(started.http[0], &asked, &to).await,
                Way::Sse => sse(started.http[0], &asked, &to).await,
                Way::Socket => socket(started.http[0], &asked, &to).await,
                Way::Quic => quic(started.quic, &asked, &to).await,
            };
            let _ = to.send(Got::Gone).await;
        });
        Self { got, task }
    }

    pub async fn next(&mut self) -> Got {
        self.next_within(PATIENCE).await
    }

    pub async fn next_within(&mut self, patience: Duration) -> Got {
        let got = tokio::time::timeout(patience, self.got.recv()).await;
        got.expect("something in time").unwrap_or(Got::Gone)
    }

    /// The next entry; whatever else is not expected.
    pub async fn entry(&mut self) -> (u64, String) {
        match self.next().await {
            Got::Entry(seq, text) => (seq, text),
            other => panic!("an entry was expected, and not {other:?}"),
        }
    }

    /// The connection is cut, without a word.
    pub fn drop_it(self) {
        self.task.abort();
    }
}

type Given = Result<(), mpsc::error::SendError<Got>>;

fn text_of(entry: &Value) -> Got {
    let text = entry["content"]["text"].as_str().unwrap_or_default();
    Got::Entry(entry["seq"].as_u64().unwrap(), text.to_owned())
}

/// The name of a code, from the type of a problem.
fn name_of(problem: &Value) -> String {
    let slug = problem["type"].as_str().unwrap_or_default();
    let slug = slug.rsplit(':').next().unwrap_or_default();
    slug.replace('-', "_").to_uppercase()
}

async fn long_poll(address: std::net::SocketAddr, asked: &Asked, to: &mpsc::Sender<Got>) -> Given {
    let bearer = format!("Bearer {}", asked.token);
    let mut after = asked.after;
    let mut told = false;
    loop {
        let epoch = asked.epoch.as_ref().map(|epoch| format!("&epoch={epoch}"));
        let wait = if told { 60 } else { 0 };
        let path = format!(
            "/v1/users/{}/log?after={after}&wait={wait}&limit=100{}",
            asked.user,
            epoch.unwrap_or_default()
        );
        let headers = [("Authorization", bearer.as_str())];
        let Ok(stream) = TcpStream::connect(address).await else {
            return Ok(());
        };
        drop(stream);
        let answer = crate::support::call(address, "GET", &path, &headers, b"").await;
        if answer.status != 200 {
            return to.send(Got::Refused(name_of(&answer.json()))).await;
        }
        if !told {
            told = true;
            to.send(Got::Follows).await?;
        }
        for entry in answer.json()["entries"].as_array().unwrap() {
            after = entry["seq"].as_u64().unwrap();
            to.send(text_of(entry)).await?;
        }
    }
}

/// One event of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub id: Option<u64>,
    pub name: String,
    pub data: String,
}

/// A stream of server-sent events over HTTP/1.1.
pub struct Events {
    stream: TcpStream,
    /// What was read and not used: chunked before `text`, lines within it.
    raw: Vec<u8>,
    text: Vec<u8>,
    pub status: u16,
    pub head: String,
    pub comments: usize,
    pub retry: Option<u64>,
}

impl Events {
    pub async fn open(address: std::net::SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        let end = loop {
            if let Some(at) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            assert_ne!(stream.read_buf(&mut raw).await.unwrap(), 0, "a head");
        };
        let head = String::from_utf8(raw[..end].to_vec()).unwrap();
        raw.drain(..end + 4);
        Self {
            stream,
            raw,
            text: Vec::new(),
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            comments: 0,
            retry: None,
        }
    }

    /// The whole body of an answer that is no stream.
    pub async fn body(mut self) -> Value {
        let _ = tokio::time::timeout(
            Duration::from_millis(300),
            self.stream.read_to_end(&mut self.raw),
        )
        .await;
        serde_json::from_slice(&self.raw).unwrap()
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.line().await?;
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    if !event.data.is_empty() {
                        event.data.pop();
                        return Some(event);
                    }
                }
                "" => self.comments += 1,
                "id" => event.id = Some(value.parse().unwrap()),
                "event" => value.clone_into(&mut event.name),
                "data" => {
                    event.data.push_str(value);
                    event.data.push('\n');
                }
                "retry" => self.retry = Some(value.parse().unwrap()),
                other => panic!("an unknown field: {other}"),
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            self.chunk().await?;
        }
    }

    async fn chunk(&mut self) -> Option<()> {
        loop {
            if let Some(end) = self.raw.windows(2).position(|two| two == b"\r\n") {
                let size = std::str::from_utf8(&self.raw[..end]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                if self.raw.len() >= end + 2 + size + 2 {
                    self.text.extend(&self.raw[end + 2..end + 2 + size]);
                    self.raw.drain(..end + 2 + size + 2);
                    return (size > 0).then_some(());
                }
            }
            if self.stream.read_buf(&mut self.raw).await.ok()? == 0 {
                return None;
            }
        }
    }
}

async fn sse(address: std::net::SocketAddr, asked: &Asked, to: &mpsc::Sender<Got>) -> Given {
    let bearer = format!("Bearer {}", asked.token);
    let epoch = asked.epoch.as_ref().map(|epoch| format!("&epoch={epoch}"));
    let path = format!(
        "/v1/users/{}/log?after={}&device={}{}",
        asked.user,
        asked.after,
        asked.device,
        epoch.unwrap_or_default()
    );
    let mut events = Events::open(address, &path, &[("Authorization", &bearer)]).await;
    if events.status != 200 {
        let problem = events.body().await;
        return to.send(Got::Refused(name_of(&problem))).await;
    }
    while let Some(event) = events.next().await {
        let data: Value = serde_json::from_str(&event.data).unwrap();
        to.send(match event.name.as_str() {
            "welcome" => Got::Follows,
            "entry" => {
                assert_eq!(event.id, data["seq"].as_u64(), "the id is the seq");
                text_of(&data)
            }
            "refused" => Got::Refused(name_of(&data)),
            "bye" => bye(&data),
            other => panic!("{other}"),
        })
        .await?;
    }
    Ok(())
}

fn bye(data: &Value) -> Got {
    let name = data["name"].as_str().unwrap().to_owned();
    Got::Bye(name, data["retryAfterMs"].as_u64().unwrap())
}

pub type Socket = WebSocketStream<TcpStream>;

/// A WebSocket, upgraded, before its hello.
pub async fn upgraded(
    address: std::net::SocketAddr,
    query: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, tokio_tungstenite::tungstenite::Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    upgraded_over(stream, address, query, headers).await
}

/// The same over a connection that is there.
pub async fn upgraded_over(
    stream: TcpStream,
    address: std::net::SocketAddr,
    query: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, tokio_tungstenite::tungstenite::Error> {
    let mut request = format!("ws://{address}/v1/socket{query}").into_client_request()?;
    let all = request.headers_mut();
    all.insert("sec-websocket-protocol", "waybill.v1+json".parse().unwrap());
    for (name, value) in headers {
        all.insert(*name, value.parse().unwrap());
    }
    client_async(request, stream)
        .await
        .map(|(socket, _)| socket)
}

pub async fn say(socket: &mut Socket, frame: Value) {
    let _ = socket.send(Frame::text(frame.to_string())).await;
}

/// The next frame; `None` at the end.
pub async fn heard(socket: &mut Socket) -> Option<Value> {
    loop {
        let frame = tokio::time::timeout(PATIENCE, socket.next()).await;
        match frame.expect("a frame in time") {
            Some(Ok(Frame::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
            _ => return None,
        }
    }
}

async fn socket(address: std::net::SocketAddr, asked: &Asked, to: &mpsc::Sender<Got>) -> Given {
    let mut socket = upgraded(address, "", &[]).await.unwrap();
    let hello = json!({ "frame": "hello", "token": asked.token, "device": asked.device });
    say(&mut socket, hello).await;
    let mut tail =
        json!({ "frame": "tail", "request": 9, "user": asked.user, "after": asked.after });
    if let Some(epoch) = &asked.epoch {
        tail["epoch"] = json!(epoch);
    }
    say(&mut socket, tail).await;
    while let Some(frame) = heard(&mut socket).await {
        match frame["frame"].as_str().unwrap() {
            "welcome" => {}
            "tailOpened" => to.send(Got::Follows).await?,
            "page" => {
                for entry in frame["entries"].as_array().unwrap() {
                    to.send(text_of(entry)).await?;
                }
            }
            "refused" => {
                let name = frame["name"].as_str().unwrap().to_owned();
                to.send(Got::Refused(name)).await?;
            }
            "bye" => to.send(bye(&frame)).await?,
            other => panic!("{other}"),
        }
    }
    Ok(())
}

/// Trusts whatever server there is: these tests are about something else.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A QUIC connection before its hello.
pub async fn dial(address: std::net::SocketAddr) -> (quinn::Endpoint, quinn::Connection) {
    let mut transport = quinn::TransportConfig::default();
    // The server gives up who says nothing for 30 s.
    transport.keep_alive_interval(Some(Duration::from_secs(10)));
    dial_with(address, transport).await
}

/// The same with a transport of the caller's.
pub async fn dial_with(
    address: std::net::SocketAddr,
    transport: quinn::TransportConfig,
) -> (quinn::Endpoint, quinn::Connection) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    tls.alpn_protocols = vec![wire::ALPN.to_vec()];
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport));
    endpoint.set_default_client_config(config);
    let connection = endpoint.connect(address, "localhost").unwrap();
    let connection = connection.await.unwrap();
    (endpoint, connection)
}

pub fn frame<P: wire::Payload>(payload: &P) -> Vec<u8> {
    let mut out = Vec::new();
    wire::write(payload, MAX_SERVER_FRAME, &mut out).unwrap();
    out
}

/// The frames of a stream.
pub struct Frames {
    stream: quinn::RecvStream,
    reader: FrameReader,
    bytes: Vec<u8>,
}

impl Frames {
    pub fn new(stream: quinn::RecvStream) -> Self {
        Self {
            stream,
            reader: FrameReader::new(MAX_SERVER_FRAME),
            bytes: Vec::new(),
        }
    }

    pub async fn next(&mut self) -> Option<ServerFrame> {
        loop {
            let mut input = &self.bytes[..];
            let frame = self.reader.next(&mut input).unwrap();
            let frame = frame.map(|frame| ServerFrame::read(&frame).unwrap());
            let used = self.bytes.len() - input.len();
            self.bytes.drain(..used);
            if frame.is_some() {
                return frame;
            }
            let chunk = self.stream.read_chunk(64 * 1024, true).await.ok()??;
            self.bytes.extend(&chunk.bytes);
        }
    }
}

pub fn hello(token: &str, device: &str) -> Hello {
    Hello {
        token: token.to_owned(),
        device: Device {
            id: device.to_owned(),
            ..Device::default()
        },
        software: String::new(),
        capabilities: Capabilities::NONE,
    }
}

fn name(code: wire::Code) -> String {
    code.info().unwrap().name.to_owned()
}

async fn quic(address: std::net::SocketAddr, asked: &Asked, to: &mpsc::Sender<Got>) -> Given {
    let (_endpoint, connection) = dial(address).await;
    let (mut say, heard) = connection.open_bi().await.unwrap();
    let mut control = Frames::new(heard);
    let _ = say
        .write_all(&frame(&hello(&asked.token, &asked.device)))
        .await;
    let welcome = match control.next().await {
        Some(ServerFrame::Welcome(welcome)) => welcome,
        Some(ServerFrame::Refused(refused)) => {
            return to.send(Got::Refused(name(refused.failure.code))).await;
        }
        other => panic!("{other:?}"),
    };
    if let Some(epoch) = &asked.epoch
        && *epoch != welcome.epoch.to_string()
    {
        // A client over QUIC sees it for itself.
        return to.send(Got::Refused("OTHER_EPOCH".to_owned())).await;
    }
    let tail = Tail {
        request: 9,
        user: asked.user.clone(),
        after: Seq(asked.after),
    };
    let _ = say.write_all(&frame(&tail)).await;
    let mut tail = None;
    loop {
        tokio::select! {
            frame = control.next() => match frame {
                Some(ServerFrame::Refused(refused)) => {
                    to.send(Got::Refused(name(refused.failure.code))).await?;
                }
                Some(ServerFrame::Bye(bye)) => {
                    return to.send(Got::Bye(name(bye.code), bye.retry_after_ms.into())).await;
                }
                None => return Ok(()),
                other => panic!("{other:?}"),
            },
            stream = connection.accept_uni(), if tail.is_none() => match stream {
                Ok(stream) => tail = Some(Frames::new(stream)),
                Err(_) => return Ok(()),
            },
            frame = next(&mut tail) => match frame {
                Some(ServerFrame::TailOpened(_)) => to.send(Got::Follows).await?,
                Some(ServerFrame::Page(page)) => {
                    for entry in page.entries {
                        let message: MessageEntry = entry.as_message().unwrap().unwrap();
                        let content: Value = serde_json::from_slice(&message.content).unwrap();
                        let text = content["text"].as_str().unwrap_or_default().to_owned();
                        to.send(Got::Entry(entry.seq.0, text)).await?;
                    }
                }
                Some(ServerFrame::Refused(refused)) => {
                    to.send(Got::Refused(name(refused.failure.code))).await?;
                }
                // The goodbye comes on the control stream.
                None => tail = None,
                other => panic!("{other:?}"),
            },
        }
    }
}

async fn next(tail: &mut Option<Frames>) -> Option<ServerFrame> {
    match tail {
        Some(tail) => tail.next().await,
        None => std::future::pending().await,
    }
}
