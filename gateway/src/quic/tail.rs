//! A tail: a stream of its own that brings the entries of a log from a cursor on. When to read and when to wait, its machine knows; here
//! it is done, over QUIC. What is done now and then has its future in a box, so that a tail that waits does not keep the room for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use quinn::{SendStream, WriteError};
use waybill_core::id::Seq;
use waybill_core::wire::{
    self, Code, Failure, MAX_SERVER_FRAME, Payload, Refused, Tail, TailOpened,
};

use super::connection::Live;
use super::options::{TAIL_PAGE_BYTES, TAIL_PAGE_ENTRIES, TAILS};
use super::page;
use super::service::{Followed, Read, Service, Slice, Watch};
use crate::live::{Job, Machine, Moment, Timing, Took, Window, Wish};

/// One page at a time: how much of it a peer takes is for QUIC to know.
const WINDOW: Window = Window {
    bytes: TAIL_PAGE_BYTES,
    page: TAIL_PAGE_BYTES,
    tails: 1,
    pulls: 0,
};

/// Why a tail ends.
enum End {
    /// The peer has stopped it, or is gone.
    Stream,
    /// It cannot go on.
    Failure(Failure),
}

impl From<WriteError> for End {
    fn from(_: WriteError) -> Self {
        Self::Stream
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Takes a request for a tail that was noted as owed.
pub(super) fn take<S: Service>(live: &Arc<Live<S>>, tail: Tail) {
    if live.tails.fetch_add(1, Ordering::Relaxed) >= TAILS {
        live.tails.fetch_sub(1, Ordering::Relaxed);
        let text = format!("{TAILS} tails are open on this connection already");
        return live
            .outbox
            .refuse(tail.request, Failure::new(Code::TOO_MANY_TAILS, text));
    }
    let here = Arc::clone(live);
    tokio::spawn(async move {
        serve(&here, tail).await;
        here.tails.fetch_sub(1, Ordering::Relaxed);
    });
}

async fn serve<S: Service>(live: &Live<S>, tail: Tail) {
    let Some(mut open) = Box::pin(open(live, &tail)).await else {
        return;
    };
    let end = follow(live, &tail, &mut open).await;
    live.service.followed(&live.session, &tail, Followed::Ended);
    if let Err(End::Failure(failure)) = end {
        let refused = Refused {
            request: tail.request,
            failure,
        };
        // The stream may be gone by now, and then nobody listens.
        let _ = Box::pin(write(&mut open.to, &refused)).await;
        let _ = open.to.finish();
    }
}

/// A tail that has its stream.
struct Open<S: Service> {
    to: SendStream,
    watch: S::Watch,
    /// The first page: it was read to find out whether there can be a tail.
    first: Option<Slice>,
    opened: TailOpened,
}

/// Begins the tail and opens its stream; `None` when it was refused or the peer is gone.
async fn open<S: Service>(live: &Live<S>, tail: &Tail) -> Option<Box<Open<S>>> {
    let request = tail.request;
    let (slice, watch) = match begin(live, tail).await {
        Ok(begun) => begun,
        Err(failure) => {
            live.outbox.refuse(request, failure);
            return None;
        }
    };
    // A peer that has no room for the stream has no answer yet; the tail is owed until it has.
    let to = live.connection.open_uni().await.ok()?;
    live.outbox.answered_elsewhere();
    Some(Box::new(Open {
        to,
        watch,
        opened: TailOpened {
            request,
            epoch: slice.epoch,
            floor: slice.floor,
            head: slice.head,
        },
        first: Some(slice),
    }))
}

/// Watches the log, and then reads from the cursor: what comes in between is not missed.
async fn begin<S: Service>(live: &Live<S>, tail: &Tail) -> Result<(Slice, S::Watch), Failure> {
    let watch = live.service.watch(&live.session, &tail.user)?;
    let slice = read(live, &tail.user, tail.after).await?;
    Ok((slice, watch))
}

async fn read<S: Service>(live: &Live<S>, user: &str, after: Seq) -> Result<Slice, Failure> {
    let read = Read {
        user: user.to_owned(),
        after,
        limit: TAIL_PAGE_ENTRIES,
        bytes: TAIL_PAGE_BYTES,
    };
    live.service.pull(&live.session, &read).await
}

async fn follow<S: Service>(live: &Live<S>, tail: &Tail, open: &mut Open<S>) -> Result<(), End> {
    let request = tail.request;
    let Open {
        to,
        watch,
        first,
        opened,
    } = open;
    Box::pin(write(to, opened)).await?;
    let mut machine = Machine::new(WINDOW, Timing::default(), Moment::ZERO);
    // A stream carries one tail, and a new machine takes it.
    let _ = machine.ask(request, tail.after, Job::Tail { head: opened.head });
    let note = |followed| live.service.followed(&live.session, tail, followed);
    let mut at = tail.after;
    let stopped = to.stopped();
    tokio::pin!(stopped);
    loop {
        match machine.next(Moment::ZERO) {
            Some(Wish::Read(wished)) => {
                let slice = match first.take() {
                    Some(slice) => slice,
                    None => Box::pin(read(live, &tail.user, wished.after)).await?,
                };
                machine.took(request, took(request, &slice)?);
            }
            Some(Wish::Write {
                page,
                bytes,
                last,
                head,
                ..
            }) => {
                Box::pin(to.write_chunk(Bytes::from(page))).await?;
                let last = last.unwrap_or(at);
                at = last;
                note(Followed::Wrote { last, head });
                // QUIC has taken it, and takes the next when the peer has room for it.
                machine.room(bytes, Moment::ZERO);
            }
            // No times were set.
            Some(Wish::Ping | Wish::Close(_)) => {}
            None => {
                *first = None;
                tokio::select! {
                    grown = watch.grown() => {
                        note(Followed::Grown(grown));
                        machine.grown(request, grown.head);
                    }
                    _ = &mut stopped => return Err(End::Stream),
                }
            }
        }
    }
}

fn took(request: u64, slice: &Slice) -> Result<Took<Vec<u8>>, Failure> {
    let page = page::encode(request, slice, TAIL_PAGE_BYTES)?;
    Ok(Took {
        bytes: page.frame.len(),
        page: page.frame,
        last: page.last,
        head: slice.head,
    })
}

async fn write<P: Payload>(to: &mut SendStream, payload: &P) -> Result<(), WriteError> {
    let mut frame = Vec::new();
    // Both frames written here are far shorter than the bound.
    let _ = wire::write(payload, MAX_SERVER_FRAME, &mut frame);
    to.write_chunk(Bytes::from(frame)).await
}
