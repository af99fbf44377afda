//! Tickets: what stands in an address in the place of a token, because browsers can put nothing else there and addresses are
//! written into logs. Each opens one connection, within half a minute, for the one who asked for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::principal::Principal;
use crate::error::{Error, Kind};
use crate::random;

/// How long a ticket is good for.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);

/// Tickets of one user that are good at one time.
pub const TICKETS_OF_USER: usize = 32;

/// Tickets that are good at one time.
const MAX_TICKETS: usize = 64 * 1024;

/// Bytes of a ticket; it is written as hexadecimal digits.
const BYTES: usize = 16;

type Number = [u8; BYTES];

/// The tickets that are good. They are kept in memory alone: after a restart nobody has one.
#[derive(Default)]
pub struct Tickets(Mutex<Table>);

#[derive(Default)]
struct Table {
    good: HashMap<Number, Arc<Principal>>,
    /// All that were given, in their order, which is that of their ends; also those that were used.
    given: VecDeque<(Instant, Number)>,
    /// Those of each user that are good, in the order in which they were given.
    of_user: HashMap<String, VecDeque<Number>>,
}

impl Tickets {
    /// A ticket for this principal. One more than a user may have takes the place of the user's oldest.
    ///
    /// # Errors
    /// When the server has as many as may be good at one time.
    pub fn give(&self, principal: &Arc<Principal>, now: Instant) -> Result<String, Error> {
        let number: Number = random::bytes()?;
        let mut table = self.0.lock();
        table.forget(now);
        if table.given.len() >= 2 * MAX_TICKETS {
            // Those that were used, or had to make room, need no end any more.
            let Table { given, good, .. } = &mut *table;
            given.retain(|(_, number)| good.contains_key(number));
        }
        if table.good.len() >= MAX_TICKETS {
            let text = "too many tickets wait to be used: try again later";
            return Err(Error::new(Kind::Busy, text));
        }
        let of_user = table.of_user.entry(principal.user.clone()).or_default();
        of_user.push_back(number);
        let oldest = (of_user.len() > TICKETS_OF_USER).then(|| of_user.front().copied());
        if let Some(oldest) = oldest.flatten() {
            table.take(&oldest);
        }
        table.good.insert(number, Arc::clone(principal));
        table.given.push_back((now + TICKET_LIFE, number));
        Ok(hex::encode(number))
    }

    /// Who a ticket stands for. It is used up by this.
    ///
    /// # Errors
    /// When it was used, has run out, or is none.
    pub fn redeem(&self, ticket: &str, now: Instant) -> Result<Arc<Principal>, Error> {
        let mut number: Number = [0; BYTES];
        let read = hex::decode_to_slice(ticket, &mut number).is_ok();
        let mut table = self.0.lock();
        table.forget(now);
        let found = read.then(|| table.take(&number)).flatten();
        found.ok_or_else(|| Error::of(Kind::TicketUnknown))
    }
}

impl Table {
    fn take(&mut self, number: &Number) -> Option<Arc<Principal>> {
        let principal = self.good.remove(number)?;
        if let Some(of_user) = self.of_user.get_mut(&principal.user) {
            of_user.retain(|other| other != number);
            if of_user.is_empty() {
                self.of_user.remove(&principal.user);
            }
        }
        Some(principal)
    }

    /// Forgets those whose time is over.
    fn forget(&mut self, now: Instant) {
        while let Some((end, number)) = self.given.front().copied() {
            if end > now {
                return;
            }
            self.given.pop_front();
            self.take(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use waybill_core::id::{KeyedHash, UserNo};

    use super::*;
    use crate::auth::Role;

    fn principal(user: &str) -> Arc<Principal> {
        Arc::new(Principal {
            user: user.to_owned(),
            number: UserNo(1),
            role: Role::User,
            platform: 5,
            expires: 0,
            token: KeyedHash([0; 16]),
        })
    }

    #[test]
    fn a_ticket_is_good_once_and_for_half_a_minute() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let ticket = tickets.give(&principal("u"), now).unwrap();
        assert_eq!(ticket.len(), 2 * BYTES);
        assert_eq!(tickets.redeem(&ticket, now).unwrap().user, "u");
        let used = tickets.redeem(&ticket, now).unwrap_err();
        assert_eq!(used.kind, Kind::TicketUnknown);
        let late = tickets.give(&principal("u"), now).unwrap();
        let end = now + TICKET_LIFE;
        assert!(tickets.redeem(&late, end).is_err());
        let early = tickets.give(&principal("u"), now).unwrap();
        let before = end.checked_sub(Duration::from_millis(1)).unwrap();
        assert!(tickets.redeem(&early, before).is_ok());
        for none in ["", "00", "zz", &"0".repeat(31), &"0".repeat(32)] {
            assert!(tickets.redeem(none, now).is_err(), "{none}");
        }
    }

    #[test]
    fn one_who_asks_without_end_takes_no_room_from_others() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        for _ in 0..3 * MAX_TICKETS {
            tickets.give(&principal("greedy"), now).unwrap();
        }
        tickets.give(&principal("other"), now).unwrap();
        let table = tickets.0.lock();
        assert_eq!(table.good.len(), TICKETS_OF_USER + 1);
        assert!(table.given.len() <= 2 * MAX_TICKETS);
    }

    #[test]
    fn they_are_bounded_for_each_and_for_all_and_nothing_stays() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let given: Vec<_> = (0..=TICKETS_OF_USER)
            .map(|_| tickets.give(&principal("u"), now).unwrap())
            .collect();
        tickets.give(&principal("v"), now).unwrap();
        assert!(tickets.redeem(&given[0], now).is_err(), "the oldest");
        tickets.redeem(&given[1], now).unwrap();
        tickets.redeem(&given[TICKETS_OF_USER], now).unwrap();
        let later = now + TICKET_LIFE;
        tickets.give(&principal("u"), later).unwrap();
        {
            let table = tickets.0.lock();
            assert_eq!(
                (table.good.len(), table.given.len(), table.of_user.len()),
                (1, 1, 1)
            );
        }
        for user in 0..MAX_TICKETS / TICKETS_OF_USER {
            for _ in 0..TICKETS_OF_USER {
                let _ = tickets.give(&principal(&user.to_string()), later);
            }
        }
        assert_eq!(tickets.0.lock().given.len(), MAX_TICKETS);
        assert_eq!(
            tickets.give(&principal("w"), later).unwrap_err().kind,
            Kind::Busy
        );
    }
}
