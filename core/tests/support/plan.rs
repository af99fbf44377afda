//! Random plans: sequences of commands over so few users, keys, tokens and devices that they meet again and again.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use waybill_core::body::Body;
use waybill_core::command::{
    self, Ask, Command, ConversationKind, Post, Send, Stamped, To, Unknown,
};
use waybill_core::conversation::Conversation;
use waybill_core::fact::{Mark, Options, Revoked};
use waybill_core::id::{AudienceNo, ConversationSeq, DeviceNo, Epoch, Position, Seq, Time, UserNo};
use waybill_core::policy::{Policy, UnknownReceiver};
use waybill_core::record::Surface;

use super::cast;

/// Users that plans speak of. One more number than that is never given.
const USERS: u8 = 6;
const TOKENS: u8 = 8;

/// One step of a plan.
#[derive(Clone, Debug)]
pub struct Move {
    /// By how much the writer's clock has moved since the step before. It may go back.
    clock: i64,
    surface: Surface,
    deed: Deed,
}

#[derive(Clone, Debug)]
enum Deed {
    Found(u32),
    ChangeRules(u32),
    Policy(bool),
    Register(u8),
    Issue {
        user: u8,
        see: bool,
        platform: u8,
        token: u8,
        ends: Vec<Which>,
    },
    Revoke(u64, Which),
    Send(Letter),
    /// Devices `from..from + count` of one user, so that they crowd each other out.
    SeeDevices {
        user: u64,
        from: u8,
        count: u8,
    },
    Reach(Vec<(u64, u32, u64)>),
    Erase(u64),
    /// To users `to`, which may name one twice.
    Post {
        letter: Letter,
        to: Vec<u8>,
    },
    Tend(u64, Conversation, command::Deed),
    Recall(u64, Option<u64>),
    PostWide {
        letter: Letter,
        to: To,
    },
    BeginAudience(u8),
    Fill {
        audience: u64,
        line: u64,
        users: Vec<u8>,
    },
    Commit(u64),
    /// Goes on with whatever runs among some twenty positions.
    Pump(u64),
    Next(u64, u64),
    /// Updates a profile on the base of one of these records.
    Update {
        user: u64,
        bases: Vec<u64>,
    },
    Unregister(u64),
    Trim(u64, u64),
    Mark(u64, u64, Mark),
    Track(u8, bool),
    /// Tries it after each of some hundred positions, as one of them may be the last.
    Restore {
        number: u16,
        gap: u64,
        from: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Which {
    One(u8),
    Platform(u8),
    All,
}

#[derive(Clone, Debug)]
struct Letter {
    from: u8,
    to: u8,
    notification: bool,
    account: bool,
    key: Option<u8>,
    request: u8,
    /// How often it is sent, one after the other.
    times: u8,
}

/// Plans of up to `steps` steps, most of which begin with a founding.
pub fn plans(steps: usize) -> impl Strategy<Value = Vec<Move>> {
    let begin = prop_oneof![9 => Just(Deed::Found(1)), 1 => deeds()];
    (begin, vec((clocks(), surfaces(), deeds()), 1..steps)).prop_map(|(begin, rest)| {
        let first = Move {
            clock: 0,
            surface: Surface::Server,
            deed: begin,
        };
        let rest = rest.into_iter().map(|(clock, surface, deed)| Move {
            clock,
            surface,
            deed,
        });
        std::iter::once(first).chain(rest).collect()
    })
}

fn clocks() -> impl Strategy<Value = i64> {
    prop_oneof![5 => Just(0), 3 => 1..5_i64, 1 => 100..3_000_i64, 2 => -2_000..0_i64]
}

fn surfaces() -> impl Strategy<Value = Surface> {
    prop_oneof![
        Just(Surface::Server),
        Just(Surface::NativeHttp),
        Just(Surface::NativeQuic),
        Just(Surface::OpenImV2)
    ]
}

fn deeds() -> impl Strategy<Value = Deed> {
    let number = || 0..u64::from(USERS) + 2;
    let which = prop_oneof![
        3 => (0..TOKENS).prop_map(Which::One),
        1 => (0..3_u8).prop_map(Which::Platform),
        1 => Just(Which::All)
    ];
    let ends = prop_oneof![
        2 => Just(Vec::new()),
        1 => which.clone().prop_map(|which| vec![which]),
        2 => subsequence(vec![0, 1, 2], 1..=3)
            .prop_map(|platforms| platforms.into_iter().map(Which::Platform).collect()),
        // Too many.
        1 => (7..10_usize).prop_map(|count| vec![Which::Platform(1); count]),
    ];
    let cursor = (
        number(),
        prop_oneof![8 => 0..4_u32, 1 => 0..90_u32],
        prop_oneof![8 => 0..12_u64, 1 => 0..200_u64, 1 => Just(u64::MAX)],
    );
    prop_oneof![
        1 => (0..4_u32).prop_map(Deed::Found),
        1 => (0..4_u32).prop_map(Deed::ChangeRules),
        3 => any::<bool>().prop_map(Deed::Policy),
        6 => (0..USERS).prop_map(Deed::Register),
        4 => (0..USERS, any::<bool>(), 0..3_u8, 0..TOKENS, ends).prop_map(
            |(user, see, platform, token, ends)| Deed::Issue { user, see, platform, token, ends }
        ),
        3 => (number(), which).prop_map(|(user, which)| Deed::Revoke(user, which)),
        12 => letters().prop_map(Deed::Send),
        4 => (number(), 0..6_u8, prop_oneof![12 => 1..3_u8, 1 => 60..70_u8]).prop_map(
            |(user, from, count)| Deed::SeeDevices { user, from, count }
        ),
        4 => vec(cursor, 0..12).prop_map(Deed::Reach),
        5 => (0..60_u64).prop_map(Deed::Erase),
        6 => (letters(), prop_oneof![
            9 => subsequence((0..USERS).collect::<Vec<_>>(), 0..=usize::from(USERS)).prop_shuffle(),
            1 => vec(0..USERS, 2..4),
        ])
            .prop_map(|(letter, to)| Deed::Post { letter, to }),
        30 => (prop::option::weighted(0.1, number()), any::<bool>(), conversations(), tendings())
            .prop_map(|(stranger, first, conversation, deed)| {
                let (Conversation::Single { low: one, high: other }
                | Conversation::Notification { receiver: one, account: other }) = conversation;
                let party = if first { one } else { other };
                Deed::Tend(stranger.unwrap_or(party.0), conversation, deed)
            }),
        6 => (0..60_u64, prop::option::weighted(0.3, number())).prop_map(
            |(message, receiver)| Deed::Recall(message, receiver)
        ),
        8 => (letters(), audiences()).prop_map(|(letter, to)| Deed::PostWide { letter, to }),
        5 => (0..3_u8).prop_map(Deed::BeginAudience),
        8 => (0..5_u64, prop_oneof![4 => Just(0), 1 => 0..4_u64], vec(0..USERS + 4, 0..4)).prop_map(
            |(audience, line, users)| Deed::Fill { audience, line, users }
        ),
        4 => (0..5_u64).prop_map(Deed::Commit),
        6 => (0..60_u64).prop_map(Deed::Pump),
        1 => (0..60_u64, 0..9_u64).prop_map(|(message, from)| Deed::Next(message, from)),
        4 => (number(), prop_oneof![4 => Just((0..60).collect()), 1 => vec(0..60_u64, 1)]).prop_map(
            |(user, bases)| Deed::Update { user, bases }
        ),
        4 => number().prop_map(Deed::Unregister),
        2 => (number(), prop_oneof![9 => 0..8_u64, 1 => Just(u64::MAX)]).prop_map(
            |(user, floor)| Deed::Trim(user, floor)
        ),
        12 => (number(), 0..60_u64, prop_oneof![Just(Mark::Opened), Just(Mark::Confirmed)])
            .prop_map(|(user, message, mark)| Deed::Mark(user, message, mark)),
        5 => (0..USERS, prop::bool::weighted(0.8)).prop_map(|(user, on)| Deed::Track(user, on)),
        2 => (1..6_u16, gaps(), prop_oneof![4 => Just(0), 1 => 0..200_u64]).prop_map(
            |(number, gap, from)| Deed::Restore { number, gap, from }
        ),
    ]
}

fn gaps() -> impl Strategy<Value = u64> {
    prop_oneof![
        12 => 1..5_u64,
        2 => 60..140_u64,
        1 => Just(0),
        1 => Just(1_000_001)
    ]
}

fn audiences() -> impl Strategy<Value = To> {
    prop_oneof![
        2 => (0..4_u64).prop_map(|audience| To::Audience(AudienceNo(audience))),
        2 => Just(To::Registered),
        3 => Just(To::Seen)
    ]
}

/// Conversations of few users, so that some of them exist.
fn conversations() -> impl Strategy<Value = Conversation> {
    (any::<bool>(), 1..5_u64, 1..5_u64).prop_map(|(single, one, other)| {
        let (one, other) = (UserNo(one), UserNo(other));
        if single {
            Conversation::single(one, other)
        } else {
            Conversation::Notification {
                account: one,
                receiver: other,
            }
        }
    })
}

fn tendings() -> impl Strategy<Value = command::Deed> {
    let seq = || prop_oneof![9 => 0..8_u64, 1 => Just(u64::MAX)].prop_map(ConversationSeq);
    let set = (
        any::<Option<bool>>(),
        prop::option::weighted(0.3, 0..4_u8),
        any::<Option<bool>>(),
    );
    prop_oneof![
        4 => seq().prop_map(|up_to| command::Deed::Read { up_to }),
        2 => set.prop_map(|(pinned, receive_option, hidden)| command::Deed::Set {
            pinned,
            receive_option,
            hidden,
        }),
        4 => vec(seq(), 0..4).prop_map(|messages| command::Deed::Remove { messages }),
        1 => seq().prop_map(|up_to| command::Deed::Clear { up_to }),
    ]
}

fn letters() -> impl Strategy<Value = Letter> {
    let times = prop_oneof![15 => Just(1), 1 => 2..30_u8];
    let key = prop::option::weighted(0.5, 0..3_u8);
    (
        0..USERS,
        0..USERS,
        any::<bool>(),
        any::<bool>(),
        key,
        0..2_u8,
        times,
    )
        .prop_map(
            |(from, to, notification, account, key, request, times)| Letter {
                from,
                to,
                notification,
                account,
                key,
                request,
                times,
            },
        )
}

/// The commands of a plan, stamped by a clock that sometimes stands still or goes back.
pub fn commands(plan: &[Move]) -> Vec<Stamped> {
    let mut clock = 1_700_000_000_000_u64;
    let mut commands = Vec::new();
    for step in plan {
        clock = clock.saturating_add_signed(step.clock);
        let mut number = commands.len() as u64;
        for ask in asks(&step.deed, &mut number) {
            commands.push(Stamped {
                time: Time(clock),
                command: Command {
                    by: UserNo(number % 3),
                    surface: step.surface,
                    ask,
                },
            });
        }
    }
    commands
}

fn asks(deed: &Deed, number: &mut u64) -> Vec<Ask> {
    let mut next = || {
        *number += 1;
        *number
    };
    match deed {
        Deed::Found(rules) => vec![Ask::Found {
            epoch: cast::epoch(),
            rules: *rules,
        }],
        Deed::ChangeRules(rules) => vec![Ask::ChangeRules { rules: *rules }],
        Deed::Policy(refuse) => vec![Ask::ChangePolicy(Policy {
            unknown_receiver: if *refuse {
                UnknownReceiver::Refuse
            } else {
                UnknownReceiver::Accept
            },
        })],
        Deed::Register(user) => {
            let number = next();
            vec![Ask::Register {
                user: cast::user(*user, number, 0),
                profile: cast::profile(*user).seal(cast::opening(number, 1)),
            }]
        }
        Deed::Issue {
            user,
            see,
            platform,
            token,
            ends,
        } => vec![Ask::IssueToken {
            user: cast::user(*user, next(), 0),
            unknown: if *see { Unknown::See } else { Unknown::Refuse },
            platform: *platform,
            token: cast::token(*token),
            expires: Time(2_000_000_000_000 + u64::from(*token)),
            ends: ends.iter().copied().map(revoked).collect(),
        }],
        Deed::Revoke(user, which) => vec![Ask::RevokeTokens {
            user: UserNo(*user),
            which: revoked(*which),
        }],
        Deed::Send(letter) => (0..letter.times).map(|_| send(letter, next())).collect(),
        Deed::SeeDevices { user, from, count } => (*from..from + count)
            .map(|index| see(*user, index, next()))
            .collect(),
        Deed::Reach(cursors) => vec![Ask::Reach {
            cursors: cursors
                .iter()
                .map(|(user, device, seq)| (UserNo(*user), DeviceNo(*device), Seq(*seq)))
                .collect(),
        }],
        Deed::Erase(position) => vec![Ask::Erase {
            position: Position(*position),
        }],
        Deed::Post { letter, to } => {
            let number = next();
            let users = (3_u8..).zip(to);
            let users = users.map(|(use_, to)| cast::user(*to, number, use_));
            vec![post(letter, To::Users(users.collect()), number)]
        }
        Deed::PostWide { letter, to } => vec![post(letter, to.clone(), next())],
        Deed::BeginAudience(name) => {
            let body = Body::Audience {
                name: format!("list-{name}"),
            };
            vec![Ask::BeginAudience {
                name: cast::token(100 + name),
                body: body.seal(cast::opening(next(), 0)),
            }]
        }
        Deed::Fill {
            audience,
            line,
            users,
        } => {
            let number = next();
            let users = (3_u8..).zip(users);
            let users = users.map(|(use_, user)| cast::user(*user, number, use_));
            vec![Ask::FillAudience {
                audience: AudienceNo(*audience),
                line: *line,
                users: users.collect(),
                opening: cast::opening(number, 2),
            }]
        }
        Deed::Commit(audience) => vec![Ask::CommitAudience {
            audience: AudienceNo(*audience),
        }],
        Deed::Pump(start) => (*start..start + 20)
            .map(|message| go_on(message, 1))
            .collect(),
        Deed::Next(message, from) => vec![go_on(*message, *from)],
        Deed::Update { user, bases } => bases
            .iter()
            .map(|base| {
                let number = next();
                Ask::UpdateProfile {
                    user: UserNo(*user),
                    base: (*base > 0).then_some(Position(*base)),
                    profile: cast::profile(number as u8).seal(cast::opening(number, 1)),
                }
            })
            .collect(),
        Deed::Unregister(user) => vec![Ask::Unregister {
            user: UserNo(*user),
        }],
        Deed::Trim(user, floor) => vec![Ask::TrimLog {
            user: UserNo(*user),
            floor: Seq(*floor),
        }],
        Deed::Tend(user, conversation, deed) => vec![Ask::Tend {
            user: UserNo(*user),
            conversation: *conversation,
            deed: deed.clone(),
        }],
        Deed::Mark(user, message, mark) => vec![Ask::Mark {
            user: UserNo(*user),
            message: Position(*message),
            mark: *mark,
        }],
        Deed::Track(account, on) => vec![Ask::Track {
            account: cast::user(*account, next(), 0),
            on: *on,
        }],
        Deed::Restore { number, gap, from } => (*from..*from + 150)
            .map(|last| Ask::Restore {
                epoch: Epoch::new(*number, [*gap as u8; 14]),
                last: Position(last),
                gap: *gap,
            })
            .collect(),
        // Whoever was to have it tries to mark it after that.
        Deed::Recall(message, receiver) => {
            let recall = Ask::Recall {
                message: Position(*message),
                receiver: receiver.map(UserNo),
            };
            let users = receiver.map_or(1..=4, |user| user..=user);
            let marks = users.map(|user| Ask::Mark {
                user: UserNo(user),
                message: Position(*message),
                mark: Mark::Opened,
            });
            std::iter::once(recall).chain(marks).collect()
        }
    }
}

fn revoked(which: Which) -> Revoked {
    match which {
        Which::One(token) => Revoked::One(cast::token(token)),
        Which::Platform(platform) => Revoked::Platform(platform),
        Which::All => Revoked::All,
    }
}

fn see(user: u64, index: u8, number: u64) -> Ask {
    let body = Body::Device {
        id: cast::device_id(index),
    };
    Ask::SeeDevice {
        user: UserNo(user),
        id: cast::device(index),
        platform: index % 9,
        body: body.seal(cast::opening(number, 0)),
    }
}

/// A single chat message from one user to another, without a key.
pub fn letter(from: u8, to: u8, number: u64) -> Ask {
    let letter = Letter {
        from,
        to,
        notification: false,
        account: false,
        key: None,
        request: 0,
        times: 1,
    };
    send(&letter, number)
}

fn go_on(message: u64, from: u64) -> Ask {
    Ask::FanoutNext {
        message: Position(message),
        from: UserNo(from),
        most: u16::MAX,
    }
}

fn post(letter: &Letter, to: To, number: u64) -> Ask {
    let key = letter.key.map(|key| {
        let from = cast::user_id(letter.from);
        cast::hash_key().dedup_prefix(&from, &format!("list-{key}"))
    });
    Ask::Post(Post {
        sender: cast::user(letter.from, number, 0),
        to,
        kind: kind(letter),
        content_type: 1400,
        notification_type: i32::from(letter.request),
        options_off: options(letter.request),
        key,
        digest: cast::digest(letter.request),
        terms: None,
        body: cast::message(number).seal(cast::opening(number, 2)),
    })
}

fn kind(letter: &Letter) -> ConversationKind {
    if letter.notification {
        ConversationKind::Notification
    } else {
        ConversationKind::Single
    }
}

/// Some requests do not count as unread.
fn options(request: u8) -> Options {
    Options(u16::from(request) * 9)
}

fn send(letter: &Letter, number: u64) -> Ask {
    Ask::Send(Send {
        sender: cast::user(letter.from, number, 0),
        receiver: cast::user(letter.to, number, 1),
        kind: kind(letter),
        account: letter.account,
        content_type: if letter.notification { 1400 } else { 101 },
        notification_type: -i32::from(letter.request),
        options_off: options(letter.request),
        key: letter
            .key
            .map(|key| cast::dedup(letter.from, letter.to, letter.notification, key)),
        digest: cast::digest(letter.request),
        terms: None,
        body: cast::message(number).seal(cast::opening(number, 2)),
    })
}
