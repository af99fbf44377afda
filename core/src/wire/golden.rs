//! The golden vectors: the same frames as in `tests/golden/v1/wire.json`, byte for byte. That file was written by the Python
//! script beside it, from `docs/protocol.md`; a released frame never changes.

use super::*;
use crate::body::OfflinePush;
use crate::fact::Options;
use crate::id::{ConversationSeq, Epoch, Seq, Time};

const VECTORS: &str = include_str!("../../../tests/golden/v1/wire.json");

/// Name and bytes of each vector, in order; the file has one key a line.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let value = |line: &str, key: &str| {
        let text = line.trim().strip_prefix(key)?.strip_prefix(": \"")?;
        Some(text.trim_end_matches(',').trim_end_matches('"').to_owned())
    };
    let unhex = |text: String| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    let names = VECTORS
        .lines()
        .filter(|line| line.starts_with("   \"name\""));
    let bytes = VECTORS
        .lines()
        .filter(|line| line.starts_with("   \"bytes\""));
    names
        .map(|line| value(line, "\"name\"").unwrap())
        .zip(bytes.map(|line| unhex(value(line, "\"bytes\"").unwrap())))
        .collect()
}

fn epoch() -> Epoch {
    Epoch([
        0, 1, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad,
    ])
}

const MSG_ID: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn push() -> OfflinePush {
    OfflinePush {
        title: "审批".to_owned(),
        desc: "您有一条新的审批".to_owned(),
        ex: String::new(),
        ios_push_sound: "default".to_owned(),
        ios_badge_count: true,
    }
}

fn notice() -> Outgoing {
    Outgoing {
        sender: "openIM123456".to_owned(),
        receiver: "u7".to_owned(),
        conversation_kind: 0,
        content_type: 1400,
        client_msg_id: "c-1".to_owned(),
        key: String::new(),
        operation_id: "op-1".to_owned(),
        sender_nickname: "办公".to_owned(),
        sender_face_url: "https://f/1".to_owned(),
        sender_platform: 8,
        options_off: Options::named("offlinePush").unwrap(),
        created: None,
        offline_push: Some(push()),
        content: r#"{"text":"你好"}"#.into(),
    }
}

fn text_message() -> Outgoing {
    Outgoing {
        receiver: "u8".to_owned(),
        conversation_kind: Place::SINGLE,
        content_type: 101,
        key: "k".to_owned(),
        sender_platform: -1,
        created: Some(Time(1_700_000_000_000)),
        content: b"{}".to_vec(),
        ..Outgoing::default()
    }
}

fn sent() -> SentMessage {
    SentMessage {
        server_msg_id: MSG_ID,
        client_msg_id: "c-1".to_owned(),
        time: Time(1_700_000_000_123),
        seq: Some(Seq(70_000)),
        new_receiver: true,
        repeated: false,
    }
}

fn entries() -> Vec<Entry> {
    let message = MessageEntry {
        place: Place {
            kind: Place::NOTIFICATION,
            peer: "openIM123456".to_owned(),
        },
        conversation_seq: ConversationSeq(9),
        sender: "openIM123456".to_owned(),
        server_msg_id: MSG_ID,
        client_msg_id: "c-1".to_owned(),
        content_type: 1400,
        notification_type: -3,
        options_off: Options(4),
        sender_nickname: "办公".to_owned(),
        sender_face_url: "https://f/1".to_owned(),
        sender_platform: 8,
        created: Some(Time(1)),
        offline_push: Some(push()),
        erased: false,
        content: r#"{"text":"你好"}"#.into(),
    };
    let erased = MessageEntry {
        place: Place {
            kind: Place::SINGLE,
            peer: "u8".to_owned(),
        },
        conversation_seq: ConversationSeq(251),
        sender: "u8".to_owned(),
        server_msg_id: MSG_ID,
        client_msg_id: String::new(),
        content_type: 101,
        notification_type: 0,
        options_off: Options(0),
        sender_nickname: String::new(),
        sender_face_url: String::new(),
        sender_platform: 0,
        created: None,
        offline_push: None,
        erased: true,
        content: Vec::new(),
    };
    let unknown = Entry {
        seq: Seq(253),
        kind: 77,
        time: Time(1_700_000_000_125),
        payload: vec![0, 0xff],
    };
    vec![
        Entry::message(Seq(251), Time(1_700_000_000_123), &message),
        Entry::message(Seq(252), Time(1_700_000_000_124), &erased),
        unknown,
    ]
}

/// Either direction's frame.
#[expect(clippy::large_enum_variant, reason = "a few of them, in a test")]
enum Either {
    Client(ClientFrame),
    Server(ServerFrame),
}

