//! What a ledger's facts say of its messages, read one after the other: who got which, from whom it was withdrawn and why, and
//! who was told of a change. Users' logs must say the same.

use std::collections::{BTreeMap, BTreeSet};

use waybill_core::fact::{Fact, Terms, Withdrawal, unpack_users};
use waybill_core::id::{Position, Seq, UserNo};
use waybill_core::rules;
use waybill_core::state::{EntryKind, FanoutRow, StateExt, UserHeadRow};

use super::chronicle::Chronicle;

/// An entry that speaks of a message: its record, its kind, the message.
type Entry = (Position, EntryKind, Position);

/// All that was told.
#[derive(Default)]
pub struct Told {
    /// In each user's log.
    logs: BTreeMap<UserNo, Vec<Entry>>,
    messages: BTreeMap<Position, Message>,
    /// By its record: which message was changed, and who was told in steps.
    changes: BTreeMap<Position, (Position, BTreeSet<UserNo>)>,
}

/// What was told of one message.
struct Message {
    sender: UserNo,
    terms: Terms,
    fanned_out: bool,
    /// By which record each receiver got it.
    got: BTreeMap<UserNo, Position>,
    withdrawn: BTreeMap<UserNo, (Position, Withdrawal)>,
    /// How many of them in steps.
    in_steps: u64,
    /// Why it was withdrawn from all.
    cut: Option<Withdrawal>,
}

impl Told {
    /// Reads all of a ledger whose accounts have no devices, and so get no entries of their own.
    pub fn of(chronicle: &Chronicle) -> Self {
        let mut told = Self::default();
        for position in 1..=chronicle.tail.position.0 {
            told.read(chronicle, Position(position));
        }
        told
    }

