//! What OpenIM's clients send: gob, gzip, protocol buffers, frames, the address that they connect to, names of conversations.

use waybill_gateway::fuzzing::ws::{Codec, Hello, Reply, pong};
use waybill_gateway::openim::v3::gob::{self, MAX_FIELDS, Value};
use waybill_gateway::openim::v3::gzip::{self, MAX_UNPACKED};
use waybill_gateway::openim::v3::names::{self, Name};
use waybill_gateway::openim::v3::proto::*;
use waybill_gateway::service::Place;

/// A text of any bytes.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn gob(input: &[u8]) {
    if let Ok(read) = gob::decode(input) {
        assert!(read.fields.len() <= MAX_FIELDS);
        let held: usize = read
            .fields
            .iter()
            .map(|(name, value)| {
                name.len()
                    + match value {
                        Value::Text(text) => text.len(),
                        Value::Bytes(bytes) => bytes.len(),
                        Value::Int(_) => 0,
                    }
            })
            .sum();
        assert!(held <= input.len(), "nothing is made up");
        for name in ["ReqIdentifier", "SendID", "Data"] {
            let _ = (read.int(name), read.text(name), read.bytes(name));
        }
    }
    // What is written is read again.
    let (numbers, rest) = input.split_at(input.len().min(8));
    let mut padded = [0; 8];
    padded[..numbers.len()].copy_from_slice(numbers);
    let number = i64::from_le_bytes(padded);
    let (request, error) = (number as i32, (number >> 32) as i32);
    let (one, data) = rest.split_at(rest.len() / 2);
    let (incr, said) = (text(one), text(data));
    let written = gob::response(request, &incr, &said, error, &incr, data);
    let read = gob::decode(&written).unwrap();
    assert_eq!(read.int("ReqIdentifier"), i64::from(request));
    assert_eq!(read.int("ErrCode"), i64::from(error));
    assert_eq!(
        (read.text("MsgIncr"), read.text("OperationID")),
        (&*incr, &*said)
    );
    assert_eq!(read.bytes("Data"), data);
}

pub fn gzip(input: &[u8]) {
    let unpacked = gzip::unpack(input, MAX_UNPACKED);
    if let Some(bytes) = &unpacked {
        assert!(bytes.len() <= MAX_UNPACKED);
        assert_eq!(
            gzip::unpack(&gzip::pack(bytes), MAX_UNPACKED).as_ref(),
            Some(bytes)
        );
    }
    // A tighter bound changes nothing but that.
    let short = gzip::unpack(input, 1_000);
    assert_eq!(short, unpacked.filter(|bytes| bytes.len() <= 1_000));
    // The same as the body of a member whose head is right.
    let mut begun = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    begun.extend_from_slice(input);
    if let Some(bytes) = gzip::unpack(&begun, MAX_UNPACKED) {
        assert!(bytes.len() <= MAX_UNPACKED);
    }
    assert_eq!(
        gzip::unpack(&gzip::pack(input), input.len()).as_deref(),
        Some(input)
    );
}

/// What is accepted is written again, and that is read as the same and written as the same.
fn message<M: Message + PartialEq + std::fmt::Debug>(input: &[u8]) {
    if let Ok(read) = M::decode(input) {
        let written = read.to_vec();
        let again = M::decode(&written).unwrap();
        assert_eq!(again, read);
        assert_eq!(again.to_vec(), written);
    }
}

pub fn protobuf(input: &[u8]) {
    macro_rules! each {
        ($($name:ident)+) => { $(message::<$name>(input);)+ };
    }
    each! {
        MsgData OfflinePushInfo PullMsgs GetMaxSeqReq GetMaxSeqResp SeqRange PullMessageBySeqsReq PullMessagesResp
        SendMsgResp ConversationSeqs GetSeqMessageReq GetHasReadAndMaxSeqReq GetHasReadAndMaxSeqResp GetLastMessageReq
        GetLastMessageResp SetAppBackgroundStatusReq SubUserOnlineStatus UserOnlineStatusResp UserInfo Conversation
        ConversationMsg GetActiveConversationsReq GetConversationsReq ConversationsResp
    }
}

const CODECS: [Codec; 3] = [
    Codec::Gob { gzip: true },
    Codec::Gob { gzip: false },
    Codec::Json,
];

pub fn frames(input: &[u8]) {
    let [packed, plain, json] = CODECS.map(|codec| codec.read(input));
    assert_eq!(
        CODECS[0].read(&gzip::pack(input)),
        plain,
        "gzip around it changes nothing"
    );
    for request in [packed, plain, json].into_iter().flatten() {
        for codec in CODECS {
            let reply = Reply {
                identifier: request.identifier as i32,
                msg_incr: &request.msg_incr,
                operation_id: &request.operation_id,
                error: request.identifier as i32,
                text: &request.send_id,
                data: &request.data,
            };
            let written = codec.write(&reply);
            // Names of fields are the same in answers and requests, but for `SendID`.
            let read = codec.read(&written).unwrap();
            assert_eq!(read.identifier, i64::from(reply.identifier));
            assert_eq!(
                (read.msg_incr, read.operation_id, read.data),
                (
                    request.msg_incr.clone(),
                    request.operation_id.clone(),
                    request.data.clone()
                )
            );
        }
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Some(answer) = pong(text)
    {
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["type"], "pong");
    }
}

pub fn address(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for header in ["", "gzip"] {
        let (hello, read) = Hello::read(text, header);
        if read.is_ok() {
            assert!((1..=11).contains(&hello.platform) && hello.codec.is_some());
            for value in [&hello.send_id, &hello.token, &hello.operation_id] {
                assert!(!value.is_empty() && value.len() <= text.len());
            }
        }
    }
}

pub fn names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // Who reads, and what: as two texts, and as one whose front is an id.
    let (own, name) = text.split_once('\0').unwrap_or((text, text));
    if let Some(Name::Chat(chat)) = names::read(own, name) {
        let place = Place {
            kind: chat.kind,
            peer: chat.peer.to_owned(),
        };
        assert_eq!(names::of(own, &place), name);
    }
    for kind in [1, 2] {
        let peer = name.to_owned();
        let place = Place { kind, peer };
        let named = names::of(own, &place);
        let Some(Name::Chat(found)) = names::read(own, &named) else {
            panic!("{own:?} does not read {named:?}");
        };
        assert_eq!(found.kind, kind);
    }
}
