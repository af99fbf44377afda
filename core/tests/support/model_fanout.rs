//! The fourth part of the naive model: audiences, and messages on their way to many. It knows the receivers of each message from
//! the start, as a list.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use waybill_core::body::{Body as Said, SealedBody};
use waybill_core::command::{Post, To, UserRef};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Audience, Fact, MessagePosted, RecalledPlace, Withdrawal};
use waybill_core::id::{AudienceNo, ConversationSeq, KeyedHash, Opening, Position, Time, UserNo};
use waybill_core::outcome::{Answer, Outcome, Refusal, Sent};
use waybill_core::policy::UnknownReceiver;
use waybill_core::rules::Delivered;

use super::model::{Body, Fanout, Keyed, List, Model};
use super::model_log::{Place, name_of};

/// The longest step of a recall; chunks are longer.
const RECALLED: usize = 250;

fn steps(numbers: &[u64]) -> Vec<u64> {
    let mut before = 0;
    let mut steps = Vec::new();
    for number in numbers {
        steps.push(number - before);
        before = *number;
    }
    steps
}

impl Model {
    pub(super) fn begin_list(
        &mut self,
        name: KeyedHash,
        by: u64,
        body: &SealedBody,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Outcome {
        self.lists.push(List {
            name,
            by,
            begun: next,
            lines: 0,
            members: BTreeMap::new(),
            refused: Vec::new(),
            complete: None,
        });
        let audience = AudienceNo(self.lists.len() as u64);
        facts.push((Fact::AudienceBegun { audience, name }, Some(body.clone())));
        Outcome::Audience { audience }
    }

    fn list(&mut self, audience: u64) -> Option<&mut List> {
        self.lists.get_mut(audience.checked_sub(1)? as usize)
    }

    pub(super) fn fill(
        &mut self,
        audience: u64,
        line: u64,
        users: &[UserRef],
        opening: Opening,
        mut next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Answer {
        let refuses = self.policy.unwrap_or_default().unknown_receiver == UnknownReceiver::Refuse;
        let Some(list) = self.list(audience) else {
            return Err(Refusal::UnknownAudience);
        };
        if list.complete.is_some() {
            return Err(Refusal::AudienceState);
        }
        if users.is_empty() {
            return Err(Refusal::TooLarge);
        }
        if list.lines != line {
            return Err(Refusal::Stale);
        }
        let (mut named, mut ids) = (Vec::new(), Vec::new());
        for user in users {
            if refuses && !self.knows(user) {
                ids.push(user.id.clone());
            } else {
                named.push(self.meet(user, &mut next, facts).0);
            }
        }
        let list = self.list(audience).unwrap();
        let mut new: Vec<u64> = Vec::new();
        for number in named {
            if let Entry::Vacant(slot) = list.members.entry(number) {
                slot.insert(next);
                new.push(number);
            }
        }
        new.sort_unstable();
        list.lines += users.len() as u64;
        let audience = AudienceNo(audience);
        let filled = Fact::AudienceFilled {
            audience,
            lines: users.len() as u32,
            members: steps(&new),
        };
        facts.push((filled, None));
        if !ids.is_empty() {
            let count = ids.len() as u32;
            list.refused.push((next + 1, count));
            let body = Said::Refused { ids }.seal(opening);
            facts.push((Fact::ReceiversRefused { audience, count }, Some(body)));
        }
        let counts = list.refused.iter().map(|(_, count)| u64::from(*count));
        Ok(Outcome::Filled {
            lines: list.lines,
            members: list.members.len() as u64,
            refused: counts.sum(),
        })
    }

    pub(super) fn commit(
        &mut self,
        audience: u64,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Answer {
        let Some(list) = self.list(audience) else {
            return Err(Refusal::UnknownAudience);
        };
        if list.complete.is_none() {
            list.complete = Some(next);
            let audience = AudienceNo(audience);
            facts.push((Fact::AudienceCommitted { audience }, None));
        }
        Ok(Outcome::Done)
    }

    pub(super) fn post_wide(
        &mut self,
        post: &Post,
        record_time: u64,
        mut next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Answer {
        let key = post.key.map(|key| {
            let bytes = [&key[..], &[3, 0, 0, 0, 0, 0, 0, 0]].concat();
            KeyedHash(bytes.try_into().unwrap())
        });
        if let Some(known) = self.keyed.iter().find(|known| Some(known.key) == key) {
            if known.digest != post.digest {
                return Err(Refusal::KeyReused);
            }
            return Ok(Outcome::Begun {
                position: known.first.position,
                time: known.first.time,
                repeated: true,
            });
        }
        let members = match &post.to {
            To::Audience(audience) => match self.list(audience.0) {
                None => return Err(Refusal::UnknownAudience),
                Some(list) if list.complete.is_none() => return Err(Refusal::AudienceState),
                Some(list) => list.members.keys().copied().collect(),
            },
            _ => Vec::new(),
        };
        let (sender, _) = self.meet(&post.sender, &mut next, facts);
        let (mut receivers, audience) = self.receivers(&post.to, members);
        receivers.retain(|receiver| *receiver != sender);
        receivers.sort_unstable();
        self.fanouts.push(Fanout {
            position: next,
            record_time,
            sender,
            kind: post.kind,
            notification_type: post.notification_type,
            counts: post.options_off.0 & 8 == 0,
            receivers,
            served: BTreeMap::new(),
            early: Vec::new(),
            chunks: Vec::new(),
            next: 1,
            cut: None,
            withdrawn: None,
            recalled: 0,
            runs: true,
        });
        let (position, time) = (Position(next), Time(record_time));
        if let Some(key) = key {
            let first = Sent {
                position,
                time,
                conversation_seq: ConversationSeq(0),
                receiver: UserNo(0),
                seq: None,
                new_receiver: false,
                repeated: false,
            };
            self.keyed.push(Keyed {
                key,
                digest: post.digest,
                first,
            });
        }
        let fact = Fact::MessagePosted(MessagePosted {
            sender: UserNo(sender),
            kind: post.kind,
            content_type: post.content_type,
            notification_type: post.notification_type,
            options_off: post.options_off,
            key: post.key,
            digest: post.digest,
            audience,
            terms: post.terms,
        });
        facts.push((fact, Some(post.body.clone())));
        Ok(Outcome::Begun {
            position,
            time,
            repeated: false,
        })
    }

    fn receivers(&self, to: &To, members: Vec<u64>) -> (Vec<u64>, Audience) {
        let last = UserNo(self.people.len() as u64);
        let everybody = self.people.iter();
        match to {
            To::Audience(audience) => {
                let count = members.len() as u64;
                let audience = *audience;
                (members, Audience::Members { audience, count })
            }
            To::Seen => {
                let numbers = everybody.map(|person| person.number);
                (numbers.collect(), Audience::Seen { last })
            }
            _ => {
                let registered = everybody.filter(|person| person.is_registered());
                let numbers = registered.map(|person| person.number);
                (numbers.collect(), Audience::Registered { last })
            }
        }
    }

    /// Delivers a message that is on its way to some of its receivers.
    fn serve(
        &mut self,
        at: usize,
        receivers: &[u64],
        position: u64,
        delivered: &mut Vec<Delivered>,
    ) {
        for receiver in receivers {
            let fanout = &mut self.fanouts[at];
            let twice = fanout.served.insert(*receiver, position);
            assert_eq!(twice, None, "served twice");
            let name = name_of(fanout.kind, fanout.sender, *receiver);
            let place = Place {
                position,
                message: Some(fanout.position),
                record_time: fanout.record_time,
            };
            let said = (fanout.notification_type, fanout.counts);
            let sender = fanout.sender;
            self.say(name, (sender, *receiver), &place, said, delivered);
        }
    }

    /// Who is spoken to in these conversations gets first what is on its way to them there.
    pub(super) fn serve_early(
        &mut self,
        names: &[Conversation],
        before: u64,
        next: &mut u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) {
        for at in 0..self.fanouts.len() {
            let fanout = &self.fanouts[at];
            let waiting = fanout.receivers.iter().copied().filter(|receiver| {
                let name = name_of(fanout.kind, fanout.sender, *receiver);
                fanout.runs
                    && fanout.position < before
                    && fanout.cut.is_none()
                    && names.contains(&name)
                    && !fanout.served.contains_key(receiver)
            });
            let receivers: Vec<u64> = waiting.collect();
            if receivers.is_empty() {
                continue;
            }
            self.serve(at, &receivers, *next, delivered);
            let fanout = &mut self.fanouts[at];
            fanout.early.extend(&receivers);
            let fact = Fact::Delivered {
                message: Position(fanout.position),
                receivers: steps(&receivers),
                next: UserNo(0),
                early: true,
            };
            facts.push((fact, None));
            *next += 1;
        }
    }

    pub(super) fn fanout_next(
        &mut self,
        message: u64,
        from: u64,
        mut position: u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) -> Answer {
        let running = |fanout: &Fanout| fanout.runs && fanout.position == message;
        let Some(at) = self.fanouts.iter().position(running) else {
            return Err(Refusal::Stale);
        };
        let sender = self.fanouts[at].sender;
        let mut earlier = self.fanouts[..at].iter();
        let waits = earlier.any(|fanout| fanout.sender == sender && fanout.runs);
        if waits || self.fanouts[at].next != from {
            return Err(Refusal::Stale);
        }
        let fanout = &self.fanouts[at];
        // In these tests there are never more users than one step has room for.
        assert!(fanout.receivers.len() < RECALLED);
        let (message, next) = (Position(message), UserNo(0));
        let (fact, served) = if fanout.cut.is_some() {
            let places = self.recall_from_all(at, position, delivered);
            let count = places.len() as u32;
            self.fanouts[at].recalled += u64::from(count);
            let fact = Fact::MessageRecalled {
                why: Withdrawal::Recalled,
                message,
                echo: false,
                places,
                next: Some(next),
            };
            (fact, count)
        } else {
            let mut receivers = fanout.receivers.clone();
            receivers.retain(|receiver| !fanout.served.contains_key(receiver));
            let names: Vec<_> = receivers
                .iter()
                .map(|receiver| name_of(fanout.kind, fanout.sender, *receiver))
                .collect();
            self.serve_early(&names, message.0, &mut position, facts, delivered);
            self.serve(at, &receivers, position, delivered);
            let last = receivers.last().map(|last| (*last, position));
            self.fanouts[at].chunks.extend(last);
            let fact = Fact::Delivered {
                message,
                receivers: steps(&receivers),
                next,
                early: false,
            };
            (fact, receivers.len() as u32)
        };
        let fanout = &mut self.fanouts[at];
        (fanout.runs, fanout.next) = (false, 0);
        facts.push((fact, None));
        Ok(Outcome::Progress { next, served })
    }

    fn recall_from_all(
        &mut self,
        at: usize,
        position: u64,
        delivered: &mut Vec<Delivered>,
    ) -> Vec<RecalledPlace> {
        let fanout = &self.fanouts[at];
        let mut served: Vec<(Conversation, u64)> = fanout
            .served
            .keys()
            .map(|user| (name_of(fanout.kind, fanout.sender, *user), *user))
            .collect();
        served.sort_unstable();
        let mut places = Vec::new();
        for (_, user) in served {
            places.extend(self.recall_one(at, user, position, delivered));
        }
        places
    }

    fn recall_one(
        &mut self,
        at: usize,
        user: u64,
        position: u64,
        delivered: &mut Vec<Delivered>,
    ) -> Option<RecalledPlace> {
        let fanout = &self.fanouts[at];
        let name = name_of(fanout.kind, fanout.sender, user);
        let by = fanout.served[&user];
        let talk = self.talks.iter().position(|talk| talk.name == name)?;
        let messages = &self.talks[talk].messages;
        let seq = messages.iter().position(|said| said.position == by)? as u64 + 1;
        self.recall_at(talk, seq, user, position, delivered)
    }

    /// A recall of a message that is or was on its way to many.
    pub(super) fn recall_wide(
        &mut self,
        message: u64,
        receiver: Option<u64>,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) -> Answer {
        let mut fanouts = self.fanouts.iter();
        let at = fanouts
            .position(|fanout| fanout.position == message)
            .unwrap();
        let fanout = &mut self.fanouts[at];
        let Some(receiver) = receiver else {
            if fanout.cut.is_none() {
                fanout.cut = Some(fanout.next);
                fanout.withdrawn = Some(next);
                (fanout.runs, fanout.next) = (true, 1);
                let message = Position(message);
                let why = Withdrawal::Recalled;
                facts.push((Fact::FanoutRecalled { message, why }, None));
            }
            return Ok(Outcome::Recalled { receivers: 0 });
        };
        if !fanout.served.contains_key(&receiver) {
            let owed = fanout.cut.is_none() && fanout.receivers.contains(&receiver);
            return Err(if owed {
                Refusal::Underway
            } else {
                Refusal::UnknownMessage
            });
        }
        let place = self.recall_one(at, receiver, next, delivered);
        let receivers = place.iter().len() as u32;
        if place.is_some() {
            let fact = Fact::MessageRecalled {
                why: Withdrawal::Recalled,
                message: Position(message),
                echo: false,
                places: place.into_iter().collect(),
                next: None,
            };
            facts.push((fact, None));
        }
        Ok(Outcome::Recalled { receivers })
    }
}
