//! Disks in trouble: full, failing or slow. A server that cannot write stops answering and ends; whatever it had answered is
//! there when the disk is well again.

use std::sync::Arc;
use std::time::Duration;

use waybill_tests::faultfs::{Options, Sandbox, Survivors};
use waybill_tests::harness::{
    Book, Load, Mix, PATIENCE, Server, Starting, dice, settle, verify, verify_after_cut,
};

/// The exit code of a server whose store has failed.
const STORE_FAILED: Option<i32> = Some(70);

fn sandbox() -> Sandbox {
    Sandbox::new(&Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs load until the trouble that `begin` makes ends the server. Returns what the server said.
fn until_it_fails(server: Server, book: &Arc<Book>, begin: impl FnOnce()) -> String {
    let before = book.count();
    let load = Load::start(&server, book, Mix::default());
    book.wait_for(before + 100, PATIENCE);
    begin();
    let exited = server.wait(PATIENCE);
    load.end();
    assert_eq!(exited.code, STORE_FAILED, "{}", exited.stderr);
    for refusal in book.refusals() {
        let honest = [
            "outcome-unknown",
            "OUTCOME_UNKNOWN",
            "stopping",
            "STOPPING",
            "\"errCode\":500",
        ];
        assert!(
            honest.iter().any(|word| refusal.contains(word)),
            "{refusal}"
        );
    }
    exited.stderr
}

#[test]
fn on_a_full_disk_it_stops_and_keeps_what_it_has_answered() {
    let mut dice = dice();
    let sandbox = sandbox();
    let data = sandbox.path("data");
    let book = Arc::new(Book::default());
    for kib in [0, 7, 300] {
        let server = Server::start(&data);
        settle(&server, &book, &mut dice);
        let said = until_it_fails(server, &book, || sandbox.fs.set_space_left(Some(kib << 10)));
        assert!(said.contains("No space left"), "{said}");
        // The disk is still full: a start says so, and harms nothing.
        sandbox.fs.set_space_left(Some(0));
        if let Err(exited) = Starting::spawn(&data, "").ready() {
            assert_ne!(exited.code, Some(0));
            assert!(exited.stderr.contains("No space left"), "{}", exited.stderr);
        }
        sandbox.fs.power_cut(Survivors::Nothing).unwrap();
        sandbox.fs.set_space_left(None);
        verify_after_cut(&data, sandbox.outside());
    }
    let server = Server::start(&data);
    settle(&server, &book, &mut dice);
    server.verify_beside(sandbox.outside());
}

#[test]
fn after_a_failed_sync_nothing_is_answered_any_more() {
    let mut dice = dice();
    let sandbox = sandbox();
    let data = sandbox.path("data");
    let book = Arc::new(Book::default());
    for _ in 0..4 {
        let server = Server::start_with(&data, "[recovery]\nrecords = 500\n");
        settle(&server, &book, &mut dice);
        let before = dice.up_to(60);
        println!("the sync after {before} more fails");
        until_it_fails(server, &book, || sandbox.fs.fail_syncs(before, 1));
        // What the failed sync should have saved is given up by the disk; a later sync would not bring it back.
        sandbox.fs.power_cut(Survivors::Nothing).unwrap();
        verify_after_cut(&data, sandbox.outside());
    }
    let server = Server::start(&data);
    settle(&server, &book, &mut dice);
    server.verify_beside(sandbox.outside());
}

#[test]
fn with_slow_syncs_it_still_sends() {
    let mut dice = dice();
    let sandbox = sandbox();
    let data = sandbox.path("data");
    let book = Arc::new(Book::default());
    let server = Server::start(&data);
    sandbox.fs.set_sync_delay(Duration::from_millis(10));
    let load = Load::start(&server, &book, Mix::default());
    book.wait_for(500, PATIENCE);
    load.finish();
    assert_eq!(book.refusals(), Vec::<String>::new());
    settle(&server, &book, &mut dice);
    server.stop();
    verify(&data, sandbox.outside());
}
