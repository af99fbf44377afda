//! The gateway for OpenIM's clients over WebSocket: peers that are slow, silent or away, and tokens that end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use waybill_gateway::openim::v3::proto::{GetMaxSeqReq, GetMaxSeqResp, Message};

use crate::lost::{ended, measured};
use crate::support::{Running, config, start, start_with};
use crate::v3::{done, text, users};
use crate::ws_client::{Socket, ask, client, connect, ends, large, next, pushed, query};

async fn is_online(server: &Running, user: &str) -> bool {
    let body = json!({ "userIDs": [user] });
    let found = done(server, "/user/get_users_online_status", &server.admin, body).await;
    found[0]["status"] == 1
}

/// Waits until a user is connected no longer.
async fn goes(server: &Running, user: &str, patience: Duration) {
    let end = Instant::now() + patience;
    while is_online(server, user).await {
        assert!(Instant::now() < end, "{user} is still connected");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A client that reads nothing from its socket, which holds little.
async fn deaf(server: &Running, user: &str, token: &str) -> Socket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(server.started.ws).await.unwrap();
    let url = format!("ws://{}/{}", server.started.ws, query(user, token, ""));
    client_async(url, stream).await.unwrap().0
}

/// What a slow peer is owed is in its log, not in memory: it lags, is given up, and finds everything when it comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_nothing_lags_alone_and_is_given_up() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.limits.take_seconds = 4;
    let server = start_with(config).await;
    let (slow, quick) = (
        server.token_of("slow").await,
        server.token_of("quick").await,
    );
    let socket = deaf(&server, "slow", &slow).await;
    let mut other = client(&server, "quick", &quick).await;
    // More than the sockets hold, 30 KB each.
    for number in 1..=250 {
        large(&server, "slow", number).await;
        if number % 50 == 0 {
            let began = Instant::now();
            server.text_to("quick", "now").await;
            assert_eq!(pushed(&mut other).await.msgs.len(), 1);
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "others are not held up"
            );
        }
    }
    goes(&server, "slow", Duration::from_secs(60)).await;
    measured(&server, &ended("openim", "too_slow")).await;
    assert!(is_online(&server, "quick").await);
    drop(socket);
    let mut again = client(&server, "slow", &slow).await;
    let (error, data) = ask(&mut again, 1001, "slow", &GetMaxSeqReq::default().to_vec()).await;
    assert_eq!(error, 0);
    let max = GetMaxSeqResp::decode(&data).unwrap().max_seqs;
    assert_eq!(max["sn_openIM123456_slow"], 250);
    server.stop().await;
}

/// Reads, and answers no ping.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_gives_no_sign_of_life_is_given_up_and_one_that_does_stays() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.limits.ws_ping_seconds = 1;
    let server = start_with(config).await;
    let (silent, alive) = (
        server.token_of("silent").await,
        server.token_of("alive").await,
    );
    let socket = connect(&server, &query("silent", &silent, "")).await;
    let mut stays = client(&server, "alive", &alive).await;
    let mut raw = socket.into_inner();
    let reads = tokio::spawn(async move {
        let (mut bytes, mut pings) = ([0; 256], 0);
        while let Ok(count @ 1..) = raw.read(&mut bytes).await {
            // A ping is a frame with the first byte 0x89.
            pings += usize::from(bytes[..count].contains(&0x89));
        }
        pings
    });
    let answers = tokio::spawn(async move {
        let _ = tokio::time::timeout(Duration::from_secs(9), async {
            // Reading answers pings.
            while let Some(Ok(Frame::Ping(_))) = stays.next().await {}
            panic!("the connection ended");
        })
        .await;
        stays
    });
    goes(&server, "silent", Duration::from_secs(30)).await;
    measured(&server, &ended("openim", "silent")).await;
    assert!(
        reads.await.unwrap() >= 2,
        "it was asked, and more than once"
    );
    let mut stays = answers.await.unwrap();
    assert!(is_online(&server, "alive").await);
    server.text_to("alive", "x").await;
    pushed(&mut stays).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_with_its_token() {
    let (data, server) = start().await;
    let token = server.token_of("ann").await;
    server.stop().await;
    // No token is as short as a test; but one ends with the secret that has signed it.
    let former = std::fs::read_to_string(data.path().join("secrets/access.secret")).unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut config = config(data.path());
    config.openim.access_secret = Some("n".repeat(64).into());
    config.openim.access_secret_old = Some(former.trim().to_owned().into());
    config.openim.access_secret_old_until = Some(now + 10);
    let server = start_with(config).await;
    let mut socket = client(&server, "ann", &token).await;
    // Who has synced is shown nothing more.
    let (error, _) = ask(&mut socket, 1001, "ann", &GetMaxSeqReq::default().to_vec()).await;
    assert_eq!(error, 0);
    server.text_to("ann", "x").await;
    pushed(&mut socket).await;
    assert!(ends(&mut socket).await);
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!(end >= Duration::from_secs(now + 10), "not before");
    goes(&server, "ann", Duration::from_secs(5)).await;
    server.stop().await;
}

