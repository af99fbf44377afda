//! A session of server-sent events. A stream ends by itself after ten minutes, so runs must be shorter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hub::{Hub, Taker};
use super::session::{Counted, NOWHERE};
use crate::corpus::user_id;
use crate::error::Result;
use crate::target::{self, Requests, server_error};
use crate::wire::Wire;

/// See the module.
pub struct Session {
    wire: Wire,
    /// What came in chunks and is no complete event yet.
    text: Vec<u8>,
    counted: Arc<Counted>,
}

/// What is looked at of an event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event<'a> {
    id: Option<u64>,
    name: &'a str,
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(hub: &Hub, user: u32, cursor: &AtomicU64) -> Result<Self> {
        let mut connection = target::http(hub.http()).await?;
        if cursor.load(Ordering::Relaxed) == NOWHERE {
            let mut out = String::new();
            Requests::new(hub.http(), hub.token(user)?).pull_after(user, 0, 1, 0, &mut out);
            let answer = connection.call(out.as_bytes()).await?;
            cursor.store(target::check_page(answer)?.head, Ordering::Relaxed);
        }
        let mut session = Self {
            wire: connection.into_wire(),
            text: Vec::new(),
            counted: Arc::default(),
        };
        let (id, after) = (user_id(user), cursor.load(Ordering::Relaxed));
        let request = format!(
            "GET /v1/users/{id}/log?after={after}&device=bench HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\r\n",
            hub.http(),
            hub.token(user)?
        );
        session.wire.write(request.as_bytes()).await?;
        session.head().await?;
        session.event(None).await?;
        session.counted.set(session.wire.moved());
        Ok(session)
    }

    /// The head of the response.
    async fn head(&mut self) -> Result<()> {
        loop {
            let pending = self.wire.pending();
            if let Some(end) = pending.windows(4).position(|four| four == b"\r\n\r\n") {
                if !pending.starts_with(b"HTTP/1.1 200 ") {
                    let text = String::from_utf8_lossy(pending).into_owned();
                    return Err(target::refused(text));
                }
                self.wire.consume(end + 4);
                return Ok(());
            }
            self.wire.read(1).await?;
        }
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn counted(&self) -> Arc<Counted> {
        Arc::clone(&self.counted)
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// When the stream has ended.
    pub async fn next(&mut self, taker: &Taker) -> Result<()> {
        self.event(Some(taker)).await
    }

    /// Waits for an event and takes it: an entry with a taker, a welcome without.
    async fn event(&mut self, taker: Option<&Taker>) -> Result<()> {
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let bytes = &self.text[..end];
                let event = read(bytes)?;
                match (taker, event) {
                    (
                        Some(taker),
                        Event {
                            id: Some(seq),
                            name: "entry",
                        },
                    ) => {
                        taker.seq(seq);
                        taker.bytes(bytes);
                    }
                    (
                        None,
                        Event {
                            name: "welcome", ..
                        },
                    ) => {}
                    // A comment, or how long to wait before coming again.
                    (_, Event { name: "", .. }) => {
                        self.text.drain(..end + 2);
                        continue;
                    }
                    (_, event) => return Err(server_error(format!("the server said {event:?}"))),
                }
                self.text.drain(..end + 2);
                return Ok(());
            }
            self.chunk().await?;
        }
    }

    /// Adds the next chunk to the text.
    async fn chunk(&mut self) -> Result<()> {
        loop {
            let pending = self.wire.pending();
            if let Some((start, length)) = chunk_of(pending)?
                && let Some(chunk) = pending.get(start..start + length)
                && pending.len() >= start + length + 2
            {
                if length == 0 {
                    return Err(server_error("the stream has ended".into()));
                }
                self.text.extend_from_slice(chunk);
                self.wire.consume(start + length + 2);
                return Ok(());
            }
            self.wire.wait().await?;
            self.counted.set(self.wire.moved());
        }
    }
}

/// Where the chunk at the beginning of `bytes` begins and how long it is; `None` when that is not known yet.
fn chunk_of(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else {
        return Ok(None);
    };
    let length = std::str::from_utf8(&bytes[..end]).ok();
    let length = length.and_then(|digits| usize::from_str_radix(digits, 16).ok());
    match length {
        Some(length) => Ok(Some((end + 2, length))),
        None => Err(server_error("a chunk without a length".into())),
    }
}

/// Reads an event, without the empty line behind it.
fn read(bytes: &[u8]) -> Result<Event<'_>> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| server_error("an event is no text".into()))?;
    let mut event = Event::default();
    for line in text.split('\n') {
        match line.split_once(": ") {
            Some(("id", seq)) => {
                event.id = Some(
                    seq.parse()
                        .map_err(|_| server_error("an id is no seq".into()))?,
                );
            }
            Some(("event", name)) => event.name = name,
            _ => {}
        }
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::{Event, chunk_of, read};

    #[test]
    fn events_are_read() {
        let entry = read(b"id: 7\nevent: entry\ndata: {\"a\":\ndata: 1}").unwrap();
        let (id, name) = (Some(7), "entry");
        assert_eq!(entry, Event { id, name });
        for quiet in [&b": still here"[..], b"retry: 2000"] {
            assert_eq!(read(quiet).unwrap(), Event::default());
        }
        assert!(read(b"id: x\nevent: entry").is_err());
        assert!(read(b"event: \xff").is_err());
    }

    #[test]
    fn chunks_are_found() {
        assert_eq!(chunk_of(b"1f").unwrap(), None);
        assert_eq!(chunk_of(b"1f\r\nabc").unwrap(), Some((4, 31)));
        assert!(chunk_of(b"no length\r\n").is_err());
    }
}
