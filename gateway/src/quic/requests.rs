//! What a client asks for, one frame after another.

use std::sync::Arc;

use waybill_core::wire::{Acknowledge, Acknowledged, ClientFrame, Code, Failure};

use super::connection::Live;
use super::control::{Control, End, broken};
use super::online;
use super::outbox::Answer;
use super::pulls;
use super::service::Service;
use super::tail;
use super::ticket::Ticket;

/// Serves a client whose handshake is complete; `first` was read already.
pub(super) async fn serve<S: Service>(
    live: &Arc<Live<S>>,
    control: &mut Control,
    first: Option<Box<ClientFrame>>,
) -> End {
    let mut taken = match first {
        Some(frame) => take(live, *frame),
        None => Ok(None),
    };
    loop {
        match taken {
            Ok(None) => {}
            Ok(Some(asked)) => Box::pin(acknowledge(live, asked)).await,
            Err(end) => return end,
        }
        live.outbox.room().await;
        if live.outbox.is_gone() {
            // What is done now could not be answered.
            return End::Lost;
        }
        // A client that never pauses must not keep others from this thread.
        tokio::task::coop::consume_budget().await;
        taken = match control.next().await {
            Ok(frame) => take(live, frame),
            Err(end) => Err(end),
        };
    }
}

/// Takes a frame that came before the handshake was complete, and is no pull.
pub(super) fn too_early<S: Service>(live: &Arc<Live<S>>, frame: ClientFrame) -> Result<(), End> {
    let request = match &frame {
        ClientFrame::Send(send) => send.request,
        ClientFrame::SendBatch(batch) => batch.request,
        ClientFrame::Acknowledge(acknowledge) => acknowledge.request,
        ClientFrame::Tail(tail) => tail.request,
        ClientFrame::WatchPresence(watch) => watch.request,
        _ => return take(live, frame).map(drop),
    };
    let text = "only pulls are taken before the handshake is complete";
    live.outbox.owe(1);
    live.outbox
        .refuse(request, Failure::new(Code::EARLY_DATA, text));
    Ok(())
}

/// Takes a frame. What cannot be done at once is begun, or given back: an acknowledgement.
fn take<S: Service>(live: &Arc<Live<S>>, frame: ClientFrame) -> Result<Option<Acknowledge>, End> {
    let outbox = &live.outbox;
    match frame {
        ClientFrame::Send(send) => {
            outbox.owe(1);
            let ticket = Ticket::one(outbox, send.request);
            live.service.send(&live.session, send.message, ticket);
        }
        ClientFrame::SendBatch(batch) if batch.messages.is_empty() => {
            outbox.owe(1);
            let failure = Failure::new(Code::INVALID_FIELD, "the batch has no messages");
            outbox.refuse(batch.request, failure);
        }
        ClientFrame::SendBatch(batch) => {
            outbox.owe(batch.messages.len());
            let tickets = Ticket::batch(outbox, batch.request, batch.messages.len());
            for (message, ticket) in batch.messages.into_iter().zip(tickets) {
                live.service.send(&live.session, message, ticket);
            }
        }
        ClientFrame::Pull(pull) => {
            outbox.owe(1);
            pulls::take(live, pull);
        }
        ClientFrame::Tail(tail) => {
            outbox.owe(1);
            tail::take(live, tail);
        }
        ClientFrame::Acknowledge(asked) => {
            outbox.owe(1);
            return Ok(Some(asked));
        }
        ClientFrame::WatchPresence(asked) => {
            outbox.owe(1);
            online::watch(live, &asked);
        }
        ClientFrame::Bye(_) => return Err(End::Finished),
        ClientFrame::Unknown(_) => {}
        ClientFrame::Hello(_) => return Err(broken(Code::HELLO_REPEATED, "a second hello came")),
        ClientFrame::Misdirected(kind) => {
            let reason = format!("only a server may send a frame of kind {}", kind as u8);
            return Err(broken(Code::UNEXPECTED_FRAME, reason));
        }
    }
    Ok(None)
}

async fn acknowledge<S: Service>(live: &Live<S>, asked: Acknowledge) {
    let request = asked.request;
    match live.service.acknowledge(&live.session, asked.seq).await {
        Ok(seq) => live
            .outbox
            .put(Answer::Acknowledged(Acknowledged { request, seq })),
        Err(failure) => live.outbox.refuse(request, failure),
    }
}
