//! All devices of a test, on a few threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::business::Business;
use super::device::{Device, Goal, Kept};
use super::session::{Ask, Transport};
use super::tally::Tally;
use crate::dice::Dice;
use crate::harness::{Api, Server};

/// Devices of one user: one for each transport, and one more.
pub const DEVICES: u64 = 5;

/// Within how many milliseconds the devices connect for the first time.
const BEGIN_MS: u64 = 2_000;

/// How often something that many devices do is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct Member {
    name: String,
    length: Arc<AtomicU64>,
    task: JoinHandle<Kept>,
}

/// Devices that follow their logs.
pub struct Fleet {
    runtime: Runtime,
    members: Vec<Member>,
    goal: watch::Sender<Goal>,
    tally: Arc<Tally>,
}

impl Fleet {
    /// How many users so many sessions have.
    #[must_use]
    pub fn users(sessions: u64) -> u64 {
        sessions.div_ceil(DEVICES)
    }

    /// Begins: every user has devices over every transport.
    ///
    /// # Panics
    /// When there are no tokens or threads to be had.
    #[must_use]
    pub fn start(server: &Server, sessions: u64, dice: &mut Dice) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let users = Self::users(sessions);
        let mut admin = Api::admin(server);
        let tokens: Vec<_> = (0..users)
            .map(|user| admin.token_of(&Business::user(user)))
            .collect();
        let log = admin.get(&format!("/v1/users/{}/log", Business::user(0)));
        let epoch = log["epoch"].as_str().expect("an epoch").to_owned();
        let (goal, goals) = watch::channel(None);
        let tally = Arc::new(Tally::default());
        let members = (0..sessions).map(|number| {
            let (user, turn) = (number % users, number / users);
            let transport = Transport::ALL[((user + turn) % 4) as usize];
            let name = Business::user(user);
            let token = &tokens[user as usize];
            let length = Arc::new(AtomicU64::new(0));
            let device = Device {
                ask: Ask::new(server, &epoch, token, &name, &format!("device-{turn}")),
                transport,
                dice: Dice::new(dice.seed()),
                tally: Arc::clone(&tally),
                goal: goals.clone(),
                length: Arc::clone(&length),
                log: Vec::new(),
                sessions: 0,
            };
            let begin = Duration::from_millis(dice.up_to(BEGIN_MS));
            let task = runtime.spawn(async move {
                sleep(begin).await;
                device.live().await
            });
            let name = format!("device-{turn} of {name} over {transport:?}");
            Member { name, length, task }
        });
        Self {
            members: members.collect(),
            goal,
            tally,
            runtime,
        }
    }

    /// What has happened.
    #[must_use]
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Waits until nine of ten devices have a session at the same time: the others are between two.
    ///
    /// # Panics
    /// When they have not, within that time, or a device has met what may not be.
    pub fn wait_until_open(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let enough = self.members.len() as u64 * 9 / 10;
        while self.tally.open() < enough {
            self.is_well();
            assert!(
                Instant::now() < until,
                "{} of {enough} sessions after {patience:?}",
                self.tally.open()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// No device has given up.
    fn is_well(&self) {
        let ended = self.members.iter().find(|member| member.task.is_finished());
        if let Some(member) = ended {
            // Its own report stands above.
            panic!("{} has ended early", member.name);
        }
    }

    /// Waits until every device has its whole log: as many entries as are said here, user by user. What they have.
    ///
    /// # Panics
    /// When one does not get there within that time, or has met what may not be.
    #[must_use]
    pub fn settle(self, heads: HashMap<String, u64>, patience: Duration) -> Vec<Kept> {
        let heads = Arc::new(heads);
        self.goal.send_replace(Some(Arc::clone(&heads)));
        let until = Instant::now() + patience;
        let names: Vec<_> = self
            .members
            .iter()
            .map(|member| (member.name.clone(), Arc::clone(&member.length)))
            .collect();
        let mut kept = Vec::new();
        for member in self.members {
            let left = until.saturating_duration_since(Instant::now());
            let ended = self
                .runtime
                .block_on(async { timeout(left, member.task).await });
            match ended {
                Ok(Ok(it)) => kept.push(it),
                Ok(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                Err(_) => panic!("{}", behind(&names, &heads)),
            }
        }
        self.runtime.shutdown_timeout(Duration::from_millis(200));
        kept
    }
}

/// Which devices lack something.
fn behind(names: &[(String, Arc<AtomicU64>)], heads: &HashMap<String, u64>) -> String {
    let lacking = names.iter().filter_map(|(name, length)| {
        let user = name.split(' ').nth(2)?;
        let (has, head) = (length.load(Relaxed), heads.get(user).copied().unwrap_or(0));
        (has < head).then(|| json!({ "device": name, "has": has, "of": head }).to_string())
    });
    let lacking: Vec<_> = lacking.collect();
    let listed = &lacking[..lacking.len().min(10)];
    format!("{} devices are behind: {listed:#?}", lacking.len())
}
