//! One connection from its handshake to its goodbye. What happens once has its future in a box, so that a connection that lives
//! on does not keep the room for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{Connecting, Connection, SendStream, VarInt, WriteError};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use waybill_core::wire::{
    self, Bye, Capabilities, ClientFrame, Code, Limits, MAX_BATCH, MAX_CLIENT_FRAME,
    MAX_PAGE_ENTRIES, MAX_SERVER_FRAME, Refused, Welcome,
};

use super::control::{Control, End, broken};
use super::endpoint::Context;
use super::gate::Permit;
use super::handshake::Handshake;
use super::online;
use super::options::{Options, PULLS_IN_FLIGHT, SENDS_IN_FLIGHT, TAILS};
use super::outbox::{Answer, Outbox};
use super::pulls::{self, Pulls};
use super::requests;
use super::service::{Opened, Service};
use crate::{live, random};

/// Time for a peer to take the last words before the connection is closed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A connection whose client is known, as those who work for it see it.
pub(super) struct Live<S: Service> {
    pub service: Arc<S>,
    pub session: Arc<S::Session>,
    pub connection: Connection,
    pub outbox: Arc<Outbox>,
    pub pulls: Pulls,
    pub tails: AtomicUsize,
    /// The task that tells who is online, where that was asked.
    pub presence: Mutex<Option<AbortHandle>>,
}

/// A connection that has said its hello.
struct Greeted<S: Service> {
    live: Arc<Live<S>>,
    control: Control,
}

/// Serves a connection to its end; `_alive` is dropped then.
pub(super) async fn run<S: Service>(
    connecting: Box<Connecting>,
    permit: Permit,
    context: Arc<Context<S>>,
    _alive: mpsc::Sender<()>,
) {
    if let Some(met) = Box::pin(meet(*connecting, permit, &context)).await {
        stay(met, &context).await;
    }
}

/// A connection that was welcomed, and what its handshake still needs.
struct Met<S: Service> {
    greeted: Greeted<S>,
    handshake: Handshake,
    permit: Permit,
    deadline: Instant,
}

/// From the first packet to the welcome.
async fn meet<S: Service>(
    connecting: Connecting,
    permit: Permit,
    context: &Context<S>,
) -> Option<Box<Met<S>>> {
    let deadline = Instant::now() + context.options.handshake;
    // On the server's side this always succeeds: what arrives before the handshake is complete can be read at once.
    let (connection, pending) = connecting.into_0rtt().ok()?;
    let handshake = Handshake::new(connection.clone(), pending);
    let late = || Bye::new(Code::HELLO_TIMEOUT, "no hello came in time");
    match timeout_at(deadline, greet(&connection, context)).await {
        Ok(Ok(greeted)) => Some(Box::new(Met {
            greeted,
            handshake,
            permit,
            deadline,
        })),
        failed => {
            context.counters.failed.fetch_add(1, Ordering::Relaxed);
            let bye = failed.ok().and_then(Result::err);
            close(&connection, &bye.unwrap_or_else(late));
            None
        }
    }
}

/// From the welcome to the end.
async fn stay<S: Service>(mut met: Box<Met<S>>, context: &Context<S>) {
    let end = match Box::pin(join(&mut met, context)).await {
        Ok(first) => converse(&mut met.greeted, first).await,
        Err(end) => end,
    };
    let bye = match end {
        End::Lost => return,
        End::Finished => Bye::new(Code::CLOSED, ""),
        End::Broken(bye) => bye,
    };
    let live = &met.greeted.live;
    Box::pin(part(live, &bye, context.options.drain)).await;
    close(&live.connection, &bye);
}

/// From the control stream's opening to the welcome.
async fn greet<S: Service>(
    connection: &Connection,
    context: &Context<S>,
) -> Result<Greeted<S>, Bye> {
    let lost = |_| Bye::new(Code::CLOSED, "");
    let (mut to, from) = connection.accept_bi().await.map_err(lost)?;
    // Answers go before the entries of tails.
    let _ = to.set_priority(1);
    let mut control = Control::new(from);
    let expected = || Bye::new(Code::HELLO_EXPECTED, "the first frame must be a hello");
    let hello = match control.next().await {
        Ok(ClientFrame::Hello(hello)) => hello,
        Ok(_) => return Err(expected()),
        Err(End::Broken(bye)) => return Err(bye),
        Err(End::Finished | End::Lost) => return Err(expected()),
    };
    let opened = match context
        .service
        .hello(hello, connection.remote_address())
        .await
    {
        Ok(opened) => opened,
        Err(failure) => {
            // When to come again stands in the refusal: a close has no room for it.
            let bye = Bye::new(failure.code, failure.message.clone());
            say_last(
                &mut to,
                &Refused {
                    request: 0,
                    failure,
                },
            )
            .await;
            return Err(bye);
        }
    };
    control.trust();
    let outbox = Arc::new(Outbox::new(connection.clone(), to));
    outbox.put(Answer::Welcome(Box::new(welcome(
        &opened,
        &context.options,
    ))));
    let live = Live {
        service: Arc::clone(&context.service),
        session: Arc::new(opened.session),
        connection: connection.clone(),
        outbox,
        pulls: Pulls::default(),
        tails: AtomicUsize::new(0),
        presence: Mutex::new(None),
    };
    Ok(Greeted {
        live: Arc::new(live),
        control,
    })
}

