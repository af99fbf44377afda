//! A service in memory: logs, tokens, and a record of what was asked of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;
use waybill_core::fact::Options;
use waybill_core::id::{ConversationSeq, Epoch, Seq, Time};
use waybill_core::wire::{
    Bye, Code, Entry, Failure, Hello, MessageEntry, Outgoing, Place, SentMessage,
};
use waybill_gateway::quic::{Grown, Opened, Read, Service, Slice, Ticket, Watch};

/// The only user who may read and send for everybody.
pub const BOSS: &str = "boss";

/// A send to this receiver is refused.
pub const NOBODY: &str = "nobody";

/// The service. A user's token is `token-of-` and the user's id.
#[derive(Default)]
pub struct Memory {
    logs: Mutex<HashMap<String, Vec<Entry>>>,
    keys: Mutex<HashMap<String, SentMessage>>,
    grown: watch::Sender<HashMap<String, Seq>>,
    /// Sends wait here while `hold` is set.
    held: Mutex<Vec<(Outgoing, Ticket)>>,
    pub hold: AtomicBool,
    /// Who is to be refused when he joins.
    pub unwelcome: Mutex<Option<Failure>>,
    pub goodbye: watch::Sender<Option<Bye>>,
    pub hellos: AtomicUsize,
    pub joins: AtomicUsize,
    pub sends: AtomicUsize,
    pub pulls: AtomicUsize,
    /// Pulls of sessions that had not joined yet, so that they came as early data.
    pub early_pulls: AtomicUsize,
    /// Bytes of entries handed out.
    pub bytes: AtomicUsize,
    pub sessions: Arc<AtomicUsize>,
    cursors: Mutex<HashMap<String, Seq>>,
    /// The history, where it is not [`EPOCH`].
    other_epoch: Mutex<Option<Epoch>>,
}

pub struct Session {
    user: String,
    device: String,
    joined: AtomicBool,
    open: Arc<AtomicUsize>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

pub struct MemoryWatch {
    user: String,
    heads: watch::Receiver<HashMap<String, Seq>>,
}

impl Watch for MemoryWatch {
    async fn grown(&mut self) -> Grown {
        if self.heads.changed().await.is_err() {
            std::future::pending().await
        }
        let heads = self.heads.borrow();
        Grown {
            head: heads.get(&self.user).copied().unwrap_or(Seq(0)),
            visible: std::time::Instant::now(),
        }
    }
}

pub const EPOCH: Epoch = Epoch([7; 16]);

fn bytes_of(entry: &Entry) -> usize {
    entry.payload.len() + 16
}

impl Memory {
    /// Adds an entry to a log.
    pub fn append(&self, user: &str, content: &[u8]) -> Seq {
        let mut logs = self.logs.lock();
        let log = logs.entry(user.to_owned()).or_default();
        let seq = Seq(log.len() as u64 + 1);
        let message = MessageEntry {
            place: Place {
                kind: Place::NOTIFICATION,
                peer: BOSS.to_owned(),
            },
            conversation_seq: ConversationSeq(seq.0),
            sender: BOSS.to_owned(),
            server_msg_id: [1; 16],
            client_msg_id: String::new(),
            content_type: 1400,
            notification_type: 1,
            options_off: Options(0),
            sender_nickname: String::new(),
            sender_face_url: String::new(),
            sender_platform: 0,
            created: None,
            offline_push: None,
            erased: false,
            content: content.to_vec(),
        };
        log.push(Entry::message(seq, Time(seq.0), &message));
        drop(logs);
        self.grown.send_modify(|heads| {
            heads.insert(user.to_owned(), seq);
        });
        seq
    }

    /// Adds many entries to a log.
    pub fn append_many(&self, user: &str, count: usize, content: &[u8]) {
        for _ in 0..count {
            self.append(user, content);
        }
    }

    /// Begins another history, with empty logs.
    pub fn reset(&self, epoch: Epoch) {
        *self.other_epoch.lock() = Some(epoch);
        self.logs.lock().clear();
        self.keys.lock().clear();
        self.cursors.lock().clear();
    }

    fn epoch(&self) -> Epoch {
        self.other_epoch.lock().unwrap_or(EPOCH)
    }

    /// The contents of a log, in its order.
    pub fn contents(&self, user: &str) -> Vec<String> {
        let logs = self.logs.lock();
        let log = logs.get(user).map_or(&[][..], Vec::as_slice);
        let content = |entry: &Entry| {
            let message = entry.as_message().unwrap().unwrap();
            String::from_utf8(message.content).unwrap()
        };
        log.iter().map(content).collect()
    }

    /// How far a device has stored its log.
    pub fn cursor(&self, user: &str, device: &str) -> Seq {
        let cursors = self.cursors.lock();
        cursors
            .get(&format!("{user} {device}"))
            .copied()
            .unwrap_or_default()
    }

    /// Answers the sends that wait, the last one first.
    pub fn release(&self) {
        self.hold.store(false, Ordering::SeqCst);
        let held = std::mem::take(&mut *self.held.lock());
        for (message, ticket) in held.into_iter().rev() {
            ticket.answer(self.decide(&message));
        }
    }

    /// How many sends wait.
    pub fn held(&self) -> usize {
        self.held.lock().len()
    }

    /// Drops the sends that wait, without an answer.
    pub fn lose(&self) {
        self.held.lock().clear();
    }

