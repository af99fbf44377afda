//! Values as Go's `%v` prints them: the last part of an error text of the weak decoding.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::members::{Raw, Value};
use super::text::unquote;

/// Longest printed value, in bytes: an error text need not repeat a whole content.
const MAX_PRINTED: usize = 1024;

/// A JSON value as `%v` prints what Go decodes it to. Longer ones end in `…`.
#[must_use]
pub fn printed(value: Value<'_, '_>) -> String {
    let mut out = String::new();
    print(value, &mut out);
    if out.len() > MAX_PRINTED {
        let end = (0..=MAX_PRINTED)
            .rev()
            .find(|at| out.is_char_boundary(*at))
            .unwrap_or(0);
        out.truncate(end);
        out.push('…');
    }
    out
}

/// The name of the type that Go decodes a JSON value to.
#[must_use]
pub fn type_name(raw: Raw<'_>) -> &'static str {
    match raw {
        Raw::Null => "<nil>",
        Raw::Bool(_) => "bool",
        Raw::Number(_) => "float64",
        Raw::String(_) => "string",
        Raw::Array => "[]interface {}",
        Raw::Object => "map[string]interface {}",
    }
}

fn print(value: Value<'_, '_>, out: &mut String) {
    if out.len() > MAX_PRINTED {
        return;
    }
    match value.raw() {
        Raw::Null => out.push_str("<nil>"),
        Raw::Bool(true) => out.push_str("true"),
        Raw::Bool(false) => out.push_str("false"),
        Raw::Number(text) => out.push_str(&float(text.parse().unwrap_or(f64::INFINITY))),
        Raw::String(raw) => out.push_str(&unquote(raw)),
        Raw::Array => {
            out.push('[');
            for (at, element) in value.elements().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                print(element, out);
            }
            out.push(']');
        }
        Raw::Object => {
            out.push_str("map[");
            let sorted: BTreeMap<_, Value<'_, '_>> = value.members().collect();
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(&key);
                out.push(':');
                print(value, out);
            }
            out.push(']');
        }
    }
}

/// A number as `%v` prints a `float64`: the fewest digits that name it, with an exponent where the first digit stands for
/// less than 10^-4 or for 10^6 and more.
fn float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 {
            "+Inf".to_owned()
        } else {
            "-Inf".to_owned()
        };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let mut out = mantissa.to_owned();
    // Writing to a String cannot fail.
    let _ = write!(out, "e{sign}{:02}", exponent.abs());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openim::go::scan::first_value;

    fn shown(text: &str) -> String {
        printed(first_value(text, 8).unwrap().root())
    }

    #[test]
    fn values_are_printed_as_go_does() {
        let table = [
            ("null", "<nil>"),
            ("true", "true"),
            ("\"a\\nb\"", "a\nb"),
            (
                "{\"b\":[1,2.5,null],\"a\":{\"c\":\"d\"}}",
                "map[a:map[c:d] b:[1 2.5 <nil>]]",
            ),
            ("[]", "[]"),
            ("-0.5", "-0.5"),
            ("0.00001", "1e-05"),
            ("100000", "100000"),
            ("1000000", "1e+06"),
            ("123456789", "1.23456789e+08"),
            ("1e400", "+Inf"),
        ];
        for (raw, expected) in table {
            assert_eq!(shown(raw), expected, "{raw}");
        }
    }

    #[test]
    fn a_long_value_is_cut() {
        let long = format!("\"{}\"", "大".repeat(2_000));
        let printed = shown(&long);
        assert!(printed.len() <= MAX_PRINTED + 3 && printed.ends_with("大…"));
    }
}
