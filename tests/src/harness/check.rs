//! Whether the logs hold exactly what was answered. It compares; it fetches nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::book::{Answer, Book};
use super::message::Message;

/// How many differences are listed.
const LISTED: usize = 12;

/// The logs of all users, whole and without holes.
pub(super) type Logs = BTreeMap<String, Vec<Value>>;

/// What is wrong with the logs, as far as the book knows. Every message in the book must have been answered.
pub(super) fn differences(book: &Book, logs: &Logs) -> Vec<String> {
    let all = book.all();
    let mut found = Vec::new();
    let mut places: HashMap<(u64, &str), u64> = HashMap::new();
    for (user, log) in logs {
        for entry in log {
            check_entry(user, entry, &all, &mut found);
            if let Some(number) = Message::number_in(&entry["content"]) {
                let times = places.entry((number, user.as_str())).or_default();
                *times += 1;
                if *times > 1 {
                    found.push(format!(
                        "message {number} stands {times} times in the log of {user}"
                    ));
                }
            }
        }
        check_shown(user, log, &book.shown(user), &mut found);
        check_conversations(user, log, &mut found);
    }
    for (message, answer) in &all {
        if answer.is_none() {
            found.push(format!("{message:?} was never answered"));
        }
    }
    found.extend(missing(book, logs));
    if found.len() > LISTED {
        let more = found.len() - LISTED;
        found.truncate(LISTED);
        found.push(format!("… and {more} more"));
    }
    found
}

/// What was answered and is not in the logs.
pub(super) fn missing(book: &Book, logs: &Logs) -> Vec<String> {
    let mut places = HashSet::new();
    for (user, log) in logs {
        let numbers = log
            .iter()
            .filter_map(|entry| Message::number_in(&entry["content"]));
        places.extend(numbers.map(|number| (number, user.as_str())));
    }
    let mut found = Vec::new();
    for (message, answer) in book.all() {
        let Some(answer) = answer else { continue };
        for user in message.logs() {
            if !places.contains(&(message.number, user.as_str())) {
                found.push(format!(
                    "{message:?} was answered with {answer:?}; {user} has it not"
                ));
            }
        }
    }
    found
}

/// An entry is a message that was sent, to or by the owner of the log, and is what was said and answered.
fn check_entry(
    user: &str,
    entry: &Value,
    all: &[(Message, Option<Answer>)],
    found: &mut Vec<String>,
) {
    let number = Message::number_in(&entry["content"]);
    let known = number.and_then(|number| all.get(usize::try_from(number).ok()?));
    let Some((message, Some(answer))) = known else {
        found.push(format!(
            "the log of {user} has what nobody has sent: {entry}"
        ));
        return;
    };
    let mut same = |what: &str, here: &Value, expected: Value| {
        if *here != expected {
            let place = format!("message {} in the log of {user}", message.number);
            found.push(format!("{place}: {what} is {here}, not {expected}"));
        }
    };
    same("content", &entry["content"], message.content());
    same(
        "contentType",
        &entry["contentType"],
        message.content_type().into(),
    );
    same("sender", &entry["sender"], message.sender().into());
    same(
        "serverMsgID",
        &entry["serverMsgID"],
        answer.server_msg_id.clone().into(),
    );
    same(
        "clientMsgID",
        &entry["clientMsgID"],
        answer.client_msg_id.clone().into(),
    );
    same("time", &entry["time"], answer.time.into());
    if let Some(seq) = answer.seq
        && message.receiver() == user
    {
        same("seq", &entry["seq"], seq.into());
    }
    if !message.logs().iter().any(|owner| owner == user) {
        found.push(format!(
            "message {} is no business of {user}",
            message.number
        ));
    }
}

/// What a reader was shown before is still there, in its place.
fn check_shown(user: &str, log: &[Value], shown: &[String], found: &mut Vec<String>) {
    if shown.len() > log.len() {
        let (shown, left) = (shown.len(), log.len());
        found.push(format!("{user} was shown {shown} entries and has {left}"));
    }
    for (entry, id) in log.iter().zip(shown) {
        if entry["serverMsgID"] != id.as_str() {
            found.push(format!("{user} was shown {id} where {entry} stands now"));
            return;
        }
    }
}

