//! A server, a device, and what is between them, as queues. Each step does one thing, chosen by dice among what may happen next.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use waybill_core::id::{Epoch, Seq, Time};
use waybill_core::wire::{Code, Failure};

use crate::error::Error;
use crate::log_entry::LogEntry;
use crate::message::{Message, lane};
use crate::store::{READ_ENTRIES, Snapshot, Store};
use crate::sync::machine::Machine;
use crate::sync::words::{Event, LinkId, Reached, Wish};
use crate::sync::{Batch, End, Pace};

/// Messages that the device sends.
const MESSAGES: u64 = 6;

/// Entries of a batch.
const BATCH: u64 = 3;

/// Numbers that look random.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

/// What goes wrong, or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is lost, with what is on its way in both directions.
    Lose,
    /// The device's process is killed and started again.
    Crash,
    /// The server refuses the next send for the moment.
    Refuse,
    /// The server says goodbye and wants to be left alone for a while.
    Restart,
    /// The server's history is another one from now on.
    Reset,
    /// The server drops the first entries of the log.
    Trim,
    /// Somebody else sends three messages.
    Append,
    /// The next attempts to connect fail.
    Unreachable,
    /// The next entries, or the next snapshot, are not what they should be.
    Confuse,
}

/// Something on its way.
#[derive(Debug)]
enum Item {
    ToServer(LinkId, Ask),
    ToDevice(Event),
}

#[derive(Debug)]
enum Ask {
    Connect,
    Send(u64, Box<Message>),
    Acknowledge(Seq),
    Snapshot(Reached),
}

#[derive(Debug)]
struct Server {
    epoch: Epoch,
    floor: u64,
    /// The clientMsgIDs of the device's log, from seq 1 on.
    log: Vec<String>,
    /// What each key was answered with.
    keys: BTreeMap<String, usize>,
    acknowledged: u64,
    refuse: usize,
    unreachable: usize,
    confused: usize,
}

pub struct World {
    dice: Dice,
    now: u64,
    server: Server,
    store: Store,
    machine: Machine,
    /// The connection that the server has, and what it was asked to deliver from.
    link: Option<(LinkId, Option<u64>)>,
    /// Each connection's own order is kept; the store has its own.
    network: VecDeque<Item>,
    disk: VecDeque<Event>,
    to_enqueue: VecDeque<Message>,
    end: Option<End>,
    resets: u64,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .field("server", &self.server)
            .field("position", &self.store.position())
            .field("link", &self.link)
            .field("network", &self.network)
            .field("disk", &self.disk)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

fn epoch(number: u64) -> Epoch {
    Epoch([number as u8; 16])
}

fn pace() -> Pace {
    Pace {
        backoff: Duration::from_millis(10),
        backoff_most: Duration::from_millis(100),
        acknowledge_after: Duration::from_millis(5),
        acknowledge_entries: 4,
        sends: 3,
        ..Pace::default()
    }
}

fn machine(store: &Store, seed: u64) -> Machine {
    let outbox = store.to_send().unwrap();
    Machine::new(pace(), 2, 0, true, store.position(), outbox, seed)
}

impl World {
    pub fn new(seed: u64) -> Self {
        let store = Store::in_memory("ann", "phone").unwrap();
        let server = Server {
            epoch: epoch(1),
            floor: 1,
            log: (0..8).map(|number| format!("old-{number}")).collect(),
            keys: BTreeMap::new(),
            acknowledged: 0,
            refuse: 0,
            unreachable: 0,
            confused: 0,
        };
        let to_enqueue = (0..MESSAGES)
            .map(|number| Message::text("ann", &number.to_string()).key(format!("mine-{number}")));
        let mut world = Self {
            dice: Dice(seed),
            now: 0,
            server,
            machine: machine(&store, seed),
            store,
            link: None,
            network: VecDeque::new(),
            disk: VecDeque::new(),
            to_enqueue: to_enqueue.collect(),
            end: None,
            resets: 0,
        };
        world.tell(Event::Tick);
        world
    }

