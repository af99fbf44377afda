//! Load: threads that send message after message over every surface, and readers that pull what is shown, until the server
//! is gone or they are told to stop. What became of each message goes into the book.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

use super::book::{Answer, Book};
use super::message::{Message, Way};
use super::{Api, Quic, Server};

/// How many callers there are of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Senders over `/v1`.
    pub v1: usize,
    /// Senders over OpenIM's dialect.
    pub v2: usize,
    /// Senders over QUIC, all on one connection.
    pub quic: usize,
    /// Readers over HTTP, and as many over QUIC.
    pub readers: usize,
}

impl Default for Mix {
    fn default() -> Self {
        Mix {
            v1: 4,
            v2: 4,
            quic: 6,
            readers: 1,
        }
    }
}

impl Way {
    /// Every way.
    pub const ALL: [Way; 3] = [Way::V1, Way::V2, Way::Quic];
}

/// What a send came to, when it came to no answer.
pub(super) enum Failure {
    /// The server gave a reason.
    Refused(String),
    /// It did not answer.
    Lost(String),
}

/// Sends over one surface.
pub(super) enum Caller {
    V1(Api),
    V2(Api),
    Quic(Arc<Quic>),
}

impl Caller {
    pub(super) fn new(server: &Server, way: Way) -> Caller {
        match way {
            Way::V1 => Caller::V1(Api::admin(server)),
            Way::V2 => Caller::V2(Api::admin(server)),
            Way::Quic => Caller::Quic(Arc::new(server.connect_quic())),
        }
    }

    pub(super) fn send(&mut self, message: Message) -> Result<Answer, Failure> {
        let key = message.header_key();
        let key = key.as_deref();
        let response = match self {
            Caller::V1(api) => api.v1("POST", "/v1/messages", key, message.v1_body().as_bytes()),
            Caller::V2(api) => api.v2(message.v2_path(), key, message.v2_body().as_bytes()),
            Caller::Quic(quic) => return send_by_quic(quic, message),
        };
        let response = response.map_err(|error| Failure::Lost(error.to_string()))?;
        let refused = || Failure::Refused(format!("{} {}", response.status, response.text()));
        if response.status != 200 {
            return Err(refused());
        }
        let body = response.json();
        let (data, time, seq) = match self {
            Caller::V2(_) if body["errCode"] != 0 => return Err(refused()),
            Caller::V2(_) => (&body["data"], "sendTime", None),
            _ => (&body, "time", Some(number(&body["receivers"][0]["seq"]))),
        };
        Ok(Answer {
            server_msg_id: text(&data["serverMsgID"]),
            client_msg_id: text(&data["clientMsgID"]),
            time: number(&data[time]),
            seq,
            whole: response.text(),
        })
    }
}

fn send_by_quic(quic: &Quic, message: Message) -> Result<Answer, Failure> {
    let sent = quic.send(message.outgoing()).map_err(|error| match error {
        waybill_client::Error::Refused(failure) => {
            Failure::Refused(format!("{}: {}", failure.code, failure.message))
        }
        other => Failure::Lost(other.to_string()),
    })?;
    Ok(Answer {
        server_msg_id: hex::encode(sent.server_msg_id),
        client_msg_id: sent.client_msg_id,
        time: sent.time.0,
        seq: sent.seq.map(|seq| seq.0),
        whole: format!("new receiver: {}", sent.new_receiver),
    })
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// Load that is under way. Dropping it without ending it leaves its threads to themselves.
#[must_use]
pub struct Load {
    stop: Arc<AtomicBool>,
    quic: Arc<Quic>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub fn start(server: &Server, book: &Arc<Book>, mix: Mix) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let quic = Arc::new(server.connect_quic());
        let mut threads = Vec::new();
        let mut spawn = |work: Box<dyn FnOnce() + Send>| threads.push(std::thread::spawn(work));
        for (way, count) in [(Way::V1, mix.v1), (Way::V2, mix.v2), (Way::Quic, mix.quic)] {
            for _ in 0..count {
                let caller = match way {
                    Way::Quic => Caller::Quic(Arc::clone(&quic)),
                    way => Caller::new(server, way),
                };
                let (book, stop) = (Arc::clone(book), Arc::clone(&stop));
                spawn(Box::new(move || send_all(&book, way, caller, &stop)));
            }
        }
        for reader in 0..2 * mix.readers {
            let mut api = Api::admin(server);
            let quic = (reader % 2 == 1).then(|| Arc::clone(&quic));
            let (book, stop) = (Arc::clone(book), Arc::clone(&stop));
            spawn(Box::new(move || match quic {
                None => read_all(&book, &stop, |user, after| {
                    pull_by_http(&mut api, user, after)
                }),
                Some(quic) => {
                    read_all(&book, &stop, |user, after| pull_by_quic(&quic, user, after))
                }
            }));
        }
        Load {
            stop,
            quic,
            threads,
        }
    }

    /// Ends it, after the server has gone.
    ///
    /// # Panics
    /// When a caller has met what may not be.
    pub fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.quic.give_up();
        self.join();
    }

    /// Lets every caller finish what it is doing, and ends.
    ///
    /// # Panics
    /// As [`Load::end`].
    pub fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.join();
    }

    fn join(self) {
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn send_all(book: &Book, way: Way, mut caller: Caller, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let message = book.begin(way);
        match caller.send(message) {
            Ok(answer) => book.answered(message, answer),
            Err(Failure::Refused(text)) => return book.refused(text),
            Err(Failure::Lost(_)) => return,
        }
    }
}

/// Pulls what is new in every log, over and over, until it is told to stop or nobody answers.
fn read_all(
    book: &Book,
    stop: &AtomicBool,
    mut pull: impl FnMut(&str, usize) -> Option<Vec<String>>,
) {
    while !stop.load(Ordering::Relaxed) {
        for user in Message::users() {
            let after = book.seen_of(&user);
            match pull(&user, after) {
                Some(ids) => book.seen(&user, after, ids),
                None => return,
            }
        }
    }
}

fn pull_by_http(api: &mut Api, user: &str, after: usize) -> Option<Vec<String>> {
    let response = api.page(user, after).ok()?;
    match response.status {
        200 => {}
        // Nobody has written to him yet.
        404 => return Some(Vec::new()),
        _ => return None,
    }
    let body = response.json();
    let entries = body["entries"].as_array().expect("entries");
    let ids = entries.iter().zip(after as u64 + 1..).map(|(entry, seq)| {
        assert_eq!(
            entry["seq"], seq,
            "a hole in the log of {user} after {after}"
        );
        text(&entry["serverMsgID"])
    });
    Some(ids.collect())
}

fn pull_by_quic(quic: &Quic, user: &str, after: usize) -> Option<Vec<String>> {
    let page = match quic.pull(user, after as u64, 1_000) {
        Ok(page) => page,
        Err(error) if error.code() == Some(waybill_core::wire::Code::UNKNOWN_USER) => {
            return Some(Vec::new());
        }
        Err(_) => return None,
    };
    let ids = page
        .entries
        .iter()
        .zip(after as u64 + 1..)
        .map(|(entry, seq)| {
            assert_eq!(
                entry.seq.0, seq,
                "a hole in the log of {user} after {after}"
            );
            let message = entry.as_message().expect("an entry").expect("a message");
            hex::encode(message.server_msg_id)
        });
    Some(ids.collect())
}
