//! Hashes and ids against answers that were not computed by this program: by Python's `hashlib` and `hmac`, or printed in the
//! standards. Where a comment says `H`, it means SHA-256.

use waybill_core::conversation::Conversation;
use waybill_core::hash::{self, Domain, HashKey};
use waybill_core::id::{Epoch, Hash, IdError, KeyedHash, Opening, Position, Seq, UserNo, check_id};
use waybill_core::message_id::{CLIENT_ORDINAL, MessageIdKey, MessageRef};
use waybill_core::state::{Family, StateHasher};

/// 00 01 02 … 1f.
fn key() -> HashKey {
    let mut secret = [0; 32];
    for (byte, value) in secret.iter_mut().zip(0..) {
        *byte = value;
    }
    HashKey::new(&secret)
}

fn ascending<const N: usize>() -> [u8; N] {
    std::array::from_fn(|index| index as u8)
}

fn keyed(domain: Domain, parts: &[&[u8]]) -> String {
    key().hash(domain, parts).to_string()
}

#[test]
fn leaves_are_those_of_rfc_6962() {
    // H(00): the leaf of the empty string, as in the test vectors of Certificate Transparency.
    assert_eq!(
        hash::leaf(b"").to_string(),
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    );
    // H(00 ‖ "abc")
    assert_eq!(
        hash::leaf(b"abc").to_string(),
        "609f6e36d2405585188d5cfd761f407c7cc46a7d3f314c88270469dde315fcd1"
    );
}

#[test]
fn commitments() {
    // H(00 01 … 0f ‖ "hello")
    assert_eq!(
        hash::commitment(&Opening(ascending()), b"hello").to_string(),
        "7c9f5b9e4cc36c703715bb6eedcbb8bd80840fd48d135a07af861d1a027be360"
    );
    // H(16 zero bytes)
    assert_eq!(
        hash::commitment(&Opening([0; 16]), b"").to_string(),
        "374708fff7719dd5979ec875d56cd2286f6d3cf7ec317a3b25632aab28ec37bb"
    );
}

#[test]
fn chains() {
    // H("waybill/log/1" ‖ 00 01 ‖ 00 01 … 0d ‖ 7 as u64)
    let start = hash::chain_start(&Epoch::new(1, ascending()), UserNo(7));
    assert_eq!(
        start.to_string(),
        "75943d287c7ee4fe6f077837f35120d42d98b74b4270f0242fe8f4efb2bd2580"
    );
    let (one, two) = (hash::leaf(b"one"), hash::leaf(b"two"));
    // H(start ‖ 1 as u64 ‖ 01 ‖ H(00 ‖ "one") ‖ H(00 ‖ "one"))
    let first = hash::chain_link(&start, Seq(1), 1, &one, &one);
    assert_eq!(
        first.to_string(),
        "99e796c9f65ca776fef04cf89e6ceb7048ef1aec7b36d5e322c3ed912e7508eb"
    );
    // H(first ‖ 2 as u64 ‖ 02 ‖ H(00 ‖ "two") ‖ H(00 ‖ "one"))
    let second = hash::chain_link(&first, Seq(2), 2, &two, &one);
    assert_eq!(
        second.to_string(),
        "1bbf7950afdef88a86fbb7dbe100c9c049ac2d204e1a64ac0bb1148f15c5d7a4"
    );
}

#[test]
fn keyed_hashes() {
    let cases: [(Domain, &[&[u8]], &str); 7] = [
        (
            Domain::User,
            &[b"openIM123456"],
            "b1b68c7d8915c4c9aef6ecfee69a6bcf",
        ),
        (
            Domain::User,
            &["张三".as_bytes()],
            "6c1252c699d2fc697fb765d0ba491173",
        ),
        (
            Domain::Device,
            &[b"user", b"phone"],
            "c8390b60962cd1840e8b6696ee30f509",
        ),
        // The same text cut elsewhere is something else.
        (
            Domain::Device,
            &[b"userp", b"hone"],
            "98a7a141785817d4381d09869f0ee8bc",
        ),
        (
            Domain::Token,
            &[b"a.b.c"],
            "db54a0a70e0d21147504718ccff46b94",
        ),
        (Domain::User, &[], "9b4c8120a4823a95f47cde17a244f450"),
        (Domain::User, &[b""], "84aabe28e21bd6530aebb632d667ce34"),
    ];
    for (domain, parts, expected) in cases {
        assert_eq!(keyed(domain, parts), expected, "{domain:?} {parts:?}");
    }
    let conversation: [&[u8]; 2] = [&[4], b"receiver"];
    let dedup = key().dedup("sender", "key", &conversation);
    assert_eq!(dedup.to_string(), "a726d9ba3e1dc51518bda28b247df80a");
    let prefix = key().dedup_prefix("sender", "key");
    assert_eq!(prefix, dedup.0[..8]);
    let digest = key().digest(&[b"POST", b"{}"]);
    assert_eq!(digest.to_string(), "aa1cbaa313699309");
}

