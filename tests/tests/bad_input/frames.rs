//! Frames of `waybill/1` that no client would send: too long, no frames at all, out of turn; and requests in good frames that
//! ask for what cannot be.

use waybill_client::Outgoing;
use waybill_core::id::Seq;
use waybill_core::wire::{
    ALPN, Bye, Capabilities, Code, Device, Hello, Kind, MAX_CLIENT_FRAME, MAX_HELLO_FRAME, Pull,
    SendBatch, ServerFrame,
};
use waybill_tests::harness::{Quic, RawQuic};

use crate::target::{Target, bad_ids};

fn hello(token: &str) -> Hello {
    Hello {
        token: token.to_owned(),
        device: Device::default(),
        software: "bad input".to_owned(),
        capabilities: Capabilities::NONE,
    }
}

/// A frame by hand: what its length says, its kind and its payload.
fn frame(length: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(payload);
    bytes
}

fn pull(request: u64, limit: u32) -> Pull {
    Pull {
        request,
        user: String::new(),
        after: Seq(0),
        limit,
    }
}

/// The server must end the connection with this code, and say why.
fn ended(what: &str, raw: &mut RawQuic, code: Code) {
    let mut said = None;
    while let Some(frame) = raw.next_frame() {
        said = Some(frame);
    }
    if let Some(ServerFrame::Bye(Bye {
        code: told, reason, ..
    })) = &said
    {
        assert_eq!(*told, code, "{what}: {reason}");
    }
    let (closed, reason) = raw.closed();
    assert_eq!(
        closed,
        u64::from(code.0),
        "{what}: {reason}, after {said:?}"
    );
    assert!(!reason.is_empty(), "{what}");
}

#[test]
fn before_the_hello_only_a_hello_is_taken() {
    let mut target = Target::new();
    let too_long = u32::try_from(MAX_HELLO_FRAME + 1).unwrap();
    let mut early = Vec::new();
    waybill_core::wire::write(&pull(1, 10), MAX_CLIENT_FRAME, &mut early).unwrap();
    for (what, bytes, code) in [
        ("noise", vec![0xff; 64], Code::FRAME_TOO_LONG),
        (
            "text",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            Code::FRAME_TOO_LONG,
        ),
        ("an empty frame", vec![0; 4], Code::MALFORMED_FRAME),
        (
            "too long for a hello",
            too_long.to_le_bytes().to_vec(),
            Code::FRAME_TOO_LONG,
        ),
        (
            "a hello of noise",
            frame(9, Kind::Hello as u8, &[0xff; 8]),
            Code::MALFORMED_FRAME,
        ),
        (
            "half a hello's fields",
            frame(2, Kind::Hello as u8, &[0]),
            Code::MALFORMED_FRAME,
        ),
        ("a pull", early, Code::HELLO_EXPECTED),
        (
            "a kind of the future",
            frame(1, 200, &[]),
            Code::HELLO_EXPECTED,
        ),
    ] {
        let mut raw = RawQuic::connect(&target.server, ALPN).unwrap();
        raw.say(&bytes);
        ended(what, &mut raw, code);
    }
    let mut raw = RawQuic::connect(&target.server, ALPN).unwrap();
    raw.say(&[9, 0, 0, 0, Kind::Hello as u8]);
    raw.finish();
    ended("an end within a frame", &mut raw, Code::STREAM_BROKEN);
    let other = RawQuic::connect(&target.server, b"waybill/9");
    assert!(
        other.is_err(),
        "another version of the protocol has another name"
    );
    target.is_undisturbed();
}

