//! Contents as OpenIM v3 has them, and as they are kept: one text has another name, and notices come in a frame.

use serde_json::Value;
use waybill_core::content::{NOTICE_TYPE, TEXT_TYPE};

use crate::content::{Checked, Demand, check_object};
use crate::error::{Error, Kind};
use crate::openim::go::members::Raw;
use crate::openim::go::scan;

/// What a user may send over the gateway, and any client can show.
const CHATS: [u32; 15] = [
    101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 114, 115, 117, 119, 120,
];

/// Whether messages of this contentType are shown by clients of v3.
#[must_use]
pub fn is_shown(content_type: u32) -> bool {
    CHATS.contains(&content_type) || content_type == NOTICE_TYPE
}

/// Whether a user may send messages of this contentType.
#[must_use]
pub fn is_chat(content_type: i64) -> bool {
    CHATS.iter().any(|chat| i64::from(*chat) == content_type)
}

/// A content that was sent, as it is kept, and what it is. A text stands under another name; all else stays byte for byte.
///
/// # Errors
/// When it is not what its contentType asks for.
pub fn taken(
    content_type: i64,
    content: &str,
    depth: usize,
    max_bytes: u64,
) -> Result<(String, Checked), Error> {
    let malformed = |what: String| Error::at(Kind::Malformed, "content", what);
    let kept = if content_type == i64::from(TEXT_TYPE) {
        renamed(content, "content", "text")
            .ok_or_else(|| malformed("it is no object".to_owned()))?
    } else {
        content.to_owned()
    };
    let tape = scan::first_value(&kept, depth).map_err(|error| malformed(error.to_string()))?;
    let value = tape.root();
    if value.text().len() != kept.trim_matches([' ', '\t', '\r', '\n']).len() {
        return Err(malformed("there is text behind its JSON value".to_owned()));
    }
    // An element without required fields would fit any other value too.
    if value.raw() != Raw::Object {
        let what = "the content must be a JSON object";
        return Err(Error::at(Kind::ContentShape, "content", what));
    }
    let checked = check_object(
        content_type,
        value,
        tape.unusual,
        max_bytes,
        Demand::Required,
    )?;
    Ok((kept, checked))
}

/// The content of a message as clients of v3 read it.
#[must_use]
pub fn given(content_type: u32, kept: &str) -> String {
    match content_type {
        TEXT_TYPE => renamed(kept, "text", "content").unwrap_or_else(|| kept.to_owned()),
        1000.. => framed(kept),
        _ => kept.to_owned(),
    }
}

/// The frame of a notification: its text is in `detail`.
#[must_use]
pub fn framed(detail: &str) -> String {
    format!("{{\"detail\":{}}}", Value::from(detail))
}

fn renamed(content: &str, from: &str, to: &str) -> Option<String> {
    let mut object: serde_json::Map<String, Value> = serde_json::from_str(content).ok()?;
    if let Some(value) = object.remove(from) {
        object.insert(to.to_owned(), value);
    }
    Some(Value::Object(object).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(content_type: i64, content: &str) -> Result<String, Kind> {
        let taken = taken(content_type, content, 32, 1024);
        taken.map(|(kept, _)| kept).map_err(|error| error.kind)
    }

    #[test]
    fn texts_change_their_name_and_come_back() {
        let kept = take(101, r#"{"content":"a\"b"}"#).unwrap();
        assert_eq!(kept, r#"{"text":"a\"b"}"#);
        assert_eq!(given(101, &kept), r#"{"content":"a\"b"}"#);
        assert_eq!(take(101, r#"{"text":"x"}"#).unwrap(), r#"{"text":"x"}"#);
        let custom = r#"{"data":"d", "x": 1e3}"#;
        assert_eq!(take(110, custom).unwrap(), custom);
        assert_eq!(given(110, custom), custom);
        assert_eq!(given(1400, r#"{"a":"b"}"#), r#"{"detail":"{\"a\":\"b\"}"}"#);
    }

    #[test]
    fn bad_contents_are_refused() {
        for (content_type, content, expected) in [
            (101, "", Kind::Malformed),
            (101, "[]", Kind::Malformed),
            (101, "{}", Kind::ContentRules),
            (110, "{} {}", Kind::Malformed),
            (105, "\"\"", Kind::ContentShape),
            (110, "[]", Kind::ContentShape),
            (110, r#"{"data":1e999}"#, Kind::ContentShape),
            (999, "{}", Kind::ContentType),
        ] {
            assert_eq!(take(content_type, content), Err(expected), "{content}");
        }
        let long = format!(r#"{{"data":"{}"}}"#, "x".repeat(2_000));
        assert_eq!(take(110, &long), Err(Kind::ContentTooLarge));
    }

    #[test]
    fn what_users_may_send_ends_below_the_notifications() {
        assert!(is_chat(101) && is_chat(110));
        for refused in [0, -1, 100, 111, 112, 1000, 1400, 2101, 5001, i64::MAX] {
            assert!(!is_chat(refused), "{refused}");
        }
    }
}