/// Conversation seqs are dense along each conversation.
fn check_conversations(user: &str, log: &[Value], found: &mut Vec<String>) {
    let mut last: HashMap<String, u64> = HashMap::new();
    for entry in log {
        let conversation = entry["conversation"].to_string();
        let last = last.entry(conversation).or_default();
        *last += 1;
        if entry["conversationSeq"] != *last {
            found.push(format!(
                "{user}: conversationSeq {last} should come at {entry}"
            ));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Logs, differences};
    use crate::harness::{Answer, Book, Message, Way};

    fn answer(message: Message, seq: u64) -> Answer {
        Answer {
            server_msg_id: format!("s{}", message.number),
            client_msg_id: format!("c{}", message.number),
            time: 7,
            seq: Some(seq),
            whole: String::new(),
        }
    }

    /// A book with answered notices, and the logs that go with it.
    fn good(count: u64) -> (Book, Logs) {
        let (book, mut logs) = (Book::default(), Logs::new());
        let mut next = || {
            let message = book.begin(Way::V1);
            for user in message.logs() {
                let log: &mut Vec<_> = logs.entry(user.clone()).or_default();
                let seq = log.len() as u64 + 1;
                if user == message.receiver() {
                    book.answered(message, answer(message, seq));
                }
                let place = [message.sender(), message.receiver()].join(" ");
                let mut before = log.iter().filter(|entry| entry["conversation"] == place);
                let conversation_seq = before.by_ref().count() as u64 + 1;
                log.push(json!({
                    "seq": seq, "content": message.content(), "sender": message.sender(),
                    "contentType": message.content_type(), "time": 7,
                    "serverMsgID": format!("s{}", message.number),
                    "clientMsgID": format!("c{}", message.number),
                    "conversation": place, "conversationSeq": conversation_seq,
                }));
            }
        };
        (0..count).for_each(|_| next());
        (book, logs)
    }

    fn any(logs: &mut Logs) -> &mut Vec<serde_json::Value> {
        logs.values_mut().max_by_key(|log| log.len()).unwrap()
    }

    #[test]
    fn every_kind_of_loss_is_found() {
        let (book, logs) = good(60);
        assert_eq!(differences(&book, &logs), Vec::<String>::new());
        let spoilt = |spoil: &dyn Fn(&Book, &mut Logs)| {
            let (book, mut logs) = good(60);
            spoil(&book, &mut logs);
            differences(&book, &logs).join("\n")
        };
        let lost = spoilt(&|_, logs| drop(any(logs).pop()));
        assert!(lost.contains("has it not"), "{lost}");
        let twice = spoilt(&|_, logs| {
            let log = any(logs);
            log.push(log[0].clone());
        });
        assert!(twice.contains("2 times"), "{twice}");
        let changed = spoilt(&|_, logs| any(logs)[0]["content"]["text"] = json!("x"));
        assert!(changed.contains("content is"), "{changed}");
        let strange = spoilt(&|_, logs| any(logs)[0]["content"] = json!({}));
        assert!(strange.contains("nobody has sent"), "{strange}");
        let moved = spoilt(&|_, logs| any(logs)[0]["seq"] = json!(9));
        assert!(moved.contains("seq is"), "{moved}");
        let other = spoilt(&|_, logs| any(logs)[0]["time"] = json!(8));
        assert!(other.contains("time is"), "{other}");
        let open = spoilt(&|book, _| {
            book.begin(Way::V2);
        });
        assert!(open.contains("never answered"), "{open}");
        let shown = spoilt(&|book, logs| {
            let (user, log) = logs.iter().next().unwrap();
            let ids = log
                .iter()
                .map(|entry| entry["serverMsgID"].as_str().unwrap().to_owned());
            book.seen(user, 0, ids.chain(["s-gone".to_owned()]));
        });
        assert!(shown.contains("was shown"), "{shown}");
    }
}
