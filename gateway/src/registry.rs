//! Who is connected: every live connection by user and device, whatever its transport, so that it can be closed from
//! elsewhere. It holds no message and no socket, only the word that a connection should end.

mod hub;
mod presence;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use waybill_core::id::KeyedHash;

use crate::live::End;

pub use hub::{Hub, Listener};
pub use presence::{PresenceWatch, WATCHED_USERS, Watchers};

/// Most connections of one user that are shown when somebody asks who is online.
pub const SHOWN_CONNECTIONS: usize = 16;

/// How many parts the table has, so that connections of different users rarely wait for each other.
const SHARDS: usize = 32;

/// How a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A long poll that waits.
    LongPoll,
    /// `waybill/1` over QUIC.
    Quic,
    /// Server-sent events.
    Sse,
    /// The native WebSocket.
    WebSocket,
    /// OpenIM's gateway for clients, over WebSocket.
    OpenIm,
}

impl Transport {
    /// Every way.
    pub const ALL: [Self; 5] = [
        Self::LongPoll,
        Self::Quic,
        Self::Sse,
        Self::WebSocket,
        Self::OpenIm,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LongPoll => "long_poll",
            Self::Quic => "quic",
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::OpenIm => "openim",
        }
    }
}

/// Why a connection is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The user's tokens were revoked.
    Revoked,
    /// The same device has connected anew.
    Superseded,
    /// The user has logged in elsewhere, and may not be logged in on both.
    Replaced,
    /// The server is stopping.
    Stopping,
}

impl From<CloseReason> for End {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Revoked => Self::Revoked,
            CloseReason::Superseded => Self::Superseded,
            CloseReason::Replaced => Self::Replaced,
            CloseReason::Stopping => Self::Stopping,
        }
    }
}

/// What is known of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user id.
    pub user: String,
    /// The device id; empty when the connection names none.
    pub device: String,
    /// Platform number of its token.
    pub platform: u8,
    /// How it came.
    pub transport: Transport,
    /// Keyed hash of its token.
    pub token: KeyedHash,
    /// Whether the user is a business account, which polls for many: only the server's bound holds for it.
    pub business: bool,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The server has as many as it may.
    #[error("the server has as many live connections as it may")]
    Server,
    /// The user has as many as one may.
    #[error("this user has as many live connections as one may")]
    User,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// The table of live connections.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    shards: Vec<Mutex<HashMap<Box<str>, Vec<Entry>>>>,
    open: AtomicUsize,
    next: AtomicU64,
    max: usize,
    max_per_user: usize,
    stopping: watch::Sender<bool>,
    watchers: Watchers,
}

struct Entry {
    number: u64,
    identity: Arc<Identity>,
    ending: Arc<Ending>,
}

/// The word that a connection should end. Smaller than a channel, because every connection has one.
#[derive(Default)]
struct Ending {
    reason: OnceLock<CloseReason>,
    told: Notify,
}

/// A live connection's place in the table; it leaves the table when this is dropped.
pub struct Registration {
    registry: Registry,
    number: u64,
    identity: Arc<Identity>,
    ending: Arc<Ending>,
}

impl Registry {
    /// An empty table with room for `max` connections, and `max_per_user` of each user.
    #[must_use]
    pub fn new(max: usize, max_per_user: usize) -> Self {
        Self(Arc::new(Inner {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            open: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            max,
            max_per_user: max_per_user.max(1),
            stopping: watch::Sender::new(false),
            watchers: Watchers::default(),
        }))
    }

