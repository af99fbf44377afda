//! Messages with terms, and changes of messages, interleaved at random with reading, deleting and recalling: what is shown, in
//! which order, and what is unread is held to what the facts say, by walking all of it.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use support::cast;
use support::crowd::{Crowd, EVERYBODY, user};
use waybill_core::body::{Body, Change};
use waybill_core::command::{Ask, Deed, To};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Audience, Fact, Options, Part, Terms, unpack_users};
use waybill_core::id::{ConversationSeq, Position, Seq, Time, UserNo};
use waybill_core::outcome::{Answer, Outcome, Refusal};
use waybill_core::state::{
    ConversationLogRow, ConversationRow, EntryKind, Family, MapState, MembershipRow, RemovedRow,
    StateExt, TimerKind, UserHeadRow, UserLogRow,
};

const USERS: u64 = 9;
const SENDERS: u64 = 2;
/// Milliseconds that pass with a deal at most.
const STEP_MS: u64 = 40;

struct World {
    crowd: Crowd,
    messages: Vec<Position>,
}

impl World {
    fn new() -> Self {
        Self {
            crowd: Crowd::new(USERS),
            messages: Vec::new(),
        }
    }

    fn ask(&mut self, ask: Ask) -> Answer {
        self.crowd.ask(ask).answer
    }

    fn now(&self) -> Time {
        Time(self.crowd.clock)
    }

    fn single(&mut self, sender: u64, receiver: u64, options_off: Options, terms: Terms) {
        let answer = self.crowd.send(sender, receiver, options_off, terms).answer;
        let Ok(Outcome::Sent(sent)) = answer else {
            panic!("{answer:?}");
        };
        self.messages.push(sent.position);
    }

    fn post(&mut self, sender: u64, to: To, terms: Terms) -> Answer {
        let answer = self.crowd.post(sender, to, terms).answer;
        match &answer {
            Ok(Outcome::Begun { position, .. }) => self.messages.push(*position),
            Ok(Outcome::Posted(sent)) => {
                self.messages.push(sent[0].as_ref().unwrap().position);
            }
            _ => {}
        }
        answer
    }

    fn wide(&mut self, sender: u64, terms: Terms) -> Position {
        self.post(sender, To::Audience(EVERYBODY), terms).unwrap();
        *self.messages.last().unwrap()
    }

    fn change(&mut self, message: Position, receiver: Option<UserNo>) -> Answer {
        let body = Body::Change(Change::Content("{}".to_owned()));
        self.ask(Ask::Change {
            message,
            receiver,
            part: Part::Content,
            body: body.seal(cast::opening(self.crowd.asked, 5)),
        })
    }

    /// One step of what a sender has under way, if anything.
    fn go_on(&mut self, sender: u64) -> bool {
        let Some((message, from)) = self.crowd.first_of(sender) else {
            return false;
        };
        self.ask(Ask::FanoutNext { message, from }).unwrap();
        true
    }

    /// All timers, as (time, message, what).
    fn timers(&self) -> Vec<(Time, Position, TimerKind)> {
        let rows = self.crowd.chronicle.state.rows.iter();
        let timers = rows.filter(|((family, _), _)| *family == Family::Timers);
        let timer = timers.map(|((_, key), value)| {
            use waybill_core::state::{Row, TimerRow};
            let row = TimerRow::decode(value).unwrap();
            (Time(key.first_number()), row.position, row.due)
        });
        timer.collect()
    }

    /// Meets what is due by now; before its time it is refused.
    fn meet(&mut self) {
        for (time, message, due) in self.timers() {
            let ask = match due {
                TimerKind::Release => Ask::Release { message },
                TimerKind::Expire => Ask::Expire { message },
            };
            let answer = self.ask(ask.clone());
            if time > self.now() {
                assert_eq!(answer, Err(Refusal::Stale));
            } else {
                answer.unwrap();
                assert_eq!(self.ask(ask), Err(Refusal::Stale), "it is met once");
            }
        }
    }

    fn finish(&mut self) {
        self.crowd.clock += 1_000_000;
        self.meet();
        for sender in 1..=SENDERS {
            while self.go_on(sender) {}
        }
    }

