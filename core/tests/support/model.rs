//! The naive model: what each command must come to, written from the design with plain lists and no index, and without a call
//! into the rules. It is slow and obvious on purpose.

use std::collections::BTreeMap;

use waybill_core::body::{Profile, SealedBody};
use waybill_core::command::{Ask, Stamped, Unknown, UserRef};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{ConversationKind, Fact, Revoked};
use waybill_core::id::{Digest, Epoch, KeyedHash, Position, Time, UserNo};
use waybill_core::limits::MAX_ENDED;
use waybill_core::outcome::{Answer, Outcome, Refusal, Sent};
use waybill_core::policy::Policy;
use waybill_core::record::Record;
use waybill_core::rules::{Changed, Delivered};

use super::model_restore::{Holes, Restored};
use super::model_status::Statuses;

/// What a step must be.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    pub answer: Answer,
    /// Encoded records and the stored values of their bodies.
    pub records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub delivered: Vec<Delivered>,
    pub erased: Vec<Position>,
    pub changed: Vec<Changed>,
}

/// Everything there is to know, and how it came about.
#[derive(Default)]
pub struct Model {
    pub epoch: Option<Epoch>,
    pub policy: Option<Policy>,
    pub ledger: Vec<Line>,
    pub people: Vec<Person>,
    pub tokens: Vec<Token>,
    pub talks: Vec<Talk>,
    pub keyed: Vec<Keyed>,
    /// (whose body, by which record).
    pub erased: Vec<(u64, u64)>,
    pub lists: Vec<List>,
    pub fanouts: Vec<Fanout>,
    pub statuses: Statuses,
    pub restores: Vec<Restored>,
}

pub struct Line {
    pub time: u64,
    pub fact: Fact,
    pub bytes: Vec<u8>,
    pub has_body: bool,
}

pub struct Person {
    pub number: u64,
    pub hash: KeyedHash,
    pub seen_at: u64,
    /// The id, while its body exists.
    pub id: Option<String>,
    /// The first registration.
    pub registered_at: Option<u64>,
    /// Where it ended and began again, in turn.
    pub turns: Vec<u64>,
    /// The profile and its record, while its body exists.
    pub profile: Option<(u64, Profile)>,
    pub devices_given: u32,
    pub devices: Vec<Device>,
    /// How far any device ever came.
    pub furthest: u64,
    /// Every name ever given whose body exists: (number, position, id).
    pub device_names: Vec<(u32, u64, String)>,
    pub all_cut: u64,
    pub platform_cuts: BTreeMap<u8, u64>,
    pub log: Vec<Entry>,
    /// The first entry that is shown.
    pub floor: u64,
    pub holes: Holes,
}

#[derive(Clone)]
pub struct Device {
    pub number: u32,
    pub hash: KeyedHash,
    pub platform: u8,
    pub reached: u64,
    pub heard: u64,
}

pub struct Entry {
    pub position: u64,
    /// The message's position, where that is another one.
    pub message: Option<u64>,
    /// As in chain hashes: 1 for a message.
    pub kind: u8,
    pub conversation_seq: u64,
    pub ahead: u64,
}

pub struct Token {
    pub hash: KeyedHash,
    pub position: u64,
    pub user: u64,
    pub platform: u8,
    pub expires: Time,
    /// Revoked by name, at this position.
    pub revoked: Option<u64>,
    /// Revoked in any way.
    pub dead: bool,
}

pub struct Talk {
    pub name: Conversation,
    pub holes: Holes,
    pub messages: Vec<Said>,
    /// What each of its readers makes of it.
    pub readers: BTreeMap<u64, Reader>,
}

pub struct Said {
    pub sender: u64,
    /// The record that delivered it.
    pub position: u64,
    /// The message's position, where that is another one.
    pub message: Option<u64>,
    pub record_time: u64,
    pub shown: u64,
    pub notification_type: i32,
    /// Whether it counts as unread until it is read.
    pub counts: bool,
    pub recalled_by: Option<u64>,
    /// The last record that erased or recalled it.
    pub changed_by: Option<u64>,
    /// Whether this is no message, but a place that was left out.
    pub hole: bool,
}

