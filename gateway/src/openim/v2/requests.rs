//! The requests of the v2 endpoints, as the original declares them, and what they say once they are bound.

use crate::openim::go::bind::{Field, Kind, Rule, Shape, Values};

const fn field(json: &'static str, go: &'static str, kind: Kind) -> Field {
    Field {
        json,
        go,
        kind,
        rules: &[],
    }
}

const fn ruled(json: &'static str, go: &'static str, kind: Kind, rules: &'static [Rule]) -> Field {
    Field {
        json,
        go,
        kind,
        rules,
    }
}

const REQUIRED: &[Rule] = &[Rule::Required];

static OFFLINE_PUSH_INFO: Shape = Shape {
    name: "OfflinePushInfo",
    type_name: "server_api_params.OfflinePushInfo",
    fields: &[
        field("title", "Title", Kind::Text),
        field("desc", "Desc", Kind::Text),
        field("ex", "Ex", Kind::Text),
        field("iOSPushSound", "IOSPushSound", Kind::Text),
        field("iOSBadgeCount", "IOSBadgeCount", Kind::Flag),
    ],
};

/// `POST /manager/send_msg`, `POST /msg/manage_send_msg`. `clientMsgID` is not in the original: it is the caller's key.
pub static MANAGEMENT_SEND_MSG: Shape = Shape {
    name: "ManagementSendMsgReq",
    type_name: "base_info.ManagementSendMsgReq",
    fields: &[
        ruled(
            "operationID",
            "ManagementSendMsg.OperationID",
            Kind::Text,
            REQUIRED,
        ),
        ruled("sendID", "ManagementSendMsg.SendID", Kind::Text, REQUIRED),
        field("groupID", "ManagementSendMsg.GroupID", Kind::Text),
        field(
            "senderNickname",
            "ManagementSendMsg.SenderNickname",
            Kind::Text,
        ),
        field(
            "senderFaceURL",
            "ManagementSendMsg.SenderFaceURL",
            Kind::Text,
        ),
        field(
            "senderPlatformID",
            "ManagementSendMsg.SenderPlatformID",
            Kind::Int32,
        ),
        ruled("content", "ManagementSendMsg.Content", Kind::Map, REQUIRED),
        ruled(
            "contentType",
            "ManagementSendMsg.ContentType",
            Kind::Int32,
            REQUIRED,
        ),
        ruled(
            "sessionType",
            "ManagementSendMsg.SessionType",
            Kind::Int32,
            REQUIRED,
        ),
        field("isOnlineOnly", "ManagementSendMsg.IsOnlineOnly", Kind::Flag),
        field(
            "notOfflinePush",
            "ManagementSendMsg.NotOfflinePush",
            Kind::Flag,
        ),
        field(
            "offlinePushInfo",
            "ManagementSendMsg.OfflinePushInfo",
            Kind::Struct(&OFFLINE_PUSH_INFO),
        ),
        field("recvID", "RecvID", Kind::Text),
        field("clientMsgID", "ClientMsgID", Kind::Text),
    ],
};

/// A bound [`MANAGEMENT_SEND_MSG`].
pub struct ManagementSendMsg<'a>(pub Values<'a>);

/// A bound `offlinePushInfo`.
pub struct OfflinePushInfo<'r, 'a>(&'r Values<'a>);

impl<'a> ManagementSendMsg<'a> {
    /// The caller's trace id.
    #[must_use]
    pub fn operation_id(&self) -> &str {
        self.0.text(0)
    }

    /// Who it says it is from.
    #[must_use]
    pub fn send_id(&self) -> &str {
        self.0.text(1)
    }

    /// The group it goes to.
    #[must_use]
    pub fn group_id(&self) -> &str {
        self.0.text(2)
    }

    /// The sender's name for this message.
    #[must_use]
    pub fn sender_nickname(&self) -> &str {
        self.0.text(3)
    }

    /// The sender's picture for this message.
    #[must_use]
    pub fn sender_face_url(&self) -> &str {
        self.0.text(4)
    }

