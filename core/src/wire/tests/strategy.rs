//! Any frame, for property tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::body::OfflinePush;
use crate::fact::Options;
use crate::id::{ConversationSeq, Epoch, Seq, Time};
use crate::wire::*;

/// A frame of either direction, as bytes.
fn bytes<P: Payload>(payload: &P) -> Vec<u8> {
    let mut out = Vec::new();
    write(payload, MAX_CLIENT_FRAME, &mut out).unwrap();
    out
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9]{0,24}", "\\PC{0,8}"]
}

fn offline_push() -> impl Strategy<Value = OfflinePush> {
    (text(), text(), text(), text(), any::<bool>()).prop_map(
        |(title, desc, ex, ios_push_sound, ios_badge_count)| OfflinePush {
            title,
            desc,
            ex,
            ios_push_sound,
            ios_badge_count,
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    (any::<u16>(), any::<bool>(), any::<u32>(), text()).prop_map(
        |(code, retryable, retry_after_ms, message)| Failure {
            code: Code(code),
            retryable,
            retry_after_ms,
            message,
        },
    )
}

prop_compose! {
    fn outgoing()(
        (sender, receiver, client_msg_id, key, operation_id) in (text(), text(), text(), text(), text()),
        (sender_nickname, sender_face_url) in (text(), text()),
        (conversation_kind, content_type, sender_platform, options) in any::<(u8, u32, i32, u16)>(),
        created in option::of(any::<u64>()),
        offline_push in option::of(offline_push()),
        content in vec(any::<u8>(), 0..400),
    ) -> Outgoing {
        Outgoing {
            sender,
            receiver,
            conversation_kind,
            content_type,
            client_msg_id,
            key,
            operation_id,
            sender_nickname,
            sender_face_url,
            sender_platform,
            options_off: Options(options),
            created: created.map(Time),
            offline_push,
            content,
        }
    }
}

prop_compose! {
    fn sent_message()(
        (server_msg_id, time, new_receiver, repeated) in any::<([u8; 16], u64, bool, bool)>(),
        client_msg_id in text(),
        seq in option::of(any::<u64>()),
    ) -> SentMessage {
        SentMessage {
            server_msg_id,
            client_msg_id,
            time: Time(time),
            seq: seq.map(Seq),
            new_receiver,
            repeated,
        }
    }
}

prop_compose! {
    pub fn message_entry()(
        (kind, conversation_seq, server_msg_id) in any::<(u8, u64, [u8; 16])>(),
        (content_type, notification_type, options, sender_platform) in any::<(u32, i32, u16, i32)>(),
        (peer, sender, client_msg_id, nickname, face) in (text(), text(), text(), text(), text()),
        created in option::of(any::<u64>()),
        offline_push in option::of(offline_push()),
        erased in any::<bool>(),
        content in vec(any::<u8>(), 0..400),
    ) -> MessageEntry {
        MessageEntry {
            place: Place { kind, peer },
            conversation_seq: ConversationSeq(conversation_seq),
            sender,
            server_msg_id,
            client_msg_id,
            content_type,
            notification_type,
            options_off: Options(options),
            sender_nickname: nickname,
            sender_face_url: face,
            sender_platform,
            created: created.map(Time),
            offline_push,
            erased,
            content,
        }
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    let unknown = (any::<u64>(), 2_u8.., any::<u64>(), vec(any::<u8>(), 0..64)).prop_map(
        |(seq, kind, time, payload)| Entry {
            seq: Seq(seq),
            kind,
            time: Time(time),
            payload,
        },
    );
    let message = (any::<u64>(), any::<u64>(), message_entry())
        .prop_map(|(seq, time, message)| Entry::message(Seq(seq), Time(time), &message));
    prop_oneof![1 => unknown, 3 => message]
}

prop_compose! {
    fn page_head()(
        (request, epoch, floor, head, more) in any::<(u64, [u8; 16], u64, u64, bool)>(),
    ) -> PageHead {
        PageHead { request, epoch: Epoch(epoch), floor: Seq(floor), head: Seq(head), more }
    }
}

/// A frame of a client, decoded and as bytes.
pub fn client_frame() -> impl Strategy<Value = (ClientFrame, Vec<u8>)> {
    let hello = (text(), text(), text(), any::<u8>(), text(), any::<u64>()).prop_map(
        |(token, id, name, platform, software, capabilities)| Hello {
            token,
            device: Device { id, name, platform },
            software,
            capabilities: Capabilities(capabilities),
        },
    );
    let batch = (any::<u64>(), vec(outgoing(), 0..6))
        .prop_map(|(request, messages)| SendBatch { request, messages });
    prop_oneof![
        hello.prop_map(|it| (ClientFrame::Hello(it.clone()), bytes(&it))),
        (any::<u64>(), text(), any::<u64>(), any::<u32>()).prop_map(
            |(request, user, after, limit)| {
                let it = Pull {
                    request,
                    user,
                    after: Seq(after),
                    limit,
                };
                (ClientFrame::Pull(it.clone()), bytes(&it))
            }
        ),
        (any::<u64>(), outgoing()).prop_map(|(request, message)| {
            let it = Send { request, message };
            (ClientFrame::Send(it.clone()), bytes(&it))
        }),
        batch.prop_map(|it| {
            let mut out = Vec::new();
            it.write(&mut out).unwrap();
            (ClientFrame::SendBatch(it), out)
        }),
        any::<(u64, u64)>().prop_map(|(request, seq)| {
            let it = Acknowledge {
                request,
                seq: Seq(seq),
            };
            (ClientFrame::Acknowledge(it), bytes(&it))
        }),
        (any::<u64>(), text(), any::<u64>()).prop_map(|(request, user, after)| {
            let it = Tail {
                request,
                user,
                after: Seq(after),
            };
            (ClientFrame::Tail(it.clone()), bytes(&it))
        }),
        (any::<u64>(), vec(text(), 0..6)).prop_map(|(request, users)| {
            let it = WatchPresence { request, users };
            let mut out = Vec::new();
            it.write(&mut out).unwrap();
            (ClientFrame::WatchPresence(it), out)
        }),
        (18_u8.., vec(any::<u8>(), 0..40)).prop_map(|(kind, payload)| {
            let mut out = (payload.len() as u32 + 1).to_le_bytes().to_vec();
            out.push(kind);
            out.extend_from_slice(&payload);
            (ClientFrame::Unknown(kind), out)
        }),
    ]
}

fn user_presence() -> impl Strategy<Value = UserPresence> {
    let connection =
        (text(), any::<u8>(), text()).prop_map(|(device, platform, transport)| LiveConnection {
            device,
            platform,
            transport,
        });
    (text(), vec(connection, 0..3))
        .prop_map(|(user, connections)| UserPresence { user, connections })
}

/// A frame of a server, decoded and as bytes.
pub fn server_frame() -> impl Strategy<Value = (ServerFrame, Vec<u8>)> {
    let welcome = (any::<([u8; 16], u64, u64, u64, [u32; 7], u64)>(), text()).prop_map(
        |((epoch, head, floor, time, limits, capabilities), user)| Welcome {
            epoch: Epoch(epoch),
            user,
            head: Seq(head),
            floor: Seq(floor),
            time: Time(time),
            limits: Limits {
                frame_bytes: limits[0],
                sends_in_flight: limits[1],
                batch: limits[2],
                pulls_in_flight: limits[3],
                page_entries: limits[4],
                tails: limits[5],
                idle_ms: limits[6],
            },
            capabilities: Capabilities(capabilities),
        },
    );
    let answer = prop_oneof![sent_message().prop_map(Ok), failure().prop_map(Err)];
    let batch = (any::<u64>(), vec(answer, 0..6))
        .prop_map(|(request, answers)| BatchSent { request, answers });
    prop_oneof![
        welcome.prop_map(|it| (ServerFrame::Welcome(it.clone()), bytes(&it))),
        (page_head(), vec(entry(), 0..8)).prop_map(|(head, entries)| {
            let page = Page { head, entries };
            let mut out = Vec::new();
            page.write(&mut out).unwrap();
            (ServerFrame::Page(page), out)
        }),
        (any::<u64>(), sent_message()).prop_map(|(request, message)| {
            let it = Sent { request, message };
            (ServerFrame::Sent(it.clone()), bytes(&it))
        }),
        batch.prop_map(|it| {
            let mut out = Vec::new();
            it.write(&mut out).unwrap();
            (ServerFrame::BatchSent(it), out)
        }),
        any::<(u64, [u8; 16], u64, u64)>().prop_map(|(request, epoch, floor, head)| {
            let it = TailOpened {
                request,
                epoch: Epoch(epoch),
                floor: Seq(floor),
                head: Seq(head),
            };
            (ServerFrame::TailOpened(it), bytes(&it))
        }),
        any::<(u64, u64)>().prop_map(|(request, seq)| {
            let it = Acknowledged {
                request,
                seq: Seq(seq),
            };
            (ServerFrame::Acknowledged(it), bytes(&it))
        }),
        (any::<u64>(), failure()).prop_map(|(request, failure)| {
            let it = Refused { request, failure };
            (ServerFrame::Refused(it.clone()), bytes(&it))
        }),
        (any::<u16>(), any::<u32>(), text()).prop_map(|(code, retry_after_ms, reason)| {
            let it = Bye {
                code: Code(code),
                retry_after_ms,
                reason,
            };
            (ServerFrame::Bye(it.clone()), bytes(&it))
        }),
        (any::<u64>(), message_entry()).prop_map(|(time, message)| {
            let it = Online {
                time: Time(time),
                message,
            };
            (ServerFrame::Online(Box::new(it.clone())), bytes(&it))
        }),
        (any::<u64>(), vec(user_presence(), 0..6)).prop_map(|(request, users)| {
            let it = Presence { request, users };
            let mut out = Vec::new();
            it.write(&mut out).unwrap();
            (ServerFrame::Presence(it), out)
        }),
    ]
}
