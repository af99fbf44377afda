//! Reads the fields of a request from a JSON object as `encoding/json` and the validator do: keys without regard to case,
//! unknown ones ignored, the last of two counts, `null` leaves a field as it was; then the rules of each field. The first
//! wrong type, or all broken rules, are said in the words of the original.

use std::borrow::Cow;
use std::fmt::Write;

use super::members::{Raw, members};
use super::scan::{self, SyntaxError};
use super::text::{same_but_case, unquote};

/// Most fields of one shape.
pub const MAX_FIELDS: usize = 16;

/// The type of a field, as far as it shows.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `string`
    Text,
    /// `int32`
    Int32,
    /// `uint32`
    Uint32,
    /// `bool`
    Flag,
    /// `map[string]interface {}`: any object, kept as it was written.
    Map,
    /// A pointer to a struct.
    Struct(&'static Shape),
}

/// What a field must fulfil. The first broken rule of a field is reported.
#[derive(Clone, Copy)]
pub enum Rule {
    /// Present and not zero.
    Required,
    /// Further rules hold only where the field is not zero.
    OmitEmpty,
    /// At least this many characters, or this large.
    Min(i64),
    /// At most this many characters, or this large.
    Max(i64),
    /// One of these numbers.
    OneOf(&'static [i64]),
}

/// One field of a request.
pub struct Field {
    /// Its key in JSON.
    pub json: &'static str,
    /// Its name in the original's structs, with the struct it is embedded in.
    pub go: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its rules.
    pub rules: &'static [Rule],
}

/// A request, as the original declares it: at most [`MAX_FIELDS`] fields.
pub struct Shape {
    /// The name of the struct.
    pub name: &'static str,
    /// The name with its package.
    pub type_name: &'static str,
    /// Its fields, in the order of the original.
    pub fields: &'static [Field],
}

/// What a field came to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// Nothing: its zero value.
    #[default]
    Zero,
    /// A text.
    Text(Cow<'a, str>),
    /// A number.
    Number(i64),
    /// A flag.
    Flag(bool),
    /// An object, byte for byte.
    Object(&'a str),
    /// The fields of a struct.
    Struct(Box<Values<'a>>),
}

/// The fields of a request, by their place in the shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values<'a>([Value<'a>; MAX_FIELDS]);

/// Why a request cannot be read. Its text is the original's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// It is not JSON.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A value has the wrong type.
    #[error("{0}")]
    Type(String),
    /// Rules are broken; one line for each field.
    #[error("{0}")]
    Rules(String),
    /// The bytes are no text. The original puts replacement characters; contents are kept byte for byte here.
    #[error("invalid UTF-8 in request body")]
    NotText,
}

impl<'a> Values<'a> {
    fn at(&self, index: usize) -> &Value<'a> {
        self.0.get(index).unwrap_or(&Value::Zero)
    }

    /// The text of a field; empty when it holds none.
    #[must_use]
    pub fn text(&self, index: usize) -> &str {
        match self.at(index) {
            Value::Text(text) => text,
            _ => "",
        }
    }

    /// The number of a field, or 0.
    #[must_use]
    pub fn number(&self, index: usize) -> i64 {
        match self.at(index) {
            Value::Number(number) => *number,
            _ => 0,
        }
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn flag(&self, index: usize) -> bool {
        matches!(self.at(index), Value::Flag(true))
    }

    /// The object of a field, byte for byte.
    #[must_use]
    pub fn object(&self, index: usize) -> Option<&'a str> {
        match self.at(index) {
            Value::Object(text) => Some(text),
            _ => None,
        }
    }

    /// The struct of a field.
    #[must_use]
    pub fn nested(&self, index: usize) -> Option<&Values<'a>> {
        match self.at(index) {
            Value::Struct(values) => Some(values),
            _ => None,
        }
    }
}

