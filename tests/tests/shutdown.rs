//! SIGTERM: the server ends by itself, soon and well, whatever it has answered is there, and those who wait are told.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use waybill_core::wire::Code;
use waybill_tests::harness::{
    Api, Book, Http, Load, Mix, PATIENCE, Raw, Server, dice, head, settle, verify,
};
use waybill_tests::live::{Ask, Entry, Got, Session, Transport};

/// Longest time that a stop may take: an orchestrator kills after 30 s.
const STOP: Duration = Duration::from_secs(20);

/// What a stopping server may tell a session to wait before it comes again, in milliseconds.
const HINTS: std::ops::RangeInclusive<u64> = 500..=10_000;

/// Sessions that follow a log of a test, over every transport.
struct Followers {
    runtime: Runtime,
    tasks: Vec<(Transport, JoinHandle<Followed>)>,
}

/// What a session has brought, and its end: the name of the code and when to come again, where it was told.
struct Followed {
    log: Vec<Entry>,
    end: Option<(String, u64)>,
}

async fn follow(transport: Transport, ask: Ask) -> Followed {
    let session = Session::open(transport, &ask, 0).await;
    let mut session = session.unwrap_or_else(|why| panic!("{transport:?}: {why:?}"));
    let mut log = Vec::new();
    loop {
        match session.next().await {
            Got::Entries(entries) => {
                for entry in entries {
                    assert_eq!(entry.seq, log.len() as u64 + 1, "{transport:?}");
                    log.push(entry);
                }
            }
            Got::Nothing => {}
            Got::Bye(name, retry) => {
                let end = Some((name, retry));
                return Followed { log, end };
            }
            Got::Gone => return Followed { log, end: None },
        }
    }
}

/// The log of a user as somebody asks for it on each device.
fn ask(server: &Server, user: &str, device: &str) -> Ask {
    let mut admin = Api::admin(server);
    let token = admin.token_of(user);
    let page = admin.get(&format!("/v1/users/{user}/log?limit=1"));
    Ask::new(
        server,
        page["epoch"].as_str().unwrap(),
        &token,
        user,
        device,
    )
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

impl Followers {
    fn start(server: &Server, user: &str) -> Followers {
        let runtime = runtime();
        let ask = ask(server, user, "device");
        let tasks = Transport::ALL.map(|it| (it, runtime.spawn(follow(it, ask.clone()))));
        Followers {
            runtime,
            tasks: tasks.into(),
        }
    }

    /// Waits until each has ended.
    fn end(self) -> Vec<(Transport, Followed)> {
        let ended = self.tasks.into_iter().map(|(transport, task)| {
            let followed = async { timeout(PATIENCE, task).await };
            let followed = self.runtime.block_on(followed);
            (transport, followed.expect("an end").expect("no panic"))
        });
        ended.collect()
    }
}

/// Every session but a poll, which is answered, was told to come again, each at a time of its own.
fn were_told(followed: &[(Transport, Followed)]) {
    for (transport, followed) in followed {
        match (transport, &followed.end) {
            (Transport::LongPoll, None) => {}
            (Transport::LongPoll, Some((name, _))) => assert_eq!(name, "STOPPING"),
            (_, Some((name, hint))) => {
                assert_eq!(name, "STOPPING", "{transport:?}");
                assert!(HINTS.contains(hint), "{transport:?}: {hint}");
            }
            (_, None) => panic!("{transport:?} was told nothing"),
        }
    }
}

#[test]
fn a_stop_under_load_is_orderly() {
    let mut dice = dice();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let book = Arc::new(Book::default());
    let mut shown: Vec<Vec<Entry>> = Vec::new();
    for _ in 0..3 {
        let server = Server::start(&data);
        settle(&server, &book, &mut dice);
        let load = Load::start(&server, &book, Mix::default());
        // Those who only listen must not hold up the end: an idle connection, a tail.
        let mut admin = Api::admin(&server);
        let quic = server.connect_quic();
        admin.token_of("user-0");
        let followers = Followers::start(&server, "user-0");
        book.wait_for(book.count() + 300, PATIENCE);
        let head = admin.log("user-0").len();
        let tail = quic.tail("user-0", head as u64).unwrap();
        server.ask_to_stop();
        let exited = server.wait(STOP);
        assert_eq!(exited.code, Some(0), "{}", exited.stderr);
        load.end();
        drop(tail);
        assert_eq!(
            quic.closed().code(),
            Some(Code::STOPPING),
            "clients are told why"
        );
        let followed = followers.end();
        were_told(&followed);
        shown.extend(followed.into_iter().map(|(_, followed)| followed.log));
        // What is refused is refused because of the stop, and was not done.
        for refusal in book.refusals() {
            let stopping = refusal.contains("stopping") || refusal.contains("STOPPING");
            assert!(stopping, "{refusal}");
        }
        verify(&data, directory.path());
    }
    let server = Server::start(&data);
    settle(&server, &book, &mut dice);
    let log = Api::admin(&server).log("user-0");
    let log: Vec<_> = log.iter().map(Entry::read).collect();
    for shown in shown {
        assert_eq!(shown, log[..shown.len()], "what was shown is there");
    }
}

#[test]
fn readiness_goes_first_and_what_has_begun_is_finished() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut ops = Http::new(server.ops());
    let mut admin = Api::admin(&server);
    admin.token_of("ann");
    let followers = Followers::start(&server, "ann");
    // Somebody who has not said all of it yet.
    let bearer = format!("Bearer {}", server.admin_token());
    let body = json!({"to": {"user": "bob"}, "contentType": 101, "content": {"text": "late"}});
    let body = body.to_string();
    let headers = [("Authorization", bearer.as_str())];
    let mut late = Raw::connect(server.http());
    let request = head("POST", "/v1/messages", &headers, body.len());
    late.say(request.as_bytes()).unwrap();
    let (most, rest) = body.as_bytes().split_at(body.len() - 1);
    late.say(most).unwrap();
    assert_eq!(ops.get("/readyz").unwrap().status, 200);
    // A session that is there gets this.
    let text = json!({"text": "last", "number": 1});
    let last = json!({"to": {"user": "ann"}, "contentType": 101, "content": text});
    let sent = admin.v1("POST", "/v1/messages", None, last.to_string().as_bytes());
    assert_eq!(sent.unwrap().status, 200);
    drop(admin);
    std::thread::sleep(Duration::from_millis(500));
    server.ask_to_stop();
    let followed = followers.end();
    // Whoever is sent away finds no balancer that would send them back here.
    assert_eq!(ops.get("/readyz").unwrap().status, 503);
    assert_eq!(ops.get("/livez").unwrap().status, 200);
    were_told(&followed);
    for (transport, followed) in followed {
        assert_eq!(followed.log.len(), 1, "{transport:?}");
    }
    late.say(rest).unwrap();
    let answer = late.answer().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let exited = server.wait(STOP);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let server = Server::start(directory.path());
    assert_eq!(Api::admin(&server).log("bob").len(), 1, "it was answered");
}

