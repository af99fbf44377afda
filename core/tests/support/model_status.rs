//! The fifth part of the naive model: what becomes of messages. It looks through all conversations whenever a cursor moves.

use std::collections::BTreeMap;

use waybill_core::command::{ConversationKind, UserRef};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Fact, Mark, PackedCursor, Passed, pack_passed};
use waybill_core::id::{ConversationSeq, DeviceNo, Position, Seq, StatusNo, Time, UserNo};
use waybill_core::outcome::{Answer, Outcome, Refusal};
use waybill_core::rules::{Changed, Delivered};
use waybill_core::state::{
    AccountRow, MarkRow, Numbered, SettingsKey, SettingsRow, StatusPlace, StatusRow, StatusState,
    StatusTimeRow,
};

use super::model::{Body, Model};
use super::model_restore::{HOLE, Holes};
use super::model_rows::{Rows, put};

const MARKED: u8 = 7;

/// Most entries that one command looks at.
const WALK: u64 = 1000;

/// What messages have become, as the account is told.
pub struct Told {
    pub account: u64,
    /// `None` of a place that was left out.
    pub row: Option<StatusRow>,
    pub first: u64,
}

#[derive(Default)]
pub struct Statuses {
    /// Every account that was ever tracked, and whether it is.
    pub tracked: BTreeMap<u64, bool>,
    pub told: Vec<Told>,
    /// Of each account.
    pub holes: BTreeMap<u64, Holes>,
    /// By message and receiver.
    pub marks: BTreeMap<(u64, u64), MarkRow>,
    /// The changes of the command under way.
    pub changed: Vec<Changed>,
    /// The time of the command under way.
    pub now: u64,
}

pub fn kind(conversation: Conversation) -> ConversationKind {
    match conversation {
        Conversation::Single { .. } => ConversationKind::Single,
        Conversation::Notification { .. } => ConversationKind::Notification,
    }
}

impl Model {
    fn is_tracked(&self, account: u64) -> bool {
        self.statuses.tracked.get(&account) == Some(&true)
    }

    pub(super) fn tell(
        &mut self,
        position: u64,
        (account, receiver): (u64, u64),
        (kind, state): (ConversationKind, StatusState),
        (first, last): (u64, u64),
        message: Option<u64>,
    ) {
        if account == receiver || !self.is_tracked(account) {
            return;
        }
        let row = StatusRow {
            position: Position(position),
            time: Time(self.statuses.now),
            receiver: UserNo(receiver),
            kind,
            state,
            conversation_seq: ConversationSeq(last),
            message: message.map(Position),
        };
        let told = &mut self.statuses.told;
        let head = told.iter().filter(|told| told.account == account).count() as u64;
        let holes = self.statuses.holes.entry(account).or_default();
        for _ in 0..holes.leave_out(&self.restores, position, head, 0) {
            told.push(Told {
                account,
                row: None,
                first: 0,
            });
        }
        told.push(Told {
            account,
            row: Some(row),
            first,
        });
        let last = told.iter().filter(|told| told.account == account).count();
        self.statuses.changed.push(Changed {
            account: UserNo(account),
            last: StatusNo(last as u64),
        });
    }

    /// That a reader's reading has moved.
    pub(super) fn tell_read(
        &mut self,
        position: u64,
        conversation: Conversation,
        reader: u64,
        (before, now): (u64, u64),
    ) {
        if now > before {
            let account = conversation.other(UserNo(reader)).0;
            let what = (kind(conversation), StatusState::Read);
            self.tell(position, (account, reader), what, (before + 1, now), None);
        }
    }