fn welcome<T>(opened: &Opened<T>, options: &Options) -> Welcome {
    Welcome {
        epoch: opened.epoch,
        user: opened.user.clone(),
        head: opened.head,
        floor: opened.floor,
        time: opened.time,
        limits: Limits {
            frame_bytes: MAX_CLIENT_FRAME as u32,
            sends_in_flight: SENDS_IN_FLIGHT as u32,
            batch: MAX_BATCH as u32,
            pulls_in_flight: PULLS_IN_FLIGHT as u32,
            page_entries: MAX_PAGE_ENTRIES,
            tails: TAILS as u32,
            idle_ms: u32::try_from(options.idle.as_millis()).unwrap_or(u32::MAX),
        },
        capabilities: if options.early_pull {
            Capabilities::ONLINE.with(Capabilities::EARLY_PULL)
        } else {
            Capabilities::ONLINE
        },
    }
}

/// From the welcome until the session is among the live ones. Returns the first request but for pulls, if one was read.
async fn join<S: Service>(
    met: &mut Met<S>,
    context: &Context<S>,
) -> Result<Option<Box<ClientFrame>>, End> {
    let Greeted { live, control } = &mut met.greeted;
    let mut stopping = context.stopping.clone();
    let first = tokio::select! {
        biased;
        first = timeout_at(met.deadline, early(live, control, &met.handshake)) => first,
        // An error means that the listener is gone, which also stops. Who has joined is told by the service, which also counts it.
        _ = stopping.wait_for(|stop| *stop) => {
            return Err(End::Broken(live::End::Stopping.bye(random::spread())));
        }
    };
    let first = first.unwrap_or_else(|_| {
        let text = "the handshake was not completed in time";
        Err(broken(Code::HELLO_TIMEOUT, text))
    })?;
    met.permit.established();
    match live.service.join(&live.session) {
        Ok(()) => Ok(first),
        Err(failure) => {
            let bye = live::turned_away(&failure, random::spread());
            Err(End::Broken(bye))
        }
    }
}

/// What a client says that has joined, to its end.
async fn converse<S: Service>(greeted: &mut Greeted<S>, first: Option<Box<ClientFrame>>) -> End {
    let Greeted { live, control } = greeted;
    let live = &*live;
    tokio::select! {
        bye = live.service.ended(&live.session) => End::Broken(bye),
        end = requests::serve(live, control, first) => end,
        // It tells for as long as the connection lives.
        () = online::tell(live) => End::Lost,
    }
}

/// Serves what may be served before the handshake is complete: pulls. Returns the first other request that came after, if one
/// was read.
async fn early<S: Service>(
    live: &Arc<Live<S>>,
    control: &mut Control,
    handshake: &Handshake,
) -> Result<Option<Box<ClientFrame>>, End> {
    loop {
        live.outbox.room().await;
        let frame = tokio::select! {
            biased;
            () = handshake.complete() => return Ok(None),
            frame = control.next() => frame?,
        };
        if let ClientFrame::Pull(pull) = frame {
            live.outbox.owe(1);
            pulls::take(live, pull);
        } else if handshake.is_complete().await {
            return Ok(Some(Box::new(frame)));
        } else {
            requests::too_early(live, frame)?;
        }
    }
}

/// Writes the answers that are owed, says goodbye, and gives the peer a moment to hear it.
async fn part<S: Service>(live: &Live<S>, bye: &Bye, drain: Duration) {
    live.outbox.part();
    // Late answers are lost with the connection; the caller asks again with the same key.
    let _ = timeout(drain, live.outbox.settled()).await;
    if let Ok(Some(mut to)) = timeout(LAST_WORDS, live.outbox.take()).await {
        say_last(&mut to, bye).await;
    }
}

/// Writes a stream's last frame and waits a moment until the peer has it.
async fn say_last<P: wire::Payload>(to: &mut SendStream, payload: &P) {
    let mut frame = Vec::new();
    if wire::write(payload, MAX_SERVER_FRAME, &mut frame).is_err() {
        return;
    }
    let said = async {
        to.write_chunk(Bytes::from(frame)).await?;
        to.finish()?;
        to.stopped().await.map(drop).map_err(WriteError::from)
    };
    // A peer that does not listen, or is gone, misses it.
    let _: Result<Result<(), WriteError>, _> = timeout(LAST_WORDS, said).await;
}

pub(super) fn close(connection: &Connection, bye: &Bye) {
    connection.close(VarInt::from(bye.code.0), bye.reason.as_bytes());
}