#[test]
fn frames_out_of_turn_or_out_of_shape_end_the_connection() {
    let mut target = Target::new();
    let token = target.server.admin_token();
    let too_long = u32::try_from(MAX_CLIENT_FRAME + 1).unwrap();
    let mut second = Vec::new();
    waybill_core::wire::write(&hello(&token), MAX_HELLO_FRAME, &mut second).unwrap();
    // A batch that says that it has 2^60 messages: refused before anything is set aside for them.
    let mut endless = vec![1, 0xfd];
    endless.extend_from_slice(&(1_u64 << 60).to_le_bytes());
    let endless = frame(endless.len() as u32 + 1, Kind::SendBatch as u8, &endless);
    let mut batch = Vec::new();
    let messages = vec![Outgoing::default(); 1_025];
    SendBatch {
        request: 1,
        messages,
    }
    .write(&mut batch)
    .unwrap();
    for (what, bytes, code) in [
        ("noise", vec![0xff; 4_096], Code::FRAME_TOO_LONG),
        (
            "a frame too long",
            too_long.to_le_bytes().to_vec(),
            Code::FRAME_TOO_LONG,
        ),
        ("an empty frame", vec![0; 4], Code::MALFORMED_FRAME),
        ("a second hello", second, Code::HELLO_REPEATED),
        (
            "a welcome",
            frame(1, Kind::Page as u8, &[]),
            Code::UNEXPECTED_FRAME,
        ),
        (
            "a pull of noise",
            frame(9, Kind::Pull as u8, &[0xff; 8]),
            Code::MALFORMED_FRAME,
        ),
        (
            "a send of noise",
            frame(9, Kind::Send as u8, &[0xfe; 8]),
            Code::MALFORMED_FRAME,
        ),
        (
            "text that is none",
            frame(6, Kind::Pull as u8, &[1, 2, 0xc3, 0x28, 0]),
            Code::MALFORMED_FRAME,
        ),
        (
            "a pull with a tail",
            frame(6, Kind::Pull as u8, &[1, 0, 0, 10, 7]),
            Code::MALFORMED_FRAME,
        ),
        ("a batch without end", endless, Code::MALFORMED_FRAME),
        ("a batch too long", batch, Code::MALFORMED_FRAME),
    ] {
        let mut raw = RawQuic::connect(&target.server, ALPN).unwrap();
        raw.say_frame(&hello(&token));
        assert!(
            matches!(raw.next_frame(), Some(ServerFrame::Welcome(_))),
            "{what}"
        );
        raw.say(&bytes);
        ended(what, &mut raw, code);
    }
    target.is_undisturbed();
}

#[test]
fn kinds_of_the_future_are_skipped() {
    let mut target = Target::new();
    let mut raw = RawQuic::connect(&target.server, ALPN).unwrap();
    raw.say_frame(&hello(&target.server.admin_token()));
    assert!(matches!(raw.next_frame(), Some(ServerFrame::Welcome(_))));
    raw.say(&frame(1_001, 200, &[7; 1_000]));
    raw.say(&frame(1, 255, &[]));
    raw.say_frame(&pull(5, 10));
    match raw.next_frame() {
        Some(ServerFrame::Page(page)) => assert_eq!(page.head.request, 5),
        other => panic!("{other:?}"),
    }
    target.is_undisturbed();
}

#[test]
fn a_refused_hello_says_why_before_it_ends() {
    let mut target = Target::new();
    let mut raw = RawQuic::connect(&target.server, ALPN).unwrap();
    raw.say_frame(&hello("a.b.c"));
    match raw.next_frame() {
        Some(ServerFrame::Refused(refused)) => {
            assert_eq!(
                (refused.request, refused.failure.code),
                (0, Code::TOKEN_MALFORMED)
            );
        }
        other => panic!("{other:?}"),
    }
    ended("a refused hello", &mut raw, Code::TOKEN_MALFORMED);
    for (what, device) in [
        ("a long device", "d".repeat(65)),
        ("an odd device", "a\nb".into()),
    ] {
        let mut hello = hello(&target.server.admin_token());
        hello.device.id = device;
        let mut raw = RawQuic::connect(&target.server, ALPN).unwrap();
        raw.say_frame(&hello);
        ended(what, &mut raw, Code::INVALID_ID);
    }
    target.is_undisturbed();
}

