//! The other half of the naive model: what goes into logs (messages, devices that read them, how far they have read) and what
//! is erased from them.

use std::collections::BTreeMap;

use waybill_core::body::SealedBody;
use waybill_core::command::{ConversationKind, Post, Send, To, UserRef};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Audience, Fact, MessagePosted, MessageSent};
use waybill_core::id::{ConversationSeq, DeviceNo, KeyedHash, Position, Seq, Time, UserNo};
use waybill_core::outcome::{Answer, Outcome, Refusal, Sent};
use waybill_core::policy::UnknownReceiver;
use waybill_core::rules::Delivered;

use super::model::{Body, Device, Entry, Keyed, Model, Reader, Said, Talk};
use super::model_restore::Holes;
use super::model_tend;

/// The most devices that are kept of a user.
const DEVICES: usize = 64;
/// How far a shown time may run ahead.
const AHEAD: u64 = 1_000;

/// The most receivers of one record.
const LISTED: usize = 512;

/// Where a message comes from.
pub struct Place {
    /// The record that delivers it.
    pub position: u64,
    /// The message's position, where that is another one.
    pub message: Option<u64>,
    /// The time of the message's record.
    pub record_time: u64,
}

pub fn name_of(kind: ConversationKind, sender: u64, receiver: u64) -> Conversation {
    match kind {
        ConversationKind::Single => Conversation::Single {
            low: UserNo(sender.min(receiver)),
            high: UserNo(sender.max(receiver)),
        },
        ConversationKind::Notification => Conversation::Notification {
            account: UserNo(sender),
            receiver: UserNo(receiver),
        },
    }
}

fn listed_key(key: [u8; 8], kind: ConversationKind, receiver: u64) -> KeyedHash {
    let kind = match kind {
        ConversationKind::Single => 1,
        ConversationKind::Notification => 2,
    };
    let bytes = [&key[..], &[kind], &receiver.to_be_bytes()[1..]].concat();
    KeyedHash(bytes.try_into().unwrap())
}

impl Model {
    pub(super) fn send(
        &mut self,
        send: &Send,
        record_time: u64,
        mut next: u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) -> Answer {
        if let Some(known) = self.keyed.iter().find(|known| Some(known.key) == send.key) {
            if known.digest != send.digest {
                return Err(Refusal::KeyReused);
            }
            return Ok(Outcome::Sent(Sent {
                repeated: true,
                ..known.first.clone()
            }));
        }
        let to_self = send.sender.hash == send.receiver.hash;
        let refuses = self.policy.unwrap_or_default().unknown_receiver == UnknownReceiver::Refuse;
        if refuses && !to_self && !self.knows(&send.receiver) {
            return Err(Refusal::UnknownReceiver);
        }
        let (sender, _) = self.meet(&send.sender, &mut next, facts);
        let (receiver, new_receiver) = self.meet(&send.receiver, &mut next, facts);
        let name = name_of(send.kind, sender, receiver);
        self.serve_early(&[name], u64::MAX, &mut next, facts, delivered);
        let silent = send.account && self.person(sender).unwrap().devices.is_empty();
        let echo = !to_self && !silent;
        let counts = send.options_off.0 & 8 == 0;
        let said = (send.notification_type, counts);
        let place = Place {
            position: next,
            message: None,
            record_time,
        };
        let sent = self.say(name, (sender, receiver), &place, said, delivered);
        if echo {
            let ahead = sent.time.0 - record_time;
            self.note(sender, (1, sent.conversation_seq.0, ahead), next, delivered);
        }
        facts.push((
            Fact::MessageSent(MessageSent {
                conversation: name,
                sender: UserNo(sender),
                content_type: send.content_type,
                notification_type: send.notification_type,
                options_off: send.options_off,
                echo,
                new_receiver,
                key: send.key,
                digest: send.digest,
                terms: send.terms,
            }),
            Some(send.body.clone()),
        ));
        let sent = Sent {
            new_receiver,
            ..sent
        };
        if let Some(key) = send.key {
            self.keyed.push(Keyed {
                key,
                digest: send.digest,
                first: sent.clone(),
            });
        }
        Ok(Outcome::Sent(sent))
    }

