//! How many logins of a user stand beside each other, and that a device is told why it is sent away.

use serde_json::json;
use waybill_gateway::config::LoginPolicy;

use crate::follow::{Socket, heard, say, upgraded};
use crate::support::{Running, config, start_with};

async fn running(login: LoginPolicy) -> (tempfile::TempDir, Running) {
    let data = tempfile::tempdir().expect("a directory");
    let mut config = config(data.path());
    config.login = login;
    let server = start_with(config).await;
    (data, server)
}

async fn login(server: &Running, user: &str, platform: u8) -> String {
    let body = json!({ "user": user, "platform": platform }).to_string();
    let answer = server.v1("POST", "/v1/tokens", &server.admin, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

async fn connected(server: &Running, token: &str, device: &str) -> Socket {
    let mut socket = upgraded(server.http(), "", &[]).await.unwrap();
    let hello = json!({ "frame": "hello", "token": token, "device": device });
    say(&mut socket, hello).await;
    assert_eq!(heard(&mut socket).await.unwrap()["frame"], "welcome");
    socket
}

async fn stands(server: &Running, token: &str) -> bool {
    let answer = server.v1("GET", "/v1/me", token, "").await;
    assert!(answer.status == 200 || answer.problem() == "token-revoked");
    answer.status == 200
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_phone_takes_the_place_of_the_first_and_tells_it_so() {
    let (_data, server) = running(LoginPolicy::OnePerClass).await;
    let phone = login(&server, "u1", 1).await;
    let computer = login(&server, "u1", 3).await;
    let other = login(&server, "u2", 1).await;
    let mut socket = connected(&server, &phone, "d1").await;
    let second = login(&server, "u1", 2).await;
    let bye = heard(&mut socket).await.expect("a goodbye");
    assert_eq!(
        (&bye["frame"], &bye["name"]),
        (&json!("bye"), &json!("LOGGED_IN_ELSEWHERE"))
    );
    let standing = [&phone, &computer, &other, &second].map(|token| stands(&server, token));
    let mut found = Vec::new();
    for one in standing {
        found.push(one.await);
    }
    assert_eq!(found, [false, true, true, true]);
    server.stop().await;
}

#[tokio::test]
async fn one_login_alone_or_several() {
    let (_data, server) = running(LoginPolicy::One).await;
    let first = login(&server, "u1", 1).await;
    let second = login(&server, "u1", 5).await;
    assert!(!stands(&server, &first).await && stands(&server, &second).await);
    // Accounts of the business have as many as they like.
    let manager = "openIM123456";
    let (one, two) = (
        login(&server, manager, 1).await,
        login(&server, manager, 1).await,
    );
    assert!(stands(&server, &one).await && stands(&server, &two).await);
    assert!(stands(&server, &server.admin).await);
    server.stop().await;

    let (_data, server) = running(LoginPolicy::Several).await;
    let first = login(&server, "u1", 1).await;
    let second = login(&server, "u1", 1).await;
    assert!(stands(&server, &first).await && stands(&server, &second).await);
    server.stop().await;
}

/// Of many logins at the same time one is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_logins_at_the_same_time_the_last_one_stands() {
    let (_data, server) = running(LoginPolicy::One).await;
    let first = login(&server, "u1", 1).await;
    let logins = futures_util::future::join_all((0..8).map(|_| login(&server, "u1", 1)));
    let mut standing = 0;
    for token in logins.await {
        standing += usize::from(stands(&server, &token).await);
    }
    assert_eq!(standing, 1);
    assert!(!stands(&server, &first).await);
    server.stop().await;
}

/// A login that cannot be made ends no other.
#[tokio::test]
async fn a_login_that_is_refused_ends_none() {
    let (_data, server) = running(LoginPolicy::One).await;
    let first = login(&server, "u1", 1).await;
    let mut socket = connected(&server, &first, "d1").await;
    let body = json!({ "user": "u1", "platform": 9 }).to_string();
    let answer = server.v1("POST", "/v1/tokens", &server.admin, body).await;
    assert_eq!(answer.problem(), "invalid-field");
    assert!(stands(&server, &first).await);
    say(&mut socket, json!({ "frame": "ping", "request": 1 })).await;
    assert_eq!(heard(&mut socket).await.unwrap()["frame"], "pong");
    server.stop().await;
}
