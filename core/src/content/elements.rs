//! The elements: fields and names as the original declares them, for its manager API (101 to 105, 110, 111, 1400) or for its
//! clients (the others). Where its clients send a bare text or a list, an object holds it here under the name that they
//! use elsewhere, because a content is always an object.

use super::{Element, Field, Kind, Meaning, Need};

const fn field(json: &'static str, go: &'static str, kind: Kind) -> Field {
    Field {
        json,
        go,
        kind,
        need: Need::Optional,
        meaning: Meaning::Plain,
    }
}

const fn text(json: &'static str, go: &'static str) -> Field {
    field(json, go, Kind::Text)
}

impl Field {
    const fn required(self) -> Self {
        Self {
            need: Need::Required,
            ..self
        }
    }

    const fn shown(self) -> Self {
        Self {
            need: Need::Shown,
            ..self
        }
    }

    const fn means(self, meaning: Meaning) -> Self {
        Self { meaning, ..self }
    }
}

/// 101, a text.
pub static TEXT: Element = Element {
    name: "TextElem",
    fields: &[text("text", "Text").required()],
};

/// One size of a picture.
pub static PICTURE_BASE_INFO: Element = Element {
    name: "PictureBaseInfo",
    fields: &[
        text("uuid", "UUID"),
        text("type", "Type"),
        field("size", "Size", Kind::Int64),
        field("width", "Width", Kind::Int32),
        field("height", "Height", Kind::Int32),
        text("url", "Url").shown().means(Meaning::Link),
    ],
};

const fn picture(json: &'static str, go: &'static str) -> Field {
    field(json, go, Kind::Element(&PICTURE_BASE_INFO))
}

/// 102, a picture. Paths are places on the sender's device, here and below: nobody opens them.
pub static PICTURE: Element = Element {
    name: "PictureElem",
    fields: &[
        text("sourcePath", "SourcePath"),
        picture("sourcePicture", "SourcePicture").shown(),
        picture("bigPicture", "BigPicture"),
        picture("snapshotPicture", "SnapshotPicture"),
    ],
};

/// 103, a voice message.
pub static SOUND: Element = Element {
    name: "SoundElem",
    fields: &[
        text("uuid", "UUID"),
        text("soundPath", "SoundPath"),
        text("sourceUrl", "SourceURL").shown().means(Meaning::Link),
        field("dataSize", "DataSize", Kind::Int64),
        field("duration", "Duration", Kind::Int64),
    ],
};

/// 104, a video.
pub static VIDEO: Element = Element {
    name: "VideoElem",
    fields: &[
        text("videoPath", "VideoPath"),
        text("videoUUID", "VideoUUID"),
        text("videoUrl", "VideoURL").shown().means(Meaning::Link),
        text("videoType", "VideoType"),
        field("videoSize", "VideoSize", Kind::Int64),
        field("duration", "Duration", Kind::Int64),
        text("snapshotPath", "SnapshotPath"),
        text("snapshotUUID", "SnapshotUUID"),
        field("snapshotSize", "SnapshotSize", Kind::Int64),
        text("snapshotUrl", "SnapshotURL").means(Meaning::Link),
        field("snapshotWidth", "SnapshotWidth", Kind::Int32),
        field("snapshotHeight", "SnapshotHeight", Kind::Int32),
    ],
};

/// 105, a file.
pub static FILE: Element = Element {
    name: "FileElem",
    fields: &[
        text("filePath", "FilePath"),
        text("uuid", "UUID"),
        text("sourceUrl", "SourceURL").shown().means(Meaning::Link),
        text("fileName", "FileName").means(Meaning::Name),
        field("fileSize", "FileSize", Kind::Int64),
    ],
};

/// A message within a message: what a client shows of it. All else of it is kept like any other field.
pub static MESSAGE: Element = Element {
    name: "MsgStruct",
    fields: &[
        text("clientMsgID", "ClientMsgID"),
        text("serverMsgID", "ServerMsgID"),
        text("sendID", "SendID"),
        text("recvID", "RecvID"),
        field("contentType", "ContentType", Kind::Int32),
        text("senderNickname", "SenderNickname").means(Meaning::Name),
        text("senderFaceUrl", "SenderFaceURL").means(Meaning::Link),
        field("pictureElem", "PictureElem", Kind::Element(&PICTURE)),
        field("soundElem", "SoundElem", Kind::Element(&SOUND)),
        field("videoElem", "VideoElem", Kind::Element(&VIDEO)),
        field("fileElem", "FileElem", Kind::Element(&FILE)),
    ],
};

static AT_INFO: Element = Element {
    name: "AtInfo",
    fields: &[
        text("atUserID", "AtUserID"),
        text("groupNickname", "GroupNickname").means(Meaning::Name),
    ],
};

/// 106, a text that mentions users.
pub static AT: Element = Element {
    name: "AtElem",
    fields: &[
        text("text", "Text").required(),
        field("atUserList", "AtUserList", Kind::Texts).required(),
        field("atUsersInfo", "AtUsersInfo", Kind::Elements(&AT_INFO)),
        field("quoteMessage", "QuoteMessage", Kind::Element(&MESSAGE)),
        field("isAtSelf", "IsAtSelf", Kind::Flag),
    ],
};