    fn tell(&mut self, event: Event) {
        self.machine.handle(self.now, event);
        for wish in self.machine.wishes() {
            self.perform(wish);
        }
    }

    fn perform(&mut self, wish: Wish) {
        match wish {
            Wish::Connect { link, .. } => self.ask(link, Ask::Connect),
            Wish::Drop { link } => {
                if self.link.is_some_and(|(now, _)| now == link) {
                    self.link = None;
                }
            }
            Wish::Follow { link, after } => {
                if let Some((now, from)) = &mut self.link
                    && *now == link
                {
                    *from = Some(after.0);
                }
            }
            Wish::Store(batch) => {
                let position = self.store.append(batch.head, &batch.entries).unwrap();
                self.disk.push_back(Event::Stored(position));
            }
            Wish::Begin { epoch, head } => {
                let position = self.store.begin(epoch, head).unwrap();
                self.disk.push_back(Event::Stored(position));
            }
            Wish::Snapshot { link, reached } => self.ask(link, Ask::Snapshot(reached)),
            Wish::Skip { head, snapshot } => {
                let position = self.store.skip(head, &snapshot).unwrap();
                self.disk.push_back(Event::Stored(position));
            }
            Wish::Send { link, id } => match self.store.outgoing(id).unwrap() {
                Some(message) => self.ask(link, Ask::Send(id, Box::new(message.into()))),
                None => self.disk.push_back(Event::Gone(id)),
            },
            Wish::Settle { id, refusal } => {
                assert_eq!(refusal, None, "nothing is refused for good");
                let _ = self.store.sent(id).unwrap();
            }
            Wish::Acknowledge { link, seq } => self.ask(link, Ask::Acknowledge(seq)),
            Wish::Remember { .. } | Wish::Tell(_) => {}
            Wish::End(end) => self.end = Some(end),
        }
    }

    fn ask(&mut self, link: LinkId, ask: Ask) {
        self.network.push_back(Item::ToServer(link, ask));
    }

    /// One thing happens. False when nothing can but the passing of time, and nothing is owed.
    pub fn step(&mut self) -> bool {
        let mut choices = Vec::new();
        choices.extend((!self.network.is_empty()).then_some(0));
        choices.extend((!self.disk.is_empty()).then_some(1));
        choices.extend((!self.to_enqueue.is_empty()).then_some(2));
        choices.extend(self.deliverable().then_some(3));
        if choices.is_empty() {
            return self.pass_time();
        }
        match choices[self.dice.below(choices.len())] {
            0 => match self.network.pop_front() {
                Some(Item::ToServer(link, ask)) => self.serve(link, ask),
                Some(Item::ToDevice(event)) => self.tell(event),
                None => {}
            },
            1 => {
                let event = self.disk.pop_front().unwrap();
                self.tell(event);
            }
            2 => {
                let message = self.to_enqueue.pop_front().unwrap().into_outgoing();
                let id = self.store.enqueue(&message, 0).unwrap();
                self.tell(Event::Queued(id, lane(&message)));
            }
            _ => self.deliver(),
        }
        true
    }

    fn pass_time(&mut self) -> bool {
        let Some(at) = self.machine.wake() else {
            return false;
        };
        self.now = at.max(self.now + 1);
        let caught_up = self.store.shown().0 == self.server.log.len() as u64
            && self.server.acknowledged == self.store.shown().0
            && self.store.to_send().unwrap().is_empty();
        self.tell(Event::Tick);
        !caught_up || !self.network.is_empty()
    }

    /// Whether the server has something for a device that will take it.
    fn deliverable(&self) -> bool {
        let Some((link, Some(from))) = self.link else {
            return false;
        };
        self.machine.reads() == Some(link) && from < self.server.log.len() as u64
    }

