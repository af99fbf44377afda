//! The `content` of a message: whether it may be sent under its contentType. It is kept byte for byte, so what no reader
//! could read is refused here.

use crate::error::{Error, Kind};
use crate::openim::go::members::{Raw, Value};
use crate::openim::go::scan;
use crate::openim::go::weak::{self, ContentError};
use crate::openim::v2::elements::{CONTENT_OA_NOTIFICATION, CONTENT_TEXT, sendable};

/// What the rest of the message needs to know of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The contentType.
    pub content_type: u32,
    /// The `notificationType` of a notice, 0 for anything else.
    pub notification_type: i32,
}

/// Checks a text that is not known to be JSON: that it is one object, nested no deeper than `max_depth`, and then as
/// [`check_object`].
///
/// # Errors
/// The first thing that is wrong.
pub fn check(
    content_type: i64,
    content: &str,
    max_depth: usize,
    max_bytes: u64,
) -> Result<Checked, Error> {
    check_size(content, max_bytes)?;
    let malformed = |what: String| Error::at(Kind::Malformed, "/content", what);
    let tape =
        scan::first_value(content, max_depth).map_err(|error| malformed(error.to_string()))?;
    let value = tape.root();
    if value.text().len() != content.trim_matches([' ', '\t', '\r', '\n']).len() {
        return Err(malformed(
            "the content has text behind its JSON value".to_owned(),
        ));
    }
    if value.raw() != Raw::Object {
        return Err(Error::at(
            Kind::ContentShape,
            "/content",
            "the content must be a JSON object",
        ));
    }
    check_object(content_type, value, tape.unusual, max_bytes)
}

/// Checks an object that was scanned: that its contentType may be sent, its size, that any reader of JSON can read it (the
/// scan says when that is in doubt: `unusual`), and that it fits its element.
///
/// # Errors
/// The first thing that is wrong; what concerns the element in the words of OpenIM.
pub fn check_object(
    content_type: i64,
    object: Value<'_, '_>,
    unusual: bool,
    max_bytes: u64,
) -> Result<Checked, Error> {
    let Some(element) = sendable(content_type) else {
        return Err(Error::at(
            Kind::ContentType,
            "/contentType",
            "contentType err",
        ));
    };
    check_size(object.text(), max_bytes)?;
    if unusual {
        // Escapes stand in strings only, so one look at the text finds them in keys and values alike.
        if has_half_pair(object.text()) {
            let what = "the content holds half of a surrogate pair";
            return Err(Error::at(Kind::ContentShape, "/content", what));
        }
        check_numbers(object)?;
    }
    let decoded = weak::decode(object, element).map_err(|error| match error {
        ContentError::Types(text) => Error::at(Kind::ContentShape, "/content", text),
        ContentError::Rules(text) => Error::at(Kind::ContentRules, "/content", text),
    })?;
    if content_type == CONTENT_TEXT && !has_text(object) {
        // The original fails with an empty answer where the text is a number or a flag, which pass the weak decoding.
        let text =
            "Key: 'TextElem.Text' Error:Field validation for 'Text' failed on the 'string' tag";
        return Err(Error::at(Kind::ContentRules, "/content/text", text));
    }
    let notification_type = if content_type == CONTENT_OA_NOTIFICATION {
        i32::try_from(decoded.number(element, "notificationType")).unwrap_or(0)
    } else {
        0
    };
    Ok(Checked {
        content_type: u32::try_from(content_type).unwrap_or(0),
        notification_type,
    })
}

fn check_size(content: &str, max_bytes: u64) -> Result<(), Error> {
    if content.len() as u64 <= max_bytes {
        return Ok(());
    }
    let text = format!(
        "the content has {} bytes; at most {max_bytes} are taken",
        content.len()
    );
    Err(Error::at(Kind::ContentTooLarge, "/content", text))
}

/// Whether `text` is a string, under the key that counts: the last one spelled so, as the original's map has it.
fn has_text(object: Value<'_, '_>) -> bool {
    let text = object.members().filter(|(key, _)| key == "text").last();
    matches!(text.map(|(_, value)| value.raw()), Some(Raw::String(text)) if !text.is_empty())
}

/// Refuses numbers beyond the range of a double: JSON by their grammar, they stop many readers, and one such message would
/// block every later one of its receiver. So would half of a surrogate pair.
fn check_numbers(value: Value<'_, '_>) -> Result<(), Error> {
    match value.raw() {
        Raw::Number(number) if !number.parse::<f64>().is_ok_and(f64::is_finite) => {
            let what = "the content holds a number that is too large";
            Err(Error::at(Kind::ContentShape, "/content", what))
        }
        Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::String(_) => Ok(()),
        Raw::Array => value.elements().try_for_each(check_numbers),
        Raw::Object => value
            .members()
            .try_for_each(|(_, member)| check_numbers(member)),
    }
}