/// Logs in, is told everything there is, and leaves when the server knows that it has it.
async fn comes_and_goes(server: &Running, token: &str) {
    let mut socket = client(server, "ann", token).await;
    let (error, _) = ask(&mut socket, 1001, "ann", &GetMaxSeqReq::default().to_vec()).await;
    assert_eq!(error, 0);
    let body = json!({ "sendID": "ben", "recvID": "ann", "contentType": 101, "sessionType": 1, "content": { "content": "here" } });
    let sent = done(server, "/msg/send_msg", &server.admin, body).await;
    let path = format!("/v1/messages/{}", sent["serverMsgID"].as_str().unwrap());
    let end = Instant::now() + Duration::from_secs(15);
    while server.v1("GET", &path, &server.admin, "").await.json()["state"] != "delivered" {
        assert!(Instant::now() < end, "it does not arrive");
        let _ = tokio::time::timeout(Duration::from_millis(100), socket.next()).await;
    }
    socket.close(None).await.unwrap();
    goes(server, "ann", Duration::from_secs(5)).await;
}

/// The seqs of the chat with ben that are pushed within a time, and whether the connection ended.
async fn shown(socket: &mut Socket, within: Duration) -> (Vec<i64>, bool) {
    let (mut seqs, end) = (Vec::new(), Instant::now() + within);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        match tokio::time::timeout(left, next(socket)).await {
            Ok(Frame::Close(_)) => return (seqs, true),
            Ok(frame) => {
                let (identifier, _, data) = crate::ws_client::read(&frame);
                assert_eq!(identifier, 2001);
                let push =
                    waybill_gateway::openim::v3::proto::PullMessagesResp::decode(&data).unwrap();
                for pulled in push.msgs.values() {
                    seqs.extend(pulled.msgs.iter().map(|message| message.seq));
                }
            }
            Err(_) => break,
        }
    }
    (seqs, false)
}

/// Clients ask for what they have missed at most every five seconds, and some never do: whoever was away is shown what is newest,
/// sees the gap and asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_is_shown_what_is_newest_and_sent_away_once_for_much() {
    let (_data, server) = start().await;
    let token = users(&server, &["ann", "ben"]).await.remove(0);
    comes_and_goes(&server, &token).await;
    // Nothing was missed: nothing is shown.
    let mut socket = client(&server, "ann", &token).await;
    assert_eq!(
        shown(&mut socket, Duration::from_secs(3)).await,
        (Vec::new(), false)
    );
    socket.close(None).await.unwrap();
    goes(&server, "ann", Duration::from_secs(5)).await;
    // A little was.
    for _ in 0..2 {
        text(&server, "ben", "ann", "away").await;
    }
    let mut socket = client(&server, "ann", &token).await;
    assert_eq!(
        shown(&mut socket, Duration::from_secs(3)).await,
        (vec![3], false)
    );
    drop(socket);
    goes(&server, "ann", Duration::from_secs(5)).await;
    // Much was, and the client does not ask: it is sent away, to sync as it comes again; but once.
    for _ in 0..12 {
        text(&server, "ben", "ann", "away").await;
    }
    let mut socket = client(&server, "ann", &token).await;
    assert_eq!(
        shown(&mut socket, Duration::from_secs(10)).await,
        (vec![15], true)
    );
    goes(&server, "ann", Duration::from_secs(5)).await;
    let mut socket = client(&server, "ann", &token).await;
    assert_eq!(
        shown(&mut socket, Duration::from_secs(8)).await,
        (Vec::new(), false)
    );
    drop(socket);
    goes(&server, "ann", Duration::from_secs(5)).await;
    // Who asks is shown nothing and stays.
    for _ in 0..12 {
        text(&server, "ben", "ann", "away").await;
    }
    let mut socket = client(&server, "ann", &token).await;
    ask(&mut socket, 1001, "ann", &GetMaxSeqReq::default().to_vec()).await;
    assert_eq!(
        shown(&mut socket, Duration::from_secs(8)).await,
        (Vec::new(), false)
    );
    server.stop().await;
}

/// After a start of the server nothing is known of anybody, so whoever does not ask is shown what is newest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_known_is_shown_what_is_newest_in_the_end() {
    let (_data, server) = start().await;
    let tokens = users(&server, &["ann", "ben"]).await;
    text(&server, "ben", "ann", "before").await;
    let mut socket = client(&server, "ann", &tokens[0]).await;
    // The SDK in JavaScript asks by itself.
    let mut script = connect(
        &server,
        &query("ben", &tokens[1], "&isMsgResp=true&sdkType=js"),
    )
    .await;
    let Frame::Text(welcome) = next(&mut script).await else {
        panic!("no welcome");
    };
    assert_eq!(
        serde_json::from_str::<Value>(&welcome).unwrap()["errCode"],
        0
    );
    assert_eq!(
        shown(&mut socket, Duration::from_secs(4)).await,
        (Vec::new(), false)
    );
    assert_eq!(
        shown(&mut socket, Duration::from_secs(6)).await,
        (vec![1], false)
    );
    let nothing = tokio::time::timeout(Duration::from_secs(1), next(&mut script)).await;
    assert!(nothing.is_err(), "{nothing:?}");
    server.stop().await;
}