    fn deliver(&mut self) {
        let Some((link, Some(from))) = self.link else {
            return;
        };
        if from + 1 < self.server.floor || from > self.server.log.len() as u64 {
            let code = if from + 1 < self.server.floor {
                Code::TOO_OLD
            } else {
                Code::AHEAD
            };
            let error = Error::Refused(Failure::new(code, ""));
            return self.tell(Event::Trouble(link, error));
        }
        let until = (from + BATCH).min(self.server.log.len() as u64);
        let entries = (from + 1..=until).map(|seq| {
            let id = &self.server.log[seq as usize - 1];
            LogEntry::read(format!(r#"{{"seq":{seq},"kind":1,"time":1,"id":"{id}"}}"#)).unwrap()
        });
        let mut batch = Batch {
            epoch: self.server.epoch,
            head: Seq(self.server.log.len() as u64),
            entries: entries.collect(),
        };
        if self.is_confused() {
            let last = batch.entries.len() - 1;
            let entry = &mut batch.entries[self.dice.below(last + 1)];
            match self.dice.below(4) {
                0 => entry.seq = Seq(entry.seq.0 - 1),
                1 => entry.time = Time(u64::MAX),
                // What is not there at all nobody can miss.
                2 if last > 0 => drop(batch.entries.remove(0)),
                _ => entry.seq = Seq(u64::MAX),
            }
        }
        self.link = Some((link, Some(until)));
        self.tell(Event::Batch(link, batch));
    }

    fn is_confused(&mut self) -> bool {
        let confused = self.server.confused > 0;
        self.server.confused -= usize::from(confused);
        confused
    }

    fn answer(&mut self, event: Event) {
        self.network.push_back(Item::ToDevice(event));
    }

    fn serve(&mut self, link: LinkId, ask: Ask) {
        if let Ask::Connect = ask {
            if self.server.unreachable > 0 {
                self.server.unreachable -= 1;
                let error = Error::Lost("unreachable".to_owned());
                return self.answer(Event::Trouble(link, error));
            }
            self.link = Some((link, None));
            let reached = Reached {
                epoch: self.server.epoch,
                floor: Seq(self.server.floor),
                head: Seq(self.server.log.len() as u64),
            };
            return self.answer(Event::Connected(link, reached));
        }
        if self.link.is_none_or(|(now, _)| now != link) {
            // The connection is gone, and the request with it. Whoever asked hears of it.
            let lost = Error::Lost("gone".to_owned());
            let event = match ask {
                Ask::Connect => return,
                Ask::Send(id, _) => Event::Answered(link, id, Some(lost)),
                Ask::Acknowledge(seq) => Event::Acknowledged(link, seq, Some(lost)),
                Ask::Snapshot(_) => Event::NoSnapshot(link, lost),
            };
            return self.answer(event);
        }
        match ask {
            Ask::Connect => {}
            Ask::Send(id, message) => self.take(link, id, *message),
            Ask::Acknowledge(seq) => {
                let stored = self.store.position().cursor;
                assert!(seq <= stored, "only what is stored is acknowledged");
                self.server.acknowledged = self.server.acknowledged.max(seq.0);
                self.answer(Event::Acknowledged(link, seq, None));
            }
            Ask::Snapshot(reached) => {
                let mut snapshot = Snapshot {
                    epoch: self.server.epoch,
                    seq: Seq(self.server.log.len() as u64),
                    conversations: vec!["{}".to_owned()],
                };
                if self.is_confused() {
                    let wrong = [0, reached.floor.0 - 2, u64::MAX];
                    snapshot.seq = Seq(wrong[self.dice.below(wrong.len())]);
                }
                self.answer(Event::Snapshot(link, reached, snapshot));
            }
        }
    }

    fn take(&mut self, link: LinkId, id: u64, message: Message) {
        if self.server.refuse > 0 {
            self.server.refuse -= 1;
            let busy = Failure::new(Code::BUSY, "").retry_after_ms(20);
            return self.answer(Event::Answered(link, id, Some(Error::Refused(busy))));
        }
        let key = message.into_outgoing().key;
        if !self.server.keys.contains_key(&key) {
            self.server.log.push(key.clone());
            self.server.keys.insert(key, self.server.log.len());
        }
        self.answer(Event::Answered(link, id, None));
    }

    /// Something goes wrong, now.
    pub fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Lose => self.lose(Error::Lost("lost".to_owned())),
            Fault::Crash => {
                self.link = None;
                self.network.clear();
                self.disk.clear();
                self.machine = machine(&self.store, self.now);
                self.now = 0;
                self.tell(Event::Tick);
            }
            Fault::Refuse => self.server.refuse += 1,
            Fault::Restart => self.lose(Error::Ended {
                code: Code::STOPPING,
                reason: String::new(),
                retry_after_ms: 500,
            }),
            Fault::Reset => {
                self.resets += 1;
                self.server.epoch = epoch(1 + self.resets);
                self.server.floor = 1;
                self.server.acknowledged = 0;
                let kept = self.server.log.len() / 2;
                let gone = self.server.log.split_off(kept);
                // A backup does not have the keys either.
                for key in gone {
                    self.server.keys.remove(&key);
                }
                self.lose(Error::Lost("another server".to_owned()));
            }
            Fault::Trim => self.server.floor = self.server.log.len() as u64 / 2 + 1,
            Fault::Append => {
                for _ in 0..3 {
                    let number = self.server.log.len();
                    self.server.log.push(format!("late-{number}"));
                }
            }
            Fault::Unreachable => self.server.unreachable += 3,
            Fault::Confuse => self.server.confused += 1,
        }
    }

