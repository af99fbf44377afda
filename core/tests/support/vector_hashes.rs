//! The golden vectors of hashes and message ids.

use serde_json::{Value, json};
use waybill_core::hash::{self, Domain, HashKey};
use waybill_core::id::{Hash, Opening, Position, Seq, UserNo};
use waybill_core::message_id::{CLIENT_ORDINAL, MessageIdKey, MessageRef};

use super::script::{self, HASH_SECRET, ID_SECRET};
use super::vectors::hex;

pub fn commitments() -> Value {
    let texts: [&[u8]; 3] = [b"", b"hello", &[0xff; 100]];
    let opening = Opening(script::ascending());
    let vector = |body: &&[u8]| {
        let commitment = hash::commitment(&opening, body).to_string();
        json!({ "opening": hex(&opening.0), "body": hex(body), "commitment": commitment })
    };
    texts.iter().map(vector).collect()
}

pub fn leafs() -> Value {
    let texts: [&[u8]; 3] = [b"", b"abc", &[1, 2, 3]];
    let vector =
        |text: &&[u8]| json!({ "record": hex(text), "leaf": hash::leaf(text).to_string() });
    texts.iter().map(vector).collect()
}

pub fn chains() -> Value {
    let user = UserNo(258);
    let start = hash::chain_start(&script::epoch(), user);
    let (one, two) = (hash::leaf(b"one"), hash::leaf(b"two"));
    let first = hash::chain_link(&start, Seq(1), 1, &one, &one);
    let second = hash::chain_link(&first, Seq(2), 1, &two, &one);
    let link = |seq: u64, delivering: Hash, message: Hash, chain: Hash| {
        json!({
            "seq": seq, "kind": 1, "delivering": delivering.to_string(),
            "message": message.to_string(), "chain": chain.to_string(),
        })
    };
    json!({
        "epoch": script::epoch().to_string(),
        "user": 258,
        "start": start.to_string(),
        "links": [link(1, one, one, first), link(2, two, one, second)],
    })
}

pub fn keyed_hashes() -> Value {
    let key = HashKey::new(&HASH_SECRET);
    let cases: [(Domain, &[&[u8]]); 6] = [
        (Domain::User, &[b"openIM123456"]),
        (Domain::User, &["李四".as_bytes()]),
        (Domain::Device, &[b"18712345678", b"phone"]),
        (Domain::Token, &[b"android token"]),
        (Domain::Conversation, &[&[4], b"18712345678"]),
        (Domain::Request, &[b"any", b"", b"parts"]),
    ];
    let vector = |(domain, parts): &(Domain, &[&[u8]])| {
        json!({
            "domain": *domain as u8,
            "parts": parts.iter().map(|part| hex(part)).collect::<Vec<_>>(),
            "hash": key.hash(*domain, parts).to_string(),
        })
    };
    cases.iter().map(vector).collect()
}

pub fn dedup_keys() -> Value {
    let key = HashKey::new(&HASH_SECRET);
    let vector = |kind: u8, receiver: &str| {
        let dedup = key.dedup("openIM123456", "notice-1", &[&[kind], receiver.as_bytes()]);
        json!({
            "sender": "openIM123456", "key": "notice-1", "kind": kind, "receiver": receiver,
            "hash": dedup.to_string(),
        })
    };
    json!([
        vector(1, "18712345678"),
        vector(4, "18712345678"),
        vector(4, "李四")
    ])
}

pub fn message_ids() -> Value {
    let key = MessageIdKey::new(&ID_SECRET);
    let message = |epoch, partition, position, ordinal| MessageRef {
        epoch,
        partition,
        position: Position(position),
        ordinal,
    };
    let messages = [
        message(0x0011, 0x2233, 0x4455_6677_8899_aabb, 0xccdd_eeff),
        message(1, 0, 1, 0),
        message(1, 0, 10_000_000, 0),
        message(1, 0, 10_000_000, CLIENT_ORDINAL),
        message(2, 1, 0, 12),
    ];
    let vector = |message: &MessageRef| {
        json!({
            "epoch": message.epoch, "partition": message.partition, "position": message.position.0,
            "ordinal": message.ordinal, "id": key.id(message),
        })
    };
    messages.iter().map(vector).collect()
}