/// 107, several messages forwarded as one.
pub static MERGED: Element = Element {
    name: "MergeElem",
    fields: &[
        text("title", "Title").required().means(Meaning::Name),
        field("abstractList", "AbstractList", Kind::Texts),
        field("multiMessage", "MultiMessage", Kind::Elements(&MESSAGE)).required(),
    ],
};

/// 108, a card: what is on it is the application's own affair; these fields are common.
pub static CARD: Element = Element {
    name: "CardElem",
    fields: &[
        text("userID", "UserID"),
        text("nickname", "Nickname").means(Meaning::Name),
        text("faceURL", "FaceURL").means(Meaning::Link),
        text("ex", "Ex"),
    ],
};

/// 109, a place.
pub static LOCATION: Element = Element {
    name: "LocationElem",
    fields: &[
        text("description", "Description"),
        field("longitude", "Longitude", Kind::Float).required(),
        field("latitude", "Latitude", Kind::Float).required(),
    ],
};

/// 110, 119 and 120, whatever an application makes of it.
pub static CUSTOM: Element = Element {
    name: "CustomElem",
    fields: &[
        text("data", "Data").required(),
        text("description", "Description"),
        text("extension", "Extension"),
    ],
};

/// 111, a recall.
pub static REVOKE: Element = Element {
    name: "RevokeElem",
    fields: &[text("revokeMsgClientID", "RevokeMsgClientID").required()],
};

/// 112 and 116, messages that were read: a bare list between the original's clients.
pub static RECEIPT: Element = Element {
    name: "ReceiptElem",
    fields: &[field("msgIDList", "MsgIDList", Kind::Texts).required()],
};

/// 113, somebody is typing: a bare text between the original's clients.
pub static TYPING: Element = Element {
    name: "TypingElem",
    fields: &[text("msgTips", "MsgTips").means(Meaning::Name)],
};

/// 114, an answer to a message.
pub static QUOTE: Element = Element {
    name: "QuoteElem",
    fields: &[
        text("text", "Text").required(),
        field("quoteMessage", "QuoteMessage", Kind::Element(&MESSAGE)).required(),
    ],
};

/// 115, a face of the client's own set, by its index or its name.
pub static FACE: Element = Element {
    name: "FaceElem",
    fields: &[field("index", "Index", Kind::Int32), text("data", "Data")],
};

static MESSAGE_ENTITY: Element = Element {
    name: "MessageEntity",
    fields: &[
        text("type", "Type"),
        field("offset", "Offset", Kind::Int32),
        field("length", "Length", Kind::Int32),
        text("url", "Url").means(Meaning::Link),
        text("info", "Info"),
    ],
};

/// 117, a text with marked places.
pub static ADVANCED_TEXT: Element = Element {
    name: "AdvancedTextElem",
    fields: &[
        text("text", "Text").required(),
        field(
            "messageEntityList",
            "MessageEntityList",
            Kind::Elements(&MESSAGE_ENTITY),
        ),
    ],
};

/// 118, who recalled which message.
pub static REVOKED: Element = Element {
    name: "MessageRevoked",
    fields: &[
        text("revokerID", "RevokerID"),
        field("revokerRole", "RevokerRole", Kind::Int32),
        text("clientMsgID", "ClientMsgID").required(),
        text("revokerNickname", "RevokerNickname").means(Meaning::Name),
        field("revokeTime", "RevokeTime", Kind::Int64),
        field(
            "sourceMessageSendTime",
            "SourceMessageSendTime",
            Kind::Int64,
        ),
        text("sourceMessageSendID", "SourceMessageSendID"),
        text("sourceMessageSenderNickname", "SourceMessageSenderNickname").means(Meaning::Name),
        field("sessionType", "SessionType", Kind::Int32),
    ],
};

/// 1400, an OA notification. `notificationFaceURL` was required up to v2.2.0 and is optional in v2.3.0, as here.
/// `externalUrl` is documented, though in none of the original's structs.
pub static OA_NOTIFICATION: Element = Element {
    name: "OANotificationElem",
    fields: &[
        text("notificationName", "NotificationName")
            .required()
            .means(Meaning::Name),
        text("notificationFaceURL", "NotificationFaceURL").means(Meaning::Link),
        field("notificationType", "NotificationType", Kind::Int32).required(),
        text("text", "Text").required(),
        text("externalUrl", "ExternalURL").means(Meaning::Link),
        text("url", "Url").means(Meaning::Link),
        field("mixType", "MixType", Kind::Int32),
        field("pictureElem", "PictureElem", Kind::Element(&PICTURE)),
        field("soundElem", "SoundElem", Kind::Element(&SOUND)),
        field("videoElem", "VideoElem", Kind::Element(&VIDEO)),
        field("fileElem", "FileElem", Kind::Element(&FILE)),
        text("ex", "Ex"),
    ],
};
