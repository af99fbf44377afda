//! Messages for those who are online: told to live connections alone, and kept nowhere; and presence over QUIC.

use serde_json::{Value, json};
use waybill_core::wire::{Capabilities, Frame as WireFrame, Hello, ServerFrame, WatchPresence};

use crate::follow::{Events, Frames, PATIENCE, dial, frame, heard, hello, say, upgraded};
use crate::support::{Running, start};

async fn send(server: &Running, body: Value) -> Value {
    let admin = &server.admin;
    let answer = server
        .v1("POST", "/v1/messages", admin, body.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn online(user: &str, id: &str, text: &str) -> Value {
    json!({
        "to": { "user": user }, "contentType": 101, "content": { "text": text },
        "clientMsgID": id, "onlineOnly": true,
    })
}

/// A hello of a client that takes what is told to those online.
fn listening(token: &str) -> Hello {
    Hello {
        capabilities: Capabilities::ONLINE,
        ..hello(token, "phone")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_those_online_goes_to_them_alone() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let nobody = send(&server, online("u1", "a", "nobody hears it")).await;
    assert_eq!(
        (&nobody["connections"], &nobody["repeated"]),
        (&json!(0), &json!(false))
    );

    let mut socket = upgraded(server.http(), "", &[]).await.unwrap();
    say(&mut socket, json!({ "frame": "hello", "token": token })).await;
    assert_eq!(heard(&mut socket).await.unwrap()["frame"], "welcome");
    let bearer = format!("Bearer {token}");
    let mut events = Events::open(
        server.http(),
        "/v1/users/u1/log",
        &[("Authorization", &bearer)],
    )
    .await;
    assert_eq!(events.next().await.unwrap().name, "welcome");
    let (_endpoint, connection) = dial(server.started.quic).await;
    let (mut to, from) = connection.open_bi().await.unwrap();
    let mut control = Frames::new(from);
    to.write_all(&frame(&listening(&token))).await.unwrap();
    assert!(matches!(
        control.next().await,
        Some(ServerFrame::Welcome(_))
    ));

    // The connection over QUIC joins when its handshake is complete, which is a moment later.
    let mut tries = 0;
    let sent = loop {
        let sent = send(&server, online("u1", &format!("b{tries}"), "hi")).await;
        if sent["connections"] == 3 {
            break sent;
        }
        tries += 1;
        assert!(tries < 200, "{sent}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let id = sent["serverMsgID"].as_str().unwrap();
    let datagram = loop {
        let datagram = tokio::time::timeout(PATIENCE, connection.read_datagram()).await;
        let datagram = datagram.unwrap().unwrap();
        let read = ServerFrame::read(&WireFrame {
            kind: datagram[0],
            payload: &datagram[1..],
        });
        let Ok(ServerFrame::Online(online)) = read else {
            panic!("{read:?}");
        };
        if hex::encode(online.message.server_msg_id) == id {
            break online;
        }
    };
    assert_eq!(datagram.message.content, br#"{"text":"hi"}"#);
    assert_eq!(datagram.message.place.peer, datagram.message.sender);
    loop {
        let told = heard(&mut socket).await.unwrap();
        assert_eq!(told["frame"], "online");
        assert!(told["message"].get("seq").is_none());
        if told["message"]["serverMsgID"] == id {
            break;
        }
    }
    loop {
        let event = events.next().await.unwrap();
        assert_eq!((event.name.as_str(), event.id), ("online", None));
        if event.data.contains(id) {
            break;
        }
    }
    let again = send(&server, online("u1", &format!("b{tries}"), "hi")).await;
    assert_eq!(
        (&again["serverMsgID"], &again["repeated"]),
        (&sent["serverMsgID"], &json!(true))
    );

    // One that fits no datagram comes on the control stream.
    let long = "x".repeat(5_000);
    send(&server, online("u1", "long", &long)).await;
    match tokio::time::timeout(PATIENCE, control.next())
        .await
        .unwrap()
    {
        Some(ServerFrame::Online(online)) => assert!(online.message.content.len() > 5_000),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.log_of("u1").await["head"], 0, "nothing is kept");
    let found = server
        .v1("GET", &format!("/v1/messages/{id}"), &server.admin, "")
        .await;
    assert_eq!(found.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_the_checks_of_any_message() {
    let (_data, server) = start().await;
    let user = server.token_of("u1").await;
    let admin = server.admin.clone();
    let cases = [
        (&user, json!({ "sender": "u2" }), 403),
        (&user, json!({ "contentType": 1400 }), 400),
        (&admin, json!({ "contentType": 999 }), 400),
        (&admin, json!({ "content": {} }), 400),
        (&admin, json!({ "to": { "user": "x".repeat(65) } }), 400),
        (&admin, json!({ "collapseKey": "k" }), 400),
        (&admin, json!({ "expireAt": 9_999_999_999_999_u64 }), 400),
        (&admin, json!({ "onlineOnly": 1 }), 400),
    ];
    for (token, change, status) in cases {
        let mut body = online("u1", "", "x");
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        if body["clientMsgID"] == "" {
            body.as_object_mut().unwrap().remove("clientMsgID");
        }
        let answer = server
            .v1("POST", "/v1/messages", token, body.to_string())
            .await;
        assert_eq!(answer.status, status, "{change}: {}", answer.text());
    }
    let task = json!({
        "to": { "users": ["u1"] }, "contentType": 101, "content": { "text": "x" }, "onlineOnly": true
    });
    let answer = server
        .v1("POST", "/v1/tasks", &admin, task.to_string())
        .await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (400, "invalid-field")
    );
    // OpenIM's callers say it by another name.
    let v2 = json!({
        "operationID": "o", "sendID": "openIM123456", "recvID": "u1", "contentType": 101, "sessionType": 1,
        "senderPlatformID": 2, "content": { "text": "x" }, "isOnlineOnly": true,
    });
    let answer = server.v2("/manager/send_msg", &admin, v2.to_string()).await;
    assert_eq!(answer.json()["errCode"], 0, "{}", answer.text());
    assert_eq!(server.log_of("u1").await["head"], 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_is_told_over_quic() {
    let (_data, server) = start().await;
    let token = server.token_of("u1").await;
    let (_endpoint, connection) = dial(server.started.quic).await;
    let (mut to, from) = connection.open_bi().await.unwrap();
    let mut control = Frames::new(from);
    to.write_all(&frame(&hello(&server.admin, "")))
        .await
        .unwrap();
    assert!(matches!(
        control.next().await,
        Some(ServerFrame::Welcome(_))
    ));
    let mut watch = Vec::new();
    let users = vec!["u1".to_owned()];
    WatchPresence { request: 7, users }
        .write(&mut watch)
        .unwrap();
    let told = async |control: &mut Frames| match tokio::time::timeout(PATIENCE, control.next())
        .await
        .unwrap()
    {
        Some(ServerFrame::Presence(presence)) => presence,
        other => panic!("{other:?}"),
    };
    // Before the handshake is complete it is refused, as all but pulls.
    let first = loop {
        to.write_all(&watch).await.unwrap();
        match tokio::time::timeout(PATIENCE, control.next())
            .await
            .unwrap()
        {
            Some(ServerFrame::Presence(presence)) => break presence,
            Some(ServerFrame::Refused(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((first.request, first.users[0].connections.len()), (7, 0));
    let mut socket = upgraded(server.http(), "", &[]).await.unwrap();
    say(
        &mut socket,
        json!({ "frame": "hello", "token": token, "device": "web" }),
    )
    .await;
    let here = told(&mut control).await;
    assert_eq!(here.users[0].connections[0].device, "web");
    assert_eq!(here.users[0].connections[0].transport, "websocket");
    drop(socket);
    assert!(told(&mut control).await.users[0].connections.is_empty());
    connection.close(0_u32.into(), b"");
    server.stop().await;
}
