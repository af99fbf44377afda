//! Reading a stream of gob that holds one definition of a struct and one value of it. Whatever else stands in it is malformed.

use super::{MAX_FIELDS, types};

/// Why bytes are not what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end too early, or a length leads beyond their end.
    #[error("the stream ends too early")]
    Short,
    /// A number has more than eight bytes, or does not fit where it stands.
    #[error("a number is out of range")]
    Number,
    /// A definition is of something else than a flat struct, has too many fields, or comes twice.
    #[error("the definition is of no flat struct")]
    Definition,
    /// A value has a type that was not defined, or fields that it has not.
    #[error("the value does not fit its definition")]
    Value,
    /// A text is no UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
    /// Something stands behind the value.
    #[error("there is something behind the value")]
    Trailing,
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A struct that was read: the fields that are not zero, with their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struct<'a> {
    /// Its name.
    pub name: &'a str,
    /// Names and values of its fields, in the order of the definition.
    pub fields: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Struct<'a> {
    fn find(&self, name: &str) -> Option<Value<'a>> {
        let found = self.fields.iter().find(|(field, _)| *field == name);
        found.map(|(_, value)| *value)
    }

    /// A number; 0 when the field is missing or is none.
    #[must_use]
    pub fn int(&self, name: &str) -> i64 {
        match self.find(name) {
            Some(Value::Int(number)) => number,
            _ => 0,
        }
    }

    /// A text; empty when the field is missing or is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &'a str {
        match self.find(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// Bytes; empty when the field is missing or has none.
    #[must_use]
    pub fn bytes(&self, name: &str) -> &'a [u8] {
        match self.find(name) {
            Some(Value::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }
}

/// A definition of a struct.
struct Definition<'a> {
    id: i64,
    name: &'a str,
    fields: Vec<(&'a str, i64)>,
}

/// Reads a whole stream.
///
/// # Errors
/// When it is not one definition of a flat struct and one value of it, and nothing else.
pub fn decode(stream: &[u8]) -> Result<Struct<'_>, Malformed> {
    let mut stream = Bytes(stream);
    let mut body = stream.message()?;
    let id = body.int()?;
    let id = id.checked_neg().filter(|id| *id > 0);
    let id = id.ok_or(Malformed::Definition)?;
    let definition = body.definition(id)?;
    body.end()?;
    let mut body = stream.message()?;
    if body.int()? != definition.id {
        return Err(Malformed::Value);
    }
    let value = body.value(&definition)?;
    body.end()?;
    stream.end()?;
    Ok(value)
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(count).map_err(|_| Malformed::Short)?;
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn uint(&mut self) -> Result<u64, Malformed> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let count = u64::from(first.wrapping_neg());
        if count > 8 {
            return Err(Malformed::Number);
        }
        let bytes = self.take(count)?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn int(&mut self) -> Result<i64, Malformed> {
        let number = self.uint()?;
        // Half of a u64 fits an i64.
        let half = i64::try_from(number >> 1).map_err(|_| Malformed::Number)?;
        Ok(if number & 1 == 0 { half } else { !half })
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.uint()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed::NotText)
    }

    fn message(&mut self) -> Result<Self, Malformed> {
        let length = self.uint()?;
        self.take(length).map(Self)
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed::Trailing)
        }
    }

    /// The next byte of a definition, which has only one form.
    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.byte()? == byte {
            Ok(())
        } else {
            Err(Malformed::Definition)
        }
    }

    /// `wireType{StructT: {CommonType: {Name, Id}, Field: [{Name, Id}]}}`
    fn definition(&mut self, id: i64) -> Result<Definition<'a>, Malformed> {
        self.expect(3)?;
        self.expect(1)?;
        self.expect(1)?;
        let name = self.text()?;
        self.expect(1)?;
        if self.int()? != id {
            return Err(Malformed::Definition);
        }
        self.expect(0)?;
        self.expect(1)?;
        let count = usize::try_from(self.uint()?).ok();
        let count = count.filter(|count| (1..=MAX_FIELDS).contains(count));
        let mut fields = Vec::with_capacity(MAX_FIELDS);
        for _ in 0..count.ok_or(Malformed::Definition)? {
            self.expect(1)?;
            let name = self.text()?;
            self.expect(1)?;
            let of_type = self.int()?;
            self.expect(0)?;
            let known = matches!(of_type, types::INT | types::BYTES | types::STRING);
            if !known || fields.iter().any(|(other, _)| *other == name) {
                return Err(Malformed::Definition);
            }
            fields.push((name, of_type));
        }
        self.expect(0)?;
        self.expect(0)?;
        Ok(Definition { id, name, fields })
    }

    fn value(&mut self, definition: &Definition<'a>) -> Result<Struct<'a>, Malformed> {
        let mut fields = Vec::with_capacity(definition.fields.len());
        let mut next = 0_usize;
        loop {
            let delta = usize::try_from(self.uint()?).map_err(|_| Malformed::Value)?;
            if delta == 0 {
                break;
            }
            let index = next.checked_add(delta - 1).ok_or(Malformed::Value)?;
            let (name, of_type) = *definition.fields.get(index).ok_or(Malformed::Value)?;
            let value = match of_type {
                types::INT => Value::Int(self.int()?),
                types::STRING => Value::Text(self.text()?),
                _ => {
                    let length = self.uint()?;
                    Value::Bytes(self.take(length)?)
                }
            };
            fields.push((name, value));
            next = index + 1;
        }
        Ok(Struct {
            name: definition.name,
            fields,
        })
    }
}
