//! How far devices say that they have stored their logs. The newest word of each device is kept here and handed to the
//! writer in packed commands, at intervals: what a crash loses, the devices say again.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::warn;
use waybill_core::body::Body;
use waybill_core::command::Ask;
use waybill_core::hash::Domain;
use waybill_core::id::{DeviceNo, Opening, Seq, UserNo};
use waybill_core::limits::MAX_REACHED;
use waybill_core::outcome::Outcome;
use waybill_core::record::Surface;

use super::{Service, check, unreadable};
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::random;
use crate::shutdown::Stopping;

/// Most devices whose word waits. One more is refused: its device will say it again.
const MAX_PENDING: usize = 64 * 1024;

/// What devices have said and the writer has not.
#[derive(Default)]
pub struct Cursors {
    pending: Mutex<HashMap<(UserNo, DeviceNo), Seq>>,
    /// Told when a command is full.
    full: Notify,
}

impl Cursors {
    /// Notes a cursor; older ones change nothing. Returns the newest known.
    fn note(&self, user: UserNo, device: DeviceNo, seq: Seq) -> Result<Seq, Error> {
        let mut pending = self.pending.lock();
        if pending.len() >= MAX_PENDING && !pending.contains_key(&(user, device)) {
            return Err(Error::of(Kind::Busy));
        }
        let newest = pending.entry((user, device)).or_insert(seq);
        *newest = seq.max(*newest);
        let newest = *newest;
        if pending.len() >= MAX_REACHED {
            self.full.notify_one();
        }
        Ok(newest)
    }

    /// Notes again what could not be handed over. Where there is no room any more, the device will say it again.
    fn put_back(&self, cursors: Vec<(UserNo, DeviceNo, Seq)>) {
        for (user, device, seq) in cursors {
            let _ = self.note(user, device, seq);
        }
    }

    /// Takes as many as fit into one command.
    fn take(&self) -> Vec<(UserNo, DeviceNo, Seq)> {
        let mut pending = self.pending.lock();
        let taken: Vec<_> = pending
            .iter()
            .take(MAX_REACHED)
            .map(|((user, device), seq)| (*user, *device, *seq))
            .collect();
        for (user, device, _) in &taken {
            pending.remove(&(*user, *device));
        }
        taken
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
        Ok(self.0.cursors.note(owner, number, seq)?.max(reached))
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

    /// Hands cursors to the writer at intervals, until the server stops; then it hands over the rest.
    pub async fn hand_over_cursors(&self, mut stopping: Stopping) {
        let interval = Duration::from_secs(self.limits().reached_seconds);
        loop {
            let stop = tokio::select! {
                () = tokio::time::sleep(interval) => false,
                () = self.0.cursors.full.notified() => false,
                () = stopping.ending() => true,
            };
            self.flush_cursors().await;
            if stop {
                return;
            }
        }
    }

    /// Hands what devices have said to the writer now.
    pub async fn flush_cursors(&self) {
        loop {
            let cursors = self.0.cursors.take();
            if cursors.is_empty() {
                return;
            }
            let last = cursors.len() < MAX_REACHED;
            let ask = Ask::Reach {
                cursors: cursors.clone(),
            };
            let outcome = self.ask(UserNo(0), Surface::Server, ask).await;
            if let Ok(Outcome::ReachedPartly) = outcome {
                // Each time it comes further; what is as far as it can be is passed over.
                self.0.cursors.put_back(cursors);
                continue;
            }
            if let Err(error) = outcome {
                warn!(%error, devices = cursors.len(), "cursors wait for the next time");
                self.0.cursors.put_back(cursors);
                return;
            }
            if last {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_word_of_each_device_is_kept() {
        let cursors = Cursors::default();
        let note = |device, seq| cursors.note(UserNo(1), DeviceNo(device), Seq(seq)).unwrap();
        assert_eq!(note(1, 5), Seq(5));
        assert_eq!(note(1, 3), Seq(5));
        assert_eq!(note(2, 1), Seq(1));
        let mut taken = cursors.take();
        taken.sort();
        assert_eq!(
            taken,
            [
                (UserNo(1), DeviceNo(1), Seq(5)),
                (UserNo(1), DeviceNo(2), Seq(1))
            ]
        );
        assert!(cursors.take().is_empty());
    }

    #[test]
    fn what_waits_is_bounded_and_goes_in_commands_of_bounded_size() {
        let cursors = Cursors::default();
        for user in 0..MAX_PENDING as u64 {
            cursors.note(UserNo(user), DeviceNo(1), Seq(1)).unwrap();
        }
        let error = cursors
            .note(UserNo(u64::MAX), DeviceNo(1), Seq(1))
            .unwrap_err();
        assert_eq!(error.kind, Kind::Busy);
        cursors
            .note(UserNo(0), DeviceNo(1), Seq(2))
            .expect("is known already");
        assert_eq!(cursors.take().len(), MAX_REACHED);
        assert_eq!(cursors.pending.lock().len(), MAX_PENDING - MAX_REACHED);
    }
}