fn hellos() -> Vec<Either> {
    let hello = |token: &str, id: &str, name: &str, platform, software: &str, capabilities| {
        Either::Client(ClientFrame::Hello(Hello {
            token: token.to_owned(),
            device: Device {
                id: id.to_owned(),
                name: name.to_owned(),
                platform,
            },
            software: software.to_owned(),
            capabilities: Capabilities(capabilities),
        }))
    };
    vec![
        hello("eyJ.e30.c2ln", "phone-1", "Pixel", 2, "demo/1.0", 0),
        hello("t", "", "", 0, "", 1 << 40),
        Either::Server(ServerFrame::Welcome(Welcome {
            epoch: epoch(),
            user: "u7".to_owned(),
            head: Seq(250),
            floor: Seq(1),
            time: Time(1_700_000_000_000),
            limits: Limits {
                frame_bytes: 1_048_576,
                sends_in_flight: 1_024,
                batch: 1_024,
                pulls_in_flight: 32,
                page_entries: 1_000,
                tails: 4,
                idle_ms: 30_000,
            },
            capabilities: Capabilities::EARLY_PULL,
        })),
    ]
}

fn reads() -> Vec<Either> {
    let pull = |request, user: &str, after, limit| {
        Either::Client(ClientFrame::Pull(Pull {
            request,
            user: user.to_owned(),
            after: Seq(after),
            limit,
        }))
    };
    let page = |head, more, entries| {
        let head = PageHead {
            request: 3,
            epoch: epoch(),
            floor: Seq(1),
            head: Seq(head),
            more,
        };
        Either::Server(ServerFrame::Page(Page { head, entries }))
    };
    vec![
        pull(1, "", 0, 200),
        pull(65_536, "u8", 251, 1),
        page(u64::MAX, true, entries()),
        page(0, false, Vec::new()),
        page(0, false, notes()),
    ]
}

fn notes() -> Vec<Entry> {
    let time = Time(1_700_000_000_000);
    let note = NoteEntry {
        place: Place {
            kind: Place::NOTIFICATION,
            peer: "openIM123456".to_owned(),
        },
        conversation_seq: ConversationSeq(4),
        by: "u7".to_owned(),
        server_msg_id: None,
        settings: None,
        messages: Vec::new(),
        confirmed: false,
    };
    let told = NoteEntry {
        place: Place {
            kind: Place::SINGLE,
            peer: "u8".to_owned(),
        },
        by: "u8".to_owned(),
        ..note.clone()
    };
    let set = NoteEntry {
        settings: Some(Settings {
            pinned: true,
            receive_option: 2,
            hidden: false,
        }),
        ..note.clone()
    };
    let recalled = NoteEntry {
        by: "openIM123456".to_owned(),
        server_msg_id: Some(MSG_ID),
        ..note.clone()
    };
    let confirmed = NoteEntry {
        server_msg_id: Some(MSG_ID),
        confirmed: true,
        ..note.clone()
    };
    let removed = NoteEntry {
        messages: vec![ConversationSeq(3), ConversationSeq(4)],
        ..note.clone()
    };
    vec![
        Entry::note(Seq(1), READ, time, &told),
        Entry::note(Seq(2), SETTINGS, time, &set),
        Entry::note(Seq(3), RECALLED, time, &recalled),
        Entry::note(Seq(4), REMOVED, time, &removed),
        Entry::note(Seq(5), CLEARED, time, &note),
        Entry::note(Seq(6), MARKED, time, &confirmed),
        Entry::skipped(Seq(7), time),
    ]
}

fn sends() -> Vec<Either> {
    let again = SentMessage {
        time: Time(0),
        seq: None,
        new_receiver: false,
        repeated: true,
        ..sent()
    };
    let reused = Failure::new(
        Code::KEY_REUSED,
        "the key was used before, for another request",
    );
    vec![
        Either::Client(ClientFrame::Send(Send {
            request: 4,
            message: notice(),
        })),
        Either::Server(ServerFrame::Sent(Sent {
            request: 4,
            message: sent(),
        })),
        Either::Client(ClientFrame::SendBatch(SendBatch {
            request: 5,
            messages: vec![notice(), text_message()],
        })),
        Either::Server(ServerFrame::BatchSent(BatchSent {
            request: 5,
            answers: vec![Ok(again), Err(reused)],
        })),
    ]
}

fn presence() -> Presence {
    let connection = |device: &str, platform, transport: &str| LiveConnection {
        device: device.to_owned(),
        platform,
        transport: transport.to_owned(),
    };
    Presence {
        request: 8,
        users: vec![
            UserPresence {
                user: "u7".to_owned(),
                connections: vec![connection("phone-1", 2, "quic"), connection("", 5, "sse")],
            },
            UserPresence {
                user: "李".to_owned(),
                connections: Vec::new(),
            },
        ],
    }
}

