//! The client over HTTP within TLS: WebSocket and long poll, with a pinned certificate and with an authority's.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::oneshot;
use waybill_client::{
    Client, Config as ClientConfig, Event, Fingerprint, Message, Transport, Trust,
};
use waybill_core::id::Seq;
use waybill_gateway::config::{Config, Overrides, Tls};
use waybill_gateway::quic::Certificate;
use waybill_gateway::secrets::SecretDir;
use waybill_gateway::server::{Server, StartOptions};

/// A server on free ports whose HTTP is within TLS, with the certificate that it makes for itself.
fn config(data: &Path) -> Config {
    Certificate::development(&SecretDir::open(data).unwrap()).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let overrides = Overrides {
        data: Some(data.to_owned()),
        http: vec![any],
        quic: Some(any),
        ws: Some(any),
        ops: Some(any),
    };
    let mut config = Config::load(None, [], overrides).unwrap();
    config.memory_mib = 192;
    let pem = data.join("secrets").join("quic.pem");
    config.tls = Some(Tls {
        cert: pem.clone(),
        key: pem,
    });
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn http_within_tls_is_spoken_to_those_who_are_trusted() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(config(data.path()), StartOptions::default());
    let server = server.await.unwrap();
    let started = server.started().clone();
    assert!(started.tls);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async move {
        let _ = stopped.await;
    }));
    let token = std::fs::read_to_string(&started.admin_token).unwrap();
    let pem = std::fs::read(data.path().join("secrets").join("quic.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&pem).unwrap())
        .unwrap();
    let pin = Trust::Pinned(Fingerprint(started.quic_fingerprint.0));
    let port = started.http[0].port();
    let url = format!("https://localhost:{port}");
    let me = ClientConfig::new("openIM123456", token.trim()).device("d", 7);
    let mut sent = 0;
    for trust in [pin, Trust::Roots(roots)] {
        for (web_socket, transport) in [(true, Transport::WebSocket), (false, Transport::LongPoll)]
        {
            let config = me.clone().https(&url, trust.clone()).web_socket(web_socket);
            let client = Client::open(config).await.unwrap();
            let mut events = client.events();
            client
                .send(Message::text("openIM123456", "note to self"))
                .await
                .unwrap();
            sent += 1;
            let mut log = client.follow(Seq(sent - 1));
            assert_eq!(log.next().await.unwrap().unwrap()[0].seq, Seq(sent));
            assert_eq!(events.next().await, Some(Event::Online(transport)));
            client.close().await;
        }
    }
    let stranger = Trust::Pinned(Fingerprint([7; 32]));
    let client = Client::open(me.https(&url, stranger)).await.unwrap();
    let event = client.events().next().await.unwrap();
    let Event::Offline { error, retry_in } = event else {
        panic!("{event:?}");
    };
    assert_eq!(error.code(), None, "{error}");
    assert!(retry_in <= Duration::from_millis(500));
    client.close().await;
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}
