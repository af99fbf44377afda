use super::*;
use crate::openim::go::bind::{BindError, MAX_FIELDS, bind, scan};
use crate::openim::go::weak::decode;
use waybill_core::content::OA_NOTIFICATION;

fn read<'a>(body: &'a [u8], shape: &'static Shape) -> Result<Values<'a>, BindError> {
    bind(&scan(body, 32)?, shape)
}

const SEED: &[u8] = include_bytes!("../../../../tests/fixtures/seed-send-msg.json");

#[test]
fn the_articles_request_is_read_as_it_stands() {
    let request = ManagementSendMsg(read(SEED, &MANAGEMENT_SEND_MSG).unwrap());
    assert_eq!(request.operation_id(), "Oa notification operationID111");
    assert_eq!(request.send_id(), "openIM123456");
    assert_eq!(request.recv_id(), "18712345678");
    assert_eq!(request.group_id(), "");
    assert_eq!(request.sender_nickname(), "系统通知2");
    assert_eq!(request.sender_face_url(), "http://www.head.com");
    assert_eq!(request.sender_platform(), 2);
    assert_eq!((request.content_type(), request.session_type()), (1400, 4));
    assert!(!request.is_online_only() && !request.not_offline_push());
    assert_eq!(request.client_msg_id(), "");
    let push = request.offline_push().unwrap();
    assert_eq!(push.title(), "admin revoke your message");
    assert_eq!(
        (push.desc(), push.ex(), push.ios_push_sound()),
        ("", "", "default")
    );
    assert!(!push.ios_badge_count());
    let (content, _) = request.content();
    assert!(content.starts_with("{\n\n   \"notificationName\"") && content.ends_with("\n\n}"));
    assert!(content.contains("\"externalUrl\":\"\""));
}

#[test]
fn each_field_lands_in_its_own_place() {
    let body = "{\"operationID\":\"o\",\"sendID\":\"s\",\"groupID\":\"g\",\"senderNickname\":\"n\",\
                \"senderFaceURL\":\"f\",\"senderPlatformID\":7,\"content\":{\"a\":1},\"contentType\":101,\
                \"sessionType\":1,\"isOnlineOnly\":true,\"notOfflinePush\":true,\
                \"offlinePushInfo\":{\"title\":\"t\",\"desc\":\"d\",\"ex\":\"e\",\"iOSPushSound\":\"i\",\"iOSBadgeCount\":true},\
                \"recvID\":\"r\",\"clientMsgID\":\"c\"}";
    let request = ManagementSendMsg(read(body.as_bytes(), &MANAGEMENT_SEND_MSG).unwrap());
    let texts = [
        request.operation_id(),
        request.send_id(),
        request.group_id(),
        request.sender_nickname(),
        request.sender_face_url(),
        request.recv_id(),
        request.client_msg_id(),
    ];
    assert_eq!(texts, ["o", "s", "g", "n", "f", "r", "c"]);
    assert_eq!((request.sender_platform(), request.session_type()), (7, 1));
    assert!(request.is_online_only() && request.not_offline_push());
    let push = request.offline_push().unwrap();
    assert_eq!(
        [push.title(), push.desc(), push.ex(), push.ios_push_sound()],
        ["t", "d", "e", "i"]
    );
    assert!(push.ios_badge_count());

    let body = "{\"secret\":\"s\",\"platform\":2,\"userID\":\"u\",\"nickname\":\"n\",\"faceURL\":\"f\",\"gender\":1,\
                \"phoneNumber\":\"p\",\"birth\":3,\"email\":\"m\",\"ex\":\"e\",\"operationID\":\"o\"}";
    let request = UserRegister(read(body.as_bytes(), &USER_REGISTER).unwrap());
    let texts = [
        request.secret(),
        request.user_id(),
        request.nickname(),
        request.face_url(),
        request.operation_id(),
    ];
    assert_eq!(texts, ["s", "u", "n", "f", "o"]);
    let rest: serde_json::Value = serde_json::from_str(&request.rest()).unwrap();
    assert_eq!(
        rest,
        serde_json::json!({"gender":1,"birth":3,"phoneNumber":"p","email":"m","ex":"e"})
    );
}

#[test]
fn faults_have_the_texts_of_the_original() {
    let bound = |body: &str, shape| read(body.as_bytes(), shape).unwrap_err().to_string();
    assert_eq!(
        bound("[]", &MANAGEMENT_SEND_MSG),
        "json: cannot unmarshal array into Go value of type base_info.ManagementSendMsgReq"
    );
    assert_eq!(
        bound(
            "{\"sendID\":\"s\",\"content\":{},\"contentType\":1400,\"sessionType\":4}",
            &MANAGEMENT_SEND_MSG
        ),
        "Key: 'ManagementSendMsgReq.ManagementSendMsg.OperationID' Error:Field validation for \
         'OperationID' failed on the 'required' tag"
    );
    let all = bound("{}", &MANAGEMENT_SEND_MSG);
    let order: Vec<_> = all
        .lines()
        .map(|line| line.split('\'').nth(1).unwrap())
        .collect();
    assert_eq!(
        order,
        [
            "OperationID",
            "SendID",
            "Content",
            "ContentType",
            "SessionType"
        ]
        .map(|field| format!("ManagementSendMsgReq.ManagementSendMsg.{field}"))
    );
    assert_eq!(
        bound("{\"offlinePushInfo\":\"x\"}", &MANAGEMENT_SEND_MSG),
        "json: cannot unmarshal string into Go struct field ManagementSendMsgReq.offlinePushInfo \
         of type server_api_params.OfflinePushInfo"
    );
    assert_eq!(
        bound(
            "{\"secret\":\"s\",\"platform\":9,\"userID\":\"u\",\"operationID\":\"o\"}",
            &USER_TOKEN
        ),
        "Key: 'UserTokenReq.Platform' Error:Field validation for 'Platform' failed on the 'max' tag"
    );
    assert_eq!(
        bound(
            "{\"secret\":\"s\",\"platform\":1,\"userID\":\"\",\"operationID\":\"o\"}",
            &USER_REGISTER
        ),
        "Key: 'UserRegisterReq.ApiUserInfo.UserID' Error:Field validation for 'UserID' failed on \
         the 'required' tag"
    );
}

#[test]
fn no_shape_has_too_many_fields() {
    for shape in [
        &MANAGEMENT_SEND_MSG,
        &USER_REGISTER,
        &USER_TOKEN,
        &PARSE_TOKEN,
        &OFFLINE_PUSH_INFO,
    ] {
        assert!(shape.fields.len() <= MAX_FIELDS, "{}", shape.name);
    }
}

proptest::proptest! {
    #[test]
    fn whatever_comes_never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
        let _ = read(&bytes, &MANAGEMENT_SEND_MSG);
    }

    #[test]
    fn a_damaged_request_never_panics(at in 0..SEED.len(), byte: u8, cut in 0..SEED.len()) {
        let mut body = SEED.to_vec();
        body[at] = byte;
        body.truncate(SEED.len() - cut % 32);
        if let Ok(tape) = scan(&body, 32)
            && let Ok(values) = bind(&tape, &MANAGEMENT_SEND_MSG)
        {
            let (_, place) = ManagementSendMsg(values).content();
            let _ = decode(tape.at(place), &OA_NOTIFICATION);
        }
    }
}