#[test]
fn state_hashes() {
    // H("waybill/state/2")
    assert_eq!(
        StateHasher::new().finish().to_string(),
        "697cd95fa24185c20c781ec013d11dce6b39ee9744083caf7b85d83ac7039c1d"
    );
    // H("waybill/state/2" ‖ 01 ‖ 00 00 00 01 ‖ 02 ‖ 00 00 00 02 ‖ 01 01
    //   ‖ 0a ‖ 00 00 00 08 ‖ 1 as u64 ‖ 00 00 00 22 ‖ 34 times 05)
    let mut hasher = StateHasher::new();
    hasher.row(Family::Settings, &[2], &[1, 1]);
    // A joined family counts for nothing.
    hasher.row(Family::Users, &1_u64.to_be_bytes(), &[1, 2, 3]);
    hasher.row(Family::UserHeads, &1_u64.to_be_bytes(), &[5; 34]);
    assert_eq!(
        hasher.finish().to_string(),
        "6d15caaaf1a0365bed1d158327a38d11d0517cc4884b1c4dd9dc7614b449bb49"
    );
}

#[test]
fn message_ids_are_aes_128() {
    // FIPS 197, appendix C.1: this key turns 00112233…ff into the ciphertext below.
    let key = MessageIdKey::new(&ascending());
    let message = MessageRef {
        epoch: 0x0011,
        partition: 0x2233,
        position: Position(0x4455_6677_8899_aabb),
        ordinal: 0xccdd_eeff,
    };
    let id = "69c4e0d86a7b0430d8cdb78070b4c55a";
    assert_eq!(key.id(&message), id);
    assert_eq!(key.open(id), Some(message));
    let derived = MessageRef {
        ordinal: CLIENT_ORDINAL,
        ..message
    };
    assert_ne!(key.id(&derived), id);
    assert_eq!(key.open(&key.id(&derived)), Some(derived));
    for text in [
        "",
        "69c4",
        &id[1..],
        &format!("{id}0"),
        &"é".repeat(16),
        &"zz".repeat(16),
    ] {
        assert_eq!(key.open(text), None, "{text}");
    }
}

#[test]
fn a_conversation_has_one_name() {
    let (low, high) = (UserNo(3), UserNo(0x0102));
    let single = Conversation::single(low, high);
    assert_eq!(single, Conversation::single(high, low));
    let key = [1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 2];
    assert_eq!(single.key(), key);
    assert_eq!((single.other(low), single.other(high)), (high, low));
    let own = Conversation::single(low, low);
    assert_eq!(own.other(low), low);
    // A notification session has a direction.
    let notification = Conversation::Notification {
        account: high,
        receiver: low,
    };
    let key = [2, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3];
    assert_eq!(notification.key(), key);
    assert_eq!(notification.other(high), low);
    assert_eq!(notification.other(low), high);
    let own = Conversation::Notification {
        account: low,
        receiver: low,
    };
    assert_eq!(own.other(low), low);
}

#[test]
fn ids_are_checked() {
    for good in ["u", "openIM123456", "张三", &"x".repeat(64)] {
        assert_eq!(check_id(good), Ok(()), "{good}");
    }
    assert_eq!(check_id(""), Err(IdError::Empty));
    assert_eq!(check_id(&"x".repeat(65)), Err(IdError::TooLong));
    // 22 characters of 3 bytes.
    assert_eq!(check_id(&"张".repeat(22)), Err(IdError::TooLong));
    for bad in ["a\nb", "\0", "a\u{7f}", "\u{85}"] {
        assert_eq!(check_id(bad), Err(IdError::Control), "{bad:?}");
    }
}

#[test]
fn an_epoch_counts_restores() {
    let epoch = Epoch::new(0x0102, ascending());
    assert_eq!(epoch.to_string(), "0102000102030405060708090a0b0c0d");
    assert_eq!(epoch.number(), 0x0102);
}

#[test]
fn secrets_are_not_printed() {
    assert_eq!(format!("{:?}", key()), "HashKey(secret)");
    let ids = MessageIdKey::new(&ascending());
    assert_eq!(format!("{ids:?}"), "MessageIdKey(secret)");
    // Hashes are no secrets.
    assert_eq!(Hash::ZERO.to_string(), "0".repeat(64));
    assert_eq!(
        format!("{:?}", KeyedHash([0xab; 16])),
        format!("KeyedHash({})", "ab".repeat(16))
    );
}
