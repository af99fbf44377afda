//! Who wants to know when somebody comes or goes. A watcher is told which of its users have changed, each once however often it
//! was, so what waits for a slow one is bounded by what it watches.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Users that one connection may watch.
pub const WATCHED_USERS: usize = waybill_core::wire::MAX_WATCHED_USERS;

/// Who watches whom. Cheap to clone.
#[derive(Clone, Default)]
pub struct Watchers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    of_user: Mutex<HashMap<Box<str>, Vec<Watcher>>>,
    /// So that those who come and go while nobody watches wait for no lock.
    watching: AtomicUsize,
    next: AtomicU64,
}

struct Watcher {
    number: u64,
    changed: Arc<Changed>,
}

#[derive(Default)]
struct Changed {
    users: Mutex<BTreeSet<Box<str>>>,
    filled: Notify,
}

/// A watch on some users; it ends when this is dropped.
pub struct PresenceWatch {
    watchers: Watchers,
    number: u64,
    users: Vec<Box<str>>,
    changed: Arc<Changed>,
}

impl Watchers {
    /// Begins to watch. At most [`WATCHED_USERS`] of them are taken.
    #[must_use]
    pub fn watch<'a>(&self, users: impl IntoIterator<Item = &'a str>) -> PresenceWatch {
        let mut users: Vec<Box<str>> = users.into_iter().map(Into::into).collect();
        users.sort_unstable();
        users.dedup();
        users.truncate(WATCHED_USERS);
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let changed = Arc::<Changed>::default();
        let mut of_user = self.0.of_user.lock();
        for user in &users {
            of_user.entry(user.clone()).or_default().push(Watcher {
                number,
                changed: Arc::clone(&changed),
            });
        }
        self.0.watching.fetch_add(1, Ordering::SeqCst);
        drop(of_user);
        PresenceWatch {
            watchers: self.clone(),
            number,
            users,
            changed,
        }
    }

    /// Somebody has come or gone.
    pub(super) fn changed(&self, user: &str) {
        if self.0.watching.load(Ordering::SeqCst) == 0 {
            return;
        }
        let of_user = self.0.of_user.lock();
        for watcher in of_user.get(user).map_or(&[][..], Vec::as_slice) {
            watcher.changed.users.lock().insert(user.into());
            watcher.changed.filled.notify_one();
        }
    }
}

impl PresenceWatch {
    /// Who is watched.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.users.iter().map(AsRef::as_ref)
    }

    /// Those who have come or gone since the last call: at least one.
    pub async fn next(&self) -> Vec<Box<str>> {
        loop {
            let taken = std::mem::take(&mut *self.changed.users.lock());
            if !taken.is_empty() {
                return taken.into_iter().collect();
            }
            self.changed.filled.notified().await;
        }
    }
}

impl Drop for PresenceWatch {
    fn drop(&mut self) {
        let mut of_user = self.watchers.0.of_user.lock();
        for user in &self.users {
            if let Some(watchers) = of_user.get_mut(user) {
                watchers.retain(|watcher| watcher.number != self.number);
                if watchers.is_empty() {
                    of_user.remove(user);
                }
            }
        }
        self.watchers.0.watching.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_watch_are_told_once_of_each_and_nothing_stays() {
        let watchers = Watchers::default();
        watchers.changed("a");
        let one = watchers.watch(["b", "a", "a"]);
        let two = watchers.watch(["b"]);
        assert_eq!(one.users().collect::<Vec<_>>(), ["a", "b"]);
        for user in ["a", "a", "b", "c"] {
            watchers.changed(user);
        }
        assert_eq!(one.next().await, ["a".into(), "b".into()]);
        assert_eq!(two.next().await, ["b".into()]);
        watchers.changed("a");
        assert_eq!(one.next().await, ["a".into()]);
        drop((one, two));
        assert!(watchers.0.of_user.lock().is_empty());
        let many: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        let many = watchers.watch(many.iter().map(String::as_str));
        assert_eq!(many.users().count(), WATCHED_USERS);
    }
}
