//! Frames of OpenIM's clients written in Go: one request, and what of an answer or a push is looked at. Gob in gzip, as
//! such a client sends and reads them.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// The definition of the request's struct as a client sends it: type 64, `GeneralWsReq`.
const DEFINITION: &[u8] = b"\x65\x7f\x03\x01\x01\x0cGeneralWsReq\x01\xff\x80\x00\x01\x06\
\x01\x0dReqIdentifier\x01\x04\x00\
\x01\x05Token\x01\x0c\x00\
\x01\x06SendID\x01\x0c\x00\
\x01\x0bOperationID\x01\x0c\x00\
\x01\x07MsgIncr\x01\x0c\x00\
\x01\x04Data\x01\x0a\x00\x00\x00";

/// Most bytes of a frame when it is unpacked.
const MAX_UNPACKED: u64 = 8 << 20;

/// The number of the answer's `ReqIdentifier` and of its `ErrCode` among its fields, from 1.
const IDENTIFIER: u64 = 1;
const ERROR: u64 = 4;
/// Fields of an answer that are whole numbers.
const NUMBERS: [u64; 2] = [IDENTIFIER, ERROR];
/// Fields of an answer.
const FIELDS: u64 = 6;

/// What is looked at of an answer or a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// What it is, or answers.
    pub identifier: i64,
    /// 0, or what is wrong.
    pub error: i64,
}

/// A request of user `user`, in gzip.
///
/// # Errors
/// Never: the sink is memory.
pub fn request(identifier: i64, user: &str, number: &str, data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut value = vec![0xff, 0x80, 1];
    int(&mut value, identifier);
    // From field 0 to SendID at 2, and on by one each.
    for (delta, field) in [
        (2, user.as_bytes()),
        (1, number.as_bytes()),
        (1, number.as_bytes()),
        (1, data),
    ] {
        value.push(delta);
        uint(&mut value, field.len() as u64);
        value.extend_from_slice(field);
    }
    value.push(0);
    let mut stream = DEFINITION.to_vec();
    uint(&mut stream, value.len() as u64);
    stream.extend_from_slice(&value);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&stream)?;
    gzip.finish()
}

/// Unpacks a frame into `out` and reads its head; `None` when it is no frame.
pub fn read(frame: &[u8], out: &mut Vec<u8>) -> Option<Head> {
    out.clear();
    GzDecoder::new(frame)
        .take(MAX_UNPACKED)
        .read_to_end(out)
        .ok()?;
    let mut stream = Bytes(out);
    // The definition: the server's answers all have the same.
    let length = stream.uint()?;
    stream.skip(length)?;
    let length = stream.uint()?;
    if stream.0.len() as u64 != length {
        return None;
    }
    stream.uint()?;
    let (mut head, mut field) = (Head::default(), 0);
    loop {
        let delta = stream.uint()?;
        if delta == 0 {
            return stream.0.is_empty().then_some(head);
        }
        field += delta;
        if field > FIELDS {
            return None;
        }
        if NUMBERS.contains(&field) {
            let number = stream.uint()?;
            let number = (number >> 1).cast_signed() ^ -((number & 1).cast_signed());
            match field {
                IDENTIFIER => head.identifier = number,
                _ => head.error = number,
            }
        } else {
            let length = stream.uint()?;
            stream.skip(length)?;
        }
    }
}

fn int(out: &mut Vec<u8>, number: i64) {
    uint(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn uint(out: &mut Vec<u8>, number: u64) {
    if let Ok(small) = u8::try_from(number)
        && small < 0x80
    {
        return out.push(small);
    }
    let bytes = number.to_be_bytes();
    let leading = number.leading_zeros() / 8;
    let count = (8 - leading) as u8;
    out.push(count.wrapping_neg());
    out.extend_from_slice(&bytes[leading as usize..]);
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn skip(&mut self, length: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    fn uint(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        if *first < 0x80 {
            return Some(u64::from(*first));
        }
        let count = usize::from(first.wrapping_neg());
        let (bytes, rest) = self.0.split_at_checked(count).filter(|_| count <= 8)?;
        self.0 = rest;
        Some(
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::{Head, read, request};

    fn unpacked(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut out)
            .unwrap();
        hex::encode(out)
    }

    fn packed(hex_digits: &str) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&hex::decode(hex_digits).unwrap()).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn a_request_has_the_bytes_that_a_client_sends() {
        let bytes = request(1001, "u1", "7", b"\x0a\x02u1").unwrap();
        let text = unpacked(&bytes);
        assert!(text.starts_with("657f0301010c47656e6572616c57735265710"));
        assert!(
            text.ends_with("17ff8001fe07d20202753101013701013701040a02753100"),
            "{text}"
        );
    }

    #[test]
    fn answers_as_go_writes_them_are_read() {
        let prefix = "60ff83030101045265737001ff84000106010d5265714964656e74696669657201040001074d7367496e6372010c00010b4f7065726174696f6e4944010c000107457272436f646501040001064572724d7367010c00010444617461010a000000";
        let mut out = Vec::new();
        for (value, identifier, error) in [
            ("17ff8401fe07d2010475315f3101036f7031030301020300", 1001, 0),
            (
                "21ff8401fe07d6010475315f3101036f703101fe07d20109417267734572726f7200",
                1003,
                1001,
            ),
            ("0fff8401fe0fa202036f703103010900", 2001, 0),
        ] {
            let frame = packed(&format!("{prefix}{value}"));
            assert_eq!(read(&frame, &mut out), Some(Head { identifier, error }));
            let short = packed(&format!("{prefix}{}", &value[..value.len() - 2]));
            assert_eq!(read(&short, &mut out), None);
        }
        assert_eq!(read(b"no gzip", &mut out), None);
    }
}
