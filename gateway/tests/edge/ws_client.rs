//! A client of the gateway for OpenIM's clients, as the web SDK is one.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, client_async};
use waybill_gateway::openim::v3::proto::{Message, MsgData, PullMessagesResp};
use waybill_gateway::openim::v3::{gob, gzip};

use crate::support::Running;

pub type Socket = WebSocketStream<TcpStream>;

pub fn query(user: &str, token: &str, more: &str) -> String {
    format!("?sendID={user}&token={token}&platformID=5&operationID=o&isBackground=false{more}")
}

pub async fn connect(server: &Running, query: &str) -> Socket {
    let stream = TcpStream::connect(server.started.ws).await.unwrap();
    let url = format!("ws://{}/{query}", server.started.ws);
    client_async(url, stream).await.unwrap().0
}

/// A client as the web SDK is one.
pub async fn client(server: &Running, user: &str, token: &str) -> Socket {
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

pub async fn next(socket: &mut Socket) -> Frame {
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
pub fn request(identifier: i32, send_id: &str, data: &[u8]) -> Vec<u8> {
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
pub fn read(frame: &Frame) -> (i64, i64, Vec<u8>) {
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

pub async fn ask(socket: &mut Socket, identifier: i32, user: &str, data: &[u8]) -> (i64, Vec<u8>) {
    let frame = gzip::pack(&request(identifier, user, data));
    socket.send(Frame::binary(frame)).await.unwrap();
    loop {
        let (answered, error, data) = read(&next(socket).await);
        if answered == i64::from(identifier) {
            return (error, data);
        }
    }
}

pub async fn pushed(socket: &mut Socket) -> PullMessagesResp {
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

pub fn chat(from: &str, to: &str) -> MsgData {
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
pub async fn ends(socket: &mut Socket) -> bool {
    matches!(next(socket).await, Frame::Close(_))
}

/// A notice in the envelope that the sender makes as large as it may be.
pub async fn large(server: &Running, user: &str, number: usize) -> Value {
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