    pub(super) fn post(
        &mut self,
        post: &Post,
        record_time: u64,
        mut next: u64,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
    ) -> Answer {
        let To::Users(receivers) = &post.to else {
            return self.post_wide(post, record_time, next, facts);
        };
        if receivers.is_empty() || receivers.len() > LISTED {
            return Err(Refusal::TooLarge);
        }
        for (index, user) in receivers.iter().enumerate() {
            if receivers[..index]
                .iter()
                .any(|before| before.hash == user.hash)
            {
                return Err(Refusal::NamedTwice);
            }
        }
        let refuses = self.policy.unwrap_or_default().unknown_receiver == UnknownReceiver::Refuse;
        let mut results = Vec::new();
        for user in receivers {
            let known = self.knows(user) || user.hash == post.sender.hash;
            results.push(match self.answered(post, user) {
                _ if refuses && !known => Some(Err(Refusal::UnknownReceiver)),
                earlier => earlier,
            });
        }
        if results.iter().all(Option::is_some) {
            return Ok(Outcome::Posted(results.into_iter().flatten().collect()));
        }
        let (sender, _) = self.meet(&post.sender, &mut next, facts);
        let mut numbers = BTreeMap::new();
        for (place, user) in receivers.iter().enumerate() {
            // Who has it by the same key is known already.
            if results[place].is_none() {
                let (number, new) = self.meet(user, &mut next, facts);
                numbers.insert(number, (place, new));
            }
        }
        let names: Vec<_> = numbers
            .keys()
            .map(|number| name_of(post.kind, sender, *number))
            .collect();
        self.serve_early(&names, u64::MAX, &mut next, facts, delivered);
        let (mut steps, mut new_places, mut before) = (Vec::new(), Vec::new(), 0);
        for (index, (number, (place, new))) in numbers.into_iter().enumerate() {
            steps.push(number - before);
            before = number;
            if new {
                new_places.push(index as u16);
            }
            let said = (post.notification_type, post.options_off.0 & 8 == 0);
            let name = name_of(post.kind, sender, number);
            let at = Place {
                position: next,
                message: None,
                record_time,
            };
            let sent = self.say(name, (sender, number), &at, said, delivered);
            let sent = Sent {
                new_receiver: new,
                ..sent
            };
            if let Some(key) = post.key {
                self.keyed.push(Keyed {
                    key: listed_key(key, post.kind, number),
                    digest: post.digest,
                    first: sent.clone(),
                });
            }
            results[place] = Some(Ok(sent));
        }
        facts.push((
            Fact::MessagePosted(MessagePosted {
                sender: UserNo(sender),
                kind: post.kind,
                content_type: post.content_type,
                notification_type: post.notification_type,
                options_off: post.options_off,
                key: post.key,
                digest: post.digest,
                terms: post.terms,
                audience: Audience::Listed {
                    receivers: steps,
                    new: new_places,
                },
            }),
            Some(post.body.clone()),
        ));
        Ok(Outcome::Posted(results.into_iter().flatten().collect()))
    }

    /// What an earlier message with the same key came to for this user.
    fn answered(&self, post: &Post, user: &UserRef) -> Option<Result<Sent, Refusal>> {
        let person = self.people.iter().find(|person| person.hash == user.hash)?;
        let key = listed_key(post.key?, post.kind, person.number);
        let known = self.keyed.iter().find(|known| known.key == key)?;
        if known.digest != post.digest {
            return Some(Err(Refusal::KeyReused));
        }
        Some(Ok(Sent {
            repeated: true,
            ..known.first.clone()
        }))
    }

    /// Adds a message to a conversation and to its receiver's log.
    pub(super) fn say(
        &mut self,
        name: Conversation,
        (sender, receiver): (u64, u64),
        place: &Place,
        (notification_type, counts): (i32, bool),
        delivered: &mut Vec<Delivered>,
    ) -> Sent {
        let Place {
            position,
            message,
            record_time,
        } = *place;
        if !self.talks.iter().any(|talk| talk.name == name) {
            let readers = match name {
                Conversation::Single { low, high } => vec![low.0, high.0],
                Conversation::Notification { receiver, .. } => vec![receiver.0],
            };
            self.talks.push(Talk {
                name,
                holes: Holes::default(),
                messages: Vec::new(),
                readers: readers
                    .into_iter()
                    .map(|user| (user, Reader::default()))
                    .collect(),
            });
        }
        let mut talks = self.talks.iter_mut();
        let talk = talks.find(|talk| talk.name == name).unwrap();
        let earlier = talk.messages.len() as u64;
        let before = model_tend::counted(talk, earlier);
        let left_out = talk
            .holes
            .leave_out(&self.restores, position, earlier, before);
        for _ in 0..left_out {
            talk.messages.push(Said::hole(talk.messages.last()));
        }
        let mut shown = record_time;
        if let Some(before) = talk.messages.last()
            && before.shown >= shown
        {
            shown = before.shown + 1;
        }
        if shown > record_time + AHEAD {
            shown = record_time + AHEAD;
        }
        talk.messages.push(Said {
            sender,
            position,
            message,
            record_time,
            shown,
            notification_type,
            counts,
            recalled_by: None,
            changed_by: None,
            hole: false,
        });
        let seq = talk.messages.len() as u64;
        if let Conversation::Single { .. } = name {
            let own = talk.readers.get_mut(&sender).unwrap();
            own.touched = true;
            let before = std::mem::replace(&mut own.read, seq);
            self.tell_read(position, name, sender, (before, earlier));
        }
        self.note(receiver, (1, seq, shown - record_time), position, delivered);
        let log = &mut self.person(receiver).unwrap().log;
        log.last_mut().unwrap().message = message;
        Sent {
            position: Position(message.unwrap_or(position)),
            time: Time(shown),
            conversation_seq: ConversationSeq(seq),
            receiver: UserNo(receiver),
            seq: Some(delivered.last().unwrap().seq),
            new_receiver: false,
            repeated: false,
        }
    }

