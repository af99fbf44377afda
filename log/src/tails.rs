//! Who waits for which user's log to grow, and the durable position that all wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::watch;
use waybill_core::id::{Seq, UserNo};
use waybill_core::rules::Delivered;

const SHARDS: usize = 64;

/// Wakes those who wait for a user's log to grow.
#[derive(Clone)]
pub struct Tails {
    inner: Arc<Inner>,
}

struct Inner {
    shards: Vec<Mutex<HashMap<UserNo, watch::Sender<Seq>>>>,
    waiting: AtomicUsize,
}

impl Default for Tails {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            inner: Arc::new(Inner {
                shards,
                waiting: AtomicUsize::new(0),
            }),
        }
    }
}

impl Tails {
    /// Starts to watch a user's log. What was delivered before is not told: read the head after this call.
    #[must_use]
    pub fn subscribe(&self, user: UserNo) -> Subscription {
        let mut shard = self.shard(user).lock();
        self.inner.waiting.fetch_add(1, Ordering::SeqCst);
        // Pairs with the fence in `wake`: either the writer sees this watch, or this watcher sees the new head.
        fence(Ordering::SeqCst);
        let sender = shard
            .entry(user)
            .or_insert_with(|| watch::Sender::new(Seq(0)));
        Subscription {
            user,
            receiver: Some(sender.subscribe()),
            tails: self.clone(),
        }
    }

    /// Tells those who watch that these logs have grown. Called by the writer once the heads are visible.
    pub(crate) fn wake(&self, delivered: &[Delivered]) {
        fence(Ordering::SeqCst);
        if self.inner.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        for Delivered { user, seq } in delivered {
            if let Some(sender) = self.shard(*user).lock().get(user) {
                sender.send_replace(*seq);
            }
        }
    }

    fn shard(&self, user: UserNo) -> &Mutex<HashMap<UserNo, watch::Sender<Seq>>> {
        &self.inner.shards[user.0 as usize % SHARDS]
    }
}

/// One watch on a user's log.
pub struct Subscription {
    user: UserNo,
    receiver: Option<watch::Receiver<Seq>>,
    tails: Tails,
}

impl Subscription {
    /// Returns when the log has grown since the last call, or since the subscription.
    pub async fn grown(&mut self) {
        if let Some(receiver) = &mut self.receiver
            && receiver.changed().await.is_ok()
        {
            return;
        }
        // Not reached: the sender lives as long as a receiver does.
        std::future::pending().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut shard = self.tails.shard(self.user).lock();
        self.receiver = None;
        if shard
            .get(&self.user)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            shard.remove(&self.user);
        }
        self.tails.inner.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
