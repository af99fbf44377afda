use proptest::prelude::*;

use super::*;

/// A request as OpenIM's web client sent it.
const REQUEST: &str = "657f0301010c47656e6572616c577352657101ff800001060\
10d5265714964656e746966696572010400\
0105546f6b656e010c00\
010653656e644944010c00\
010b4f7065726174696f6e4944010c00\
01074d7367496e6372010c00\
010444617461010a000000\
32ff8001fe07d202027531\
01076f706c6f67696e\
011675315f31373935343436343331353236343638393836\
01040a02753100";

const PREFIX: &str = "60ff83030101045265737001ff84000106010d5265714964656e74696669657201040001074d7367496e6372010c00010b\
4f7065726174696f6e4944010c000107457272436f646501040001064572724d7367010c00010444617461010a000000";

fn answered(bytes: &[u8]) -> String {
    let text = hex::encode(bytes);
    text.strip_prefix(PREFIX).unwrap().to_owned()
}

#[test]
fn a_captured_request_is_read() {
    let bytes = hex::decode(REQUEST).unwrap();
    let request = decode(&bytes).unwrap();
    assert_eq!(request.name, "GeneralWsReq");
    assert_eq!(request.int("ReqIdentifier"), 1001);
    assert_eq!(request.text("Token"), "");
    assert_eq!(request.text("SendID"), "u1");
    assert_eq!(request.text("OperationID"), "oplogin");
    assert_eq!(request.text("MsgIncr"), "u1_1795446431526468986");
    assert_eq!(request.bytes("Data"), [0x0a, 2, b'u', b'1']);
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(decode(&longer), Err(Malformed::Trailing));
}

#[test]
fn answers_have_the_bytes_that_go_writes() {
    let cases = [
        (
            response(1001, "u1_1", "op1", 0, "", &[1, 2, 3]),
            "17ff8401fe07d2010475315f3101036f7031030301020300",
        ),
        (
            response(1003, "u1_1", "op1", 1001, "ArgsError", &[]),
            "21ff8401fe07d6010475315f3101036f703101fe07d20109417267734572726f7200",
        ),
        (
            response(2001, "", "op1", 0, "", &[9]),
            "0fff8401fe0fa202036f703103010900",
        ),
        (response(2002, "", "", 0, "", &[]), "07ff8401fe0fa400"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(answered(&bytes), expected);
    }
    let long = answered(&response(2001, "", "", 0, "", &[7; 300]));
    assert!(long.starts_with("fe0137ff8401fe0fa205fe012c0707"), "{long}");
    assert!(long.ends_with("070700"));
}

#[test]
fn what_is_no_flat_struct_is_refused() {
    let bytes = hex::decode(REQUEST).unwrap();
    let changed = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = to;
        bytes
    };
    // The type of a field, the count of fields, the id within the definition, the id of the value.
    for (at, to, expected) in [
        (41, 0x06, Malformed::Definition),
        (22, 0x11, Malformed::Definition),
        (20, 0x82, Malformed::Definition),
        (104, 0x82, Malformed::Value),
        (105, 0x09, Malformed::Value),
    ] {
        assert_eq!(decode(&changed(at, to)), Err(expected), "{at}");
    }
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "{length}");
    }
    // Lengths that lead far away.
    let mut far = bytes[..2].to_vec();
    far[0] = 0xf8;
    far.extend([0xff; 8]);
    assert_eq!(decode(&far), Err(Malformed::Short));
}

proptest! {
    #[test]
    fn no_bytes_stop_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn no_damage_stops_the_decoder(
        damage in proptest::collection::vec((0..154_usize, any::<u8>()), 1..4),
        cut in 0..154_usize,
    ) {
        let mut bytes = hex::decode(REQUEST).unwrap();
        for (at, byte) in damage {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        let _ = decode(&bytes);
        bytes.truncate(cut);
        let _ = decode(&bytes);
    }

    #[test]
    fn what_is_written_is_read_again(
        request in any::<i32>(), incr in ".{0,40}", operation in ".{0,300}", error in any::<i32>(),
        text in ".{0,20}", data in proptest::collection::vec(any::<u8>(), 0..70_000),
    ) {
        let bytes = response(request, &incr, &operation, error, &text, &data);
        let read = decode(&bytes).unwrap();
        prop_assert_eq!(read.name, "Resp");
        prop_assert_eq!(read.int("ReqIdentifier"), i64::from(request));
        prop_assert_eq!(read.text("MsgIncr"), incr);
        prop_assert_eq!(read.text("OperationID"), operation);
        prop_assert_eq!(read.int("ErrCode"), i64::from(error));
        prop_assert_eq!(read.text("ErrMsg"), text);
        prop_assert_eq!(read.bytes("Data"), data);
    }
}
