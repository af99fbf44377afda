//! Messages with terms, and changes of messages, interleaved at random with reading, deleting and recalling: what is shown, in
//! which order, and what is unread is held to what the facts say, by walking all of it. With few users most fan-outs are done at once;
//! with many, what is under way is recalled, over, changed or superseded when only some have it.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
use support::crowd::{EVERYBODY, user};
use support::terms::{SENDERS, World};
use support::told::Told;
use waybill_core::command::{Ask, Deed, To};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Options, Terms, Withdrawal};
use waybill_core::id::{ConversationSeq, Position, Time, UserNo};
use waybill_core::limits::{MAX_CHUNK, MAX_RECALLED};
use waybill_core::outcome::Refusal;
use waybill_core::state::{MapState, StateExt, UserHeadRow};

/// Few users: a fan-out takes one step.
const FEW: u64 = 9;
/// Many users: a fan-out takes three chunks, and what follows it five steps.
const MANY: u64 = 2 * MAX_CHUNK as u64 + 100;
/// Some of the many: the first and the last, and those on both sides of where a chunk or a step ends.
const SOME: [u64; 14] = [
    1, 2, 3, 249, 250, 251, 499, 500, 501, 750, 999, 1_000, 1_001, MANY,
];
/// Milliseconds that pass with a deal at most.
const STEP_MS: u64 = 40;

#[derive(Clone, Debug)]
enum Deal {
    Single(u64, u64, bool, Wish),
    List(u64, u64, Wish),
    Wide(u64, Wish, Option<u64>),
    GoOn(u64),
    Recall(usize, Option<u64>),
    Change(usize, Option<u64>),
    /// What the sender has under way is recalled.
    Stop(u64),
    /// One of those that everybody has is changed.
    Edit(usize),
    Read(u64, u64, u64),
    Remove(u64, u64, u64),
    Restore(u64),
}

/// A collapse key, and in how many milliseconds the message expires.
type Wish = (Option<u8>, Option<u64>);

fn deals(
    receiver: impl Strategy<Value = u64> + Clone + 'static,
    steps: u32,
) -> impl Strategy<Value = Vec<(u64, Deal)>> {
    let sender = || 1..=SENDERS;
    let receiver = || receiver.clone();
    let wish = || {
        let key = prop::option::weighted(0.7, 0..2_u8);
        (key, prop::option::weighted(0.3, 100..400_u64))
    };
    let message = || 0..12_usize;
    let one = || prop::option::of(receiver());
    let deal = prop_oneof![
        6 => (sender(), receiver(), any::<bool>(), wish())
            .prop_map(|(from, to, quiet, wish)| Deal::Single(from, to, quiet, wish)),
        2 => (sender(), receiver(), wish()).prop_map(|(from, to, wish)| Deal::List(from, to, wish)),
        4 => (sender(), wish(), prop::option::weighted(0.4, 1..90_u64))
            .prop_map(|(from, wish, wait)| Deal::Wide(from, wish, wait)),
        steps => sender().prop_map(Deal::GoOn),
        2 => (message(), one()).prop_map(|(at, to)| Deal::Recall(at, to)),
        3 => (message(), one()).prop_map(|(at, to)| Deal::Change(at, to)),
        2 => sender().prop_map(Deal::Stop),
        6 => (0..4_usize).prop_map(Deal::Edit),
        3 => (sender(), receiver(), 1..9_u64).prop_map(|(of, by, at)| Deal::Read(of, by, at)),
        2 => (sender(), receiver(), 1..9_u64).prop_map(|(of, by, at)| Deal::Remove(of, by, at)),
        1 => (1..6_u64).prop_map(Deal::Restore),
    ];
    prop::collection::vec((0..STEP_MS, deal), 1..60)
}