    /// Takes a connection in. An older one of the same device over the same transport is asked to end: after a broken
    /// network the server learns of its death last. So a connection may come in only when it is sure who it is.
    ///
    /// # Errors
    /// When a bound is reached or the server is stopping.
    pub fn open(&self, identity: Identity) -> Result<Registration, Full> {
        let inner = &self.0;
        let mut shard = self.shard(&identity.user).lock();
        // Looked at within the lock: whoever stops the server first says so, then goes through the shards.
        if *inner.stopping.borrow() {
            return Err(Full::Stopping);
        }
        let entries = shard
            .get(identity.user.as_str())
            .map_or(&[][..], Vec::as_slice);
        let staying = |entry: &&Entry| entry.is_live() && !entry.is_of(&identity);
        if !identity.business && entries.iter().filter(staying).count() >= inner.max_per_user {
            return Err(Full::User);
        }
        if inner.open.fetch_add(1, Ordering::Relaxed) >= inner.max {
            inner.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Server);
        }
        for entry in entries.iter().filter(|entry| entry.is_of(&identity)) {
            entry.end(CloseReason::Superseded);
        }
        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        let ending = Arc::<Ending>::default();
        let identity = Arc::new(identity);
        shard
            .entry(identity.user.as_str().into())
            .or_default()
            .push(Entry {
                number,
                identity: Arc::clone(&identity),
                ending: Arc::clone(&ending),
            });
        drop(shard);
        inner.watchers.changed(&identity.user);
        Ok(Registration {
            registry: self.clone(),
            number,
            identity,
            ending,
        })
    }

    /// Asks all connections of a user to end; returns how many there were.
    pub fn close_user(&self, user: &str, reason: CloseReason) -> usize {
        self.close_where(user, reason, |_| true)
    }

    /// Asks the connections of one of a user's devices to end; returns how many there were.
    pub fn close_device(&self, user: &str, device: &str, reason: CloseReason) -> usize {
        self.close_where(user, reason, |identity| identity.device == device)
    }

    /// Asks a user's connections from one platform to end; returns how many there were.
    pub fn close_platform(&self, user: &str, platform: u8, reason: CloseReason) -> usize {
        self.close_where(user, reason, |identity| identity.platform == platform)
    }

    /// Asks a user's connections that came with one token to end; returns how many there were.
    pub fn close_token(&self, user: &str, token: KeyedHash, reason: CloseReason) -> usize {
        self.close_where(user, reason, |identity| identity.token == token)
    }

    fn close_where(
        &self,
        user: &str,
        reason: CloseReason,
        which: impl Fn(&Identity) -> bool,
    ) -> usize {
        let shard = self.shard(user).lock();
        let entries = shard.get(user).map_or(&[][..], Vec::as_slice);
        let mut count = 0;
        for entry in entries.iter().filter(|entry| which(&entry.identity)) {
            entry.end(reason);
            count += 1;
        }
        count
    }

    /// Asks every connection to end and takes no more.
    pub fn stop(&self) {
        self.0.stopping.send_replace(true);
        for shard in &self.0.shards {
            for entry in shard.lock().values().flatten() {
                entry.end(CloseReason::Stopping);
            }
        }
    }

    /// The live connections of a user.
    #[must_use]
    pub fn of_user(&self, user: &str) -> Vec<Arc<Identity>> {
        let shard = self.shard(user).lock();
        let entries = shard.get(user).map_or(&[][..], Vec::as_slice);
        entries
            .iter()
            .map(|entry| Arc::clone(&entry.identity))
            .collect()
    }

    /// Who wants to know when somebody comes or goes.
    #[must_use]
    pub fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    /// Some of the live connections of a user, for people to look at: a business account may have any number.
    #[must_use]
    pub fn shown_of_user(&self, user: &str) -> Vec<Arc<Identity>> {
        let shard = self.shard(user).lock();
        let entries = shard.get(user).map_or(&[][..], Vec::as_slice);
        let shown = entries.iter().take(SHOWN_CONNECTIONS);
        shown.map(|entry| Arc::clone(&entry.identity)).collect()
    }

    /// How many connections are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    fn shard(&self, user: &str) -> &Mutex<HashMap<Box<str>, Vec<Entry>>> {
        let hash = user.bytes().fold(0_usize, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(usize::from(byte))
        });
        &self.0.shards[hash % SHARDS]
    }
}

impl Entry {
    /// Whether it was not asked to end yet.
    fn is_live(&self) -> bool {
        self.ending.reason.get().is_none()
    }

    /// Whether it is of the same device, over the same transport. Connections without a device are all different.
    fn is_of(&self, other: &Identity) -> bool {
        let own = &self.identity;
        !own.device.is_empty() && (own.transport, &own.device) == (other.transport, &other.device)
    }

    /// Asks it to end. The first reason stays.
    fn end(&self, reason: CloseReason) {
        if self.ending.reason.set(reason).is_ok() {
            self.ending.told.notify_waiters();
        }
    }
}

impl Registration {
    /// What is known of the connection.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns when the connection should end.
    pub async fn closed(&self) -> CloseReason {
        loop {
            // Whoever waits before it looks is told of what comes after.
            let told = self.ending.told.notified();
            if let Some(reason) = self.close_reason() {
                return reason;
            }
            told.await;
        }
    }

    /// Why the connection should end, if it should.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.ending.reason.get().copied()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut shard = self.registry.shard(&self.identity.user).lock();
        if let Some(entries) = shard.get_mut(self.identity.user.as_str()) {
            entries.retain(|entry| entry.number != self.number);
            if entries.is_empty() {
                shard.remove(self.identity.user.as_str());
            }
        }
        drop(shard);
        self.registry.0.watchers.changed(&self.identity.user);
        self.registry.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(user: &str, device: &str, transport: Transport) -> Identity {
        Identity {
            user: user.to_owned(),
            device: device.to_owned(),
            platform: 1,
            transport,
            token: KeyedHash([7; 16]),
            business: false,
        }
    }

