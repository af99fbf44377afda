//! HTTP/1.1 for many callers in one process: a connection that gives its answer piece by piece, and reads no faster than it is
//! asked.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// Bytes that the kernel may hold for a connection that is not read, so that a stall is felt by the server soon.
const RECEIVE_BUFFER: u32 = 64 * 1024;

/// The connection is gone, or never was.
#[derive(Debug)]
pub struct Gone;

/// A connection. Dropped, it is cut.
pub struct Http {
    requests: SendRequest<Full<Bytes>>,
    bearer: String,
    driver: JoinHandle<()>,
}

impl Drop for Http {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A TCP connection with a small buffer.
pub async fn tcp(address: SocketAddr) -> Result<TcpStream, Gone> {
    let connect = async {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    connect.await.map_err(|_| Gone)
}

impl Http {
    /// Connects.
    pub async fn connect(address: SocketAddr, token: &str) -> Result<Self, Gone> {
        let stream = TokioIo::new(tcp(address).await?);
        let (requests, connection) = handshake(stream).await.map_err(|_| Gone)?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer hears how it ended.
            let _ = connection.await;
        });
        Ok(Self {
            requests,
            bearer: format!("Bearer {token}"),
            driver,
        })
    }

    /// Asks, and waits for the head of the answer.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        accept: &str,
        body: String,
    ) -> Result<Response<Incoming>, Gone> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", "waybill")
            .header("Authorization", &self.bearer)
            .header("Accept", accept)
            .header("Content-Type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("a good request");
        self.requests.ready().await.map_err(|_| Gone)?;
        self.requests.send_request(request).await.map_err(|_| Gone)
    }
}

/// The whole body of an answer.
pub async fn json(response: Response<Incoming>) -> Result<Value, Gone> {
    let body = response.into_body().collect().await.map_err(|_| Gone)?;
    let bytes = body.to_bytes();
    let value = serde_json::from_slice(&bytes);
    // A stop may refuse a connection without a body.
    Ok(value.unwrap_or_else(|error| {
        assert!(
            bytes.is_empty(),
            "no JSON: {error}: {}",
            String::from_utf8_lossy(&bytes)
        );
        Value::Null
    }))
}
