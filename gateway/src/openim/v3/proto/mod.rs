//! Protocol Buffers as far as OpenIM's messages need them: a table of fields makes a struct with its encoding. Unknown fields are
//! skipped; lengths and lists are bounded by the bytes that are there.

mod messages;
mod wire;

pub use messages::*;
pub use wire::{Malformed, Packed};

/// A message.
pub trait Message: Default {
    /// Appends its encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes a field over.
    ///
    /// # Errors
    /// When its form is another.
    fn merge(&mut self, number: u32, value: wire::Wire<'_>) -> Result<(), Malformed>;

    /// Its encoding.
    #[must_use]
    fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the bytes are no message of this kind.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut message = Self::default();
        let mut fields = wire::Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            message.merge(number, value)?;
        }
        Ok(message)
    }
}

/// Makes structs and their encodings from tables of fields: number, name, type.
macro_rules! define {
    ($($(#[doc = $doc:literal])+ $name:ident { $($number:literal $field:ident: $type:ty,)* })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Debug, Default, PartialEq)]
            #[expect(missing_docs, reason = "the names are those of OpenIM's protocol")]
            pub struct $name { $(pub $field: $type,)* }

            impl Message for $name {
                fn encode(&self, out: &mut Vec<u8>) {
                    $(wire::Field::put(&self.$field, $number, out);)*
                }

                fn merge(&mut self, number: u32, value: wire::Wire<'_>) -> Result<(), Malformed> {
                    match number {
                        $($number => wire::Field::take(&mut self.$field, value),)*
                        _ => Ok(()),
                    }
                }
            }

            impl wire::Item for $name {
                fn put_item(&self, number: u32, out: &mut Vec<u8>) {
                    wire::put_message(self, number, out);
                }

                fn take_item(value: wire::Wire<'_>) -> Result<Self, Malformed> {
                    Self::decode(value.bytes()?)
                }
            }
        )+
    };
}
use define;

#[cfg(test)]
mod tests;
