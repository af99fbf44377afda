//! The machine against a world of its own: a server, a real store in memory, and a network that breaks at every point in turn.

mod rules;
mod running;
mod world;

use world::{Fault, World};

/// Steps after which a world that is not at rest is stuck.
const STUCK: usize = 20_000;

fn checked(mut world: World, at: &[(usize, Fault)]) -> usize {
    let mut step = 0;
    loop {
        for (_, fault) in at.iter().filter(|(when, _)| *when == step) {
            world.strike(*fault);
        }
        if !world.step() && at.iter().all(|(when, _)| *when <= step) {
            break;
        }
        step += 1;
        assert!(step < STUCK, "stuck: {world:?}\nfaults {at:?}");
    }
    world.check(&format!("faults {at:?}"));
    step
}

#[test]
fn without_a_fault_everything_arrives() {
    checked(World::new(1), &[]);
}

#[test]
fn a_fault_at_any_point_loses_nothing_and_repeats_nothing() {
    let faults = [
        Fault::Lose,
        Fault::Crash,
        Fault::Refuse,
        Fault::Restart,
        Fault::Reset,
        Fault::Trim,
        Fault::Append,
        Fault::Confuse,
    ];
    for fault in faults {
        let steps = checked(World::new(2), &[(0, fault)]);
        for at in 1..steps + 5 {
            checked(World::new(2), &[(at, fault)]);
        }
    }
}

#[test]
fn faults_upon_faults_lose_nothing_and_repeat_nothing() {
    let all = [
        Fault::Lose,
        Fault::Crash,
        Fault::Refuse,
        Fault::Restart,
        Fault::Reset,
        Fault::Trim,
        Fault::Append,
        Fault::Confuse,
        Fault::Unreachable,
        Fault::Crash,
        Fault::Lose,
    ];
    for seed in 0..1_500_u64 {
        let mut dice = crate::sync::tests::world::Dice(seed);
        let count = 1 + dice.below(8);
        let at: Vec<_> = (0..count)
            .map(|_| (dice.below(150), all[dice.below(all.len())]))
            .collect();
        checked(World::new(seed), &at);
    }
}