#[derive(Default)]
pub struct Reader {
    /// Whether anything was ever said of this reader here.
    pub touched: bool,
    pub read: u64,
    pub cleared: u64,
    pub pinned: bool,
    pub receive_option: u8,
    pub hidden_at: u64,
    /// Messages that are gone for this reader, or were unread when they were recalled.
    pub gone: BTreeMap<u64, Gone>,
    /// The last record that changed the settings.
    pub set_by: u64,
}

pub struct Gone {
    pub by: u64,
    /// Whether it was unread when it went.
    pub was_unread: bool,
    pub by_reader: bool,
}

impl Talk {
    pub fn other(&self, user: u64) -> u64 {
        let (Conversation::Single {
            low: one,
            high: other,
        }
        | Conversation::Notification {
            account: one,
            receiver: other,
        }) = self.name;
        if user == one.0 { other.0 } else { one.0 }
    }

    /// The messages that this reader has not read and still could, by their places from 1.
    pub fn unread(&self, user: u64) -> Vec<u64> {
        let reader = &self.readers[&user];
        let mut unread = Vec::new();
        for (seq, said) in (1..).zip(&self.messages) {
            let gone = reader.gone.contains_key(&seq) || said.recalled_by.is_some();
            if seq > reader.read && said.counts && !gone {
                unread.push(seq);
            }
        }
        unread
    }
}

pub struct Keyed {
    pub key: KeyedHash,
    pub digest: Digest,
    pub first: Sent,
}

/// A generation of an audience.
pub struct List {
    pub name: KeyedHash,
    pub by: u64,
    pub begun: u64,
    pub lines: u64,
    /// Members, and by which record.
    pub members: BTreeMap<u64, u64>,
    /// (by which record, how many).
    pub refused: Vec<(u64, u32)>,
    pub complete: Option<u64>,
}

/// A message on its way to many.
pub struct Fanout {
    pub position: u64,
    pub record_time: u64,
    pub sender: u64,
    pub kind: ConversationKind,
    pub notification_type: i32,
    pub counts: bool,
    /// Who gets it, ascending.
    pub receivers: Vec<u64>,
    /// Who has it, and by which record.
    pub served: BTreeMap<u64, u64>,
    /// Who of them got it before their turn.
    pub early: Vec<u64>,
    /// (last receiver, record) of each chunk.
    pub chunks: Vec<(u64, u64)>,
    pub next: u64,
    pub cut: Option<u64>,
    pub withdrawn: Option<u64>,
    pub recalled: u64,
    /// Whether it still goes on.
    pub runs: bool,
}

/// The body of a fact, if it has one.
pub type Body = Option<SealedBody>;

impl Model {
    /// What `stamped` must come to; the model is then as after it.
    pub fn take(&mut self, stamped: &Stamped) -> Expected {
        let first_new = self.ledger.len();
        let mut step = Expected {
            answer: Ok(Outcome::Done),
            records: Vec::new(),
            delivered: Vec::new(),
            erased: Vec::new(),
            changed: Vec::new(),
        };
        self.statuses.now = self.time_of(stamped);
        let mut facts = Vec::new();
        step.answer = self.ask(stamped, &mut facts, &mut step.delivered, &mut step.erased);
        step.changed = std::mem::take(&mut self.statuses.changed);
        assert!(step.answer.is_ok() || facts.is_empty());
        for (fact, body) in facts {
            let time = self.time_of(stamped);
            let record = Record::new(
                Position(self.ledger.len() as u64 + 1),
                Time(time),
                stamped.command.by,
                stamped.command.surface,
                fact.clone(),
                body.as_ref().map(|body| body.commitment),
            );
            let bytes = record.encode().expect("a record of usual size");
            self.ledger.push(Line {
                time,
                fact,
                bytes: bytes.clone(),
                has_body: body.is_some(),
            });
            let stored = body.map(|body| [body.opening.0.as_slice(), &body.bytes].concat());
            step.records.push((bytes, stored));
        }
        assert_eq!(self.ledger.len() - first_new, step.records.len());
        step
    }