    fn decide(&self, message: &Outgoing) -> Result<SentMessage, Failure> {
        if message.receiver == NOBODY {
            return Err(Failure::new(Code::UNKNOWN_RECEIVER, "there is no nobody"));
        }
        let key = message.client_msg_id.clone();
        if let Some(first) = self.keys.lock().get(&key) {
            return Ok(SentMessage {
                repeated: true,
                ..first.clone()
            });
        }
        let seq = self.append(&message.receiver, &message.content);
        let sent = SentMessage {
            server_msg_id: [9; 16],
            client_msg_id: key.clone(),
            time: Time(seq.0),
            seq: Some(seq),
            new_receiver: seq.0 == 1,
            repeated: false,
        };
        if !key.is_empty() {
            self.keys.lock().insert(key, sent.clone());
        }
        Ok(sent)
    }

    fn readable<'a>(&self, session: &'a Session, user: &'a str) -> Result<&'a str, Failure> {
        if user.is_empty() || user == session.user {
            Ok(&session.user)
        } else if session.user == BOSS {
            Ok(user)
        } else {
            Err(Failure::new(
                Code::FORBIDDEN,
                "this log belongs to somebody else",
            ))
        }
    }
}

impl Service for Memory {
    type Session = Session;
    type Watch = MemoryWatch;

    async fn hello(&self, hello: Hello, _peer: SocketAddr) -> Result<Opened<Session>, Failure> {
        self.hellos.fetch_add(1, Ordering::SeqCst);
        let Some(user) = hello.token.strip_prefix("token-of-") else {
            return Err(Failure::new(
                Code::TOKEN_UNKNOWN,
                "the token was not issued here",
            ));
        };
        let user = user.to_owned();
        let head = self.logs.lock().get(&user).map_or(0, Vec::len) as u64;
        self.sessions.fetch_add(1, Ordering::SeqCst);
        let open = Arc::clone(&self.sessions);
        let session = Session {
            user: user.clone(),
            device: hello.device.id,
            joined: AtomicBool::new(false),
            open,
        };
        let (floor, head, time) = (Seq(1), Seq(head), Time(1));
        Ok(Opened {
            session,
            user,
            epoch: self.epoch(),
            floor,
            head,
            time,
        })
    }

    fn join(&self, session: &Session) -> Result<(), Failure> {
        session.joined.store(true, Ordering::SeqCst);
        self.joins.fetch_add(1, Ordering::SeqCst);
        self.unwelcome.lock().clone().map_or(Ok(()), Err)
    }

    async fn pull(&self, session: &Session, read: &Read) -> Result<Slice, Failure> {
        self.pulls.fetch_add(1, Ordering::SeqCst);
        let early = usize::from(!session.joined.load(Ordering::SeqCst));
        self.early_pulls.fetch_add(early, Ordering::SeqCst);
        let user = self.readable(session, &read.user)?;
        let logs = self.logs.lock();
        let log = logs.get(user).map_or(&[][..], Vec::as_slice);
        let head = log.len() as u64;
        if read.after.0 > head {
            return Err(Failure::new(Code::AHEAD, format!("the log ends at {head}")));
        }
        let rest = &log[read.after.0 as usize..];
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += bytes_of(entry);
            bytes <= read.bytes
        };
        let mut entries: Vec<Entry> = rest
            .iter()
            .take(read.limit as usize)
            .take_while(fits)
            .cloned()
            .collect();
        if entries.is_empty() {
            entries.extend(rest.first().cloned());
        }
        let given: usize = entries.iter().map(bytes_of).sum();
        self.bytes.fetch_add(given, Ordering::SeqCst);
        let more = entries.len() < rest.len();
        Ok(Slice {
            epoch: self.epoch(),
            floor: Seq(1),
            head: Seq(head),
            more,
            entries,
        })
    }

    fn watch(&self, session: &Session, user: &str) -> Result<MemoryWatch, Failure> {
        let user = self.readable(session, user)?.to_owned();
        let heads = self.grown.subscribe();
        Ok(MemoryWatch { user, heads })
    }

    fn send(&self, _session: &Arc<Session>, message: Outgoing, ticket: Ticket) {
        self.sends.fetch_add(1, Ordering::SeqCst);
        if self.hold.load(Ordering::SeqCst) {
            self.held.lock().push((message, ticket));
        } else {
            ticket.answer(self.decide(&message));
        }
    }

    async fn acknowledge(&self, session: &Session, seq: Seq) -> Result<Seq, Failure> {
        if session.device.is_empty() {
            return Err(Failure::new(Code::NO_DEVICE, "the hello named no device"));
        }
        let head = self.logs.lock().get(&session.user).map_or(0, Vec::len) as u64;
        if seq.0 > head {
            return Err(Failure::new(Code::AHEAD, format!("the log ends at {head}")));
        }
        let mut cursors = self.cursors.lock();
        let cursor = cursors
            .entry(format!("{} {}", session.user, session.device))
            .or_default();
        *cursor = seq.max(*cursor);
        Ok(*cursor)
    }

    async fn ended(&self, _session: &Session) -> Bye {
        let mut goodbye = self.goodbye.subscribe();
        loop {
            if let Some(bye) = goodbye.borrow_and_update().clone() {
                return bye;
            }
            if goodbye.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
