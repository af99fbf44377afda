use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn message() -> MsgData {
    MsgData {
        send_id: "u1".to_owned(),
        recv_id: "u2".to_owned(),
        content: Bytes::from_static(b"{\"content\":\"hi\"}"),
        content_type: 101,
        session_type: 1,
        seq: 300,
        status: -1,
        options: BTreeMap::from([("unreadCount".to_owned(), false)]),
        offline_push_info: Some(OfflinePushInfo {
            title: "t".to_owned(),
            ios_badge_count: true,
            ..OfflinePushInfo::default()
        }),
        at_user_id_list: vec!["a".to_owned(), String::new()],
        ..MsgData::default()
    }
}

#[test]
fn messages_have_the_bytes_of_protocol_buffers() {
    let asked = GetMaxSeqReq {
        user_id: "u1".to_owned(),
    };
    assert_eq!(asked.to_vec(), [0x0a, 2, b'u', b'1']);
    // As OpenIM's client in JavaScript sends it: owner u1, count 20.
    let bytes = hex::decode("0a0275311014").unwrap();
    let asked = GetActiveConversationsReq::decode(&bytes).unwrap();
    assert_eq!((asked.owner_user_id.as_str(), asked.count), ("u1", 20));
    assert_eq!(asked.to_vec(), bytes);
    let seqs = ConversationSeqs {
        conversation_id: "c".to_owned(),
        seqs: Packed(vec![0, 1, 300]),
    };
    assert_eq!(hex::encode(seqs.to_vec()), "1201631a040001ac02");
    // Numbers of a list may also come one by one.
    let one_by_one = ConversationSeqs::decode(&hex::decode("1201631800180118ac02").unwrap());
    assert_eq!(one_by_one.unwrap(), seqs);
    let max = GetMaxSeqResp {
        max_seqs: BTreeMap::from([("c".to_owned(), 0)]),
        ..GetMaxSeqResp::default()
    };
    assert_eq!(hex::encode(max.to_vec()), "0a050a01631000");
    let whole = message();
    assert_eq!(MsgData::decode(&whole.to_vec()).unwrap(), whole);
}

#[test]
fn what_is_wrong_is_named() {
    let cases: [(&[u8], Malformed); 7] = [
        (&[0x0a], Malformed::Short),
        (&[0x0a, 5, 1], Malformed::Short),
        (&[0x0a, 1, 0xff], Malformed::NotText),
        (&[0x08, 1], Malformed::Form),
        (&[0x0b], Malformed::Form),
        (&[0x00, 1], Malformed::Number),
        (
            &[
                0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
            ],
            Malformed::Number,
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(GetMaxSeqReq::decode(bytes), Err(expected), "{bytes:?}");
    }
    let unknown = GetMaxSeqReq::decode(&[0x18, 1, 0x0a, 1, b'u', 0x21, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(unknown.unwrap().user_id, "u");
    let many = [0x18, 1].repeat(20_000);
    assert_eq!(ConversationSeqs::decode(&many), Err(Malformed::TooMany));
}

proptest! {
    #[test]
    fn no_bytes_stop_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = MsgData::decode(&bytes);
        let _ = PullMessageBySeqsReq::decode(&bytes);
        let _ = GetSeqMessageReq::decode(&bytes);
        let _ = PullMessagesResp::decode(&bytes);
        let _ = ConversationsResp::decode(&bytes);
    }

    #[test]
    fn no_damage_stops_the_decoder(
        damage in proptest::collection::vec((0..120_usize, any::<u8>()), 1..5),
    ) {
        let pull = PullMsgs { msgs: vec![message(); 2], is_end: true, end_seq: i64::MIN };
        let mut bytes = PullMessagesResp {
            msgs: BTreeMap::from([("si_u1_u2".to_owned(), pull)]),
            ..PullMessagesResp::default()
        }
        .to_vec();
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        if let Ok(read) = PullMessagesResp::decode(&bytes) {
            prop_assert_eq!(PullMessagesResp::decode(&read.to_vec()).unwrap(), read);
        }
    }
}