    /// The time of a record made by this command.
    fn time_of(&self, stamped: &Stamped) -> u64 {
        let before = self.ledger.last().map_or(0, |line| line.time);
        before.max(stamped.time.0)
    }

    fn ask(
        &mut self,
        stamped: &Stamped,
        facts: &mut Vec<(Fact, Body)>,
        delivered: &mut Vec<Delivered>,
        erased: &mut Vec<Position>,
    ) -> Answer {
        let next = self.ledger.len() as u64 + 1;
        let ask = &stamped.command.ask;
        if let Ask::Found { epoch, rules } = ask {
            if next > 1 {
                return Err(Refusal::AlreadyFounded);
            }
            if *rules != 1 {
                return Err(Refusal::BadRules);
            }
            self.epoch = Some(*epoch);
            facts.push((
                Fact::Genesis {
                    epoch: *epoch,
                    rules: *rules,
                },
                None,
            ));
            return Ok(Outcome::Done);
        }
        if next == 1 {
            return Err(Refusal::NotFounded);
        }
        match ask {
            Ask::Found { .. } => unreachable!(),
            Ask::ChangeRules { .. } => Err(Refusal::BadRules),
            Ask::ChangePolicy(policy) => {
                if *policy != self.policy.unwrap_or_default() {
                    self.policy = Some(*policy);
                    facts.push((Fact::PolicyChanged(*policy), None));
                }
                Ok(Outcome::Done)
            }
            Ask::Register { user, profile } => self.register(user, profile, next, facts),
            Ask::IssueToken {
                user,
                unknown,
                platform,
                token,
                expires,
                ends,
            } => self.issue(
                user,
                *unknown,
                (*platform, *token, *expires),
                ends,
                next,
                facts,
            ),
            Ask::RevokeTokens { user, which } => self.revoke(user.0, *which, next, facts),
            Ask::Send(send) => self.send(send, self.time_of(stamped), next, facts, delivered),
            Ask::SeeDevice {
                user,
                id,
                platform,
                body,
            } => self.see_device(user.0, *id, *platform, body, next, facts),
            Ask::Reach { cursors } => Ok(self.reach(cursors, next, facts)),
            Ask::Erase { position } => self.erase(position.0, next, facts, erased),
            Ask::Post(post) => self.post(post, self.time_of(stamped), next, facts, delivered),
            Ask::Tend {
                user,
                conversation,
                deed,
            } => self.tend(user.0, *conversation, deed, next, facts, delivered),
            Ask::BeginAudience { name, body } => {
                Ok(self.begin_list(*name, stamped.command.by.0, body, next, facts))
            }
            Ask::FillAudience {
                audience,
                line,
                users,
                opening,
            } => self.fill(audience.0, *line, users, *opening, next, facts),
            Ask::CommitAudience { audience } => self.commit(audience.0, next, facts),
            Ask::FanoutNext { message, from, .. } => {
                self.fanout_next(message.0, from.0, next, facts, delivered)
            }
            Ask::UpdateProfile {
                user,
                base,
                profile,
            } => self.update(user.0, *base, profile, next, facts, erased),
            Ask::Unregister { user } => self.unregister(user.0, next, facts, erased),
            Ask::TrimLog { user, floor } => self.trim(user.0, floor.0, facts),
            Ask::Expire { .. } | Ask::Release { .. } | Ask::Change { .. } => {
                unreachable!("messages with terms, and changes, are tested in `terms.rs`")
            }
            Ask::Mark {
                user,
                message,
                mark,
            } => self.mark(user.0, message.0, *mark, next, facts, delivered),
            Ask::Track { account, on } => self.track(account, *on, next, facts),
            Ask::Restore { epoch, last, gap } => self.restore(*epoch, last.0, *gap, next, facts),
            Ask::NoteOnline {
                sender,
                audience,
                commitment,
            } => {
                let mut next = next;
                let (sender, _) = self.meet(sender, &mut next, facts);
                let told = Fact::OnlineTold {
                    sender: UserNo(sender),
                    audience: *audience,
                    commitment: *commitment,
                };
                facts.push((told, None));
                Ok(Outcome::Done)
            }
            Ask::Recall { message, receiver } => self.recall(
                message.0,
                receiver.map(|user| user.0),
                next,
                facts,
                delivered,
            ),
        }
    }

