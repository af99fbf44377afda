//! Single rules of the machine.

use std::time::Duration;

use waybill_core::id::{Epoch, Seq, Time};
use waybill_core::wire::{Code, Failure};

use crate::error::Error;
use crate::log_entry::LogEntry;
use crate::store::{Position, Snapshot};
use crate::sync::machine::Machine;
use crate::sync::words::{Event, LinkId, News, Reached, Wish};
use crate::sync::{Batch, End, Pace};

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

/// The largest number that a store takes.
const LARGEST: u64 = i64::MAX as u64;

/// A machine that has these entries and is connected to a server that has those of `reached`.
fn online(cursor: u64, reached: Reached) -> (Machine, LinkId, Vec<Wish>) {
    let position = Position {
        epoch: Some(EPOCH),
        cursor: Seq(cursor),
        ..Position::default()
    };
    let mut machine = Machine::new(Pace::default(), 2, 0, true, position, vec![], 1);
    let (link, _) = connects(&after(&mut machine, 0, Event::Tick));
    let wishes = after(&mut machine, 1, Event::Connected(link, reached));
    (machine, link, wishes)
}

fn batch(seqs: &[u64]) -> Batch {
    let entry = |seq| LogEntry::read(format!(r#"{{"seq":{seq},"kind":1,"time":7}}"#)).unwrap();
    Batch {
        epoch: EPOCH,
        head: Seq(LARGEST),
        entries: seqs.iter().map(entry).collect(),
    }
}

/// The connection is given up for what the server said, and made again later, by the same way.
fn is_left(machine: &mut Machine, link: LinkId, wishes: &[Wish], told: &str) {
    let [
        Wish::Drop { link: dropped },
        Wish::Tell(News::Offline { error, retry_ms }),
    ] = wishes
    else {
        panic!("{told}: {wishes:?}");
    };
    assert_eq!(*dropped, link, "{told}");
    assert!(matches!(error, Error::Protocol(_)), "{told}: {error}");
    assert_eq!(machine.wake(), Some(2 + retry_ms), "{told}");
    assert_eq!(machine.reads(), None, "{told}");
    let (_, way) = connects(&after(machine, 2 + retry_ms, Event::Tick));
    assert_eq!(way, 0, "{told}");
}

#[test]
fn entries_that_do_not_follow_or_cannot_be_stored_cost_the_connection() {
    let wrong = [
        ("a hole before them", 3, batch(&[5, 6])),
        ("a hole among them", 3, batch(&[4, 5, 7])),
        ("one twice", 3, batch(&[4, 4])),
        ("backwards", 3, batch(&[4, 3])),
        ("from before", 3, batch(&[3, 4])),
        ("0", 0, batch(&[0, 1])),
        ("the last number", 3, batch(&[4, u64::MAX])),
        ("after the last one", LARGEST, batch(&[LARGEST + 1])),
        ("a time", 3, {
            let mut batch = batch(&[4, 5]);
            batch.entries[1].time = Time(LARGEST + 1);
            batch
        }),
        ("another history", 3, {
            let epoch = Epoch([2; 16]);
            Batch {
                epoch,
                ..batch(&[4])
            }
        }),
    ];
    for (told, cursor, batch) in wrong {
        let reached = Reached {
            head: Seq(LARGEST),
            ..reached()
        };
        let (mut machine, link, _) = online(cursor, reached);
        let wishes = after(&mut machine, 2, Event::Batch(link, batch));
        is_left(&mut machine, link, &wishes, told);
    }
}

#[test]
fn the_last_entry_that_can_be_stored_is_stored() {
    let mut last = batch(&[LARGEST]);
    last.entries[0].time = Time(LARGEST);
    let reached = Reached {
        head: Seq(LARGEST),
        ..reached()
    };
    let (mut machine, link, _) = online(LARGEST - 1, reached);
    let wishes = after(&mut machine, 2, Event::Batch(link, last.clone()));
    assert_eq!(wishes, [Wish::Store(last)]);
}

#[test]
fn a_snapshot_that_does_not_lead_to_what_is_there_costs_the_connection() {
    let reached = Reached {
        floor: Seq(10),
        head: Seq(20),
        ..reached()
    };
    let of = |epoch, seq| Snapshot {
        epoch,
        seq: Seq(seq),
        conversations: Vec::new(),
    };
    let wrong = [
        ("before the cursor", of(EPOCH, 2)),
        ("where we are", of(EPOCH, 3)),
        ("short of the floor", of(EPOCH, 8)),
        ("beyond all numbers", of(EPOCH, LARGEST + 1)),
        ("another history", of(Epoch([2; 16]), 20)),
    ];
    for (told, snapshot) in wrong {
        let (mut machine, link, wishes) = online(3, reached);
        let asked = Wish::Snapshot { link, reached };
        assert!(wishes.contains(&asked), "{told}: {wishes:?}");
        let wishes = after(&mut machine, 2, Event::Snapshot(link, reached, snapshot));
        is_left(&mut machine, link, &wishes, told);
        // The next connection asks anew.
        let link = link + 1;
        let wishes = after(&mut machine, 1_000, Event::Connected(link, reached));
        let asked = Wish::Snapshot { link, reached };
        assert!(wishes.contains(&asked), "{told}: {wishes:?}");
    }
    for seq in [9, 20, LARGEST] {
        let (mut machine, link, _) = online(3, reached);
        let (head, snapshot) = (reached.head, of(EPOCH, seq));
        let event = Event::Snapshot(link, reached, snapshot.clone());
        let wishes = after(&mut machine, 2, event);
        assert_eq!(wishes, [Wish::Skip { head, snapshot }]);
    }
}

#[test]
fn a_server_that_is_always_wrong_is_asked_less_and_less() {
    let (mut machine, mut link, _) = online(0, reached());
    let (mut now, mut waits) = (1, Vec::new());
    for _ in 0..20 {
        after(&mut machine, now, Event::Batch(link, batch(&[2])));
        let at = machine.wake().unwrap();
        waits.push(at - now);
        now = at;
        (link, _) = connects(&after(&mut machine, now, Event::Tick));
        after(&mut machine, now, Event::Connected(link, reached()));
    }
    assert!(waits[0] <= 500, "{waits:?}");
    assert!(waits[8..].iter().any(|wait| *wait > 20_000), "{waits:?}");
}

#[test]
fn what_is_gone_from_the_outbox_is_neither_settled_nor_sent_again() {
    let mut machine = machine(1, 0);
    let (link, _) = connects(&after(&mut machine, 0, Event::Tick));
    after(&mut machine, 1, Event::Connected(link, reached()));
    after(&mut machine, 2, Event::Queued(4, 1));
    let queued = after(&mut machine, 3, Event::Queued(5, 1));
    assert_eq!(queued, [], "it waits for the one before it");
    let wishes = after(&mut machine, 4, Event::Gone(4));
    assert_eq!(wishes, [Wish::Send { link, id: 5 }]);
    // One that is put in again is a message to be sent again.
    after(&mut machine, 5, Event::Gone(5));
    let wishes = after(&mut machine, 6, Event::Queued(4, 1));
    assert_eq!(wishes, [Wish::Send { link, id: 4 }]);
}
