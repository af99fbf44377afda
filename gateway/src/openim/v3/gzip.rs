//! Gzip with a bound: what a peer sends may not grow beyond what a frame may be.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

/// Most bytes that a compressed frame may hold.
pub const MAX_UNPACKED: usize = 1024 * 1024;

/// Unpacks one gzip member; `None` when it is none, is damaged, is followed by something, or holds more than `max` bytes.
#[must_use]
pub fn unpack(bytes: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut decoder = GzDecoder::new(bytes).take(max as u64 + 1);
    decoder.read_to_end(&mut out).ok()?;
    let rest = decoder.into_inner().into_inner();
    (out.len() <= max && rest.is_empty()).then_some(out)
}

/// Packs bytes. The fast level: frames are small, and a server packs very many.
#[must_use]
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(
        Vec::with_capacity(bytes.len() / 2 + 32),
        Compression::fast(),
    );
    // Writing to memory does not fail.
    let written = encoder.write_all(bytes);
    debug_assert!(written.is_ok());
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        let bomb = pack(&vec![0; 64 * MAX_UNPACKED]);
        assert!(bomb.len() < MAX_UNPACKED);
        assert_eq!(unpack(&bomb, MAX_UNPACKED), None);
        let full = vec![7; MAX_UNPACKED];
        assert_eq!(unpack(&pack(&full), MAX_UNPACKED), Some(full));
    }

    #[test]
    fn damage_and_a_second_member_are_refused() {
        let packed = pack(b"hello");
        for length in 0..packed.len() {
            assert_eq!(unpack(&packed[..length], 100), None, "{length}");
        }
        let mut twice = packed.clone();
        twice.extend_from_slice(&packed);
        assert_eq!(unpack(&twice, 100), None);
        let mut damaged = packed.clone();
        let last = damaged.len() - 6;
        damaged[last] ^= 1;
        assert_eq!(unpack(&damaged, 100), None);
    }

    proptest! {
        #[test]
        fn no_bytes_stop_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(&bytes, 1000);
            let mut begun = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
            begun.extend(&bytes);
            let _ = unpack(&begun, 1000);
            prop_assert_eq!(unpack(&pack(&bytes), 200), Some(bytes));
        }
    }
}
