//! Fan-outs that take several chunks, with single notices, lists and crashes between: whatever the order, each receiver gets
//! each message exactly once, and those of one conversation in the order of the ledger. `model.rs` holds every row to a naive
//! model, with few users; here there are several chunks of them.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use support::cast;
use support::crowd::{Crowd, EVERYBODY, user};
use waybill_core::command::{Ask, Deed, To};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Fact, Options, Terms};
use waybill_core::id::{ConversationSeq, Position, Seq, UserNo};
use waybill_core::limits::{MAX_CHUNK, MAX_LISTED, MAX_PASSED, MAX_RUNNING};
use waybill_core::outcome::{Outcome, Refusal};
use waybill_core::rules::{self, Step};
use waybill_core::state::{
    ConversationLogRow, ConversationRow, MapState, MembershipRow, StateExt, UserHeadRow, UserLogRow,
};

/// Users: several chunks of them.
const USERS: u64 = 2_300;
/// Of whom these are registered: every third.
const REGISTERED: u64 = 3;
/// The senders have the first numbers.
const SENDERS: u64 = 2;

/// A ledger, and what was asked of it.
struct World {
    crowd: Crowd,
    /// Messages in the order of the ledger: position, sender, receivers.
    messages: Vec<(u64, u64, BTreeSet<u64>)>,
    recalled: BTreeSet<u64>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            crowd: Crowd::new(USERS),
            messages: Vec::new(),
            recalled: BTreeSet::new(),
        };
        for number in (1..=USERS).step_by(REGISTERED as usize) {
            world.ask(Ask::Register {
                user: user(number),
                profile: cast::profile(1).seal(cast::opening(number, 3)),
            });
        }
        world
    }

    fn ask(&mut self, ask: Ask) -> Step {
        self.crowd.clock += 7;
        self.crowd.ask(ask)
    }

    fn single(&mut self, sender: u64, receiver: u64) {
        self.crowd.clock += 7;
        let step = self
            .crowd
            .send(sender, receiver, Options::default(), Terms::default());
        let Ok(Outcome::Sent(sent)) = step.answer else {
            panic!("{step:?}");
        };
        let receivers = BTreeSet::from([receiver]);
        self.messages.push((sent.position.0, sender, receivers));
    }

    fn post(&mut self, sender: u64, to: To) -> Step {
        self.crowd.clock += 7;
        self.crowd.post(sender, to, Terms::default())
    }

    fn list(&mut self, sender: u64, receivers: BTreeSet<u64>) {
        let users = receivers.iter().map(|number| user(*number)).collect();
        let step = self.post(sender, To::Users(users));
        let Ok(Outcome::Posted(results)) = step.answer else {
            panic!("{step:?}");
        };
        let position = results[0].as_ref().unwrap().position.0;
        self.messages.push((position, sender, receivers));
    }

    fn wide(&mut self, sender: u64, to: To) -> Position {
        let others = (1..=USERS).filter(|number| *number != sender);
        let receivers = match to {
            To::Registered => others.filter(|number| number % REGISTERED == 1).collect(),
            _ => others.collect(),
        };
        let step = self.post(sender, to);
        let Ok(Outcome::Begun { position, .. }) = step.answer else {
            panic!("{step:?}");
        };
        self.messages.push((position.0, sender, receivers));
        position
    }

    fn go_on(&mut self, sender: u64, most: u16) -> bool {
        let Some((message, from)) = self.crowd.first_of(sender) else {
            return false;
        };
        let next = Ask::FanoutNext {
            message,
            from,
            most,
        };
        let step = self.ask(next.clone());
        step.answer.unwrap();
        // Told twice, it does nothing twice.
        if self.crowd.first_of(sender) != Some((message, from)) {
            let again = self.ask(next);
            assert_eq!(again.answer, Err(Refusal::Stale));
        }
        true
    }

    fn recall(&mut self, index: usize) {
        let Some((position, ..)) = self.messages.get(index) else {
            return;
        };
        let message = Position(*position);
        self.recalled.insert(message.0);
        let recall = Ask::Recall {
            message,
            receiver: None,
        };
        self.ask(recall).answer.unwrap();
    }

    /// Everything that was promised, as it stands when nothing is under way any more.
    fn check(&self) {
        let state = &self.crowd.chronicle.state;
        let mut logs: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
        for number in 1..=USERS {
            let Some(head) = state.row::<UserHeadRow>(UserNo(number)).unwrap() else {
                continue;
            };
            let mut before = 0;
            for seq in 1..=head.head.0 {
                let row: UserLogRow = state.row((UserNo(number), Seq(seq))).unwrap().unwrap();
                assert!(row.position.0 > before, "user {number}, seq {seq}");
                before = row.position.0;
                let message = row.message_position();
                let (Fact::MessageSent(_) | Fact::MessagePosted(_)) =
                    self.crowd.chronicle.record(message.0).fact
                else {
                    continue;
                };
                let record = self.messages.iter().find(|(at, ..)| *at == message.0);
                let (_, sender, _) = record.unwrap();
                logs.entry((*sender, number)).or_default().push(message.0);
            }
        }
        for sender in 1..=SENDERS {
            for number in 1..=USERS {
                let own = self
                    .messages
                    .iter()
                    .filter(|(_, from, receivers)| *from == sender && receivers.contains(&number));
                let expected: Vec<u64> = own.map(|(position, ..)| *position).collect();
                let found = logs.remove(&(sender, number)).unwrap_or_default();
                // What was recalled may have been stopped on its way.
                let mut wanted = found.iter().peekable();
                for position in &expected {
                    if wanted.next_if_eq(&position).is_none() {
                        assert!(
                            self.recalled.contains(position),
                            "{position} of {sender} to {number}: {found:?} of {expected:?}"
                        );
                    }
                }
                assert_eq!(wanted.next(), None, "{sender} to {number}: {found:?}");
                self.check_conversation(sender, number, &found);
            }
        }
        assert!(logs.is_empty());
    }

    /// The conversation says the same as the log, has its messages recalled, and counts right.
    fn check_conversation(&self, sender: u64, number: u64, found: &[u64]) {
        let state = &self.crowd.chronicle.state;
        let (account, receiver) = (UserNo(sender), UserNo(number));
        let conversation = Conversation::Notification { account, receiver };
        let Some(end) = state.row::<ConversationRow>(conversation).unwrap() else {
            assert!(found.is_empty());
            return;
        };
        let mut unread = 0;
        for (seq, position) in (1..).zip(found) {
            let row: ConversationLogRow = state
                .row((conversation, ConversationSeq(seq)))
                .unwrap()
                .unwrap();
            assert_eq!(row.message_position().0, *position);
            let recalled = self.recalled.contains(position);
            assert_eq!(
                row.recalled_by.is_some(),
                recalled,
                "{position} to {number}"
            );
            unread += u64::from(!recalled);
            let delivering = rules::delivering(state, Position(*position), receiver).unwrap();
            assert_eq!(delivering, Some(row.position));
        }
        assert_eq!(end.head.0, found.len() as u64);
        let membership: MembershipRow = state
            .row((receiver, conversation))
            .unwrap()
            .unwrap_or_default();
        assert_eq!(membership.unread(&end), unread);
    }
}

