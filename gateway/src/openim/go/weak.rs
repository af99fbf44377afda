//! The weak decoding of `mapstructure`: whether the `content` of a message fits an element, with lenient types. What it
//! decodes is used for validation only; the content itself stays as it was written.

use std::fmt;

use super::bind::rule_text;
use super::members::{Raw, Value};
use super::print;
use super::text::{quote, same_but_case, unquote};

/// The type of a field of an element.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `string`
    Text,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// Another element.
    Element(&'static Element),
}

/// One field of an element.
pub struct Field {
    /// Its key in JSON.
    pub json: &'static str,
    /// Its name in the original's struct.
    pub go: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Whether it must be there and not be zero.
    pub required: bool,
}

/// The content of one kind of message, as the original declares it.
pub struct Element {
    /// The name of the struct.
    pub name: &'static str,
    /// Its fields, in the order of the original: at most [`MAX_FIELDS`].
    pub fields: &'static [Field],
}

/// Most fields of one element.
pub const MAX_FIELDS: usize = 16;

/// Why a content does not fit its element. The texts are the original's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Values cannot be turned into the types of their fields.
    #[error("{0}")]
    Types(String),
    /// Required fields are missing or zero.
    #[error("{0}")]
    Rules(String),
}

/// What the fields of an element hold, as far as anybody asks: numbers as they are, texts as whether they are not empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded([i64; MAX_FIELDS]);

impl Decoded {
    /// The number of the field with this key.
    #[must_use]
    pub fn number(&self, element: &Element, json: &str) -> i64 {
        let index = element.fields.iter().position(|field| field.json == json);
        index
            .and_then(|index| self.0.get(index))
            .copied()
            .unwrap_or(0)
    }
}

/// The way to a field, for error texts: nothing is put together while all is well.
#[derive(Clone, Copy)]
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    name: &'static str,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)
    }
}

/// Decodes a content object and checks what is required.
///
/// # Errors
/// All wrong types, or else all missing fields, in the words of the original.
pub fn decode(object: Value<'_, '_>, element: &Element) -> Result<Decoded, ContentError> {
    let mut wrong = Vec::new();
    let decoded = fields(object, element, None, &mut wrong);
    if !wrong.is_empty() {
        wrong.sort();
        let lines: Vec<_> = wrong.iter().map(|line| format!("* {line}")).collect();
        let count = wrong.len();
        return Err(ContentError::Types(format!(
            "{count} error(s) decoding:\n\n{}",
            lines.join("\n")
        )));
    }
    let mut missing = String::new();
    for (field, value) in element.fields.iter().zip(decoded.0) {
        if field.required && value == 0 {
            if !missing.is_empty() {
                missing.push('\n');
            }
            rule_text(&mut missing, element.name, field.go, "required");
        }
    }
    if missing.is_empty() {
        Ok(decoded)
    } else {
        Err(ContentError::Rules(missing))
    }
}

fn fields(
    object: Value<'_, '_>,
    element: &Element,
    parent: Option<&Path<'_>>,
    wrong: &mut Vec<String>,
) -> Decoded {
    // A key that is the same in every letter outranks one that differs in case; of several the last counts.
    let mut exact = [None; MAX_FIELDS];
    let mut folded = [None; MAX_FIELDS];
    let mut expected = 0;
    for (key, value) in object.members() {
        // Callers keep to the order of the documentation, so the next key is mostly the next field.
        let index = match element.fields.get(expected) {
            Some(field) if field.json == key => Some(expected),
            _ => element.fields.iter().position(|field| field.json == key),
        };
        let slot = match index {
            Some(index) => {
                expected = index + 1;
                exact.get_mut(index)
            }
            None => element
                .fields
                .iter()
                .position(|field| same_but_case(field.json, &key))
                .and_then(|index| folded.get_mut(index)),
        };
        if let Some(slot) = slot {
            *slot = Some(value);
        }
    }
    let mut decoded = Decoded::default();
    let given = exact
        .into_iter()
        .zip(folded)
        .map(|(exact, folded)| exact.or(folded));
    for ((field, given), slot) in element.fields.iter().zip(given).zip(&mut decoded.0) {
        let Some(given) = given else { continue };
        *slot = value(
            given,
            field.kind,
            Path {
                parent,
                name: field.json,
            },
            wrong,
        );
    }
    decoded
}