/// Whether a JSON text holds an escape `\uD800` to `\uDFFF` that is no part of a pair.
fn has_half_pair(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at + 1..];
        let Some(unit) = unit(escape) else {
            // Another escape: skip it with the character it escapes.
            rest = escape.get(1..).unwrap_or("");
            continue;
        };
        let after = &escape[5..];
        rest = match unit {
            0xd800..0xdc00 => match after.strip_prefix('\\').and_then(self::unit) {
                Some(0xdc00..0xe000) => &after[6..],
                _ => return true,
            },
            0xdc00..0xe000 => return true,
            _ => after,
        };
    }
    false
}

fn unit(escape: &str) -> Option<u32> {
    u32::from_str_radix(escape.strip_prefix('u')?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OA: &str = r#"{"notificationName":"n","notificationType":7,"text":"t"}"#;

    fn kind(content_type: i64, content: &str) -> Option<Kind> {
        check(content_type, content, 8, 200)
            .err()
            .map(|error| error.kind)
    }

    #[test]
    fn contents_are_judged() {
        let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(200));
        let table = [
            (1400, OA, None),
            (101, r#" {"text":"hi","more":[1,"\ud83d\ude00"]} "#, None),
            (102, "{}", Some(Kind::ContentType)),
            (0, "{}", Some(Kind::ContentType)),
            (-5, "{}", Some(Kind::ContentType)),
            (101, "", Some(Kind::Malformed)),
            (101, "hi", Some(Kind::Malformed)),
            (101, r#"{"text":"hi"} {}"#, Some(Kind::Malformed)),
            (101, r#"{"text":[[[[[[[[1]]]]]]]]}"#, Some(Kind::Malformed)),
            (101, "\"hi\"", Some(Kind::ContentShape)),
            (101, "[]", Some(Kind::ContentShape)),
            (101, r#"{"text":{}}"#, Some(Kind::ContentShape)),
            (101, "{}", Some(Kind::ContentRules)),
            (101, r#"{"text":5}"#, Some(Kind::ContentRules)),
            (101, r#"{"text":true}"#, Some(Kind::ContentRules)),
            (101, r#"{"TEXT":"hi"}"#, Some(Kind::ContentRules)),
            (101, &long, Some(Kind::ContentTooLarge)),
            (
                1400,
                r#"{"notificationName":"n","notificationType":0,"text":"t"}"#,
                Some(Kind::ContentRules),
            ),
            (
                1400,
                r#"{"notificationName":"n","notificationType":"x","text":"t"}"#,
                Some(Kind::ContentShape),
            ),
        ];
        for (content_type, content, expected) in table {
            assert_eq!(
                kind(content_type, content),
                expected,
                "{content_type} {content}"
            );
        }
    }

    #[test]
    fn what_readers_choke_on_is_refused() {
        for bad in [
            r#"{"text":"\ud83d"}"#,
            r#"{"text":"a","x":["\ude00"]}"#,
            r#"{"text":"a","x":"\ud83dA"}"#,
            r#"{"text":"a","\ud800":1}"#,
            r#"{"text":"a","x":{"y":1e999}}"#,
            r#"{"text":"a","x":-1e400}"#,
        ] {
            assert_eq!(kind(101, bad), Some(Kind::ContentShape), "{bad}");
            assert!(
                serde_json::from_str::<serde_json::Value>(bad).is_err(),
                "{bad}"
            );
        }
        for good in [
            r#"{"text":"\\ud800"}"#,
            r#"{"text":"A\n\"\ud83d\ude00\ud83d\ude01"}"#,
            r#"{"text":"a","x":1e308,"\ud83d\ude00":"�"}"#,
        ] {
            assert_eq!(kind(101, good), None, "{good}");
            assert!(
                serde_json::from_str::<serde_json::Value>(good).is_ok(),
                "{good}"
            );
        }
    }

    #[test]
    fn a_notice_tells_its_type() {
        let checked = check(1400, OA, 8, 200).unwrap();
        assert_eq!(
            checked,
            Checked {
                content_type: 1400,
                notification_type: 7
            }
        );
        assert_eq!(
            check(101, r#"{"text":"x"}"#, 8, 200)
                .unwrap()
                .notification_type,
            0
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_accepted_can_be_read(text in "(\\{\"text\":\"[a-z\\\\ud8c0-9\"大]{0,12}\",\"x\":[-0-9e.+]{1,6}\\})") {
            if check(101, &text, 8, 200).is_ok() {
                proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
