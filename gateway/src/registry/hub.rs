//! What is told to those who are connected and kept nowhere. Each listener has a bounded place for it: one that is slow misses
//! some, and one that is away all.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What waits for one listener at most.
pub const WAITING: usize = 32;

/// Who listens. Cheap to clone.
pub struct Hub<T>(Arc<Inner<T>>);

struct Inner<T> {
    of_user: Mutex<HashMap<Box<str>, Vec<Entry<T>>>>,
    next: AtomicU64,
}

struct Entry<T> {
    number: u64,
    place: Arc<Place<T>>,
}

struct Place<T> {
    told: Mutex<VecDeque<Arc<T>>>,
    filled: Notify,
}

/// One listener; it is forgotten when this is dropped.
pub struct Listener<T> {
    hub: Hub<T>,
    user: Box<str>,
    number: u64,
    place: Arc<Place<T>>,
}

impl<T> Clone for Hub<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Hub<T> {
    fn default() -> Self {
        Self(Arc::new(Inner {
            of_user: Mutex::default(),
            next: AtomicU64::new(0),
        }))
    }
}

impl<T> Hub<T> {
    /// Begins to listen for a user.
    #[must_use]
    pub fn listen(&self, user: &str) -> Listener<T> {
        let place = Arc::new(Place {
            told: Mutex::default(),
            filled: Notify::new(),
        });
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut of_user = self.0.of_user.lock();
        of_user.entry(user.into()).or_default().push(Entry {
            number,
            place: Arc::clone(&place),
        });
        drop(of_user);
        Listener {
            hub: self.clone(),
            user: user.into(),
            number,
            place,
        }
    }

    /// Tells a user's listeners: how many of them had room, and how many had none.
    #[must_use]
    pub fn tell(&self, user: &str, told: &Arc<T>) -> (usize, usize) {
        let of_user = self.0.of_user.lock();
        let (mut taken, mut dropped) = (0, 0);
        for entry in of_user.get(user).map_or(&[][..], Vec::as_slice) {
            let mut waiting = entry.place.told.lock();
            if waiting.len() >= WAITING {
                dropped += 1;
                continue;
            }
            waiting.push_back(Arc::clone(told));
            entry.place.filled.notify_one();
            taken += 1;
        }
        (taken, dropped)
    }
}

impl<T> Listener<T> {
    /// The next that is told.
    pub async fn next(&self) -> Arc<T> {
        loop {
            if let Some(told) = self.place.told.lock().pop_front() {
                return told;
            }
            self.place.filled.notified().await;
        }
    }
}

impl<T> Drop for Listener<T> {
    fn drop(&mut self) {
        let mut of_user = self.hub.0.of_user.lock();
        if let Some(entries) = of_user.get_mut(&self.user) {
            entries.retain(|entry| entry.number != self.number);
            if entries.is_empty() {
                of_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_listens_is_told_and_a_slow_one_misses_some() {
        let hub = Hub::default();
        assert_eq!(hub.tell("u", &Arc::new(0)), (0, 0));
        let (one, two) = (hub.listen("u"), hub.listen("u"));
        assert_eq!(hub.tell("u", &Arc::new(1)), (2, 0));
        assert_eq!(hub.tell("v", &Arc::new(2)), (0, 0));
        drop(two);
        assert_eq!(*one.next().await, 1);
        for number in 0..WAITING {
            assert_eq!(hub.tell("u", &Arc::new(number)), (1, 0));
        }
        assert_eq!(hub.tell("u", &Arc::new(99)), (0, 1));
        for number in 0..WAITING {
            assert_eq!(*one.next().await, number);
        }
        drop(one);
        assert!(hub.0.of_user.lock().is_empty());
    }
}
