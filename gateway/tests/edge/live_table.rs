//! One table of scenarios, which every way of following a log comes through alike.

use std::time::Duration;

use crate::follow::{Asked, Follower, Got, PATIENCE, Way, asked};
use crate::support::{Running, config, start, start_with};

/// A follower that follows already.
async fn following(server: &Running, way: Way, asked: Asked) -> Follower {
    let mut follower = Follower::start(server, way, asked);
    assert_eq!(follower.next().await, Got::Follows, "{way:?}");
    follower
}

async fn text(server: &Running, user: &str, number: u64) {
    server.text_to(user, &number.to_string()).await;
}

/// The next entries are these, each once and in order.
async fn gets(follower: &mut Follower, seqs: std::ops::RangeInclusive<u64>, way: Way) {
    for seq in seqs {
        assert_eq!(follower.entry().await, (seq, seq.to_string()), "{way:?}");
    }
}

fn user(way: Way) -> String {
    format!("{way:?}").to_lowercase()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_arrives_and_who_is_behind_catches_up() {
    let (_data, server) = start().await;
    for way in Way::ALL {
        let user = user(way);
        for number in 1..=5 {
            text(&server, &user, number).await;
        }
        let mut behind = following(&server, way, asked(&server, &user, "d1", 0).await).await;
        gets(&mut behind, 1..=5, way).await;
        let mut level = following(&server, way, asked(&server, &user, "d2", 5).await).await;
        text(&server, &user, 6).await;
        gets(&mut level, 6..=6, way).await;
        gets(&mut behind, 6..=6, way).await;
        // Dropped without a word, and back from its cursor.
        behind.drop_it();
        text(&server, &user, 7).await;
        let mut back = following(&server, way, asked(&server, &user, "d1", 6).await).await;
        text(&server, &user, 8).await;
        gets(&mut back, 7..=8, way).await;
        gets(&mut level, 7..=8, way).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_another_history_is_told_so() {
    let (_data, server) = start().await;
    for way in Way::ALL {
        let user = user(way);
        text(&server, &user, 1).await;
        let ahead = asked(&server, &user, "d", 2).await;
        let foreign = Asked {
            epoch: Some("00".repeat(16)),
            after: 0,
            ..ahead.clone()
        };
        for (asked, name) in [(ahead, "AHEAD"), (foreign, "OTHER_EPOCH")] {
            let mut follower = Follower::start(&server, way, asked);
            let got = loop {
                match follower.next().await {
                    // A stream of events has begun before it is looked at.
                    Got::Follows => {}
                    got => break got,
                }
            };
            assert_eq!(got, Got::Refused(name.to_owned()), "{way:?}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_log_is_for_business_alone() {
    let (_data, server) = start().await;
    for way in Way::ALL {
        let user = user(way);
        text(&server, &user, 1).await;
        let nosy = Asked {
            user: user.clone(),
            ..asked(&server, "nosy", "d", 0).await
        };
        let mut follower = Follower::start(&server, way, nosy);
        assert_eq!(
            follower.next().await,
            Got::Refused("FORBIDDEN".to_owned()),
            "{way:?}"
        );
        let business = Asked {
            token: server.admin.clone(),
            device: String::new(),
            user: user.clone(),
            after: 0,
            epoch: None,
        };
        let mut follower = following(&server, way, business).await;
        text(&server, &user, 2).await;
        gets(&mut follower, 1..=2, way).await;
    }
    server.stop().await;
}

/// How each way tells that a connection ends for this reason.
fn ends(way: Way, name: &str, got: &Got) {
    match (way, got) {
        // A poll that waits is refused, or answers with what there is.
        (Way::LongPoll, Got::Refused(refused)) => assert_eq!(refused, name),
        (_, Got::Bye(code, retry)) => {
            assert_eq!(code, name, "{way:?}");
            let spread = (500..=10_000).contains(retry);
            assert_eq!(spread, name == "STOPPING", "{way:?}: {retry}");
        }
        _ => panic!("{way:?}: {got:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_ends_its_connections() {
    let (_data, server) = start().await;
    for way in Way::ALL {
        let user = user(way);
        text(&server, &user, 1).await;
        let asked = asked(&server, &user, "d", 0).await;
        let token = asked.token.clone();
        let mut follower = following(&server, way, asked).await;
        gets(&mut follower, 1..=1, way).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answer = server.v1("DELETE", "/v1/tokens", &token, "").await;
        assert_eq!(answer.status, 204);
        ends(way, "TOKEN_REVOKED", &follower.next().await);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_runs_out_ends_its_connections() {
    // No token has less, in seconds. The waiting is done for all ways at once.
    const SHORTEST: u64 = 60;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path());
    config.limits.clock_skew_seconds = 0;
    let server = start_with(config).await;
    let mut followers = Vec::new();
    for way in Way::ALL {
        let user = user(way);
        let lasting = asked(&server, &user, "d", 0).await;
        let body = serde_json::json!({ "user": user, "expiresIn": SHORTEST }).to_string();
        let mortal = server.v1("POST", "/v1/tokens", &server.admin, body).await;
        let token = mortal.json()["token"].as_str().unwrap().to_owned();
        let asked = Asked {
            token,
            ..lasting.clone()
        };
        // Another device of the user, whose token lasts.
        let other = Asked {
            device: "other".to_owned(),
            ..lasting
        };
        let mortal = following(&server, way, asked).await;
        let lasting = following(&server, way, other).await;
        followers.push((way, user, mortal, lasting));
    }
    for (way, _, mortal, _) in &mut followers {
        let got = mortal.next_within(Duration::from_secs(SHORTEST) + PATIENCE);
        ends(*way, "TOKEN_EXPIRED", &got.await);
    }
    for (way, user, _, lasting) in &mut followers {
        text(&server, user, 1).await;
        gets(lasting, 1..=1, *way).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_comes_anew_ends_its_old_connection_and_no_other() {
    let (_data, server) = start().await;
    for way in [Way::Quic, Way::Sse, Way::Socket] {
        let user = user(way);
        let asked = asked(&server, &user, "phone", 0).await;
        let mut old = following(&server, way, asked.clone()).await;
        let tablet = Asked {
            device: "tablet".to_owned(),
            ..asked.clone()
        };
        let mut tablet = following(&server, way, tablet).await;
        let mut new = following(&server, way, asked).await;
        ends(way, "SUPERSEDED", &old.next().await);
        text(&server, &user, 1).await;
        gets(&mut new, 1..=1, way).await;
        gets(&mut tablet, 1..=1, way).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_says_when_to_come_again() {
    let (_data, server) = start().await;
    let mut followers = Vec::new();
    for way in [Way::Quic, Way::Sse, Way::Socket] {
        let asked = asked(&server, &user(way), "d", 0).await;
        followers.push((way, following(&server, way, asked).await));
    }
    server.stop().await;
    for (way, mut follower) in followers {
        ends(way, "STOPPING", &follower.next().await);
        assert_eq!(follower.next().await, Got::Gone, "{way:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_lags_and_gets_everything() {
    const MESSAGES: u64 = 60;
    let (_data, server) = start().await;
    let long = "x".repeat(20_000);
    for way in Way::ALL {
        let user = user(way);
        let asked = asked(&server, &user, "d", 0).await;
        let mut slow = following(&server, way, asked.clone()).await;
        for number in 1..=MESSAGES {
            server.text_to(&user, &format!("{number} {long}")).await;
        }
        // Others are not held up by it.
        let quick = Asked {
            device: "quick".to_owned(),
            after: MESSAGES - 1,
            ..asked
        };
        let mut quick = following(&server, way, quick).await;
        assert_eq!(quick.entry().await.0, MESSAGES, "{way:?}");
        for number in 1..=MESSAGES {
            let (seq, text) = slow.entry().await;
            assert_eq!(seq, number, "{way:?}");
            assert!(text.starts_with(&format!("{number} ")), "{way:?}");
        }
    }
    server.stop().await;
}
