//! Random commands: a small cast, few keys and few tokens, so that everything meets everything else.

use proptest::prelude::*;
use waybill_core::body::{Body, Profile};
use waybill_core::command::{Ask, Command, ConversationKind, Deed, Post, To, Unknown};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Mark, Options, Revoked};
use waybill_core::hash::Domain;
use waybill_core::id::{
    AudienceNo, ConversationSeq, DeviceNo, Digest, Epoch, Opening, Position, Seq, Time, UserNo,
};
use waybill_core::policy::{Policy, UnknownReceiver};

use super::{chat, command, keys, message, notify, user_ref};

/// Something to ask, as a shrinkable plan.
#[derive(Clone, Debug)]
pub enum Op {
    /// A message without a key.
    Send {
        from: u8,
        to: u8,
        chat: bool,
    },
    /// A message with a key. `text` decides whether it is the same request as before.
    Keyed {
        from: u8,
        to: u8,
        chat: bool,
        key: u8,
        text: u8,
    },
    /// The n-th command that was ever submitted, counted backwards, again as it was.
    Again(u16),
    /// Messages to so many users, most of whom were never seen.
    Burst(u16),
    Register {
        user: u8,
        text: u8,
    },
    Token {
        user: u8,
        token: u8,
        refuse: bool,
    },
    Revoke {
        user: u8,
        which: u8,
    },
    Device {
        user: u8,
        device: u8,
    },
    Reach(Vec<(u8, u8, u8)>),
    Erase(u8),
    Policy(bool),
    Track {
        account: u8,
        on: bool,
    },
    Mark {
        user: u8,
        message: u8,
        confirmed: bool,
    },
    /// A message to a list of users.
    Post {
        from: u8,
        to: Vec<u8>,
        chat: bool,
    },
    /// A message to an audience, or to everybody.
    Wide {
        from: u8,
        to: To,
    },
    /// An audience with these members, under the number that it gets if it is so many-th.
    Audience {
        number: u8,
        members: Vec<u8>,
    },
    /// Goes on with fan-outs of messages at these positions and the few after them.
    Pump(u8),
    Recall {
        message: u8,
        receiver: Option<u8>,
    },
    Tend {
        user: u8,
        other: u8,
        chat: bool,
        deed: Deed,
    },
    /// Tries to restore after each of some positions, as one of them may be the last.
    Restore {
        number: u16,
        gap: u8,
        from: u16,
    },
}

const USERS: u8 = 7;

pub fn ops() -> impl Strategy<Value = Op> {
    let user = 0..USERS;
    let pair = || (user.clone(), user.clone(), any::<bool>());
    prop_oneof![
        8 => pair().prop_map(|(from, to, chat)| Op::Send { from, to, chat }),
        8 => (pair(), 0..6_u8, prop::bool::weighted(0.1)).prop_map(|((from, to, chat), key, other)| {
            Op::Keyed { from, to, chat, key, text: key + 100 * u8::from(other) }
        }),
        6 => (0..40_u16).prop_map(Op::Again),
        1 => prop_oneof![4 => 2..20_u16, 1 => 200..320_u16].prop_map(Op::Burst),
        1 => (user.clone(), any::<u8>()).prop_map(|(user, text)| Op::Register { user, text }),
        2 => (user.clone(), 0..4_u8, any::<bool>())
            .prop_map(|(user, token, refuse)| Op::Token { user, token, refuse }),
        1 => (0..9_u8, 0..7_u8).prop_map(|(user, which)| Op::Revoke { user, which }),
        2 => (0..9_u8, 0..4_u8).prop_map(|(user, device)| Op::Device { user, device }),
        2 => prop::collection::vec((0..9_u8, 0..4_u8, 0..20_u8), 0..6).prop_map(Op::Reach),
        3 => (0..120_u8).prop_map(Op::Erase),
        1 => any::<bool>().prop_map(Op::Policy),
        3 => (user.clone(), prop::sample::subsequence((0..USERS).collect::<Vec<_>>(), 1..5), any::<bool>())
            .prop_map(|(from, to, chat)| Op::Post { from, to, chat }),
        3 => (user.clone(), wide()).prop_map(|(from, to)| Op::Wide { from, to }),
        2 => (1..4_u8, prop::collection::vec(0..USERS, 0..5))
            .prop_map(|(number, members)| Op::Audience { number, members }),
        4 => (0..120_u8).prop_map(Op::Pump),
        3 => (0..120_u8, prop::option::weighted(0.3, 1..9_u8))
            .prop_map(|(message, receiver)| Op::Recall { message, receiver }),
        2 => (user, prop::bool::weighted(0.8)).prop_map(|(account, on)| Op::Track { account, on }),
        4 => (1..9_u8, 0..120_u8, any::<bool>())
            .prop_map(|(user, message, confirmed)| Op::Mark { user, message, confirmed }),
        1 => (2..9_u16, prop_oneof![3 => 1..9_u8, 1 => 60..130_u8], 0..4_u16)
            .prop_map(|(number, gap, from)| Op::Restore { number, gap, from: from * 100 }),
        6 => (1..6_u8, 1..6_u8, any::<bool>(), deeds())
            .prop_map(|(user, other, chat, deed)| Op::Tend { user, other, chat, deed }),
    ]
}

