//! Random values of everything that is written as bytes. They need not make sense together: the codec must not care. The
//! larger strategies are boxed, because unboxed ones outgrow the stack of a test.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use waybill_core::body::{Body, Message, OfflinePush, Profile, SealedBody};
use waybill_core::command::{
    Ask, Command, ConversationKind, Send as SendAsk, Stamped, Unknown, UserRef,
};
use waybill_core::conversation::Conversation;
use waybill_core::epochs::Restore;
use waybill_core::fact::{Fact, MessageSent, Options, PackedCursor, Revoked, Terms};
use waybill_core::id::{
    ConversationSeq, DeviceNo, Digest, Epoch, Hash, KeyedHash, Opening, Position, Seq, Time, UserNo,
};
use waybill_core::outcome::{Answer, Outcome, Refusal, Sent};
use waybill_core::policy::{Policy, UnknownReceiver};
use waybill_core::record::{Record, Surface};
use waybill_core::state::{
    ConversationLogRow, ConversationRow, DeviceRow, DevicesRow, EntryKind, SettingsRow,
    TokenCutRow, TokenRow, UserHeadRow, UserLogRow,
};

/// Numbers of every encoded length, the limits of each included.
pub fn numbers() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 250, 251, 252, 253, 254, 255, 256];
    let wide = [0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
    prop_oneof![
        4 => 0..300_u64,
        1 => any::<u64>(),
        1 => any::<u32>().prop_map(u64::from),
        1 => any::<u16>().prop_map(u64::from),
        1 => proptest::sample::select([&edges[..], &wide[..]].concat()),
    ]
}

fn small() -> impl Strategy<Value = u32> {
    numbers().prop_map(|number| number as u32)
}

fn signed() -> impl Strategy<Value = i32> {
    prop_oneof![
        small().prop_map(|number| number as i32),
        Just(i32::MIN),
        Just(-1)
    ]
}

fn texts() -> BoxedStrategy<String> {
    prop_oneof![
        Just(String::new()),
        "[a-z0-9 ]{1,40}",
        any::<String>(),
        Just("消息".repeat(60))
    ]
    .boxed()
}

fn users() -> impl Strategy<Value = UserNo> {
    numbers().prop_map(UserNo)
}

fn positions() -> impl Strategy<Value = Position> {
    numbers().prop_map(Position)
}

fn seqs() -> impl Strategy<Value = Seq> {
    numbers().prop_map(Seq)
}

fn devices() -> impl Strategy<Value = DeviceNo> {
    small().prop_map(DeviceNo)
}

fn times() -> impl Strategy<Value = Time> {
    numbers().prop_map(Time)
}

fn keyed() -> impl Strategy<Value = KeyedHash> {
    any::<[u8; 16]>().prop_map(KeyedHash)
}

fn openings() -> impl Strategy<Value = Opening> {
    any::<[u8; 16]>().prop_map(Opening)
}

fn hashes() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn digests() -> impl Strategy<Value = Digest> {
    any::<[u8; 8]>().prop_map(Digest)
}

fn policies() -> impl Strategy<Value = Policy> {
    let unknown = prop_oneof![Just(UnknownReceiver::Accept), Just(UnknownReceiver::Refuse)];
    unknown.prop_map(|unknown_receiver| Policy { unknown_receiver })
}

fn conversations() -> impl Strategy<Value = Conversation> {
    let single = (users(), users()).prop_map(|(low, high)| Conversation::Single { low, high });
    let notification = (users(), users())
        .prop_map(|(account, receiver)| Conversation::Notification { account, receiver });
    prop_oneof![single, notification]
}