#[test]
fn peers_that_take_nothing_do_not_hold_up_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut admin = Api::admin(&server);
    let text = "x".repeat(60_000);
    for number in 0..200 {
        let content = json!({ "text": text, "number": number });
        let body = json!({ "to": { "user": "ann" }, "contentType": 101, "content": content });
        let sent = admin.v1("POST", "/v1/messages", None, body.to_string().as_bytes());
        assert_eq!(sent.unwrap().status, 200);
    }
    let runtime = runtime();
    let mut sessions = Vec::new();
    for transport in [Transport::Sse, Transport::WebSocket, Transport::Quic] {
        let ask = ask(&server, "ann", "deaf");
        let session = runtime.block_on(Session::open(transport, &ask, 0));
        sessions.push(session.unwrap_or_else(|why| panic!("{transport:?}: {why:?}")));
    }
    // An answer that is far longer than what the system takes for a peer.
    let bearer = format!("Bearer {}", server.admin_token());
    let mut poll = Raw::connect(server.http());
    for _ in 0..20 {
        let path = "/v1/users/ann/log?limit=1000";
        let request = head("GET", path, &[("Authorization", &bearer)], 0);
        poll.say(request.as_bytes()).unwrap();
    }
    drop(admin);
    std::thread::sleep(Duration::from_millis(500));
    server.ask_to_stop();
    let exited = server.wait(STOP);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    drop((sessions, poll));
}

#[test]
fn a_long_poll_is_answered_when_the_server_stops() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(directory.path(), "[limits]\nconnections_per_user = 1\n");
    let address = server.http();
    let token = Api::admin(&server).token_of("ann");
    let waiting = token.clone();
    let poll = std::thread::spawn(move || {
        let mut ann = Api::new(address, waiting);
        loop {
            let page = ann
                .v1("GET", "/v1/users/ann/log?after=0&wait=60", None, b"")
                .unwrap();
            // The place was taken by the other poll, for a moment.
            if page.status != 503 {
                return page;
            }
        }
    });
    // Another poll is one too many as soon as the first one waits.
    let mut other = Api::new(address, token);
    let mut is_waiting = || {
        let page = other
            .v1("GET", "/v1/users/ann/log?after=0&wait=1", None, b"")
            .unwrap();
        page.status == 503
    };
    assert!(
        (0..PATIENCE.as_secs()).any(|_| is_waiting()),
        "the poll does not wait"
    );
    server.ask_to_stop();
    let exited = server.wait(STOP);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let page = poll.join().unwrap();
    assert_eq!(page.status, 200, "{}", page.text());
    let page = page.json();
    assert_eq!(
        (&page["entries"], &page["more"]),
        (&json!([]), &json!(false))
    );
}

#[test]
fn a_server_that_is_told_to_stop_while_it_starts_ends_well() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..10 {
        // Ready is when its addresses stand on its output: from then on a signal must be heard.
        let server = Server::start(directory.path());
        server.stop();
    }
}