fn others() -> Vec<Either> {
    let tail = Tail {
        request: 7,
        user: String::new(),
        after: Seq(253),
    };
    let opened = TailOpened {
        request: 7,
        epoch: epoch(),
        floor: Seq(1),
        head: Seq(253),
    };
    let busy = Failure::new(Code::BUSY, "").retry_after_ms(1_000);
    let bye = Bye {
        retry_after_ms: 2_500,
        ..Bye::new(Code::STOPPING, "the server is stopping")
    };
    vec![
        Either::Client(ClientFrame::Acknowledge(Acknowledge {
            request: 6,
            seq: Seq(253),
        })),
        Either::Server(ServerFrame::Acknowledged(Acknowledged {
            request: 6,
            seq: Seq(253),
        })),
        Either::Client(ClientFrame::Tail(tail)),
        Either::Server(ServerFrame::TailOpened(opened)),
        Either::Server(ServerFrame::Refused(Refused {
            request: 1 << 32,
            failure: busy,
        })),
        Either::Server(ServerFrame::Bye(bye)),
        Either::Server(ServerFrame::Online(Box::new(Online {
            time: Time(1_700_000_000_123),
            message: MessageEntry {
                conversation_seq: ConversationSeq(0),
                ..entries()[0].as_message().unwrap().unwrap()
            },
        }))),
        Either::Client(ClientFrame::WatchPresence(WatchPresence {
            request: 8,
            users: vec!["u7".to_owned(), "李".to_owned()],
        })),
        Either::Server(ServerFrame::Presence(presence())),
        Either::Server(ServerFrame::Unknown(200)),
    ]
}

fn client_bytes(frame: &ClientFrame) -> Vec<u8> {
    let mut out = Vec::new();
    let written = match frame {
        ClientFrame::Hello(it) => write(it, MAX_CLIENT_FRAME, &mut out),
        ClientFrame::Pull(it) => write(it, MAX_CLIENT_FRAME, &mut out),
        ClientFrame::Send(it) => write(it, MAX_CLIENT_FRAME, &mut out),
        ClientFrame::SendBatch(it) => it.write(&mut out),
        ClientFrame::Acknowledge(it) => write(it, MAX_CLIENT_FRAME, &mut out),
        ClientFrame::Tail(it) => write(it, MAX_CLIENT_FRAME, &mut out),
        ClientFrame::Bye(it) => write(it, MAX_CLIENT_FRAME, &mut out),
        ClientFrame::WatchPresence(it) => it.write(&mut out),
        ClientFrame::Misdirected(_) | ClientFrame::Unknown(_) => return out,
    };
    written.unwrap();
    out
}

fn server_bytes(frame: &ServerFrame) -> Vec<u8> {
    let mut out = Vec::new();
    let written = match frame {
        ServerFrame::Welcome(it) => write(it, MAX_SERVER_FRAME, &mut out),
        ServerFrame::Page(it) => it.write(&mut out),
        ServerFrame::Sent(it) => write(it, MAX_SERVER_FRAME, &mut out),
        ServerFrame::BatchSent(it) => it.write(&mut out),
        ServerFrame::Acknowledged(it) => write(it, MAX_SERVER_FRAME, &mut out),
        ServerFrame::TailOpened(it) => write(it, MAX_SERVER_FRAME, &mut out),
        ServerFrame::Refused(it) => write(it, MAX_SERVER_FRAME, &mut out),
        ServerFrame::Bye(it) => write(it, MAX_SERVER_FRAME, &mut out),
        ServerFrame::Online(it) => write(&**it, MAX_SERVER_FRAME, &mut out),
        ServerFrame::Presence(it) => it.write(&mut out),
        ServerFrame::Misdirected(_) | ServerFrame::Unknown(_) => return out,
    };
    written.unwrap();
    out
}

#[test]
fn frames_are_as_they_were_released() {
    let known: Vec<Either> = [hellos(), reads(), sends(), others()]
        .into_iter()
        .flatten()
        .collect();
    let vectors = vectors();
    assert!(vectors.len() > known.len());
    for ((name, bytes), known) in vectors.iter().zip(&known) {
        let mut reader = FrameReader::new(MAX_SERVER_FRAME);
        let mut input = &bytes[..];
        let frame = reader.next(&mut input).unwrap().unwrap();
        assert!(input.is_empty(), "{name}");
        match known {
            Either::Client(known) => {
                assert_eq!(ClientFrame::read(&frame).as_ref(), Ok(known), "{name}");
                assert_eq!(&client_bytes(known), bytes, "{name}");
            }
            Either::Server(ServerFrame::Unknown(kind)) => {
                assert_eq!(
                    (frame.kind, frame.payload),
                    (*kind, &[0xc0, 0xff, 0xee][..])
                );
            }
            Either::Server(known) => {
                assert_eq!(ServerFrame::read(&frame).as_ref(), Ok(known), "{name}");
                assert_eq!(&server_bytes(known), bytes, "{name}");
            }
        }
    }
    for (name, bytes) in &vectors[known.len()..] {
        let mut reader = FrameReader::new(MAX_SERVER_FRAME);
        let refused = match reader.next(&mut &bytes[..]) {
            Err(_) => true,
            Ok(frame) => {
                let frame = frame.unwrap();
                let direction = [
                    ClientFrame::read(&frame).is_err(),
                    ServerFrame::read(&frame).is_err(),
                ];
                direction.contains(&true)
            }
        };
        assert!(refused, "{name}");
    }
}
