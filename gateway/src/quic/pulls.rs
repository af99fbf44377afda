//! The pulls of one connection, one after another, and no faster than their pages are taken: what waits is the request, which is
//! small, and not the page.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use waybill_core::wire::{Code, Failure, PAGE_BYTES, Pull};

use super::connection::Live;
use super::options::{PAGES_IN_MEMORY, PULLS_IN_FLIGHT};
use super::outbox::Answer;
use super::page;
use super::service::{Read, Service};

/// The pulls that wait.
#[derive(Debug)]
pub(super) struct Pulls {
    queue: Mutex<Queue>,
    /// Pages that may be in memory.
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Pull>,
    /// A task works on them.
    running: bool,
}

impl Default for Pulls {
    fn default() -> Self {
        Self {
            queue: Mutex::default(),
            room: Arc::new(Semaphore::new(PAGES_IN_MEMORY)),
        }
    }
}

impl Pulls {
    /// Room for one frame of the size of a page.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.room).acquire_owned().await.ok()
    }
}

/// Takes a pull that was noted as owed.
pub(super) fn take<S: Service>(live: &Arc<Live<S>>, pull: Pull) {
    if let Err(failure) = page::check_limit(pull.limit) {
        return live.outbox.refuse(pull.request, failure);
    }
    let mut queue = live.pulls.queue.lock();
    if queue.waiting.len() >= PULLS_IN_FLIGHT {
        drop(queue);
        let text = format!("{PULLS_IN_FLIGHT} pulls wait on this connection already");
        return live
            .outbox
            .refuse(pull.request, Failure::new(Code::TOO_MANY_PULLS, text));
    }
    queue.waiting.push_back(pull);
    if !std::mem::replace(&mut queue.running, true) {
        tokio::spawn(work(Arc::clone(live)));
    }
}

async fn work<S: Service>(live: Arc<Live<S>>) {
    loop {
        let pull = {
            let mut queue = live.pulls.queue.lock();
            let Some(pull) = queue.waiting.pop_front() else {
                *queue = Queue::default();
                return;
            };
            pull
        };
        let Some(room) = live.pulls.room().await else {
            return;
        };
        let (request, limit) = (pull.request, pull.limit);
        let read = Read {
            user: pull.user,
            after: pull.after,
            limit,
            bytes: PAGE_BYTES,
        };
        let page = match live.service.pull(&live.session, &read).await {
            Ok(slice) => page::encode(request, &slice, PAGE_BYTES),
            Err(failure) => Err(failure),
        };
        match page {
            Ok(page) => live.outbox.put(Answer::Page {
                frame: page.frame,
                _room: room,
            }),
            Err(failure) => live.outbox.refuse(request, failure),
        }
    }
}
