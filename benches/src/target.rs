//! A running Waybill server as a load generator sees it: where it listens, with which token, and how a send, a pull
//! and a batch are worded.
//!
//! It must not know how the server was started or how a run is timed.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;
use waybill_client::{Connection, Connector, Identity, Outgoing, Trust};

use crate::corpus::{CONTENT_TYPE, Pool, SENDER, user_id};
use crate::error::{Error, IoContext as _, Result};
use crate::http1;
use crate::wire::Wire;

/// The system's name in errors.
pub const NAME: &str = "waybill";

/// A server's token and the pin of its certificate.
#[derive(Clone)]
pub struct Credentials {
    /// A token of the sending account.
    pub token: String,
    /// SHA-256 of the certificate for QUIC, in hex.
    pub fingerprint: String,
}

impl Credentials {
    /// Reads them from the secrets of the data directory `data`.
    ///
    /// # Errors
    /// When they are not there.
    pub fn read(data: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = data.join("secrets").join(name);
            let text =
                std::fs::read_to_string(&path).doing(format!("reading {}", path.display()))?;
            Ok::<_, Error>(text.trim().to_owned())
        };
        Ok(Self {
            token: read("admin.token")?,
            fingerprint: read("quic.fingerprint")?,
        })
    }

    /// How a client knows the server.
    ///
    /// # Errors
    /// When the fingerprint is none.
    pub fn trust(&self) -> Result<Trust> {
        let pin = self.fingerprint.parse();
        pin.map(Trust::Pinned)
            .map_err(|e| server_error(format!("its fingerprint: {e}")))
    }
}

/// Writes HTTP requests for one server.
#[derive(Clone)]
pub struct Requests {
    head: String,
    body: String,
}

/// The part of a pulled page that is looked at.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The last seq of the log.
    pub head: u64,
    /// Its entries.
    pub entries: Vec<PageEntry>,
}

/// The part of an entry that is looked at.
#[derive(Debug, Deserialize)]
pub struct PageEntry {
    /// Its place in the log.
    pub seq: u64,
}

impl Requests {
    /// Requests to `server` with `token`.
    #[must_use]
    pub fn new(server: SocketAddr, token: &str) -> Self {
        let head = format!("Host: {server}\r\nAuthorization: Bearer {token}\r\n");
        Self {
            head,
            body: String::with_capacity(1024),
        }
    }

    /// Overwrites `out` with the send of message `index` of `pool`: `POST /v1/messages` with the key in header and body; in a
    /// single chat, if that is wanted.
    pub fn send(&mut self, pool: &Pool, index: u64, chat: bool, out: &mut String) {
        let to = format!("\"user\":\"{}\"", user_id(pool.corpus().receiver(index)));
        let key = hex::encode(pool.corpus().key(index));
        let name = &pool.message(index).sender_nickname;
        self.post("/v1/messages", (pool, index), (&key, name), chat, &to, out);
    }

    /// Overwrites `out` with message `index` of `pool` to `count` users from number `from` on, and on from the first.
    pub fn task(&mut self, pool: &Pool, index: u64, from: u32, count: u32, out: &mut String) {
        let key = hex::encode(pool.corpus().key(index));
        let name = &pool.message(index).sender_nickname;
        self.task_of((pool, index), (&key, name), from, count, out);
    }

    /// The same with a key and a sender's name of the caller's.
    pub fn task_of(
        &mut self,
        (pool, index): (&Pool, u64),
        key_and_name: (&str, &str),
        from: u32,
        count: u32,
        out: &mut String,
    ) {
        let users = pool.corpus().users();
        let ids = (0..count).map(|step| format!("\"{}\"", user_id((from + step) % users)));
        let to = format!("\"users\":[{}]", ids.collect::<Vec<_>>().join(","));
        self.post("/v1/tasks", (pool, index), key_and_name, false, &to, out);
    }