fn wide() -> impl Strategy<Value = To> {
    prop_oneof![
        (1..4_u64).prop_map(|number| To::Audience(AudienceNo(number))),
        Just(To::Registered),
        Just(To::Seen)
    ]
}

fn deeds() -> impl Strategy<Value = Deed> {
    let seq = || (1..9_u64).prop_map(ConversationSeq);
    prop_oneof![
        3 => seq().prop_map(|up_to| Deed::Read { up_to }),
        1 => (any::<Option<bool>>(), any::<Option<bool>>()).prop_map(|(pinned, hidden)| Deed::Set {
            pinned,
            receive_option: None,
            hidden,
        }),
        3 => prop::collection::vec(seq(), 1..4).prop_map(|messages| Deed::Remove { messages }),
        1 => seq().prop_map(|up_to| Deed::Clear { up_to }),
    ]
}

fn name(user: u8) -> String {
    format!("user{user}")
}

fn token(n: u8) -> waybill_core::id::KeyedHash {
    keys().hash(Domain::Token, &[&[n]])
}

fn opening(n: u64) -> Opening {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Opening(bytes)
}

/// Makes commands of ops, each without a key another one. Remembers them all.
#[derive(Default)]
pub struct Commands {
    /// The number of the first.
    first: u64,
    made: Vec<Command>,
}

impl Commands {
    /// Commands that share nothing with others but the cast and the keys.
    pub fn from(first: u64) -> Self {
        Self {
            first,
            made: Vec::new(),
        }
    }

    pub fn of(&mut self, ops: &[Op]) -> Vec<Command> {
        ops.iter().flat_map(|op| self.one(op)).collect()
    }

    fn one(&mut self, op: &Op) -> Vec<Command> {
        let n = self.first + self.made.len() as u64;
        let commands = match op {
            Op::Burst(count) => (0..u64::from(*count))
                .map(|step| {
                    let number = n + step;
                    notify(
                        "oa",
                        &format!("crowd{}", (number * 7) % 1000),
                        1_000 + number,
                        None,
                    )
                })
                .collect(),
            Op::Again(back) => {
                let at = self.made.len().checked_sub(1 + usize::from(*back));
                at.map(|at| self.made[at].clone()).into_iter().collect()
            }
            Op::Audience { number, members } => audience(*number, members, n),
            Op::Pump(first) => (*first..first.saturating_add(8))
                .map(|message| {
                    command(Ask::FanoutNext {
                        message: Position(u64::from(message)),
                        from: UserNo(1),
                        most: u16::MAX,
                    })
                })
                .collect(),
            Op::Restore { number, gap, from } => (*from..from.saturating_add(150))
                .map(|last| {
                    command(Ask::Restore {
                        epoch: Epoch::new(*number, [*gap; 14]),
                        last: Position(u64::from(last)),
                        gap: u64::from(*gap),
                    })
                })
                .collect(),
            op => vec![single(op, n)],
        };
        self.made.extend_from_slice(&commands);
        commands
    }
}