/// What a field holds after decoding; faults go to `wrong`.
fn value(given: Value<'_, '_>, kind: Kind, name: Path<'_>, wrong: &mut Vec<String>) -> i64 {
    let result = match (kind, given.raw()) {
        (_, Raw::Null) => Ok(0),
        (Kind::Text, Raw::String(text)) => Ok(i64::from(!text.is_empty())),
        (Kind::Text, Raw::Bool(_) | Raw::Number(_)) => Ok(1),
        (Kind::Int32 | Kind::Int64, Raw::Bool(flag)) => Ok(i64::from(flag)),
        (Kind::Int32, Raw::Number(text)) => Ok(i64::from(whole(text) as i32)),
        (Kind::Int64, Raw::Number(text)) => Ok(whole(text)),
        (Kind::Int32, Raw::String(text)) => parse_int(&unquote(text), 32, name),
        (Kind::Int64, Raw::String(text)) => parse_int(&unquote(text), 64, name),
        (Kind::Element(inner), Raw::Object) => {
            fields(given, inner, Some(&name), wrong);
            Ok(1)
        }
        (Kind::Element(_), other) => Err(format!(
            "'{name}' expected a map, got '{}'",
            reflect_kind(other)
        )),
        (kind, other) => Err(format!(
            "'{name}' expected type '{}', got unconvertible type '{}', value: '{}'",
            type_name(kind),
            print::type_name(other),
            print::printed(given)
        )),
    };
    result.unwrap_or_else(|fault| {
        wrong.push(fault);
        0
    })
}

/// A number without its fraction. One beyond 64 bits becomes the smallest, as on the original's processors.
fn whole(text: &str) -> i64 {
    let number: f64 = text.parse().unwrap_or(0.0);
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// `strconv.ParseInt` with base 0, after the rule of the weak decoding that an empty text is 0.
fn parse_int(text: &str, bits: u32, name: Path<'_>) -> Result<i64, String> {
    let fault = |what: &str| {
        format!(
            "cannot parse '{name}' as int: strconv.ParseInt: parsing {}: {what}",
            quote(text)
        )
    };
    if text.is_empty() {
        return Ok(0);
    }
    let (negative, unsigned) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let plain = underscores(digits, base != 10).ok_or_else(|| fault("invalid syntax"))?;
    if plain.is_empty() || !plain.bytes().all(|byte| char::from(byte).is_digit(base)) {
        return Err(fault("invalid syntax"));
    }
    let limit = 1_i128 << (bits - 1);
    let range = || fault("value out of range");
    let size = i128::from_str_radix(&plain, base).map_err(|_| range())?;
    let signed = if negative { -size } else { size };
    if signed < -limit || signed >= limit {
        return Err(range());
    }
    i64::try_from(signed).map_err(|_| range())
}

/// Digits without the underscores that base 0 allows between them, and after a prefix; `None` where one is misplaced.
fn underscores(digits: &str, prefixed: bool) -> Option<String> {
    if !digits.contains('_') {
        return Some(digits.to_owned());
    }
    let misplaced = !prefixed || digits.ends_with('_') || digits.contains("__");
    (!misplaced).then(|| digits.replace('_', ""))
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Element(element) => element.name,
    }
}