    fn post(
        &mut self,
        path: &str,
        (pool, index): (&Pool, u64),
        (key, name): (&str, &str),
        chat: bool,
        to: &str,
        out: &mut String,
    ) {
        let message = pool.message(index);
        let (content_type, content) = match chat {
            true => (CHAT_TYPE, chat_content(&message.content)),
            false => (CONTENT_TYPE, message.content.clone()),
        };
        self.body.clear();
        out.clear();
        // Infallible, here and below: the sinks are Strings.
        let _ = write!(
            self.body,
            "{{\"to\":{{{to}}},\"contentType\":{content_type},\"content\":{content},\"clientMsgID\":\"{key}\",\
             \"operationID\":\"{}\",\"senderNickname\":\"{}\",\"senderFaceURL\":\"{}\"}}",
            message.operation_id, name, message.sender_face,
        );
        let _ = write!(
            out,
            "POST {path} HTTP/1.1\r\n{}Idempotency-Key: {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{}",
            self.head,
            self.body.len(),
            self.body
        );
    }

    /// Overwrites `out` with a request for a token for user number `user`.
    pub fn token(&mut self, user: u32, out: &mut String) {
        self.body.clear();
        out.clear();
        let _ = write!(self.body, "{{\"user\":\"{}\"}}", user_id(user));
        let _ = write!(
            out,
            "POST /v1/tokens HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
            self.head,
            self.body.len(),
            self.body
        );
    }

    /// Overwrites `out` with the report of a device of user number `user` that it has stored its log up to `seq`.
    pub fn cursor(&mut self, user: u32, device: &str, seq: u64, out: &mut String) {
        self.body.clear();
        out.clear();
        let user = user_id(user);
        let _ = write!(self.body, "{{\"seq\":{seq}}}");
        let _ = write!(
            out,
            "PUT /v1/users/{user}/devices/{device}/cursor HTTP/1.1\r\n{}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{}",
            self.head,
            self.body.len(),
            self.body
        );
    }

    /// Overwrites `out` with a pull of at most `limit` entries of user number `user` from after `after`, which waits for as
    /// long as `wait` seconds when there are none.
    pub fn pull_after(&self, user: u32, after: u64, limit: u32, wait: u64, out: &mut String) {
        out.clear();
        let user = user_id(user);
        let _ = write!(
            out,
            "GET /v1/users/{user}/log?after={after}&limit={limit}&wait={wait} HTTP/1.1\r\n{}\r\n",
            self.head
        );
    }

    /// Overwrites `out` with a pull of the first `limit` entries of user number `user`.
    pub fn pull(&self, user: u32, limit: u32, out: &mut String) {
        out.clear();
        let user = user_id(user);
        let _ = write!(
            out,
            "GET /v1/users/{user}/log?after=0&limit={limit} HTTP/1.1\r\n{}\r\n",
            self.head
        );
    }
}

/// The send of message `index` of `pool` as a frame carries it.
#[must_use]
pub fn outgoing(pool: &Pool, index: u64) -> Outgoing {
    let message = pool.message(index);
    let key = hex::encode(pool.corpus().key(index));
    Outgoing {
        sender: SENDER.to_owned(),
        receiver: user_id(pool.corpus().receiver(index)),
        content_type: CONTENT_TYPE,
        client_msg_id: key,
        operation_id: message.operation_id.clone(),
        sender_nickname: message.sender_nickname.clone(),
        sender_face_url: message.sender_face.clone(),
        content: message.content.clone().into_bytes(),
        ..Outgoing::default()
    }
}

/// OpenIM's contentType of a text.
const CHAT_TYPE: u32 = 101;

/// A notice's content as the text of a chat: as many bytes, so that only the kind of message differs.
fn chat_content(content: &str) -> String {
    serde_json::json!({ "text": content.replace('"', "'") }).to_string()
}

/// Makes a text in a single chat of a notice.
pub fn as_chat(outgoing: &mut Outgoing) {
    outgoing.content_type = CHAT_TYPE;
    let content = String::from_utf8_lossy(&outgoing.content).into_owned();
    outgoing.content = chat_content(&content).into_bytes();
}

/// The answer to a task that is answered receiver by receiver, judged.
///
/// # Errors
/// [`Error::Refused`] unless the status is 200; [`Error::Server`] when it is not answered for each receiver.
pub fn check_task(answer: http1::Answer<'_>, receivers: u32) -> Result<()> {
    let text = answer.body;
    check_sent(answer)?;
    let found = text.windows(6).filter(|six| six == b"\"seq\":").count();
    if found == receivers as usize {
        Ok(())
    } else {
        Err(server_error(format!(
            "{found} of {receivers} receivers were served"
        )))
    }
}

