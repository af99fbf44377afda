//! Makes a data directory through the writer: messages, chats with echo, users, profiles, tokens, devices, erasures.

use std::path::Path;

use tempfile::TempDir;
use waybill_core::body::{Body, Change, Message, Profile, StatusLine};
use waybill_core::command::{
    Ask, Command, ConversationKind, Deed, Post, Send, To, Unknown, UserRef,
};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Mark, Options as MessageOptions, Part, Revoked, Terms};
use waybill_core::hash::{Domain, HashKey};
use waybill_core::id::{
    AudienceNo, ConversationSeq, DeviceNo, Digest, Epoch, KeyedHash, Opening, Position, Seq, Time,
    UserNo,
};
use waybill_core::outcome::{Outcome, Sent};
use waybill_core::policy::{Policy, UnknownReceiver};
use waybill_core::record::Surface;
use waybill_log::{Log, LogConfig, Options, QueueHandle};

/// A closed directory, and where things are in it.
pub struct World {
    dir: TempDir,
    /// The last position.
    pub last: u64,
    /// Notices to `ann`, the user with the longest log: more than two marks.
    pub notices: Vec<Sent>,
    /// Of `ann`.
    pub ann: UserNo,
    /// A user whose id was erased.
    pub gone: UserNo,
    /// The record that gave that number.
    pub gone_seen: u64,
    /// A message whose body was erased.
    pub erased: Sent,
    /// By this record.
    pub erasure: u64,
    /// The record that registered `ann`.
    pub registered: u64,
}

impl World {
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn fill(dir: TempDir) -> Self {
        let open = Open::new(dir.path());
        open.done(Ask::Register {
            user: user_ref("ann"),
            profile: Body::Profile(Profile {
                nickname: "Ann".to_owned(),
                ..Profile::default()
            })
            .seal(Opening([1; 16])),
        });
        let registered = open.last();
        for user in ["bob", "carol"] {
            open.done(Ask::Register {
                user: user_ref(user),
                profile: Body::Profile(Profile::default()).seal(Opening([2; 16])),
            });
        }
        let (ann, bob) = (open.user("ann"), open.user("bob"));
        open.devices(ann);
        let mut notices = Vec::new();
        for n in 0..180 {
            notices.push(open.sent(notify("oa", "ann", n)));
            let other = format!("user{}", n % 9);
            open.sent(notify(
                if n % 2 == 0 { "hr" } else { "oa" },
                &other,
                1000 + n,
            ));
            if n % 4 == 0 {
                open.sent(chat("ann", "bob", 2000 + n));
            }
        }
        open.tokens(ann, bob);
        open.done(Ask::Track {
            account: user_ref("oa"),
            on: true,
        });
        open.done(Ask::Mark {
            user: ann,
            message: notices[3].position,
            mark: Mark::Opened,
        });
        open.done(Ask::Reach {
            cursors: vec![(ann, DeviceNo(1), Seq(100)), (ann, DeviceNo(2), Seq(7))],
        });
        open.done(Ask::ChangePolicy(Policy {
            unknown_receiver: UnknownReceiver::Refuse,
        }));
        let erased = notices[20].clone();
        open.done(Ask::Erase {
            position: erased.position,
        });
        let erasure = open.last();
        let gone = open.user("user8");
        let gone_seen = open.seen("user8");
        open.done(Ask::Erase {
            position: Position(gone_seen),
        });
        // The profile of carol.
        open.done(Ask::Erase {
            position: Position(registered + 4),
        });
        open.many(ann, bob);
        open.terms();
        open.done(Ask::Restore {
            epoch: Epoch::new(2, [6; 14]),
            last: Position(open.last()),
            gap: 3,
        });
        open.sent(notify("oa", "ann", 5000));
        let last = open.last();
        open.close();
        Self {
            dir,
            last,
            notices,
            ann,
            gone,
            gone_seen,
            erased,
            erasure,
            registered,
        }
    }
}