fn revocations() -> impl Strategy<Value = Revoked> {
    prop_oneof![
        keyed().prop_map(Revoked::One),
        any::<u8>().prop_map(Revoked::Platform),
        Just(Revoked::All)
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    let collapse = option::of(any::<[u8; 8]>());
    (collapse, option::of(times()), option::of(times())).prop_map(
        |(collapse, expires, not_before)| Terms {
            collapse,
            expires,
            not_before,
        },
    )
}

fn messages_sent() -> BoxedStrategy<MessageSent> {
    (
        (conversations(), users(), small(), signed(), any::<u16>()),
        (
            any::<bool>(),
            any::<bool>(),
            option::of(keyed()),
            digests(),
            option::of(terms()),
        ),
    )
        .prop_map(|(who, how)| MessageSent {
            conversation: who.0,
            sender: who.1,
            content_type: who.2,
            notification_type: who.3,
            options_off: Options(who.4),
            echo: how.0,
            new_receiver: how.1,
            key: how.2,
            digest: how.3,
            terms: how.4,
        })
        .boxed()
}

/// Facts of every variant.
pub fn facts() -> BoxedStrategy<Fact> {
    let cursor = (numbers(), devices(), seqs()).prop_map(|(user_step, device, seq)| PackedCursor {
        user_step,
        device,
        seq,
    });
    prop_oneof![
        (any::<[u8; 16]>(), small()).prop_map(|(epoch, rules)| Fact::Genesis {
            epoch: Epoch(epoch),
            rules
        }),
        small().prop_map(|rules| Fact::RulesChanged { rules }),
        policies().prop_map(Fact::PolicyChanged),
        (users(), keyed()).prop_map(|(user, id)| Fact::UserSeen { user, id }),
        users().prop_map(|user| Fact::UserRegistered { user }),
        (users(), devices(), keyed(), any::<u8>()).prop_map(|(user, device, id, platform)| {
            Fact::DeviceSeen {
                user,
                device,
                id,
                platform,
            }
        }),
        (users(), any::<u8>(), keyed(), times()).prop_map(|(user, platform, token, expires)| {
            Fact::TokenIssued {
                user,
                platform,
                token,
                expires,
            }
        }),
        (users(), revocations()).prop_map(|(user, which)| Fact::TokensRevoked { user, which }),
        messages_sent().prop_map(Fact::MessageSent),
        vec(cursor, 0..20).prop_map(|cursors| Fact::Reached {
            cursors,
            passed: Vec::new(),
        }),
        proptest::sample::select(super::vector_status::facts().to_vec()),
        positions().prop_map(|position| Fact::BodyErased { position }),
        users().prop_map(|user| Fact::UserUpdated { user }),
        (users(), vec(positions(), 0..4))
            .prop_map(|(user, turns)| Fact::UserUnregistered { user, turns }),
        (users(), vec(positions(), 0..4))
            .prop_map(|(user, turns)| Fact::UserRegisteredAgain { user, turns }),
        (users(), seqs()).prop_map(|(user, floor)| Fact::LogTrimmed { user, floor }),
        (any::<[u8; 16]>(), any::<[u8; 16]>(), numbers()).prop_map(|(epoch, from, gap)| {
            Fact::Restored {
                epoch: Epoch(epoch),
                from: Epoch(from),
                gap,
            }
        }),
    ]
    .boxed()
}

fn surfaces() -> impl Strategy<Value = Surface> {
    prop_oneof![
        Just(Surface::Server),
        Just(Surface::NativeHttp),
        Just(Surface::NativeQuic),
        Just(Surface::OpenImV2)
    ]
}

/// Records of every fact.
pub fn records() -> BoxedStrategy<Record> {
    (
        positions(),
        times(),
        users(),
        surfaces(),
        facts(),
        option::of(hashes()),
    )
        .prop_map(|(position, time, by, surface, fact, commitment)| {
            Record::new(position, time, by, surface, fact, commitment)
        })
        .boxed()
}

fn profiles() -> BoxedStrategy<Profile> {
    (texts(), texts(), texts())
        .prop_map(|(nickname, face_url, rest)| Profile {
            nickname,
            face_url,
            rest,
        })
        .boxed()
}

fn pushes() -> BoxedStrategy<OfflinePush> {
    (texts(), texts(), texts(), texts(), any::<bool>())
        .prop_map(
            |(title, desc, ex, ios_push_sound, ios_badge_count)| OfflinePush {
                title,
                desc,
                ex,
                ios_push_sound,
                ios_badge_count,
            },
        )
        .boxed()
}

fn messages() -> BoxedStrategy<Message> {
    (
        (
            texts(),
            texts(),
            texts(),
            texts(),
            texts(),
            texts(),
            texts(),
        ),
        (signed(), option::of(pushes()), option::of(times())),
    )
        .prop_map(|(texts, rest)| Message {
            client_msg_id: texts.0,
            key: texts.1,
            operation_id: texts.2,
            sender_nickname: texts.3,
            sender_face_url: texts.4,
            content: texts.5,
            address: texts.6,
            sender_platform: rest.0,
            offline_push: rest.1,
            created: rest.2,
        })
        .boxed()
}

/// Bodies of every variant.
pub fn bodies() -> BoxedStrategy<Body> {
    prop_oneof![
        texts().prop_map(|id| Body::User { id }),
        profiles().prop_map(Body::Profile),
        texts().prop_map(|id| Body::Device { id }),
        messages().prop_map(Body::Message),
    ]
    .boxed()
}

/// Sealed bodies; their bytes may be anything.
pub fn sealed() -> BoxedStrategy<SealedBody> {
    let real = (bodies(), openings()).prop_map(|(body, opening)| body.seal(opening));
    let any = (openings(), hashes(), vec(any::<u8>(), 0..300)).prop_map(
        |(opening, commitment, bytes)| SealedBody {
            opening,
            commitment,
            bytes,
        },
    );
    prop_oneof![real, any].boxed()
}

fn references() -> BoxedStrategy<UserRef> {
    (texts(), keyed(), openings())
        .prop_map(|(id, hash, opening)| UserRef { id, hash, opening })
        .boxed()
}

fn sends() -> BoxedStrategy<SendAsk> {
    let kind = prop_oneof![
        Just(ConversationKind::Single),
        Just(ConversationKind::Notification)
    ];
    (
        (references(), references(), kind, any::<bool>()),
        (small(), signed(), any::<u16>()),
        (
            option::of(keyed()),
            digests(),
            option::of(terms()),
            sealed(),
        ),
    )
        .prop_map(|(who, what, rest)| SendAsk {
            sender: who.0,
            receiver: who.1,
            kind: who.2,
            account: who.3,
            content_type: what.0,
            notification_type: what.1,
            options_off: Options(what.2),
            key: rest.0,
            digest: rest.1,
            terms: rest.2,
            body: rest.3,
        })
        .boxed()
}

fn asks() -> BoxedStrategy<Ask> {
    let unknown = prop_oneof![Just(Unknown::See), Just(Unknown::Refuse)];
    prop_oneof![
        (any::<[u8; 16]>(), small()).prop_map(|(epoch, rules)| Ask::Found {
            epoch: Epoch(epoch),
            rules
        }),
        small().prop_map(|rules| Ask::ChangeRules { rules }),
        policies().prop_map(Ask::ChangePolicy),
        (references(), sealed()).prop_map(|(user, profile)| Ask::Register { user, profile }),
        (
            references(),
            unknown,
            any::<u8>(),
            keyed(),
            times(),
            vec(revocations(), 0..5)
        )
            .prop_map(
                |(user, unknown, platform, token, expires, ends)| Ask::IssueToken {
                    user,
                    unknown,
                    platform,
                    token,
                    expires,
                    ends
                }
            ),
        (users(), revocations()).prop_map(|(user, which)| Ask::RevokeTokens { user, which }),
        (users(), option::of(positions()), sealed()).prop_map(|(user, base, profile)| {
            Ask::UpdateProfile {
                user,
                base,
                profile,
            }
        }),
        users().prop_map(|user| Ask::Unregister { user }),
        (users(), seqs()).prop_map(|(user, floor)| Ask::TrimLog { user, floor }),
        sends().prop_map(Ask::Send),
        (users(), keyed(), any::<u8>(), sealed()).prop_map(|(user, id, platform, body)| {
            Ask::SeeDevice {
                user,
                id,
                platform,
                body,
            }
        }),
        vec((users(), devices(), seqs()), 0..20).prop_map(|cursors| Ask::Reach { cursors }),
        positions().prop_map(|position| Ask::Erase { position }),
        (any::<[u8; 16]>(), positions(), numbers()).prop_map(|(epoch, last, gap)| Ask::Restore {
            epoch: Epoch(epoch),
            last,
            gap
        }),
    ]
    .boxed()
}

/// Stamped commands of every kind.
pub fn commands() -> impl Strategy<Value = Stamped> {
    (times(), users(), surfaces(), asks()).prop_map(|(time, by, surface, ask)| Stamped {
        time,
        command: Command { by, surface, ask },
    })
}

/// Answers of every kind.
pub fn answers() -> impl Strategy<Value = Answer> {
    let sent = (
        (positions(), times(), numbers(), users()),
        (option::of(seqs()), any::<bool>(), any::<bool>()),
    )
        .prop_map(|(place, rest)| {
            Outcome::Sent(Sent {
                position: place.0,
                time: place.1,
                conversation_seq: ConversationSeq(place.2),
                receiver: place.3,
                seq: rest.0,
                new_receiver: rest.1,
                repeated: rest.2,
            })
        });
    let refusal = proptest::sample::select(vec![
        Refusal::KeyReused,
        Refusal::UnknownReceiver,
        Refusal::UnknownUser,
        Refusal::AlreadyRegistered,
        Refusal::NothingToErase,
        Refusal::AlreadyFounded,
        Refusal::NotFounded,
        Refusal::BadRules,
        Refusal::TooLarge,
        Refusal::BadBody,
        Refusal::UnknownConversation,
        Refusal::Stale,
        Refusal::TooManyRunning,
        Refusal::Withdrawn,
        Refusal::BadEpoch,
    ]);
    prop_oneof![
        Just(Ok(Outcome::Done)),
        sent.prop_map(Ok),
        (users(), any::<bool>()).prop_map(|(user, new)| Ok(Outcome::User { user, new })),
        devices().prop_map(|device| Ok(Outcome::Device { device })),
        proptest::sample::select(super::vector_many::outcomes().to_vec()).prop_map(Ok),
        refusal.prop_map(Err),
    ]
}

/// Settings of every variant.
pub fn settings() -> impl Strategy<Value = SettingsRow> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|epoch| SettingsRow::Genesis(Epoch(epoch))),
        small().prop_map(SettingsRow::Rules),
        policies().prop_map(SettingsRow::Policy),
        users().prop_map(SettingsRow::Users),
        vec((positions(), any::<[u8; 16]>(), numbers()), 0..4).prop_map(|restores| {
            let restore = |(position, epoch, gap)| Restore {
                position,
                epoch: Epoch(epoch),
                gap,
            };
            SettingsRow::Restores(restores.into_iter().map(restore).collect())
        }),
    ]
}

