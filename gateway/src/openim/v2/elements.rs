//! The contents that OpenIM v2 knows, as the original declares them (its `mapstructure` names and required fields).

use crate::openim::go::weak::{Element, Field, Kind};

const fn field(json: &'static str, go: &'static str, kind: Kind) -> Field {
    Field {
        json,
        go,
        kind,
        required: false,
    }
}

const fn required(json: &'static str, go: &'static str, kind: Kind) -> Field {
    Field {
        json,
        go,
        kind,
        required: true,
    }
}

/// 101, a text.
pub static TEXT: Element = Element {
    name: "TextElem",
    fields: &[required("text", "Text", Kind::Text)],
};

static PICTURE_BASE_INFO: Element = Element {
    name: "PictureBaseInfo",
    fields: &[
        field("uuid", "UUID", Kind::Text),
        field("type", "Type", Kind::Text),
        field("size", "Size", Kind::Int64),
        field("width", "Width", Kind::Int32),
        field("height", "Height", Kind::Int32),
        field("url", "Url", Kind::Text),
    ],
};

/// 102, a picture.
pub static PICTURE: Element = Element {
    name: "PictureElem",
    fields: &[
        field("sourcePath", "SourcePath", Kind::Text),
        field(
            "sourcePicture",
            "SourcePicture",
            Kind::Element(&PICTURE_BASE_INFO),
        ),
        field(
            "bigPicture",
            "BigPicture",
            Kind::Element(&PICTURE_BASE_INFO),
        ),
        field(
            "snapshotPicture",
            "SnapshotPicture",
            Kind::Element(&PICTURE_BASE_INFO),
        ),
    ],
};

/// 103, a voice message.
pub static SOUND: Element = Element {
    name: "SoundElem",
    fields: &[
        field("uuid", "UUID", Kind::Text),
        field("soundPath", "SoundPath", Kind::Text),
        field("sourceUrl", "SourceURL", Kind::Text),
        field("dataSize", "DataSize", Kind::Int64),
        field("duration", "Duration", Kind::Int64),
    ],
};

/// 104, a video.
pub static VIDEO: Element = Element {
    name: "VideoElem",
    fields: &[
        field("videoPath", "VideoPath", Kind::Text),
        field("videoUUID", "VideoUUID", Kind::Text),
        field("videoUrl", "VideoURL", Kind::Text),
        field("videoType", "VideoType", Kind::Text),
        field("videoSize", "VideoSize", Kind::Int64),
        field("duration", "Duration", Kind::Int64),
        field("snapshotPath", "SnapshotPath", Kind::Text),
        field("snapshotUUID", "SnapshotUUID", Kind::Text),
        field("snapshotSize", "SnapshotSize", Kind::Int64),
        field("snapshotUrl", "SnapshotURL", Kind::Text),
        field("snapshotWidth", "SnapshotWidth", Kind::Int32),
        field("snapshotHeight", "SnapshotHeight", Kind::Int32),
    ],
};

/// 105, a file.
pub static FILE: Element = Element {
    name: "FileElem",
    fields: &[
        field("filePath", "FilePath", Kind::Text),
        field("uuid", "UUID", Kind::Text),
        field("sourceUrl", "SourceURL", Kind::Text),
        field("fileName", "FileName", Kind::Text),
        field("fileSize", "FileSize", Kind::Int64),
    ],
};

/// 110, whatever an application makes of it.
pub static CUSTOM: Element = Element {
    name: "CustomElem",
    fields: &[
        required("data", "Data", Kind::Text),
        field("description", "Description", Kind::Text),
        field("extension", "Extension", Kind::Text),
    ],
};

/// 111, a recall.
pub static REVOKE: Element = Element {
    name: "RevokeElem",
    fields: &[required(
        "revokeMsgClientID",
        "RevokeMsgClientID",
        Kind::Text,
    )],
};

