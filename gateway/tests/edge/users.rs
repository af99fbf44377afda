//! The directory: who is registered, with what profile; and that ending a registration ends tokens too.

use serde_json::{Value, json};

use crate::support::{Answer, Running, start};

async fn put(server: &Running, token: &str, user: &str, profile: &Value) -> Answer {
    let path = format!("/v1/users/{user}");
    server.v1("PUT", &path, token, profile.to_string()).await
}

async fn get(server: &Running, token: &str, user: &str) -> Answer {
    let path = format!("/v1/users/{user}");
    server.v1("GET", &path, token, "").await
}

#[tokio::test]
async fn a_user_is_put_shown_and_ended() {
    let (_data, server) = start().await;
    let admin = server.admin.clone();
    let unknown = get(&server, &admin, "zhang").await;
    assert_eq!(
        (unknown.status, unknown.problem().as_str()),
        (404, "unknown-user")
    );
    let profile = json!({ "nickname": "张三", "faceURL": "https://example.com/z.png", "ex": "d7" });
    let answer = put(&server, &admin, "zhang", &profile).await;
    assert_eq!(
        (answer.status, &answer.json()["new"]),
        (200, &json!(true)),
        "{}",
        answer.text()
    );
    let shown = get(&server, &admin, "zhang").await.json();
    let expected = json!({
        "user": "zhang", "registered": true, "nickname": "张三",
        "faceURL": "https://example.com/z.png", "ex": "d7",
    });
    assert_eq!(shown, expected);
    // Put again it is whole again: what is not named is empty.
    let answer = put(&server, &admin, "zhang", &json!({ "nickname": "Zhang" })).await;
    assert_eq!(answer.json()["new"], false);
    let shown = get(&server, &admin, "zhang").await.json();
    assert_eq!(
        (&shown["nickname"], &shown["ex"]),
        (&json!("Zhang"), &json!(""))
    );
    // Users put their own and see their own.
    let token = server.token_of("zhang").await;
    let own = put(&server, &token, "zhang", &json!({ "nickname": "me" })).await;
    assert_eq!(own.status, 200, "{}", own.text());
    for answer in [
        put(&server, &token, "li", &json!({})).await,
        get(&server, &token, "openIM123456").await,
        server.v1("DELETE", "/v1/users/zhang", &token, "").await,
    ] {
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (403, "forbidden")
        );
    }
    let ended = server.v1("DELETE", "/v1/users/zhang", &admin, "").await;
    assert_eq!(
        (ended.status, &ended.json()["registered"]),
        (200, &json!(false))
    );
    assert_eq!(get(&server, &token, "zhang").await.status, 401);
    let shown = get(&server, &admin, "zhang").await.json();
    assert_eq!(shown, json!({ "user": "zhang", "registered": false }));
    let twice = server.v1("DELETE", "/v1/users/zhang", &admin, "").await;
    assert_eq!(
        (twice.status, twice.problem().as_str()),
        (404, "unknown-user")
    );
    let again = put(&server, &admin, "zhang", &json!({})).await;
    assert_eq!(again.json()["new"], true);
    server.stop().await;
}

#[tokio::test]
async fn a_profile_that_would_mislead_is_refused() {
    let (_data, server) = start().await;
    let admin = server.admin.clone();
    put(&server, &admin, "known", &json!({})).await;
    for profile in [
        json!({ "nickname": "a\u{202e}b" }),
        json!({ "nickname": "a\nb" }),
        json!({ "faceURL": "javascript:alert(1)" }),
        json!({ "nickname": "x".repeat(5_000) }),
        json!({ "ex": "x".repeat(1_025) }),
        json!({ "name": "x" }),
    ] {
        for user in ["known", "new"] {
            let answer = put(&server, &admin, user, &profile).await;
            assert_eq!(answer.status, 400, "{user} {profile}: {}", answer.text());
        }
    }
    assert_eq!(get(&server, &admin, "new").await.status, 404);
    let v2 = json!({
        "operationID": "op", "userID": "known", "nickname": "a\u{202e}b",
    });
    let answer = server
        .v2("/user/update_user_info", &admin, v2.to_string())
        .await;
    assert_ne!(answer.json()["errCode"], 0, "{}", answer.text());
    server.stop().await;
}
