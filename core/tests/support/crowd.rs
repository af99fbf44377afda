//! Many users, all of them in one audience, and what the tests of fan-outs ask of the server for them.

use waybill_core::body::Body;
use waybill_core::command::{Ask, Command, ConversationKind, Post, Send, Stamped, To, UserRef};
use waybill_core::fact::{Options, Terms};
use waybill_core::hash::Domain;
use waybill_core::id::{AudienceNo, Position, Time, UserNo};
use waybill_core::limits::MAX_FILLED;
use waybill_core::record::Surface;
use waybill_core::rules::Step;
use waybill_core::state::{FanoutRow, Running, SettingsKey, SettingsRow, StateExt};

use super::cast;
use super::chronicle::Chronicle;

/// The audience that all are in.
pub const EVERYBODY: AudienceNo = AudienceNo(1);

/// A reference to the user who has this number.
pub fn user(number: u64) -> UserRef {
    let id = format!("person-{number}");
    UserRef {
        hash: cast::hash_key().hash(Domain::User, &[id.as_bytes()]),
        id,
        opening: cast::opening(number, 9),
    }
}

/// A ledger with many users, and the time.
pub struct Crowd {
    pub chronicle: Chronicle,
    /// The time of the next command, in milliseconds.
    pub clock: u64,
    /// How many commands there were.
    pub asked: u64,
}

impl Crowd {
    /// Users 1 to `users`, in one audience.
    pub fn new(users: u64) -> Self {
        let mut crowd = Self {
            chronicle: Chronicle::new(),
            clock: 1_700_000_000_000,
            asked: 0,
        };
        let epoch = cast::epoch();
        crowd.ask(Ask::Found { epoch, rules: 1 }).answer.unwrap();
        let name = Body::Audience {
            name: "everybody".to_owned(),
        };
        let begin = Ask::BeginAudience {
            name: cast::token(1),
            body: name.seal(cast::opening(1, 1)),
        };
        crowd.ask(begin).answer.unwrap();
        let audience = EVERYBODY;
        let numbers: Vec<u64> = (1..=users).collect();
        for (index, chunk) in numbers.chunks(MAX_FILLED).enumerate() {
            let fill = Ask::FillAudience {
                audience,
                line: (index * MAX_FILLED) as u64,
                users: chunk.iter().map(|number| user(*number)).collect(),
                opening: cast::opening(index as u64, 2),
            };
            crowd.ask(fill).answer.unwrap();
        }
        let commit = Ask::CommitAudience { audience };
        crowd.ask(commit).answer.unwrap();
        crowd
    }

    pub fn ask(&mut self, ask: Ask) -> Step {
        self.asked += 1;
        let command = Command {
            by: UserNo(1),
            surface: Surface::Server,
            ask,
        };
        let time = Time(self.clock);
        self.chronicle.take(&[Stamped { time, command }]).remove(0)
    }

    /// A notice to one user.
    pub fn send(&mut self, sender: u64, receiver: u64, options_off: Options, terms: Terms) -> Step {
        self.ask(Ask::Send(Send {
            sender: user(sender),
            receiver: user(receiver),
            kind: ConversationKind::Notification,
            account: true,
            content_type: 1400,
            notification_type: 0,
            options_off,
            key: None,
            digest: cast::digest(1),
            terms: (terms != Terms::default()).then_some(terms),
            body: cast::message(self.asked).seal(cast::opening(self.asked, 4)),
        }))
    }

    /// A notice to many.
    pub fn post(&mut self, sender: u64, to: To, terms: Terms) -> Step {
        self.ask(Ask::Post(Post {
            sender: user(sender),
            to,
            kind: ConversationKind::Notification,
            content_type: 1400,
            notification_type: 0,
            options_off: Options::default(),
            key: None,
            digest: cast::digest(1),
            terms: (terms != Terms::default()).then_some(terms),
            body: cast::message(self.asked).seal(cast::opening(self.asked, 4)),
        }))
    }

    /// The messages whose receivers are being served.
    pub fn running(&self) -> Vec<Running> {
        match self.chronicle.state.row(SettingsKey::Running).unwrap() {
            Some(SettingsRow::Running(running)) => running,
            _ => Vec::new(),
        }
    }

    /// How far a message is fanned out, if it is one that is.
    pub fn fanout(&self, message: Position) -> Option<FanoutRow> {
        self.chronicle.state.row(message).unwrap()
    }

    /// The first fan-out under way of one sender, and where it stands.
    pub fn first_of(&self, sender: u64) -> Option<(Position, UserNo)> {
        let running = self.running();
        let own = running.iter().find(|one| one.sender == UserNo(sender))?;
        Some((own.message, self.fanout(own.message)?.next))
    }
}