    fn quic(user: &str, device: &str) -> Identity {
        identity(user, device, Transport::Quic)
    }

    #[test]
    fn bounds_hold_and_room_comes_back() {
        let registry = Registry::new(3, 2);
        let first = registry.open(quic("a", "1")).unwrap();
        let _second = registry.open(quic("a", "2")).unwrap();
        assert_eq!(registry.open(quic("a", "3")).err(), Some(Full::User));
        let _third = registry.open(quic("b", "1")).unwrap();
        assert_eq!(registry.open(quic("c", "1")).err(), Some(Full::Server));
        assert_eq!(registry.count(), 3);
        drop(first);
        assert_eq!(registry.count(), 2);
        let _fourth = registry.open(quic("c", "1")).unwrap();
        assert_eq!(registry.of_user("a").len(), 1);
        let registry = Registry::new(3, 1);
        let business = || Identity {
            business: true,
            ..quic("oa", "")
        };
        let _held = [(); 3].map(|()| registry.open(business()).unwrap());
        assert_eq!(registry.open(business()).err(), Some(Full::Server));
    }

    #[tokio::test]
    async fn connections_are_closed_by_user_device_and_platform() {
        let registry = Registry::new(10, 10);
        let one = registry.open(quic("a", "1")).unwrap();
        let two = registry.open(quic("a", "2")).unwrap();
        let other = registry.open(quic("b", "1")).unwrap();
        assert_eq!(registry.close_device("a", "1", CloseReason::Revoked), 1);
        assert_eq!(one.closed().await, CloseReason::Revoked);
        assert_eq!(two.close_reason(), None);
        assert_eq!(registry.close_platform("a", 2, CloseReason::Revoked), 0);
        assert_eq!(
            registry.close_token("a", KeyedHash([8; 16]), CloseReason::Revoked),
            0
        );
        assert_eq!(
            registry.close_token("b", KeyedHash([7; 16]), CloseReason::Superseded),
            1
        );
        assert_eq!(registry.close_user("a", CloseReason::Superseded), 2);
        assert_eq!(two.closed().await, CloseReason::Superseded);
        assert_eq!(
            one.closed().await,
            CloseReason::Revoked,
            "the first reason stays"
        );
        assert_eq!(other.close_reason(), Some(CloseReason::Superseded));
        assert_eq!(registry.close_user("nobody", CloseReason::Revoked), 0);
    }

    #[tokio::test]
    async fn a_device_that_comes_again_takes_its_own_place() {
        let registry = Registry::new(10, 1);
        let old = registry.open(quic("a", "1")).unwrap();
        let new = registry.open(quic("a", "1")).unwrap();
        assert_eq!(
            old.closed().await,
            CloseReason::Superseded,
            "also at the bound"
        );
        assert_eq!(new.close_reason(), None);
        assert_eq!(registry.open(quic("a", "2")).err(), Some(Full::User));
        drop(old);
        assert_eq!(registry.of_user("a").len(), 1);

        let registry = Registry::new(10, 5);
        let other = registry.open(quic("a", "2")).unwrap();
        let poll = registry
            .open(identity("a", "1", Transport::LongPoll))
            .unwrap();
        let nameless = registry.open(quic("a", "")).unwrap();
        let _new = registry.open(quic("a", "1")).unwrap();
        let _second_nameless = registry.open(quic("a", "")).unwrap();
        for stays in [&other, &poll, &nameless] {
            assert_eq!(stays.close_reason(), None, "{:?}", stays.identity());
        }
    }

    #[tokio::test]
    async fn a_stopping_server_takes_no_more() {
        let registry = Registry::new(10, 10);
        let one = registry.open(quic("a", "1")).unwrap();
        registry.stop();
        assert_eq!(one.closed().await, CloseReason::Stopping);
        assert_eq!(registry.open(quic("b", "1")).err(), Some(Full::Stopping));
    }

    #[test]
    fn nothing_is_kept_of_users_who_are_gone() {
        let registry = Registry::new(1, 1);
        for number in 0..1_000 {
            let held = registry.open(quic(&format!("u{number}"), "1")).unwrap();
            assert!(registry.open(quic("x", "1")).is_err());
            drop(held);
        }
        assert!(
            registry
                .0
                .shards
                .iter()
                .all(|shard| shard.lock().is_empty())
        );
    }
}
