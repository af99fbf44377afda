//! The gateway for OpenIM's clients over WebSocket: how far conversations go, their last messages, who is connected, logging out.

use serde_json::{Value, json};
use waybill_gateway::openim::v3::proto::{
    GetHasReadAndMaxSeqReq, GetHasReadAndMaxSeqResp, GetLastMessageReq, GetLastMessageResp,
    Message, SetAppBackgroundStatusReq, SubUserOnlineStatus, UserOnlineStatusResp,
};

use crate::support::{Running, start};
use crate::v3::{done, text, users};
use crate::ws_client::{Socket, ask, client, ends};

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

async fn positions(socket: &mut Socket, user: &str, named: &[&str]) -> GetHasReadAndMaxSeqResp {
    let asked = GetHasReadAndMaxSeqReq {
        user_id: user.to_owned(),
        conversation_ids: ids(named),
        return_pinned: true,
    };
    let (error, data) = ask(socket, 1006, user, &asked.to_vec()).await;
    assert_eq!(error, 0);
    GetHasReadAndMaxSeqResp::decode(&data).unwrap()
}

async fn last(socket: &mut Socket, user: &str, named: &[&str]) -> GetLastMessageResp {
    let asked = GetLastMessageReq {
        user_id: user.to_owned(),
        conversation_ids: ids(named),
    };
    let (error, data) = ask(socket, 1007, user, &asked.to_vec()).await;
    assert_eq!(error, 0);
    GetLastMessageResp::decode(&data).unwrap()
}