    /// The platform the sender claims.
    #[must_use]
    pub fn sender_platform(&self) -> i32 {
        i32::try_from(self.0.number(5)).unwrap_or(0)
    }

    /// The content, byte for byte.
    #[must_use]
    pub fn content(&self) -> &'a str {
        self.0.object(6).unwrap_or("{}")
    }

    /// What the content is.
    #[must_use]
    pub fn content_type(&self) -> i64 {
        self.0.number(7)
    }

    /// 1 single chat, 2 and 3 groups, 4 notification.
    #[must_use]
    pub fn session_type(&self) -> i64 {
        self.0.number(8)
    }

    /// Whether it is not to be stored.
    #[must_use]
    pub fn is_online_only(&self) -> bool {
        self.0.flag(9)
    }

    /// Whether no push is to be sent.
    #[must_use]
    pub fn not_offline_push(&self) -> bool {
        self.0.flag(10)
    }

    /// What a push shows.
    #[must_use]
    pub fn offline_push(&self) -> Option<OfflinePushInfo<'_, 'a>> {
        self.0.nested(11).map(OfflinePushInfo)
    }

    /// Who gets it.
    #[must_use]
    pub fn recv_id(&self) -> &str {
        self.0.text(12)
    }

    /// The caller's key; empty when there is none.
    #[must_use]
    pub fn client_msg_id(&self) -> &str {
        self.0.text(13)
    }
}

impl OfflinePushInfo<'_, '_> {
    /// Title of the push.
    #[must_use]
    pub fn title(&self) -> &str {
        self.0.text(0)
    }

    /// Text of the push.
    #[must_use]
    pub fn desc(&self) -> &str {
        self.0.text(1)
    }

    /// Extension.
    #[must_use]
    pub fn ex(&self) -> &str {
        self.0.text(2)
    }

    /// Sound on iOS.
    #[must_use]
    pub fn ios_push_sound(&self) -> &str {
        self.0.text(3)
    }

    /// Whether it counts in the badge on iOS.
    #[must_use]
    pub fn ios_badge_count(&self) -> bool {
        self.0.flag(4)
    }
}

const SECRET: Field = ruled(
    "secret",
    "Secret",
    Kind::Text,
    &[Rule::Required, Rule::Max(32)],
);
const OPERATION_ID: Field = ruled("operationID", "OperationID", Kind::Text, REQUIRED);

/// `POST /auth/user_register`.
pub static USER_REGISTER: Shape = Shape {
    name: "UserRegisterReq",
    type_name: "base_info.UserRegisterReq",
    fields: &[
        SECRET,
        ruled(
            "platform",
            "Platform",
            Kind::Int32,
            &[Rule::Required, Rule::Min(1), Rule::Max(7)],
        ),
        ruled(
            "userID",
            "ApiUserInfo.UserID",
            Kind::Text,
            &[Rule::Required, Rule::Min(1), Rule::Max(64)],
        ),
        ruled(
            "nickname",
            "ApiUserInfo.Nickname",
            Kind::Text,
            &[Rule::OmitEmpty, Rule::Min(1), Rule::Max(64)],
        ),
        ruled(
            "faceURL",
            "ApiUserInfo.FaceURL",
            Kind::Text,
            &[Rule::OmitEmpty, Rule::Max(1024)],
        ),
        ruled(
            "gender",
            "ApiUserInfo.Gender",
            Kind::Int32,
            &[Rule::OmitEmpty, Rule::OneOf(&[0, 1, 2])],
        ),
        ruled(
            "phoneNumber",
            "ApiUserInfo.PhoneNumber",
            Kind::Text,
            &[Rule::OmitEmpty, Rule::Max(32)],
        ),
        field("birth", "ApiUserInfo.Birth", Kind::Uint32),
        ruled(
            "email",
            "ApiUserInfo.Email",
            Kind::Text,
            &[Rule::OmitEmpty, Rule::Max(64)],
        ),
        ruled(
            "ex",
            "ApiUserInfo.Ex",
            Kind::Text,
            &[Rule::OmitEmpty, Rule::Max(1024)],
        ),
        OPERATION_ID,
    ],
};

