//! The gateway for OpenIM's clients over WebSocket: what is sent, pushed and pulled, and what "delivered" rests on.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message as Frame;
use waybill_gateway::openim::v3::proto::{
    ConversationSeqs, GetMaxSeqReq, GetMaxSeqResp, GetSeqMessageReq, Message, Packed,
    PullMessageBySeqsReq, PullMessagesResp, SendMsgResp, SeqRange,
};
use waybill_gateway::openim::v3::{gob, gzip};

use crate::support::start;
use crate::v3::{done, text, users};
use crate::ws_client::{
    ask, chat, client, connect, ends, large, next, pushed, query, read, request,
};

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
