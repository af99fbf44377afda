//! The keys of messages that are kept nowhere. For a minute a repetition gets the first answer again; this process alone knows of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use waybill_core::id::{Digest, KeyedHash};

use super::OnlineSent;
use crate::error::{Error, Kind};

/// How long a repeated key is known again.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Most keys that are known; beyond it the oldest are forgotten early.
const MAX_KNOWN: usize = 64 * 1024;

/// The keys that were used lately. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    asked: HashMap<KeyedHash, Asked>,
    /// In the order in which they came; may name one that was given up, or was asked anew.
    order: VecDeque<(Instant, KeyedHash)>,
}

struct Asked {
    since: Instant,
    digest: Digest,
    /// What came of it; nothing while it is being done.
    sent: Option<OnlineSent>,
}

/// A key that is being used for the first time. Unless an answer is kept, it is free again when this is dropped.
pub(super) struct FirstUse {
    known: Known,
    key: KeyedHash,
    since: Instant,
}

impl Known {
    /// Takes a key for a request: the answer that it got before, or the right to do it.
    ///
    /// # Errors
    /// When the key is another request's, or this request is being done just now.
    pub fn take(
        &self,
        key: KeyedHash,
        digest: Digest,
        now: Instant,
    ) -> Result<Result<FirstUse, OnlineSent>, Error> {
        let mut table = self.0.lock();
        table.forget(now);
        if let Some(asked) = table.asked.get(&key) {
            if asked.digest != digest {
                return Err(Error::of(Kind::KeyReused));
            }
            let text = "the first request with this key is being done: ask again";
            let sent = asked.sent.clone();
            return sent.map(Err).ok_or_else(|| Error::new(Kind::Busy, text));
        }
        let asked = Asked {
            since: now,
            digest,
            sent: None,
        };
        table.asked.insert(key, asked);
        table.order.push_back((now, key));
        Ok(Ok(FirstUse {
            known: self.clone(),
            key,
            since: now,
        }))
    }
}

impl Table {
    /// Forgets those whose time is over, and the oldest when there would be too many.
    fn forget(&mut self, now: Instant) {
        while let Some((since, oldest)) = self.order.front().copied() {
            if now - since < KNOWN_FOR && self.order.len() < MAX_KNOWN {
                break;
            }
            self.order.pop_front();
            self.give_up(&oldest, since);
        }
    }

    fn give_up(&mut self, key: &KeyedHash, since: Instant) {
        if self
            .asked
            .get(key)
            .is_some_and(|asked| asked.since == since)
        {
            self.asked.remove(key);
        }
    }
}

impl FirstUse {
    /// Keeps the answer for those who ask again.
    pub fn keep(self, sent: OnlineSent) {
        let mut table = self.known.0.lock();
        let asked = table.asked.get_mut(&self.key);
        // It may have been forgotten meanwhile.
        if let Some(asked) = asked.filter(|asked| asked.since == self.since) {
            asked.sent = Some(sent);
        }
    }
}

impl Drop for FirstUse {
    fn drop(&mut self) {
        let mut table = self.known.0.lock();
        let asked = table.asked.get(&self.key);
        if asked.is_some_and(|asked| asked.sent.is_none()) {
            table.give_up(&self.key, self.since);
        }
    }
}

#[cfg(test)]
mod tests {
    use waybill_core::id::Time;

    use super::*;

    const FIRST: Digest = Digest([1; 8]);
    const OTHER: Digest = Digest([2; 8]);

    fn sent(id: &str) -> OnlineSent {
        OnlineSent {
            server_msg_id: id.to_owned(),
            client_msg_id: String::new(),
            time: Time(0),
            receiver: String::new(),
            connections: 0,
            repeated: false,
            allowance: None,
        }
    }

    fn key(number: u64) -> KeyedHash {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        KeyedHash(key)
    }

    fn first(known: &Known, number: u64, now: Instant) -> FirstUse {
        let taken = known.take(key(number), FIRST, now).unwrap();
        taken.unwrap_or_else(|sent| panic!("{sent:?}"))
    }

    /// What somebody gets who asks again.
    fn again(known: &Known, number: u64, digest: Digest, now: Instant) -> Result<OnlineSent, Kind> {
        match known.take(key(number), digest, now) {
            Ok(Err(sent)) => Ok(sent),
            Ok(Ok(_)) => panic!("it is not known"),
            Err(error) => Err(error.kind),
        }
    }

    #[test]
    fn a_key_is_known_for_a_minute_and_what_is_known_is_bounded() {
        let (known, now) = (Known::default(), Instant::now());
        first(&known, 1, now).keep(sent("a"));
        assert_eq!(again(&known, 1, FIRST, now), Ok(sent("a")));
        assert_eq!(again(&known, 1, OTHER, now), Err(Kind::KeyReused));
        drop(first(&known, 2, now));
        drop(first(&known, 1, now + KNOWN_FOR));
        for number in 0..=MAX_KNOWN as u64 {
            first(&known, number, now).keep(sent("b"));
        }
        assert_eq!(known.0.lock().asked.len(), MAX_KNOWN);
        drop(first(&known, 0, now));
        assert_eq!(again(&known, 5, FIRST, now), Ok(sent("b")));
    }

    #[test]
    fn of_two_at_once_one_is_done_and_what_fails_may_be_tried_again() {
        let (known, now) = (Known::default(), Instant::now());
        let doing = first(&known, 1, now);
        assert_eq!(again(&known, 1, FIRST, now), Err(Kind::Busy));
        assert_eq!(again(&known, 1, OTHER, now), Err(Kind::KeyReused));
        drop(doing);
        let later = now + Duration::from_secs(50);
        first(&known, 1, later).keep(sent("a"));
        // The time of the use that failed says nothing of this one.
        let end = now + KNOWN_FOR;
        assert_eq!(again(&known, 1, FIRST, end), Ok(sent("a")));
    }
}
