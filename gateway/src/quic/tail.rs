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
    tokio::spawn(serve(Arc::clone(live), Box::new(tail)));
}

async fn serve<S: Service>(live: Arc<Live<S>>, tail: Box<Tail>) {
    if let Some(mut open) = Box::pin(open(&live, &tail)).await {
        let end = open.follow(&live, &tail).await;
        live.service.followed(&live.session, &tail, Followed::Ended);
        if let End::Failure(failure) = end {
            Box::pin(open.refuse(tail.request, failure)).await;
        }
    }
    live.tails.fetch_sub(1, Ordering::Relaxed);
}

/// A tail that has its stream.
struct Open<W> {
    to: SendStream,
    watch: W,
    machine: Machine<Vec<u8>>,
    /// The last entry that was written.
    at: Seq,
}

/// Begins the tail and opens its stream; `None` when it was refused or the peer is gone.
async fn open<S: Service>(live: &Live<S>, tail: &Tail) -> Option<Box<Open<S::Watch>>> {
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
    let mut machine = Machine::new(WINDOW, Timing::default(), Moment::ZERO);
    // A stream carries one tail, and a new machine takes it.
    let _ = machine.ask(request, tail.after, Job::Tail { head: slice.head });
    let mut open = Box::new(Open {
        to,
        watch,
        machine,
        at: tail.after,
    });
    let opened = TailOpened {
        request,
        epoch: slice.epoch,
        floor: slice.floor,
        head: slice.head,
    };
    write(&mut open.to, &opened).await.ok()?;
    // The first page was read to find out whether there can be a tail.
    if let Some(Wish::Read(_)) = open.machine.next(Moment::ZERO)
        && let Err(failure) = open.took(request, &slice)
    {
        open.refuse(request, failure).await;
        return None;
    }
    Some(open)
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

impl<W: Watch> Open<W> {
    async fn follow<S: Service>(&mut self, live: &Live<S>, tail: &Tail) -> End {
        let stopped = self.to.stopped();
        tokio::pin!(stopped);
        loop {
            while let Some(wish) = self.machine.next(Moment::ZERO) {
                if let Err(end) = Box::pin(self.act(live, tail, wish)).await {
                    return end;
                }
            }
            tokio::select! {
                grown = self.watch.grown() => {
                    live.service.followed(&live.session, tail, Followed::Grown(grown));
                    self.machine.grown(tail.request, grown.head);
                }
                _ = &mut stopped => return End::Stream,
            }
        }
    }

    async fn act<S: Service>(
        &mut self,
        live: &Live<S>,
        tail: &Tail,
        wish: Wish<Vec<u8>>,
    ) -> Result<(), End> {
        match wish {
            Wish::Read(wished) => {
                let slice = read(live, &tail.user, wished.after).await?;
                self.took(tail.request, &slice)?;
            }
            Wish::Write {
                page,
                bytes,
                last,
                head,
                ..
            } => {
                self.to.write_chunk(Bytes::from(page)).await?;
                self.at = last.unwrap_or(self.at);
                let wrote = Followed::Wrote {
                    last: self.at,
                    head,
                };
                live.service.followed(&live.session, tail, wrote);
                // QUIC has taken it, and takes the next when the peer has room for it.
                self.machine.room(bytes, Moment::ZERO);
            }
            // No times were set.
            Wish::Ping | Wish::Close(_) => {}
        }
        Ok(())
    }

    fn took(&mut self, request: u64, slice: &Slice) -> Result<(), Failure> {
        let page = page::encode(request, slice, TAIL_PAGE_BYTES)?;
        let took = Took {
            bytes: page.frame.len(),
            page: page.frame,
            last: page.last,
            head: slice.head,
        };
        self.machine.took(request, took);
        Ok(())
    }

    /// Says why the tail ends.
    async fn refuse(&mut self, request: u64, failure: Failure) {
        // The stream may be gone by now, and then nobody listens.
        let _ = write(&mut self.to, &Refused { request, failure }).await;
        let _ = self.to.finish();
    }
}

async fn write<P: Payload>(to: &mut SendStream, payload: &P) -> Result<(), WriteError> {
    let mut frame = Vec::new();
    // Both frames written here are far shorter than the bound.
    let _ = wire::write(payload, MAX_SERVER_FRAME, &mut frame);
    to.write_chunk(Bytes::from(frame)).await
}
