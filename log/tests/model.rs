//! Random commands in random batches, and crashes at any write of either store. After every restart: what was answered is there,
//! once; retries get the first answer; user logs have no holes; the ledger, the views and every answer are what the rules alone
//! come to; and a fresh fold of the ledger gives the same rows.

mod common;

use common::faults::Crash;
use common::plan::{Commands, Op, cases, ops};
use common::world::{End, Life, World};
use proptest::prelude::*;

/// A life as a plan.
#[derive(Clone, Debug)]
struct Plan {
    batches: Vec<Vec<Op>>,
    life: Life,
}

fn crashes() -> impl Strategy<Value = Crash> {
    prop_oneof![
        Just(Crash::Before),
        Just(Crash::Unsynced),
        Just(Crash::After)
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let end = prop_oneof![Just(End::Closed), Just(End::Killed), Just(End::Dark)];
    let batches = prop::collection::vec(prop::collection::vec(ops(), 0..12), 0..14);
    let crash = prop::option::weighted(0.6, (0..40_u16, crashes()));
    let early = prop::option::weighted(0.1, 0..6_u16);
    let stores = (1..80_u64, 1..300_usize, prop_oneof![Just(0), 1..9_u64]);
    (batches, any::<bool>(), crash, early, end, stores).prop_map(
        |(batches, hurry, crash, early, end, (budget, hot_rows, flush_every))| Plan {
            batches,
            life: Life {
                batches: Vec::new(),
                hurry,
                crash,
                early,
                end,
                budget,
                hot_rows,
                flush_every,
            },
        },
    )
}

fn run(plans: &[Plan]) -> World {
    let (mut world, mut commands) = (World::default(), Commands::default());
    for plan in plans {
        world.live(&Life {
            batches: plan.batches.iter().map(|ops| commands.of(ops)).collect(),
            ..plan.life.clone()
        });
    }
    world.settle(10, 64);
    world
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn nothing_answered_is_lost_or_doubled(plans in prop::collection::vec(plans(), 1..6)) {
        run(&plans);
    }
}

/// A life that sends, retries, erases and reaches, with flushes in between.
fn script() -> Vec<Vec<Op>> {
    let mut batches = Vec::new();
    for round in 0..6_u8 {
        let (from, to) = (round % 3, round % 5 + 1);
        batches.push(vec![
            Op::Keyed {
                from,
                to,
                chat: false,
                key: 1,
                text: 1,
            },
            Op::Send {
                from: to,
                to: from,
                chat: true,
            },
            Op::Device {
                user: 2,
                device: round % 3,
            },
            Op::Token {
                user: to,
                token: round % 4,
                refuse: false,
            },
        ]);
        batches.push(vec![
            Op::Reach(vec![(2, 1, round), (2, 2, round)]),
            Op::Erase(4 * round),
            Op::Again(1),
            Op::Register {
                user: to,
                text: round,
            },
            Op::Revoke {
                user: 2,
                which: round,
            },
        ]);
        batches.push(vec![
            Op::Again(7),
            Op::Again(8),
            Op::Keyed {
                from,
                to,
                chat: true,
                key: 1,
                text: 2,
            },
        ]);
    }
    batches
}

fn life(crash: Option<(u16, Crash)>, end: End) -> Life {
    Life {
        batches: Vec::new(),
        hurry: false,
        crash,
        early: None,
        end,
        budget: 7,
        hot_rows: 1,
        flush_every: 0,
    }
}

#[test]
fn a_crash_at_each_write_of_a_life() {
    let plan = |crash, end| Plan {
        batches: script(),
        life: life(crash, end),
    };
    let writes = run(&[plan(None, End::Closed)]).writes;
    assert!(writes > 40, "{writes}");
    for at in 0..writes as u16 {
        for crash in [Crash::Before, Crash::Unsynced, Crash::After] {
            let end = if at % 2 == 0 { End::Dark } else { End::Killed };
            // The same again after it: mostly retries.
            run(&[plan(Some((at, crash)), end), plan(None, End::Dark)]);
        }
    }
}

#[test]
fn a_crash_in_the_middle_of_a_flush_makes_the_views_anew() {
    // More rows than one slice of a flush writes, and a flush by itself after each write.
    let plan = |at| Plan {
        batches: vec![
            vec![Op::Burst(300)],
            vec![Op::Burst(300)],
            vec![Op::Burst(300)],
        ],
        life: Life {
            budget: 100,
            flush_every: 1,
            ..life(Some((at, Crash::Before)), End::Dark)
        },
    };
    let rebuilt: Vec<u64> = (0..12)
        .map(|at| run(&[plan(at), plan(at + 1)]).rebuilt)
        .collect();
    assert!(rebuilt.iter().any(|count| *count > 0), "{rebuilt:?}");
    assert!(rebuilt.contains(&0), "{rebuilt:?}");
}