/// Users on both sides of where the first chunk of a fan-out to everybody ends.
const CHUNK_EDGE: std::ops::Range<u64> = MAX_CHUNK as u64 - 10..MAX_CHUNK as u64 + 10;

#[derive(Clone, Debug)]
enum Deal {
    Single(u64, u64),
    List(u64, u64, u64),
    Wide(u64, u8),
    /// Steps of any length come to the same.
    GoOn(u64, u16),
    Recall(usize),
}

fn deals() -> impl Strategy<Value = Vec<Deal>> {
    let sender = || 1..=SENDERS;
    let receiver = || prop_oneof![1..=USERS, CHUNK_EDGE, Just(USERS)];
    let deal = prop_oneof![
        5 => (sender(), receiver()).prop_map(|(sender, to)| Deal::Single(sender, to)),
        2 => (sender(), receiver(), 1..=MAX_LISTED as u64)
            .prop_map(|(sender, first, count)| Deal::List(sender, first, count)),
        2 => (sender(), 0..3_u8).prop_map(|(sender, to)| Deal::Wide(sender, to)),
        6 => (sender(), prop_oneof![Just(0), Just(1), 2..80_u16, Just(u16::MAX)])
            .prop_map(|(sender, most)| Deal::GoOn(sender, most)),
        1 => (0..12_usize).prop_map(Deal::Recall),
    ];
    prop::collection::vec(deal, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nobody_is_lost_and_nothing_overtakes(deals in deals(), cuts in prop::collection::btree_set(1..4_000_u64, 0..6)) {
        let mut world = World::new();
        for deal in deals {
            match deal {
                Deal::Single(sender, to) => world.single(sender, to),
                Deal::List(sender, first, count) => {
                    let last = USERS.min(first + count - 1);
                    world.list(sender, (first..=last).collect());
                }
                Deal::Wide(sender, 0) => drop(world.wide(sender, To::Audience(EVERYBODY))),
                Deal::Wide(sender, 1) => drop(world.wide(sender, To::Registered)),
                Deal::Wide(sender, _) => drop(world.wide(sender, To::Seen)),
                Deal::GoOn(sender, most) => drop(world.go_on(sender, most)),
                Deal::Recall(index) => world.recall(index),
            }
        }
        for sender in 1..=SENDERS {
            while world.go_on(sender, u16::MAX) {}
        }
        world.check();
        // A crash anywhere, and another batching, come to the same.
        let last = world.crowd.chronicle.tail.position.0;
        let cuts: Vec<u64> = cuts.into_iter().filter(|cut| *cut < last).collect();
        let mut folded = MapState::default();
        world.crowd.chronicle.fold_into(&mut folded, 1, &cuts);
        prop_assert!(folded.rows == world.crowd.chronicle.state.rows);
    }
}

#[test]
fn a_fan_out_takes_as_many_chunks_as_it_must() {
    let mut world = World::new();
    world.wide(1, To::Seen);
    let mut chunks = 0;
    while world.go_on(1, u16::MAX) {
        chunks += 1;
    }
    assert_eq!(chunks, USERS.div_ceil(MAX_CHUNK as u64));
    world.check();
}

/// A message that is on its way to a user cannot be recalled from that user alone yet; afterwards it can.
#[test]
fn a_recall_from_one_receiver_waits_for_the_message() {
    let mut world = World::new();
    let message = world.wide(1, To::Seen);
    let recall = |receiver| Ask::Recall {
        message,
        receiver: Some(UserNo(receiver)),
    };
    assert_eq!(world.ask(recall(2_000)).answer, Err(Refusal::Underway));
    assert_eq!(world.ask(recall(1)).answer, Err(Refusal::UnknownMessage));
    world.go_on(1, u16::MAX);
    assert_eq!(world.ask(recall(2_000)).answer, Err(Refusal::Underway));
    let told = |receivers| Ok(Outcome::Recalled { receivers });
    assert_eq!(world.ask(recall(7)).answer, told(1));
    assert_eq!(world.ask(recall(7)).answer, told(0));
    while world.go_on(1, u16::MAX) {}
    assert_eq!(world.ask(recall(2_000)).answer, told(1));
    assert_eq!(
        world.ask(recall(USERS + 1)).answer,
        Err(Refusal::UnknownMessage)
    );
}

#[test]
fn only_so_many_fan_outs_run_at_once() {
    let mut world = World::new();
    for _ in 0..MAX_RUNNING {
        world.wide(1, To::Registered);
    }
    let step = world.post(2, To::Registered);
    assert_eq!(step.answer, Err(Refusal::TooManyRunning));
    while world
        .crowd
        .first_of(1)
        .is_some_and(|(message, _)| message == Position(world.messages[0].0))
    {
        world.go_on(1, u16::MAX);
    }
    world.wide(2, To::Registered);
    // A recall of one that runs needs no place of its own; of one that is done it does.
    world.recall(1);
    assert_eq!(
        world.crowd.first_of(1).map(|(message, _)| message.0),
        Some(world.messages[1].0)
    );
    let recall = Ask::Recall {
        message: Position(world.messages[0].0),
        receiver: None,
    };
    assert_eq!(world.ask(recall).answer, Err(Refusal::TooManyRunning));
}

/// A reading that would pass very many removed messages stops, says where, and can be repeated until it is through.
#[test]
fn a_reading_passes_only_so_many_removed_messages_at_a_time() {
    let mut world = World::new();
    let (account, receiver) = (UserNo(1), UserNo(5));
    let conversation = Conversation::Notification { account, receiver };
    let count = MAX_PASSED as u64 + 500;
    for _ in 0..count + 10 {
        world.single(1, 5);
    }
    for index in 0..count {
        world.recall(index as usize);
    }
    let read = |up_to| Ask::Tend {
        user: receiver,
        conversation,
        deed: Deed::Read {
            up_to: ConversationSeq(up_to),
        },
    };
    let answer = |up_to, unread| {
        Ok(Outcome::Read {
            up_to: ConversationSeq(up_to),
            unread,
        })
    };
    let stopped = MAX_PASSED as u64;
    assert_eq!(world.ask(read(count + 1)).answer, answer(stopped, 10));
    assert_eq!(world.ask(read(count + 1)).answer, answer(count + 1, 9));
    assert_eq!(world.ask(read(3)).answer, answer(count + 1, 9));
    assert_eq!(
        world.ask(read(count + 11)).answer,
        Err(Refusal::BeyondConversation)
    );
    assert_eq!(world.ask(read(count + 10)).answer, answer(count + 10, 0));
}
