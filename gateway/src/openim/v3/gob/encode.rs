//! Writing the one struct that the server answers with.

/// The definition of the struct, which stands before every value: id 66, name `Resp`, fields `ReqIdentifier`, `MsgIncr`,
/// `OperationID`, `ErrCode`, `ErrMsg`, `Data`. Clients match fields by name; the one in Python reads this order.
const DEFINITION: &[u8] = b"\x60\xff\x83\x03\x01\x01\x04Resp\x01\xff\x84\x00\x01\x06\
\x01\x0dReqIdentifier\x01\x04\x00\
\x01\x07MsgIncr\x01\x0c\x00\
\x01\x0bOperationID\x01\x0c\x00\
\x01\x07ErrCode\x01\x04\x00\
\x01\x06ErrMsg\x01\x0c\x00\
\x01\x04Data\x01\x0a\x00\x00\x00";

/// The id of the type, as an int.
const TYPE: &[u8] = &[0xff, 0x84];

/// The stream of one answer.
#[must_use]
pub fn response(
    request: i32,
    msg_incr: &str,
    operation_id: &str,
    error: i32,
    text: &str,
    data: &[u8],
) -> Vec<u8> {
    let mut value = Value {
        bytes: TYPE.to_vec(),
        last: 0,
    };
    value.int(1, i64::from(request));
    value.bytes(2, msg_incr.as_bytes());
    value.bytes(3, operation_id.as_bytes());
    value.int(4, i64::from(error));
    value.bytes(5, text.as_bytes());
    value.bytes(6, data);
    value.bytes.push(0);
    let mut stream = DEFINITION.to_vec();
    uint(&mut stream, value.bytes.len() as u64);
    stream.extend_from_slice(&value.bytes);
    stream
}

/// A value that is being written. Fields of zero are left out.
struct Value {
    bytes: Vec<u8>,
    /// The number of the field written last, from 1.
    last: u64,
}

impl Value {
    fn field(&mut self, number: u64) {
        uint(&mut self.bytes, number - self.last);
        self.last = number;
    }

    fn int(&mut self, number: u64, value: i64) {
        if value != 0 {
            self.field(number);
            // The sign goes to the end, so that small numbers are short.
            uint(
                &mut self.bytes,
                ((value << 1) ^ (value >> 63)).cast_unsigned(),
            );
        }
    }

    fn bytes(&mut self, number: u64, value: &[u8]) {
        if !value.is_empty() {
            self.field(number);
            uint(&mut self.bytes, value.len() as u64);
            self.bytes.extend_from_slice(value);
        }
    }
}

/// Below 128 one byte; else the count of bytes, negated, and the bytes, the highest first.
pub(super) fn uint(out: &mut Vec<u8>, number: u64) {
    if number < 0x80 {
        out.push(number as u8);
        return;
    }
    let bytes = number.to_be_bytes();
    let leading = number.leading_zeros() as usize / 8;
    out.push((8 - leading as u8).wrapping_neg());
    out.extend_from_slice(&bytes[leading..]);
}