async fn notice(server: &Running, to: &str) {
    let body = json!({
        "sendID": "openIM123456", "recvID": to, "contentType": 1400, "sessionType": 4,
        "content": { "notificationName": "OA", "notificationType": 1, "text": "x" },
    });
    done(server, "/msg/send_msg", &server.admin, body).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_learn_how_far_conversations_go_and_are_read() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    for number in 0..3 {
        text(&server, "u2", "u1", &number.to_string()).await;
    }
    notice(&server, "u1").await;
    let mut socket = client(&server, "u1", &tokens[0]).await;
    let found = positions(&mut socket, "u1", &[]).await;
    assert_eq!(found.seqs.len(), 2, "all of them, and no notifications");
    let chat = &found.seqs["si_u1_u2"];
    assert_eq!((chat.max_seq, chat.has_read_seq), (3, 0));
    assert!(chat.max_seq_time > 1_600_000_000_000);
    let session = &found.seqs["sn_openIM123456_u1"];
    assert_eq!((session.max_seq, session.has_read_seq), (1, 0));
    assert!(found.pinned_conversation_ids.is_empty());

    let read = json!({ "conversationID": "si_u1_u2", "userID": "u1", "hasReadSeq": 2 });
    done(&server, "/msg/mark_conversation_as_read", &tokens[0], read).await;
    let pin = json!({ "userIDs": ["u1"], "conversation": { "conversationID": "si_u1_u2", "isPinned": true } });
    done(&server, "/conversation/set_conversations", &tokens[0], pin).await;
    // Those that are named, of those that the user has.
    let named = [
        "si_u1_u2", "si_u1_u3", "si_u2_u3", "n_u1_u1", "nonsense", "",
    ];
    let found = positions(&mut socket, "u1", &named).await;
    assert_eq!(found.seqs.keys().collect::<Vec<_>>(), ["si_u1_u2"]);
    assert_eq!(found.seqs["si_u1_u2"].has_read_seq, 2);
    assert_eq!(found.pinned_conversation_ids, ["si_u1_u2"]);
    // HTTP says the same.
    let http = done(
        &server,
        "/msg/get_conversations_has_read_and_max_seq",
        &tokens[0],
        json!({ "userID": "u1" }),
    )
    .await;
    assert_eq!(http["seqs"]["si_u1_u2"]["hasReadSeq"], 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_message_of_a_conversation_is_what_is_left_of_it() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    text(&server, "u2", "u1", "first").await;
    text(&server, "u2", "u1", "last").await;
    let mut socket = client(&server, "u1", &tokens[0]).await;
    let found = last(&mut socket, "u1", &["si_u1_u2", "si_u2_u3", "n_u1_u1"])
        .await
        .msgs;
    assert_eq!(found.len(), 1);
    assert_eq!(&found["si_u1_u2"].content[..], b"{\"content\":\"last\"}");
    assert_eq!(
        last(&mut socket, "u1", &[]).await.msgs,
        found,
        "no name means all"
    );

    // A recalled one says who has recalled it, and when.
    let body = json!({ "conversationID": "si_u1_u2", "seq": 2, "userID": "u2" });
    done(&server, "/msg/revoke_msg", &server.admin, body).await;
    let found = last(&mut socket, "u1", &["si_u1_u2"]).await.msgs;
    let message = &found["si_u1_u2"];
    assert_eq!((message.content_type, message.seq), (2101, 2));
    let content: Value = serde_json::from_slice(&message.content).unwrap();
    let detail: Value = serde_json::from_str(content["detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail["revokerID"], "openIM123456");
    assert_eq!(detail["isAdminRevoke"], true);
    assert_eq!(detail["sourceMessageSendID"], "u2");
    assert!(detail["revokeTime"].as_i64().unwrap() >= message.send_time);
    // One that this user has deleted is nobody's last message.
    let body = json!({ "conversationID": "si_u1_u2", "userID": "u1", "seqs": [2] });
    done(&server, "/msg/delete_msgs", &tokens[0], body).await;
    assert!(last(&mut socket, "u1", &["si_u1_u2"]).await.msgs.is_empty());
    server.stop().await;
}

async fn presence(socket: &mut Socket, user: &str, of: &[&str]) -> Vec<(String, Vec<i64>)> {
    let asked = SubUserOnlineStatus {
        subscribe: ids(of),
        unsubscribe: Vec::new(),
    };
    let (error, data) = ask(socket, 2005, user, &asked.to_vec()).await;
    assert_eq!(error, 0);
    let found = UserOnlineStatusResp::decode(&data)
        .unwrap()
        .users
        .into_iter();
    found.map(|one| (one.user_id, one.platforms.0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_connected_is_told_by_one_rule_everywhere() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["u1", "u2"]).await;
    let mut one = client(&server, "u1", &tokens[0]).await;
    let here = |user: &str| (user.to_owned(), vec![5]);
    let away = |user: &str| (user.to_owned(), Vec::new());
    let all = ["u1", "u2", "nobody", ""];
    assert_eq!(
        presence(&mut one, "u1", &all).await,
        [here("u1"), away("u2"), away("nobody"), away("")]
    );
    let mut two = client(&server, "u2", &tokens[1]).await;
    assert_eq!(presence(&mut one, "u1", &["u2"]).await, [here("u2")]);
    let http = async || {
        let body = json!({ "userIDs": ["u1", "u2", "nobody"] });
        let found = done(&server, "/user/get_users_online_status", &tokens[0], body).await;
        let status = |at: usize| found[at]["status"].as_i64().unwrap();
        assert_eq!(
            found[0]["detailPlatformStatus"],
            json!([{ "platformID": 5 }])
        );
        (status(0), status(1), status(2))
    };
    assert_eq!(http().await, (1, 1, 0));

    // In the background nothing changes; a logout is answered, and then the connection ends.
    let asked = SetAppBackgroundStatusReq {
        user_id: "u2".to_owned(),
        is_background: true,
    };
    assert_eq!(
        ask(&mut two, 2004, "u2", &asked.to_vec()).await,
        (0, Vec::new())
    );
    assert_eq!(presence(&mut one, "u1", &["u2"]).await, [here("u2")]);
    assert_eq!(ask(&mut two, 2003, "u2", &[]).await, (0, Vec::new()));
    assert!(ends(&mut two).await);
    assert_eq!(http().await, (1, 0, 0));
    assert_eq!(presence(&mut one, "u1", &["u2"]).await, [away("u2")]);
    // The token is good for the next login.
    client(&server, "u2", &tokens[1]).await;
    server.stop().await;
}
