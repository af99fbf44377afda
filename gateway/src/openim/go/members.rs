//! Walks over a JSON text that is known to be well-formed, without copying it. Text that is not well-formed ends a walk
//! early; it never causes a panic.

use std::borrow::Cow;

use super::text::unquote;

/// A value, by its first character, with its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A string, without its quotes and with its escapes.
    String(&'a str),
    /// An array, with its brackets.
    Array(&'a str),
    /// An object, with its braces.
    Object(&'a str),
}

impl<'a> Raw<'a> {
    /// Tells what the text of a value is.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        match text.as_bytes().first() {
            Some(b'{') => Self::Object(text),
            Some(b'[') => Self::Array(text),
            Some(b'"') => Self::String(text.get(1..text.len().saturating_sub(1)).unwrap_or("")),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(text),
        }
    }
}

/// The members of an object: key and text of the value, in the order in which they stand.
pub struct Members<'a> {
    text: &'a str,
    at: usize,
}

/// The elements of an array.
pub struct Elements<'a> {
    text: &'a str,
    at: usize,
}

/// The members of an object given with its braces.
#[must_use]
pub fn members(object: &str) -> Members<'_> {
    Members {
        text: object,
        at: 1,
    }
}

/// The elements of an array given with its brackets.
#[must_use]
pub fn elements(array: &str) -> Elements<'_> {
    Elements { text: array, at: 1 }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let key = next_value(self.text, &mut self.at)?;
        let key = key.strip_prefix('"')?.strip_suffix('"')?;
        let value = next_value(self.text, &mut self.at)?;
        Some((unquote(key), value))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        next_value(self.text, &mut self.at)
    }
}

/// The value at `at` or after white space, a comma or a colon; moves `at` behind it. `None` at the end of the enclosing
/// array or object.
fn next_value<'a>(text: &'a str, at: &mut usize) -> Option<&'a str> {
    let bytes = text.as_bytes();
    while let Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b':') = bytes.get(*at) {
        *at += 1;
    }
    let start = *at;
    match bytes.get(start)? {
        b'}' | b']' => return None,
        b'"' => *at = after_string(bytes, start),
        b'{' | b'[' => *at = after_nested(bytes, start),
        _ => {
            while !matches!(
                bytes.get(*at),
                None | Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b'}' | b']')
            ) {
                *at += 1;
            }
        }
    }
    text.get(start..*at)
}

fn after_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => at += 1,
            _ => {}
        }
    }
    at.min(bytes.len())
}

fn after_nested(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = after_string(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_verbatim_and_in_order() {
        let object = "{ \"a\" : {\"x\":\"}\\\"\"} ,\n\"b\\u0063\":[1, [2]],\"n\":-1.5e3, \"t\":true,\"大\":\"]\" }";
        let found: Vec<_> = members(object).map(|(k, v)| (k.into_owned(), v)).collect();
        let expected = [
            ("a", "{\"x\":\"}\\\"\"}"),
            ("bc", "[1, [2]]"),
            ("n", "-1.5e3"),
            ("t", "true"),
            ("大", "\"]\""),
        ];
        assert_eq!(found.len(), expected.len());
        for ((key, value), (expected_key, expected_value)) in found.iter().zip(expected) {
            assert_eq!((key.as_str(), *value), (expected_key, expected_value));
        }
        assert_eq!(members("{ }").count(), 0);
        assert_eq!(
            elements("[ 1 ,\"a,b\", {\"k\":[]} ]").collect::<Vec<_>>(),
            ["1", "\"a,b\"", "{\"k\":[]}"]
        );
    }

    #[test]
    fn values_are_told_apart() {
        assert_eq!(Raw::of("null"), Raw::Null);
        assert_eq!(Raw::of("false"), Raw::Bool(false));
        assert_eq!(Raw::of("-1"), Raw::Number("-1"));
        assert_eq!(Raw::of("\"a\\n\""), Raw::String("a\\n"));
        assert_eq!(Raw::of("{}"), Raw::Object("{}"));
        assert_eq!(Raw::of("[]"), Raw::Array("[]"));
    }

    proptest::proptest! {
        #[test]
        fn malformed_text_never_panics(text in "[\\[\\]{}\",:\\\\a1大 ]{0,24}") {
            members(&text).take(100).count();
            elements(&text).take(100).count();
            let _ = Raw::of(&text);
        }
    }
}
