//! The syntax of JSON with the words of Go's scanner for what is wrong. One pass over the bytes, which notes where each
//! value lies, so that nobody has to look for it again.

use std::fmt;

use super::text::quote_byte;

/// Why a text does not begin with a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// There is nothing but white space.
    Empty,
    /// It ends within the value.
    Cut,
    /// A character does not belong where it stands.
    Character {
        /// Its first byte.
        byte: u8,
        /// Where it stands.
        place: &'static str,
    },
    /// It holds too many values. The original has no bound.
    TooMany,
    /// Arrays and objects are nested too deeply. The original stops at 10,000 levels.
    TooDeep {
        /// How deeply they may be nested.
        max: usize,
    },
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("EOF"),
            Self::Cut => f.write_str("unexpected EOF"),
            Self::Character { byte, place } => {
                write!(f, "invalid character {} {place}", quote_byte(*byte))
            }
            Self::TooMany => write!(f, "exceeded max number of values of {MAX_VALUES}"),
            Self::TooDeep { max } => write!(f, "exceeded max depth of {max}"),
        }
    }
}

/// Most values (and keys) of one text: each is a few bytes in memory.
pub const MAX_VALUES: usize = 64 * 1024;

/// Values noted without a second allocation: more than a request of the usual kind has.
const USUAL_VALUES: usize = 192;

/// A JSON text and where its values lie: each one before those within it.
#[derive(Debug)]
pub struct Tape<'a> {
    pub(super) text: &'a str,
    pub(super) nodes: Vec<Node>,
    /// Whether some reader may not be able to read it, although it is JSON by its grammar: it escapes characters by
    /// their numbers, or has numbers with exponents or very many digits.
    pub unusual: bool,
}

/// Where a value lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub start: u32,
    pub end: u32,
    /// The node after this one and all within it.
    pub next: u32,
}

/// Digits from which on a number is unusual; a double has 308 before the point.
const MANY_DIGITS: usize = 300;

/// The first JSON value of `text`. What follows it is not looked at, as in Go's decoder.
///
/// # Errors
/// When there is none.
pub fn first_value(text: &str, max_depth: usize) -> Result<Tape<'_>, SyntaxError> {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
        depth: 0,
        max_depth,
        nodes: Vec::with_capacity(USUAL_VALUES),
        unusual: false,
    };
    scanner.white_space();
    if scanner.at == text.len() {
        return Err(SyntaxError::Empty);
    }
    scanner.value()?;
    Ok(Tape {
        text,
        nodes: scanner.nodes,
        unusual: scanner.unusual,
    })
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    max_depth: usize,
    nodes: Vec<Node>,
    unusual: bool,
}

type Scan = Result<(), SyntaxError>;

const VALUE: &str = "looking for beginning of value";
const KEY: &str = "looking for beginning of object key string";