/// Reads the first JSON value of a body as a request of this shape and checks its rules.
///
/// # Errors
/// With the text of the original.
pub fn bind<'a>(
    body: &'a [u8],
    shape: &'static Shape,
    max_depth: usize,
) -> Result<Values<'a>, BindError> {
    let text = std::str::from_utf8(body).map_err(|_| BindError::NotText)?;
    let value = scan::first_value(text, max_depth)?;
    let mut values = Values::default();
    let mut wrong = None;
    match Raw::of(value) {
        Raw::Null => {}
        Raw::Object(object) => read(object, shape, "", &mut values, &mut wrong),
        other => {
            return Err(BindError::Type(format!(
                "json: cannot unmarshal {} into Go value of type {}",
                json_type(other),
                shape.type_name
            )));
        }
    }
    if let Some(text) = wrong {
        return Err(BindError::Type(text));
    }
    let broken = check(shape, &values);
    if broken.is_empty() {
        Ok(values)
    } else {
        Err(BindError::Rules(broken))
    }
}

/// Reads the members of an object; the first value of a wrong type is said in `wrong`, and reading goes on, as in Go.
fn read<'a>(
    object: &'a str,
    shape: &'static Shape,
    path: &str,
    values: &mut Values<'a>,
    wrong: &mut Option<String>,
) {
    for (key, text) in members(object) {
        let Some(index) = find(shape, &key) else {
            continue;
        };
        let (Some(field), Some(slot)) = (shape.fields.get(index), values.0.get_mut(index)) else {
            continue;
        };
        let raw = Raw::of(text);
        if let Kind::Struct(inner) = field.kind {
            if let Raw::Object(object) = raw {
                let mut nested = match std::mem::take(slot) {
                    Value::Struct(nested) => nested,
                    _ => Box::default(),
                };
                let path = format!("{path}{}.", field.json);
                read(object, inner, &path, &mut nested, wrong);
                *slot = Value::Struct(nested);
                continue;
            }
        }
        if let Err(found) = take(field.kind, raw, slot) {
            wrong.get_or_insert_with(|| {
                format!(
                    "json: cannot unmarshal {found} into Go struct field {}.{path}{} of type {}",
                    shape.name,
                    field.json,
                    go_type(field.kind)
                )
            });
        }
    }
}

fn find(shape: &Shape, key: &str) -> Option<usize> {
    let exact = shape.fields.iter().position(|field| field.json == key);
    exact.or_else(|| {
        shape
            .fields
            .iter()
            .position(|field| same_but_case(field.json, key))
    })
}

/// Puts a value into a field, or names what was found in its place.
fn take<'a>(kind: Kind, raw: Raw<'a>, slot: &mut Value<'a>) -> Result<(), String> {
    match (kind, raw) {
        (Kind::Map | Kind::Struct(_), Raw::Null) => *slot = Value::Zero,
        (_, Raw::Null) => {}
        (Kind::Text, Raw::String(raw)) => *slot = Value::Text(unquote(raw)),
        (Kind::Flag, Raw::Bool(flag)) => *slot = Value::Flag(flag),
        (Kind::Map, Raw::Object(text)) => *slot = Value::Object(text),
        (Kind::Int32, Raw::Number(text)) => *slot = Value::Number(int::<i32>(text)?),
        (Kind::Uint32, Raw::Number(text)) => *slot = Value::Number(int::<u32>(text)?),
        (_, other) => return Err(json_type(other).to_owned()),
    }
    Ok(())
}

fn int<T: std::str::FromStr + Into<i64>>(text: &str) -> Result<i64, String> {
    text.parse::<T>()
        .map(Into::into)
        .map_err(|_| format!("number {text}"))
}

fn json_type(raw: Raw<'_>) -> &'static str {
    match raw {
        Raw::Null => "null",
        Raw::Bool(_) => "bool",
        Raw::Number(_) => "number",
        Raw::String(_) => "string",
        Raw::Array(_) => "array",
        Raw::Object(_) => "object",
    }
}

fn go_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Int32 => "int32",
        Kind::Uint32 => "uint32",
        Kind::Flag => "bool",
        Kind::Map => "map[string]interface {}",
        Kind::Struct(shape) => shape.type_name,
    }
}

