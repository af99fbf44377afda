//! The business side: messages that are sent with a key until they are answered, whatever becomes of the server meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::json;

use crate::dice::Dice;
use crate::harness::{Api, Server};

/// Senders.
const SENDERS: u64 = 12;

/// Longest pause between two sends of one sender, in milliseconds.
const PAUSE_MS: u64 = 30;

/// Longest pause before a send is tried again, in milliseconds.
const AGAIN_MS: u64 = 300;

/// One in so many users gets much more than the others, some of it long.
const BUSY_USERS: u64 = 20;

/// The text of a long message, in bytes.
const LONG: usize = 12_000;

/// A message that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub number: u64,
    /// Who got it.
    pub user: String,
    /// Its place in the receiver's log.
    pub seq: u64,
    /// Its serverMsgID.
    pub id: String,
}

#[derive(Default)]
struct State {
    sent: Vec<Sent>,
    begun: u64,
    /// Messages that may be begun for now.
    allowed: u64,
}

struct Shared {
    users: u64,
    messages: u64,
    state: Mutex<State>,
    changed: Condvar,
    again: AtomicU64,
}

/// Senders that are at work.
#[must_use]
pub struct Business {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Business {
    /// The id of a user of the test.
    #[must_use]
    pub fn user(number: u64) -> String {
        format!("user-{number}")
    }

    /// Begins to send so many messages to so many users. None is begun before it is allowed.
    pub fn start(server: &Server, users: u64, messages: u64, dice: &mut Dice) -> Self {
        let shared = Arc::new(Shared {
            users,
            messages,
            state: Mutex::default(),
            changed: Condvar::new(),
            again: AtomicU64::new(0),
        });
        let threads = (0..SENDERS).map(|_| {
            let shared = Arc::clone(&shared);
            let api = Api::admin(server);
            let dice = Dice::new(dice.seed());
            std::thread::spawn(move || shared.send_all(api, dice))
        });
        Self {
            threads: threads.collect(),
            shared,
        }
    }

    /// Lets the senders go on up to so many messages.
    pub fn allow(&self, messages: u64) {
        self.shared.state.lock().allowed = messages;
        self.shared.changed.notify_all();
    }

    /// Waits until so many were answered.
    ///
    /// # Panics
    /// When they are not, within that time.
    pub fn wait_for(&self, count: u64, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = self.shared.state.lock();
        while (state.sent.len() as u64) < count {
            let late = self.shared.changed.wait_until(&mut state, until);
            let answered = state.sent.len();
            assert!(
                !late.timed_out() || answered as u64 >= count,
                "{answered} of {count} messages were answered within {patience:?}"
            );
        }
    }

    /// Sends that were tried again with their key.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.shared.again.load(Relaxed)
    }

    /// Waits for the last answer; all of them.
    ///
    /// # Panics
    /// When a sender was refused.
    #[must_use]
    pub fn finish(self) -> Vec<Sent> {
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        std::mem::take(&mut self.shared.state.lock().sent)
    }
}

impl Shared {
    fn begin(&self) -> Option<u64> {
        let mut state = self.state.lock();
        while state.begun >= state.allowed && state.begun < self.messages {
            self.changed.wait(&mut state);
        }
        let number = state.begun;
        (number < self.messages).then(|| {
            state.begun += 1;
            if state.begun == self.messages {
                self.changed.notify_all();
            }
            number
        })
    }

    /// Two of five go to the few who get much.
    fn receiver(&self, number: u64) -> (u64, bool) {
        let random = Dice::new(number).seed();
        let busy = self.users.div_ceil(BUSY_USERS);
        match random % 5 {
            0 | 1 => ((random >> 8) % busy, true),
            _ => ((random >> 8) % self.users, false),
        }
    }

    fn send_all(&self, mut api: Api, mut dice: Dice) {
        while let Some(number) = self.begin() {
            let sent = self.send(&mut api, &mut dice, number);
            self.state.lock().sent.push(sent);
            self.changed.notify_all();
            std::thread::sleep(Duration::from_millis(dice.up_to(PAUSE_MS)));
        }
    }

    fn send(&self, api: &mut Api, dice: &mut Dice, number: u64) -> Sent {
        let (user, busy) = self.receiver(number);
        let user = Business::user(user);
        let long = if busy && number.is_multiple_of(4) {
            LONG
        } else {
            0
        };
        let text = format!("message {number} {}", "x".repeat(long));
        let body = json!({
            "to": { "user": user }, "contentType": 101, "clientMsgID": format!("m-{number}"),
            "content": { "text": text, "number": number },
        })
        .to_string();
        loop {
            match api.v1("POST", "/v1/messages", None, body.as_bytes()) {
                Ok(answer) if answer.status == 200 => {
                    let answer = answer.json();
                    let receiver = &answer["receivers"][0];
                    return Sent {
                        number,
                        user,
                        seq: receiver["seq"].as_u64().expect("a seq"),
                        id: answer["serverMsgID"].as_str().expect("an id").to_owned(),
                    };
                }
                Ok(answer) => {
                    assert_eq!(answer.status, 503, "message {number}: {}", answer.text());
                }
                // The server is gone; whether it was done is not known.
                Err(_) => {}
            }
            self.again.fetch_add(1, Relaxed);
            std::thread::sleep(Duration::from_millis(20 + dice.up_to(AGAIN_MS)));
        }
    }
}
