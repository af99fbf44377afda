//! What being told of a delivery costs, and that a long way is gone in short steps.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use support::cast;
use support::chronicle::Chronicle;
use support::plan::letter;
use waybill_core::command::{Ask, Command, Stamped};
use waybill_core::fact::Fact;
use waybill_core::id::{DeviceNo, Position, Seq, StatusNo, Time, UserNo};
use waybill_core::limits::MAX_WALKED;
use waybill_core::outcome::Outcome;
use waybill_core::record::{Record, Surface};
use waybill_core::state::{AccountRow, DevicesRow, Family, StateExt, StatusRow};

const RECEIVER: UserNo = UserNo(2);

fn ask(chronicle: &mut Chronicle, ask: Ask) -> Outcome {
    let stamped = Stamped {
        time: Time(1_700_000_000_000),
        command: Command {
            by: UserNo(0),
            surface: Surface::Server,
            ask,
        },
    };
    chronicle.take(&[stamped]).remove(0).answer.unwrap()
}

/// A tracked account that has sent so many messages to a receiver with one device.
fn sent(messages: u64, tracked: bool) -> Chronicle {
    let mut chronicle = Chronicle::new();
    let (epoch, rules) = (cast::epoch(), 1);
    ask(&mut chronicle, Ask::Found { epoch, rules });
    for number in 0..messages {
        ask(&mut chronicle, letter(1, 2, number));
    }
    let body = waybill_core::body::Body::Device {
        id: cast::device_id(1),
    };
    let device = Ask::SeeDevice {
        user: RECEIVER,
        id: cast::device(1),
        platform: 1,
        body: body.seal(cast::opening(1, 9)),
    };
    ask(&mut chronicle, device);
    let account = cast::user(1, 2, 0);
    if tracked {
        ask(&mut chronicle, Ask::Track { account, on: true });
    }
    chronicle
}

fn reach(chronicle: &mut Chronicle, seq: u64) -> Outcome {
    let cursors = vec![(RECEIVER, DeviceNo(1), Seq(seq))];
    ask(chronicle, Ask::Reach { cursors })
}

#[test]
fn a_long_way_is_gone_in_steps() {
    let most = MAX_WALKED as u64;
    let head = 2 * most + 10;
    let mut chronicle = sent(head, true);
    let mut reached = Vec::new();
    for _ in 0..3 {
        let outcome = reach(&mut chronicle, head);
        let row: DevicesRow = chronicle.state.row(RECEIVER).unwrap().unwrap();
        assert_eq!(row.devices[0].reached, row.furthest);
        reached.push((outcome, row.furthest.0));
    }
    let expected = [
        (Outcome::ReachedPartly, most),
        (Outcome::ReachedPartly, 2 * most),
        (Outcome::Done, head),
    ];
    assert_eq!(reached, expected);
    let last = |n| -> StatusRow {
        chronicle
            .state
            .row((UserNo(1), StatusNo(n)))
            .unwrap()
            .unwrap()
    };
    assert_eq!(
        [1, 2, 3].map(|n| last(n).conversation_seq.0),
        [most, 2 * most, head]
    );
    let account: AccountRow = chronicle.state.row(UserNo(1)).unwrap().unwrap();
    assert_eq!(account.last, StatusNo(3));
    // Nobody is tracked: one step, and nothing is looked at.
    let mut chronicle = sent(head, false);
    assert_eq!(reach(&mut chronicle, head), Outcome::Done);
}

#[test]
fn a_change_costs_so_many_bytes() {
    let mut chronicle = sent(300, true);
    reach(&mut chronicle, 300);
    let bytes = |family: Family| -> usize {
        let rows = chronicle
            .state
            .rows
            .iter()
            .filter(|((of, _), _)| *of == family);
        rows.map(|((_, key), value)| key.as_slice().len() + value.len())
            .sum()
    };
    let (log, times) = (bytes(Family::StatusLog), bytes(Family::StatusTimes));
    let tail = chronicle.tail.position;
    let record: Record = chronicle.record(tail.0);
    let Fact::Reached { passed, .. } = &record.fact else {
        panic!("{record:?}");
    };
    let in_fact = waybill_core::codec::encode(passed).len() - 1;
    // An upper bound of each: key and value, and what stands in the record.
    assert!(
        log <= 48 && times <= 48 && in_fact <= 12,
        "the price has changed: docs/performance.md"
    );
    assert!(tail > Position(300));
}
