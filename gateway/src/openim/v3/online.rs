//! What is told to who is connected and kept nowhere: business notifications of the lowest reliability. A client that is slow or
//! away does not get them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::proto::MsgData;

/// What waits for one connection at most.
const WAITING: usize = 32;

/// A notification on its way: the conversation that it is told in, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The name of the conversation.
    pub conversation: String,
    /// The notification; it has no seq.
    pub message: MsgData,
    /// The trace id of the request that told it.
    pub operation_id: String,
}

type Listeners = HashMap<String, Vec<(u64, mpsc::Sender<Arc<Told>>)>>;

/// Who listens. Cheap to clone.
#[derive(Clone, Default)]
pub struct Online(Arc<Inner>);

#[derive(Default)]
struct Inner {
    listeners: Mutex<Listeners>,
    next: AtomicU64,
}

/// One listener; it is forgotten when this is dropped.
pub struct Listening {
    online: Online,
    user: String,
    number: u64,
    told: mpsc::Receiver<Arc<Told>>,
}

impl Online {
    /// Begins to listen for a user.
    #[must_use]
    pub fn listen(&self, user: &str) -> Listening {
        let (sender, told) = mpsc::channel(WAITING);
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut listeners = self.0.listeners.lock();
        listeners
            .entry(user.to_owned())
            .or_default()
            .push((number, sender));
        Listening {
            online: self.clone(),
            user: user.to_owned(),
            number,
            told,
        }
    }

    /// Tells a user's connections; how many of them had room.
    #[must_use]
    pub fn tell(&self, user: &str, told: Told) -> usize {
        let told = Arc::new(told);
        let listeners = self.0.listeners.lock();
        let listeners = listeners.get(user).map_or(&[][..], Vec::as_slice);
        let taken = |(_, sender): &&(u64, mpsc::Sender<Arc<Told>>)| {
            sender.try_send(Arc::clone(&told)).is_ok()
        };
        listeners.iter().filter(taken).count()
    }
}

impl Listening {
    /// The next that is told.
    pub async fn next(&mut self) -> Arc<Told> {
        match self.told.recv().await {
            Some(told) => told,
            // Not reached: the sender stays until this is dropped.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listeners = self.online.0.listeners.lock();
        if let Some(of_user) = listeners.get_mut(&self.user) {
            of_user.retain(|(number, _)| *number != self.number);
            if of_user.is_empty() {
                listeners.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Told {
        Told {
            conversation: text.to_owned(),
            message: MsgData::default(),
            operation_id: String::new(),
        }
    }

    #[tokio::test]
    async fn who_listens_is_told_and_a_slow_one_misses_some() {
        let online = Online::default();
        assert_eq!(online.tell("u", told("nobody")), 0);
        let (mut one, two) = (online.listen("u"), online.listen("u"));
        assert_eq!(online.tell("u", told("first")), 2);
        drop(two);
        assert_eq!(one.next().await.conversation, "first");
        for _ in 0..WAITING {
            assert_eq!(online.tell("u", told("more")), 1);
        }
        assert_eq!(online.tell("u", told("too many")), 0);
        drop(one);
        assert!(online.0.listeners.lock().is_empty());
    }
}