    /// Adds an entry to a user's log: kind, conversation seq, and how far the shown time is ahead.
    pub(super) fn note(
        &mut self,
        user: u64,
        (kind, conversation_seq, ahead): (u8, u64, u64),
        position: u64,
        delivered: &mut Vec<Delivered>,
    ) {
        let restores = self.restores.clone();
        let person = self.person(user).unwrap();
        let log = &mut person.log;
        let control = log.iter().filter(|entry| entry.kind != 1).count() as u64;
        let head = log.len() as u64;
        let left_out = person.holes.leave_out(&restores, position, head, control);
        for _ in 0..left_out {
            log.push(Entry::hole());
        }
        log.push(Entry {
            position,
            message: None,
            kind,
            conversation_seq,
            ahead,
        });
        delivered.push(Delivered {
            user: UserNo(user),
            seq: Seq(log.len() as u64),
        });
    }

    pub(super) fn see_device(
        &mut self,
        user: u64,
        hash: KeyedHash,
        platform: u8,
        body: &SealedBody,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Answer {
        let Some(person) = self.person(user) else {
            return Err(Refusal::UnknownUser);
        };
        if let Some(known) = person.devices.iter().find(|device| device.hash == hash) {
            let device = DeviceNo(known.number);
            return Ok(Outcome::Device { device });
        }
        person.devices_given += 1;
        let number = person.devices_given;
        person.devices.push(Device {
            number,
            hash,
            platform,
            reached: 0,
            heard: next,
        });
        while person.devices.len() > DEVICES {
            // The quietest goes; of several equally quiet ones the oldest. Never the newcomer, whose position is the highest.
            let mut quietest = 0;
            for (index, device) in person.devices.iter().enumerate() {
                if device.heard < person.devices[quietest].heard {
                    quietest = index;
                }
            }
            person.devices.remove(quietest);
        }
        let waybill_core::body::Body::Device { id } =
            waybill_core::codec::decode(&body.bytes).unwrap()
        else {
            panic!("not a device");
        };
        person.device_names.push((number, next, id));
        facts.push((
            Fact::DeviceSeen {
                user: UserNo(user),
                device: DeviceNo(number),
                id: hash,
                platform,
            },
            Some(body.clone()),
        ));
        Ok(Outcome::Device {
            device: DeviceNo(number),
        })
    }

    pub(super) fn erase(
        &mut self,
        whose: u64,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
        erased: &mut Vec<Position>,
    ) -> Answer {
        let line = whose
            .checked_sub(1)
            .and_then(|index| self.ledger.get(index as usize));
        if !line.is_some_and(|line| line.has_body) {
            return Err(Refusal::NothingToErase);
        }
        if self.erased.iter().any(|(known, _)| *known == whose) {
            return Ok(Outcome::Done);
        }
        self.erased.push((whose, next));
        for person in &mut self.people {
            if person.seen_at == whose {
                person.id = None;
            }
            person.profile.take_if(|(position, _)| *position == whose);
            person
                .device_names
                .retain(|(_, position, _)| *position != whose);
        }
        for said in self.talks.iter_mut().flat_map(|talk| &mut talk.messages) {
            if said.position == whose && said.message.is_none() {
                said.changed_by = Some(next);
            }
        }
        erased.push(Position(whose));
        let position = Position(whose);
        facts.push((Fact::BodyErased { position }, None));
        Ok(Outcome::Done)
    }
}
