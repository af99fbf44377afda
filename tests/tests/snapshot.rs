//! An auditor beside a running server: copies that the operators' listener takes under load are whole, of one moment, and
//! verify clean, while sends go on.

use std::sync::Arc;

use waybill_tests::harness::{
    Book, Http, Load, Mix, PATIENCE, Response, Server, dice, report, settle, verify,
};

fn take(server: &Server) -> Response {
    let headers = [("Content-Type", "application/json")];
    Http::new(server.ops())
        .request("POST", "/snapshot", &headers, b"")
        .unwrap()
}

#[test]
fn snapshots_under_load_verify_clean() {
    let mut dice = dice();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let book = Arc::new(Book::default());
    let server = Server::start(&data);
    let load = Load::start(&server, &book, Mix::default());
    let mut last = 0;
    for round in 1..=3 {
        book.wait_for(round * 200, PATIENCE);
        let position = server.verify_beside(directory.path());
        assert!(position > last, "sends go on");
        last = position;
    }
    load.finish();
    assert_eq!(book.refusals(), Vec::<String>::new());
    settle(&server, &book, &mut dice);
    server.stop();
    verify(&data, directory.path());
}

#[test]
fn a_directory_in_use_is_not_verified_and_a_script_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let (code, report) = report(&data, directory.path());
    assert_eq!(code, Some(2), "{report}");
    assert_eq!(report["verdict"], "unknown");
    assert_eq!(report["reason"], "failed");
    assert!(!report["error"].as_str().unwrap().is_empty());
    server.stop();
    verify(&data, directory.path());
}

#[test]
fn snapshots_are_asked_for_on_purpose_and_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut ops = Http::new(server.ops());
    let from_a_web_page = ops.request("POST", "/snapshot", &[], b"").unwrap();
    assert_eq!(from_a_web_page.status, 415, "{}", from_a_web_page.text());
    assert_eq!(ops.get("/snapshot").unwrap().status, 405);
    assert_eq!(ops.get("/nothing").unwrap().status, 404);
    let taken = (0..20)
        .map(|_| take(&server))
        .take_while(|answer| answer.status == 200)
        .count();
    assert!((1..20).contains(&taken), "{taken}");
    let full = take(&server);
    assert_eq!(full.status, 503, "{}", full.text());
    assert!(full.text().contains("remove those"), "{}", full.text());
    server.stop();
}
