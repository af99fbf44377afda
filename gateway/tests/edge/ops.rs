//! The operators' listener, starting and stopping.

use waybill_gateway::server::{Server, StartError, StartOptions};
use waybill_log::OpenError;

use crate::support::{SEED, call, config, start, start_with};

#[tokio::test]
async fn health_and_metrics_have_a_listener_of_their_own() {
    let (data, server) = start().await;
    let ops = server.started.ops;
    let get = async |path: &str| call(ops, "GET", path, &[], b"").await;
    assert_eq!(get("/livez").await.text(), "ok");
    let ready = get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (200, &serde_json::json!("ready"))
    );
    server.v2("/manager/send_msg", &server.admin, SEED).await;
    server.v2("/manager/send_msg", "bad", SEED).await;
    let metrics = get("/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    for line in [
        "waybill_sends_total{surface=\"v2\",outcome=\"Sent\"} 1",
        "waybill_auth_failures_total{reason=\"token-malformed\"} 1",
        "waybill_http_requests_total{route=\"/manager/send_msg\",status=\"4xx\"} 1",
        "waybill_ledger_durable_position ",
        "waybill_writer_waiting_commands 0",
        "waybill_resident_memory_bytes ",
    ] {
        assert!(
            metrics.text().contains(line),
            "{line} is missing in {}",
            metrics.text()
        );
    }
    assert!(
        !metrics.text().contains("18712345678"),
        "no user in a label"
    );
    assert_eq!(get("/nothing").await.problem(), "no-route");
    assert_eq!(
        call(ops, "POST", "/metrics", &[], b"").await.problem(),
        "method-not-allowed"
    );
    assert_eq!(
        server.call("GET", "/metrics", &[], b"").await.status,
        404,
        "not beside the API"
    );

    assert_eq!(
        call(ops, "POST", "/snapshot", &[], b"").await.status,
        415,
        "not from a web page"
    );
    let headers = [("Content-Type", "application/json")];
    let snapshot = call(ops, "POST", "/snapshot", &headers, b"").await;
    assert_eq!(snapshot.status, 200, "{}", snapshot.text());
    let path = snapshot.json()["path"].as_str().unwrap().to_owned();
    assert!(
        std::path::Path::new(&path).join("ledger").is_dir(),
        "{path}"
    );
    for _ in 1..8 {
        assert_eq!(
            call(ops, "POST", "/snapshot", &headers, b"").await.status,
            200
        );
    }
    assert_eq!(
        call(ops, "POST", "/snapshot", &headers, b"")
            .await
            .problem(),
        "busy"
    );
    server.stop().await;
    drop(data);
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused() {
    let (data, server) = start().await;
    let second = Server::start(config(data.path()), StartOptions::default()).await;
    assert!(matches!(
        second.err(),
        Some(StartError::Log(OpenError::Locked { .. }))
    ));
    let mut same_port = config(data.path());
    same_port.listen.http = vec![server.http()];
    let second = Server::start(same_port, StartOptions::default())
        .await
        .err()
        .unwrap();
    assert!(
        second.to_string().contains(&server.http().to_string()),
        "{second}"
    );
    let answer = server.v2("/manager/send_msg", &server.admin, SEED).await;
    assert_eq!(answer.status, 200, "the first is not disturbed");
    server.stop().await;
}

#[tokio::test]
async fn what_was_sent_is_there_after_a_restart() {
    let (data, server) = start().await;
    let sent = server
        .v2("/manager/send_msg", &server.admin, SEED)
        .await
        .json();
    let before = server.log_of("18712345678").await;
    let token = server.token_of("u").await;
    let cursor = server
        .v1(
            "PUT",
            "/v1/users/18712345678/devices/d/cursor",
            &server.admin,
            "{\"seq\":1}",
        )
        .await;
    assert_eq!(cursor.status, 200, "{}", cursor.text());
    server.stop().await;

    let server = start_with(config(data.path())).await;
    assert_eq!(server.log_of("18712345678").await, before);
    assert_eq!(
        before["entries"][0]["serverMsgID"],
        sent["data"]["serverMsgID"]
    );
    assert_eq!(server.v1("GET", "/v1/me", &token, "").await.status, 200);
    let cursor = server
        .v1(
            "PUT",
            "/v1/users/18712345678/devices/d/cursor",
            &server.admin,
            "{\"seq\":0}",
        )
        .await;
    assert_eq!(
        cursor.json()["seq"],
        1,
        "what a device said before the stop was handed over"
    );
    server.stop().await;

    std::fs::remove_file(data.path().join("secrets/id.key")).unwrap();
    let lost = Server::start(config(data.path()), StartOptions::default())
        .await
        .err()
        .unwrap();
    assert!(lost.to_string().contains("id.key is missing"), "{lost}");
}
