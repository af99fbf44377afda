//! Many sessions at once, of one transport: opened as fast as the server takes them, followed by a task each, counted when
//! they are lost.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use indicatif::ProgressBar;
use serde::Serialize;
use tokio::task::{JoinHandle, JoinSet};

use super::hub::{Hub, Transport};
use super::session::{Bytes, NOWHERE, Session, Traffic};
use crate::error::{Error, Result};
use crate::latency::{Latency, Summary};

/// How often a session is tried to be opened before it counts as failed.
const ATTEMPTS: u32 = 3;

/// Sessions of users who follow each other in number.
pub struct Crowd {
    hub: Arc<Hub>,
    transport: Transport,
    members: Vec<Member>,
    lost: Arc<Lost>,
}

/// One of them.
struct Member {
    user: u32,
    cursor: Arc<AtomicU64>,
    traffic: Traffic,
    task: JoinHandle<()>,
}

/// Sessions that ended by themselves.
#[derive(Default)]
struct Lost {
    count: AtomicU64,
    first: Mutex<Option<String>>,
}

/// How the opening went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Storm {
    /// Sessions that are open.
    pub opened: u64,
    /// Sessions that could not be opened, in several attempts.
    pub failed: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// The first failure in words.
    pub first_failure: Option<String>,
    /// From the first to the last, in seconds.
    pub seconds: f64,
    /// From beginning to connect to the tail, of each.
    pub each: Summary,
    #[serde(skip)]
    latency: Latency,
}

impl Storm {
    /// Adds one that came after it.
    ///
    /// # Errors
    /// Never: all histograms here have the same bounds.
    pub fn add(&mut self, later: Self) -> Result<()> {
        self.opened += later.opened;
        self.failed += later.failed;
        self.failed_attempts += later.failed_attempts;
        if self.first_failure.is_none() {
            self.first_failure = later.first_failure;
        }
        self.seconds += later.seconds;
        self.latency.merge(&later.latency)?;
        self.each = self.latency.summary();
        Ok(())
    }
}

impl Lost {
    fn note(&self, error: &Error) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.to_string());
    }
}

impl Crowd {
    /// Opens sessions of `users`, `at_once` of them at a time.
    ///
    /// # Errors
    /// When a task panics. Sessions that cannot be opened are counted.
    pub async fn open(
        hub: &Arc<Hub>,
        transport: Transport,
        users: Range<u32>,
        at_once: u32,
        bar: &ProgressBar,
    ) -> Result<(Self, Storm)> {
        let mut crowd = Self {
            hub: Arc::clone(hub),
            transport,
            members: Vec::with_capacity(users.len()),
            lost: Arc::default(),
        };
        let storm = crowd.open_more(users, at_once, bar).await?;
        Ok((crowd, storm))
    }

    /// Opens sessions of more users.
    ///
    /// # Errors
    /// When a task panics.
    pub async fn open_more(
        &mut self,
        users: Range<u32>,
        at_once: u32,
        bar: &ProgressBar,
    ) -> Result<Storm> {
        let cursor = || Arc::new(AtomicU64::new(NOWHERE));
        let new = users.map(|user| (user, cursor())).collect();
        self.admit(new, at_once, bar).await
    }

    /// Opens these sessions too, from their cursors.
    ///
    /// # Errors
    /// When a task panics.
    pub async fn admit(
        &mut self,
        new: Vec<(u32, Arc<AtomicU64>)>,
        at_once: u32,
        bar: &ProgressBar,
    ) -> Result<Storm> {
        let began = Instant::now();
        let (new, next) = (Arc::new(new), Arc::new(AtomicU32::new(0)));
        let mut lanes = JoinSet::new();
        for _ in 0..at_once.max(1) {
            let lane = Lane {
                hub: Arc::clone(&self.hub),
                transport: self.transport,
                lost: Arc::clone(&self.lost),
                new: Arc::clone(&new),
                next: Arc::clone(&next),
                bar: bar.clone(),
            };
            lanes.spawn(lane.run());
        }
        let mut storm = Storm::default();
        while let Some(lane) = lanes.join_next().await {
            let (members, part) =
                lane.map_err(|e| Error::Options(format!("a client task failed: {e}")))?;
            storm.add(part)?;
            self.members.extend(members);
        }
        storm.seconds = began.elapsed().as_secs_f64();
        Ok(storm)
    }

    /// How many sessions ended by themselves so far, and the first reason.
    #[must_use]
    pub fn lost(&self) -> (u64, Option<String>) {
        let first = self.lost.first.lock();
        (
            self.lost.count.load(Ordering::Relaxed),
            first.unwrap_or_else(PoisonError::into_inner).clone(),
        )
    }

    /// How many there are, the lost ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Bytes on the wire of all of them.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let bytes = self.members.iter().map(|member| member.traffic.bytes());
        bytes.fold(Bytes::default(), Bytes::plus)
    }

    /// Where each user's session has its log.
    pub fn cursors(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let cursor = |member: &Member| member.cursor.load(Ordering::Relaxed);
        self.members
            .iter()
            .map(move |member| (member.user, cursor(member)))
    }

    /// Drops all sessions at once, without a goodbye of their own protocol, and gives back who they were and where they stood.
    pub async fn drop_all(&mut self) -> Vec<(u32, Arc<AtomicU64>)> {
        let mut gone = Vec::with_capacity(self.members.len());
        for member in self.members.drain(..) {
            member.task.abort();
            // When the task is over, its session is dropped, and nothing moves the cursor any more.
            let _ = member.task.await;
            gone.push((member.user, member.cursor));
        }
        gone
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for member in &self.members {
            member.task.abort();
        }
    }
}

/// One of those who open sessions.
struct Lane {
    hub: Arc<Hub>,
    transport: Transport,
    lost: Arc<Lost>,
    new: Arc<Vec<(u32, Arc<AtomicU64>)>>,
    next: Arc<AtomicU32>,
    bar: ProgressBar,
}

impl Lane {
    async fn run(self) -> (Vec<Member>, Storm) {
        let (mut members, mut storm) = (Vec::new(), Storm::default());
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed) as usize;
            let Some((user, cursor)) = self.new.get(at) else {
                return (members, storm);
            };
            let begun = Instant::now();
            if let Some(session) = self.open(*user, cursor, &mut storm).await {
                storm.opened += 1;
                storm.latency.record(begun.elapsed());
                members.push(self.follow(*user, cursor, session));
            } else {
                storm.failed += 1;
            }
            self.bar.inc(1);
        }
    }

    async fn open(&self, user: u32, cursor: &AtomicU64, storm: &mut Storm) -> Option<Session> {
        for _ in 0..ATTEMPTS {
            match Session::open(&self.hub, self.transport, user, cursor).await {
                Ok(session) => return Some(session),
                Err(error) => {
                    storm.failed_attempts += 1;
                    storm.first_failure.get_or_insert_with(|| error.to_string());
                }
            }
        }
        None
    }

    fn follow(&self, user: u32, cursor: &Arc<AtomicU64>, mut session: Session) -> Member {
        let taker = self.hub.taker(Arc::clone(cursor));
        let lost = Arc::clone(&self.lost);
        let traffic = session.traffic();
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = session.next(&taker).await {
                    return lost.note(&error);
                }
            }
        });
        Member {
            user,
            cursor: Arc::clone(cursor),
            traffic,
            task,
        }
    }
}