/// Rows of the devices of a user.
pub fn device_rows() -> impl Strategy<Value = DevicesRow> {
    let device = (devices(), keyed(), any::<u8>(), seqs(), positions()).prop_map(
        |(device, id, platform, reached, heard)| DeviceRow {
            device,
            id,
            platform,
            reached,
            heard,
        },
    );
    (devices(), vec(device, 0..70)).prop_map(|(last, devices)| DevicesRow {
        last,
        devices,
        furthest: Seq(300),
    })
}

/// Rows of tokens.
pub fn token_rows() -> impl Strategy<Value = TokenRow> {
    (
        positions(),
        users(),
        any::<u8>(),
        times(),
        option::of(positions()),
    )
        .prop_map(|(position, user, platform, expires, revoked)| TokenRow {
            position,
            user,
            platform,
            expires,
            revoked,
        })
}

/// Rows of token cuts.
pub fn cut_rows() -> impl Strategy<Value = TokenCutRow> {
    let platforms = vec((any::<u8>(), positions()), 0..10);
    (positions(), platforms).prop_map(|(all, platforms)| TokenCutRow { all, platforms })
}

/// Rows of user heads.
pub fn head_rows() -> impl Strategy<Value = UserHeadRow> {
    (seqs(), seqs(), numbers(), hashes()).prop_map(|(head, floor, control, chain)| UserHeadRow {
        head,
        floor,
        control: waybill_core::id::ControlSeq(control),
        chain,
    })
}