fn play(world: &mut World, deal: Deal) {
    let terms = |world: &World, (key, ends): Wish| Terms {
        collapse: key.map(|key| [key; 8]),
        expires: ends.map(|ends| Time(world.crowd.clock + ends)),
        not_before: None,
    };
    let tend = |world: &mut World, account, by, deed| {
        let user = UserNo(by);
        let conversation = Conversation::Notification {
            account: UserNo(account),
            receiver: user,
        };
        // Of a conversation that does not exist, or beyond its end, it is refused.
        drop(world.ask(Ask::Tend {
            user,
            conversation,
            deed,
        }));
    };
    match deal {
        Deal::Single(from, to, quiet, wish) => {
            let terms = terms(world, wish);
            let off = if quiet {
                Options::UNREAD_COUNT
            } else {
                Options::default()
            };
            world.single(from, to, off, terms);
        }
        Deal::List(from, first, wish) => {
            let terms = terms(world, wish);
            let last = world.users().min(first + FEW - 1);
            let to = (first..=last).map(user).collect();
            world.post(from, To::Users(to), terms).unwrap();
        }
        Deal::Wide(from, wish, wait) => {
            let terms = Terms {
                not_before: wait.map(|wait| Time(world.crowd.clock + wait)),
                ..terms(world, wish)
            };
            world.wide(from, terms);
        }
        Deal::GoOn(sender) => drop(world.go_on(sender)),
        Deal::Recall(at, receiver) => {
            if let Some(message) = world.messages.get(at).copied() {
                drop(world.recall(message, receiver.map(UserNo)));
            }
        }
        Deal::Change(at, receiver) => {
            if let Some(message) = world.messages.get(at).copied() {
                drop(world.change(message, receiver.map(UserNo)));
            }
        }
        Deal::Stop(sender) => {
            if let Some((message, _)) = world.crowd.first_of(sender) {
                drop(world.recall(message, None));
            }
        }
        Deal::Edit(at) => {
            if let Some(message) = world.fanned_out().get(at) {
                drop(world.change(*message, None));
            }
        }
        Deal::Restore(gap) => world.restore(gap),
        Deal::Read(account, by, at) => {
            let up_to = ConversationSeq(at);
            tend(world, account, by, Deed::Read { up_to });
        }
        Deal::Remove(account, by, at) => {
            let messages = vec![ConversationSeq(at)];
            tend(world, account, by, Deed::Remove { messages });
        }
    }
}

