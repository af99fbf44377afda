//! Strings as Go reads and writes them: JSON strings, quoted strings of error texts, keys that differ in case only.

use std::borrow::Cow;

/// The text of a JSON string, given without its quotes and known to be well-formed. A surrogate without its partner
/// becomes U+FFFD, as in Go.
#[must_use]
pub fn unquote(raw: &str) -> Cow<'_, str> {
    let Some(first) = raw.find('\\') else {
        return Cow::Borrowed(raw);
    };
    let mut out = String::with_capacity(raw.len());
    out.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(after) = rest.strip_prefix('\\') {
        rest = unescape(after, &mut out);
        let next = rest.find('\\').unwrap_or(rest.len());
        out.push_str(&rest[..next]);
        rest = &rest[next..];
    }
    Cow::Owned(out)
}

/// Appends what the escape at the start of `text` (without its backslash) stands for; returns what follows it.
fn unescape<'a>(text: &'a str, out: &mut String) -> &'a str {
    let mut chars = text.chars();
    match chars.next() {
        Some('b') => out.push('\u{8}'),
        Some('f') => out.push('\u{c}'),
        Some('n') => out.push('\n'),
        Some('r') => out.push('\r'),
        Some('t') => out.push('\t'),
        Some('u') => return unescape_unit(chars.as_str(), out),
        Some(other) => out.push(other),
        None => {}
    }
    chars.as_str()
}

fn unescape_unit<'a>(text: &'a str, out: &mut String) -> &'a str {
    let Some((unit, rest)) = unit(text) else {
        return "";
    };
    if let 0xd800..0xdc00 = unit {
        let low = rest.strip_prefix("\\u").and_then(self::unit);
        if let Some((low @ 0xdc00..0xe000, after)) = low {
            let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            return after;
        }
    }
    out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}

fn unit(text: &str) -> Option<(u32, &str)> {
    let digits = text.get(..4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, &text[4..]))
}

/// Appends a JSON string as Go's encoder writes it, with `<`, `>`, `&`, U+2028 and U+2029 escaped.
pub fn quote_into(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let separator =
            byte == 0xe2 && matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9]));
        if byte >= 0x20 && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&') && !separator {
            continue;
        }
        out.extend_from_slice(&bytes[done..at]);
        done = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0xe2 => {
                out.extend_from_slice(b"\\u202");
                out.push(HEX[usize::from(bytes[at + 2] & 15)]);
                done = at + 3;
            }
            byte => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

/// A string as `strconv.Quote` writes it. What is printable is decided more simply than in Go: all but control
/// characters.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    text.chars()
        .for_each(|char| quote_char(&mut out, char, '"'));
    out.push('"');
    out
}

/// A byte as Go's JSON scanner names it: as the character of that number, between single quotes.
#[must_use]
pub fn quote_byte(byte: u8) -> String {
    let mut out = String::from("'");
    quote_char(&mut out, char::from(byte), '\'');
    out.push('\'');
    out
}

fn quote_char(out: &mut String, char: char, quote: char) {
    match char {
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        char if char == quote || char == '\\' => out.extend(['\\', char]),
        '\0'..' ' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(char))),
        char if char.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(char))),
        char => out.push(char),
    }
}

/// Whether two keys are the same but for case, as `encoding/json` folds them: ASCII letters, and the two other characters
/// that fold to one.
#[must_use]
pub fn same_but_case(one: &str, other: &str) -> bool {
    fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
        text.chars().map(|char| match char {
            '\u{212a}' => 'k',
            '\u{17f}' => 's',
            char => char.to_ascii_lowercase(),
        })
    }
    folded(one).eq(folded(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_strings_are_read() {
        let table = [
            ("plain 大", "plain 大"),
            (
                "a\\\"b\\\\c\\/d\\b\\f\\n\\r\\t",
                "a\"b\\c/d\u{8}\u{c}\n\r\t",
            ),
            ("\\u0041\\u00e9\\u5927", "Aé大"),
            ("\\ud83d\\ude00!", "😀!"),
            ("\\ud83d", "\u{fffd}"),
            ("\\ud83d\\u0041", "\u{fffd}A"),
            ("\\ude00x", "\u{fffd}x"),
        ];
        for (raw, expected) in table {
            assert_eq!(unquote(raw), expected, "{raw}");
        }
        assert!(matches!(unquote("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_strings_are_written_as_go_does() {
        let table = [
            ("a&b <c>", "\"a\\u0026b \\u003cc\\u003e\""),
            (
                "\"\\\n\r\t\u{8}\u{1f}",
                "\"\\\"\\\\\\n\\r\\t\\u0008\\u001f\"",
            ),
            ("大\u{2028}\u{2029}é", "\"大\\u2028\\u2029é\""),
            ("'", "\"'\""),
        ];
        for (text, expected) in table {
            let mut out = Vec::new();
            quote_into(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let all: String = (0..0x3000).filter_map(char::from_u32).collect();
        let mut out = Vec::new();
        quote_into(&mut out, &all);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), all);
        assert_eq!(
            unquote(std::str::from_utf8(&out[1..out.len() - 1]).unwrap()),
            all
        );
    }

    #[test]
    fn error_texts_quote_as_go_does() {
        assert_eq!(
            quote("a\"b\\\n\u{1}\u{7f}大"),
            "\"a\\\"b\\\\\\n\\x01\\x7f大\""
        );
        assert_eq!(quote_byte(b'"'), "'\"'");
        assert_eq!(quote_byte(b'\''), "'\\''");
        assert_eq!(quote_byte(0x85), "'\\u0085'");
    }

    #[test]
    fn keys_are_compared_without_case() {
        assert!(same_but_case("SENDID", "sendID"));
        assert!(same_but_case("\u{212a}ey", "key"));
        assert!(!same_but_case("sendId2", "sendID"));
        assert!(!same_but_case("É", "é"));
    }
}
