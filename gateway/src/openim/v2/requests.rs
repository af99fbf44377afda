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

/// What the requests to send have in common, in this order; the receivers and the caller's key follow.
macro_rules! send_fields {
    ($receivers:expr) => {
        &[
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
            $receivers,
            field("clientMsgID", "ClientMsgID", Kind::Text),
        ]
    };
}

/// `POST /manager/send_msg`, `POST /msg/manage_send_msg`. `clientMsgID` is not in the original: it is the caller's key.
pub static MANAGEMENT_SEND_MSG: Shape = Shape {
    name: "ManagementSendMsgReq",
    type_name: "base_info.ManagementSendMsgReq",
    fields: send_fields!(field("recvID", "RecvID", Kind::Text)),
};

/// `POST /manager/batch_send_msg`, `POST /msg/batch_send_msg`.
pub static MANAGEMENT_BATCH_SEND_MSG: Shape = Shape {
    name: "ManagementBatchSendMsgReq",
    type_name: "base_info.ManagementBatchSendMsgReq",
    fields: send_fields!(field("recvIDList", "RecvIDList", Kind::Texts)),
};

/// A bound [`MANAGEMENT_SEND_MSG`] or [`MANAGEMENT_BATCH_SEND_MSG`].
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

    /// The content, byte for byte, and its place on the tape.
    #[must_use]
    pub fn content(&self) -> (&'a str, usize) {
        self.0.object(6).unwrap_or(("{}", 0))
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

    /// Who gets it, of a batch.
    #[must_use]
    pub fn recv_ids(&self) -> &[std::borrow::Cow<'a, str>] {
        self.0.texts(12)
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
mod tests;
