//! Random commands: a small cast, few keys and few tokens, so that everything meets everything else.

use proptest::prelude::*;
use waybill_core::body::{Body, Profile};
use waybill_core::command::{Ask, Command, Unknown};
use waybill_core::fact::Revoked;
use waybill_core::hash::Domain;
use waybill_core::id::{DeviceNo, Opening, Position, Seq, Time, UserNo};
use waybill_core::policy::{Policy, UnknownReceiver};

use super::{chat, command, keys, notify, user_ref};

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
        Op::Again(_) | Op::Burst(_) => unreachable!("made of others"),
    }
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