/// The broken rules, one line for each field, in the order of the shape.
fn check(shape: &Shape, values: &Values<'_>) -> String {
    let mut out = String::new();
    for (index, field) in shape.fields.iter().enumerate() {
        if let Some(tag) = broken(field.rules, values.at(index)) {
            if !out.is_empty() {
                out.push('\n');
            }
            rule_text(&mut out, shape.name, field.go, tag);
        }
    }
    out
}

/// Appends the validator's text for a broken rule; `field` may begin with the struct that the field is embedded in.
pub(super) fn rule_text(out: &mut String, shape: &str, field: &str, tag: &str) {
    let bare = field.rsplit('.').next().unwrap_or(field);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "Key: '{shape}.{field}' Error:Field validation for '{bare}' failed on the '{tag}' tag"
    );
}

fn broken(rules: &[Rule], value: &Value<'_>) -> Option<&'static str> {
    let size = match value {
        Value::Zero => 0,
        Value::Text(text) => i64::try_from(text.chars().count()).unwrap_or(i64::MAX),
        Value::Number(number) => *number,
        Value::Flag(flag) => i64::from(*flag),
        Value::Object(_) | Value::Struct(_) => 1,
    };
    for rule in rules {
        match rule {
            Rule::Required if size == 0 => return Some("required"),
            Rule::OmitEmpty if size == 0 => return None,
            Rule::Min(min) if size < *min => return Some("min"),
            Rule::Max(max) if size > *max => return Some("max"),
            Rule::OneOf(allowed) if !allowed.contains(&size) => return Some("oneof"),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    static INNER: Shape = Shape {
        name: "Inner",
        type_name: "sdk.Inner",
        fields: &[
            Field {
                json: "title",
                go: "Title",
                kind: Kind::Text,
                rules: &[],
            },
            Field {
                json: "count",
                go: "Count",
                kind: Kind::Flag,
                rules: &[],
            },
        ],
    };

    static OUTER: Shape = Shape {
        name: "Req",
        type_name: "pkg.Req",
        fields: &[
            Field {
                json: "userID",
                go: "Req2.UserID",
                kind: Kind::Text,
                rules: &[Rule::Required, Rule::Max(4)],
            },
            Field {
                json: "platform",
                go: "Platform",
                kind: Kind::Int32,
                rules: &[Rule::Required, Rule::Min(1), Rule::Max(7)],
            },
            Field {
                json: "content",
                go: "Content",
                kind: Kind::Map,
                rules: &[Rule::Required],
            },
            Field {
                json: "gender",
                go: "Gender",
                kind: Kind::Int32,
                rules: &[Rule::OmitEmpty, Rule::OneOf(&[0, 1, 2])],
            },
            Field {
                json: "birth",
                go: "Birth",
                kind: Kind::Uint32,
                rules: &[],
            },
            Field {
                json: "online",
                go: "Online",
                kind: Kind::Flag,
                rules: &[],
            },
            Field {
                json: "inner",
                go: "Inner",
                kind: Kind::Struct(&INNER),
                rules: &[],
            },
        ],
    };

    fn error(body: &str) -> String {
        bind(body.as_bytes(), &OUTER, 32).unwrap_err().to_string()
    }

    #[test]
    fn fields_are_read_as_go_reads_them() {
        let body = "{\"USERID\":\"a\\u0062\",\"platform\":1,\"Platform\":2,\"platform\":null,\"content\":{ \"k\" : 1 },\
                    \"unknown\":[{}],\"online\":true,\"birth\":4294967295,\"inner\":{\"TITLE\":\"t\",\"x\":1}} rest";
        let values = bind(body.as_bytes(), &OUTER, 32).unwrap();
        assert_eq!(values.text(0), "ab");
        assert_eq!(
            values.number(1),
            2,
            "the last one counts, null changes nothing"
        );
        assert_eq!(
            values.object(2),
            Some("{ \"k\" : 1 }"),
            "kept byte for byte"
        );
        assert_eq!(values.number(4), 4_294_967_295);
        assert!(values.flag(5));
        assert_eq!(values.nested(6).unwrap().text(0), "t");
        assert_eq!(values.text(99), "");
    }

    #[test]
    fn wrong_types_have_the_words_of_go() {
        let table = [
            (
                "[]",
                "json: cannot unmarshal array into Go value of type pkg.Req",
            ),
            (
                "5",
                "json: cannot unmarshal number into Go value of type pkg.Req",
            ),
            (
                "{\"platform\":\"1\"}",
                "json: cannot unmarshal string into Go struct field Req.platform of type int32",
            ),
            (
                "{\"platform\":1.5}",
                "json: cannot unmarshal number 1.5 into Go struct field Req.platform of type int32",
            ),
            (
                "{\"platform\":2147483648}",
                "json: cannot unmarshal number 2147483648 into Go struct field Req.platform of type int32",
            ),
            (
                "{\"birth\":-1}",
                "json: cannot unmarshal number -1 into Go struct field Req.birth of type uint32",
            ),
            (
                "{\"USERID\":1}",
                "json: cannot unmarshal number into Go struct field Req.userID of type string",
            ),
            (
                "{\"userID\":{}}",
                "json: cannot unmarshal object into Go struct field Req.userID of type string",
            ),
            (
                "{\"content\":\"x\"}",
                "json: cannot unmarshal string into Go struct field Req.content of type map[string]interface {}",
            ),
            (
                "{\"online\":1,\"platform\":\"x\"}",
                "json: cannot unmarshal number into Go struct field Req.online of type bool",
            ),
            (
                "{\"inner\":[]}",
                "json: cannot unmarshal array into Go struct field Req.inner of type sdk.Inner",
            ),
            (
                "{\"inner\":{\"title\":true}}",
                "json: cannot unmarshal bool into Go struct field Inner.inner.title of type string",
            ),
            ("", "EOF"),
            ("{\"userID\":", "unexpected EOF"),
        ];
        for (body, expected) in table {
            assert_eq!(error(body), expected, "{body}");
        }
        assert_eq!(
            bind(b"{\"userID\":\"\xff\"}", &OUTER, 32),
            Err(BindError::NotText)
        );
    }

    #[test]
    fn broken_rules_have_the_words_of_the_validator() {
        let missing = "Key: 'Req.Req2.UserID' Error:Field validation for 'UserID' failed on the 'required' tag\n\
                       Key: 'Req.Platform' Error:Field validation for 'Platform' failed on the 'required' tag\n\
                       Key: 'Req.Content' Error:Field validation for 'Content' failed on the 'required' tag";
        for body in [
            "{}",
            "null",
            "{\"userID\":\"\",\"platform\":0,\"content\":null}",
        ] {
            assert_eq!(error(body), missing, "{body}");
        }
        let table = [
            (
                "{\"userID\":\"大大大大大\",\"platform\":1,\"content\":{}}",
                "Req2.UserID",
                "max",
            ),
            (
                "{\"userID\":\"a\",\"platform\":8,\"content\":{}}",
                "Platform",
                "max",
            ),
            (
                "{\"userID\":\"a\",\"platform\":-1,\"content\":{}}",
                "Platform",
                "min",
            ),
            (
                "{\"userID\":\"a\",\"platform\":1,\"content\":{},\"gender\":3}",
                "Gender",
                "oneof",
            ),
        ];
        for (body, field, tag) in table {
            let text = error(body);
            assert!(
                text.contains(&format!("'Req.{field}'")) && text.ends_with(&format!("'{tag}' tag")),
                "{text}"
            );
            assert!(!text.contains('\n'), "{text}");
        }
        assert!(
            bind(
                "{\"userID\":\"大大大大\",\"platform\":1,\"content\":{}}".as_bytes(),
                &OUTER,
                32
            )
            .is_ok()
        );
    }
}
