//! The gateway for OpenIM's clients over WebSocket: handshake, requests, pushes, and what ends a connection.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, client_async};
use waybill_gateway::openim::v3::proto::{
    ConversationSeqs, GetMaxSeqReq, GetMaxSeqResp, GetSeqMessageReq, Message, MsgData, Packed,
    PullMessageBySeqsReq, PullMessagesResp, SendMsgResp, SeqRange,
};
use waybill_gateway::openim::v3::{gob, gzip};

use crate::support::{Running, start};
use crate::v3::{done, text, users};

type Socket = WebSocketStream<TcpStream>;

fn query(user: &str, token: &str, more: &str) -> String {
    format!("?sendID={user}&token={token}&platformID=5&operationID=o&isBackground=false{more}")
}

async fn connect(server: &Running, query: &str) -> Socket {
    let stream = TcpStream::connect(server.started.ws).await.unwrap();
    let url = format!("ws://{}/{query}", server.started.ws);
    client_async(url, stream).await.unwrap().0
}

/// A client as the web SDK is one.
async fn client(server: &Running, user: &str, token: &str) -> Socket {
    let mut socket = connect(
        server,
        &query(user, token, "&isMsgResp=true&compression=gzip"),
    )
    .await;
    let Frame::Text(welcome) = next(&mut socket).await else {
        panic!("no welcome");
    };
    let welcome: Value = serde_json::from_str(&welcome).unwrap();
    assert_eq!(welcome["errCode"], 0, "{welcome}");
    socket
}

async fn next(socket: &mut Socket) -> Frame {
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(20), socket.next()).await;
        match frame.expect("a frame in time") {
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
            Some(Ok(frame)) => return frame,
            Some(Err(_)) | None => return Frame::Close(None),
        }
    }
}

/// A request as Go writes it, with the struct of the clients.
fn request(identifier: i32, send_id: &str, data: &[u8]) -> Vec<u8> {
    // The answer's struct has the same types; names are what counts, so the definition is written here.
    let mut definition = vec![0x7f, 3, 1, 1, 1, b'R', 1, 0xff, 0x80, 0, 1, 4];
    for (name, kind) in [
        ("ReqIdentifier", 4),
        ("SendID", 12),
        ("MsgIncr", 12),
        ("Data", 10),
    ] {
        definition.extend([1, name.len() as u8]);
        definition.extend(name.as_bytes());
        definition.extend([1, kind, 0]);
    }
    definition.extend([0, 0]);
    let mut value = vec![0xff, 0x80, 1, 0xfe];
    value.extend(((identifier * 2) as u16).to_be_bytes());
    for text in [send_id.as_bytes(), b"incr"] {
        value.extend([1, text.len() as u8]);
        value.extend(text);
    }
    if !data.is_empty() {
        value.extend([1, 0xfe]);
        value.extend((data.len() as u16).to_be_bytes());
        value.extend(data);
    }
    value.push(0);
    let mut stream = vec![definition.len() as u8];
    stream.extend(definition);
    stream.push(0xfe);
    stream.extend((value.len() as u16).to_be_bytes());
    stream.extend(value);
    stream
}

/// An answer or a push: identifier, error, data.
fn read(frame: &Frame) -> (i64, i64, Vec<u8>) {
    let Frame::Binary(bytes) = frame else {
        panic!("{frame:?}");
    };
    let bytes = gzip::unpack(bytes, 4 << 20).unwrap();
    let reply = gob::decode(&bytes).unwrap();
    (
        reply.int("ReqIdentifier"),
        reply.int("ErrCode"),
        reply.bytes("Data").to_vec(),
    )
}

async fn ask(socket: &mut Socket, identifier: i32, user: &str, data: &[u8]) -> (i64, Vec<u8>) {
    let frame = gzip::pack(&request(identifier, user, data));
    socket.send(Frame::binary(frame)).await.unwrap();
    loop {
        let (answered, error, data) = read(&next(socket).await);
        if answered == i64::from(identifier) {
            return (error, data);
        }
    }
}

async fn pushed(socket: &mut Socket) -> PullMessagesResp {
    let (identifier, _, data) = read(&next(socket).await);
    assert_eq!(identifier, 2001);
    let push = PullMessagesResp::decode(&data).unwrap();
    assert_eq!(
        push.msgs.len() + push.notification_msgs.len(),
        1,
        "one conversation a frame"
    );
    push
}

fn chat(from: &str, to: &str) -> MsgData {
    MsgData {
        send_id: from.to_owned(),
        recv_id: to.to_owned(),
        session_type: 1,
        content_type: 101,
        content: bytes::Bytes::from_static(b"{\"content\":\"hi\"}"),
        client_msg_id: "c1".to_owned(),
        ..MsgData::default()
    }
}

