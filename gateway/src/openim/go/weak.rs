//! The weak decoding of `mapstructure`: whether the `content` of a message fits an element, with lenient types. What it
//! decodes is used for validation only; the content itself stays as it was written.

use std::fmt;

use waybill_core::content::{Element, Field, Kind, MAX_FIELDS, Need};

use super::bind::rule_text;
use super::members::{Raw, Value};
use super::print;
use super::text::{quote, same_but_case, unquote};

/// Why a content does not fit its element: in the original's words, and with the place of the first fault as a JSON pointer
/// within the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Values cannot be turned into the types of their fields.
    #[error("{0}")]
    Types(String, String),
    /// Required fields are missing or zero.
    #[error("{0}")]
    Rules(String, String),
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

/// The way to a value, for error texts: nothing is put together while all is well.
#[derive(Clone, Copy)]
pub struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step,
}

/// One step on the way to a value.
#[derive(Clone, Copy)]
pub enum Step {
    /// To the field of an element.
    Field(&'static str),
    /// To the element of a list.
    Index(usize),
}

impl<'p> Path<'p> {
    /// The way one step further.
    #[must_use]
    pub fn new(parent: Option<&'p Self>, step: Step) -> Self {
        Self { parent, step }
    }

    /// As a JSON pointer. The names of fields hold nothing that it would escape.
    #[must_use]
    pub fn pointer(&self) -> String {
        let mut pointer = self.parent.map(Self::pointer).unwrap_or_default();
        pointer.push('/');
        match self.step {
            Step::Field(name) => pointer.push_str(name),
            Step::Index(index) => pointer.push_str(&index.to_string()),
        }
        pointer
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
        }
        match self.step {
            Step::Field(name) if self.parent.is_some() => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A value that cannot be turned into the type of its field: what is wrong, and where.
type Fault = (String, String);

/// Decodes a content object and checks what is required.
///
/// # Errors
/// All wrong types, or else all missing fields, in the words of the original.
pub fn decode(object: Value<'_, '_>, element: &'static Element) -> Result<Decoded, ContentError> {
    let mut wrong = Vec::new();
    let decoded = fields(object, element, None, &mut wrong);
    wrong.sort();
    if let Some((_, first)) = wrong.first() {
        let lines: Vec<_> = wrong.iter().map(|(line, _)| format!("* {line}")).collect();
        let count = wrong.len();
        let text = format!("{count} error(s) decoding:\n\n{}", lines.join("\n"));
        return Err(ContentError::Types(text, first.clone()));
    }
    let mut missing = String::new();
    let mut first = None;
    for (field, value) in element.fields.iter().zip(decoded.0) {
        if field.need == Need::Required && value == 0 {
            if !missing.is_empty() {
                missing.push('\n');
            }
            rule_text(&mut missing, element.name, field.go, "required");
            first.get_or_insert_with(|| format!("/{}", field.json));
        }
    }
    match first {
        Some(first) => Err(ContentError::Rules(missing, first)),
        None => Ok(decoded),
    }
}

/// The field that a key names, and whether it is the same in every letter. Callers keep to the order of the documentation,
/// so the field at `expected` is mostly the one.
#[must_use]
pub fn named(element: &Element, key: &str, expected: usize) -> Option<(usize, bool)> {
    let fields = element.fields;
    let exact = match fields.get(expected) {
        Some(field) if field.json == key => Some(expected),
        _ => fields.iter().position(|field| field.json == key),
    };
    if let Some(index) = exact {
        return Some((index, true));
    }
    let folded = fields
        .iter()
        .position(|field| same_but_case(field.json, key));
    folded.map(|index| (index, false))
}

/// The values that count, in the order of the fields: a key that is the same in every letter outranks one that differs in
/// case; of several the last counts.
pub fn given<'t, 'a>(
    object: Value<'t, 'a>,
    element: &'static Element,
) -> impl Iterator<Item = (&'static Field, Option<Value<'t, 'a>>)> {
    let mut exact = [None; MAX_FIELDS];
    let mut folded = [None; MAX_FIELDS];
    let mut expected = 0;
    for (key, value) in object.members() {
        let Some((index, same)) = named(element, &key, expected) else {
            continue;
        };
        let slots = if same { &mut exact } else { &mut folded };
        if let Some(slot) = slots.get_mut(index) {
            *slot = Some(value);
        }
        if same {
            expected = index + 1;
        }
    }
    let given = exact
        .into_iter()
        .zip(folded)
        .map(|(exact, folded)| exact.or(folded));
    element.fields.iter().zip(given)
}

fn fields(
    object: Value<'_, '_>,
    element: &'static Element,
    parent: Option<&Path<'_>>,
    wrong: &mut Vec<Fault>,
) -> Decoded {
    let mut decoded = Decoded::default();
    for ((field, given), slot) in given(object, element).zip(&mut decoded.0) {
        let Some(given) = given else { continue };
        let path = Path::new(parent, Step::Field(field.json));
        *slot = value(given, field.kind, path, wrong);
    }
    decoded
}

/// What a field holds after decoding; faults go to `wrong`.
fn value(given: Value<'_, '_>, kind: Kind, name: Path<'_>, wrong: &mut Vec<Fault>) -> i64 {
    let result = match (kind, given.raw()) {
        (_, Raw::Null) => Ok(0),
        (Kind::Text, Raw::String(text)) => Ok(i64::from(!text.is_empty())),
        (Kind::Text, Raw::Bool(_) | Raw::Number(_)) => Ok(1),
        (Kind::Int32 | Kind::Int64 | Kind::Flag, Raw::Bool(flag)) => Ok(i64::from(flag)),
        (Kind::Int32, Raw::Number(text)) => Ok(i64::from(whole(text) as i32)),
        (Kind::Int64, Raw::Number(text)) => Ok(whole(text)),
        (Kind::Int32, Raw::String(text)) => parse_int(&unquote(text), 32, name),
        (Kind::Int64, Raw::String(text)) => parse_int(&unquote(text), 64, name),
        (Kind::Float, Raw::Bool(_) | Raw::Number(_)) => Ok(1),
        (Kind::Float, Raw::String(text)) => parse_float(&unquote(text), name),
        (Kind::Flag, Raw::Number(text)) => Ok(i64::from(text.parse() != Ok(0.0))),
        (Kind::Flag, Raw::String(text)) => parse_flag(&unquote(text), name),
        (Kind::Element(inner), Raw::Object) => {
            fields(given, inner, Some(&name), wrong);
            Ok(1)
        }
        (Kind::Element(_), other) => Err(format!(
            "'{name}' expected a map, got '{}'",
            reflect_kind(other)
        )),
        (Kind::Texts, Raw::Array) => {
            each(given, Kind::Text, name, wrong);
            Ok(1)
        }
        (Kind::Elements(inner), Raw::Array) => {
            each(given, Kind::Element(inner), name, wrong);
            Ok(1)
        }
        (Kind::Texts | Kind::Elements(_), other) => Err(format!(
            "'{name}': source data must be an array or slice, got {}",
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
        wrong.push((fault, name.pointer()));
        0
    })
}

/// Decodes the elements of a list, up to the first with a fault: one says enough, and a list may be long.
fn each(list: Value<'_, '_>, kind: Kind, name: Path<'_>, wrong: &mut Vec<Fault>) {
    let before = wrong.len();
    for (index, element) in list.elements().enumerate() {
        value(
            element,
            kind,
            Path::new(Some(&name), Step::Index(index)),
            wrong,
        );
        if wrong.len() > before {
            break;
        }
    }
}

/// A number in a text; 1 where there is one, whatever it is.
fn parse_float(text: &str, name: Path<'_>) -> Result<i64, String> {
    match text.parse::<f64>() {
        Ok(_) => Ok(1),
        Err(_) if text.is_empty() => Ok(0),
        Err(_) => Err(format!(
            "cannot parse '{name}' as float: strconv.ParseFloat: parsing {}: invalid syntax",
            quote(text)
        )),
    }
}

/// `strconv.ParseBool`, after the rule of the weak decoding that an empty text is false.
fn parse_flag(text: &str, name: Path<'_>) -> Result<i64, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(1),
        "0" | "f" | "F" | "FALSE" | "false" | "False" | "" => Ok(0),
        _ => Err(format!(
            "cannot parse '{name}' as bool: strconv.ParseBool: parsing {}: invalid syntax",
            quote(text)
        )),
    }
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
        Kind::Float => "float64",
        Kind::Flag => "bool",
        Kind::Texts => "[]string",
        Kind::Element(element) | Kind::Elements(element) => element.name,
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
mod tests;