    fn read(&mut self, chronicle: &Chronicle, position: Position) {
        let record = chronicle.record(position.0);
        match record.fact {
            Fact::MessageSent(sent) => {
                self.begin(position, sent.sender, sent.terms, false);
                self.get(position, position, sent.conversation.other(sent.sender));
            }
            Fact::MessagePosted(posted) => {
                self.begin(
                    position,
                    posted.sender,
                    posted.terms,
                    posted.is_fanned_out(),
                );
                for receiver in posted.listed() {
                    self.get(position, position, receiver);
                }
            }
            Fact::Delivered {
                message, receivers, ..
            } => {
                assert_eq!(
                    self.messages[&message].cut, None,
                    "{message:?} is withdrawn"
                );
                for receiver in unpack_users(&receivers) {
                    self.get(position, message, receiver);
                }
            }
            Fact::FanoutRecalled { message, why } => {
                let of = self.messages.get_mut(&message).unwrap();
                assert_eq!(of.cut.replace(why), None);
                assert!(why != Withdrawal::Expired || of.terms.expires <= Some(record.time));
            }
            Fact::MessageRecalled {
                message,
                why,
                places,
                next,
                ..
            } => {
                let of = self.messages.get_mut(&message).unwrap();
                assert!(why != Withdrawal::Expired || of.terms.expires <= Some(record.time));
                if next.is_some() {
                    assert_eq!(of.cut, Some(why));
                    of.in_steps += places.len() as u64;
                }
                for place in &places {
                    let before = of.withdrawn.insert(place.receiver, (position, why));
                    assert_eq!(before, None, "{message:?} is withdrawn twice");
                }
                for place in places {
                    self.enter(position, EntryKind::Recalled, message, place.receiver);
                }
            }
            Fact::MessageChanged {
                message, places, ..
            } => {
                for place in places {
                    self.enter(position, EntryKind::Changed, message, place.receiver);
                }
            }
            Fact::FanoutChanged { message, .. } => {
                self.changes.insert(position, (message, BTreeSet::new()));
            }
            Fact::ChangeTold {
                message,
                change,
                places,
                ..
            } => {
                for place in places {
                    let (of, told) = self.changes.get_mut(&change).unwrap();
                    assert_eq!(*of, message);
                    assert!(told.insert(place.receiver), "{change:?} is told twice");
                    self.enter(position, EntryKind::Changed, message, place.receiver);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, message: Position, sender: UserNo, terms: Option<Terms>, fanned_out: bool) {
        let told = Message {
            sender,
            terms: terms.unwrap_or_default(),
            fanned_out,
            got: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
            in_steps: 0,
            cut: None,
        };
        self.messages.insert(message, told);
    }

    fn get(&mut self, position: Position, message: Position, receiver: UserNo) {
        let of = self.messages.get_mut(&message).unwrap();
        let before = of.got.insert(receiver, position);
        assert_eq!(before, None, "{receiver:?} gets {message:?} twice");
        self.enter(position, EntryKind::Message, message, receiver);
    }

    /// Nobody is told of a message that they do not have, or of its change when it was withdrawn.
    fn enter(&mut self, position: Position, kind: EntryKind, message: Position, user: UserNo) {
        let of = &self.messages[&message];
        assert!(of.got.contains_key(&user), "{user:?} has no {message:?}");
        if kind == EntryKind::Changed {
            assert!(!of.withdrawn.contains_key(&user), "{message:?} is gone");
        }
        let log = self.logs.entry(user).or_default();
        log.push((position, kind, message));
    }

    /// Who got a message.
    pub fn got(&self, message: Position) -> BTreeSet<UserNo> {
        self.messages[&message].got.keys().copied().collect()
    }

    /// From whom a message was withdrawn for this reason.
    pub fn withdrawn(&self, message: Position, why: Withdrawal) -> BTreeSet<UserNo> {
        let withdrawn = self.messages[&message].withdrawn.iter();
        let so = withdrawn.filter(|(_, (_, reason))| *reason == why);
        so.map(|(user, _)| *user).collect()
    }

    /// Who was told of a change in steps.
    pub fn of_change(&self, change: Position) -> BTreeSet<UserNo> {
        self.changes[&change].1.clone()
    }

    /// Users' logs say this and nothing else, and what is counted of fan-outs is true.
    pub fn check_views(&self, chronicle: &Chronicle, users: u64) {
        let state = &chronicle.state;
        for user in (1..=users).map(UserNo) {
            let head = state.row::<UserHeadRow>(user).unwrap();
            let mut entries = Vec::new();
            for seq in (1..=head.map_or(0, |head| head.head.0)).map(Seq) {
                let row = rules::user_log_row(state, user, seq).unwrap();
                let message = match chronicle.record(row.position.0).fact {
                    Fact::MessageRecalled { message, .. }
                    | Fact::MessageChanged { message, .. }
                    | Fact::ChangeTold { message, .. } => message,
                    _ if row.kind == EntryKind::Message => row.message_position(),
                    _ => continue,
                };
                entries.push((row.position, row.kind, message));
            }
            let told = self.logs.get(&user).map_or(&[][..], Vec::as_slice);
            assert_eq!(entries, told, "the log of {user:?}");
        }
        for (message, of) in self.messages.iter().filter(|(_, of)| of.fanned_out) {
            let row: FanoutRow = state.row(*message).unwrap().unwrap();
            assert_eq!(row.delivered, of.got.len() as u64);
            assert_eq!(row.recalled, of.in_steps);
            assert_eq!(row.cut.is_some(), of.cut.is_some());
        }
    }

    /// Each withdrawal has its reason: somebody recalled the message, from all or from this receiver (`recalls`); a later one of
    /// its key came; or it had a time. (That the time was over is held while reading.)
    pub fn check_reasons(&self, recalls: &BTreeSet<(Position, Option<UserNo>)>) {
        for (message, of) in &self.messages {
            for (receiver, (position, why)) in &of.withdrawn {
                let reason = match why {
                    Withdrawal::Recalled => {
                        recalls.contains(&(*message, None))
                            || recalls.contains(&(*message, Some(*receiver)))
                    }
                    Withdrawal::Expired => of.terms.expires.is_some(),
                    Withdrawal::Superseded => self.messages.values().any(|later| {
                        later.sender == of.sender
                            && later.terms.collapse.is_some()
                            && later.terms.collapse == of.terms.collapse
                            && later.got.get(receiver) > Some(position)
                    }),
                };
                assert!(reason, "{message:?} is {why:?} for {receiver:?}");
            }
        }
    }

    /// When nothing is under way or due any more: who has a message that was withdrawn from all, or is over, was told so; who
    /// has one that was changed for all was told so, unless it was withdrawn.
    pub fn check_end(&self) {
        for (message, of) in &self.messages {
            if of.cut.is_some() || of.terms.expires.is_some() {
                let left = of.got.keys().find(|user| !of.withdrawn.contains_key(user));
                assert_eq!(left, None, "{message:?} still stands");
            }
            assert!(!of.fanned_out || of.terms.expires.is_none() || of.cut.is_some());
        }
        for (change, (message, told)) in &self.changes {
            let of = &self.messages[message];
            let owed = |user: &&UserNo| !told.contains(user) && !of.withdrawn.contains_key(user);
            assert_eq!(of.got.keys().find(owed), None, "{change:?} is not told");
        }
    }
}
