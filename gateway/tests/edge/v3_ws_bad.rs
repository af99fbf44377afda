//! The gateway for OpenIM's clients over WebSocket: what breaks its rules, by mistake or on purpose, is refused and costs nobody
//! else anything.

use bytes::Bytes;
use futures_util::SinkExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use waybill_gateway::openim::v3::gzip;
use waybill_gateway::openim::v3::proto::{
    ConversationSeqs, GetHasReadAndMaxSeqReq, GetLastMessageReq, GetMaxSeqReq, GetSeqMessageReq,
    Message, MsgData, PullMessageBySeqsReq, SeqRange, SubUserOnlineStatus,
};

use crate::support::{Running, start};
use crate::v3::{text, users};
use crate::ws_client::{ask, chat, client, connect, ends, next, pushed, query, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_users_may_not_send_is_refused_and_the_connection_stays() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    let mut socket = client(&server, "u1", &tokens[0]).await;
    let with = |change: fn(&mut MsgData)| {
        let mut message = chat("u1", "u2");
        change(&mut message);
        message.to_vec()
    };
    let cases: [(Vec<u8>, i64); 10] = [
        (with(|message| message.send_id = "u2".to_owned()), 1002),
        (with(|message| message.session_type = 4), 1002),
        (with(|message| message.session_type = 3), 1201),
        (with(|message| message.session_type = 0), 1001),
        (with(|message| message.content_type = 1400), 1001),
        (with(|message| message.content_type = 2101), 1001),
        (with(|message| message.content_type = -1), 1001),
        (
            with(|message| message.content = bytes::Bytes::from_static(b"\xff")),
            1001,
        ),
        (with(|message| message.recv_id.clear()), 1001),
        (vec![0x0a, 0xff], 1001),
    ];
    for (data, expected) in cases {
        assert_eq!(
            ask(&mut socket, 1003, "u1", &data).await.0,
            expected,
            "{data:?}"
        );
    }
    let foreign = GetMaxSeqReq {
        user_id: "u2".to_owned(),
    }
    .to_vec();
    assert_eq!(ask(&mut socket, 1001, "u1", &foreign).await.0, 1002);
    assert_eq!(
        ask(&mut socket, 1003, "u1", &chat("u1", "u2").to_vec())
            .await
            .0,
        0
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_the_rules_end_the_connection() {
    let (_data, server) = start().await;
    let token = users(&server, &["u1"]).await.remove(0);
    let good = request(1001, "u1", &[]);
    let mut long = good.clone();
    long[0] = 0x7f;
    let frames = [
        Frame::binary(gzip::pack(&vec![0; 32 << 20])),
        Frame::binary(gzip::pack(&long)),
        Frame::binary(good),
        Frame::binary(Vec::new()),
        Frame::binary(vec![0; 60_000]),
        Frame::binary(gzip::pack(&request(2010, "u1", &[]))),
        Frame::binary(gzip::pack(&request(1001, "u2", &[]))),
        Frame::text("hello"),
    ];
    for frame in frames {
        let mut socket = client(&server, "u1", &token).await;
        let _ = socket.send(frame).await;
        assert!(ends(&mut socket).await);
    }
    let mut socket = client(&server, "u1", &token).await;
    socket
        .send(Frame::text("{\"type\":\"ping\"}"))
        .await
        .unwrap();
    assert_eq!(next(&mut socket).await, Frame::text("{\"type\":\"pong\"}"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_connect_hears_why() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    let wants = "&isMsgResp=true";
    for (query, expected) in [
        (query("u1", "nonsense", wants), 1503),
        (query("u2", &tokens[0], wants), 1505),
        (
            query("u1", &tokens[0], "&isMsgResp=true&platformID=1"),
            1505,
        ),
        (
            query("u1", &tokens[0], "&isMsgResp=true&platformID=77"),
            1001,
        ),
    ] {
        let mut socket = connect(&server, &query).await;
        let Frame::Text(refusal) = next(&mut socket).await else {
            panic!("no refusal");
        };
        let refusal: Value = serde_json::from_str(&refusal).unwrap();
        assert_eq!(refusal["errCode"], expected, "{query}");
        assert!(ends(&mut socket).await);
    }
    // Without a first frame, the answer is one of HTTP.
    let address = server.started.ws;
    let call = |query: String| async move {
        let path = format!("/{query}");
        let headers = [
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        crate::support::call(address, "GET", &path, &headers, b"").await
    };
    let answer = call(query("u1", "nonsense", "")).await;
    assert_eq!(
        (answer.status, &answer.json()["errCode"]),
        (200, &Value::from(1503))
    );
    // Whoever keeps trying waits.
    let mut last = 200;
    for _ in 0..30 {
        last = call(query("storm", "nonsense", "")).await.status;
    }
    assert_eq!(last, 429);
    server.stop().await;
}

#[tokio::test]
async fn a_good_token_waits_for_nobody_else() {
    let (_data, server) = start().await;
    let token = server.token_of("ann").await;
    let mut waits = 0;
    for _ in 0..40 {
        let stream = TcpStream::connect(server.started.ws).await.unwrap();
        let url = format!(
            "ws://{}/{}",
            server.started.ws,
            query("ann", "no.token", "")
        );
        let refused = client_async(url, stream).await.unwrap_err();
        waits += usize::from(refused.to_string().contains("429"));
    }
    assert_eq!(waits, 20, "who is refused too often is told to wait");
    client(&server, "ann", &token).await;
    server.stop().await;
}

/// The original's gateway looks at none of these: it takes what a user sends as a notification for the server's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_server_says_no_user_may_say() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    let mut socket = client(&server, "u1", &tokens[0]).await;
    let kinds = [
        0,
        1,
        100,
        111,
        112,
        113,
        116,
        118,
        121,
        122,
        999,
        1000,
        1001,
        1201,
        1300,
        1400,
        1501,
        1703,
        2001,
        2101,
        2102,
        2200,
        4999,
        5000,
        5001,
        i32::MAX,
        i32::MIN,
    ];
    for content_type in kinds {
        for session_type in [1, 4] {
            let message = MsgData {
                content_type,
                session_type,
                content: Bytes::from_static(b"{\"detail\":\"{}\",\"text\":\"x\",\"data\":\"x\"}"),
                ..chat("u1", "u2")
            };
            let (error, _) = ask(&mut socket, 1003, "u1", &message.to_vec()).await;
            let expected = if session_type == 4 { 1002 } else { 1001 };
            assert_eq!(error, expected, "{content_type} {session_type}");
        }
    }
    // Contents that are no object of their type, where the type asks for nothing.
    for (content_type, content) in [
        (105, "\"\""),
        (105, "[]"),
        (104, "null"),
        (110, "7"),
        (102, "{} {}"),
        (101, "{\"content\":5}"),
    ] {
        let message = MsgData {
            content_type,
            content: Bytes::from_static(content.as_bytes()),
            ..chat("u1", "u2")
        };
        let (error, _) = ask(&mut socket, 1003, "u1", &message.to_vec()).await;
        assert_eq!(error, 1001, "{content_type} {content}");
    }
    // Sent in another's name, or as kept nowhere.
    let foreign = MsgData {
        send_id: "openIM123456".to_owned(),
        ..chat("u1", "u2")
    };
    assert_eq!(
        ask(&mut socket, 1003, "u1", &foreign.to_vec()).await.0,
        1002
    );
    let unkept = MsgData {
        options: [("history".to_owned(), false)].into(),
        ..chat("u1", "u2")
    };
    assert_eq!(ask(&mut socket, 1003, "u1", &unkept.to_vec()).await.0, 1002);
    assert_eq!(
        server.log_of("u2").await["entries"],
        Value::Array(Vec::new())
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identifiers_that_no_client_may_ask_end_the_connection() {
    let (_data, server) = start().await;
    let token = users(&server, &["u1"]).await.remove(0);
    for identifier in [0, 1, 1000, 1008, 2000, 2001, 2002, 2006, 3001, 32_767] {
        let mut socket = client(&server, "u1", &token).await;
        let frame = gzip::pack(&request(identifier, "u1", &[]));
        socket.send(Frame::binary(frame)).await.unwrap();
        assert!(ends(&mut socket).await, "{identifier}");
    }
    let mut socket = client(&server, "u1", &token).await;
    assert_eq!(
        ask(&mut socket, 1004, "u1", &[]).await.0,
        1002,
        "calls are not offered"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_none_and_foreign_ones_are_refused_one_by_one() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    text(&server, "u2", "u1", "x").await;
    let mut socket = client(&server, "u1", &tokens[0]).await;
    let other = || "u2".to_owned();
    let foreign = [
        (1001, GetMaxSeqReq { user_id: other() }.to_vec()),
        (
            1002,
            PullMessageBySeqsReq {
                user_id: other(),
                ..Default::default()
            }
            .to_vec(),
        ),
        (
            1005,
            GetSeqMessageReq {
                user_id: other(),
                ..Default::default()
            }
            .to_vec(),
        ),
        (
            1006,
            GetHasReadAndMaxSeqReq {
                user_id: other(),
                ..Default::default()
            }
            .to_vec(),
        ),
        (
            1007,
            GetLastMessageReq {
                user_id: other(),
                ..Default::default()
            }
            .to_vec(),
        ),
    ];
    for (identifier, data) in foreign {
        assert_eq!(
            ask(&mut socket, identifier, "u1", &data).await.0,
            1002,
            "{identifier}"
        );
        // A length beyond the end, a group, a tag that is none, a text that is none, a number where a text belongs.
        for data in [
            &[0x0a, 0xff][..],
            &[0x0b, 0x0c],
            &[0xff; 10],
            &[0x0a, 1, 0xff],
            &[0x08, 1],
        ] {
            assert_eq!(
                ask(&mut socket, identifier, "u1", data).await.0,
                1001,
                "{identifier} {data:?}"
            );
        }
    }
    assert_eq!(ask(&mut socket, 2005, "u1", &[0x0a, 0xff]).await.0, 1001);
    // More than an answer has room for.
    let many = || (0..1_001).map(|number| format!("si_u1_{number}"));
    let ranges = many().map(|conversation_id| SeqRange {
        conversation_id,
        ..Default::default()
    });
    let seqs = many().map(|conversation_id| ConversationSeqs {
        conversation_id,
        ..Default::default()
    });
    let user_id = String::new;
    let too_many = [
        (
            1002,
            PullMessageBySeqsReq {
                user_id: user_id(),
                seq_ranges: ranges.collect(),
                order: 0,
            }
            .to_vec(),
        ),
        (
            1005,
            GetSeqMessageReq {
                user_id: user_id(),
                conversations: seqs.collect(),
                order: 0,
            }
            .to_vec(),
        ),
        (
            1006,
            GetHasReadAndMaxSeqReq {
                user_id: user_id(),
                conversation_ids: many().collect(),
                return_pinned: true,
            }
            .to_vec(),
        ),
        (
            1007,
            GetLastMessageReq {
                user_id: user_id(),
                conversation_ids: many().collect(),
            }
            .to_vec(),
        ),
        (
            2005,
            SubUserOnlineStatus {
                subscribe: many().collect(),
                unsubscribe: Vec::new(),
            }
            .to_vec(),
        ),
    ];
    for (identifier, data) in too_many {
        assert_eq!(
            ask(&mut socket, identifier, "u1", &data).await.0,
            1001,
            "{identifier}"
        );
    }
    assert_eq!(ask(&mut socket, 1001, "u1", &[]).await.0, 0, "it stays");
    server.stop().await;
}

/// What unpacks to more than a frame may be is not unpacked further, and nobody else waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_and_oversized_frames_end_their_connection_alone() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    let mut other = client(&server, "u2", &tokens[1]).await;
    let packed = |bytes: &[u8]| Frame::binary(gzip::pack(bytes));
    let good = request(1001, "u1", &[]);
    let frames = [
        // As much as a frame of the wire can hold: 50 MiB of nothing.
        packed(&vec![0; 50 << 20]),
        packed(&vec![0; (1 << 20) + 1]),
        packed(&gzip::pack(&vec![0; 32 << 20])),
        packed(&[&good[..], &vec![0; 1 << 20]].concat()),
        // A gob that claims eight exbibytes, and one that claims a little too much.
        packed(&[0xf8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        packed(&[&[good[0] + 1], &good[1..]].concat()),
        // Two requests in one frame, and two members of gzip.
        packed(&[&good[..], &good].concat()),
        Frame::binary([gzip::pack(&good), gzip::pack(&good)].concat()),
        Frame::binary(vec![7; 51_201]),
        Frame::text("x".repeat(51_201)),
    ];
    for (number, frame) in frames.into_iter().enumerate() {
        let mut socket = client(&server, "u1", &tokens[0]).await;
        let _ = socket.send(frame).await;
        assert!(ends(&mut socket).await, "{number}");
        text(&server, "u1", "u2", "x").await;
        assert!(
            pushed(&mut other).await.msgs.contains_key("si_u1_u2"),
            "{number}"
        );
    }
    // A long request is none of these as long as it fits.
    let mut socket = client(&server, "u1", &tokens[0]).await;
    assert_eq!(ask(&mut socket, 1001, "u1", &vec![0; 60_000]).await.0, 1001);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_the_sdk_in_javascript_are_read_as_strictly() {
    let (_data, server) = start().await;
    let token = users(&server, &["u1"]).await.remove(0);
    let query = query("u1", &token, "&isMsgResp=true&sdkType=js");
    let long = format!(
        "{{\"reqIdentifier\":1001,\"sendID\":\"u1\",\"data\":\"{}\"}}",
        "A".repeat(51_200)
    );
    for bad in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"reqIdentifier":"1001","sendID":"u1"}"#,
        r#"{"reqIdentifier":1001,"sendID":"u2"}"#,
        r#"{"reqIdentifier":1001}"#,
        r#"{"reqIdentifier":1001,"sendID":"u1","data":"***"}"#,
        r#"{"reqIdentifier":99,"sendID":"u1"}"#,
        &format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000)),
        &long,
    ] {
        let mut socket = connect(&server, &query).await;
        assert!(matches!(next(&mut socket).await, Frame::Text(_)));
        let _ = socket.send(Frame::binary(bad.as_bytes().to_vec())).await;
        assert!(ends(&mut socket).await, "{bad:.60}");
    }
    server.stop().await;
}

/// Who keeps coming with a token that is rejected, under one name or under many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_rejected_tokens_is_told_to_wait_and_disturbs_nobody() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    let mut other = client(&server, "u2", &tokens[1]).await;
    let refused = async |server: &Running, user: &str| {
        let stream = TcpStream::connect(server.started.ws).await.unwrap();
        let url = format!(
            "ws://{}/{}",
            server.started.ws,
            query(user, "no.token", "&isMsgResp=true")
        );
        match client_async(url, stream).await {
            // It hears why and goes.
            Ok((mut socket, _)) => {
                assert!(matches!(next(&mut socket).await, Frame::Text(_)));
                assert!(ends(&mut socket).await);
                false
            }
            Err(error) => {
                assert!(error.to_string().contains("429"), "{error}");
                true
            }
        }
    };
    let mut waits = 0;
    for _ in 0..30 {
        waits += usize::from(refused(&server, "u1").await);
    }
    assert_eq!(waits, 10, "20 in a minute for one user");
    let mut waits = 0;
    for number in 0..200 {
        waits += usize::from(refused(&server, &format!("other-{number}")).await);
    }
    assert_eq!(waits, 20, "200 in a minute for one address");
    // Who was there stays, and who comes with a good token waits for nobody.
    text(&server, "u1", "u2", "x").await;
    assert!(pushed(&mut other).await.msgs.contains_key("si_u1_u2"));
    client(&server, "u1", &tokens[0]).await;
    server.stop().await;
}