fn reflect_kind(raw: Raw<'_>) -> &'static str {
    match raw {
        Raw::Null => "invalid",
        Raw::Bool(_) => "bool",
        Raw::Number(_) => "float64",
        Raw::String(_) => "string",
        Raw::Array => "slice",
        Raw::Object => "map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openim::go::scan::first_value;

    const N: Path<'static> = Path {
        parent: None,
        name: "n",
    };

    fn decoded(object: &str) -> Result<Decoded, ContentError> {
        decode(first_value(object, 8).unwrap().root(), &NOTE)
    }

    static SIZE: Element = Element {
        name: "Size",
        fields: &[Field {
            json: "width",
            go: "Width",
            kind: Kind::Int32,
            required: false,
        }],
    };

    static NOTE: Element = Element {
        name: "Note",
        fields: &[
            Field {
                json: "name",
                go: "Name",
                kind: Kind::Text,
                required: true,
            },
            Field {
                json: "type",
                go: "Type",
                kind: Kind::Int32,
                required: true,
            },
            Field {
                json: "size",
                go: "Size",
                kind: Kind::Int64,
                required: false,
            },
            Field {
                json: "picture",
                go: "Picture",
                kind: Kind::Element(&SIZE),
                required: false,
            },
        ],
    };

    fn number(object: &str, json: &str) -> i64 {
        decoded(object).unwrap().number(&NOTE, json)
    }

    #[test]
    fn types_are_taken_leniently() {
        let table = [
            ("{\"name\":\"a\",\"type\":1}", 1),
            ("{\"NAME\":true,\"Type\":\"7\"}", 7),
            ("{\"name\":5,\"type\":1.9}", 1),
            ("{\"name\":\"a\",\"type\":true}", 1),
            ("{\"name\":\"a\",\"type\":\"0x1F\"}", 31),
            ("{\"name\":\"a\",\"type\":\"-0b11\"}", -3),
            ("{\"name\":\"a\",\"type\":\"010\"}", 8),
            ("{\"name\":\"a\",\"type\":\"0x_1_0\"}", 16),
            ("{\"name\":\"a\",\"type\":2,\"TYPE\":3}", 2),
            ("{\"name\":\"a\",\"type\":2,\"type\":3}", 3),
            (
                "{\"name\":\"a\",\"type\":4,\"picture\":null,\"extra\":{\"x\":[]}}",
                4,
            ),
            (
                "{\"name\":\"a\",\"type\":5,\"picture\":{\"width\":\"10\"}}",
                5,
            ),
            ("{\"name\":\"a\",\"type\":4294967297}", 1),
        ];
        for (object, expected) in table {
            assert_eq!(number(object, "type"), expected, "{object}");
        }
        assert_eq!(
            number(
                "{\"name\":\"a\",\"type\":1,\"size\":9007199254740993}",
                "size"
            ),
            9_007_199_254_740_992
        );
    }

    #[test]
    fn wrong_types_have_the_words_of_mapstructure() {
        let table = [
            (
                "{\"name\":{\"a\":1},\"type\":1}",
                "1 error(s) decoding:\n\n* 'name' expected type 'string', got unconvertible type 'map[string]interface {}', value: 'map[a:1]'",
            ),
            (
                "{\"name\":\"a\",\"type\":\"x\"}",
                "1 error(s) decoding:\n\n* cannot parse 'type' as int: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            (
                "{\"name\":\"a\",\"type\":\"2147483648\"}",
                "1 error(s) decoding:\n\n* cannot parse 'type' as int: strconv.ParseInt: parsing \"2147483648\": value out of range",
            ),
            (
                "{\"name\":\"a\",\"picture\":\"x\"}",
                "1 error(s) decoding:\n\n* 'picture' expected a map, got 'string'",
            ),
            (
                "{\"name\":[1],\"type\":[],\"picture\":{\"width\":{}}}",
                "3 error(s) decoding:\n\n* 'name' expected type 'string', got unconvertible type '[]interface {}', value: '[1]'\n\
                 * 'picture.width' expected type 'int32', got unconvertible type 'map[string]interface {}', value: 'map[]'\n\
                 * 'type' expected type 'int32', got unconvertible type '[]interface {}', value: '[]'",
            ),
        ];
        for (object, expected) in table {
            assert_eq!(
                decoded(object),
                Err(ContentError::Types(expected.to_owned())),
                "{object}"
            );
        }
        for bad in [
            "1_0", "0x", "0x1_", "_1", "1__0", "é", "0b12", "+", "08", "1e3",
        ] {
            let fault = parse_int(bad, 32, N).unwrap_err();
            assert!(fault.ends_with("invalid syntax"), "{bad}: {fault}");
        }
        assert_eq!(parse_int("-9223372036854775808", 64, N), Ok(i64::MIN));
        assert!(
            parse_int(&"9".repeat(60), 64, N)
                .unwrap_err()
                .ends_with("value out of range")
        );
    }

    #[test]
    fn what_is_required_must_not_be_zero() {
        let both = "Key: 'Note.Name' Error:Field validation for 'Name' failed on the 'required' tag\n\
                    Key: 'Note.Type' Error:Field validation for 'Type' failed on the 'required' tag";
        for object in [
            "{}",
            "{\"name\":\"\",\"type\":0}",
            "{\"name\":null,\"type\":\"\"}",
            "{\"type\":0.9}",
        ] {
            assert_eq!(
                decoded(object),
                Err(ContentError::Rules(both.to_owned())),
                "{object}"
            );
        }
    }
}
