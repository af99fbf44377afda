//! What was asked, what was answered, and what was shown: the test's own memory, which no crash of the server touches. It
//! knows no transport.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::message::{Message, Way};

/// The answer to a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The server's id of the message.
    pub server_msg_id: String,
    /// The caller's id of it, or the derived one.
    pub client_msg_id: String,
    /// The time shown on it.
    pub time: u64,
    /// Its place in the receiver's log, where the surface tells.
    pub seq: Option<u64>,
    /// The whole answer, as the surface gives it.
    pub whole: String,
}

/// The memory of a test. Any number of threads write it.
#[derive(Default)]
pub struct Book {
    pages: Mutex<Pages>,
    changed: Condvar,
}

#[derive(Default)]
struct Pages {
    asked: Vec<Asked>,
    answered: u64,
    /// The serverMsgIDs that readers have seen, for each user from seq 1 on.
    seen: BTreeMap<String, Vec<String>>,
    /// Refusals that said that nothing was done or that the outcome is unknown: what a dying server may say.
    refusals: Vec<String>,
}

#[derive(Clone)]
struct Asked {
    message: Message,
    answer: Option<Answer>,
}

impl Book {
    /// The next message, to be sent this way.
    pub fn begin(&self, way: Way) -> Message {
        let mut pages = self.pages.lock();
        let message = Message {
            number: pages.asked.len() as u64,
            way,
        };
        pages.asked.push(Asked {
            message,
            answer: None,
        });
        message
    }

    /// Notes an answer.
    ///
    /// # Panics
    /// When the message was answered otherwise before.
    pub fn answered(&self, message: Message, answer: Answer) {
        let mut pages = self.pages.lock();
        let asked = &mut pages.asked[message.number as usize];
        match &asked.answer {
            Some(first) => assert_eq!(first, &answer, "{message:?}: another answer than at first"),
            None => {
                asked.answer = Some(answer);
                pages.answered += 1;
                self.changed.notify_all();
            }
        }
    }

    /// Notes a refusal.
    pub fn refused(&self, refusal: String) {
        self.pages.lock().refusals.push(refusal);
        self.changed.notify_all();
    }

    /// All refusals so far.
    pub fn refusals(&self) -> Vec<String> {
        self.pages.lock().refusals.clone()
    }

    /// Notes what a reader was shown after as many entries of a log as are known.
    pub fn seen(&self, user: &str, after: usize, ids: impl IntoIterator<Item = String>) {
        let mut pages = self.pages.lock();
        let known = pages.seen.entry(user.to_owned()).or_default();
        // Of two readers at the same place the later one says nothing new.
        if known.len() == after {
            known.extend(ids);
        }
    }

    /// How many entries of a log readers were shown.
    pub fn seen_of(&self, user: &str) -> usize {
        self.pages.lock().seen.get(user).map_or(0, Vec::len)
    }

    /// Which entries of a log readers were shown, by serverMsgID from seq 1 on.
    pub fn shown(&self, user: &str) -> Vec<String> {
        self.pages
            .lock()
            .seen
            .get(user)
            .cloned()
            .unwrap_or_default()
    }

    /// How many messages were answered.
    pub fn count(&self) -> u64 {
        self.pages.lock().answered
    }

    /// Waits until so many messages were answered.
    ///
    /// # Panics
    /// When they are not, within that time.
    pub fn wait_for(&self, count: u64, patience: Duration) {
        let until = Instant::now() + patience;
        let mut pages = self.pages.lock();
        while pages.answered < count {
            let late = self.changed.wait_until(&mut pages, until).timed_out();
            assert!(
                !late || pages.answered >= count,
                "{} of {count} messages were answered within {patience:?}; refusals: {:#?}",
                pages.answered,
                pages.refusals
            );
        }
    }

    /// Messages without an answer.
    pub fn unanswered(&self) -> Vec<Message> {
        let pages = self.pages.lock();
        let open = pages.asked.iter().filter(|asked| asked.answer.is_none());
        open.map(|asked| asked.message).collect()
    }

    /// Every message with its answer, by number.
    pub fn all(&self) -> Vec<(Message, Option<Answer>)> {
        let pages = self.pages.lock();
        pages
            .asked
            .iter()
            .map(|asked| (asked.message, asked.answer.clone()))
            .collect()
    }
}
