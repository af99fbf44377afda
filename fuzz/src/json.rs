//! JSON as the original reads it, and the contents of messages in it.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use waybill_core::content::TABLE;
use waybill_gateway::fuzzing::{Demand, SHAPES, check_content, check_object, socket_frame};
use waybill_gateway::openim::go::bind::{bind, scan};
use waybill_gateway::openim::go::members::{Raw, Value};
use waybill_gateway::openim::go::print::printed;
use waybill_gateway::openim::go::scan::{SyntaxError, first_value};
use waybill_gateway::openim::go::text::{quote_into, unquote};
use waybill_gateway::openim::v3::content::{given, taken};

/// Deepest nesting that is taken; serde's own bound is 128.
const DEPTH: usize = 32;
/// Longest content that is taken, in bytes.
const CONTENT: u64 = 1_024;

/// Walks over a value and checks what each part says of itself.
fn walk(value: Value<'_, '_>) {
    let text = value.text();
    assert!(printed(value).len() < 1_100, "what is printed is short");
    match value.raw() {
        Raw::String(raw) => {
            let unquoted = unquote(raw);
            // serde refuses half of a surrogate pair, for which Go puts a replacement.
            if let Ok(expected) = serde_json::from_str::<String>(text) {
                assert_eq!(unquoted, expected);
            }
            let mut quoted = Vec::new();
            quote_into(&mut quoted, &unquoted);
            assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), unquoted);
        }
        Raw::Array => value.elements().for_each(walk),
        Raw::Object => value.members().for_each(|(_, member)| walk(member)),
        Raw::Null => assert_eq!(text, "null"),
        Raw::Bool(flag) => assert_eq!(text, flag.to_string()),
        Raw::Number(number) => assert_eq!(number, text),
    }
}

pub fn go_json(input: &[u8]) {
    let Ok(tape) = scan(input, DEPTH) else {
        // What serde takes, the scanner takes too, unless it is too deep.
        if let Ok(text) = std::str::from_utf8(input)
            && serde_json::from_str::<IgnoredAny>(text).is_ok()
        {
            let error = first_value(text, DEPTH).unwrap_err();
            assert!(matches!(
                error,
                SyntaxError::TooDeep { .. } | SyntaxError::TooMany
            ));
        }
        return;
    };
    let root = tape.root();
    serde_json::from_str::<IgnoredAny>(root.text()).unwrap();
    walk(root);
    for shape in SHAPES {
        if let Err(error) = bind(&tape, shape) {
            assert!(!error.to_string().is_empty());
        }
    }
    for row in TABLE {
        for demand in [Demand::Required, Demand::Showable] {
            let number = i64::from(row.number);
            let _ = check_object(number, root, tape.unusual, CONTENT, demand);
        }
    }
}

/// The contentType that the first byte chooses, and the text behind it.
fn chosen(input: &[u8]) -> Option<(i64, &str)> {
    let (first, rest) = input.split_first()?;
    let row = &TABLE[usize::from(*first) % TABLE.len()];
    Some((row.number.into(), std::str::from_utf8(rest).ok()?))
}

pub fn content(input: &[u8]) {
    let Some((number, text)) = chosen(input) else {
        return;
    };
    if let Ok(checked) = check_content(number, text, DEPTH, CONTENT) {
        assert_eq!(i64::from(checked.content_type), number);
        assert!(text.len() as u64 <= CONTENT);
        // Any reader of JSON can read it.
        let read: serde_json::Value = serde_json::from_str(text).unwrap();
        assert!(read.is_object());
    }
}

pub fn openim_content(input: &[u8]) {
    let Some((number, text)) = chosen(input) else {
        return;
    };
    if let Ok((kept, checked)) = taken(number, text, DEPTH, CONTENT) {
        let read: serde_json::Value = serde_json::from_str(&kept).unwrap();
        assert!(read.is_object());
        // What a client gets it can read, and what it sends back is the same again.
        let shown = given(checked.content_type, &kept);
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert!(read.is_object());
        if number < 1_000 {
            let (again, _) = taken(number, &shown, DEPTH, u64::MAX).unwrap();
            assert_eq!(again, kept);
        }
    }
}

/// Frames of the native WebSocket. What is taken or refused by its number is JSON for others too, and has that number.
pub fn socket_frames(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Some(request) = socket_frame(text) else {
        return;
    };
    // Not a `Value`: a member that is refused may be a number that none can hold.
    let frame: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
    assert!(frame["frame"].get().starts_with('"'), "{text}");
    if request > 0 {
        // 7.0 is a whole number too.
        let told: f64 = frame["request"].get().parse().unwrap();
        assert!((told - request as f64).abs() < 1.0, "{text}");
    }
}