/// A bound [`USER_REGISTER`].
pub struct UserRegister<'a>(pub Values<'a>);

impl UserRegister<'_> {
    /// What the caller says the secret is.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.0.text(0)
    }

    /// Platform of the token.
    #[must_use]
    pub fn platform(&self) -> u8 {
        u8::try_from(self.0.number(1)).unwrap_or(0)
    }

    /// Whom to register.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.0.text(2)
    }

    /// Shown name.
    #[must_use]
    pub fn nickname(&self) -> &str {
        self.0.text(3)
    }

    /// Link to a picture.
    #[must_use]
    pub fn face_url(&self) -> &str {
        self.0.text(4)
    }

    /// The caller's trace id.
    #[must_use]
    pub fn operation_id(&self) -> &str {
        self.0.text(10)
    }

    /// Everything else that was said of the user, as a JSON object; empty when nothing was.
    #[must_use]
    pub fn rest(&self) -> String {
        let mut rest = serde_json::Map::new();
        for (name, index) in [("gender", 5), ("birth", 7)] {
            if self.0.number(index) != 0 {
                rest.insert(name.to_owned(), self.0.number(index).into());
            }
        }
        for (name, index) in [("phoneNumber", 6), ("email", 8), ("ex", 9)] {
            if !self.0.text(index).is_empty() {
                rest.insert(name.to_owned(), self.0.text(index).into());
            }
        }
        if rest.is_empty() {
            String::new()
        } else {
            serde_json::Value::Object(rest).to_string()
        }
    }
}

/// `POST /auth/user_token`.
pub static USER_TOKEN: Shape = Shape {
    name: "UserTokenReq",
    type_name: "base_info.UserTokenReq",
    fields: &[
        SECRET,
        ruled(
            "platform",
            "Platform",
            Kind::Int32,
            &[Rule::Required, Rule::Min(1), Rule::Max(8)],
        ),
        ruled(
            "userID",
            "UserID",
            Kind::Text,
            &[Rule::Required, Rule::Min(1), Rule::Max(64)],
        ),
        OPERATION_ID,
    ],
};

/// A bound [`USER_TOKEN`].
pub struct UserToken<'a>(pub Values<'a>);

impl UserToken<'_> {
    /// What the caller says the secret is.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.0.text(0)
    }

    /// Platform of the token.
    #[must_use]
    pub fn platform(&self) -> u8 {
        u8::try_from(self.0.number(1)).unwrap_or(0)
    }

    /// Whose token.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.0.text(2)
    }

    /// The caller's trace id.
    #[must_use]
    pub fn operation_id(&self) -> &str {
        self.0.text(3)
    }
}

/// `POST /auth/parse_token`.
pub static PARSE_TOKEN: Shape = Shape {
    name: "ParseTokenReq",
    type_name: "base_info.ParseTokenReq",
    fields: &[OPERATION_ID],
};

/// A bound [`PARSE_TOKEN`].
pub struct ParseToken<'a>(pub Values<'a>);

impl ParseToken<'_> {
    /// The caller's trace id.
    #[must_use]
    pub fn operation_id(&self) -> &str {
        self.0.text(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openim::go::bind::{MAX_FIELDS, bind};

    const SEED: &[u8] = include_bytes!("../../../tests/fixtures/seed-send-msg.json");

    #[test]
    fn the_articles_request_is_read_as_it_stands() {
        let request = ManagementSendMsg(bind(SEED, &MANAGEMENT_SEND_MSG, 32).unwrap());
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
        let content = request.content();
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
        let request = ManagementSendMsg(bind(body.as_bytes(), &MANAGEMENT_SEND_MSG, 32).unwrap());
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
        let request = UserRegister(bind(body.as_bytes(), &USER_REGISTER, 32).unwrap());
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
        let bound = |body: &str, shape| bind(body.as_bytes(), shape, 32).unwrap_err().to_string();
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
}