impl World {
    /// Adds messages, users, tokens and devices to a directory, and closes it.
    pub fn fill_some(path: &Path, numbers: std::ops::Range<u64>) {
        let open = Open::new(path);
        for n in numbers {
            open.sent(notify("oa", "ann", n));
            open.sent(chat("ann", &format!("friend{n}"), n));
            let user = open.user(&format!("friend{n}"));
            open.done(Ask::IssueToken {
                user: user_ref("ann"),
                unknown: Unknown::Refuse,
                platform: 1,
                token: token(n as u8),
                expires: Time(u64::MAX),
                ends: vec![Revoked::Platform(2)],
            });
            open.done(Ask::SeeDevice {
                user,
                id: keys().hash(Domain::Device, &[&[n as u8]]),
                platform: 1,
                body: Body::Device { id: "d".to_owned() }.seal(Opening([n as u8; 16])),
            });
            if n % 3 == 0 {
                let seen = open.last() - 3;
                open.done(Ask::Erase {
                    position: Position(seen),
                });
                let which = Revoked::One(token((n / 2) as u8));
                let user = open.user("ann");
                open.done(Ask::RevokeTokens { user, which });
            }
        }
        open.close();
    }
}

/// A running log.
pub struct Open {
    log: Log,
    queue: QueueHandle,
}

impl Open {
    pub fn new(path: &Path) -> Self {
        let config = LogConfig {
            memory_mib: 128,
            ..LogConfig::default()
        };
        let options = Options {
            config,
            ..Options::default()
        };
        let (log, queue) = Log::open(path, options, &mut |_, _| {}).expect("opens");
        let open = Self { log, queue };
        if open.last() == 0 {
            open.done(Ask::Found {
                epoch: Epoch::new(1, [5; 14]),
                rules: 1,
            });
        }
        open
    }

