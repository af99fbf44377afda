//! What is told to live connections only: messages that are kept nowhere, and who comes and goes.

use std::sync::Arc;

use bytes::Bytes;
use waybill_core::wire::{
    self, Code, Failure, HEADER_BYTES, MAX_SERVER_FRAME, Online, Presence, UserPresence,
    WatchPresence,
};

use super::connection::Live;
use super::outbox::{Answer, Outbox};
use super::service::Service;

/// Tells messages as they come, for as long as the connection lives. One that fits goes as a datagram, which may be lost; a longer one
/// goes on the control stream, one at a time with the pages that wait there.
pub(super) async fn tell<S: Service>(live: &Live<S>) {
    loop {
        let online = live.service.told(&live.session).await;
        // In a box, so that a connection to which nothing is told does not keep the room for it.
        Box::pin(say(live, online)).await;
    }
}

async fn say<S: Service>(live: &Live<S>, online: Online) {
    let mut frame = Vec::new();
    if wire::write(&online, MAX_SERVER_FRAME, &mut frame).is_err() {
        return;
    }
    // A datagram needs no length: it has one.
    let fits = live.connection.max_datagram_size();
    if fits.is_some_and(|most| frame.len() - HEADER_BYTES <= most) {
        let datagram = Bytes::from(frame).slice(HEADER_BYTES..);
        // The path may have changed just now; then it is lost, as datagrams are.
        let _ = live.connection.send_datagram(datagram);
        return;
    }
    put(live, frame).await;
}

/// Begins to tell who of some users is online, in the place of whoever was watched before.
pub(super) fn watch<S: Service>(live: &Arc<Live<S>>, asked: &WatchPresence) {
    let request = asked.request;
    let source = match live.service.watch_presence(&live.session, &asked.users) {
        Ok(source) => source,
        Err(failure) => return live.outbox.refuse(request, failure),
    };
    // First the watch, then the look: who comes in between is not missed.
    let all = source.all();
    let goes_on = !asked.users.is_empty();
    let here = Arc::clone(live);
    let debt = Debt {
        outbox: Arc::clone(&live.outbox),
        request,
        is_paid: false,
    };
    let task = tokio::spawn(async move {
        let follow = async {
            put(&here, presence(request, all)).await;
            debt.pay();
            if !goes_on {
                return;
            }
            loop {
                let changed = source.changed().await;
                put(&here, presence(request, changed)).await;
            }
        };
        tokio::select! {
            () = follow => {}
            _ = here.connection.closed() => {}
        }
    });
    if let Some(before) = live.presence.lock().replace(task.abort_handle()) {
        before.abort();
    }
}

/// An answer that is owed. Should another watch take the place of this one before it was given, that is the answer.
struct Debt {
    outbox: Arc<Outbox>,
    request: u64,
    is_paid: bool,
}

impl Debt {
    fn pay(mut self) {
        self.is_paid = true;
        self.outbox.answered_elsewhere();
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        if !self.is_paid {
            let text = "another watch has taken the place of this one";
            self.outbox
                .refuse(self.request, Failure::new(Code::STALE, text));
        }
    }
}

fn presence(request: u64, users: Vec<UserPresence>) -> Vec<u8> {
    let mut frame = Vec::new();
    // What is watched is bounded, and so are the connections of each.
    let _ = Presence { request, users }.write(&mut frame);
    frame
}

async fn put<S: Service>(live: &Live<S>, frame: Vec<u8>) {
    if let Some(room) = live.pulls.room().await {
        live.outbox.put(Answer::Told { frame, _room: room });
    }
}