    pub(super) fn reach(
        &mut self,
        cursors: &[(UserNo, DeviceNo, Seq)],
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Outcome {
        // What may be believed, whatever the order, and of that the furthest of each device.
        let mut wanted: BTreeMap<u64, BTreeMap<u32, u64>> = BTreeMap::new();
        for (user, device, seq) in cursors {
            let Some(person) = self.person(user.0) else {
                continue;
            };
            let head = person.log.len() as u64;
            let known = person.devices.iter().find(|known| known.number == device.0);
            if known.is_some_and(|known| known.reached < seq.0) && seq.0 <= head {
                let of_device = wanted.entry(user.0).or_default().entry(device.0);
                let furthest = of_device.or_insert(0);
                *furthest = seq.0.max(*furthest);
            }
        }
        let walks = self.statuses.tracked.values().any(|on| *on);
        let (mut packed, mut passed) = (Vec::new(), Vec::new());
        let (mut left, mut short, mut before) = (WALK, false, 0);
        for (user, devices) in wanted {
            let known = self.person(user).unwrap().furthest;
            let aim = *devices.values().max().unwrap();
            let mut end = aim;
            // What was trimmed away became nothing.
            let from = known.max(self.person(user).unwrap().floor - 1);
            if walks && aim > known && aim > from {
                end = from;
                let log = &self.person(user).unwrap().log;
                while end < aim && left > 0 {
                    let entry = &log[end as usize];
                    left -= u64::from(entry.kind != HOLE);
                    end += 1;
                }
                short |= end < aim;
                passed.extend(self.passed(user, from, end));
            }
            for (number, seq) in devices {
                let person = self.person(user).unwrap();
                let mut devices = person.devices.iter_mut();
                let device = devices.find(|known| known.number == number).unwrap();
                let seq = seq.min(end.max(known));
                if seq <= device.reached {
                    continue;
                }
                device.reached = seq;
                device.heard = next;
                person.furthest = person.furthest.max(seq);
                packed.push(PackedCursor {
                    user_step: user - std::mem::replace(&mut before, user),
                    device: DeviceNo(number),
                    seq: Seq(seq),
                });
            }
        }
        for passed in &passed {
            let who = (passed.account.0, passed.receiver.0);
            let what = (passed.kind, StatusState::Delivered);
            self.tell(next, who, what, (passed.first.0, passed.up_to.0), None);
        }
        if !packed.is_empty() {
            let fact = Fact::Reached {
                cursors: packed,
                passed: pack_passed(&passed),
            };
            facts.push((fact, None));
        }
        if short {
            Outcome::ReachedPartly
        } else {
            Outcome::Done
        }
    }

    /// Which messages of tracked accounts stand in a stretch of a user's log.
    fn passed(&self, user: u64, after: u64, to: u64) -> Vec<Passed> {
        let mut people = self.people.iter();
        let person = people.find(|person| person.number == user).unwrap();
        let mut passed = Vec::new();
        for talk in &self.talks {
            let places: Vec<u64> = (1..)
                .zip(&talk.messages)
                .filter(|(_, said)| {
                    let mut log = (1..).zip(&person.log);
                    let entry = log.find(|(_, entry)| entry.position == said.position);
                    said.sender != user
                        && talk.other(said.sender) == user
                        && self.is_tracked(said.sender)
                        && entry.is_some_and(|(seq, _)| seq > after && seq <= to)
                })
                .map(|(seq, _)| seq)
                .collect();
            if let (Some(first), Some(last)) = (places.first(), places.last()) {
                passed.push(Passed {
                    receiver: UserNo(user),
                    account: UserNo(talk.other(user)),
                    kind: kind(talk.name),
                    first: ConversationSeq(*first),
                    up_to: ConversationSeq(*last),
                });
            }
        }
        passed.sort_by_key(|passed| {
            (
                passed.account,
                passed.kind == ConversationKind::Notification,
            )
        });
        passed
    }

    pub(super) fn mark(
        &mut self,
        user: u64,
        message: u64,
        mark: Mark,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) -> Answer {
        let mut found = None;
        for talk in &self.talks {
            for (seq, said) in (1_u64..).zip(&talk.messages) {
                let at = said.message.unwrap_or(said.position);
                if at == message && talk.other(said.sender) == user {
                    let account = said.sender;
                    found = Some((talk.name, seq, account, said.recalled_by.is_some()));
                }
            }
        }
        let Some((conversation, seq, account, recalled)) = found else {
            return Err(Refusal::UnknownMessage);
        };
        let mut fanouts = self.fanouts.iter();
        if recalled || fanouts.any(|fanout| fanout.position == message && fanout.cut.is_some()) {
            return Err(Refusal::Withdrawn);
        }
        let now = Time(self.statuses.now);
        let before = self.statuses.marks.get(&(message, user)).copied();
        let confirmed = match (before, mark) {
            (
                Some(MarkRow {
                    confirmed: Some(_), ..
                }),
                _,
            ) => {
                return Ok(Outcome::Marked { confirmed: true });
            }
            (Some(_), Mark::Opened) => return Ok(Outcome::Marked { confirmed: false }),
            (_, Mark::Opened) => None,
            (_, Mark::Confirmed) => Some(now),
        };
        let row = MarkRow {
            position: before.map_or(Position(next), |row| row.position),
            opened: before.map_or(now, |row| row.opened),
            confirmed,
        };
        self.statuses.marks.insert((message, user), row);
        let fact = Fact::Marked {
            user: UserNo(user),
            message: Position(message),
            conversation,
            conversation_seq: ConversationSeq(seq),
            mark,
            first: before.is_none(),
        };
        facts.push((fact, None));
        self.note(user, (MARKED, seq, 0), next, delivered);
        let state = match mark {
            Mark::Opened => StatusState::Opened,
            Mark::Confirmed => StatusState::Confirmed,
        };
        let what = (kind(conversation), state);
        self.tell(next, (account, user), what, (seq, seq), Some(message));
        Ok(Outcome::Marked {
            confirmed: confirmed.is_some(),
        })
    }

    pub(super) fn track(
        &mut self,
        account: &UserRef,
        on: bool,
        mut next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Answer {
        let known = self
            .people
            .iter()
            .find(|person| person.hash == account.hash);
        let now = known.is_some_and(|person| self.is_tracked(person.number));
        if now != on {
            let (number, _) = self.meet(account, &mut next, facts);
            self.statuses.tracked.insert(number, on);
            let account = UserNo(number);
            facts.push((Fact::AccountTracked { account, on }, None));
        }
        Ok(Outcome::Done)
    }
}

pub fn rows(model: &Model, rows: &mut Rows) {
    let statuses = &model.statuses;
    if !statuses.tracked.is_empty() {
        let count = statuses.tracked.values().filter(|on| **on).count() as u64;
        put(rows, SettingsKey::Tracked, SettingsRow::Tracked(count));
    }
    for ((message, user), row) in &statuses.marks {
        put(rows, (Position(*message), UserNo(*user)), *row);
    }
    for (account, tracked) in &statuses.tracked {
        let account = UserNo(*account);
        let own = statuses
            .told
            .iter()
            .filter(|told| told.account == account.0);
        if let Some(holes) = statuses.holes.get(&account.0) {
            holes.put(Numbered::Status(account), rows);
        }
        let mut last = StatusNo(0);
        for told in own {
            last = StatusNo(last.0 + 1);
            let Some(row) = told.row else { continue };
            put(rows, (account, last), row);
            if row.message.is_some() {
                continue;
            }
            let place = StatusPlace {
                account,
                receiver: row.receiver,
                kind: row.kind,
                state: row.state,
                up_to: row.conversation_seq,
            };
            let row = StatusTimeRow {
                position: row.position,
                time: row.time,
                first: ConversationSeq(told.first),
            };
            put(rows, place, row);
        }
        let tracked = *tracked;
        put(rows, account, AccountRow { tracked, last });
    }
}