fn code<T: std::fmt::Debug>(what: &str, result: Result<T, waybill_client::Error>, expected: Code) {
    match result {
        Err(waybill_client::Error::Refused(failure)) => {
            assert_eq!(failure.code, expected, "{what}: {}", failure.message);
            assert!(!failure.message.is_empty(), "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn pulls_of_what_cannot_be_are_refused() {
    let mut target = Target::new();
    target.admin.send_text("ann", "one");
    target.admin.send_text("bob", "one");
    let token = target.admin.token_of("ann");
    let ann = Quic::connect(&target.server, &token).unwrap();
    for limit in [0, 1_001, 1_000_000_000, u32::MAX] {
        code("a limit", ann.pull("", 0, limit), Code::INVALID_FIELD);
    }
    for after in [2, u64::MAX] {
        code("a place", ann.pull("", after, 10), Code::AHEAD);
        code("a cursor", ann.acknowledge(after), Code::AHEAD);
        code("a tail", ann.tail("", after).map(drop), Code::AHEAD);
    }
    for user in ["bob", "nobody"] {
        code(user, ann.pull(user, 0, 10), Code::FORBIDDEN);
        code(user, ann.tail(user, 0).map(drop), Code::FORBIDDEN);
    }
    let admin = target.server.connect_quic();
    code("nobody", admin.pull("nobody", 0, 10), Code::UNKNOWN_USER);
    assert_eq!(
        ann.pull("", 0, 10).unwrap().entries.len(),
        1,
        "the connection goes on"
    );
    assert_eq!(ann.acknowledge(1).unwrap(), 1);
    target.is_undisturbed();
}

#[test]
fn sends_that_cannot_be_are_refused() {
    let mut target = Target::new();
    let quic = target.server.connect_quic();
    let good = Outgoing {
        receiver: "quic".to_owned(),
        content_type: 101,
        content: br#"{"text":"good"}"#.to_vec(),
        ..Outgoing::default()
    };
    let other = |change: &dyn Fn(&mut Outgoing)| {
        let mut message = good.clone();
        change(&mut message);
        message
    };
    let content = |text: &str| other(&|message| message.content = text.as_bytes().to_vec());
    let mut cases = vec![
        (
            "contentType 0",
            other(&|it| it.content_type = 0),
            Code::UNKNOWN_CONTENT_TYPE,
        ),
        (
            "contentType 1401",
            other(&|it| it.content_type = 1_401),
            Code::UNKNOWN_CONTENT_TYPE,
        ),
        ("no JSON", content("hello"), Code::MALFORMED),
        ("two values", content("{}{}"), Code::MALFORMED),
        ("no object", content("[]"), Code::CONTENT_SHAPE),
        ("an empty object", content("{}"), Code::CONTENT_RULES),
        (
            "deep",
            content(&format!("{{\"text\":{}1", "[".repeat(60_000))),
            Code::MALFORMED,
        ),
        (
            "no UTF-8",
            other(&|it| it.content = vec![b'"', 0xff, b'"']),
            Code::MALFORMED,
        ),
        (
            "no receiver",
            other(&|it| it.receiver.clear()),
            Code::INVALID_ID,
        ),
        (
            "long",
            content(&format!(r#"{{"text":"{}"}}"#, "t".repeat(1 << 16))),
            Code::CONTENT_TOO_LARGE,
        ),
        (
            "a long name",
            other(&|it| it.sender_nickname = "n".repeat(5_000)),
            Code::INVALID_FIELD,
        ),
        (
            "a name that turns the text around it",
            other(&|it| it.sender_nickname = "a\u{202e}b".to_owned()),
            Code::INVALID_FIELD,
        ),
        (
            "a picture of data",
            other(&|it| it.sender_face_url = "data:image/svg+xml,x".to_owned()),
            Code::INVALID_FIELD,
        ),
        (
            "a picture that runs something",
            other(&|it| {
                it.content_type = 102;
                it.content = br#"{"sourcePicture":{"url":"javascript:1"}}"#.to_vec();
            }),
            Code::CONTENT_RULES,
        ),
        (
            "a picture without a picture",
            other(&|it| {
                it.content_type = 102;
                it.content = b"{}".to_vec();
            }),
            Code::CONTENT_RULES,
        ),
        (
            "a kind of conversation",
            other(&|it| it.conversation_kind = 9),
            Code::UNKNOWN_SESSION_TYPE,
        ),
    ];
    for id in bad_ids() {
        cases.push((
            "a receiver",
            other(&|it| it.receiver.clone_from(&id)),
            Code::INVALID_ID,
        ));
        cases.push((
            "a sender",
            other(&|it| it.sender.clone_from(&id)),
            Code::INVALID_ID,
        ));
        cases.push((
            "a key",
            other(&|it| it.key.clone_from(&id)),
            Code::INVALID_ID,
        ));
        cases.push((
            "an id",
            other(&|it| it.client_msg_id.clone_from(&id)),
            Code::INVALID_ID,
        ));
    }
    for (what, message, expected) in cases {
        code(what, quic.send(message), expected);
    }
    let keyed = other(&|it| it.key = "k".to_owned());
    let first = quic.send(keyed.clone()).unwrap();
    let again = quic.send(keyed.clone()).unwrap();
    assert_eq!(
        (first.server_msg_id, first.time, first.seq),
        (again.server_msg_id, again.time, again.seq)
    );
    assert!(!first.repeated && again.repeated);
    let mut reused = keyed;
    reused.content = br#"{"text":"other"}"#.to_vec();
    code("a key", quic.send(reused), Code::KEY_REUSED);
    assert_eq!(target.admin.log("quic").len(), 1);

    let token = target.admin.token_of("ann");
    let ann = Quic::connect(&target.server, &token).unwrap();
    code(
        "as somebody else",
        ann.send(other(&|it| it.sender = "bob".into())),
        Code::FORBIDDEN,
    );
    target.is_undisturbed();
}