/// Rows of user logs.
pub fn log_rows() -> impl Strategy<Value = UserLogRow> {
    (
        positions(),
        option::of(positions()),
        numbers(),
        any::<u16>(),
        option::of(hashes()),
    )
        .prop_map(|(position, message, seq, ahead_ms, mark)| UserLogRow {
            position,
            kind: EntryKind::Message,
            message,
            conversation_seq: ConversationSeq(seq),
            ahead_ms,
            mark,
        })
}

/// Rows of conversations.
pub fn conversation_rows() -> impl Strategy<Value = ConversationRow> {
    (numbers(), numbers(), positions(), times()).prop_map(|(head, counted, last, last_time)| {
        ConversationRow {
            head: ConversationSeq(head),
            counted,
            last,
            last_time,
        }
    })
}

/// Rows of conversation logs.
pub fn conversation_log_rows() -> impl Strategy<Value = ConversationLogRow> {
    let places = (positions(), option::of(positions()), any::<u16>());
    let changes = (option::of(positions()), option::of(positions()));
    (places, any::<i32>(), numbers(), changes).prop_map(
        |((position, message, ahead_ms), notification_type, counted, (recalled_by, changed_by))| {
            ConversationLogRow {
                position,
                message,
                ahead_ms,
                notification_type,
                counted,
                recalled_by,
                changed_by,
            }
        },
    )
}
