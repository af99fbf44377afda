//! Who waits for which user's log to grow, and the durable position that all wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::watch;
use waybill_core::id::{Seq, UserNo};
use waybill_core::rules::{Changed, Delivered};

const SHARDS: usize = 64;

/// How far a log has grown, and when that became visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The newest entry.
    pub head: Seq,
    /// Since when readers see it.
    pub visible: Instant,
}

/// Wakes those who wait for a user's log to grow.
#[derive(Clone)]
pub struct Tails {
    inner: Arc<Inner>,
}

struct Inner {
    shards: Vec<Mutex<HashMap<UserNo, watch::Sender<Option<Growth>>>>>,
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
            .or_insert_with(|| watch::Sender::new(None));
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
        let visible = Instant::now();
        for Delivered { user, seq } in delivered {
            if let Some(sender) = self.shard(*user).lock().get(user) {
                let head = *seq;
                sender.send_replace(Some(Growth { head, visible }));
            }
        }
    }

    /// Tells those who watch that these accounts' status logs have grown. Called by the writer once they are visible.
    pub(crate) fn wake_changed(&self, changed: &[Changed]) {
        if changed.is_empty() {
            return;
        }
        let grown = changed.iter().map(|changed| Delivered {
            user: changed.account,
            seq: Seq(changed.last.0),
        });
        self.wake(&grown.collect::<Vec<_>>());
    }

    fn shard(&self, user: UserNo) -> &Mutex<HashMap<UserNo, watch::Sender<Option<Growth>>>> {
        &self.inner.shards[user.0 as usize % SHARDS]
    }
}

/// One watch on a user's log.
pub struct Subscription {
    user: UserNo,
    receiver: Option<watch::Receiver<Option<Growth>>>,
    tails: Tails,
}

impl Subscription {
    /// Whose log it is on.
    #[must_use]
    pub fn user(&self) -> UserNo {
        self.user
    }

    /// The last growth that was told, to this watch or to another one of the same log; `None` when there was none yet.
    #[must_use]
    pub fn told(&self) -> Option<Growth> {
        self.receiver
            .as_ref()
            .and_then(|receiver| *receiver.borrow())
    }

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

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::AtomicU64;
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread::{self, Thread};

    use super::*;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    /// Waits for a future without a runtime. It hangs when a wake-up is lost.
    fn wait(future: impl Future<Output = ()>) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        while future.as_mut().poll(&mut context).is_pending() {
            thread::park();
        }
    }

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(future).poll(&mut context) == Poll::Ready(())
    }

    fn delivered(user: u64, seq: u64) -> Delivered {
        Delivered {
            user: UserNo(user),
            seq: Seq(seq),
        }
    }

    fn watched(tails: &Tails) -> usize {
        let inner = &tails.inner;
        inner.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    #[test]
    fn those_who_watch_a_log_are_told_and_nobody_else() {
        let tails = Tails::default();
        // Users 1 and 65 share a shard.
        let mut first = tails.subscribe(UserNo(1));
        let mut second = tails.subscribe(UserNo(1));
        let mut other = tails.subscribe(UserNo(65));
        assert!(!is_ready(first.grown()));
        tails.wake(&[delivered(1, 1), delivered(2, 1)]);
        assert!(is_ready(first.grown()));
        assert!(!is_ready(first.grown()), "told once");
        tails.wake(&[delivered(1, 2)]);
        tails.wake(&[delivered(1, 3)]);
        assert!(is_ready(first.grown()) && is_ready(second.grown()));
        assert!(
            !is_ready(second.grown()),
            "what grew twice in between is told once"
        );
        assert!(!is_ready(other.grown()));
    }

    #[test]
    fn what_was_delivered_before_is_not_told() {
        let tails = Tails::default();
        let _other = tails.subscribe(UserNo(1));
        tails.wake(&[delivered(1, 1)]);
        let mut late = tails.subscribe(UserNo(1));
        assert!(!is_ready(late.grown()));
        tails.wake(&[delivered(1, 2)]);
        assert!(is_ready(late.grown()));
    }

    #[test]
    fn nothing_is_kept_for_those_who_have_gone() {
        let tails = Tails::default();
        let subscriptions: Vec<_> = (0..1000)
            .map(|n| tails.subscribe(UserNo(n % 500)))
            .collect();
        assert_eq!(watched(&tails), 500);
        assert_eq!(tails.inner.waiting.load(Ordering::SeqCst), 1000);
        for (n, subscription) in subscriptions.into_iter().enumerate() {
            drop(subscription);
            assert_eq!(watched(&tails), 500.min(999 - n));
        }
        assert_eq!(tails.inner.waiting.load(Ordering::SeqCst), 0);
    }

    /// A reader subscribes, looks at the head and waits if there is nothing new; the writer moves the head and wakes. The moments
    /// meet in all ways, and the reader must get to the end.
    #[test]
    fn no_wake_up_is_lost() {
        const END: u64 = 50_000;
        let tails = Tails::default();
        let heads: [AtomicU64; 2] = Default::default();
        thread::scope(|scope| {
            for (user, head) in (1..).zip(&heads) {
                let tails = &tails;
                // One reader stays subscribed, one comes and goes.
                scope.spawn(move || {
                    let mut subscription = tails.subscribe(UserNo(user));
                    while head.load(Ordering::Acquire) < END {
                        wait(subscription.grown());
                    }
                });
                scope.spawn(move || {
                    let mut seen = 0;
                    while seen < END {
                        let mut subscription = tails.subscribe(UserNo(user));
                        let now = head.load(Ordering::Acquire);
                        if now == seen {
                            wait(subscription.grown());
                        }
                        seen = now;
                    }
                });
            }
            for seq in 1..=END {
                for (user, head) in (1..).zip(&heads) {
                    head.store(seq, Ordering::Release);
                    tails.wake(&[delivered(user, seq)]);
                }
                if seq % 64 == 0 {
                    thread::yield_now();
                }
            }
        });
        assert_eq!(watched(&tails), 0);
    }
}
