//! Who waits for which user's log to grow, and the durable position that all wait for.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use slab::Slab;
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
    shards: Vec<Mutex<Shard>>,
    /// How many subscriptions there are, in all shards.
    watches: AtomicUsize,
}

type Shard = HashMap<UserNo, Log>;

/// A log that somebody watches. There are as many as users online, so a channel for each would be too large.
#[derive(Default)]
struct Log {
    told: Option<Growth>,
    /// How often it has grown.
    growths: u64,
    /// How many watch it.
    watches: u32,
    /// How those are woken that wait for the next growth, which takes them all.
    waiting: Slab<Waker>,
}

impl Log {
    /// Notes how a watch is woken, in its place if it has one already. Returns its place, and what is to be dropped once nothing is
    /// locked: with a waker its task may go, and with that a subscription.
    fn wait(&mut self, place: Option<usize>, waker: &Waker) -> (usize, Option<Waker>) {
        if let Some(place) = place
            && let Some(before) = self.waiting.get_mut(place)
        {
            let changed = !before.will_wake(waker);
            let before = changed.then(|| std::mem::replace(before, waker.clone()));
            return (place, before);
        }
        // Most logs have one.
        if self.waiting.is_empty() {
            self.waiting.reserve_exact(1);
        }
        (self.waiting.insert(waker.clone()), None)
    }
}

impl Default for Tails {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            inner: Arc::new(Inner {
                shards,
                watches: AtomicUsize::new(0),
            }),
        }
    }
}

impl Tails {
    /// Starts to watch a user's log. What was delivered before is not told: read the head after this call.
    #[must_use]
    pub fn subscribe(&self, user: UserNo) -> Subscription {
        let mut shard = self.shard(user).lock();
        self.inner.watches.fetch_add(1, Ordering::SeqCst);
        // Pairs with the fence in `wake`: either the writer sees this watch, or this watcher sees the new head.
        fence(Ordering::SeqCst);
        let log = shard.entry(user).or_default();
        log.watches += 1;
        Subscription {
            user,
            seen: log.growths,
            place: None,
            tails: self.clone(),
        }
    }

    /// Tells those who watch that these logs have grown. Called by the writer once the heads are visible.
    pub(crate) fn wake(&self, delivered: &[Delivered]) {
        fence(Ordering::SeqCst);
        if self.inner.watches.load(Ordering::SeqCst) == 0 {
            return;
        }
        let visible = Instant::now();
        let mut woken = Vec::new();
        for Delivered { user, seq } in delivered {
            if let Some(log) = self.shard(*user).lock().get_mut(user) {
                let head = *seq;
                log.told = Some(Growth { head, visible });
                log.growths += 1;
                woken.extend(log.waiting.drain());
            }
            // Nothing is locked now: a task that cannot run any more is dropped by this, with its subscriptions.
            woken.drain(..).for_each(Waker::wake);
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

    fn shard(&self, user: UserNo) -> &Mutex<Shard> {
        &self.inner.shards[user.0 as usize % SHARDS]
    }
}

/// One watch on a user's log.
pub struct Subscription {
    user: UserNo,
    /// How often the log had grown when this watch was told last.
    seen: u64,
    /// Its place among those who wait, while the log has not grown since.
    place: Option<usize>,
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
        let shard = self.tails.shard(self.user).lock();
        shard.get(&self.user).and_then(|log| log.told)
    }

    /// Returns when the log has grown since the last call, or since the subscription.
    pub async fn grown(&mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shard = self.tails.shard(self.user).lock();
        // A log stays as long as somebody watches it.
        let Some(log) = shard.get_mut(&self.user) else {
            return Poll::Pending;
        };
        if log.growths != self.seen {
            self.seen = log.growths;
            self.place = None;
            return Poll::Ready(());
        }
        let (place, before) = log.wait(self.place, cx.waker());
        self.place = Some(place);
        drop(shard);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut shard = self.tails.shard(self.user).lock();
        let mut waker = None;
        if let Some(log) = shard.get_mut(&self.user) {
            if let Some(place) = self.place
                && log.growths == self.seen
            {
                waker = log.waiting.try_remove(place);
            }
            log.watches -= 1;
            if log.watches == 0 {
                shard.remove(&self.user);
            }
        }
        self.tails.inner.watches.fetch_sub(1, Ordering::SeqCst);
        drop(shard);
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::AtomicU64;
    use std::task::Wake;
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

    fn is_ready_elsewhere(future: impl Future<Output = ()>) -> bool {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        pin!(future).poll(&mut Context::from_waker(&waker)) == Poll::Ready(())
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
        assert_eq!(tails.inner.watches.load(Ordering::SeqCst), 1000);
        for (n, subscription) in subscriptions.into_iter().enumerate() {
            drop(subscription);
            assert_eq!(watched(&tails), 500.min(999 - n));
        }
        assert_eq!(tails.inner.watches.load(Ordering::SeqCst), 0);
    }

    /// A log that does not grow must not gather the wakers of all who have ever waited for it.
    #[test]
    fn who_waits_has_one_place_and_none_when_they_are_gone() {
        let tails = Tails::default();
        let places = || tails.shard(UserNo(1)).lock()[&UserNo(1)].waiting.len();
        let mut stays = tails.subscribe(UserNo(1));
        for _ in 0..100 {
            assert!(!is_ready(stays.grown()));
            let mut goes = tails.subscribe(UserNo(1));
            // From one task, and then from another.
            assert!(!is_ready(goes.grown()) && !is_ready_elsewhere(goes.grown()));
            assert_eq!(places(), 2);
        }
        assert_eq!(places(), 1);
        tails.wake(&[delivered(1, 1)]);
        assert_eq!(places(), 0);
        assert!(is_ready(stays.grown()));
    }

    /// A task that is dropped when it is woken, as a runtime does that has ended, takes its subscription with it.
    #[test]
    fn a_subscription_may_end_by_being_woken() {
        struct Ends(Mutex<Option<Subscription>>);
        impl Wake for Ends {
            fn wake(self: Arc<Self>) {
                drop(self.0.lock().take());
            }
        }
        let tails = Tails::default();
        let ends = Arc::new(Ends(Mutex::new(None)));
        let mut subscription = tails.subscribe(UserNo(1));
        let waker = Waker::from(Arc::clone(&ends));
        assert!(
            subscription
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        *ends.0.lock() = Some(subscription);
        tails.wake(&[delivered(1, 1)]);
        assert_eq!(watched(&tails), 0);
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