    /// The number of a user, who becomes known if need be; and whether that was so.
    pub(super) fn meet(
        &mut self,
        user: &UserRef,
        next: &mut u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> (u64, bool) {
        if let Some(person) = self.people.iter().find(|person| person.hash == user.hash) {
            return (person.number, false);
        }
        let number = self.people.len() as u64 + 1;
        self.people.push(Person {
            number,
            hash: user.hash,
            seen_at: *next,
            id: Some(user.id.clone()),
            registered_at: None,
            turns: Vec::new(),
            profile: None,
            devices_given: 0,
            devices: Vec::new(),
            furthest: 0,
            device_names: Vec::new(),
            all_cut: 0,
            platform_cuts: BTreeMap::new(),
            log: Vec::new(),
            floor: 1,
            holes: Holes::default(),
        });
        facts.push((
            Fact::UserSeen {
                user: UserNo(number),
                id: user.hash,
            },
            Some(user.seal()),
        ));
        *next += 1;
        (number, true)
    }

    pub(super) fn person(&mut self, number: u64) -> Option<&mut Person> {
        self.people
            .iter_mut()
            .find(|person| person.number == number)
    }

    pub(super) fn knows(&self, user: &UserRef) -> bool {
        self.people.iter().any(|person| person.hash == user.hash)
    }

    fn issue(
        &mut self,
        user: &UserRef,
        unknown: Unknown,
        (platform, token, expires): (u8, KeyedHash, Time),
        ends: &[Revoked],
        mut next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Answer {
        if ends.len() > MAX_ENDED {
            return Err(Refusal::TooLarge);
        }
        if let Some(issued) = self.tokens.iter().find(|known| known.hash == token) {
            let mut owner = self
                .people
                .iter()
                .filter(|person| person.number == issued.user);
            if !owner.any(|person| person.hash == user.hash) {
                return Err(Refusal::KeyReused);
            }
            let user = UserNo(issued.user);
            return Ok(Outcome::User { user, new: false });
        }
        if !self.knows(user) && unknown == Unknown::Refuse {
            return Err(Refusal::UnknownUser);
        }
        let (number, new) = self.meet(user, &mut next, facts);
        let user = UserNo(number);
        for which in ends.iter().filter(|_| !new) {
            let before = facts.len();
            self.revoke(number, *which, next, facts)?;
            next += (facts.len() - before) as u64;
        }
        self.tokens.push(Token {
            hash: token,
            position: next,
            user: number,
            platform,
            expires,
            revoked: None,
            dead: false,
        });
        facts.push((
            Fact::TokenIssued {
                user,
                platform,
                token,
                expires,
            },
            None,
        ));
        Ok(Outcome::User { user, new })
    }

    pub(super) fn revoke(
        &mut self,
        user: u64,
        which: Revoked,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Answer {
        let Some(person) = self.people.iter_mut().find(|known| known.number == user) else {
            return Err(Refusal::UnknownUser);
        };
        let own = self.tokens.iter_mut().filter(|token| token.user == user);
        match which {
            Revoked::One(hash) => {
                let mut alive = own.filter(|token| token.hash == hash && !token.dead);
                let Some(token) = alive.next() else {
                    return Ok(Outcome::Done);
                };
                token.revoked = Some(next);
                token.dead = true;
            }
            Revoked::Platform(platform) => {
                person.platform_cuts.insert(platform, next);
                own.filter(|token| token.platform == platform)
                    .for_each(|token| token.dead = true);
            }
            Revoked::All => {
                person.all_cut = next;
                own.for_each(|token| token.dead = true);
            }
        }
        let user = UserNo(user);
        facts.push((Fact::TokensRevoked { user, which }, None));
        Ok(Outcome::Done)
    }
}
