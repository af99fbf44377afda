//! Peers that are slow on purpose: with a head, a body, a hello, or with anything at all. Each is given up after its time,
//! while everybody else is served.

use std::net::SocketAddr;
use std::time::Duration;

use waybill_core::wire::Code;
use waybill_tests::harness::{Raw, RawQuic, head};

use crate::target::{Target, problem, v1_body};

/// Every patience of the server as short as it may be configured.
const IMPATIENT: &str =
    "[limits]\nheader_seconds = 1\nbody_seconds = 1\nidle_seconds = 1\nhandshake_seconds = 1\n";

/// Between two bytes of somebody who is slow.
const DRIP: Duration = Duration::from_millis(100);

fn assert_given_up(what: &str, raw: Raw) {
    let said = String::from_utf8_lossy(&raw.until_closed()).into_owned();
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "{what}: {said:?}"
    );
}

/// Whoever connects to a listener and does not say a whole head soon.
fn slow_heads_are_given_up(listener: &str, address: SocketAddr) {
    let mut half = Raw::connect(address);
    half.say(b"GET /v1/me HTTP/1.1\r\nHost: way").unwrap();
    let silent = Raw::connect(address);
    // Every byte is a sign of life, and still it takes too long.
    let mut dripping = Raw::connect(address);
    dripping.say(b"GET /v1/me HTTP/1.1\r\nx: ").unwrap();
    while dripping.say(b"y").is_ok() {
        std::thread::sleep(DRIP);
    }
    assert_given_up(&format!("{listener}: a dripping head"), dripping);
    assert_given_up(&format!("{listener}: silence"), silent);
    assert_given_up(&format!("{listener}: half a head"), half);
}

#[test]
fn slow_heads_and_silence_are_given_up_on_every_listener() {
    let mut target = Target::with(IMPATIENT);
    let address = target.server.http();
    std::thread::scope(|scope| {
        for (listener, address) in [
            ("http", address),
            ("ws", target.server.ws()),
            // Its patience is not configured: 10 s.
            ("ops", target.server.ops()),
        ] {
            scope.spawn(move || slow_heads_are_given_up(listener, address));
        }
    });
    let mut idle = Raw::connect(address);
    idle.say(head("GET", "/v1/me", &[], 0).as_bytes()).unwrap();
    assert_eq!(idle.answer().unwrap().status, 401);
    assert_given_up("nothing after an answer", idle);
    target.is_undisturbed();
}

#[test]
fn slow_bodies_are_refused() {
    let mut target = Target::with(IMPATIENT);
    let bearer = format!("Bearer {}", target.server.admin_token());
    let body = v1_body().to_string();
    for path in ["/v1/messages", "/manager/send_msg"] {
        let headers = [("Authorization", bearer.as_str())];
        let request = head("POST", path, &headers, body.len());
        let mut raw = Raw::connect(target.server.http());
        raw.say(request.as_bytes()).unwrap();
        raw.say(&body.as_bytes()[..body.len() - 1]).unwrap();
        let answer = raw.answer().unwrap();
        if path.starts_with("/v1") {
            problem("half a body", &answer, (408, "body-timeout"));
        } else {
            assert_eq!(answer.status, 408, "{}", answer.text());
            assert_eq!(answer.json()["errCode"], 400);
        }
        assert!(
            raw.until_closed().is_empty(),
            "{path}: nothing more is said"
        );
    }
    target.has_no_log_of("witness");
    target.is_undisturbed();
}

#[test]
fn slow_hellos_are_given_up() {
    let mut target = Target::with(IMPATIENT);
    let mut silent = RawQuic::connect(&target.server, waybill_core::wire::ALPN).unwrap();
    // A stream is not there for the other side before something is said on it.
    silent.say(&[9]);
    let (code, reason) = silent.closed();
    assert_eq!(code, u64::from(Code::HELLO_TIMEOUT.0), "{reason}");
    let nothing = RawQuic::connect(&target.server, waybill_core::wire::ALPN).unwrap();
    let (code, reason) = nothing.closed();
    assert_eq!(code, u64::from(Code::HELLO_TIMEOUT.0), "{reason}");
    target.is_undisturbed();
}
