//! A crowd that gets messages with terms, changes and recalls, and what must hold of it: what is shown, in which order, and what
//! is unread, by walking all of it.

use std::collections::{BTreeMap, BTreeSet};

use waybill_core::body::{Body, Change};
use waybill_core::command::{Ask, To};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Audience, Fact, Options, Part, Terms, unpack_users};
use waybill_core::id::{ConversationSeq, Epoch, Position, Seq, Time, UserNo};
use waybill_core::outcome::{Answer, Outcome, Refusal};
use waybill_core::rules;
use waybill_core::state::{
    ConversationLogRow, ConversationRow, EntryKind, Family, MembershipRow, Numbered, RemovedRow,
    Row, StateExt, TimerKind, TimerRow, UserHeadRow,
};

use super::cast;
use super::crowd::{Crowd, EVERYBODY};
use super::told::Told;

/// The senders have the first numbers.
pub const SENDERS: u64 = 2;

/// A crowd, and the messages that it was sent.
pub struct World {
    pub crowd: Crowd,
    users: u64,
    pub messages: Vec<Position>,
    /// The recalls that were asked for: which message, and from whom if not from all.
    recalls: BTreeSet<(Position, Option<UserNo>)>,
}

impl World {
    pub fn new(users: u64) -> Self {
        Self {
            crowd: Crowd::new(users),
            users,
            messages: Vec::new(),
            recalls: BTreeSet::new(),
        }
    }

    pub fn users(&self) -> u64 {
        self.users
    }

    pub fn ask(&mut self, ask: Ask) -> Answer {
        self.crowd.ask(ask).answer
    }

    fn now(&self) -> Time {
        Time(self.crowd.clock)
    }

    pub fn single(&mut self, sender: u64, receiver: u64, options_off: Options, terms: Terms) {
        let answer = self.crowd.send(sender, receiver, options_off, terms).answer;
        let Ok(Outcome::Sent(sent)) = answer else {
            panic!("{answer:?}");
        };
        self.messages.push(sent.position);
    }

    pub fn post(&mut self, sender: u64, to: To, terms: Terms) -> Answer {
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

    pub fn wide(&mut self, sender: u64, terms: Terms) -> Position {
        self.post(sender, To::Audience(EVERYBODY), terms).unwrap();
        *self.messages.last().unwrap()
    }

    pub fn change(&mut self, message: Position, receiver: Option<UserNo>) -> Answer {
        let body = Body::Change(Change::Content("{}".to_owned()));
        self.ask(Ask::Change {
            message,
            receiver,
            part: Part::Content,
            body: body.seal(cast::opening(self.crowd.asked, 5)),
        })
    }

    pub fn recall(&mut self, message: Position, receiver: Option<UserNo>) -> Answer {
        self.recalls.insert((message, receiver));
        self.ask(Ask::Recall { message, receiver })
    }

    /// The ledger goes on as another history.
    pub fn restore(&mut self, gap: u64) {
        let chronicle = &self.crowd.chronicle;
        let epochs = rules::epochs(&chronicle.state).unwrap().unwrap();
        let number = epochs.current().number() + 1;
        let answer = self.ask(Ask::Restore {
            epoch: Epoch::new(number, [number as u8; 14]),
            last: self.crowd.chronicle.tail.position,
            gap,
        });
        assert_eq!(answer, Ok(Outcome::Done));
    }

    /// Those that are in the logs of all their receivers, and were not withdrawn from all.
    pub fn fanned_out(&self) -> Vec<Position> {
        let done = |message: &Position| {
            let row = self.crowd.fanout(*message);
            row.is_some_and(|row| row.done && row.cut.is_none())
        };
        self.messages.iter().copied().filter(done).collect()
    }

    /// One step of what a sender has under way, if anything.
    pub fn go_on(&mut self, sender: u64) -> bool {
        let Some((message, from)) = self.crowd.first_of(sender) else {
            return false;
        };
        let most = u16::MAX;
        self.ask(Ask::FanoutNext {
            message,
            from,
            most,
        })
        .unwrap();
        true
    }

    /// All timers, as (time, message, what).
    fn timers(&self) -> Vec<(Time, Position, TimerKind)> {
        let rows = self.crowd.chronicle.state.rows.iter();
        let timers = rows.filter(|((family, _), _)| *family == Family::Timers);
        let timer = timers.map(|((_, key), value)| {
            let row = TimerRow::decode(value).unwrap();
            (Time(key.first_number()), row.position, row.due)
        });
        timer.collect()
    }

    /// Meets what is due by now; before its time it is refused.
    pub fn meet(&mut self) {
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

    pub fn finish(&mut self) {
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

    /// What these users see is what the facts say, as far as it must hold at any time.
    pub fn check(&self, receivers: impl Iterator<Item = u64>) {
        let sent = self.sent();
        for receiver in receivers.map(UserNo) {
            for account in 1..=SENDERS {
                self.check_session(account, receiver, &sent);
            }
            self.check_log(receiver);
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
            let Some(row) = row.unwrap() else {
                let log = Numbered::Conversation(conversation);
                let gap = rules::gap_around(state, log, seq.0).unwrap();
                assert!(gap.is_some(), "{seq:?} is missing");
                continue;
            };
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
            let row = rules::user_log_row(state, receiver, seq).unwrap();
            assert!(before <= row.position);
            before = row.position;
            if row.kind == EntryKind::Message {
                assert!(seen.insert(row.message_position()), "twice: {row:?}");
            }
        }
    }

    /// After all that was under way: every receiver has every message, but of those withdrawn on their way; and all were told
    /// of what happened to those that they have, once.
    pub fn check_end(&self) {
        self.check(1..=self.users);
        let told = Told::of(&self.crowd.chronicle);
        told.check_views(&self.crowd.chronicle, self.users);
        told.check_reasons(&self.recalls);
        told.check_end();
        assert_eq!(self.timers(), [], "something is still due");
        assert_eq!(self.crowd.running(), []);
        for position in &self.messages {
            let Fact::MessagePosted(posted) = self.crowd.chronicle.record(position.0).fact else {
                continue;
            };
            let all: Vec<UserNo> = match &posted.audience {
                Audience::Listed { receivers, .. } => unpack_users(receivers).collect(),
                _ => (1..=self.users).map(UserNo).collect(),
            };
            let row = self.crowd.fanout(*position);
            if row.is_some_and(|row| row.cut.is_some()) {
                continue;
            }
            for receiver in all.into_iter().filter(|user| *user != posted.sender) {
                let delivering =
                    rules::delivering(&self.crowd.chronicle.state, *position, receiver);
                assert!(
                    delivering.unwrap().is_some(),
                    "{receiver:?} lacks {position:?}"
                );
            }
        }
    }
}
