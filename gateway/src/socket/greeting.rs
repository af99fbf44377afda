//! The hello: who is speaking, by token or ticket, and from which device.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use waybill_core::wire::{Bye, Code};

use super::answers::{self, Refusal};
use super::frames::{ClientFrame, Hello, Unreadable};
use super::outbox::Outbox;
use super::{LAST_WORDS, connection};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::registry::Transport;
use crate::service::{LivePlace, Service};
use crate::{live, random};

/// What those who work for a connection know of it.
pub struct Shared {
    pub service: Service,
    pub principal: Arc<Principal>,
    /// Empty when the client named none.
    pub device: String,
    pub peer: SocketAddr,
    pub outbox: Outbox,
}

/// A client that was recognised, and its place among the live ones.
pub struct Greeted {
    pub shared: Arc<Shared>,
    pub live: LivePlace,
}

/// Why nobody was recognised.
enum Unknown {
    /// The peer is gone.
    Gone,
    /// The first frame was none, or came too late.
    Broken(Bye),
    /// It was a hello of somebody who may not connect.
    Refused(Error),
}

/// Waits for the hello and answers it. `ticket` is whose ticket stood in the address.
pub async fn greet<S>(
    socket: &mut WebSocketStream<S>,
    service: &Service,
    ticket: Option<Arc<Principal>>,
    peer: SocketAddr,
) -> Option<Greeted>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let patience = Duration::from_secs(service.limits().handshake_seconds);
    let late = || Bye::new(Code::HELLO_TIMEOUT, "no hello came in time");
    let greeted = match timeout(patience, recognise(socket, service, ticket, peer)).await {
        Ok(greeted) => greeted,
        Err(_) => Err(Unknown::Broken(late())),
    };
    let bye = match greeted {
        Ok(greeted) => return Some(greeted),
        Err(Unknown::Gone) => return None,
        Err(Unknown::Broken(bye)) => bye,
        Err(Unknown::Refused(error)) => {
            let bye = live::turned_away(&(&error).into(), random::spread());
            let refusal = Refusal::from(&error).retry_after_ms(bye.retry_after_ms);
            let refused = answers::refused(0, &refusal);
            // A peer that is gone misses it.
            let _ = timeout(LAST_WORDS, socket.send(Message::text(refused))).await;
            bye
        }
    };
    say_last(socket, &bye).await;
    None
}

async fn recognise<S>(
    socket: &mut WebSocketStream<S>,
    service: &Service,
    ticket: Option<Arc<Principal>>,
    peer: SocketAddr,
) -> Result<Greeted, Unknown>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let expected = || {
        let text = "the first frame must be a hello";
        Unknown::Broken(Bye::new(Code::HELLO_EXPECTED, text))
    };
    let text = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => break text,
            // The library answers pings.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(expected()),
            Some(Ok(Message::Close(_) | Message::Frame(_))) | None => return Err(Unknown::Gone),
            Some(Err(error)) => {
                return Err(connection::broken(&error).map_or(Unknown::Gone, Unknown::Broken));
            }
        }
    };
    let hello = match ClientFrame::read(&text) {
        Ok(ClientFrame::Hello(hello)) => hello,
        Err(Unreadable::Refused(0, error)) => return Err(Unknown::Refused(error)),
        Err(Unreadable::Broken(bye)) => return Err(Unknown::Broken(bye)),
        Ok(_) | Err(Unreadable::Refused(..)) => return Err(expected()),
    };
    let principal = who(service, &hello, ticket).map_err(Unknown::Refused)?;
    let live = service.go_live(&principal, &hello.device, Transport::WebSocket);
    let live = live.map_err(Unknown::Refused)?;
    let span = service.span(&principal, "").map_err(Unknown::Refused)?;
    let welcome = answers::welcome(service, &principal, span);
    let sent = socket.send(Message::text(welcome)).await;
    sent.map_err(|_| Unknown::Gone)?;
    Ok(Greeted {
        shared: Arc::new(Shared {
            service: service.clone(),
            principal,
            device: hello.device.into_owned(),
            peer,
            outbox: Outbox::default(),
        }),
        live,
    })
}

/// Whose connection it is: one of a token, a ticket in the hello, and a ticket in the address says so.
fn who(
    service: &Service,
    hello: &Hello<'_>,
    ticket: Option<Arc<Principal>>,
) -> Result<Arc<Principal>, Error> {
    match (ticket, &*hello.token, &*hello.ticket) {
        (Some(principal), "", "") => Ok(principal),
        (None, token, "") => service.authenticate(token),
        (None, "", ticket) => service.redeem_ticket(ticket),
        _ => {
            let text = "a connection begins with one of a token and a ticket";
            Err(Error::new(Kind::InvalidField, text))
        }
    }
}

/// Says goodbye, and gives the peer a moment to hear it.
pub async fn say_last<S>(socket: &mut WebSocketStream<S>, bye: &Bye)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let said = async {
        socket.send(Message::text(answers::bye(bye))).await?;
        let close = CloseFrame {
            code: close_code(bye.code).into(),
            reason: bye.code.info().map_or("", |info| info.name).into(),
        };
        socket.close(Some(close)).await?;
        // The peer's own goodbye ends it; whatever else comes is not read any more.
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<_, tokio_tungstenite::tungstenite::Error>(())
    };
    let _ = timeout(LAST_WORDS, said).await;
}

/// The code in the last frame of a WebSocket: 1000 when all is well, else 4000 and the number.
fn close_code(code: Code) -> u16 {
    match code {
        Code::CLOSED => 1_000,
        Code(number) => 4_000 + number,
    }
}
