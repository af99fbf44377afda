use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::*;
use crate::shutdown::{Phase, Stop};
use crate::tls;

/// Says who asked for what; `/slow` waits until the server stops.
#[derive(Clone)]
struct Echo {
    stopping: Stopping,
    arrived: Arc<Notify>,
}

impl Handler for Echo {
    async fn handle(&self, request: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        self.arrived.notify_one();
        if request.uri().path() == "/slow" {
            self.stopping.clone().draining().await;
        }
        let version = format!("{:?}", request.version());
        let body = request
            .into_body()
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let length = body.map_or(0, |body| body.len());
        Response::new(Body::whole(format!("{version} {length}")))
    }
}

struct Server {
    address: SocketAddr,
    stop: Stop,
    drained: Drained,
    listening: JoinHandle<()>,
    arrived: Arc<Notify>,
}

async fn start(limits: Limits, tls: Option<TlsAcceptor>) -> Server {
    let (stop, stopping) = Stop::new();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let metrics = Arc::new(Metrics::new("test"));
    let arrived = Arc::new(Notify::new());
    let handler = Echo {
        stopping: stopping.clone(),
        arrived: Arc::clone(&arrived),
    };
    let (listeners, drained) = Listeners::new(handler, &limits, tls, metrics, stopping);
    Server {
        address,
        stop,
        drained,
        listening: tokio::spawn(listeners.listen(socket)),
        arrived,
    }
}

/// Sends bytes and returns all that comes back until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn quick() -> Limits {
    Limits {
        header_seconds: 1,
        idle_seconds: 1,
        handshake_seconds: 1,
        ..Limits::default()
    }
}

#[tokio::test]
async fn http1_is_served_and_kept_alive() {
    let server = start(Limits::default(), None).await;
    let two = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(server.address, two).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert!(
        answer.contains("HTTP/1.1 3") && answer.ends_with("HTTP/1.1 0"),
        "{answer}"
    );
}

#[tokio::test]
async fn http2_is_served_without_and_with_tls() {
    let server = start(Limits::default(), None).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(ask_http2(stream).await, "HTTP/2.0 5");

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let chain = vec![made.cert.der().clone()];
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let config = tls::for_http(tls::Identity { chain, key }).unwrap();
    let server = start(Limits::default(), Some(config.into())).await;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(client))
        .connect(name, stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(ask_http2(stream).await, "HTTP/2.0 5");
}

async fn ask_http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> String {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let body = Full::new(Bytes::from_static(b"12345"));
    let request = Request::post("http://localhost/").body(body).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn slow_peers_are_cut_off() {
    let server = start(quick(), None).await;
    for dribble in ["", "G", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let began = Instant::now();
        let answer = exchange(server.address, dribble.as_bytes()).await;
        assert!(!answer.contains("200 OK"), "{answer}");
        assert!(
            began.elapsed() >= Duration::from_millis(900),
            "it was given its time"
        );
    }
    // Idle after an answer.
    let answer = exchange(server.address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.contains("200 OK"), "{answer}");
    // No handshake.
    let config = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let identity = tls::Identity {
        chain: vec![config.cert.der().clone()],
        key: config.signing_key.serialize_der().try_into().unwrap(),
    };
    let acceptor = TlsAcceptor::from(tls::for_http(identity).unwrap());
    let server = start(quick(), Some(acceptor)).await;
    assert_eq!(exchange(server.address, b"").await, "");
}

#[tokio::test]
async fn large_heads_are_refused() {
    let server = start(
        Limits {
            headers: 8,
            ..Limits::default()
        },
        None,
    )
    .await;
    let many: String = (0..9).map(|n| format!("x{n}: y\r\n")).collect();
    let answer = exchange(
        server.address,
        format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes(),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = format!(
        "GET / HTTP/1.1\r\nx: {}\r\n\r\n",
        "y".repeat(MAX_BUFFER_BYTES + 1)
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The server may close before it has taken everything.
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
}

#[tokio::test]
async fn connections_beyond_the_bound_are_told_so() {
    let server = start(
        Limits {
            connections: 1,
            ..Limits::default()
        },
        None,
    )
    .await;
    let mut held = TcpStream::connect(server.address).await.unwrap();
    held.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut some = [0; 12];
    held.read_exact(&mut some).await.unwrap();
    let answer = exchange(server.address, b"").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    drop(held);
}

#[tokio::test]
async fn a_stopping_server_finishes_what_is_in_progress() {
    let server = start(Limits::default(), None).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut some = [0; 12];
    idle.read_exact(&mut some).await.unwrap();
    server.arrived.notified().await;
    let address = server.address;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    server.arrived.notified().await;
    server.stop.enter(Phase::Draining);
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
    server.listening.await.unwrap();
    server.drained.wait().await;
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_request_that_does_not_end_is_ended() {
    let server = start(Limits::default(), None).await;
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    // A body that never comes.
    stuck
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        .await
        .unwrap();
    server.arrived.notified().await;
    server.stop.enter(Phase::Draining);
    server.stop.enter(Phase::Ending);
    server.drained.wait().await;
}