    fn lose(&mut self, error: Error) {
        let Some((link, _)) = self.link.take() else {
            return;
        };
        // What was on its way from the server is lost too; a connection that is being made is not this one.
        let of_link = |item: &Item| match item {
            Item::ToDevice(Event::Connected(of, _) | Event::Answered(of, ..)) => *of == link,
            Item::ToDevice(Event::Acknowledged(of, ..)) => *of == link,
            _ => false,
        };
        self.network.retain(|item| !of_link(item));
        self.tell(Event::Trouble(link, error));
    }

    /// Everything is as it should be.
    pub fn check(&self, told: &str) {
        assert_eq!(self.end, None, "{told}: {self:?}");
        let position = self.store.position();
        assert_eq!(position.epoch, Some(self.server.epoch), "{told}: {self:?}");
        assert!(!position.building, "{told}: {self:?}");
        let entries = self.store.entries(Seq(0), READ_ENTRIES).unwrap();
        let gaps = self.store.gaps().unwrap();
        let missing = |seq: u64| {
            gaps.iter()
                .any(|gap| (gap.after.0 + 1..=gap.until.0).contains(&seq))
        };
        let mut there = entries.iter();
        for (at, id) in self.server.log.iter().enumerate() {
            let seq = at as u64 + 1;
            if missing(seq) {
                continue;
            }
            let entry = there
                .next()
                .unwrap_or_else(|| panic!("{told}: {seq} is missing: {self:?}"));
            assert_eq!(entry.seq.0, seq, "{told}: {self:?}");
            assert!(
                entry.json().contains(id),
                "{told}: {} at {seq}",
                entry.json()
            );
        }
        assert_eq!(there.next(), None, "{told}: more than the server has");
        assert!(self.store.outbox().unwrap().is_empty(), "{told}: {self:?}");
        let mine = self.server.log.iter().filter(|id| id.starts_with("mine-"));
        assert!(
            self.resets > 0 || mine.is_sorted(),
            "{told}: in their order: {self:?}"
        );
        for number in 0..MESSAGES {
            let key = format!("mine-{number}");
            let times = self.server.log.iter().filter(|id| **id == key).count();
            // What a backup had lost may be gone; nothing is ever there twice.
            let least = usize::from(self.resets == 0);
            assert!(
                (least..=1).contains(&times),
                "{told}: {key} is there {times} times"
            );
        }
    }
}
