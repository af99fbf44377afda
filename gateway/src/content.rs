//! The `content` of a message: whether it may be sent under its contentType. It is kept byte for byte, so what no reader
//! could read is refused here. What contents are is said in [`waybill_core::content`].

mod shown;

use waybill_core::command::ConversationKind;
use waybill_core::content::{ContentType, NOTICE_TYPE, content_type};
use waybill_core::fact::Options;

use crate::error::{Error, Kind};
use crate::openim::go::bind::rule_text;
use crate::openim::go::members::{Raw, Value};
use crate::openim::go::scan;
use crate::openim::go::weak::{self, ContentError};

/// What the rest of the message needs to know of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The contentType.
    pub content_type: u32,
    /// The `notificationType` of a notice, 0 for anything else.
    pub notification_type: i32,
    /// The kind of conversation it goes to when the caller names none.
    pub conversation: ConversationKind,
    /// The options that are off unless the caller says otherwise.
    pub off: Options,
}

/// How much a content must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// What its contentType requires: all that OpenIM asks for.
    Required,
    /// Also what a client cannot show it without, and what a notice's `mixType` speaks of.
    Showable,
}

/// Checks a text that is not known to be JSON: that it is one object, nested no deeper than `max_depth`, and then as
/// [`check_object`], for the native surfaces.
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
    check_object(
        content_type,
        value,
        tape.unusual,
        max_bytes,
        Demand::Showable,
    )
}

/// Checks an object that was scanned: that its contentType may be sent, its size, that any reader of JSON can read it (the
/// scan says when that is in doubt: `unusual`), that it fits its element, and that what is shown and opened of it is fit for
/// that. The last holds on every surface: a content is kept as it is, so one with a link that runs something could only be
/// kept whole or not at all.
///
/// # Errors
/// The first thing that is wrong; what concerns the element in the words of OpenIM.
pub fn check_object(
    number: i64,
    object: Value<'_, '_>,
    unusual: bool,
    max_bytes: u64,
    demand: Demand,
) -> Result<Checked, Error> {
    let Some(row) = content_type(number) else {
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
    let at =
        |kind, pointer: String, text: String| Error::at(kind, format!("/content{pointer}"), text);
    let decoded = weak::decode(object, row.element).map_err(|error| match error {
        ContentError::Types(text, pointer) => at(Kind::ContentShape, pointer, text),
        ContentError::Rules(text, pointer) => at(Kind::ContentRules, pointer, text),
    })?;
    check_bare(row, object)?;
    shown::fit(object, row.element, None)?;
    if demand == Demand::Showable {
        shown::whole(row, object, &decoded)?;
    }
    let notification_type = if row.number == NOTICE_TYPE {
        i32::try_from(decoded.number(row.element, "notificationType")).unwrap_or(0)
    } else {
        0
    };
    Ok(Checked {
        content_type: row.number,
        notification_type,
        conversation: row.conversation,
        off: row.off,
    })
}

/// The original fails with an empty answer where a text that is the whole content is a number or a flag, which pass the weak
/// decoding. The key that counts is the last one spelled so, as the original's map has it.
fn check_bare(row: &ContentType, object: Value<'_, '_>) -> Result<(), Error> {
    let Some(bare) = row.bare else { return Ok(()) };
    let value = object.members().filter(|(key, _)| key == bare).last();
    if matches!(value.map(|(_, value)| value.raw()), Some(Raw::String(text)) if !text.is_empty()) {
        return Ok(());
    }
    let field = row.element.fields.iter().find(|field| field.json == bare);
    let mut text = String::new();
    rule_text(
        &mut text,
        row.element.name,
        field.map_or(bare, |field| field.go),
        "string",
    );
    Err(Error::at(
        Kind::ContentRules,
        format!("/content/{bare}"),
        text,
    ))
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
mod tests;