/// Opens a kept-alive HTTP connection.
///
/// # Errors
/// When nobody listens there.
pub async fn http(server: SocketAddr) -> Result<http1::Connection> {
    Ok(http1::Connection::new(Wire::open(NAME, server).await?))
}

/// Opens a QUIC connection and is welcomed.
///
/// # Errors
/// When the server is not there, is another one, or refuses.
pub async fn quic(server: SocketAddr, credentials: &Credentials) -> Result<Connection> {
    let connector =
        Connector::new(credentials.trust()?).map_err(|e| server_error(e.to_string()))?;
    let identity = Identity::new(credentials.token.clone());
    connector
        .connect(server, "localhost", &identity)
        .await
        .map_err(|e| server_error(e.to_string()))
}

/// An answer to an HTTP send, judged.
///
/// # Errors
/// [`Error::Refused`] unless the status is 200.
pub fn check_sent(answer: http1::Answer<'_>) -> Result<()> {
    if answer.status == 200 {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)]).into_owned();
    Err(refused(format!("status {}: {text}", answer.status)))
}

/// An answer to an HTTP pull, judged: a page without a hole.
///
/// # Errors
/// [`Error::Refused`] unless the status is 200; [`Error::Server`] when the page has a hole.
pub fn check_page(answer: http1::Answer<'_>) -> Result<Page> {
    check_sent(answer)?;
    let page: Page =
        serde_json::from_slice(answer.body).map_err(|e| server_error(format!("a page: {e}")))?;
    if page
        .entries
        .iter()
        .zip(1..)
        .any(|(entry, seq)| entry.seq != seq)
    {
        return Err(server_error("a page with a hole".into()));
    }
    Ok(page)
}

/// An error of the server's behaviour.
#[must_use]
pub fn server_error(detail: String) -> Error {
    Error::Server {
        system: NAME,
        detail,
    }
}

/// A refusal.
#[must_use]
pub fn refused(detail: String) -> Error {
    Error::Refused {
        system: NAME,
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::{Requests, check_page, check_sent, outgoing};
    use crate::corpus::{Corpus, Pool};
    use crate::http1::Answer;

    #[test]
    fn a_send_is_a_request_whose_body_is_as_long_as_it_says() {
        let pool = Pool::new(Corpus::new(1, 10), 20);
        let mut requests = Requests::new("127.0.0.1:10002".parse().unwrap(), "secret");
        let mut out = String::new();
        for index in [0, 7, 25] {
            requests.send(&pool, index, false, &mut out);
            let (head, body) = out.split_once("\r\n\r\n").unwrap();
            assert!(
                head.contains(&format!("Content-Length: {}\r\n", body.len()))
                    || head.ends_with(&body.len().to_string())
            );
            assert!(head.contains("Authorization: Bearer secret\r\n"));
            let json: serde_json::Value = serde_json::from_str(body).unwrap();
            let frame = outgoing(&pool, index);
            assert_eq!(json["clientMsgID"], frame.client_msg_id);
            assert_eq!(json["to"]["user"], frame.receiver);
            assert!(head.contains(&format!("Idempotency-Key: {}\r\n", frame.client_msg_id)));
            assert_eq!(
                json["content"],
                serde_json::from_slice::<serde_json::Value>(&frame.content).unwrap()
            );
        }
    }

    #[test]
    fn refusals_and_holes_are_errors() {
        let answer = |status, body| Answer {
            status,
            body,
            moved: crate::wire::Moved::default(),
        };
        assert!(check_sent(answer(200, b"{}")).is_ok());
        assert!(
            check_sent(answer(503, b"busy"))
                .unwrap_err()
                .to_string()
                .contains("busy")
        );
        assert_eq!(
            check_page(answer(
                200,
                br#"{"head":2,"entries":[{"seq":1},{"seq":2}]}"#
            ))
            .unwrap()
            .head,
            2
        );
        assert!(
            check_page(answer(
                200,
                br#"{"head":3,"entries":[{"seq":1},{"seq":3}]}"#
            ))
            .is_err()
        );
        assert!(check_page(answer(200, b"no JSON")).is_err());
    }
}
