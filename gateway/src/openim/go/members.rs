//! Walks over the values that a scan has noted, without copying and without looking at the text again.

use std::borrow::Cow;

use super::scan::{Node, Tape};
use super::text::unquote;

/// A value, by its first character, with its text where that says what it is.
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
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One value of a scanned text.
#[derive(Clone, Copy)]
pub struct Value<'t, 'a> {
    tape: &'t Tape<'a>,
    index: usize,
}

/// The values directly within an array or object, keys among them.
struct Inner<'t, 'a> {
    tape: &'t Tape<'a>,
    at: usize,
    end: usize,
}

impl<'a> Tape<'a> {
    /// The whole value.
    #[must_use]
    pub fn root(&self) -> Value<'_, 'a> {
        Value {
            tape: self,
            index: 0,
        }
    }

    /// The value that [`Value::place`] named.
    #[must_use]
    pub fn at(&self, place: usize) -> Value<'_, 'a> {
        Value {
            tape: self,
            index: place,
        }
    }
}

impl<'t, 'a> Value<'t, 'a> {
    /// Its text, byte for byte.
    #[must_use]
    pub fn text(self) -> &'a str {
        let node = self.node();
        self.tape
            .text
            .get(node.start as usize..node.end as usize)
            .unwrap_or("")
    }

    /// What it is.
    #[must_use]
    pub fn raw(self) -> Raw<'a> {
        let text = self.text();
        match text.as_bytes().first() {
            Some(b'{') => Raw::Object,
            Some(b'[') => Raw::Array,
            Some(b'"') => Raw::String(text.get(1..text.len() - 1).unwrap_or("")),
            Some(b't') => Raw::Bool(true),
            Some(b'f') => Raw::Bool(false),
            Some(b'n') | None => Raw::Null,
            Some(_) => Raw::Number(text),
        }
    }

    /// Where it lies among the values of its text.
    #[must_use]
    pub fn place(self) -> usize {
        self.index
    }

    /// The members of an object, in their order; of anything else none.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Value<'t, 'a>)> {
        let mut inner = self.inner(Raw::Object);
        std::iter::from_fn(move || {
            let key = match inner.next()?.raw() {
                Raw::String(key) => unquote(key),
                // A scan notes a key before each value of an object.
                _ => return None,
            };
            Some((key, inner.next()?))
        })
    }

    /// The elements of an array, in their order; of anything else none.
    pub fn elements(self) -> impl Iterator<Item = Value<'t, 'a>> {
        self.inner(Raw::Array)
    }

    fn inner(self, of: Raw<'_>) -> Inner<'t, 'a> {
        let end = if self.raw() == of {
            self.node().next as usize
        } else {
            0
        };
        Inner {
            tape: self.tape,
            at: self.index + 1,
            end,
        }
    }

    fn node(self) -> Node {
        self.tape.nodes.get(self.index).copied().unwrap_or(Node {
            start: 0,
            end: 0,
            next: 0,
        })
    }
}

impl<'t, 'a> Iterator for Inner<'t, 'a> {
    type Item = Value<'t, 'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let value = Value {
            tape: self.tape,
            index: self.at,
        };
        self.at = value.node().next as usize;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openim::go::scan::first_value;

    #[test]
    fn members_come_verbatim_and_in_order() {
        let object = "{ \"a\" : {\"x\":\"}\\\"\"} ,\n\"b\\u0063\":[1, [2]],\"n\":-1.5e3, \"t\":true,\"大\":\"]\" }";
        let tape = first_value(object, 8).unwrap();
        let found: Vec<_> = tape
            .root()
            .members()
            .map(|(key, value)| (key.into_owned(), value.text()))
            .collect();
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
        let (_, array) = tape.root().members().nth(1).unwrap();
        assert_eq!(
            array.elements().map(Value::text).collect::<Vec<_>>(),
            ["1", "[2]"]
        );
        assert_eq!(
            (array.members().count(), tape.root().elements().count()),
            (0, 0)
        );
        assert_eq!(tape.at(array.place()).text(), "[1, [2]]");
        assert_eq!(tape.at(usize::MAX).text(), "");
        assert_eq!(first_value("{ }", 8).unwrap().root().members().count(), 0);
    }

    #[test]
    fn values_are_told_apart() {
        let table = [
            ("null", Raw::Null),
            ("false", Raw::Bool(false)),
            ("-1", Raw::Number("-1")),
            ("\"a\\n\"", Raw::String("a\\n")),
            ("\"\"", Raw::String("")),
            ("{}", Raw::Object),
            ("[]", Raw::Array),
        ];
        for (text, expected) in table {
            assert_eq!(first_value(text, 8).unwrap().root().raw(), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn all_of_a_text_is_found_again(text in "[\\[\\]{}\",:\\\\a1大 ]{0,24}") {
            if let Ok(tape) = first_value(&text, 8) {
                fn count(value: Value<'_, '_>) -> usize {
                    let members: usize = value.members().map(|(_, value)| 1 + count(value)).sum();
                    1 + members + value.elements().map(count).sum::<usize>()
                }
                proptest::prop_assert_eq!(count(tape.root()), tape.nodes.len());
            }
        }
    }
}