    /// Since which record each message may be delivered, its terms and whether it counts.
    fn sent(&self) -> BTreeMap<Position, (Position, Option<Terms>, bool)> {
        let mut sent = BTreeMap::new();
        for position in 1..=self.crowd.chronicle.tail.position.0 {
            let position = Position(position);
            let record = self.crowd.chronicle.record(position.0);
            match record.fact {
                Fact::MessageSent(message) => {
                    let counts = message.options_off.counts_as_unread();
                    sent.insert(position, (position, message.terms, counts));
                }
                Fact::MessagePosted(message) => {
                    sent.insert(position, (position, message.terms, true));
                }
                Fact::FanoutReleased { message } => {
                    sent.get_mut(&message).unwrap().0 = position;
                }
                _ => {}
            }
        }
        sent
    }

    fn check(&self) {
        let sent = self.sent();
        for account in 1..=SENDERS {
            for receiver in 1..=USERS {
                self.check_session(account, UserNo(receiver), &sent);
            }
        }
        for receiver in 1..=USERS {
            self.check_log(UserNo(receiver));
        }
    }

    fn check_session(
        &self,
        account: u64,
        receiver: UserNo,
        sent: &BTreeMap<Position, (Position, Option<Terms>, bool)>,
    ) {
        let state = &self.crowd.chronicle.state;
        let conversation = Conversation::Notification {
            account: UserNo(account),
            receiver,
        };
        let Some(end) = state.row::<ConversationRow>(conversation).unwrap() else {
            return;
        };
        let membership = state.row::<MembershipRow>((receiver, conversation));
        let membership = membership.unwrap().unwrap_or_default();
        let (mut before, mut unread) = (Position(0), 0);
        let mut shown: BTreeMap<[u8; 8], ConversationSeq> = BTreeMap::new();
        let mut newest: BTreeMap<[u8; 8], ConversationSeq> = BTreeMap::new();
        for seq in (1..=end.head.0).map(ConversationSeq) {
            let row = state.row::<ConversationLogRow>((conversation, seq));
            let row = row.unwrap().unwrap();
            let (since, terms, counts) = sent[&row.message_position()];
            assert!(
                before < since,
                "{receiver:?} has {since:?} after {before:?}"
            );
            before = since;
            let removed = state.row::<RemovedRow>((receiver, conversation, seq));
            let by_user = removed.unwrap().is_some_and(|row| row.by_user);
            let withdrawn = row.recalled_by.is_some();
            unread += u64::from(counts && seq > membership.read && !withdrawn && !by_user);
            if let Some(collapse) = terms.and_then(|terms| terms.collapse) {
                newest.insert(collapse, seq);
                if !withdrawn {
                    assert_eq!(
                        shown.insert(collapse, seq),
                        None,
                        "two of one key are shown"
                    );
                }
            }
        }
        assert_eq!(membership.unread(&end), unread);
        for (collapse, seq) in shown {
            assert_eq!(newest[&collapse], seq, "an earlier one of a key is shown");
        }
    }

    /// Dense, ascending, and every message once.
    fn check_log(&self, receiver: UserNo) {
        let state = &self.crowd.chronicle.state;
        let Some(head) = state.row::<UserHeadRow>(receiver).unwrap() else {
            return;
        };
        let (mut seen, mut before) = (BTreeSet::new(), Position(0));
        for seq in (1..=head.head.0).map(Seq) {
            let row = state.row::<UserLogRow>((receiver, seq)).unwrap().unwrap();
            assert!(before <= row.position);
            before = row.position;
            if row.kind == EntryKind::Message {
                assert!(seen.insert(row.message_position()), "twice: {row:?}");
            }
        }
    }