fn single(op: &Op, n: u64) -> Command {
    let send = |chatting: &bool| if *chatting { chat } else { notify };
    match op {
        Op::Send { from, to, chat } => send(chat)(&name(*from), &name(*to), 1_000 + n, None),
        Op::Keyed {
            from,
            to,
            chat,
            key,
            text,
        } => send(chat)(
            &name(*from),
            &name(*to),
            u64::from(*text),
            Some(&format!("key{key}")),
        ),
        Op::Register { user, text } => command(Ask::Register {
            user: user_ref(&name(*user)),
            profile: Body::Profile(Profile {
                nickname: format!("nickname {text}"),
                ..Profile::default()
            })
            .seal(opening(n)),
        }),
        Op::Token {
            user,
            token: number,
            refuse,
        } => command(Ask::IssueToken {
            user: user_ref(&name(*user)),
            unknown: if *refuse {
                Unknown::Refuse
            } else {
                Unknown::See
            },
            platform: number % 3,
            token: token(*number),
            expires: Time(2_000_000_000_000),
            ends: match number % 4 {
                3 => vec![Revoked::Platform(number % 3), Revoked::Platform(1)],
                _ => Vec::new(),
            },
        }),
        Op::Revoke { user, which } => command(Ask::RevokeTokens {
            user: UserNo(u64::from(*user)),
            which: match which {
                0..4 => Revoked::One(token(*which)),
                4 => Revoked::All,
                _ => Revoked::Platform(which % 3),
            },
        }),
        Op::Device { user, device } => command(Ask::SeeDevice {
            user: UserNo(u64::from(*user)),
            id: keys().hash(Domain::Device, &[&[*user], &[*device]]),
            platform: 1,
            body: Body::Device {
                id: format!("device{device}"),
            }
            .seal(opening(n)),
        }),
        Op::Reach(cursors) => {
            let cursor = |(user, device, seq): &(u8, u8, u8)| {
                (
                    UserNo(u64::from(*user)),
                    DeviceNo(u32::from(*device)),
                    Seq(u64::from(*seq)),
                )
            };
            command(Ask::Reach {
                cursors: cursors.iter().map(cursor).collect(),
            })
        }
        Op::Erase(position) => command(Ask::Erase {
            position: Position(u64::from(*position)),
        }),
        Op::Policy(refuse) => command(Ask::ChangePolicy(Policy {
            unknown_receiver: if *refuse {
                UnknownReceiver::Refuse
            } else {
                UnknownReceiver::Accept
            },
        })),
        Op::Track { account, on } => command(Ask::Track {
            account: user_ref(&name(*account)),
            on: *on,
        }),
        Op::Mark {
            user,
            message,
            confirmed,
        } => command(Ask::Mark {
            user: UserNo(u64::from(*user)),
            message: Position(u64::from(*message)),
            mark: if *confirmed {
                Mark::Confirmed
            } else {
                Mark::Opened
            },
        }),
        Op::Post { from, to, chat } => {
            let users = to.iter().map(|user| user_ref(&name(*user))).collect();
            post(*from, To::Users(users), *chat, n)
        }
        Op::Wide { from, to } => post(*from, to.clone(), false, n),
        Op::Recall { message, receiver } => command(Ask::Recall {
            message: Position(u64::from(*message)),
            receiver: receiver.map(|user| UserNo(u64::from(user))),
        }),
        Op::Tend {
            user,
            other,
            chat,
            deed,
        } => {
            let (user, other) = (UserNo(u64::from(*user)), UserNo(u64::from(*other)));
            command(Ask::Tend {
                user,
                conversation: if *chat {
                    Conversation::single(user, other)
                } else {
                    Conversation::Notification {
                        account: other,
                        receiver: user,
                    }
                },
                deed: deed.clone(),
            })
        }
        Op::Again(_) | Op::Burst(_) | Op::Audience { .. } | Op::Pump(_) | Op::Restore { .. } => {
            unreachable!("made of others")
        }
    }
}

fn post(from: u8, to: To, chat: bool, n: u64) -> Command {
    command(Ask::Post(Post {
        sender: user_ref(&name(from)),
        to,
        kind: if chat {
            ConversationKind::Single
        } else {
            ConversationKind::Notification
        },
        content_type: 1400,
        notification_type: i32::try_from(n % 3).unwrap_or(0),
        options_off: Options(0),
        key: None,
        digest: Digest(n.to_be_bytes()),
        terms: None,
        body: Body::Message(message(n)).seal(opening(n)),
    }))
}

/// An audience, begun, filled and completed, if it gets the number that it hopes for.
fn audience(number: u8, members: &[u8], n: u64) -> Vec<Command> {
    let audience = AudienceNo(u64::from(number));
    let begin = Ask::BeginAudience {
        name: token(100 + number),
        body: Body::Audience {
            name: format!("audience{number}"),
        }
        .seal(opening(n)),
    };
    let fill = Ask::FillAudience {
        audience,
        line: 0,
        users: members.iter().map(|user| user_ref(&name(*user))).collect(),
        opening: opening(n + 1_000_000),
    };
    [begin, fill, Ask::CommitAudience { audience }]
        .map(command)
        .into()
}

/// So many cases, or as many as the environment asks for.
pub fn cases(quick: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: asked.and_then(|cases| cases.parse().ok()).unwrap_or(quick),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
