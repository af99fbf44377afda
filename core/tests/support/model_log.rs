//! The other half of the naive model: what goes into logs (messages, devices that read them, how far they have read) and what
//! is erased from them.

use std::collections::BTreeMap;

use waybill_core::body::SealedBody;
use waybill_core::command::{ConversationKind, Send};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Fact, MessageSent, PackedCursor};
use waybill_core::id::{ConversationSeq, DeviceNo, KeyedHash, Position, Seq, Time, UserNo};
use waybill_core::outcome::{Answer, Outcome, Refusal, Sent};
use waybill_core::policy::UnknownReceiver;
use waybill_core::rules::Delivered;

use super::model::{Body, Device, Entry, Keyed, Model, Said, Talk};

/// The most devices that are kept of a user.
const DEVICES: usize = 64;
/// How far a shown time may run ahead.
const AHEAD: u64 = 1_000;

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
        let name = match send.kind {
            ConversationKind::Single => Conversation::Single {
                low: UserNo(sender.min(receiver)),
                high: UserNo(sender.max(receiver)),
            },
            ConversationKind::Notification => Conversation::Notification {
                account: UserNo(sender),
                receiver: UserNo(receiver),
            },
        };
        let silent = send.account && self.person(sender).unwrap().devices.is_empty();
        let echo = !to_self && !silent;
        let said = self.say(name, next, record_time);
        let (conversation_seq, shown) = said;
        let mut readers = vec![receiver];
        if echo {
            readers.push(sender);
        }
        for reader in &readers {
            let log = &mut self.person(*reader).unwrap().log;
            log.push(Entry {
                position: next,
                conversation_seq,
                ahead: shown - record_time,
            });
            delivered.push(Delivered {
                user: UserNo(*reader),
                seq: Seq(log.len() as u64),
            });
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
            }),
            Some(send.body.clone()),
        ));
        let sent = Sent {
            position: Position(next),
            time: Time(shown),
            conversation_seq: ConversationSeq(conversation_seq),
            receiver: UserNo(receiver),
            seq: Some(delivered[0].seq),
            new_receiver,
            repeated: false,
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

    /// Adds a message to a conversation: its place there and the time shown on it.
    fn say(&mut self, name: Conversation, position: u64, record_time: u64) -> (u64, u64) {
        if !self.talks.iter().any(|talk| talk.name == name) {
            self.talks.push(Talk {
                name,
                messages: Vec::new(),
            });
        }
        let talk = self
            .talks
            .iter_mut()
            .find(|talk| talk.name == name)
            .unwrap();
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
            position,
            record_time,
            shown,
            erased_by: None,
        });
        (talk.messages.len() as u64, shown)
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

    pub(super) fn reach(
        &mut self,
        cursors: &[(UserNo, DeviceNo, Seq)],
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Outcome {
        // What may be believed, whatever the order, and of that the furthest of each device.
        let mut furthest = BTreeMap::new();
        for (user, device, seq) in cursors {
            let head = self.person(user.0).map_or(0, |person| person.log.len());
            if seq.0 > head as u64 {
                continue;
            }
            let known = furthest.entry((user.0, device.0)).or_insert(0);
            *known = seq.0.max(*known);
        }
        let mut packed = Vec::new();
        let mut before = 0;
        for ((user, number), seq) in furthest {
            let Some(person) = self.person(user) else {
                continue;
            };
            let device = person
                .devices
                .iter_mut()
                .find(|device| device.number == number);
            if let Some(device) = device
                && seq > device.reached
            {
                device.reached = seq;
                device.heard = next;
                packed.push(PackedCursor {
                    user_step: user - before,
                    device: DeviceNo(number),
                    seq: Seq(seq),
                });
                before = user;
            }
        }
        if !packed.is_empty() {
            facts.push((Fact::Reached { cursors: packed }, None));
        }
        Outcome::Done
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
            if person.registered_at == Some(whose) {
                person.profile = None;
            }
            person
                .device_names
                .retain(|(_, position, _)| *position != whose);
        }
        for said in self.talks.iter_mut().flat_map(|talk| &mut talk.messages) {
            if said.position == whose {
                said.erased_by = Some(next);
            }
        }
        erased.push(Position(whose));
        let position = Position(whose);
        facts.push((Fact::BodyErased { position }, None));
        Ok(Outcome::Done)
    }
}
