//! Single rules of the machine.

use std::time::Duration;

use waybill_core::id::{Epoch, Seq};
use waybill_core::wire::{Code, Failure};

use crate::error::Error;
use crate::store::Position;
use crate::sync::machine::Machine;
use crate::sync::words::{Event, LinkId, News, Reached, Wish};
use crate::sync::{End, Pace};

const EPOCH: Epoch = Epoch([1; 16]);

fn machine(ways: usize, preferred: usize) -> Machine {
    let position = Position {
        epoch: Some(EPOCH),
        ..Position::default()
    };
    Machine::new(Pace::default(), ways, preferred, true, position, vec![], 1)
}

fn after(machine: &mut Machine, now: u64, event: Event) -> Vec<Wish> {
    machine.handle(now, event);
    machine.wishes()
}

/// The number of the one connection that is wished for, and its way.
fn connects(wishes: &[Wish]) -> (LinkId, usize) {
    let mut found = wishes.iter().filter_map(|wish| match wish {
        Wish::Connect { link, way, .. } => Some((*link, *way)),
        _ => None,
    });
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no connection: {wishes:?}"));
    assert_eq!(found.next(), None, "{wishes:?}");
    first
}

fn lost() -> Error {
    Error::Lost("lost".to_owned())
}

fn reached() -> Reached {
    Reached {
        epoch: EPOCH,
        floor: Seq(1),
        head: Seq(0),
    }
}

fn refused(code: Code) -> Error {
    Error::Refused(Failure::new(code, ""))
}

#[test]
fn ways_are_tried_in_turn_and_the_one_that_works_is_remembered() {
    let mut machine = machine(3, 0);
    let (link, way) = connects(&after(&mut machine, 0, Event::Tick));
    assert_eq!(way, 0);
    let (link, way) = connects(&after(&mut machine, 5, Event::Trouble(link, lost())));
    assert_eq!(way, 1, "without waiting");
    let (link, way) = connects(&after(&mut machine, 6, Event::Trouble(link, lost())));
    assert_eq!(way, 2);
    let wishes = after(&mut machine, 7, Event::Connected(link, reached()));
    assert!(wishes.contains(&Wish::Remember { way: 2 }), "{wishes:?}");
    let wishes = after(&mut machine, 8, Event::Trouble(link, lost()));
    let wait = Wish::Tell(News::Offline {
        error: lost(),
        retry_ms: machine.wake().unwrap() - 8,
    });
    assert!(wishes.contains(&wait), "{wishes:?}");
    let (_, way) = connects(&after(&mut machine, 600, Event::Tick));
    assert_eq!(way, 2, "what worked last comes first");
}

