//! A NATS connection with an inbox of its own: requests to the server's interface, and atomic batches.
//!
//! It must not know how servers are started or what a run measures.

use std::fmt::Write as _;

use super::jetstream::NAME;
use super::nats_wire::{self, Op};
use crate::corpus::{Pool, user_id};
use crate::error::{Error, Result};
use crate::wire::{Wire, loopback};

/// One connection, with an inbox of its own.
pub struct Client {
    /// The connection beneath.
    pub wire: Wire,
    number: u32,
    batches: u64,
    /// Kept to be reused: names are built for every message.
    subject: String,
    reply: String,
    batch_id: String,
    key: String,
}

impl Client {
    /// Connects to `port` and waits until the server is ready; `number` tells inboxes apart.
    ///
    /// # Errors
    /// When the server does not take the connection.
    pub async fn open(port: u16, number: u32) -> Result<Self> {
        let mut wire = Wire::open(NAME, loopback(port)).await?;
        let hello = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\
             \"lang\":\"waybill-benches\",\"version\":\"1\"}}\r\nSUB r{number}.* 1\r\nPING\r\n"
        );
        wire.write(hello.as_bytes()).await?;
        let mut client = Self {
            wire,
            number,
            batches: 0,
            subject: String::new(),
            reply: String::new(),
            batch_id: String::new(),
            key: String::new(),
        };
        while client.next().await? != Event::Pong {}
        Ok(client)
    }

    /// The next thing that concerns the caller; answers pings and skips the server's descriptions of itself.
    async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.poll()? {
                return Ok(event);
            }
            self.wire.read(1).await?;
        }
    }

    /// As [`Client::next`], from what has already been read.
    ///
    /// # Errors
    /// When the server complains or does not speak NATS.
    pub fn poll(&mut self) -> Result<Option<Event>> {
        loop {
            let parsed = nats_wire::parse(self.wire.pending());
            let parsed = parsed.map_err(|e| Error::Server {
                system: NAME,
                detail: e.to_string(),
            })?;
            let Some((op, length)) = parsed else {
                return Ok(None);
            };
            let event = match op {
                Op::Message { subject, payload } => {
                    Some(Event::Answer(slot_of(subject)?, payload.to_vec()))
                }
                Op::Pong => Some(Event::Pong),
                Op::Ping => Some(Event::Ping),
                Op::Info(_) | Op::Ok => None,
                Op::Error(text) => {
                    let detail = String::from_utf8_lossy(text).into_owned();
                    return Err(Error::Server {
                        system: NAME,
                        detail,
                    });
                }
            };
            self.wire.consume(length);
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// The payload of the next answer.
    ///
    /// # Errors
    /// When none comes.
    pub async fn answer(&mut self) -> Result<Vec<u8>> {
        loop {
            match self.next().await? {
                Event::Answer(_, payload) => return Ok(payload),
                Event::Ping => self.wire.write(b"PONG\r\n").await?,
                Event::Pong => {}
            }
        }
    }

    /// Asks the server's own interface.
    ///
    /// # Errors
    /// When no answer comes, or it is not JSON.
    pub async fn ask(&mut self, subject: &str, payload: &[u8]) -> Result<serde_json::Value> {
        let mut out = Vec::new();
        nats_wire::publish(
            &mut out,
            subject.as_bytes(),
            format!("r{}.0", self.number).as_bytes(),
            payload,
        );
        self.wire.write(&out).await?;
        parse_json(&self.answer().await?)
    }

    /// Appends one atomic batch of `sends` sends from `first` on, to be answered on `slot`.
    pub fn encode(&mut self, out: &mut Vec<u8>, pool: &Pool, first: u64, sends: u32, slot: usize) {
        self.batches += 1;
        self.batch_id.clear();
        self.reply.clear();
        // Infallible, here and below: the sinks are Strings.
        let _ = write!(self.batch_id, "{}-{}", self.number, self.batches);
        let _ = write!(self.reply, "r{}.{slot}", self.number);
        let mut place = [0u8; 10];
        for number in 0..sends {
            let index = first + u64::from(number);
            let raw = pool.corpus().key(index);
            self.key.clear();
            self.subject.clear();
            for byte in raw {
                let _ = write!(self.key, "{byte:02x}");
            }
            let _ = write!(self.subject, "u.{}", user_id(pool.corpus().receiver(index)));
            let id: (&[u8], &[u8]) = (b"Nats-Batch-Id", self.batch_id.as_bytes());
            let digits = decimal(&mut place, 2 * number + 1);
            let key: (&[u8], &[u8]) = (b"Nats-Msg-Id", self.key.as_bytes());
            let headers = [id, (b"Nats-Batch-Sequence", digits), key];
            nats_wire::publish_with_headers(out, b"l", b"", &headers, pool.body(index));
            // The entry names its message by key: the stream's number is not known before the batch is stored.
            let digits = decimal(&mut place, 2 * number + 2);
            let headers = [
                id,
                (b"Nats-Batch-Sequence", digits),
                (b"Nats-Batch-Commit", b"1"),
            ];
            let last = number + 1 == sends;
            let (headers, reply) = if last {
                (&headers[..], self.reply.as_bytes())
            } else {
                (&headers[..2], &b""[..])
            };
            nats_wire::publish_with_headers(out, self.subject.as_bytes(), reply, headers, &raw);
        }
    }
}

/// The digits of `number` at the end of `place`.
fn decimal(place: &mut [u8; 10], mut number: u32) -> &[u8] {
    let mut at = place.len();
    loop {
        at -= 1;
        place[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || at == 0 {
            return &place[at..];
        }
    }
}

/// What came from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// An answer: the slot of its inbox, and its payload.
    Answer(usize, Vec<u8>),
    /// The server wants a `PONG`.
    Ping,
    /// The answer to a `PING`.
    Pong,
}

/// The number behind the last point of an inbox.
fn slot_of(subject: &[u8]) -> Result<usize> {
    let digits = subject
        .rsplit(|&b| b == b'.')
        .next()
        .and_then(|d| std::str::from_utf8(d).ok()?.parse().ok());
    digits.ok_or_else(|| Error::Server {
        system: NAME,
        detail: "answered to an inbox that nobody has".into(),
    })
}

/// Reads JSON that the server sent.
///
/// # Errors
/// When it is not JSON.
pub fn parse_json(bytes: &[u8]) -> Result<serde_json::Value> {
    serde_json::from_slice(bytes).map_err(|e| Error::Server {
        system: NAME,
        detail: format!("not JSON: {e}"),
    })
}

#[cfg(test)]
mod tests {
    use super::{decimal, slot_of};

    #[test]
    fn an_inbox_names_its_slot() {
        assert_eq!(slot_of(b"r7.42").ok(), Some(42));
        assert!(slot_of(b"r7.x").is_err());
    }

    #[test]
    fn digits_are_those_of_the_number() {
        let mut place = [0; 10];
        for n in [0, 7, 10, 1000, u32::MAX] {
            assert_eq!(decimal(&mut place, n), n.to_string().as_bytes());
        }
    }
}