impl Scanner<'_> {
    fn white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn byte(&self) -> Result<u8, SyntaxError> {
        self.bytes.get(self.at).copied().ok_or(SyntaxError::Cut)
    }

    fn token(&mut self) -> Result<u8, SyntaxError> {
        self.white_space();
        self.byte()
    }

    /// Notes a value that begins here.
    fn open(&mut self) -> Result<usize, SyntaxError> {
        if self.nodes.len() >= MAX_VALUES {
            return Err(SyntaxError::TooMany);
        }
        // Bodies are bounded far below 4 GiB.
        let start = self.at as u32;
        self.nodes.push(Node {
            start,
            end: start,
            next: 0,
        });
        Ok(self.nodes.len() - 1)
    }

    /// Notes that it ends here.
    fn close(&mut self, index: usize) {
        let next = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(index) {
            node.end = self.at as u32;
            node.next = next;
        }
    }

    fn value(&mut self) -> Scan {
        self.white_space();
        let index = self.open()?;
        self.unnoted()?;
        self.close(index);
        Ok(())
    }

    fn key(&mut self) -> Scan {
        let index = self.open()?;
        self.string()?;
        self.close(index);
        Ok(())
    }

    fn unnoted(&mut self) -> Scan {
        match self.byte()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            byte => Err(SyntaxError::Character { byte, place: VALUE }),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Scan) -> Scan {
        self.depth += 1;
        if self.depth > self.max_depth {
            return Err(SyntaxError::TooDeep {
                max: self.max_depth,
            });
        }
        self.at += 1;
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Scan {
        if self.token()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            match self.token()? {
                b'"' => self.key()?,
                byte => return Err(SyntaxError::Character { byte, place: KEY }),
            }
            match self.token()? {
                b':' => self.at += 1,
                byte => {
                    return Err(SyntaxError::Character {
                        byte,
                        place: "after object key",
                    });
                }
            }
            self.value()?;
            let byte = self.token()?;
            self.at += 1;
            match byte {
                b',' => {}
                b'}' => return Ok(()),
                byte => {
                    let place = "after object key:value pair";
                    return Err(SyntaxError::Character { byte, place });
                }
            }
        }
    }

    fn array(&mut self) -> Scan {
        if self.token()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            let byte = self.token()?;
            self.at += 1;
            match byte {
                b',' => {}
                b']' => return Ok(()),
                byte => {
                    return Err(SyntaxError::Character {
                        byte,
                        place: "after array element",
                    });
                }
            }
        }
    }

    fn string(&mut self) -> Scan {
        self.at += 1;
        loop {
            match self.byte()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    self.escape()?;
                }
                byte @ 0..0x20 => {
                    return Err(SyntaxError::Character {
                        byte,
                        place: "in string literal",
                    });
                }
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Scan {
        let byte = self.byte()?;
        self.at += 1;
        match byte {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => {
                self.unusual = true;
                for _ in 0..4 {
                    let byte = self.byte()?;
                    if !byte.is_ascii_hexdigit() {
                        let place = "in \\u hexadecimal character escape";
                        return Err(SyntaxError::Character { byte, place });
                    }
                    self.at += 1;
                }
                Ok(())
            }
            byte => Err(SyntaxError::Character {
                byte,
                place: "in string escape code",
            }),
        }
    }

    fn number(&mut self) -> Scan {
        let start = self.at;
        if self.byte()? == b'-' {
            self.at += 1;
            let byte = self.byte()?;
            if !byte.is_ascii_digit() {
                return Err(SyntaxError::Character {
                    byte,
                    place: "in numeric literal",
                });
            }
        }
        if self.byte()? == b'0' {
            self.at += 1;
        } else {
            self.digits();
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.at_least_one_digit("after decimal point in numeric literal")?;
        }
        self.unusual |= self.at - start > MANY_DIGITS;
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.unusual = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.at_least_one_digit("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn at_least_one_digit(&mut self, place: &'static str) -> Scan {
        let byte = self.byte()?;
        if !byte.is_ascii_digit() {
            return Err(SyntaxError::Character { byte, place });
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &'static str) -> Scan {
        for (index, expected) in word.bytes().enumerate() {
            let byte = self.byte()?;
            if byte != expected {
                return Err(SyntaxError::Character {
                    byte,
                    place: literal_place(word, index),
                });
            }
            self.at += 1;
        }
        Ok(())
    }
}

fn literal_place(word: &str, index: usize) -> &'static str {
    match (word, index) {
        ("true", 1) => "in literal true (expecting 'r')",
        ("true", 2) => "in literal true (expecting 'u')",
        ("true", _) => "in literal true (expecting 'e')",
        ("false", 1) => "in literal false (expecting 'a')",
        ("false", 2) => "in literal false (expecting 'l')",
        ("false", 3) => "in literal false (expecting 's')",
        ("false", _) => "in literal false (expecting 'e')",
        (_, 1) => "in literal null (expecting 'u')",
        (_, _) => "in literal null (expecting 'l')",
    }
}

#[cfg(test)]
mod tests;
