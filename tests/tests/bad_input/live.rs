//! Sessions that follow a log as no client would, and what is no session at all.

use std::net::UdpSocket;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use waybill_core::wire::{ALPN, Capabilities, Device, Hello, ServerFrame};
use waybill_tests::harness::{PATIENCE, Raw, RawQuic, head};
use waybill_tests::live::{Ask, Got, Session, Transport};

use crate::target::Target;

/// Sessions of each transport that never read.
const DEAF: usize = 16;

/// Messages in the log that they follow, and the text of each, in bytes: 24 MB.
const MESSAGES: u64 = 400;
const LONG: usize = 60_000;

/// What they may cost the server in all, in KiB: mostly what the allocator keeps for the threads that read. What they all have not
/// read is 1.5 GB.
const COST: u64 = 256 * 1_024;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn ask(target: &Target, token: &str, epoch: &str, device: &str) -> Ask {
    Ask::new(&target.server, epoch, token, "ann", device)
}

#[test]
fn sessions_that_never_read_cost_little_and_hold_nobody_up() {
    let mut target = Target::with("[limits]\nconnections_per_user = 200\n");
    let text = "x".repeat(LONG);
    for number in 0..MESSAGES {
        let content = json!({ "text": text, "number": number });
        let body = json!({ "to": { "user": "ann" }, "contentType": 101, "content": content });
        let body = body.to_string();
        let sent = target
            .admin
            .v1("POST", "/v1/messages", None, body.as_bytes());
        assert_eq!(sent.unwrap().status, 200);
    }
    let token = target.admin.token_of("ann");
    let page = target.admin.get("/v1/users/ann/log?limit=1");
    let epoch = page["epoch"].as_str().unwrap().to_owned();
    // Once through the log, so that what the server remembers of it is there before.
    let runtime = runtime();
    let reader = ask(&target, &token, &epoch, "reader");
    let read_all = |transport| {
        runtime.block_on(async {
            let mut session = Session::open(transport, &reader, 0).await.unwrap();
            let mut seq = 0;
            while seq < MESSAGES {
                let got = timeout(PATIENCE, session.next()).await;
                match got.expect("something in time") {
                    Got::Entries(entries) => {
                        for entry in entries {
                            seq += 1;
                            assert_eq!(entry.seq, seq, "{transport:?}");
                        }
                    }
                    Got::Nothing => {}
                    other => panic!("{transport:?}: {other:?}"),
                }
            }
        });
    };
    Transport::ALL
        .iter()
        .for_each(|transport| read_all(*transport));
    let before = target.server.resident_kib();
    let mut polls = Vec::new();
    let mut sessions = Vec::new();
    for number in 0..DEAF {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        let mut poll = Raw::connect(target.server.http());
        let path = "/v1/users/ann/log?limit=1000&wait=60";
        poll.say(head("GET", path, &headers, 0).as_bytes()).unwrap();
        polls.push(poll);
        for transport in [Transport::Sse, Transport::WebSocket, Transport::Quic] {
            let deaf = ask(&target, &token, &epoch, &format!("deaf-{number}"));
            let opened = runtime.block_on(Session::open(transport, &deaf, 0));
            sessions.push(opened.unwrap());
        }
    }
    // Meanwhile others get theirs, over every transport, and the server has time to write what nobody takes.
    Transport::ALL
        .iter()
        .for_each(|transport| read_all(*transport));
    target.is_undisturbed();
    let cost = target.server.resident_kib().saturating_sub(before);
    println!("{} sessions that never read: {cost} KiB", 4 * DEAF);
    assert!(cost < COST, "{cost} KiB");
    // And those who begin to read get everything.
    for session in &mut sessions {
        let got = runtime.block_on(async {
            loop {
                match timeout(PATIENCE, session.next()).await.unwrap() {
                    Got::Nothing => {}
                    got => break got,
                }
            }
        });
        let Got::Entries(entries) = got else {
            panic!("{got:?}");
        };
        assert_eq!(entries[0].seq, 1);
    }
}

#[test]
fn datagrams_that_nobody_asked_for_are_dropped() {
    let mut target = Target::new();
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    for bytes in [0, 1, 20, 1_200, 1_472, 9_000, 65_507] {
        for byte in [0, 0x40, 0xc0, 0xff] {
            let datagram = vec![byte; bytes];
            noise.send_to(&datagram, target.server.quic()).unwrap();
        }
    }
    let mut raw = RawQuic::connect(&target.server, ALPN).unwrap();
    raw.say_frame(&Hello {
        token: target.server.admin_token(),
        device: Device::default(),
        software: String::new(),
        capabilities: Capabilities::ONLINE,
    });
    assert!(matches!(raw.next_frame(), Some(ServerFrame::Welcome(_))));
    // A server takes no datagrams that say anything and tells so in the handshake; one longer than the path is no other case.
    for bytes in [1, 1_000, 100_000] {
        let refused = raw.datagram(vec![7; bytes]);
        assert!(
            matches!(refused, Err(quinn::SendDatagramError::TooLarge)),
            "{bytes}: {refused:?}"
        );
    }
    target.is_undisturbed();
}
