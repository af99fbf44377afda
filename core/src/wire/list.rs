//! Long lists inside a frame: the number of items, then the items one after another. They are read item by item, so that the
//! bound of the codec holds for each item and the bound of the frame for all, and no memory is set aside on a peer's word.

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};

/// Appends a list, as the codec would write a `Vec`.
pub(super) fn write<T: Serialize>(items: &[T], out: &mut Vec<u8>) {
    codec::encode_into(&(items.len() as u64), out);
    for item in items {
        codec::encode_into(item, out);
    }
}

/// Reads a list of at most `most` items that ends with `bytes`.
pub(super) fn read<T: for<'a> Deserialize<'a>>(
    bytes: &[u8],
    most: usize,
    what: &'static str,
) -> Result<Vec<T>, CodecError> {
    let malformed = |reason: String| CodecError::Malformed { what, reason };
    let (count, mut rest) = codec::decode_prefix::<u64>(bytes)?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > most {
        return Err(malformed(format!(
            "{count} items; at most {most} are taken"
        )));
    }
    // An item has at least one byte.
    if count > rest.len() {
        return Err(malformed(format!("{count} items in {} bytes", rest.len())));
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let (item, after) = codec::decode_prefix(rest)?;
        items.push(item);
        rest = after;
    }
    match rest.len() {
        0 => Ok(items),
        extra => Err(CodecError::Trailing { what, extra }),
    }
}