    pub fn close(self) {
        drop(self.queue);
        self.log.join().expect("ends well");
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn last(&self) -> u64 {
        self.log.reader().durable().0
    }

    pub fn user(&self, id: &str) -> UserNo {
        let user = self.log.reader().user_no(user_ref(id).hash);
        user.expect("reads").expect("is known")
    }

    /// The record that gave a user a number.
    pub fn seen(&self, id: &str) -> u64 {
        let user = self.user(id);
        let reader = self.log.reader();
        (1..=self.last())
            .find(|position| {
                let opened = reader.open(Position(*position)).expect("reads");
                opened.is_some_and(|opened| match opened.record.fact {
                    waybill_core::fact::Fact::UserSeen { user: seen, .. } => seen == user,
                    _ => false,
                })
            })
            .expect("was seen")
    }

    pub fn ask(&self, ask: Ask) -> Outcome {
        let command = Command {
            by: UserNo(0),
            surface: Surface::Server,
            ask,
        };
        let reply = self.queue.ask_blocking(command).expect("an answer");
        reply.expect("is done")
    }

    pub fn done(&self, ask: Ask) {
        self.ask(ask);
    }

    pub fn sent(&self, send: Send) -> Sent {
        match self.ask(Ask::Send(send)) {
            Outcome::Sent(sent) => sent,
            other => panic!("not sent: {other:?}"),
        }
    }

    /// Something of everything that concerns messages to many, and what users do to their conversations.
    fn many(&self, ann: UserNo, bob: UserNo) {
        self.done(Ask::BeginAudience {
            name: keys().hash(Domain::Audience, &[b"staff"]),
            body: Body::Audience {
                name: "staff".to_owned(),
            }
            .seal(Opening([71; 16])),
        });
        let audience = AudienceNo(1);
        self.done(Ask::FillAudience {
            audience,
            line: 0,
            users: ["ann", "bob", "nobody"].map(user_ref).into(),
            opening: Opening([72; 16]),
        });
        self.done(Ask::CommitAudience { audience });
        let Outcome::Begun { position, .. } = self.ask(Ask::Post(Post {
            sender: user_ref("oa"),
            to: To::Audience(audience),
            kind: ConversationKind::Notification,
            content_type: 1400,
            notification_type: 2,
            options_off: MessageOptions(0),
            key: None,
            digest: Digest([1; 8]),
            terms: None,
            body: Body::Message(Message {
                content: "{}".to_owned(),
                ..Message::default()
            })
            .seal(Opening([73; 16])),
        })) else {
            panic!("it did not begin");
        };
        // Ann gets it before her turn, bob with the chunk.
        self.sent(notify("oa", "ann", 6000));
        self.done(Ask::FanoutNext {
            message: position,
            from: UserNo(1),
            most: u16::MAX,
        });
        self.done(Ask::Recall {
            message: position,
            receiver: Some(bob),
        });
        let (low, high) = (ann.min(bob), ann.max(bob));
        self.done(Ask::Tend {
            user: bob,
            conversation: Conversation::Single { low, high },
            deed: Deed::Read {
                up_to: ConversationSeq(3),
            },
        });
    }

    /// One that waits for its end, and has a collapse key and a change.
    fn terms(&self) {
        let sent = self.sent(Send {
            terms: Some(Terms {
                collapse: Some([5; 8]),
                expires: Some(Time(u64::MAX)),
                not_before: None,
            }),
            ..notify("oa", "ann", 6100)
        });
        let line = Change::StatusLine(StatusLine {
            text: "approved".to_owned(),
            color: String::new(),
        });
        self.done(Ask::Change {
            message: sent.position,
            receiver: None,
            part: Part::StatusLine,
            body: Body::Change(line).seal(Opening([74; 16])),
        });
    }

    fn devices(&self, user: UserNo) {
        for (n, id) in ["phone", "desk"].iter().enumerate() {
            self.done(Ask::SeeDevice {
                user,
                id: keys().hash(Domain::Device, &[b"ann", id.as_bytes()]),
                platform: n as u8 + 1,
                body: Body::Device {
                    id: (*id).to_owned(),
                }
                .seal(Opening([n as u8; 16])),
            });
        }
    }

    fn tokens(&self, ann: UserNo, bob: UserNo) {
        for n in 0..6_u8 {
            self.done(Ask::IssueToken {
                user: user_ref(if n < 4 { "ann" } else { "bob" }),
                unknown: Unknown::Refuse,
                platform: n % 3,
                token: token(n),
                expires: Time(u64::MAX),
                ends: Vec::new(),
            });
        }
        let revoke = [
            (ann, Revoked::One(token(0))),
            (ann, Revoked::Platform(1)),
            (bob, Revoked::All),
        ];
        for (user, which) in revoke {
            self.done(Ask::RevokeTokens { user, which });
        }
    }
}

/// The n-th token.
pub fn token(n: u8) -> KeyedHash {
    keys().hash(Domain::Token, &[&[n]])
}

fn keys() -> HashKey {
    HashKey::new(&[9; 32])
}

pub fn user_ref(id: &str) -> UserRef {
    let hash = keys().hash(Domain::User, &[id.as_bytes()]);
    UserRef {
        id: id.to_owned(),
        hash,
        opening: Opening(hash.0),
    }
}

/// The dedup key of the n-th message.
pub fn key(sender: &str, receiver: &str, n: u64) -> KeyedHash {
    keys().dedup(sender, &format!("key{n}"), &[receiver.as_bytes()])
}

fn send(sender: &str, receiver: &str, n: u64, kind: ConversationKind) -> Send {
    let body = Body::Message(Message {
        content: format!("{{\"text\":\"message {n}\"}}"),
        operation_id: format!("op{n}"),
        ..Message::default()
    })
    .seal(Opening((u128::from(n) << 7).to_be_bytes()));
    Send {
        sender: user_ref(sender),
        receiver: user_ref(receiver),
        kind,
        account: kind == ConversationKind::Notification,
        content_type: 1400,
        notification_type: 1,
        options_off: MessageOptions::default(),
        key: Some(key(sender, receiver, n)),
        digest: keys().digest(&[&body.bytes]),
        terms: None,
        body,
    }
}

/// A notice of a sending account.
pub fn notify(sender: &str, receiver: &str, n: u64) -> Send {
    send(sender, receiver, n, ConversationKind::Notification)
}

/// A message of a single chat, which its sender gets too.
pub fn chat(sender: &str, receiver: &str, n: u64) -> Send {
    send(sender, receiver, n, ConversationKind::Single)
}
