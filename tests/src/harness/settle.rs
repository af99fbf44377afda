//! After a crash: everything that was not answered is asked again, some of what was answered too, and all logs are compared
//! with the book.

use super::book::Book;
use super::check::{Logs, differences, missing};
use super::load::{Caller, Failure};
use super::message::{Message, Way};
use super::{Api, Server};
use crate::dice::Dice;

/// Answered messages that are asked for again each time.
const ASKED_AGAIN: u64 = 40;

/// Entries of a page over QUIC.
const PAGE: u32 = 1_000;

/// Sends every unanswered message again with its key, asks some answered ones again, and compares the logs.
///
/// # Panics
/// When a retry is not answered, an answer is not the first one, or the logs are not exactly what was answered.
pub fn settle(server: &Server, book: &Book, dice: &mut Dice) {
    let mut callers = Callers::new(server);
    for message in book.unanswered() {
        book.answered(message, callers.ask(message, server));
    }
    let all = book.all();
    for _ in 0..ASKED_AGAIN.min(all.len() as u64) {
        // The youngest half: that is where a crash has cut.
        let back = dice.up_to(all.len() as u64 / 2) as usize;
        let (message, _) = &all[all.len() - 1 - back.min(all.len() - 1)];
        book.answered(*message, callers.ask(*message, server));
    }
    let logs = logs(server);
    let differences = differences(book, &logs);
    assert!(
        differences.is_empty(),
        "{}\n{}",
        differences.join("\n"),
        server.report()
    );
    compare_over_quic(server, &logs);
}

/// Every log must be the same over QUIC as it was over HTTP.
fn compare_over_quic(server: &Server, logs: &Logs) {
    let quic = server.connect_quic();
    for (user, log) in logs {
        let mut rest = log.as_slice();
        let mut after = 0;
        loop {
            let page = quic.pull(user, after, PAGE).expect("a page over QUIC");
            assert!(
                page.entries.len() <= rest.len(),
                "{user} has more over QUIC"
            );
            let (now, later) = rest.split_at(page.entries.len());
            for (entry, http) in page.entries.iter().zip(now) {
                after += 1;
                let message = entry.as_message().expect("a message").expect("its bytes");
                let content: serde_json::Value =
                    serde_json::from_slice(&message.content).expect("JSON");
                assert_eq!(entry.seq.0, after, "the log of {user} over QUIC");
                assert_eq!(content, http["content"], "{user}, {after}");
                let id = hex::encode(message.server_msg_id);
                assert_eq!(http["serverMsgID"], id, "{user}, {after}");
                assert_eq!(http["time"], entry.time.0, "{user}, {after}");
                assert_eq!(http["sender"], message.sender, "{user}, {after}");
            }
            rest = later;
            if !page.head.more {
                break;
            }
        }
        assert!(rest.is_empty(), "{user} has less over QUIC, after {after}");
    }
}

/// What was answered and is not there any more. Changes nothing.
///
/// # Panics
/// When the logs cannot be pulled or have holes.
#[must_use]
pub fn lost(server: &Server, book: &Book) -> Vec<String> {
    missing(book, &logs(server))
}

/// The logs of everybody who has one.
fn logs(server: &Server) -> Logs {
    let mut admin = Api::admin(server);
    Message::users()
        .filter_map(|user| Some((user.clone(), admin.log_if_any(&user)?)))
        .collect()
}

/// One caller for each way.
struct Callers([(Way, Caller); 3]);

impl Callers {
    fn new(server: &Server) -> Callers {
        Callers(Way::ALL.map(|way| (way, Caller::new(server, way))))
    }

    fn ask(&mut self, message: Message, server: &Server) -> super::Answer {
        let found = self.0.iter_mut().find(|(way, _)| *way == message.way);
        let (_, caller) = found.expect("there is a caller for each way");
        match caller.send(message) {
            Ok(answer) => answer,
            Err(Failure::Refused(text) | Failure::Lost(text)) => {
                panic!(
                    "{message:?}, asked again with its key: {text}\n{}",
                    server.report()
                )
            }
        }
    }
}
