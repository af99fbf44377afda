//! The wire format: tags, numbers, lengths, and what each type of field is in it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Message;

/// Most values of a repeated field: no request needs more, and each costs memory that its bytes do not show.
const MAX_ITEMS: usize = 16 * 1024;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end within a field.
    #[error("the message ends within a field")]
    Short,
    /// A number has more than ten bytes, or a tag is none.
    #[error("a number or a tag is out of range")]
    Number,
    /// A field has another form than its type.
    #[error("a field has the form of another type")]
    Form,
    /// A text is no UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
    /// A list is too long.
    #[error("a list has more than {MAX_ITEMS} values")]
    TooMany,
}

/// The value of a field, as it stands in the bytes.
#[derive(Clone, Copy, Debug)]
pub enum Wire<'a> {
    /// A number.
    Varint(u64),
    /// Bytes with their length: a text, bytes, a message, a packed list.
    Bytes(&'a [u8]),
    /// Eight or four bytes, which no field here has.
    Fixed,
}

impl<'a> Wire<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::Form),
        }
    }

    fn varint(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Malformed::Form),
        }
    }
}

/// Walks the fields of a message.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = u32::try_from(self.varint()?).map_err(|_| Malformed::Number)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed::Number);
        }
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => self.take(8).map(|_| Wire::Fixed)?,
            2 => {
                let length = self.varint()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Wire::Fixed)?,
            _ => return Err(Malformed::Form),
        };
        Ok(Some((number, value)))
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(count).map_err(|_| Malformed::Short)?;
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..70).step_by(7) {
            let (first, rest) = self.0.split_first().ok_or(Malformed::Short)?;
            self.0 = rest;
            let bits = u64::from(first & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed::Number);
            }
            number |= bits << shift;
            if first & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed::Number)
    }
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_tag(number: u32, form: u32, out: &mut Vec<u8>) {
    put_varint(out, u64::from(number << 3 | form));
}

fn put_bytes(bytes: &[u8], number: u32, out: &mut Vec<u8>) {
    put_tag(number, 2, out);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(super) fn put_message(message: &impl Message, number: u32, out: &mut Vec<u8>) {
    put_bytes(&message.to_vec(), number, out);
}

/// One value of a repeated field, or a value of a map: it is written even when it is zero.
pub trait Item: Sized + Default {
    /// Appends it with its tag.
    fn put_item(&self, number: u32, out: &mut Vec<u8>);
    /// Reads it.
    ///
    /// # Errors
    /// When its form is another.
    fn take_item(value: Wire<'_>) -> Result<Self, Malformed>;
}

/// A field of a message. What is zero or empty is not written.
pub trait Field {
    /// Appends it with its tag, if it is there.
    fn put(&self, number: u32, out: &mut Vec<u8>);
    /// Takes a value over, or adds it.
    ///
    /// # Errors
    /// When its form is another.
    fn take(&mut self, value: Wire<'_>) -> Result<(), Malformed>;
}

macro_rules! scalars {
    ($($type:ty: |$own:ident, $number:ident, $out:ident| $put:expr, |$value:ident| $take:expr;)+) => {
        $(
            impl Item for $type {
                fn put_item(&self, $number: u32, $out: &mut Vec<u8>) {
                    let $own = self;
                    $put;
                }

                fn take_item($value: Wire<'_>) -> Result<Self, Malformed> {
                    $take
                }
            }

            impl Field for $type {
                fn put(&self, number: u32, out: &mut Vec<u8>) {
                    if *self != Self::default() {
                        self.put_item(number, out);
                    }
                }

                fn take(&mut self, value: Wire<'_>) -> Result<(), Malformed> {
                    *self = Self::take_item(value)?;
                    Ok(())
                }
            }
        )+
    };
}

fn put_number(value: u64, number: u32, out: &mut Vec<u8>) {
    put_tag(number, 0, out);
    put_varint(out, value);
}

scalars! {
    String: |own, number, out| put_bytes(own.as_bytes(), number, out),
        |value| String::from_utf8(value.bytes()?.to_vec()).map_err(|_| Malformed::NotText);
    Bytes: |own, number, out| put_bytes(own, number, out),
        |value| Ok(Bytes::copy_from_slice(value.bytes()?));
    i64: |own, number, out| put_number(own.cast_unsigned(), number, out),
        |value| Ok(value.varint()?.cast_signed());
    // A negative one is written like one of 64 bits; of a longer one the low half counts.
    i32: |own, number, out| put_number(i64::from(*own).cast_unsigned(), number, out),
        |value| Ok(value.varint()? as u32 as i32);
    bool: |own, number, out| put_number(u64::from(*own), number, out),
        |value| Ok(value.varint()? != 0);
}

impl<T: Item> Field for Option<T> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(message) = self {
            message.put_item(number, out);
        }
    }

    fn take(&mut self, value: Wire<'_>) -> Result<(), Malformed> {
        *self = Some(T::take_item(value)?);
        Ok(())
    }
}

impl<T: Item> Field for Vec<T> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        for item in self {
            item.put_item(number, out);
        }
    }

    fn take(&mut self, value: Wire<'_>) -> Result<(), Malformed> {
        if self.len() >= MAX_ITEMS {
            return Err(Malformed::TooMany);
        }
        self.push(T::take_item(value)?);
        Ok(())
    }
}

/// A list of numbers in one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed(pub Vec<i64>);

impl Field for Packed {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if self.0.is_empty() {
            return;
        }
        let mut list = Vec::with_capacity(self.0.len() * 2);
        for value in &self.0 {
            put_varint(&mut list, value.cast_unsigned());
        }
        put_bytes(&list, number, out);
    }

    fn take(&mut self, value: Wire<'_>) -> Result<(), Malformed> {
        let mut push = |number: u64| {
            if self.0.len() >= MAX_ITEMS {
                return Err(Malformed::TooMany);
            }
            self.0.push(number.cast_signed());
            Ok(())
        };
        match value {
            Wire::Varint(number) => push(number),
            Wire::Bytes(bytes) => {
                let mut list = Fields(bytes);
                while !list.0.is_empty() {
                    push(list.varint()?)?;
                }
                Ok(())
            }
            Wire::Fixed => Err(Malformed::Form),
        }
    }
}

impl<T: Item> Field for BTreeMap<String, T> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        for (key, value) in self {
            let mut entry = Vec::new();
            key.put_item(1, &mut entry);
            value.put_item(2, &mut entry);
            put_bytes(&entry, number, out);
        }
    }

    fn take(&mut self, value: Wire<'_>) -> Result<(), Malformed> {
        let (mut key, mut found) = (String::new(), T::default());
        let mut fields = Fields::new(value.bytes()?);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => key = String::take_item(value)?,
                2 => found = T::take_item(value)?,
                _ => {}
            }
        }
        if self.len() >= MAX_ITEMS {
            return Err(Malformed::TooMany);
        }
        self.insert(key, found);
        Ok(())
    }
}