/// 1400, an OA notification. `notificationFaceURL` was required up to v2.2.0 and is optional in v2.3.0, as here.
/// `externalUrl` is in none of the original's structs; the content is kept as it was written, so it passes.
pub static OA_NOTIFICATION: Element = Element {
    name: "OANotificationElem",
    fields: &[
        required("notificationName", "NotificationName", Kind::Text),
        field("notificationFaceURL", "NotificationFaceURL", Kind::Text),
        required("notificationType", "NotificationType", Kind::Int32),
        required("text", "Text", Kind::Text),
        field("url", "Url", Kind::Text),
        field("mixType", "MixType", Kind::Int32),
        field("pictureElem", "PictureElem", Kind::Element(&PICTURE)),
        field("soundElem", "SoundElem", Kind::Element(&SOUND)),
        field("videoElem", "VideoElem", Kind::Element(&VIDEO)),
        field("fileElem", "FileElem", Kind::Element(&FILE)),
        field("ex", "Ex", Kind::Text),
    ],
};

/// contentType of a text.
pub const CONTENT_TEXT: i64 = 101;

/// contentType of an OA notification.
pub const CONTENT_OA_NOTIFICATION: i64 = 1400;

/// The element that a manager may send under this contentType, or `None` for any other number. The original's managers
/// may also send 102 to 105, 110 and 111; their elements are declared above and are taken up here together with what
/// the domain does with them.
#[must_use]
pub fn sendable(content_type: i64) -> Option<&'static Element> {
    match content_type {
        CONTENT_TEXT => Some(&TEXT),
        CONTENT_OA_NOTIFICATION => Some(&OA_NOTIFICATION),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openim::go::scan::first_value;
    use crate::openim::go::weak::{self, MAX_FIELDS};

    #[test]
    fn every_element_can_be_decoded() {
        fn fits(element: &Element) {
            assert!(element.fields.len() <= MAX_FIELDS, "{}", element.name);
            for field in element.fields {
                if let Kind::Element(inner) = field.kind {
                    fits(inner);
                }
            }
        }
        let all = [
            &TEXT,
            &PICTURE,
            &SOUND,
            &VIDEO,
            &FILE,
            &CUSTOM,
            &REVOKE,
            &OA_NOTIFICATION,
        ];
        all.into_iter().for_each(fits);
    }

    #[test]
    fn contents_of_all_kinds_are_judged_as_the_original_does() {
        let required = |element: &str, field: &str| {
            format!(
                "Key: '{element}.{field}' Error:Field validation for '{field}' failed on the \
                 'required' tag"
            )
        };
        let table: [(&Element, &str, Option<String>); 13] = [
            (&TEXT, "{\"text\":\"hi\"}", None),
            (&TEXT, "{\"text\":\"\"}", Some(required("TextElem", "Text"))),
            (&PICTURE, "{}", None),
            (&PICTURE, "{\"sourcePicture\":{\"size\":\"12\",\"url\":\"u\"},\"bigPicture\":null}", None),
            (
                &PICTURE,
                "{\"sourcePicture\":{\"size\":\"big\"}}",
                Some(
                    "1 error(s) decoding:\n\n* cannot parse 'sourcePicture.size' as int: \
                     strconv.ParseInt: parsing \"big\": invalid syntax"
                        .to_owned(),
                ),
            ),
            (&SOUND, "{\"duration\":3.7}", None),
            (&VIDEO, "{\"snapshotWidth\":true}", None),
            (
                &FILE,
                "{\"fileName\":[]}",
                Some(
                    "1 error(s) decoding:\n\n* 'fileName' expected type 'string', got unconvertible \
                     type '[]interface {}', value: '[]'"
                        .to_owned(),
                ),
            ),
            (&CUSTOM, "{\"data\":\"{}\"}", None),
            (&CUSTOM, "{\"description\":\"d\"}", Some(required("CustomElem", "Data"))),
            (&REVOKE, "{}", Some(required("RevokeElem", "RevokeMsgClientID"))),
            (
                &OA_NOTIFICATION,
                "{\"notificationName\":\"n\",\"notificationType\":0,\"text\":\"t\"}",
                Some(required("OANotificationElem", "NotificationType")),
            ),
            (
                &OA_NOTIFICATION,
                "{\"notificationName\":\"n\",\"notificationType\":\"1\",\"text\":\"t\",\"externalUrl\":\"x\",\"pictureElem\":null}",
                None,
            ),
        ];
        for (element, content, expected) in table {
            let found = weak::decode(first_value(content, 8).unwrap().root(), element)
                .err()
                .map(|error| error.to_string());
            assert_eq!(found, expected, "{content}");
        }
    }
}
