//! SIGTERM: the server ends by itself, soon and well, whatever it has answered is there, and those who wait are told.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use waybill_core::wire::Code;
use waybill_tests::harness::{Api, Book, Load, Mix, PATIENCE, Server, dice, settle, verify};

/// Longest time that a stop may take: an orchestrator kills after 30 s.
const STOP: Duration = Duration::from_secs(20);

#[test]
fn a_stop_under_load_is_orderly() {
    let mut dice = dice();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let book = Arc::new(Book::default());
    for _ in 0..3 {
        let server = Server::start(&data);
        settle(&server, &book, &mut dice);
        let load = Load::start(&server, &book, Mix::default());
        // Those who only listen must not hold up the end: an idle connection, a tail.
        let mut admin = Api::admin(&server);
        let quic = server.connect_quic();
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
        // What is refused is refused because of the stop, and was not done.
        for refusal in book.refusals() {
            let stopping = refusal.contains("stopping") || refusal.contains("STOPPING");
            assert!(stopping, "{refusal}");
        }
        verify(&data, directory.path());
    }
    let server = Server::start(&data);
    settle(&server, &book, &mut dice);
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
