//! How far devices say that they have stored their logs. The newest word of each device is kept here and handed to the
//! writer in packed commands, once an interval at most: what a crash loses, the devices say again.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;
use waybill_core::body::Body;
use waybill_core::command::Ask;
use waybill_core::hash::Domain;
use waybill_core::id::{DeviceNo, Opening, Seq, UserNo};
use waybill_core::limits::{MAX_REACHED, MAX_WALKED};
use waybill_core::outcome::Outcome;
use waybill_core::record::Surface;

use super::{Service, check, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::random;
use crate::shutdown::Stopping;

/// Most devices whose word waits: as many as a hash table of 2^18 places holds. One more is refused: its device will say it again.
const MAX_WAITING: usize = 224 * 1024;

/// So many waiting devices are not kept waiting for the interval to be over.
const CROWDED: usize = MAX_WAITING / 2;

/// Most devices of one command. Other commands wait for it, and it takes the writer some microseconds for each: sends beside it
/// must not notice. With two new entries each, what the writer looks at for tracked accounts is done at once.
const PACKED: usize = 500;
const _: () = assert!(PACKED <= MAX_REACHED && 2 * PACKED <= MAX_WALKED);

/// Pause after the writer has not taken a command.
const REST: Duration = Duration::from_secs(1);

type Device = (UserNo, DeviceNo);

/// What devices have said and the writer has not.
#[derive(Default)]
pub struct Cursors {
    waiting: Mutex<Waiting>,
    /// Told when too many wait.
    crowded: Notify,
}

#[derive(Default)]
struct Waiting {
    newest: HashMap<Device, Seq>,
    /// The devices of `newest` by when they began to wait, the longest first.
    order: VecDeque<(Device, Instant)>,
    /// What the writer is being told: it stands in no row yet.
    handed: HashMap<Device, Seq>,
}

impl Waiting {
    /// Up to where a device is known to have its log, when the rows know of `reached`.
    fn known(&self, device: &Device, reached: Seq) -> Seq {
        let cursors = [self.newest.get(device), self.handed.get(device)];
        cursors
            .into_iter()
            .flatten()
            .copied()
            .fold(reached, Seq::max)
    }
}

impl Cursors {
    /// Notes a cursor of a device that the rows know to have reached `reached`; older ones change nothing. Returns the newest
    /// known.
    fn note(&self, device: Device, seq: Seq, reached: Seq, now: Instant) -> Result<Seq, Error> {
        let mut waiting = self.waiting.lock();
        let known = waiting.known(&device, reached);
        if seq <= known {
            return Ok(known);
        }
        if let Some(newest) = waiting.newest.get_mut(&device) {
            *newest = seq;
            return Ok(seq);
        }
        if waiting.newest.len() >= MAX_WAITING {
            return Err(Error::of(Kind::Busy));
        }
        waiting.newest.insert(device, seq);
        waiting.order.push_back((device, now));
        if waiting.newest.len() >= CROWDED {
            self.crowded.notify_one();
        }
        Ok(seq)
    }

    /// When those who wait longest have waited for `interval`; `None` when nobody waits.
    fn due(&self, interval: Duration) -> Option<Instant> {
        let waiting = self.waiting.lock();
        waiting.order.front().map(|(_, since)| *since + interval)
    }

    /// Takes those who wait longest, `most` of them, if the first of them has waited since `due` or too many
    /// wait. They count as handed over until [`Self::was_handed`].
    fn take(&self, due: Instant, most: usize) -> Vec<(UserNo, DeviceNo, Seq)> {
        let mut waiting = self.waiting.lock();
        let Waiting {
            newest,
            order,
            handed,
        } = &mut *waiting;
        let is_due = order.front().is_some_and(|(_, since)| *since <= due);
        if !is_due && order.len() < CROWDED {
            return Vec::new();
        }
        let of_command = most.min(order.len());
        let taken = order.drain(..of_command).filter_map(|(device, _)| {
            let seq = newest.remove(&device)?;
            handed.insert(device, seq);
            Some((device.0, device.1, seq))
        });
        taken.collect()
    }

    /// What was taken stands in the rows.
    fn was_handed(&self) {
        self.waiting.lock().handed.clear();
    }

    /// What was taken could not be handed over: it waits again, also where a new device would find no room. Its device was told that
    /// it is known.
    fn was_not_handed(&self, cursors: Vec<(UserNo, DeviceNo, Seq)>, now: Instant) {
        let mut waiting = self.waiting.lock();
        waiting.handed.clear();
        for (user, device, seq) in cursors {
            let device = (user, device);
            if let Some(newest) = waiting.newest.get_mut(&device) {
                *newest = seq.max(*newest);
            } else {
                waiting.newest.insert(device, seq);
                waiting.order.push_back((device, now));
            }
        }
    }
}

impl Service {
    /// Takes note that a device of `user` has stored its log up to `seq`, and returns the device's cursor as it is then:
    /// it never falls. A device named for the first time gets a number.
    ///
    /// # Errors
    /// When the principal may not report for this user, the device id is none, or `seq` is beyond the end of the log.
    pub async fn acknowledge(
        &self,
        principal: &Principal,
        surface: Surface,
        user: &str,
        device: &str,
        seq: Seq,
    ) -> Result<Seq, Error> {
        let owner = self.acting_for(principal, user)?;
        let user = if user.is_empty() {
            principal.user.as_str()
        } else {
            user
        };
        let head = self.0.reader.span(owner).map_err(unreadable)?.head;
        if seq > head {
            return Err(Error::new(
                Kind::Ahead,
                format!("seq {seq} is beyond the end of the log, which is {head}"),
            ));
        }
        let (number, reached) = self.device(principal, surface, owner, user, device).await?;
        self.0
            .cursors
            .note((owner, number), seq, reached, Instant::now())
    }

    /// The number of a device and how far it has reached; a new one is given a number.
    async fn device(
        &self,
        principal: &Principal,
        surface: Surface,
        owner: UserNo,
        user: &str,
        device: &str,
    ) -> Result<(DeviceNo, Seq), Error> {
        check("device", device)?;
        let id = self
            .0
            .hash_key
            .hash(Domain::Device, &[user.as_bytes(), device.as_bytes()]);
        let known = self.0.reader.devices(owner).map_err(unreadable)?;
        if let Some(known) = known.into_iter().find(|known| known.id == id) {
            return Ok((known.device, known.reached));
        }
        // A manager who reports for somebody does not lend him his platform.
        let platform = if principal.user == user {
            principal.platform
        } else {
            0
        };
        let body = Body::Device {
            id: device.to_owned(),
        }
        .seal(Opening(random::bytes()?));
        let ask = Ask::SeeDevice {
            user: owner,
            id,
            platform,
            body,
        };
        match self.ask(principal.number, surface, ask).await? {
            Outcome::Device { device } => Ok((device, Seq(0))),
            _ => Err(Error::of(Kind::Internal)),
        }
    }

    /// Hands cursors to the writer when they have waited for the interval, until the server stops; then it hands over the rest.
    pub async fn hand_over_cursors(&self, mut stopping: Stopping) {
        let interval = Duration::from_secs(self.limits().reached_seconds);
        let cursors = &self.0.cursors;
        loop {
            let next = cursors.due(interval);
            let stop = tokio::select! {
                () = tokio::time::sleep_until(next.unwrap_or(Instant::now() + interval)) => false,
                () = cursors.crowded.notified() => false,
                () = stopping.ending() => true,
            };
            let now = Instant::now();
            // When the server stops, everybody has waited for long enough.
            let due = if stop {
                Some(now)
            } else {
                now.checked_sub(interval)
            };
            // And nobody is left who would wait for a long command.
            let most = if stop { MAX_REACHED } else { PACKED };
            let done = match due {
                Some(due) => self.hand_over_due(due, most).await,
                None => true,
            };
            if stop {
                return;
            }
            if !done {
                tokio::select! {
                    () = tokio::time::sleep(REST) => {}
                    () = stopping.ending() => {}
                }
            }
        }
    }

    /// Hands over those who have waited since `due`, command by command. Returns whether the writer took them.
    async fn hand_over_due(&self, due: Instant, most: usize) -> bool {
        loop {
            let cursors = self.0.cursors.take(due, most);
            if cursors.is_empty() {
                return true;
            }
            let reached = loop {
                let cursors = cursors.clone();
                let ask = Ask::Reach { cursors };
                match self.ask(UserNo(0), Surface::Server, ask).await {
                    // Each time it comes further; what is as far as it can be is passed over.
                    Ok(Outcome::ReachedPartly) => {}
                    outcome => break outcome,
                }
            };
            if let Err(error) = reached {
                warn!(%error, devices = cursors.len(), "cursors wait for the next time");
                self.0.cursors.was_not_handed(cursors, Instant::now());
                return false;
            }
            self.0.cursors.was_handed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn note(cursors: &Cursors, device: u32, seq: u64, now: Instant) -> Seq {
        let device = (UserNo(1), DeviceNo(device));
        cursors.note(device, Seq(seq), Seq(0), now).unwrap()
    }

    fn said(device: u32, seq: u64) -> (UserNo, DeviceNo, Seq) {
        (UserNo(1), DeviceNo(device), Seq(seq))
    }

    #[test]
    fn the_newest_word_of_each_device_is_kept() {
        let (cursors, now) = (Cursors::default(), Instant::now());
        assert_eq!(note(&cursors, 1, 5, now), Seq(5));
        assert_eq!(note(&cursors, 1, 3, now), Seq(5));
        assert_eq!(note(&cursors, 2, 1, now), Seq(1));
        assert_eq!(note(&cursors, 1, 7, now), Seq(7));
        assert_eq!(cursors.take(now, PACKED), [said(1, 7), said(2, 1)]);
        assert!(cursors.take(now, PACKED).is_empty());
    }

    #[test]
    fn a_cursor_never_falls_and_old_news_is_none() {
        let (cursors, now) = (Cursors::default(), Instant::now());
        let device = (UserNo(1), DeviceNo(1));
        assert_eq!(cursors.note(device, Seq(4), Seq(4), now), Ok(Seq(4)));
        assert_eq!(cursors.due(INTERVAL), None, "the rows know it already");
        note(&cursors, 1, 5, now);
        assert_eq!(cursors.take(now, PACKED).len(), 1);
        // The rows do not say it yet.
        assert_eq!(note(&cursors, 1, 3, now), Seq(5));
        assert_eq!(note(&cursors, 1, 5, now), Seq(5));
        assert_eq!(cursors.due(INTERVAL), None);
        note(&cursors, 1, 6, now);
        cursors.was_not_handed(vec![said(1, 5)], now);
        assert_eq!(
            cursors.take(now, PACKED),
            [said(1, 6)],
            "the newer word stays"
        );
    }

    #[test]
    fn nobody_is_handed_over_twice_in_an_interval_or_waits_longer() {
        let (cursors, start) = (Cursors::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        note(&cursors, 1, 1, at(0));
        note(&cursors, 1, 2, at(1_000));
        note(&cursors, 2, 1, at(4_000));
        assert_eq!(cursors.due(INTERVAL), Some(at(5_000)));
        assert!(cursors.take(at(4_999) - INTERVAL, PACKED).is_empty());
        // Who has begun to wait later goes along.
        assert_eq!(
            cursors.take(at(5_000) - INTERVAL, PACKED),
            [said(1, 2), said(2, 1)]
        );
        cursors.was_handed();
        note(&cursors, 1, 3, at(5_100));
        assert_eq!(cursors.due(INTERVAL), Some(at(10_100)));
    }

    #[test]
    fn what_waits_is_bounded_and_goes_in_commands_of_bounded_size() {
        let (cursors, now) = (Cursors::default(), Instant::now());
        let note = |user| cursors.note((UserNo(user), DeviceNo(1)), Seq(1), Seq(0), now);
        for user in 0..MAX_WAITING as u64 {
            note(user).unwrap();
        }
        assert_eq!(note(u64::MAX).unwrap_err().kind, Kind::Busy);
        cursors
            .note((UserNo(0), DeviceNo(1)), Seq(2), Seq(0), now)
            .expect("is known already");
        let before = now - Duration::from_millis(1);
        let mut left = MAX_WAITING;
        // Nobody's time has come, but too many wait.
        while left >= CROWDED {
            assert_eq!(cursors.take(before, PACKED).len(), PACKED);
            cursors.was_handed();
            left -= PACKED;
        }
        assert!(cursors.take(before, PACKED).is_empty());
        assert_eq!(cursors.waiting.lock().order.len(), left);
    }
}