/// Whether the server ends the connection.
async fn ends(socket: &mut Socket) -> bool {
    matches!(next(socket).await, Frame::Close(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_sent_pushed_and_pulled() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    let mut one = client(&server, "u1", &tokens[0]).await;
    let mut two = client(&server, "u2", &tokens[1]).await;
    let (error, data) = ask(&mut one, 1003, "u1", &chat("u1", "u2").to_vec()).await;
    assert_eq!(error, 0);
    let sent = SendMsgResp::decode(&data).unwrap();
    assert_eq!(sent.client_msg_id, "c1");
    for socket in [&mut one, &mut two] {
        let push = pushed(socket).await;
        let message = &push.msgs["si_u1_u2"].msgs[0];
        assert_eq!(
            (message.seq, message.server_msg_id.as_str()),
            (1, sent.server_msg_id.as_str())
        );
        assert_eq!(&message.content[..], b"{\"content\":\"hi\"}");
    }
    // Read receipts, to the reader's own devices and to the sender.
    let read = serde_json::json!({ "conversationID": "si_u1_u2", "userID": "u2", "hasReadSeq": 1 });
    done(&server, "/msg/mark_conversation_as_read", &tokens[1], read).await;
    let push = pushed(&mut one).await;
    let message = &push.notification_msgs["n_u1_u1"].msgs[0];
    assert_eq!((message.content_type, message.seq), (2200, 1));
    assert!(
        pushed(&mut two)
            .await
            .notification_msgs
            .contains_key("n_u2_u2")
    );

    let (_, data) = ask(
        &mut two,
        1001,
        "u2",
        &GetMaxSeqReq {
            user_id: "u2".to_owned(),
        }
        .to_vec(),
    )
    .await;
    let max = GetMaxSeqResp::decode(&data).unwrap().max_seqs;
    assert_eq!((max["si_u1_u2"], max["n_u2_u2"]), (1, 1));
    let wanted = GetSeqMessageReq {
        user_id: "u2".to_owned(),
        conversations: ["si_u1_u2", "si_u1_u3", "nonsense"]
            .map(|id| ConversationSeqs {
                conversation_id: id.to_owned(),
                seqs: Packed(vec![0, 1, -5, 99]),
            })
            .to_vec(),
        order: 0,
    };
    let (_, data) = ask(&mut two, 1005, "u2", &wanted.to_vec()).await;
    let found = PullMessagesResp::decode(&data).unwrap().msgs;
    assert_eq!(found.len(), 3, "an entry for each");
    assert_eq!(found["si_u1_u2"].msgs.len(), 1);

    let range = |id: &str, begin, end, num| SeqRange {
        conversation_id: id.to_owned(),
        begin,
        end,
        num,
    };
    let wanted = PullMessageBySeqsReq {
        user_id: "u2".to_owned(),
        seq_ranges: vec![
            range("si_u1_u2", 0, i64::MAX, 1),
            range("n_u2_u2", 1, i64::MAX, 1),
            range("n_u1_u1", 1, 1, 1),
            range("si_u1_u3", i64::MIN, 1, -1),
        ],
        order: 0,
    };
    let (_, data) = ask(&mut two, 1002, "u2", &wanted.to_vec()).await;
    let found = PullMessagesResp::decode(&data).unwrap();
    assert_eq!(found.msgs["si_u1_u2"].msgs.len(), 1);
    assert_eq!(
        found.notification_msgs["n_u2_u2"].msgs[0].content_type,
        2200
    );
    assert!(
        found.notification_msgs["n_u1_u1"].msgs.is_empty(),
        "another's"
    );
    assert!(found.msgs["si_u1_u3"].msgs.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_in_javascript_and_clients_without_a_first_frame_are_served() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    let mut script = connect(
        &server,
        &query("u1", &tokens[0], "&isMsgResp=true&sdkType=js"),
    )
    .await;
    assert!(matches!(next(&mut script).await, Frame::Text(_)));
    text(&server, "u2", "u1", "x").await;
    let json = |frame: Frame| -> Value {
        let Frame::Binary(bytes) = frame else {
            panic!("{frame:?}");
        };
        serde_json::from_slice(&bytes).unwrap()
    };
    let push = json(next(&mut script).await);
    assert_eq!(
        (&push["reqIdentifier"], &push["msgIncr"]),
        (&Value::from(2001), &Value::from(""))
    );
    assert_ne!(push["operationID"], "", "a push has a trace id");
    let asked =
        r#"{"reqIdentifier":1006,"msgIncr":"7","sendID":"u1","operationID":"o","data":"CgJ1MQ=="}"#;
    script
        .send(Frame::binary(asked.as_bytes().to_vec()))
        .await
        .unwrap();
    let answer = json(next(&mut script).await);
    assert_eq!(
        (&answer["errCode"], &answer["msgIncr"]),
        (&Value::from(0), &Value::from("7"))
    );
    assert!(answer["data"].as_str().unwrap().len() > 8);

    // Frames of gob without gzip, and no frame before the first answer.
    let mut plain = connect(&server, &query("u2", &tokens[1], "")).await;
    let asked = GetMaxSeqReq {
        user_id: "u2".to_owned(),
    }
    .to_vec();
    plain
        .send(Frame::binary(request(1001, "u2", &asked)))
        .await
        .unwrap();
    let Frame::Binary(bytes) = next(&mut plain).await else {
        panic!("no answer");
    };
    assert_eq!(gob::decode(&bytes).unwrap().int("ReqIdentifier"), 1001);
    server.stop().await;
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_login_and_a_logout_kick() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1"]).await;
    let body = serde_json::json!({ "userID": "u1", "platformID": 5 });
    let second = done(&server, "/auth/get_user_token", &server.admin, body.clone()).await;
    let second = second["token"].as_str().unwrap();
    let mut one = client(&server, "u1", &tokens[0]).await;
    let mut two = client(&server, "u1", second).await;
    assert_eq!(read(&next(&mut one).await).0, 2002);
    assert!(ends(&mut one).await);
    text(&server, "u2", "u1", "x").await;
    assert!(
        pushed(&mut two).await.msgs.contains_key("si_u1_u2"),
        "the second stays"
    );
    done(&server, "/auth/force_logout", &server.admin, body).await;
    assert_eq!(read(&next(&mut two).await).0, 2002);
    server.stop().await;
}

/// A notice in the envelope that the sender makes as large as it may be.
async fn large(server: &Running, user: &str, number: usize) -> Value {
    let text: String = (0..16_000_u32)
        .map(|at| char::from(b'0' + (at.wrapping_mul(2_654_435_761) >> 7) as u8 % 75))
        .filter(|char| !matches!(char, '"' | '\\'))
        .collect();
    let body = serde_json::json!({
        "to": { "user": user }, "contentType": 1400,
        "senderNickname": "n".repeat(4_000), "senderFaceURL": format!("https://x/{}", "f".repeat(4_000)),
        "offlinePush": { "title": "t".repeat(4_000), "desc": "d".repeat(4_000) },
        "content": { "notificationName": "OA", "notificationType": 1, "text": format!("{number} {text}") },
    });
    let sent = server
        .v1("POST", "/v1/messages", &server.admin, body.to_string())
        .await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    sent.json()
}

#[tokio::test]
async fn no_answer_is_longer_than_a_client_takes() {
    let (_data, server) = start().await;
    let token = server.token_of("ann").await;
    for number in 1..=60 {
        large(&server, "ann", number).await;
    }
    let mut socket = client(&server, "ann", &token).await;
    let id = "sn_ann_openIM123456".to_owned();
    let wanted = GetSeqMessageReq {
        conversations: vec![ConversationSeqs {
            conversation_id: id.clone(),
            seqs: Packed((1..=60).collect()),
        }],
        ..GetSeqMessageReq::default()
    };
    // The same conversation a hundred times is as once.
    let ranges = PullMessageBySeqsReq {
        seq_ranges: vec![
            SeqRange {
                conversation_id: id.clone(),
                begin: 1,
                end: 60,
                num: 60,
            };
            100
        ],
        ..PullMessageBySeqsReq::default()
    };
    for (identifier, data) in [(1005, wanted.to_vec()), (1002, ranges.to_vec())] {
        let (error, data) = ask(&mut socket, identifier, "ann", &data).await;
        assert_eq!(error, 0);
        assert!(data.len() < 1024 * 1024, "{} bytes", data.len());
        let found = PullMessagesResp::decode(&data).unwrap().msgs[&id]
            .msgs
            .clone();
        // The newest that fit, without a hole, and none of the others is told to be gone.
        let seqs: Vec<i64> = found.iter().map(|message| message.seq).collect();
        let first = seqs[0];
        assert!(
            first > 1 && seqs == (first..=60).collect::<Vec<_>>(),
            "{seqs:?}"
        );
        assert!(found.iter().all(|message| message.status != 4));
    }
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

/// What was written to a socket has not therefore arrived.
#[tokio::test]
async fn delivered_is_what_the_client_has_answered_for() {
    let (_data, server) = start().await;
    let token = server.token_of("ann").await;
    let mut socket = client(&server, "ann", &token).await;
    let sent = large(&server, "ann", 1).await;
    let path = format!("/v1/messages/{}", sent["serverMsgID"].as_str().unwrap());
    let state = async || server.v1("GET", &path, &server.admin, "").await.json()["state"].clone();
    // The client takes nothing, and so answers no ping; what it says itself proves nothing either.
    let newest = gzip::pack(&request(1001, "ann", &GetMaxSeqReq::default().to_vec()));
    socket.send(Frame::binary(newest)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(state().await, "durable");
    for _ in 0..100 {
        let _ = tokio::time::timeout(Duration::from_millis(100), socket.next()).await;
        if state().await == "delivered" {
            return server.stop().await;
        }
    }
    panic!("it stays {}", state().await);
}