    /// After all that was under way: every receiver has every message, but of those withdrawn on their way.
    fn check_end(&self) {
        assert_eq!(self.timers(), [], "something is still due");
        assert_eq!(self.crowd.running(), []);
        for position in &self.messages {
            let Fact::MessagePosted(posted) = self.crowd.chronicle.record(position.0).fact else {
                continue;
            };
            let all: Vec<UserNo> = match &posted.audience {
                Audience::Listed { receivers, .. } => unpack_users(receivers).collect(),
                _ => (1..=USERS).map(UserNo).collect(),
            };
            let row = self.crowd.fanout(*position);
            if row.is_some_and(|row| row.cut.is_some()) {
                continue;
            }
            for receiver in all.into_iter().filter(|user| *user != posted.sender) {
                let delivering = waybill_core::rules::delivering(
                    &self.crowd.chronicle.state,
                    *position,
                    receiver,
                );
                assert!(
                    delivering.unwrap().is_some(),
                    "{receiver:?} lacks {position:?}"
                );
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Deal {
    Single(u64, u64, bool, Wish),
    List(u64, u64, Wish),
    Wide(u64, Wish, Option<u64>),
    GoOn(u64),
    Recall(usize, Option<u64>),
    Change(usize, Option<u64>),
    Read(u64, u64, u64),
    Remove(u64, u64, u64),
}

/// A collapse key, and in how many milliseconds the message expires.
type Wish = (Option<u8>, Option<u64>);

fn deals() -> impl Strategy<Value = Vec<(u64, Deal)>> {
    let sender = || 1..=SENDERS;
    let receiver = || 1..=USERS;
    let wish = || {
        let key = prop::option::weighted(0.7, 0..2_u8);
        (key, prop::option::weighted(0.3, 100..400_u64))
    };
    let message = || 0..12_usize;
    let one = || prop::option::of(1..=USERS);
    let deal = prop_oneof![
        6 => (sender(), receiver(), any::<bool>(), wish())
            .prop_map(|(from, to, quiet, wish)| Deal::Single(from, to, quiet, wish)),
        2 => (sender(), receiver(), wish()).prop_map(|(from, to, wish)| Deal::List(from, to, wish)),
        4 => (sender(), wish(), prop::option::weighted(0.4, 1..90_u64))
            .prop_map(|(from, wish, wait)| Deal::Wide(from, wish, wait)),
        6 => sender().prop_map(Deal::GoOn),
        2 => (message(), one()).prop_map(|(at, to)| Deal::Recall(at, to)),
        3 => (message(), one()).prop_map(|(at, to)| Deal::Change(at, to)),
        3 => (sender(), receiver(), 1..9_u64).prop_map(|(of, by, at)| Deal::Read(of, by, at)),
        2 => (sender(), receiver(), 1..9_u64).prop_map(|(of, by, at)| Deal::Remove(of, by, at)),
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
            let to = (first..=USERS).map(user).collect();
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
                let receiver = receiver.map(UserNo);
                drop(world.ask(Ask::Recall { message, receiver }));
            }
        }
        Deal::Change(at, receiver) => {
            if let Some(message) = world.messages.get(at).copied() {
                drop(world.change(message, receiver.map(UserNo)));
            }
        }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_of_a_key_is_shown_in_the_order_of_release(
        deals in deals(),
        cuts in prop::collection::btree_set(1..200_u64, 0..6),
    ) {
        let mut world = World::new();
        for (passes, deal) in deals {
            world.crowd.clock += passes;
            world.meet();
            play(&mut world, deal);
            world.check();
        }
        world.finish();
        world.check();
        world.check_end();
        let last = world.crowd.chronicle.tail.position.0;
        let cuts: Vec<u64> = cuts.into_iter().filter(|cut| *cut < last).collect();
        let mut folded = MapState::default();
        world.crowd.chronicle.fold_into(&mut folded, 1, &cuts);
        prop_assert!(folded.rows == world.crowd.chronicle.state.rows);
    }
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let mut world = World::new();
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
    let recall = Ask::Recall {
        message,
        receiver: None,
    };
    world.ask(recall).unwrap();
    assert_eq!(world.change(message, None), Err(Refusal::Withdrawn));
    world.crowd.clock += 10;
    let release = Ask::Release { message };
    assert_eq!(world.ask(release), Err(Refusal::Stale));
    world.finish();
    for receiver in 1..=USERS {
        let head = world
            .crowd
            .chronicle
            .state
            .row::<UserHeadRow>(UserNo(receiver));
        assert_eq!(head.unwrap(), None, "it came to somebody");
    }
}