#[test]
fn when_no_way_works_it_waits_longer_each_time() {
    let mut machine = machine(2, 0);
    let mut wishes = after(&mut machine, 0, Event::Tick);
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..40 {
        for _ in 0..2 {
            let (link, _) = connects(&wishes);
            wishes = after(&mut machine, now, Event::Trouble(link, lost()));
        }
        let at = machine.wake().unwrap();
        waits.push(at - now);
        now = at;
        wishes = after(&mut machine, now, Event::Tick);
    }
    assert!(waits[0] <= 500, "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 60_000), "{waits:?}");
    assert!(waits[10..].iter().any(|wait| *wait > 30_000), "{waits:?}");
}

#[test]
fn a_server_that_asks_for_time_is_left_alone_for_as_long() {
    let mut machine = machine(2, 0);
    let (link, _) = connects(&after(&mut machine, 0, Event::Tick));
    let full = Failure::new(Code::TOO_MANY_CONNECTIONS, "").retry_after_ms(5_000);
    let wishes = after(&mut machine, 1, Event::Trouble(link, Error::Refused(full)));
    assert!(
        !wishes
            .iter()
            .any(|wish| matches!(wish, Wish::Connect { .. })),
        "not over another way either: {wishes:?}"
    );
    assert!((5_001..=5_501).contains(&machine.wake().unwrap()));
}

#[test]
fn a_server_that_does_not_offer_a_way_is_reached_by_the_next() {
    let mut machine = machine(2, 0);
    let (link, _) = connects(&after(&mut machine, 0, Event::Tick));
    let error = refused(Code::NO_ROUTE);
    let (_, way) = connects(&after(&mut machine, 1, Event::Trouble(link, error)));
    assert_eq!(way, 1);
}

#[test]
fn a_token_that_is_refused_and_a_device_that_is_elsewhere_are_the_end() {
    for (code, device) in [
        (Code::TOKEN_EXPIRED, false),
        (Code::TOKEN_REVOKED, false),
        (Code::TOKEN_UNKNOWN, false),
        (Code::NO_TOKEN, false),
        (Code::SUPERSEDED, true),
    ] {
        let mut machine = machine(2, 0);
        let (link, _) = connects(&after(&mut machine, 0, Event::Tick));
        let error = refused(code);
        let wishes = after(&mut machine, 1, Event::Trouble(link, error.clone()));
        let end = if device {
            End::Superseded
        } else {
            End::Token(error)
        };
        assert!(wishes.contains(&Wish::End(end)), "{code}: {wishes:?}");
        assert_eq!(machine.wake(), None);
        assert!(after(&mut machine, 9_999_999, Event::Tick).is_empty());
    }
}

#[test]
fn a_better_way_is_tried_beside_the_one_in_use() {
    let mut machine = machine(2, 1);
    let (poll, way) = connects(&after(&mut machine, 0, Event::Tick));
    assert_eq!(way, 1);
    after(&mut machine, 1, Event::Connected(poll, reached()));
    let five_minutes = 300_001;
    assert_eq!(machine.wake(), Some(five_minutes));
    let (quic, way) = connects(&after(&mut machine, five_minutes, Event::Tick));
    assert_eq!(way, 0);
    assert_eq!(machine.reads(), Some(poll), "the one in use goes on");
    let wishes = after(&mut machine, five_minutes + 9, Event::Trouble(quic, lost()));
    assert!(wishes.is_empty(), "nobody is told: {wishes:?}");
    let next = machine.wake().unwrap();
    assert_eq!(next, five_minutes + 9 + 300_000);
    let (quic, _) = connects(&after(&mut machine, next, Event::Tick));
    // The server ends the old connection of the device first: it has seen the new one.
    after(
        &mut machine,
        next + 1,
        Event::Trouble(poll, refused(Code::SUPERSEDED)),
    );
    let wishes = after(&mut machine, next + 2, Event::Connected(quic, reached()));
    assert!(wishes.contains(&Wish::Remember { way: 0 }), "{wishes:?}");
    assert_eq!(machine.reads(), Some(quic));
}

#[test]
fn a_moved_client_does_not_wait() {
    let mut machine = machine(1, 0);
    let (link, _) = connects(&after(&mut machine, 0, Event::Tick));
    let full = Failure::new(Code::BUSY, "").retry_after_ms(60_000);
    after(&mut machine, 1, Event::Trouble(link, Error::Refused(full)));
    connects(&after(&mut machine, 2, Event::Moved));
}

#[test]
fn a_store_that_is_full_takes_nothing_until_something_is_forgotten() {
    let position = Position {
        epoch: Some(EPOCH),
        cursor: Seq(7),
        ..Position::default()
    };
    let pace = Pace {
        room: Some(7),
        ..Pace::default()
    };
    let mut machine = Machine::new(pace, 1, 0, false, position, vec![], 1);
    let (link, _) = connects(&after(&mut machine, 0, Event::Tick));
    let reached = Reached {
        head: Seq(9),
        ..reached()
    };
    after(&mut machine, 1, Event::Connected(link, reached));
    assert_eq!(machine.reads(), None);
    after(&mut machine, 2, Event::Forgotten(Seq(1)));
    assert_eq!(machine.reads(), Some(link));
}

#[test]
fn a_closing_client_acknowledges_and_waits_for_answers_but_not_for_ever() {
    let mut machine = machine(1, 0);
    let (link, _) = connects(&after(&mut machine, 0, Event::Tick));
    after(&mut machine, 1, Event::Connected(link, reached()));
    let wishes = after(&mut machine, 2, Event::Queued(4, 1));
    assert_eq!(wishes, [Wish::Send { link, id: 4 }]);
    let position = Position {
        epoch: Some(EPOCH),
        cursor: Seq(3),
        ..Position::default()
    };
    after(&mut machine, 3, Event::Stored(position));
    let wishes = after(&mut machine, 4, Event::Close);
    assert_eq!(wishes, [Wish::Acknowledge { link, seq: Seq(3) }]);
    let queued = after(&mut machine, 5, Event::Queued(5, 2));
    assert!(queued.is_empty(), "nothing new is begun: {queued:?}");
    after(&mut machine, 6, Event::Acknowledged(link, Seq(3), None));
    assert!(machine.wake().is_some_and(|at| at > 6));
    let wishes = after(&mut machine, 7, Event::Answered(link, 4, None));
    assert!(wishes.contains(&Wish::End(End::Closed)), "{wishes:?}");

    let mut silent = self::machine(1, 0);
    let (link, _) = connects(&after(&mut silent, 0, Event::Tick));
    after(&mut silent, 1, Event::Connected(link, reached()));
    after(&mut silent, 2, Event::Queued(4, 1));
    after(&mut silent, 3, Event::Close);
    let at = silent.wake().unwrap();
    assert!(after(&mut silent, at, Event::Tick).contains(&Wish::End(End::Closed)));
}

#[test]
fn a_connection_that_held_begins_with_short_waits_again() {
    let mut machine = machine(1, 0);
    let stable = Duration::from_secs(10).as_millis() as u64;
    let mut now = 0;
    let mut wishes = after(&mut machine, now, Event::Tick);
    for _ in 0..12 {
        let (link, _) = connects(&wishes);
        after(&mut machine, now, Event::Trouble(link, lost()));
        now = machine.wake().unwrap();
        wishes = after(&mut machine, now, Event::Tick);
    }
    let (link, _) = connects(&wishes);
    after(&mut machine, now, Event::Connected(link, reached()));
    now += stable;
    after(&mut machine, now, Event::Tick);
    after(&mut machine, now, Event::Trouble(link, lost()));
    assert!(machine.wake().unwrap() <= now + 500);
}
