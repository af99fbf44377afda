//! `/auth/*`.

use serde_json::json;

use crate::support::{Running, start};

async fn post(server: &Running, path: &str, body: serde_json::Value) -> crate::support::Answer {
    server.v2(path, "", body.to_string()).await
}

#[tokio::test]
async fn register_token_and_parse() {
    let (_data, server) = start().await;
    let secret = server.secret.as_str();
    let body = json!({ "secret": secret, "platform": 2, "userID": "u1", "nickname": "N", "operationID": "op", "gender": 1 });
    let answer = post(&server, "/auth/user_register", body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let data = &answer.json()["data"];
    assert_eq!(
        (&answer.json()["errCode"], &data["userID"]),
        (&json!(0), &json!("u1"))
    );
    let (token, expires) = (
        data["token"].as_str().unwrap(),
        data["expiredTime"].as_u64().unwrap(),
    );
    let me = server.v1("GET", "/v1/me", token, "").await.json();
    assert_eq!(
        (&me["user"], &me["role"], &me["platform"], &me["registered"]),
        (&json!("u1"), &json!("user"), &json!(2), &json!(true))
    );

    let parsed = server
        .v2(
            "/auth/parse_token",
            token,
            json!({ "operationID": "op" }).to_string(),
        )
        .await;
    assert_eq!(
        parsed.text(),
        format!(r#"{{"errCode":0,"errMsg":"","data":{{"ExpireTimeSeconds":{expires}}}}}"#)
    );

    let again = post(&server, "/auth/user_register", body).await;
    assert_eq!(
        (again.status, &again.json()["errCode"]),
        (500, &json!(500)),
        "{}",
        again.text()
    );
    assert_eq!(
        again.json()["errMsg"],
        "op  UserRegister failed the user is registered already"
    );

    let body = json!({ "secret": secret, "platform": 8, "userID": "u1", "operationID": "op" });
    let second = post(&server, "/auth/user_token", body).await;
    assert_eq!(second.json()["errCode"], 0, "{}", second.text());
    let second = second.json()["data"]["token"].as_str().unwrap().to_owned();
    assert_ne!(second, token);
    for token in [token, &second] {
        assert_eq!(
            server.v1("GET", "/v1/me", token, "").await.status,
            200,
            "both stay valid"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_the_texts_of_the_original() {
    let (_data, server) = start().await;
    let secret = server.secret.as_str();
    // Known by a message, but never registered.
    server.text_to("seen", "hi").await;
    let user = json!({ "secret": secret, "platform": 1, "userID": "seen", "operationID": "op" });
    let mut wrong = user.clone();
    wrong["secret"] = json!("wrong");
    let mut long = user.clone();
    long["userID"] = json!("u".repeat(65));
    let mut control = user.clone();
    control["userID"] = json!("a\nb");
    let field = |shape: &str, field: &str, tag: &str| {
        let bare = field.rsplit('.').next().unwrap();
        format!(
            " BindJSON failed Key: '{shape}.{field}' Error:Field validation for '{bare}' failed on the '{tag}' tag"
        )
    };
    let table = [
        (
            "/auth/user_register",
            &wrong,
            400,
            401,
            " params.Secret != config.Config.Secret ".to_owned(),
        ),
        (
            "/auth/user_token",
            &wrong,
            400,
            401,
            "op params.Secret != config.Config.Secret ".to_owned(),
        ),
        ("/auth/user_token", &user, 200, 802, "db failed".to_owned()),
        (
            "/auth/user_token",
            &long,
            400,
            400,
            field("UserTokenReq", "UserID", "max"),
        ),
        (
            "/auth/user_register",
            &long,
            400,
            400,
            field("UserRegisterReq", "ApiUserInfo.UserID", "max"),
        ),
        (
            "/auth/user_register",
            &control,
            400,
            403,
            "userID holds a control character".to_owned(),
        ),
        (
            "/auth/parse_token",
            &json!({}),
            400,
            400,
            field("ParseTokenReq", "OperationID", "required"),
        ),
        (
            "/auth/parse_token",
            &json!({ "operationID": "op" }),
            400,
            1001,
            "op GetUserIDFromTokenExpireTime failed The request carries no token.".to_owned(),
        ),
    ];
    for (path, body, status, code, text) in table {
        let answer = post(&server, path, body.clone()).await;
        let context = format!("{path} {body} gave {}", answer.text());
        assert_eq!(
            (answer.status, &answer.json()["errCode"]),
            (status, &json!(code)),
            "{context}"
        );
        assert_eq!(answer.json()["errMsg"], text, "{context}");
        assert!(!answer.text().contains(secret), "the secret is not told");
    }
    let unknown = post(&server, "/auth/user_token", user).await;
    assert_eq!(
        unknown.text(),
        r#"{"errCode":802,"errMsg":"db failed","data":{"userID":"seen","token":"","expiredTime":0}}"#
    );
    server.stop().await;
}
