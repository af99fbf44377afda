//! A log in a directory, with short ways to ask it things.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod batches;
pub mod faults;
pub mod image;
pub mod oracle;
pub mod plan;
pub mod rows;
pub mod served;
pub mod world;

use std::path::{Path, PathBuf};

use waybill_core::body::{Body, Message};
use waybill_core::command::{Ask, Command, ConversationKind, Send, UserRef};
use waybill_core::fact::Options as MessageOptions;
use waybill_core::hash::{Domain, HashKey};
use waybill_core::id::{Epoch, Opening, Position, UserNo};
use waybill_core::outcome::{Answer, Outcome, Sent};
use waybill_core::record::Surface;
use waybill_log::{Log, LogConfig, OpenError, Options, QueueHandle, Reader};

pub fn keys() -> HashKey {
    HashKey::new(&[9; 32])
}

pub fn user_ref(id: &str) -> UserRef {
    let hash = keys().hash(Domain::User, &[id.as_bytes()]);
    UserRef {
        id: id.to_owned(),
        hash,
        opening: Opening(hash.0),
    }
}

/// The n-th message.
pub fn message(n: u64) -> Message {
    Message {
        content: format!("{{\"text\":\"message {n}\"}}"),
        operation_id: format!("op{n}"),
        ..Message::default()
    }
}

pub fn command(ask: Ask) -> Command {
    Command {
        by: UserNo(0),
        surface: Surface::Server,
        ask,
    }
}

pub fn found() -> Command {
    found_as(5)
}

/// Begins one of several histories.
pub fn found_as(history: u8) -> Command {
    command(Ask::Found {
        epoch: Epoch::new(1, [history; 14]),
        rules: 1,
    })
}

fn send(
    sender: &str,
    receiver: &str,
    n: u64,
    key: Option<&str>,
    kind: ConversationKind,
) -> Command {
    let body = Body::Message(message(n)).seal(Opening([n as u8; 16]));
    command(Ask::Send(Send {
        sender: user_ref(sender),
        receiver: user_ref(receiver),
        kind,
        account: kind == ConversationKind::Notification,
        content_type: 1400,
        notification_type: 1,
        options_off: MessageOptions::default(),
        key: key.map(|key| keys().dedup(sender, key, &[sender.as_bytes(), receiver.as_bytes()])),
        digest: keys().digest(&[&body.bytes]),
        terms: None,
        body,
    }))
}

pub fn notify(sender: &str, receiver: &str, n: u64, key: Option<&str>) -> Command {
    send(sender, receiver, n, key, ConversationKind::Notification)
}

pub fn chat(sender: &str, receiver: &str, n: u64, key: Option<&str>) -> Command {
    send(sender, receiver, n, key, ConversationKind::Single)
}

/// Small buffers, so that small tests reach flushes.
pub fn small() -> LogConfig {
    LogConfig {
        memory_mib: 128,
        ..LogConfig::default()
    }
}

/// A running log. Its threads end with it: RocksDB aborts a process that ends while they still use its stores.
pub struct Harness {
    path: PathBuf,
    running: Option<(Log, QueueHandle)>,
}

impl Drop for Harness {
    fn drop(&mut self) {
        if let Some((log, queue)) = self.running.take() {
            drop(queue);
            // Whether it ended well is asked where it matters: by `close`.
            drop(log.join());
        }
    }
}

impl Harness {
    pub fn open(path: &Path) -> Self {
        Self::try_open(path).expect("opens")
    }

    pub fn try_open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(
            path,
            Options {
                config: small(),
                ..Options::default()
            },
        )
    }

    pub fn open_with(path: &Path, options: Options) -> Result<Self, OpenError> {
        Self::open_as(path, options, found())
    }

    pub fn open_as(path: &Path, options: Options, found: Command) -> Result<Self, OpenError> {
        let (log, queue) = Log::open(path, options, &mut |_, _| {})?;
        let harness = Self {
            path: path.to_owned(),
            running: Some((log, queue)),
        };
        if harness.reader().durable() == Position(0) {
            assert_eq!(harness.ask(found), Ok(Outcome::Done));
        }
        Ok(harness)
    }

    pub fn close(mut self) -> PathBuf {
        let (log, queue) = self.running.take().expect("runs");
        drop(queue);
        log.join().expect("ends well");
        self.path.clone()
    }

    fn running(&self) -> &(Log, QueueHandle) {
        self.running.as_ref().expect("runs")
    }

    pub fn reopen(self) -> Self {
        Self::open(&self.close())
    }

    pub fn reopen_without_views(self) -> Self {
        let path = self.close();
        std::fs::remove_dir_all(path.join("views")).expect("removes");
        Self::open(&path)
    }

    pub fn reader(&self) -> Reader {
        self.log().reader()
    }

    pub fn log(&self) -> &Log {
        &self.running().0
    }

    pub fn queue(&self) -> &QueueHandle {
        &self.running().1
    }

    pub fn ask(&self, command: Command) -> Answer {
        self.queue()
            .ask_blocking(command)
            .expect("the writer answers")
    }

    pub fn sent(&self, command: Command) -> Sent {
        match self.ask(command) {
            Ok(Outcome::Sent(sent)) => sent,
            other => panic!("not sent: {other:?}"),
        }
    }

    pub fn erase(&self, position: Position) -> Command {
        command(Ask::Erase { position })
    }

    pub fn user(&self, id: &str) -> UserNo {
        self.reader()
            .user_no(user_ref(id).hash)
            .expect("reads")
            .expect("is known")
    }
}
