//! Reads the fields of a request from a JSON object as `encoding/json` and the validator do: keys without regard to case,
//! unknown ones ignored, the last of two counts, `null` leaves a field as it was; then the rules of each field. The first
//! wrong type, or all broken rules, are said in the words of the original.

use std::borrow::Cow;
use std::fmt::Write;

use super::members::{self, Raw};
use super::scan::{self, SyntaxError, Tape};
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
    /// `[]string`
    Texts,
    /// A list of numbers from 0 to 2^32 - 1.
    Uint32s,
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
    /// The same, under the other name that the original has for it.
    Lte(i64),
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
    /// An object: its text, byte for byte, and its place on the tape.
    Object(&'a str, usize),
    /// A list of texts.
    Texts(Vec<Cow<'a, str>>),
    /// A list of numbers.
    Numbers(Vec<i64>),
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

    /// The texts of a field, or none.
    #[must_use]
    pub fn texts(&self, index: usize) -> &[Cow<'a, str>] {
        match self.at(index) {
            Value::Texts(texts) => texts,
            _ => &[],
        }
    }

    /// The numbers of a field, or none.
    #[must_use]
    pub fn numbers(&self, index: usize) -> &[i64] {
        match self.at(index) {
            Value::Numbers(numbers) => numbers,
            _ => &[],
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

    /// The object of a field: its text, byte for byte, and its place on the tape.
    #[must_use]
    pub fn object(&self, index: usize) -> Option<(&'a str, usize)> {
        match self.at(index) {
            Value::Object(text, place) => Some((text, *place)),
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

/// Scans the first JSON value of a body.
///
/// # Errors
/// With the text of the original.
pub fn scan(body: &[u8], max_depth: usize) -> Result<Tape<'_>, BindError> {
    let text = std::str::from_utf8(body).map_err(|_| BindError::NotText)?;
    Ok(scan::first_value(text, max_depth)?)
}

/// Reads a scanned body as a request of this shape and checks its rules.
///
/// # Errors
/// With the text of the original.
pub fn bind<'a>(tape: &Tape<'a>, shape: &'static Shape) -> Result<Values<'a>, BindError> {
    let root = tape.root();
    let mut values = Values::default();
    let mut wrong = None;
    match root.raw() {
        Raw::Null => {}
        Raw::Object => read(root, shape, "", &mut values, &mut wrong),
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
    object: members::Value<'_, 'a>,
    shape: &'static Shape,
    path: &str,
    values: &mut Values<'a>,
    wrong: &mut Option<String>,
) {
    for (key, found) in object.members() {
        let Some(index) = find(shape, &key) else {
            continue;
        };
        let (Some(field), Some(slot)) = (shape.fields.get(index), values.0.get_mut(index)) else {
            continue;
        };
        if let Kind::Struct(inner) = field.kind
            && found.raw() == Raw::Object
        {
            let mut nested = match std::mem::take(slot) {
                Value::Struct(nested) => nested,
                _ => Box::default(),
            };
            let path = format!("{path}{}.", field.json);
            read(found, inner, &path, &mut nested, wrong);
            *slot = Value::Struct(nested);
            continue;
        }
        if let Err(found) = take(field.kind, found, slot) {
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
fn take<'a>(kind: Kind, found: members::Value<'_, 'a>, slot: &mut Value<'a>) -> Result<(), String> {
    match (kind, found.raw()) {
        (Kind::Map | Kind::Struct(_) | Kind::Texts | Kind::Uint32s, Raw::Null) => {
            *slot = Value::Zero
        }
        (_, Raw::Null) => {}
        (Kind::Text, Raw::String(raw)) => *slot = Value::Text(unquote(raw)),
        (Kind::Texts, Raw::Array) => *slot = Value::Texts(texts(found)?),
        (Kind::Uint32s, Raw::Array) => *slot = Value::Numbers(numbers(found)?),
        (Kind::Flag, Raw::Bool(flag)) => *slot = Value::Flag(flag),
        (Kind::Map, Raw::Object) => *slot = Value::Object(found.text(), found.place()),
        (Kind::Int32, Raw::Number(text)) => *slot = Value::Number(int::<i32>(text)?),
        (Kind::Uint32, Raw::Number(text)) => *slot = Value::Number(int::<u32>(text)?),
        (_, other) => return Err(json_type(other).to_owned()),
    }
    Ok(())
}

/// The elements of a list of texts; in Go a `null` among them is an empty one.
fn texts<'a>(found: members::Value<'_, 'a>) -> Result<Vec<Cow<'a, str>>, String> {
    let text = |element: members::Value<'_, 'a>| match element.raw() {
        Raw::String(raw) => Ok(unquote(raw)),
        Raw::Null => Ok(Cow::Borrowed("")),
        other => Err(json_type(other).to_owned()),
    };
    found.elements().map(text).collect()
}

fn numbers(found: members::Value<'_, '_>) -> Result<Vec<i64>, String> {
    let number = |element: members::Value<'_, '_>| match element.raw() {
        Raw::Number(text) => int::<u32>(text),
        Raw::Null => Ok(0),
        other => Err(json_type(other).to_owned()),
    };
    found.elements().map(number).collect()
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
        Raw::Array => "array",
        Raw::Object => "object",
    }
}

fn go_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Int32 => "int32",
        Kind::Uint32 | Kind::Uint32s => "uint32",
        Kind::Flag => "bool",
        Kind::Map => "map[string]interface {}",
        // Only an element can be wrong where a list is.
        Kind::Texts => "string",
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
pub fn rule_text(out: &mut String, shape: &str, field: &str, tag: &str) {
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
        Value::Texts(texts) => i64::try_from(texts.len()).unwrap_or(i64::MAX),
        Value::Numbers(numbers) => i64::try_from(numbers.len()).unwrap_or(i64::MAX),
        Value::Object(..) | Value::Struct(_) => 1,
    };
    let is_list = matches!(value, Value::Texts(_) | Value::Numbers(_));
    for rule in rules {
        match rule {
            // In Go a list without elements is there.
            Rule::Required if size == 0 && !is_list => return Some("required"),
            Rule::OmitEmpty if size == 0 => return None,
            Rule::Min(min) if size < *min => return Some("min"),
            Rule::Max(max) if size > *max => return Some("max"),
            Rule::Lte(max) if size > *max => return Some("lte"),
            Rule::OneOf(allowed) if !allowed.contains(&size) => return Some("oneof"),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
