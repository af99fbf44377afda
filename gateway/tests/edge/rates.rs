//! How fast ordinary users may send, and that business accounts may as fast as they can.

use serde_json::json;

use crate::support::{Running, config, start_with};

async fn running(rate: u64, burst: u64) -> (tempfile::TempDir, Running) {
    let data = tempfile::tempdir().expect("a directory");
    let mut config = config(data.path());
    config.limits.sends_per_second = rate;
    config.limits.sends_burst = burst;
    let server = start_with(config).await;
    (data, server)
}

fn chat(number: usize) -> String {
    json!({
        "to": { "user": format!("friend{number}") },
        "contentType": 101,
        "content": { "text": "hi" },
        "clientMsgID": format!("m{number}"),
    })
    .to_string()
}

#[tokio::test]
async fn an_ordinary_user_is_told_to_wait_and_loses_nothing() {
    let (_data, server) = running(1, 5).await;
    let token = server.token_of("u1").await;
    let send = async |number| {
        server
            .v1("POST", "/v1/messages", &token, &chat(number))
            .await
    };
    for number in 0..5 {
        let answer = send(number).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("ratelimit-policy"), "\"send\";q=5;w=5");
    }
    let refused = send(5).await;
    assert_eq!(
        (refused.status, refused.problem()),
        (429, "rate-limited".to_owned())
    );
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), "\"send\";r=0;t=1");
    let log = server
        .v1("GET", "/v1/users/friend5/log", &server.admin, "")
        .await;
    assert_eq!(log.problem(), "unknown-user", "nothing was done");
    // Another user has a rate of their own.
    let other = server.token_of("u2").await;
    let answer = server.v1("POST", "/v1/messages", &other, &chat(6)).await;
    assert_eq!(answer.status, 200);
    // The same key after the time that was named.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(send(5).await.status, 200);
    assert_eq!(server.log_of("friend5").await["head"], 1);
    server.stop().await;
}

/// What is kept nowhere costs as much to tell.
#[tokio::test]
async fn messages_for_those_online_count_too_and_a_key_is_for_one_of_them() {
    let (_data, server) = running(1, 3).await;
    let token = server.token_of("u1").await;
    server.token_of("u2").await;
    let send = async |id: &str, text: &str| {
        let body = json!({
            "to": { "user": "u2" }, "contentType": 101, "content": { "text": text },
            "clientMsgID": id, "onlineOnly": true,
        });
        let answer = server
            .v1("POST", "/v1/messages", &token, body.to_string())
            .await;
        let told = |wanted| answer.head.to_lowercase().contains(wanted);
        match answer.status {
            // The first answer again says nothing of what is left: it cost nothing.
            200 => format!(
                "ok{}",
                if told("\nratelimit:") {
                    ", counted"
                } else {
                    ""
                }
            ),
            _ => answer.problem(),
        }
    };
    assert_eq!(send("a", "one").await, "ok, counted");
    assert_eq!(send("a", "one").await, "ok", "the first answer again");
    assert_eq!(send("a", "two").await, "key-reused");
    assert_eq!(send("b", "two").await, "ok, counted");
    assert_eq!(send("c", "three").await, "ok, counted");
    assert_eq!(send("d", "four").await, "rate-limited");
    server.stop().await;
}

#[tokio::test]
async fn business_accounts_are_not_slowed_down() {
    let (_data, server) = running(1, 5).await;
    let admin = server.admin.clone();
    for number in 0..20 {
        let answer = server
            .v1("POST", "/v1/messages", &admin, &chat(number))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.head.to_lowercase().contains("ratelimit"));
    }
    server.stop().await;
}
