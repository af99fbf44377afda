//! The links of a client: those that are being made, those in use, the one whose entries are read, and those that are being closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use waybill_core::id::Seq;

use super::Batch;
use super::reading::{Reading, next};
use super::run::Done;
use super::sender::send_in_order;
use super::words::{Event as Happened, LinkId};
use crate::error::Error;
use crate::link::{Link, Opened, Transport, Way};
use crate::store::thread::Keeper;

/// Longest wait for goodbyes at the end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A link in use.
struct Live {
    link: Arc<dyn Link>,
    /// Numbers of messages, in the order in which they are to be sent. At most [`Pace::sends`](super::Pace::sends) wait here.
    ids: mpsc::UnboundedSender<u64>,
}

/// See the module.
pub(super) struct Links {
    /// Best first.
    ways: Vec<(Transport, Arc<dyn Way>)>,
    keeper: Keeper,
    done: mpsc::UnboundedSender<Done>,
    connecting: HashMap<LinkId, AbortHandle>,
    live: HashMap<LinkId, Live>,
    reading: Option<Reading>,
    closing: Vec<JoinHandle<()>>,
}

impl Links {
    pub(super) fn new(
        ways: Vec<(Transport, Arc<dyn Way>)>,
        keeper: Keeper,
        done: mpsc::UnboundedSender<Done>,
    ) -> Self {
        Self {
            ways,
            keeper,
            done,
            connecting: HashMap::new(),
            live: HashMap::new(),
            reading: None,
            closing: Vec::new(),
        }
    }

    /// The transport of a way.
    pub(super) fn transport(&self, way: usize) -> Option<Transport> {
        self.ways.get(way).map(|(transport, _)| *transport)
    }

    /// The network has changed.
    pub(super) fn moved(&self) {
        for (_, way) in &self.ways {
            way.moved();
        }
    }

    /// Begins to make a link. What comes of it is told as [`Done::Connected`].
    pub(super) fn connect(&mut self, link: LinkId, way: usize, after: Seq) {
        let Some((_, way)) = self.ways.get(way) else {
            return;
        };
        let (way, done) = (Arc::clone(way), self.done.clone());
        let task = tokio::spawn(async move {
            let opened = way.connect(after).await;
            let _ = done.send(Done::Connected(link, opened));
        });
        self.connecting.insert(link, task.abort_handle());
    }

    /// What came of making a link, for the machine to hear; `None` when it was given up in that moment.
    pub(super) fn connected(
        &mut self,
        link: LinkId,
        opened: Result<Opened, Error>,
    ) -> Option<Happened> {
        let wanted = self.connecting.remove(&link).is_some();
        let Opened { link: to, reached } = match opened {
            Ok(opened) => opened,
            Err(error) => return Some(Happened::Trouble(link, error)),
        };
        if !wanted {
            self.closing.push(tokio::spawn(to.close()));
            return None;
        }
        let (ids, queue) = mpsc::unbounded_channel();
        let (keeper, done) = (self.keeper.clone(), self.done.clone());
        tokio::spawn(send_in_order(link, queue, Arc::clone(&to), keeper, done));
        self.live.insert(link, Live { link: to, ids });
        Some(Happened::Connected(link, reached))
    }

    /// Gives a link up.
    pub(super) fn drop(&mut self, link: LinkId) {
        if let Some(task) = self.connecting.remove(&link) {
            task.abort();
        }
        if self.reading.as_ref().is_some_and(|it| it.link == link) {
            self.reading = None;
        }
        if let Some(live) = self.live.remove(&link) {
            self.closing.retain(|task| !task.is_finished());
            self.closing.push(tokio::spawn(live.link.close()));
        }
    }

    /// Has a link bring the entries after a seq.
    pub(super) fn follow(&mut self, link: LinkId, after: Seq) {
        if let Some(live) = self.live.get(&link) {
            let batches = live.link.follow(after);
            self.reading = Some(Reading {
                link,
                batches,
                next: None,
            });
        }
    }

    /// What the link that may be read brings next; waits for ever while none may.
    pub(super) async fn next(&mut self, reads: Option<LinkId>) -> (LinkId, Result<Batch, Error>) {
        next(&mut self.reading, reads).await
    }

    /// Sends a message of the outbox. What comes of it is told as [`Done::Answered`] or [`Happened::Gone`].
    pub(super) fn send(&self, link: LinkId, id: u64) {
        if let Some(live) = self.live.get(&link) {
            // The link is being closed; the machine hears of it.
            let _ = live.ids.send(id);
        }
    }

    /// Secures what is stored, then reports it.
    pub(super) fn acknowledge(&self, link: LinkId, seq: Seq) {
        let Some(live) = self.live.get(&link) else {
            return;
        };
        let (live, keeper) = (Arc::clone(&live.link), self.keeper.clone());
        let done = self.done.clone();
        tokio::spawn(async move {
            let secured = keeper.run(|store| store.secure()).await;
            let _ = done.send(match secured {
                Ok(()) => {
                    let error = live.acknowledge(seq).await.err();
                    Done::Happened(Happened::Acknowledged(link, seq, error))
                }
                Err(error) => Done::Broken(error),
            });
        });
    }

    /// Gives all of them up, and waits for their goodbyes, but not for long.
    pub(super) async fn close(mut self) {
        let links: Vec<_> = self
            .live
            .keys()
            .chain(self.connecting.keys())
            .copied()
            .collect();
        for link in links {
            self.drop(link);
        }
        let last = async {
            for task in self.closing {
                let _ = task.await;
            }
        };
        let _ = timeout(LAST_WORDS, last).await;
    }
}
