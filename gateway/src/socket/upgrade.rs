//! `GET /v1/socket`: from an HTTP request to a WebSocket. From there on the connection has a task of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tracing::debug;

use super::connection::Connection;
use super::{MAX_FRAME, READ_BUFFER, SUBPROTOCOL, WRITE_BUFFER, greeting};
use crate::auth::Principal;
use crate::error::{Error, Kind, ProblemOptions};
use crate::http::Answered;
use crate::http::address::Query;
use crate::http::listener::Hold;
use crate::http::origin;
use crate::http::respond::{self, Body};
use crate::service::Service;
use crate::telemetry::metrics::Route;

/// Where it is asked for.
pub const PATH: &str = "/v1/socket";

/// Answers a request for a WebSocket.
pub fn answer(service: &Service, mut request: Request<Incoming>, peer: SocketAddr) -> Answered {
    let (response, kind) = match upgrade(service, &mut request, peer) {
        Ok(response) => (response, None),
        Err(error) => {
            let mut response = respond::error(&error, &ProblemOptions::default());
            if error.kind == Kind::InvalidField {
                response
                    .headers_mut()
                    .insert(UPGRADE, HeaderValue::from_static("websocket"));
            }
            (response, Some(error.kind))
        }
    };
    Answered {
        response,
        route: Route::Socket,
        operation_id: String::new(),
        kind,
    }
}

fn upgrade(
    service: &Service,
    request: &mut Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Body>, Error> {
    if request.method() != Method::GET {
        return Err(Error::of(Kind::Method));
    }
    origin::check(service.config(), request.headers())?;
    let accept = accepted(request.headers())?;
    let query = Query::read(request.uri().query(), &["ticket"])?;
    // Used up whether or not a hello follows.
    let ticket = query.text("ticket").map(|it| service.redeem_ticket(it));
    let ticket = ticket.transpose()?;
    let held = request.extensions_mut().remove::<Hold>();
    let socket = hyper::upgrade::on(request);
    let service = service.clone();
    tokio::spawn(async move {
        let held = held.map(|hold| hold.begin());
        serve(service, socket, ticket, peer).await;
        drop(held);
    });
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(
        SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL),
    );
    Ok(response)
}

/// What proves to the client that its request was understood.
fn accepted(headers: &HeaderMap) -> Result<HeaderValue, Error> {
    let has = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(name).iter();
        let mut words = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    let refuse = |name: &'static str, text: String| Err(Error::at(Kind::InvalidField, name, text));
    if !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        let text = "this is a WebSocket address: ask for an upgrade, over HTTP/1.1";
        return refuse("Upgrade", text.to_owned());
    }
    if !has(SEC_WEBSOCKET_VERSION, "13") {
        return refuse("Sec-WebSocket-Version", "the version is 13".to_owned());
    }
    if !has(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        let text = format!("the subprotocol is {SUBPROTOCOL}");
        return refuse("Sec-WebSocket-Protocol", text);
    }
    let accept = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == KEY_CHARS)
        .and_then(|key| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok());
    match accept {
        Some(accept) => Ok(accept),
        None => refuse("Sec-WebSocket-Key", "the key has 24 characters".to_owned()),
    }
}

/// Characters of a client's key: 16 bytes in base64.
const KEY_CHARS: usize = 24;

async fn serve(
    service: Service,
    socket: OnUpgrade,
    ticket: Option<Arc<Principal>>,
    peer: SocketAddr,
) {
    // What happens once has its future in a box, so that a connection that lives on does not keep the room for it.
    if let Some(mut connection) = Box::pin(begin(service, socket, ticket, peer)).await {
        connection.serve().await;
    }
}

/// From the upgrade to the welcome; `None` when nobody came or was let in.
async fn begin(
    service: Service,
    socket: OnUpgrade,
    ticket: Option<Arc<Principal>>,
    peer: SocketAddr,
) -> Option<Box<Connection<TokioIo<Upgraded>>>> {
    let mut socket = match socket.await {
        Ok(socket) => over(socket).await,
        Err(error) => {
            debug!(%peer, %error, "no upgrade");
            return None;
        }
    };
    let greeted = greeting::greet(&mut socket, &service, ticket, peer).await?;
    Some(Box::new(Connection::new(socket, greeted)))
}

async fn over(socket: Upgraded) -> WebSocketStream<TokioIo<Upgraded>> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME))
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER);
    WebSocketStream::from_raw_socket(TokioIo::new(socket), Role::Server, Some(config)).await
}