/// Plays all of it to the end, looks at some users after each deal, and folds it again with crashes after `cuts`.
fn hold(world: &mut World, deals: Vec<(u64, Deal)>, watched: &[u64], cuts: BTreeSet<u64>) {
    for (passes, deal) in deals {
        world.crowd.clock += passes;
        world.meet();
        play(world, deal);
        world.check(watched.iter().copied());
    }
    world.finish();
    world.check_end();
    let chronicle = &world.crowd.chronicle;
    let last = chronicle.tail.position.0;
    let cuts: Vec<u64> = cuts.into_iter().filter(|cut| *cut < last).collect();
    let mut folded = MapState::default();
    chronicle.fold_into(&mut folded, 1, &cuts);
    assert!(folded.rows == chronicle.state.rows);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_of_a_key_is_shown_in_the_order_of_release(
        deals in deals(1..=FEW, 6),
        cuts in prop::collection::btree_set(1..200_u64, 0..6),
    ) {
        let all: Vec<u64> = (1..=FEW).collect();
        hold(&mut World::new(FEW), deals, &all, cuts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_stops_half_way_is_told_to_those_who_have_it(
        deals in deals(prop::sample::select(SOME.to_vec()), 24),
        cuts in prop::collection::btree_set(1..2_000_u64, 0..6),
    ) {
        hold(&mut World::new(MANY), deals, &SOME, cuts);
    }
}

fn users(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<UserNo> {
    numbers.into_iter().map(UserNo).collect()
}

/// One receiver beyond the first chunk, who is owed what is under way.
const LATE: u64 = MANY - 7;

#[test]
fn a_message_that_is_over_on_its_way_is_withdrawn_from_those_who_have_it() {
    let mut world = World::new(MANY);
    let terms = Terms {
        expires: Some(Time(world.crowd.clock + 50)),
        ..Terms::default()
    };
    let message = world.wide(1, terms);
    world.go_on(1);
    world.single(1, LATE, Options::default(), Terms::default());
    world.crowd.clock += 50;
    world.meet();
    world.single(1, LATE + 1, Options::default(), Terms::default());
    world.finish();
    world.check_end();
    let told = Told::of(&world.crowd.chronicle);
    let have = users((2..=MAX_CHUNK as u64).chain([LATE]));
    assert_eq!(told.got(message), have);
    assert_eq!(told.withdrawn(message, Withdrawal::Expired), have);
}

#[test]
fn a_recall_on_the_way_of_a_change_reaches_everybody_once() {
    let mut world = World::new(MANY);
    let message = world.wide(1, Terms::default());
    while world.go_on(1) {}
    world.change(message, None).unwrap();
    let change = world.crowd.chronicle.tail.position;
    world.go_on(1);
    world.recall(message, Some(UserNo(LATE))).unwrap();
    world.go_on(1);
    world.recall(message, None).unwrap();
    world.finish();
    world.check_end();
    let told = Told::of(&world.crowd.chronicle);
    assert_eq!(told.of_change(change), users(2..=2 * MAX_RECALLED as u64));
    assert_eq!(
        told.withdrawn(message, Withdrawal::Recalled),
        users(2..=MANY)
    );
}

/// A message that only some have by now, and a second of the same key behind it.
fn one_on_the_way_and_another() -> (World, Terms, Position, Position) {
    let mut world = World::new(MANY);
    let key = Terms {
        collapse: Some([1; 8]),
        ..Terms::default()
    };
    let first = world.wide(1, key);
    world.go_on(1);
    let second = world.wide(1, key);
    (world, key, first, second)
}

#[test]
fn a_fan_out_takes_the_place_of_one_that_is_still_on_its_way() {
    let (mut world, key, first, second) = one_on_the_way_and_another();
    // To her come all three, each in the place of the one before.
    world.single(1, LATE, Options::default(), key);
    world.check(SOME.into_iter().chain([LATE]));
    let told = Told::of(&world.crowd.chronicle);
    let superseded = |told: &Told, message| told.withdrawn(message, Withdrawal::Superseded);
    assert_eq!(superseded(&told, first), users([LATE]));
    assert_eq!(superseded(&told, second), users([LATE]));
    world.finish();
    world.check_end();
    let told = Told::of(&world.crowd.chronicle);
    assert_eq!(told.got(first), users(2..=MANY));
    assert_eq!(superseded(&told, first), users(2..=MANY));
    assert_eq!(told.got(second), users(2..=MANY));
    assert_eq!(superseded(&told, second), users([LATE]));
}

/// Whoever had not got the earlier one when it was withdrawn is told nothing of it.
#[test]
fn a_fan_out_takes_the_place_of_one_that_was_withdrawn_on_its_way() {
    let (mut world, key, first, second) = one_on_the_way_and_another();
    world.recall(first, None).unwrap();
    world.single(1, 2, Options::default(), key);
    world.finish();
    world.check_end();
    let told = Told::of(&world.crowd.chronicle);
    assert_eq!(told.got(first), users(2..=MAX_CHUNK as u64));
    assert_eq!(told.withdrawn(first, Withdrawal::Superseded), users([2]));
    let others = users(3..=MAX_CHUNK as u64);
    assert_eq!(told.withdrawn(first, Withdrawal::Recalled), others);
    assert_eq!(told.got(second), users(2..=MANY));
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let mut world = World::new(FEW);
    let now = world.crowd.clock;
    let wide = || To::Audience(EVERYBODY);
    let with = |expires: Option<u64>, not_before: Option<u64>| Terms {
        collapse: None,
        expires: expires.map(Time),
        not_before: not_before.map(Time),
    };
    let year = 366 * 24 * 3_600_000;
    for (terms, refusal) in [
        (with(Some(now), None), Refusal::Expired),
        (with(None, Some(now + year + 1)), Refusal::TooFarAhead),
        (with(Some(now + 5), Some(now + 5)), Refusal::TooFarAhead),
    ] {
        assert_eq!(world.post(1, wide(), terms), Err(refusal));
    }
    let list = To::Users(vec![user(3)]);
    let waits = with(None, Some(now + 5));
    assert_eq!(world.post(1, list, waits), Err(Refusal::TooFarAhead));
    // One that waits is changed by nobody, and recalled, never begins.
    let message = world.wide(1, waits);
    assert_eq!(world.change(message, None), Err(Refusal::Underway));
    world.recall(message, None).unwrap();
    assert_eq!(world.change(message, None), Err(Refusal::Withdrawn));
    world.crowd.clock += 10;
    let release = Ask::Release { message };
    assert_eq!(world.ask(release), Err(Refusal::Stale));
    world.finish();
    for receiver in 1..=FEW {
        let head = world
            .crowd
            .chronicle
            .state
            .row::<UserHeadRow>(UserNo(receiver));
        assert_eq!(head.unwrap(), None, "it came to somebody");
    }
}
